//! The built-in serializers, from the config to the log.

use super::{Broker, PATIENCE};
use pointsman::{ProduceError, Record};

#[test]
fn a_record_is_serialized_by_name_or_refused_alone() {
    let broker = Broker::start();
    let producer = broker.producer(&[
        ("key.serializer", "org.apache.kafka.common.serialization.LongSerializer"),
        ("value.serializer", "json"),
    ]);
    let send = |key: &str, value: &str| {
        let record = Record::to("orders").partition(0).key(key).value(value);
        producer.send_blocking(&record).unwrap()
    };
    let sent = [send("258", "{\"a\": 1}"), send("many", "{}"), send("1", "{\"a\" 1}"), send("-1", "[]")];
    let outcomes = sent.map(pointsman::Delivery::wait);
    let metadata = outcomes[0].as_ref().unwrap();
    assert_eq!((metadata.serialized_key_size, metadata.serialized_value_size), (Some(8), Some(8)));
    for (at, said) in [
        (1, "long (built in), serialize (key): refused: \"many\" is not a whole number"),
        (2, "json (built in), serialize (value): refused: not JSON: expected `:` (line 1, column 6)"),
    ] {
        let error = outcomes[at].as_ref().unwrap_err();
        assert!(matches!(error, ProduceError::Plugin { .. }) && error.to_string().contains(said), "{error}");
    }
    outcomes[3].as_ref().unwrap();
    let keys: Vec<_> = broker.broker.all_records("orders").unwrap().iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys, [Some(258_i64.to_be_bytes().to_vec().into()), Some((-1_i64).to_be_bytes().to_vec().into())]);
    producer.close_blocking(PATIENCE).unwrap();
}
