import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.Utils;

/** Kafka's own classes, asked about bytes of ours. */
final class Oracles {
    private Oracles() {}

    static void murmur2(Args args, Json json) throws IOException {
        args.end();
        lines(bytes -> {
            json.value(Utils.toPositive(Utils.murmur2(bytes)));
            json.endLine();
        });
    }

    static void decode(Args args, Json json) throws IOException {
        boolean batches = args.flag("--batches");
        args.end();
        lines(bytes -> {
            int covered = 0;
            for (RecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
                batch.ensureValid();
                covered += batch.sizeInBytes();
                if (batches) header(batch, json);
                int count = 0;
                long expected = batch.baseOffset();
                try (var records = batch.streamingIterator(BufferSupplier.NO_CACHING)) {
                    while (records.hasNext()) {
                        Record record = records.next();
                        record.ensureValid();
                        if (record.offset() != expected++) throw new Tool.Failed("a gap before offset " + record.offset());
                        count++;
                        json.open().name("partition").value(-1).name("offset").value(record.offset());
                        json.name("timestamp").value(record.timestamp());
                        json.name("timestampType").value(batch.timestampType().name);
                        json.name("key").value(taken(record.key())).name("value").value(taken(record.value()));
                        json.headers(Arrays.asList(record.headers())).close().endLine();
                    }
                }
                if (count != batch.countOrNull()) throw new Tool.Failed("the batch says " + batch.countOrNull() + " records, it has " + count);
                if (batch.lastOffset() != expected - 1) throw new Tool.Failed("a wrong last offset delta: " + batch.lastOffset());
            }
            if (covered != bytes.length) throw new Tool.Failed(bytes.length - covered + " bytes after the last batch");
        });
    }

    private static void header(RecordBatch batch, Json json) {
        json.open().name("batch").open().name("magic").value(batch.magic());
        json.name("baseOffset").value(batch.baseOffset()).name("lastOffset").value(batch.lastOffset());
        json.name("records").value(batch.countOrNull()).name("bytes").value(batch.sizeInBytes());
        json.name("compression").value(batch.compressionType().name);
        json.name("partitionLeaderEpoch").value(batch.partitionLeaderEpoch());
        json.name("producerId").value(batch.producerId()).name("producerEpoch").value(batch.producerEpoch());
        json.name("baseSequence").value(batch.baseSequence()).name("lastSequence").value(batch.lastSequence());
        json.name("maxTimestamp").value(batch.maxTimestamp());
        json.name("transactional").value(batch.isTransactional()).name("control").value(batch.isControlBatch());
        json.close().close().endLine();
    }

    private static byte[] taken(ByteBuffer buffer) {
        return buffer == null ? null : Utils.toArray(buffer);
    }

    private interface Line {
        void bytes(byte[] bytes);
    }

    private static void lines(Line line) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        long number = 0;
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            number++;
            try {
                line.bytes(Base64.getDecoder().decode(text.strip()));
            } catch (RuntimeException e) {
                throw new Tool.Failed("line " + number + ": " + e);
            }
        }
    }
}
