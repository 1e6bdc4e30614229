use super::*;
use crate::net::test_brokers::{SmallKafka, nobody};

fn servers(addresses: &[std::net::SocketAddr]) -> Vec<(String, u16)> {
    addresses.iter().map(|address| (address.ip().to_string(), address.port())).collect()
}

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn topics_are_described_by_whichever_server_answers() {
    let kafka = SmallKafka::start(3, |_, _, answer| Some(answer));
    let mut admin = BlockingAdmin::connect(&servers(&[nobody(), kafka.address]), NetConfig::default(), LIMIT).unwrap();
    let described = admin.describe_topics(&["orders"]).unwrap();
    assert_eq!(described[0].name, "orders");
    let leaders: Vec<_> = described[0].partitions.iter().map(|partition| (partition.index, partition.leader)).collect();
    assert_eq!(leaders, [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(admin.missing_topics(&["orders"]).unwrap(), Vec::<String>::new());
}

#[test]
fn the_causes_of_all_servers_are_told() {
    let nobodies = [nobody(), nobody()];
    let error = BlockingAdmin::connect(&servers(&nobodies), NetConfig::default(), LIMIT).unwrap_err();
    for address in nobodies {
        let part = format!("bootstrap server {address} cannot be reached: {address}: connection refused");
        assert!(error.to_string().contains(&part), "{error}");
    }
}

#[test]
fn a_broker_that_hangs_up_or_cannot_create_topics_is_named() {
    let kafka = SmallKafka::start(1, |_, _, answer| Some(answer));
    let mut admin = BlockingAdmin::connect(&servers(&[kafka.address]), NetConfig::default(), LIMIT).unwrap();
    let topic = NewTopic { name: "t".to_owned(), partitions: 1, replication_factor: 1, configs: Vec::new() };
    let error = admin.create_topics(vec![topic]).unwrap_err();
    assert_eq!(error.to_string(), format!("broker 1 ({}) speaks no version of CreateTopics that we do", kafka.address));

    let kafka = SmallKafka::start(1, |api, _, answer| (api != 3).then_some(answer));
    let mut admin = BlockingAdmin::connect(&servers(&[kafka.address]), NetConfig::default(), LIMIT).unwrap();
    let error = admin.describe_topics(&["t"]).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("bootstrap server {}: the broker closed the connection", kafka.address))
    );
}

#[test]
fn a_refusal_has_the_brokers_words() {
    let refused = CreatedTopic {
        name: "t".to_owned(),
        error_code: error_code::TOPIC_ALREADY_EXISTS,
        error_message: Some("Topic 't' already exists.".to_owned()),
        ..CreatedTopic::default()
    };
    let kafka = SmallKafka::start(1, |_, _, answer| Some(answer));
    let admin = BlockingAdmin::connect(&servers(&[kafka.address]), NetConfig::default(), LIMIT).unwrap();
    assert_eq!(admin.created(&refused, true), Ok(()));
    let forbidden = CreatedTopic { error_code: error_code::TOPIC_AUTHORIZATION_FAILED, ..refused.clone() };
    assert_eq!(
        admin.created(&forbidden, false).unwrap_err().to_string(),
        "User:ANONYMOUS may not CREATE on topic t: the broker answered TOPIC_AUTHORIZATION_FAILED"
    );
    assert_eq!(
        admin.created(&refused, false).unwrap_err().to_string(),
        "topic t: the broker answered TOPIC_ALREADY_EXISTS; Topic 't' already exists."
    );
}

#[test]
fn a_runtime_in_the_background_ends_without_its_threads() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (told, tells) = std::sync::mpsc::channel();
    let runtime = Background(Some(tokio::runtime::Builder::new_current_thread().build().unwrap()), Duration::ZERO);
    let stuck = move || {
        told.send(true).unwrap();
        // Whoever waits for this thread comes too late to say so.
        told.send(receiver.recv_timeout(Duration::from_secs(20)).is_ok())
    };
    runtime.block_on(async {
        tokio::task::spawn_blocking(stuck);
    });
    assert_eq!(tells.recv(), Ok(true));
    drop(runtime);
    let _ = sender.send(());
    assert_eq!(tells.recv(), Ok(true));
}

#[test]
fn a_runtime_in_the_background_waits_for_its_threads_for_as_long_as_it_is_patient() {
    let (told, tells) = std::sync::mpsc::channel();
    let runtime =
        Background(Some(tokio::runtime::Builder::new_current_thread().build().unwrap()), Duration::from_secs(20));
    runtime.block_on(async {
        tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(50));
            told.send(()).unwrap();
        });
    });
    drop(runtime);
    assert_eq!(tells.try_recv(), Ok(()), "it was waited for");
}

#[cfg(feature = "gssapi")]
#[test]
fn where_kerberos_is_at_work_the_end_is_patient() {
    use crate::security::{Kerberos, Sasl, Security};
    let kerberos = Kerberos { service: "kafka".into(), principal: None, keytab: false };
    let security = Security { tls: None, sasl: Some(Sasl::Gssapi(kerberos)) };
    let patience = |security: &Security| crate::net::Secured::load(security).unwrap().patience_at_end();
    assert!(patience(&security) > Duration::ZERO);
    assert_eq!(patience(&Security::default()), Duration::ZERO);
}
