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

    /** One delivery in this many is timed. */
    private static final int SAMPLED = 128;

    private static final byte[][] KEYS = new byte[CYCLE][];
    private static final byte[][] VALUES = new byte[CYCLE][];
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
        generate();

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
            for (long i = 0; i < records; i++) {
                if (rate > 0) {
                    long wait = i * 1_000_000_000 / rate - (System.nanoTime() - start);
                    if (wait > 0) LockSupport.parkNanos(wait);
                }
                send(producer, topic, i);
            }
            producer.flush();
            double seconds = (System.nanoTime() - start) / 1e9;
            double cpu = (double) (system.getProcessCpuTime() - begin) / records;
            System.out.printf(
                    "{\"client\":\"java\",\"version\":\"%s\",\"records\":%d,\"ok\":%d,\"failed\":%d,\"seconds\":%.3f,"
                            + "\"cpu_ns_per_record\":%.1f,\"max_rss_kb\":%d,\"p50_ms\":%s,\"p99_ms\":%s}%n",
                    AppInfoParser.getVersion(), records, OK.sum(), FAILED.sum(), seconds, cpu, maxRss(),
                    percentile(0.5), percentile(0.99));
        }
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, long i) {
        int at = (int) i & CYCLE - 1;
        Callback delivered = COUNT;
        if (i % SAMPLED == 0) {
            long sent = System.nanoTime();
            delivered = (metadata, error) -> {
                COUNT.onCompletion(metadata, error);
                synchronized (LATENCIES) {
                    LATENCIES.add(System.nanoTime() - sent);
                }
            };
        }
        producer.send(new ProducerRecord<>(topic, KEYS[at], VALUES[at]), delivered);
    }

    private static long state = 42;

    private static long random(long below) {
        state ^= state << 13;
        state ^= state >>> 7;
        state ^= state << 17;
        return Long.remainderUnsigned(state, below);
    }

    private static void generate() {
        String[] regions = {"bj", "sh", "gz", "sz", "hz", "cd"};
        for (int i = 0; i < CYCLE; i++) {
            String region = regions[(int) random(6)];
            KEYS[i] = String.format("%s-%013d", region, random(1_000_000)).getBytes(StandardCharsets.US_ASCII);
            StringBuilder letters = new StringBuilder();
            for (int letter = 0; letter < 88; letter++) letters.append((char) ('a' + random(26)));
            VALUES[i] = ("{\"order\":\"" + letters + "\"}").getBytes(StandardCharsets.US_ASCII);
        }
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
