import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** What consumer groups have committed. */
final class Groups {
    private Groups() {}

    static void offsets(Admin admin, Args args, Json json) throws Exception {
        String group = args.next("GROUP");
        args.end();
        Map<String, Map.Entry<TopicPartition, OffsetAndMetadata>> found = new TreeMap<>();
        for (var entry : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet()) {
            found.put(entry.getKey().toString(), entry);
        }
        for (var entry : found.values()) {
            json.open().name("topic").value(entry.getKey().topic()).name("partition").value(entry.getKey().partition());
            json.name("offset").value(entry.getValue().offset());
            json.name("metadata").value(entry.getValue().metadata()).close().endLine();
        }
    }
}
