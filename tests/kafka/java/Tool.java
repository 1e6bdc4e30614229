import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;

/** Kafka's own clients as a judge of ours: what is in a topic, and what its classes make of our bytes. */
final class Tool {
    static final String USAGE =
            """
            tests/kafka/tool [--bootstrap SERVERS] SUBCOMMAND …     without --bootstrap: the running cluster of this home

            topics
              create TOPIC PARTITIONS [--replication N] [--config K=V]…
              delete TOPIC
              grow TOPIC PARTITIONS             more partitions
              describe TOPIC                    id, and per partition: leader, replicas, isr, begin and end offset
              wait-isr [--timeout S]            until every replica of every topic is in sync
            groups
              offsets GROUP                     what it has committed, a line for each partition
            who may what
              user NAME MECHANISM PASSWORD      a SCRAM user, or its new password
              allow PRINCIPAL OPERATION PREFIX  on all topics whose names begin so
            what stands in a topic (all partitions, from the beginning)
              read TOPIC [--isolation read_committed] [--expect N] [--timeout S]
                                                one line of JSON per record; keys, values and headers as base64
              check-order TOPIC --records N --keys K [--isolation …] [--timeout S]
                                                the definition below: nothing lost, doubled, out of order, or strange
              digest TOPIC --by multiset|key [--isolation …] [--expect N] [--timeout S]
                                                a hash over keys and values: of the set, or also of each key's order
              --expect N waits until there are N records, and fails if there are less at the end of the time, or more
            writing, by Java's producer
              produce TOPIC --records N --keys K [--size BYTES] [--from I] [--config K=V]…
                                                record i has the key key-{i%K} and the value {i}|padding
            oracles (base64 lines on stdin)
              murmur2                           the positive murmur2 of each line's bytes
              decode [--batches]                the records of each line's record batch, after Java's own checks;
                                                with the header of each batch as a line before them
            many in one process
              serve                             a subcommand per line, its words parted by tabs; each answer is
                                                closed by a line: a zero byte, then 'ok' or 'error' and what it was""";

    /** A wrong command line. */
    static final class Usage extends RuntimeException {
        Usage(String message) {
            super(message);
        }
    }

    /** A judgement against what was looked at; the output says more. */
    static final class Failed extends RuntimeException {
        Failed(String message) {
            super(message);
        }
    }

    private final String bootstrap;
    private Admin admin;

    private Tool(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] words) throws Exception {
        Args args = new Args(Arrays.asList(words));
        Tool tool = new Tool(args.option("--bootstrap"));
        OutputStream out = new FileOutputStream(FileDescriptor.out);
        int status = 0;
        try {
            if (words.length == 0 || args.flag("--help") || args.flag("-h")) {
                out.write((USAGE + "\n").getBytes(StandardCharsets.UTF_8));
            } else {
                String subcommand = args.next("a subcommand");
                if (subcommand.equals("serve")) tool.serve(out);
                else tool.run(subcommand, args, out);
            }
        } catch (Usage e) {
            System.err.println("tool: " + e.getMessage() + "; see --help");
            status = 2;
        } catch (Exception e) {
            System.err.println("tool: " + explain(e));
            status = 1;
        }
        System.exit(status);
    }

    private void run(String subcommand, Args args, OutputStream out) throws Exception {
        Json json = new Json(out);
        try {
            switch (subcommand) {
                case "create" -> Topics.create(admin(), args);
                case "delete" -> Topics.delete(admin(), args);
                case "grow" -> Topics.grow(admin(), args);
                case "describe" -> Topics.describe(admin(), args, json);
                case "wait-isr" -> Topics.waitIsr(admin(), args);
                case "offsets" -> Groups.offsets(admin(), args, json);
                case "user" -> Security.user(admin(), args);
                case "allow" -> Security.allow(admin(), args);
                case "read" -> Reading.read(bootstrap(), args, json);
                case "check-order" -> Reading.checkOrder(bootstrap(), args, json);
                case "digest" -> Reading.digest(bootstrap(), args, json);
                case "produce" -> Producing.produce(bootstrap(), args, json);
                case "murmur2" -> Oracles.murmur2(args, json);
                case "decode" -> Oracles.decode(args, json);
                default -> throw new Usage("no subcommand '" + subcommand + "'");
            }
        } finally {
            json.flush();
        }
    }

    private void serve(OutputStream out) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            List<String> words = Arrays.asList(line.split("\t", -1));
            ByteArrayOutputStream last = new ByteArrayOutputStream();
            last.write(0);
            try {
                String subcommand = words.get(0);
                if (subcommand.equals("murmur2") || subcommand.equals("decode")) {
                    throw new Usage(subcommand + " reads stdin: give it a process of its own");
                }
                run(subcommand, new Args(words.subList(1, words.size())), out);
                last.writeBytes("ok".getBytes(StandardCharsets.UTF_8));
            } catch (Exception e) {
                last.writeBytes(("error " + explain(e).replace('\n', ' ')).getBytes(StandardCharsets.UTF_8));
            }
            last.write('\n');
            last.writeTo(out);
            out.flush();
        }
    }

    private String bootstrap() {
        if (bootstrap == null) throw new Usage("no cluster runs here, and no --bootstrap is given");
        return bootstrap;
    }

    private Admin admin() {
        if (admin == null) {
            admin =
                    Admin.create(
                            Map.of(
                                    "bootstrap.servers", bootstrap(),
                                    "default.api.timeout.ms", "30000",
                                    "request.timeout.ms", "5000",
                                    "reconnect.backoff.max.ms", "200"));
        }
        return admin;
    }

    private static String explain(Throwable e) {
        while (e instanceof ExecutionException && e.getCause() != null) e = e.getCause();
        boolean own = e instanceof Usage || e instanceof Failed;
        return own ? e.getMessage() : e.getClass().getSimpleName() + ": " + e.getMessage();
    }
}
