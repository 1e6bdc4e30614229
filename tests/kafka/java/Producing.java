import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Java's producer, with the records that {@link Reading#checkOrder} expects: the harness has to be seen working without us. */
final class Producing {
    private Producing() {}

    static void produce(String bootstrap, Args args, Json json) {
        long records = args.neededNumber("--records");
        long keys = args.neededNumber("--keys");
        long from = args.number("--from", 0);
        int size = (int) args.number("--size", 100);
        Map<String, Object> config = new HashMap<>(Topics.configs(args));
        String topic = args.next("TOPIC");
        args.end();
        config.put("bootstrap.servers", bootstrap);
        config.putIfAbsent("linger.ms", "5");
        // A paused broker answers nothing; the default would wait for it half a minute.
        config.putIfAbsent("request.timeout.ms", "5000");
        LongAdder delivered = new LongAdder();
        AtomicReference<Exception> first = new AtomicReference<>();
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long i = from; i < from + records; i++) {
                byte[] key = ("key-" + i % keys).getBytes(StandardCharsets.US_ASCII);
                byte[] number = (i + "|").getBytes(StandardCharsets.US_ASCII);
                byte[] value = Arrays.copyOf(number, Math.max(size, number.length));
                Arrays.fill(value, number.length, value.length, (byte) 'x');
                producer.send(
                        new ProducerRecord<>(topic, key, value),
                        (metadata, error) -> {
                            if (error == null) delivered.increment();
                            else first.compareAndSet(null, error);
                        });
            }
        }
        json.open().name("records").value(records).name("delivered").value(delivered.sum()).close().endLine();
        if (delivered.sum() != records) throw new Tool.Failed("not everything was delivered; the first error: " + first.get());
    }
}
