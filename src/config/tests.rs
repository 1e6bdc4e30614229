//! Whole configurations: sources, overriding, the checks across keys, and what the errors say.

use super::*;
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

const SERVERS: &str = "bootstrap.servers=a:1\n";

fn properties(text: &str) -> Config {
    Config::from_properties(&format!("{SERVERS}{text}")).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refusal(text: &str) -> Error {
    match Config::from_properties(&format!("{SERVERS}{text}")) {
        Ok(config) => panic!("{text} was taken: {config:?}"),
        Err(error) => error,
    }
}

/// The only problem, its kind, and words that its text must have.
fn refused(text: &str, kind: ProblemKind, words: &[&str]) {
    let error = refusal(text);
    assert_eq!(error.problems().len(), 1, "{error}");
    assert_eq!(error.problems()[0].kind, kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
}

fn noticed(text: &str, words: &[&str]) -> Config {
    let config = properties(text);
    assert_eq!(config.notices.len(), 1, "{:?}", config.notices);
    for word in words {
        assert!(config.notices[0].contains(word), "no {word:?} in {:?}", config.notices);
    }
    config
}

fn folder_with(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

const FULL: &str = r#"
[producer]
bootstrap.servers = ["127.0.0.1:9092", "[::1]:9093"]
acks = 1
linger.ms = "7"
"batch.size" = "32 KiB"
interceptor.classes = ["wasm:trace"]
key.serializer = "org.apache.kafka.common.serialization.StringSerializer"
value.serializer = "json"
partitioner.class = "wasm:region-router"
enable.idempotence = false
lanes = 2

[plugins.trace]
component = "/opt/trace.wasm"

[plugins.region-router]
component = "plugins/region-router.wasm"
sha256 = "abababababababababababababababababababababababababababababababab"
on-error = "fail"
required = true
timeout.ms = 20
memory.max = "16 MiB"
[plugins.region-router.settings]
regions.bj = "0-1"
regions.default = 2
fields = ["name", "mail"]
"#;

#[test]
fn a_full_toml_file() {
    let (folder, path) = folder_with("p.toml", FULL);
    let config = Config::from_file(&path).unwrap();
    let producer = &config.producer;
    assert_eq!(producer.bootstrap_servers[1].to_string(), "[::1]:9093");
    assert_eq!((producer.acks, producer.enable_idempotence), (Acks::Leader, false));
    assert_eq!((producer.linger, producer.batch_size, producer.lanes), (Duration::from_millis(7), 32_768, 2));
    assert_eq!(producer.interceptor_classes, [InterceptorClass::Wasm("trace".into())]);
    assert_eq!(
        (&producer.key_serializer, &producer.value_serializer),
        (&SerializerClass::String, &SerializerClass::Json)
    );
    assert_eq!(producer.partitioner_class, PartitionerClass::Wasm("region-router".into()));
    assert_eq!(config.notices, [""; 0]);

    let plugin = &config.plugins["region-router"];
    assert_eq!(plugin.component, folder.path().join("plugins/region-router.wasm"));
    assert_eq!(config.plugins["trace"].component, PathBuf::from("/opt/trace.wasm"));
    assert_eq!((plugin.sha256, plugin.required), (Some([0xab; 32]), true));
    assert_eq!((plugin.timeout, plugin.memory_max), (Duration::from_millis(20), 16 << 20));
    let settings = [("regions.bj", "0-1"), ("regions.default", "2"), ("fields.0", "name"), ("fields.1", "mail")];
    assert_eq!(plugin.settings, settings.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn the_same_from_toml_properties_and_code() {
    let toml = Config::from_toml(
        "[producer]\nbootstrap.servers = \"a:1,b:2\"\npartitioner.class = \"wasm:p\"\n[plugins.p]\ncomponent = \"p.wasm\"\n\
         timeout.ms = 9\nsettings.regions.bj = 0\n",
    );
    let properties = Config::from_properties(
        "bootstrap.servers = a:1, b:2\npartitioner.class: wasm:p\nplugins.p.component=p.wasm\nplugins.p.timeout.ms=9\n\
         plugins.p.settings.regions.bj=0\n",
    );
    let mut plugin = PluginConfig::new("p", "p.wasm");
    plugin.timeout = Duration::from_millis(9);
    plugin.settings = vec![("regions.bj".into(), "0".into())];
    let code =
        Config::builder().set("bootstrap.servers", "a:1,b:2").set("partitioner.class", "wasm:p").plugin(plugin).build();
    // Only where a setting stands is not the same.
    let meaning = |config: Result<Config, Error>| {
        let Config { producer, plugins, settings, notices, .. } = config.unwrap();
        (producer, plugins, settings.into_iter().map(|(key, set)| (key, set.value)).collect::<Vec<_>>(), notices)
    };
    let toml = meaning(toml);
    assert_eq!(toml, meaning(properties));
    assert_eq!(toml, meaning(code));
}

#[test]
fn the_format_is_known_by_extension_or_content() {
    let toml = "[producer]\nbootstrap.servers = \"a:1\"\n";
    for (name, text) in [("a.toml", toml), ("a.TOML", toml), ("a", toml), ("b", SERVERS), ("b.conf", SERVERS)] {
        let (_folder, path) = folder_with(name, text);
        assert!(Config::from_file(&path).is_ok(), "{name}");
    }
    let (_folder, path) = folder_with("a.properties", toml);
    assert!(Config::from_file(&path).is_err());
}

#[test]
fn overrides_win_over_the_file_and_the_file_over_the_preset() {
    let (_folder, path) = folder_with(
        "p.properties",
        "preset=throughput\nbootstrap.servers=a:1\nlinger.ms=9\nplugins.p.component=p.wasm\npartitioner.class=wasm:p\n",
    );
    let overrides =
        [("batch.size", "1"), ("batch.size", "2"), ("plugins.p.component", "q.wasm"), ("plugins.p.settings.a", "b")];
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::from_file_with(&path, &overrides).unwrap();
    assert_eq!((config.producer.batch_size, config.producer.linger), (2, Duration::from_millis(9)));
    assert_eq!(config.producer.buffer_memory, 128 << 20);
    // An override is written where the command runs, not where the file lies.
    assert_eq!(config.plugins["p"].component, PathBuf::from("q.wasm"));
    assert_eq!(config.plugins["p"].settings, [("a".to_owned(), "b".to_owned())]);

    let error = Config::from_file_with(&path, &[("acks".into(), "7".into())]).unwrap_err();
    assert!(error.to_string().starts_with("-X: acks: \"7\" is not one of"), "{error}");
    let other_preset = Config::from_file_with(&path, &[("preset".into(), "basic".into())]).unwrap();
    assert_eq!(other_preset.producer.batch_size, 16_384);
}

#[test]
fn presets() {
    let reliable = properties("preset=reliable");
    assert_eq!(reliable.producer.delivery_timeout, Duration::from_secs(300));
    refused("preset=reliable\nacks=1", ProblemKind::Conflict, &["acks", "enable.idempotence=true (preset reliable)"]);
    assert_eq!(properties("preset=basic").producer, properties("").producer);
    assert!(Config::from_toml("preset = \"basic\"\n[producer]\nbootstrap.servers = \"a:1\"").is_ok());
    refused("preset=reliabel", ProblemKind::InvalidValue, &["did you mean reliable?"]);
    let throughput = properties("preset=throughput");
    assert_eq!(throughput.producer.compression_type, CompressionType::Lz4);
    assert_eq!((throughput.producer.batch_size, throughput.producer.linger), (262_144, Duration::from_millis(20)));
}

#[test]
fn idempotence_is_turned_off_or_defended() {
    for conflict in ["acks=1", "acks=0", "retries=0"] {
        let config = noticed(conflict, &["turns idempotence off"]);
        assert!(!config.producer.enable_idempotence);
        refused(&format!("enable.idempotence=true\n{conflict}"), ProblemKind::Conflict, &["line 3", "line 2", "needs"]);
        assert_eq!(properties(&format!("enable.idempotence=false\n{conflict}")).notices, [""; 0]);
    }
    assert!(properties("acks=-1").producer.enable_idempotence);
}

#[test]
fn more_than_five_in_flight_need_idempotence_off() {
    let six = "max.in.flight.requests.per.connection=6\n";
    refused(six, ProblemKind::Conflict, &["at most 5", "enable.idempotence=false"]);
    refused(&format!("{six}enable.idempotence=true"), ProblemKind::Conflict, &["at most 5"]);
    assert_eq!(properties(&format!("{six}enable.idempotence=false")).producer.max_in_flight_requests_per_connection, 6);
    // As kafka-clients 4.3 does.
    refused(&format!("{six}acks=1"), ProblemKind::Conflict, &["at most 5"]);
}

#[test]
fn delivery_timeout_covers_linger_and_a_request() {
    let words = ["line 2", "delivery.timeout.ms", "30004", "linger.ms + request.timeout.ms (5 + 30000)", "30005"];
    refused("delivery.timeout.ms=30004", ProblemKind::Conflict, &words);
    assert_eq!(properties("delivery.timeout.ms=30005").producer.delivery_timeout, Duration::from_millis(30_005));
    let raised = noticed("request.timeout.ms=200000", &["warning", "raised from 120000 to 200005"]);
    assert_eq!(raised.producer.delivery_timeout, Duration::from_millis(200_005));
    let raised = noticed("linger.ms=9223372036854775807", &["raised"]);
    assert!(raised.producer.delivery_timeout > raised.producer.linger);
}

#[test]
fn backoffs_as_in_java() {
    let config = noticed("reconnect.backoff.ms=2000", &["every pause is 2000 ms"]);
    assert_eq!(config.producer.reconnect_backoff_max, Duration::from_secs(2));
    let config = noticed("retry.backoff.ms=2000", &["retry.backoff.ms is above", "1000 ms"]);
    assert_eq!(config.producer.retry_backoff, Duration::from_secs(1));
    let config = noticed("socket.connection.setup.timeout.max.ms=1", &["every wait is 1 ms"]);
    assert_eq!(config.producer.socket_connection_setup_timeout, Duration::from_millis(1));
}

#[test]
fn numbers_that_mean_never_or_the_system_s_choice() {
    let config = properties(
        "connections.max.idle.ms=-1\nsend.buffer.bytes=-1\nreceive.buffer.bytes=-1\nclient.id=x\n\
                             partitioner.availability.timeout.ms=3",
    );
    let producer = config.producer;
    assert_eq!(
        (producer.connections_max_idle, producer.send_buffer_bytes, producer.receive_buffer_bytes),
        (None, None, None)
    );
    assert_eq!(
        (producer.client_id.as_deref(), producer.partitioner_availability_timeout),
        (Some("x"), Some(Duration::from_millis(3)))
    );
    refused("compression.gzip.level=0", ProblemKind::InvalidValue, &["1 to 9, or -1"]);
}

#[test]
fn servers() {
    let missing = Config::from_properties("acks=all").unwrap_err();
    assert_eq!(missing.problems()[0].kind, ProblemKind::Missing);
    assert!(missing.to_string().contains("localhost:9092"), "{missing}");
    for (value, words) in [
        ("", "no server is named"),
        ("a", "port is missing"),
        ("a:1,", "empty item"),
        ("a:1,b:x", "\"b:x\" is not host:port"),
        ("a:1;b:2", "\"a:1;b:2\" is not host:port"),
    ] {
        let error = Config::from_properties(&format!("bootstrap.servers={value}")).unwrap_err();
        assert!(error.problems().len() == 1 && error.to_string().contains(words), "{value}: {error}");
    }
    let twice = Config::from_properties("bootstrap.servers=a:1,b:2,a:1").unwrap();
    assert_eq!(twice.producer.bootstrap_servers.len(), 2);
    assert!(twice.notices[0].contains("twice"), "{:?}", twice.notices);
}

#[test]
fn class_names_of_java_mean_the_built_in_ones() {
    let java = "org.apache.kafka.common.serialization.";
    for (name, class) in [
        ("ByteArraySerializer", SerializerClass::Bytes),
        ("StringSerializer", SerializerClass::String),
        ("IntegerSerializer", SerializerClass::Integer),
        ("LongSerializer", SerializerClass::Long),
        ("ShortSerializer", SerializerClass::Short),
        ("FloatSerializer", SerializerClass::Float),
        ("DoubleSerializer", SerializerClass::Double),
        ("UUIDSerializer", SerializerClass::Uuid),
        ("VoidSerializer", SerializerClass::Void),
    ] {
        let config = properties(&format!("key.serializer={java}{name}\nvalue.serializer={name}"));
        assert_eq!((&config.producer.key_serializer, &config.producer.value_serializer), (&class, &class), "{name}");
    }
    let round_robin = "partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner";
    assert_eq!(properties(round_robin).producer.partitioner_class, PartitionerClass::RoundRobin);
    assert_eq!(properties("partitioner.class=round-robin").producer.partitioner_class, PartitionerClass::RoundRobin);
    assert_eq!(properties("partitioner.class=").producer.partitioner_class, PartitionerClass::BuiltIn);
}

#[test]
fn other_classes_are_refused_with_advice() {
    let invalid = ProblemKind::InvalidValue;
    refused(
        "value.serializer=io.confluent.KafkaAvroSerializer",
        invalid,
        &["Java class cannot be loaded", "wasm:NAME"],
    );
    refused("key.serializer=strng", invalid, &["\"strng\"", "string, bytes"]);
    refused("partitioner.class=com.example.Mine", invalid, &["Java class", "wasm:NAME", "round-robin"]);
    refused("partitioner.class=org.apache.kafka.clients.producer.internals.DefaultPartitioner", invalid, &["leave"]);
    refused("partitioner.class=org.apache.kafka.clients.producer.UniformStickyPartitioner", invalid, &["ignore.keys"]);
    refused("interceptor.classes=com.example.Trace", invalid, &["wasm:NAME", "Java class"]);
    refused("interceptor.classes=wasm:", invalid, &["name a plugin"]);
}

#[test]
fn plugins_that_are_named_must_be_described() {
    let missing = ProblemKind::Missing;
    refused("partitioner.class=wasm:p", missing, &["line 2", "no [plugins.p]", "p.wasm"]);
    let near = "plugins.region-router.component=r.wasm\npartitioner.class=wasm:region-ruter";
    let error = refusal(near);
    assert!(error.to_string().contains("or write wasm:region-router"), "{error}");
    noticed("plugins.p.component=p.wasm", &["line 2", "plugin p is not used"]);
    refused("partitioner.class=wasm:p\nplugins.p.timeout.ms=3", missing, &["plugins.p.component", "p.wasm"]);
    let twice = "plugins.p.component=p.wasm\ninterceptor.classes=wasm:p,wasm:p";
    assert_eq!(noticed(twice, &["twice"]).producer.interceptor_classes.len(), 1);
}

#[test]
fn plugin_tables_are_checked() {
    let with = |line: &str| format!("partitioner.class=wasm:p\nplugins.p.component=p.wasm\nplugins.p.{line}");
    refused(&with("on_error=fail"), ProblemKind::UnknownKey, &["plugins.p.on_error", "did you mean on-error?"]);
    refused(&with("regions.bj=1"), ProblemKind::UnknownKey, &["below settings"]);
    refused(&with("sha256=12"), ProblemKind::InvalidValue, &["64 hexadecimal digits"]);
    refused(&with("memory.max=lots"), ProblemKind::InvalidValue, &["MiB"]);
    refused(&with("timeout.ms=0"), ProblemKind::InvalidValue, &["plugins.p.timeout.ms", "1 to"]);
    refused(&with("on-error=explode"), ProblemKind::InvalidValue, &["fail, pass, drop, fallback, dead-letter"]);
    refused("plugins.a b.component=x", ProblemKind::UnknownKey, &["plugins.NAME.component"]);
    refused("plugins=x", ProblemKind::UnknownKey, &["plugins.NAME.component"]);
}

#[test]
fn policies_fit_their_use() {
    let lines = |policy: &str, more: &str| format!("plugins.p.component=p.wasm\nplugins.p.on-error={policy}\n{more}");
    let interceptor = |policy, more| format!("interceptor.classes=wasm:p\n{}", lines(policy, more));
    let partitioner = |policy, more| format!("partitioner.class=wasm:p\n{}", lines(policy, more));
    let required = "plugins.p.required=true";
    let letters = "plugins.p.dead-letter.topic=dead\nplugins.p.dead-letter.include.key=true\nplugins.p.required=true";
    for (text, policy) in [
        (interceptor("pass", ""), OnError::Pass),
        (interceptor("drop", required), OnError::Drop),
        (partitioner("fallback", ""), OnError::Fallback),
        (
            partitioner("dead-letter", letters),
            OnError::DeadLetter(DeadLetter { topic: "dead".into(), include_key: true, include_value: false }),
        ),
    ] {
        let config = Config::from_properties(&format!("{SERVERS}{text}")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.plugins["p"].on_error, policy);
    }

    let conflict = ProblemKind::Conflict;
    refused(&interceptor("pass", required), conflict, &["line 4", "plugins.p.on-error", "pass would let", "required"]);
    refused(&partitioner("fallback", required), conflict, &["fallback would let", "fail, drop or dead-letter"]);
    refused(&interceptor("fallback", ""), conflict, &["fallback is for partitioners", "interceptor.classes"]);
    refused(&partitioner("pass", ""), conflict, &["partitioner.class", "cannot go on without", "write fallback"]);
    refused(&interceptor("dead-letter", ""), ProblemKind::Missing, &["plugins.p.dead-letter.topic", "name the topic"]);
    let spaced = "plugins.p.dead-letter.topic=dead letters";
    let words = ["line 5", "dead-letter.topic", "\"dead letters\" is no topic's name", "' ' cannot be"];
    refused(&interceptor("dead-letter", spaced), ProblemKind::InvalidValue, &words);
    let unused = "plugins.p.dead-letter.topic=dead";
    refused(&interceptor("drop", unused), conflict, &["dead-letter.topic", "only, which is drop"]);

    let mut in_code = PluginConfig::new("p", "p.wasm");
    (in_code.required, in_code.on_error) = (true, OnError::Pass);
    let error = Config::builder().set("bootstrap.servers", "a:1").plugin(in_code).build().unwrap_err();
    assert!(error.to_string().contains("pass would let"), "{error}");
}

#[test]
fn breakers_have_their_numbers() {
    let text = "partitioner.class=wasm:p\nplugins.p.component=p.wasm\n";
    let plugin =
        |more: &str| Config::from_properties(&format!("{SERVERS}{text}{more}")).unwrap().plugins.remove("p").unwrap();
    let default = plugin("");
    assert_eq!((default.breaker_failures, default.breaker_cooldown), (10, Duration::from_secs(10)));
    let set = plugin("plugins.p.breaker.failures=0\nplugins.p.breaker.cooldown.ms=250");
    assert_eq!((set.breaker_failures, set.breaker_cooldown), (0, Duration::from_millis(250)));
    refused(&format!("{text}plugins.p.breaker.cooldown.ms=0"), ProblemKind::InvalidValue, &["breaker.cooldown.ms"]);
}

#[test]
fn unknown_keys_name_the_nearest() {
    let unknown = ProblemKind::UnknownKey;
    for (typo, meant) in [
        ("lingr.ms", "linger.ms"),
        ("lingerms", "linger.ms"),
        ("bootstrap.server", "bootstrap.servers"),
        ("ack", "acks"),
        ("Acks", "acks"),
        ("batch-size", "batch.size"),
        ("enable.idempotance", "enable.idempotence"),
        ("lane", "lanes"),
    ] {
        refused(&format!("{typo}=1"), unknown, &["line 2", typo, &format!("did you mean {meant}?")]);
    }
    refused("linger.time.seconds=1", unknown, &["linger.ms", "config list"]);
    refused("queue.buffering.max.ms=1", unknown, &["linger.ms", "Kafka's own name"]);
    refused("metadata.broker.list=a:1", unknown, &["bootstrap.servers"]);
}

#[test]
fn keys_of_other_clients_are_one_notice() {
    let shared = "group.id=g\nauto.offset.reset=earliest\nschema.registry.url=http://r\nkey.deserializer=X";
    noticed(shared, &["group.id", "auto.offset.reset", "schema.registry.url", "key.deserializer"]);
}

#[test]
fn defaults_are_accepted_and_what_is_not_there_yet_is_refused() {
    let defaults: String = keys()
        .iter()
        .filter(|key| key.name != "bootstrap.servers")
        .filter_map(|key| key.default.map(|default| format!("{}={default}\n", key.name)))
        .filter(|line| !line.starts_with("delivery.timeout") && !line.starts_with("enable.idempotence"))
        // Who says how large a batch is to be has none that grows.
        .filter(|line| !line.starts_with("batch.size"))
        .collect();
    let config = properties(&defaults);
    assert_eq!(config.notices, [""; 0]);
    assert_eq!(config.producer, properties("").producer);

    for set in ["sasl.oauthbearer.assertion.file=/x", "transaction.two.phase.commit.enable=true", "client.rack=r1"] {
        let key = set.split('=').next().unwrap();
        refused(set, ProblemKind::NotSupportedYet, &[key, "not supported yet", "leave it out"]);
    }
    noticed("enable.metrics.push=false", &["enable.metrics.push has no effect"]);
    noticed("metric.reporters=com.example.R", &["metric.reporters has no effect"]);
    noticed("ssl.provider=BC", &["no effect"]);
}

#[test]
fn transactions_need_an_id_and_idempotence() {
    let producer = properties("transactional.id=orders-1\ntransaction.timeout.ms=5000").producer;
    assert_eq!(producer.transactional_id.as_deref(), Some("orders-1"));
    assert_eq!(producer.transaction_timeout, Duration::from_secs(5));
    assert_eq!(properties("").producer.transactional_id, None);
    for off in ["acks=1", "retries=0", "enable.idempotence=false"] {
        let text = format!("transactional.id=t\n{off}");
        refused(&text, ProblemKind::Conflict, &["transactional.id", "transactions need idempotence"]);
    }
    refused("transactional.id=", ProblemKind::InvalidValue, &["transactional.id", "is empty"]);
    refused("transaction.timeout.ms=0", ProblemKind::InvalidValue, &["transaction.timeout.ms"]);
}

#[test]
fn batches_grow_only_where_nobody_said_how_large_they_are_to_be() {
    let sizes = |text: &str| {
        let producer = properties(text).producer;
        (producer.batch_size, producer.batch_size_max)
    };
    assert_eq!(sizes(""), (16_384, 65_536));
    assert_eq!(sizes("batch.size=16384"), (16_384, 16_384));
    assert_eq!(sizes("batch.size=1000000"), (1_000_000, 1_000_000));
    assert_eq!(sizes("preset=throughput"), (262_144, 262_144));
    assert_eq!(sizes("batch.size.max=128 KiB"), (16_384, 131_072));
    assert_eq!(sizes("batch.size=1000\nbatch.size.max=2000"), (1_000, 2_000));
    noticed("batch.size.max=64 KiB\ncompression.type=lz4", &["batch.size.max", "compressed"]);
    noticed("batch.size.max=64 KiB\nacks=0\nenable.idempotence=false", &["batch.size.max", "acks=0"]);
    noticed("batch.size.max=2 MiB", &["batch.size.max", "max.request.size"]);
    let few = "batch.size=2000\nbatch.size.max=1000";
    refused(few, ProblemKind::Conflict, &["batch.size.max", "1000 is below batch.size (2000)", "never grow"]);
}

#[test]
fn all_that_is_wrong_comes_at_once_in_the_order_of_lines() {
    let text = "[producer]\nacks = \"some\"\nlinger.ms = -1\nlingr.ms = 1\n[plugins.p]\ntimeout = 3\n[other]\nx = 1\n";
    let (_folder, path) = folder_with("p.toml", text);
    let error = Config::from_file(&path).unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|problem| problem.place.line).collect();
    assert_eq!(lines, [Some(2), Some(3), Some(4), Some(6), Some(6), Some(7), None], "{error}");
    let shown = error.to_string();
    assert!(shown.starts_with("the configuration has 7 errors\n"), "{shown}");
    assert!(shown.contains(&format!("  {}:3: linger.ms: -1 is out of range\n    it takes", path.display())), "{shown}");
}

#[test]
fn a_key_twice_in_a_properties_file_is_noticed_and_the_last_counts() {
    let config = noticed("linger.ms=1\nlinger.ms=2", &["line 3", "line 2", "last one counts"]);
    assert_eq!(config.producer.linger, Duration::from_millis(2));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none.toml"), folder.path().to_owned()] {
        let error = Config::from_file(&path).unwrap_err();
        assert_eq!(error.problems()[0].kind, ProblemKind::Unreadable);
        assert!(error.to_string().contains(&format!("{}: cannot be read: ", path.display())), "{error}");
    }
    let (_folder, path) = folder_with("broken.toml", "[producer\nacks = 1\n");
    let error = Config::from_file(&path).unwrap_err();
    assert!(error.to_string().contains("broken.toml:1:10: not TOML"), "{error}");
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2HUNTER";
    let texts = [
        format!("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=x password=\"{secret}\";"),
        format!("ssl.key.password={secret}\nlinger.ms=x"),
        format!("ssl.key.pasword={secret}"),
        format!("some.password={secret}"),
        format!("linger.ms=x\nssl.keystore.key=-----BEGIN\n{secret}+/==\n{secret}/abc\n{secret}+/=="),
        format!("sasl.jaas.config=\\u12{secret}"),
        format!("group.id=g\nlinger.ms=x\nbasic.auth.user.info={secret}"),
    ];
    for text in texts {
        let error = refusal(&text);
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    let builder = Config::builder().set("sasl.jaas.config", secret);
    assert!(!format!("{builder:?}").contains(secret));
    let toml = format!("[producer]\nssl.key.password = [\"{secret}\"]\nsasl.jaas.config = {secret}\n");
    let error = Config::from_toml(&toml).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    let toml = format!("[producer]\nssl.key.password = [\"{secret}\"]\n");
    let error = Config::from_toml(&toml).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z=:\\[\\]\"'. \n\\\\#0-9]{0,120}") {
        let _ = Config::from_toml(&text);
        let _ = Config::from_properties(&text);
    }

    #[test]
    fn no_value_of_any_key_makes_it_panic(at in 0..keys().len(), value in "[ -~]{0,30}") {
        let _ = Config::builder().set(keys()[at].name, value).build();
    }
}

const TOPICS: &str = r#"
[producer]
bootstrap.servers = "a:1"
key.serializer = "string"
interceptor.classes = ["wasm:trace"]
partitioner.class = "wasm:router"

[topics."orders.*"]
value.serializer = "json"
partitioner.class = "built-in"
[topics."orders.eu.*"]
interceptor.classes = []
[topics.orders.eu.x]
interceptor.classes = ["wasm:mask", "wasm:trace"]

[plugins.trace]
component = "trace.wasm"
[plugins.router]
component = "router.wasm"
[plugins.mask]
component = "mask.wasm"
"#;

#[test]
fn topics_have_chains_of_their_own_and_inherit_the_rest() {
    let config = Config::from_toml(TOPICS).unwrap();
    assert_eq!(config.notices, [""; 0]);
    let patterns: Vec<String> = config.topics.iter().map(|topic| topic.pattern.to_string()).collect();
    assert_eq!(patterns, ["orders.eu.x", "orders.eu.*", "orders.*"], "the most specific first");
    let trace = InterceptorClass::Wasm("trace".into());
    let [x, eu, orders] = &config.topics[..] else { panic!("three") };
    assert_eq!(x.chain.interceptor_classes, [InterceptorClass::Wasm("mask".into()), trace.clone()]);
    assert_eq!(x.chain.partitioner_class, PartitionerClass::Wasm("router".into()));
    assert_eq!((eu.chain.interceptor_classes.len(), &eu.chain.key_serializer), (0, &SerializerClass::String));
    assert_eq!(orders.chain.interceptor_classes, [trace]);
    assert_eq!(
        (&orders.chain.value_serializer, &orders.chain.partitioner_class),
        (&SerializerClass::Json, &PartitionerClass::BuiltIn)
    );
    assert_eq!(orders.settings["value.serializer"].place.line, Some(9));
    let uses: Vec<String> = config.plugins_in_use().into_iter().map(|(key, name)| format!("{key} {name}")).collect();
    assert_eq!(
        uses,
        [
            "interceptor.classes trace",
            "partitioner.class router",
            "topics.orders.eu.x.interceptor.classes mask",
            "topics.orders.eu.x.interceptor.classes trace"
        ]
    );
}

#[test]
fn chains_of_topics_in_properties_and_code() {
    let config = properties("topics.orders.*.value.serializer=json\ntopics.orders.*.value.serializer=string\n");
    assert_eq!(config.topics[0].chain.value_serializer, SerializerClass::String, "the last one counts");
    let config =
        Config::builder().set("bootstrap.servers", "a:1").set("topics.a.key.serializer", "long").build().unwrap();
    assert_eq!(config.topics[0].chain.key_serializer, SerializerClass::Long);
}

#[test]
fn what_is_wrong_with_a_topic_s_table() {
    refused("topics.a.interceptor.clases=wasm:x", ProblemKind::UnknownKey, &["did you mean interceptor.classes"]);
    refused("topics.a.b.linger.ms=1", ProblemKind::UnknownKey, &["set linger.ms in [producer]", "may have"]);
    refused("topics.a.nonsense=1", ProblemKind::UnknownKey, &["may have interceptor.classes, key.serializer"]);
    refused("topics=1", ProblemKind::UnknownKey, &["may have"]);
    refused("topics.a*b.key.serializer=json", ProblemKind::InvalidValue, &["star that is not its end", "BEGINNING*"]);
    refused("topics.a b.key.serializer=json", ProblemKind::UnknownKey, &["topics.a"]);
    refused("topics.a.key.serializer=jsn", ProblemKind::InvalidValue, &["topics.a.key.serializer", "line 2", "json"]);
    let missing = "topics.a.*.partitioner.class=wasm:rooter\nplugins.router.component=x\npartitioner.class=wasm:router";
    refused(missing, ProblemKind::Missing, &["topics.a.*.partitioner.class", "line 2", "wasm:router"]);
    let fallback = "topics.a.value.serializer=wasm:p\nplugins.p.component=x\nplugins.p.on-error=fallback";
    refused(fallback, ProblemKind::Conflict, &["topics.a.value.serializer"]);
    let many: String = (0..4).map(|n| format!("topics.t{n}.key.serializer=json\n")).collect();
    refused(&format!("{many}lanes=256"), ProblemKind::Conflict, &["1280 threads", "1024"]);
    assert_eq!(noticed("plugins.p.component=x", &["p is not used"]).topics.len(), 0);
}
