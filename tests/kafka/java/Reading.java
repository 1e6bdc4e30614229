import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** What stands in a topic, by Java's consumer. */
final class Reading {
    private Reading() {}

    static void read(String bootstrap, Args args, Json json) {
        Source source = new Source(bootstrap, args);
        source.each(
                record -> {
                    json.open().name("partition").value(record.partition()).name("offset").value(record.offset());
                    json.name("timestamp").value(record.timestamp());
                    json.name("timestampType").value(record.timestampType().name);
                    json.name("key").value(record.key()).name("value").value(record.value());
                    json.headers(record.headers()).close().endLine();
                });
    }

    /**
     * Holds the topic against its definition: record i (from 0) has the key key-{i%K} and the value {i}|padding. Of each key
     * the values have to be k, k+K, k+2K, …, in this order and in one partition.
     */
    static void checkOrder(String bootstrap, Args args, Json json) {
        int records = Math.toIntExact(args.neededNumber("--records"));
        int keys = Math.toIntExact(args.neededNumber("--keys"));
        Source source = new Source(bootstrap, args);
        BitSet seen = new BitSet(records);
        int[] last = new int[keys];
        int[] home = new int[keys];
        Arrays.fill(last, -1);
        Arrays.fill(home, -1);
        var count = new Object() {
            long records, duplicates, outOfOrder, foreign, moved;
            String example = "";

            void example(String what, ConsumerRecord<byte[], byte[]> record) {
                if (example.isEmpty()) example = what + " at partition " + record.partition() + " offset " + record.offset();
            }
        };
        source.each(
                record -> {
                    count.records++;
                    int key = keyNumber(record.key());
                    long value = leadingNumber(record.value());
                    if (key < 0 || key >= keys || value < 0 || value >= records || value % keys != key) {
                        count.foreign++;
                        count.example("a record that was never sent", record);
                        return;
                    }
                    int i = (int) value;
                    if (home[key] >= 0 && home[key] != record.partition()) {
                        count.moved++;
                        count.example("key-" + key + " also in partition " + home[key], record);
                    }
                    home[key] = record.partition();
                    if (seen.get(i)) {
                        count.duplicates++;
                        count.example("record " + i + " again", record);
                        return;
                    }
                    seen.set(i);
                    if (i < last[key]) {
                        count.outOfOrder++;
                        count.example("record " + i + " of key-" + key + " after " + last[key], record);
                    } else {
                        last[key] = i;
                    }
                });
        long missing = records - seen.cardinality();
        if (missing > 0 && count.example.isEmpty()) count.example = "record " + seen.nextClearBit(0) + " is missing";
        json.open().name("records").value(count.records).name("keys");
        json.value(Arrays.stream(home).filter(partition -> partition >= 0).count());
        json.name("missing").value(missing).name("duplicates").value(count.duplicates);
        json.name("out_of_order").value(count.outOfOrder).name("moved_keys").value(count.moved);
        json.name("foreign").value(count.foreign).close().endLine();
        if (missing + count.duplicates + count.outOfOrder + count.moved + count.foreign > 0) {
            throw new Tool.Failed("the topic is not what was sent; the first finding: " + count.example);
        }
    }

    /**
     * The sum of a hash per record, or per key over its records in their order. The hash is FNV-1a (64 bits) over the length
     * of the key (4 bytes, big endian; -1 for null), the key, and the same of the value, through splitmix64's finalizer before
     * it is summed. Records without a key have no order to keep: they count one by one in both.
     */
    static void digest(String bootstrap, Args args, Json json) {
        String by = args.option("--by");
        if (!"multiset".equals(by) && !"key".equals(by)) throw new Tool.Usage("--by takes multiset or key");
        boolean ordered = by.equals("key");
        Source source = new Source(bootstrap, args);
        Map<Integer, long[]> partitions = new TreeMap<>();
        Map<java.nio.ByteBuffer, long[]> byKey = new HashMap<>();
        long[] sum = {0, 0};
        source.each(
                record -> {
                    sum[1]++;
                    partitions.computeIfAbsent(record.partition(), p -> new long[1])[0]++;
                    if (ordered && record.key() != null) {
                        long[] hash =
                                byKey.computeIfAbsent(java.nio.ByteBuffer.wrap(record.key()), k -> new long[] {FNV_START});
                        hash[0] = fnv(fnv(hash[0], record.key()), record.value());
                    } else {
                        sum[0] += mix(fnv(fnv(FNV_START, record.key()), record.value()));
                    }
                });
        for (long[] hash : byKey.values()) sum[0] += mix(hash[0]);
        json.open().name("records").value(sum[1]).name("digest").value(String.format("%016x", sum[0]));
        json.name("partitions").open();
        partitions.forEach((partition, records) -> json.name(Integer.toString(partition)).value(records[0]));
        json.close().close().endLine();
    }

    private static final long FNV_START = 0xcbf29ce484222325L;

    private static long fnv(long hash, byte[] bytes) {
        int length = bytes == null ? -1 : bytes.length;
        for (int shift = 24; shift >= 0; shift -= 8) hash = (hash ^ (length >>> shift & 0xff)) * 0x100000001b3L;
        for (int i = 0; i < length; i++) hash = (hash ^ (bytes[i] & 0xff)) * 0x100000001b3L;
        return hash;
    }

    private static long mix(long hash) {
        hash = (hash ^ (hash >>> 30)) * 0xbf58476d1ce4e5b9L;
        hash = (hash ^ (hash >>> 27)) * 0x94d049bb133111ebL;
        return hash ^ (hash >>> 31);
    }

    private static int keyNumber(byte[] key) {
        if (key == null || key.length < 5 || key[0] != 'k' || key[1] != 'e' || key[2] != 'y' || key[3] != '-') return -1;
        long number = digits(key, 4, key.length);
        return number > Integer.MAX_VALUE ? -1 : (int) number;
    }

    private static long leadingNumber(byte[] value) {
        if (value == null) return -1;
        int end = 0;
        while (end < value.length && value[end] != '|') end++;
        return end == value.length ? -1 : digits(value, 0, end);
    }

    private static long digits(byte[] text, int from, int to) {
        if (from == to || to - from > 18) return -1;
        long number = 0;
        for (int i = from; i < to; i++) {
            if (text[i] < '0' || text[i] > '9') return -1;
            number = number * 10 + text[i] - '0';
        }
        return number;
    }

    private interface Each {
        void record(ConsumerRecord<byte[], byte[]> record);
    }

    /** All partitions of one topic, from the beginning to the end that was there when it was asked. */
    private static final class Source {
        private final String bootstrap;
        private final String isolation;
        private final String topic;
        private final long expect;
        private final long timeout;

        Source(String bootstrap, Args args) {
            this.bootstrap = bootstrap;
            this.expect = args.number("--expect", -1);
            this.timeout = args.number("--timeout", 60);
            String given = args.option("--isolation");
            this.isolation = given == null ? "read_uncommitted" : given;
            this.topic = args.next("TOPIC");
            args.end();
        }

        void each(Each each) {
            Map<String, Object> config = new HashMap<>();
            config.put("bootstrap.servers", bootstrap);
            config.put("isolation.level", isolation);
            config.put("auto.offset.reset", "none");
            config.put("enable.auto.commit", "false");
            config.put("allow.auto.create.topics", "false");
            config.put("max.poll.records", "50000");
            config.put("fetch.max.wait.ms", "100");
            config.put("request.timeout.ms", "5000");
            config.put("max.partition.fetch.bytes", Integer.toString(8 << 20));
            config.put("default.api.timeout.ms", Long.toString(timeout * 1000));
            config.put("check.crcs", "true");
            long deadline = System.nanoTime() + timeout * 1_000_000_000L;
            try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                List<TopicPartition> partitions = new ArrayList<>();
                List<PartitionInfo> found = consumer.partitionsFor(topic);
                if (found == null || found.isEmpty()) throw new Tool.Failed("there is no topic " + topic);
                for (PartitionInfo partition : found) partitions.add(new TopicPartition(topic, partition.partition()));
                consumer.assign(partitions);
                consumer.seekToBeginning(partitions);
                long records = 0;
                Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
                while (true) {
                    if (ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue())) {
                        if (expect < 0 || records >= expect) break;
                        ends = consumer.endOffsets(partitions);
                    }
                    if (System.nanoTime() > deadline) break;
                    ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
                    for (ConsumerRecord<byte[], byte[]> record : polled) each.record(record);
                    records += polled.count();
                }
                boolean whole = ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
                if (!whole) throw new Tool.Failed("not at the end after " + timeout + " s: " + records + " records read");
                if (expect >= 0 && records != expect) {
                    throw new Tool.Failed("expected " + expect + " records, found " + records);
                }
            }
        }
    }
}
