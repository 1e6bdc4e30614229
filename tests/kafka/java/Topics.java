import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;

/** Topics: made, changed, looked at. Each change is waited for until the brokers know it. */
final class Topics {
    private Topics() {}

    static void create(Admin admin, Args args) throws Exception {
        long replication = args.number("--replication", -1);
        Map<String, String> configs = configs(args);
        String topic = args.next("TOPIC");
        int partitions = Integer.parseInt(args.next("PARTITIONS"));
        args.end();
        Optional<Short> replicas = replication < 0 ? Optional.empty() : Optional.of((short) replication);
        admin.createTopics(List.of(new NewTopic(topic, Optional.of(partitions), replicas).configs(configs))).all().get();
        await(() -> ready(admin, topic, partitions), "every broker knows the partitions of " + topic, 30);
    }

    static void delete(Admin admin, Args args) throws Exception {
        String topic = args.next("TOPIC");
        args.end();
        admin.deleteTopics(List.of(topic)).all().get();
        await(() -> !admin.listTopics().names().get().contains(topic), topic + " is gone", 30);
    }

    static void grow(Admin admin, Args args) throws Exception {
        String topic = args.next("TOPIC");
        int partitions = Integer.parseInt(args.next("PARTITIONS"));
        args.end();
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(partitions))).all().get();
        await(() -> ready(admin, topic, partitions), "every broker knows the partitions of " + topic, 30);
    }

    static void describe(Admin admin, Args args, Json json) throws Exception {
        String topic = args.next("TOPIC");
        args.end();
        TopicDescription found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        Map<TopicPartition, OffsetSpec> first = new HashMap<>();
        Map<TopicPartition, OffsetSpec> last = new HashMap<>();
        for (TopicPartitionInfo partition : found.partitions()) {
            if (partition.leader() == null || partition.leader().isEmpty()) continue;
            first.put(new TopicPartition(topic, partition.partition()), OffsetSpec.earliest());
            last.put(new TopicPartition(topic, partition.partition()), OffsetSpec.latest());
        }
        var begins = admin.listOffsets(first).all().get();
        var ends = admin.listOffsets(last).all().get();
        json.open().name("topic").value(topic).name("id").value(found.topicId().toString());
        json.name("partitions").openList();
        for (TopicPartitionInfo partition : found.partitions()) {
            TopicPartition key = new TopicPartition(topic, partition.partition());
            boolean led = ends.containsKey(key);
            json.open().name("partition").value(partition.partition());
            json.name("leader").value(led ? partition.leader().id() : -1);
            nodes(json.name("replicas"), partition.replicas());
            nodes(json.name("isr"), partition.isr());
            json.name("begin").value(led ? begins.get(key).offset() : -1);
            json.name("end").value(led ? ends.get(key).offset() : -1).close();
        }
        json.closeList().close().endLine();
    }

    static void waitIsr(Admin admin, Args args) throws Exception {
        long seconds = args.number("--timeout", 60);
        args.end();
        await(
                () -> {
                    var names = admin.listTopics(new org.apache.kafka.clients.admin.ListTopicsOptions().listInternal(true));
                    for (TopicDescription topic : admin.describeTopics(names.names().get()).allTopicNames().get().values()) {
                        for (TopicPartitionInfo partition : topic.partitions()) {
                            if (partition.leader() == null || partition.leader().isEmpty()) return false;
                            if (partition.isr().size() < partition.replicas().size()) return false;
                        }
                    }
                    return true;
                },
                "all replicas are in sync",
                seconds);
    }

    static Map<String, String> configs(Args args) {
        Map<String, String> configs = new HashMap<>();
        for (String pair : args.every("--config")) {
            int equals = pair.indexOf('=');
            if (equals < 1) throw new Tool.Usage("--config takes key=value, not '" + pair + "'");
            configs.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
        return configs;
    }

    private static boolean ready(Admin admin, String topic, int partitions) throws Exception {
        TopicDescription found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        if (found.partitions().size() != partitions) return false;
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (TopicPartitionInfo partition : found.partitions()) {
            if (partition.leader() == null || partition.leader().isEmpty()) return false;
            ends.put(new TopicPartition(topic, partition.partition()), OffsetSpec.latest());
        }
        // The leaders themselves have to answer: metadata is ahead of them.
        admin.listOffsets(ends).all().get();
        return true;
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(Condition condition, String what, long seconds) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        Exception last = null;
        while (System.nanoTime() < end) {
            try {
                if (condition.holds()) return;
                last = null;
            } catch (java.util.concurrent.ExecutionException e) {
                // Brokers come and go while we wait.
                last = e;
            }
            Thread.sleep(100);
        }
        throw new Tool.Failed("after " + seconds + " s it is not so that " + what + (last == null ? "" : ": " + last.getCause()));
    }

    private static void nodes(Json json, List<Node> nodes) {
        json.openList();
        for (Node node : nodes) json.value(node.id());
        json.closeList();
    }
}
