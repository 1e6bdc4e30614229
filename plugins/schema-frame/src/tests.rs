use super::*;
use pointsman_plugin::testing::{SerializerTest, TestRecord};

const AVRO: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}"#;
const JSON: &str = r#"{"type":"object","required":["id"]}"#;

fn serialize(side: Side, settings: &[(&str, &str)], records: &[TestRecord]) -> Vec<Result<Option<Vec<u8>>, String>> {
    let mut plugin = SerializerTest::<SchemaFrame>::configure(side, settings).unwrap();
    let answers = plugin.serialize(records).unwrap();
    answers.into_iter().map(|answer| answer.map(|serialized| serialized.payload)).collect()
}

#[test]
fn a_frame_is_a_zero_and_the_id_and_the_payload() {
    let settings = [("format", "json-schema"), ("schema", JSON), ("schema-id", "16909060")];
    let value = r#"{ "id": 1.0 }"#;
    let records = [TestRecord::new("t").value(value), TestRecord::new("t"), TestRecord::new("t").value("{}")];
    let framed = serialize(Side::Value, &settings, &records);
    assert_eq!(framed[0], Ok(Some([b"\x00\x01\x02\x03\x04", value.as_bytes()].concat())));
    assert_eq!(framed[1], Ok(None), "a tombstone");
    assert_eq!(framed[2], Err("the value does not fit the schema: $: \"id\" is missing".to_owned()));
}

#[test]
fn avro_is_encoded_for_keys_and_values() {
    let settings = [("format", "avro"), ("schema", AVRO), ("schema-id", "7")];
    let records = [TestRecord::new("t").key(r#"{"name":"Ann","id":-2}"#), TestRecord::new("t").key("17")];
    let framed = serialize(Side::Key, &settings, &records);
    assert_eq!(framed[0], Ok(Some(b"\x00\x00\x00\x00\x07\x03\x06Ann".to_vec())));
    let reason = "the key does not fit the schema: $: expected an object for the record R";
    assert_eq!(framed[1], Err(reason.to_owned()));
}

/// As a consumer does it: the frame by Confluent's description of the wire format, the rest by Apache's library.
#[test]
fn a_consumer_with_another_implementation_reads_the_frame() {
    let settings = [("format", "avro"), ("schema", AVRO), ("schema-id", "100000")];
    let records = [TestRecord::new("t").value(r#"{"name":"Zo\u00eb","id":-9007199254740993}"#)];
    let framed = serialize(Side::Value, &settings, &records).remove(0).unwrap().unwrap();
    let (frame, mut datum) = framed.split_first_chunk::<5>().unwrap();
    assert_eq!((frame[0], u32::from_be_bytes(frame[1..].try_into().unwrap())), (0, 100_000));
    let schema = apache_avro::Schema::parse_str(AVRO).unwrap();
    let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
    let fields = [
        ("id".to_owned(), apache_avro::types::Value::Long(-9_007_199_254_740_993)),
        ("name".to_owned(), apache_avro::types::Value::String("Zo\u{eb}".to_owned())),
    ];
    assert_eq!(reader.read_value(&mut datum).unwrap(), apache_avro::types::Value::Record(fields.to_vec()));
    assert!(datum.is_empty());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = |settings: &[_]| SerializerTest::<SchemaFrame>::configure(Side::Value, settings).err().unwrap();
    assert_eq!(error(&[]), "the setting `format` is missing");
    assert_eq!(error(&[("format", "xml")]), "format = \"xml\": must be \"json-schema\" or \"avro\"");
    assert_eq!(
        error(&[("format", "avro"), ("shema", "")]),
        "the setting `schema` is missing; is `shema` meant to be it?"
    );
    assert_eq!(error(&[("format", "avro"), ("schema", AVRO)]), "the setting `schema-id` is missing");
    let with_id = |id| error(&[("format", "avro"), ("schema", AVRO), ("schema-id", id)]);
    assert_eq!(with_id("-1"), "schema-id: must not be below 0");
    assert_eq!(with_id("x"), "schema-id = \"x\": invalid digit found in string");
    let wrong = [("format", "json-schema"), ("schema", "{"), ("schema-id", "1")];
    assert_eq!(error(&wrong), "schema: not JSON at byte 1");
    let for_avro = [("format", "json-schema"), ("schema", "{}"), ("schema-id", "1"), ("unions", "tagged")];
    assert_eq!(error(&for_avro), "the setting `unions` is not known here; known are format, schema, schema-id");
}
