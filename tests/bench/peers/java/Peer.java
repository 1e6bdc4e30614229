import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Java's producer. The flags, the records and the line it prints are those of ../meter. */
public final class Peer {
    private static final int CYCLE = 1 << 16;
    private static final int KEY = 16;
    private static final long VALUES_MAX = 16 << 20;

    /** One delivery in this many is timed. */
    private static long sampled;

    /** Null where records have none. */
    private static byte[][] keys;

    private static byte[][] values;
    private static volatile long told;
    private static final LongAdder OK = new LongAdder();
    private static final LongAdder FAILED = new LongAdder();
    private static final java.util.List<Long> LATENCIES = new java.util.ArrayList<>();
    private static final Callback COUNT = (metadata, error) -> (error == null ? OK : FAILED).increment();

    public static void main(String[] words) throws Exception {
        Map<String, String> flags = new HashMap<>();
        for (int i = 0; i + 1 < words.length; i += 2) flags.put(words[i], words[i + 1]);
        String topic = flags.getOrDefault("--topic", "bench");
        long records = Long.parseLong(flags.getOrDefault("--records", "1000000"));
        long warmup = Long.parseLong(flags.getOrDefault("--warmup", "100000"));
        long rate = Long.parseLong(flags.getOrDefault("--rate", "0"));
        int threads = Integer.parseInt(flags.getOrDefault("--threads", "1"));
        sampled = Long.parseLong(flags.getOrDefault("--sampled", "128"));
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", flags.getOrDefault("--bootstrap", "127.0.0.1:19092"));
        config.put("acks", "all");
        config.put("enable.idempotence", "true");
        config.put("compression.type", flags.getOrDefault("--compression", "none"));
        config.put("linger.ms", flags.getOrDefault("--linger", "5"));
        if (flags.containsKey("--batch-size")) config.put("batch.size", flags.get("--batch-size"));
        if (flags.containsKey("--ca")) {
            config.put("security.protocol", "SSL");
            config.put("ssl.truststore.type", "PEM");
            config.put("ssl.truststore.location", flags.get("--ca"));
        }
        if ("yes".equals(flags.get("--best"))) {
            // docs.confluent.io/cloud/current/client-apps/optimizing/throughput.html, but for acks=1 and compression.
            config.putAll(Map.of("batch.size", "262144", "linger.ms", "10", "buffer.memory", "134217728"));
        }
        int size = Integer.parseInt(flags.getOrDefault("--size", "116"));
        generate(size, "yes".equals(flags.getOrDefault("--keys", "yes")), records + warmup);

        OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long i = 0; i < warmup; i++) send(producer, topic, i);
            producer.flush();
            OK.reset();
            FAILED.reset();
            synchronized (LATENCIES) {
                LATENCIES.clear();
            }
            long begin = system.getProcessCpuTime();
            long start = System.nanoTime();
            var senders = new java.util.ArrayList<Thread>();
            for (int share = 0; share < threads; share++) {
                long from = share * records / threads;
                long to = (share + 1) * records / threads;
                var sender = new Thread(() -> {
                    for (long i = from; i < to; i++) {
                        if (rate > 0) {
                            // The records of a millisecond are due together, with every client.
                            long wait = i * 1_000 / rate * 1_000_000 - (System.nanoTime() - start);
                            if (wait > 0) LockSupport.parkNanos(wait);
                        }
                        send(producer, topic, i);
                    }
                });
                sender.start();
                senders.add(sender);
            }
            for (Thread sender : senders) sender.join();
            producer.flush();
            double seconds = (System.nanoTime() - start) / 1e9;
            double cpu = (double) (system.getProcessCpuTime() - begin) / records;
            System.out.printf(
                    "{\"client\":\"java\",\"version\":\"%s\",\"records\":%d,\"ok\":%d,\"failed\":%d,\"seconds\":%.3f,"
                            + "\"cpu_ns_per_record\":%.1f,\"max_rss_kb\":%d,\"p50_ms\":%s,\"p99_ms\":%s,\"p999_ms\":%s,"
                            + "\"told_ns\":%d}%n",
                    AppInfoParser.getVersion(), records, OK.sum(), FAILED.sum(), seconds, cpu, maxRss(),
                    percentile(0.5), percentile(0.99), percentile(0.999), told);
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, long i) {
        Callback delivered = COUNT;
        if (i % sampled == 0) {
            long sent = System.nanoTime();
            delivered = (metadata, error) -> {
                COUNT.onCompletion(metadata, error);
                synchronized (LATENCIES) {
                    LATENCIES.add(System.nanoTime() - sent);
                }
                var now = java.time.Instant.now();
                told = now.getEpochSecond() * 1_000_000_000 + now.getNano();
            };
        }
        byte[] key = keys == null ? null : keys[(int) i & keys.length - 1];
        producer.send(new ProducerRecord<>(topic, key, values[(int) i & values.length - 1]), delivered);
    }

    private static long state = 42;

    private static long random(long below) {
        state ^= state << 13;
        state ^= state >>> 7;
        state ^= state << 17;
        return Long.remainderUnsigned(state, below);
    }

    private static void generate(int size, boolean hasKeys, long sent) {
        String[] regions = {"bj", "sh", "gz", "sz", "hz", "cd"};
        int count = 1;
        while (count < CYCLE && count < sent) count *= 2;
        int different = count;
        while (different > 1 && (long) different * size > VALUES_MAX) different /= 2;
        int ofKey = hasKeys ? Math.min(KEY, size / 2) : 0;
        keys = hasKeys ? new byte[count][] : null;
        values = new byte[different][];
        for (int i = 0; i < count; i++) {
            String region = regions[(int) random(6)];
            String key = String.format("%s-%013d", region, random(1_000_000));
            if (hasKeys) keys[i] = key.substring(KEY - ofKey).getBytes(StandardCharsets.US_ASCII);
            if (i >= different) continue;
            int of = size - ofKey;
            String value = of < 20 ? letters(of) : "{\"order\":\"" + letters(of - 12) + "\"}";
            values[i] = value.getBytes(StandardCharsets.US_ASCII);
        }
    }

    private static String letters(int count) {
        StringBuilder letters = new StringBuilder(count);
        for (int i = 0; i < count; i++) letters.append((char) ('a' + random(26)));
        return letters.toString();
    }

    private static String percentile(double p) {
        synchronized (LATENCIES) {
            if (LATENCIES.isEmpty()) return "null";
            LATENCIES.sort(null);
            return String.format("%.3f", LATENCIES.get((int) ((LATENCIES.size() - 1) * p)) / 1e6);
        }
    }

    private static long maxRss() throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("\\D", ""));
        }
        return 0;
    }
}
