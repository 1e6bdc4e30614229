import java.util.List;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Who may log in, and do what. */
final class Security {
    private Security() {}

    static void user(Admin admin, Args args) throws Exception {
        String name = args.next("NAME");
        String mechanism = args.next("MECHANISM");
        String password = args.next("PASSWORD");
        args.end();
        ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.fromMechanismName(mechanism), 4096);
        admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(name, info, password))).all().get();
    }

    static void allow(Admin admin, Args args) throws Exception {
        String principal = args.next("PRINCIPAL");
        String operation = args.next("OPERATION");
        String prefix = args.next("PREFIX");
        args.end();
        ResourcePattern topics = new ResourcePattern(ResourceType.TOPIC, prefix, PatternType.PREFIXED);
        AccessControlEntry entry =
                new AccessControlEntry(principal, "*", AclOperation.fromString(operation), AclPermissionType.ALLOW);
        admin.createAcls(List.of(new AclBinding(topics, entry))).all().get();
    }
}
