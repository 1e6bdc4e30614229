use super::*;
use apache_avro::types::Value as Avro;
use pointsman_plugin::host::Random;
use serde_json::{Value, json};

fn compile(schema: &Value) -> Schema {
    Schema::compile(&schema.to_string()).unwrap()
}

fn encode_with(mut encoder: Encoder, schema: &Value, document: &str) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    encoder.encode(&compile(schema), document.as_bytes(), &mut output).map_err(|fault| fault.to_string())?;
    Ok(output)
}

fn encode(schema: &Value, document: &str) -> Result<Vec<u8>, String> {
    encode_with(Encoder::new(false, false), schema, document)
}

/// What Apache's own Rust library makes of an encoding.
fn decode(schema: &Value, mut encoded: &[u8]) -> Avro {
    let schema = apache_avro::Schema::parse(schema).unwrap();
    let decoded =
        apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut encoded);
    assert!(encoded.is_empty(), "{encoded:?} is left");
    decoded.unwrap()
}

/// Decoded and as JSON; unions without their tags.
fn read_back(schema: &Value, document: &str) -> Value {
    plain(decode(schema, &encode(schema, document).unwrap()))
}

fn plain(value: Avro) -> Value {
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(value) => json!(value),
        Avro::Int(value) | Avro::Date(value) => json!(value),
        Avro::Long(value) | Avro::TimestampMillis(value) => json!(value),
        Avro::Float(value) => json!(value),
        Avro::Double(value) => json!(value),
        Avro::Bytes(bytes) | Avro::Fixed(_, bytes) => json!(bytes.into_iter().map(char::from).collect::<String>()),
        Avro::String(text) | Avro::Enum(_, text) => json!(text),
        Avro::Union(_, value) => plain(*value),
        Avro::Array(values) => values.into_iter().map(plain).collect(),
        Avro::Map(values) => values.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        Avro::Record(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => panic!("{other:?}"),
    }
}

fn order() -> Value {
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["CA", "NV"]}},
        {"name": "note", "type": ["null", "string"], "default": null},
        {"name": "ship_to", "type": {"type": "record", "name": "Address", "fields": [
            {"name": "zip", "type": "string"},
            {"name": "state", "type": "State", "default": "CA"},
        ]}},
        {"name": "bill_to", "type": ["null", "Address"], "default": null},
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "sku", "type": "string"}, {"name": "count", "type": "int", "default": 1},
            {"name": "price", "type": "double"},
        ]}}},
        {"name": "tags", "type": {"type": "map", "values": "float"}, "default": {"new": 1.5}},
        {"name": "ok", "type": "boolean"},
    ]})
}

#[test]
fn records_are_encoded_in_the_order_of_the_schema() {
    let in_order = r#"{"id":-70000000000,"at":1700000000000,"state":"NV","note":"caf\u00e9","ship_to":{"zip":"94110","state":"CA"},
        "bill_to":{"zip":"1","state":"NV"},"lines":[{"sku":"a","count":2,"price":1.25}],"tags":{"x":0.5},"ok":true}"#;
    let expected: Value = serde_json::from_str(in_order).unwrap();
    assert_eq!(read_back(&order(), in_order), expected);
    let Value::Object(members) = expected.clone() else { panic!() };
    let reversed: Vec<_> = members.iter().rev().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let reversed = format!(" {{ {} }} ", reversed.join(" , "));
    assert_eq!(encode(&order(), &reversed), encode(&order(), in_order));
}

#[test]
fn what_is_missing_has_the_default_of_the_schema() {
    let document = r#"{"ok":false,"lines":[{"price":1,"sku":""},{"sku":"b","price":-0.5}],"ship_to":{"zip":"9"},"state":"CA","at":0,"id":0}"#;
    let expected = json!({"id": 0, "at": 0, "state": "CA", "note": null, "ship_to": {"zip": "9", "state": "CA"},
        "bill_to": null, "lines": [{"sku": "", "count": 1, "price": 1.0}, {"sku": "b", "count": 1, "price": -0.5}],
        "tags": {"new": 1.5}, "ok": false});
    assert_eq!(read_back(&order(), document), expected);
}

/// Random documents of a schema with everything in it, members in random order: the library reads back what was meant.
#[test]
fn random_documents_are_read_back_by_another_implementation() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "s", "type": "string"},
        {"name": "l", "type": "long"},
        {"name": "u", "type": ["null", "boolean", "int", "double", "string", {"type": "array", "items": "long"}, "R"]},
        {"name": "m", "type": {"type": "map", "values": ["null", "R"]}},
        {"name": "b", "type": "bytes"},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 2}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "d", "type": "double"},
    ]});
    let mut random = Random::from_seed(11);
    for _ in 0..2_000 {
        let (text, meant) = record(&mut random, 3);
        assert_eq!(read_back(&schema, &text), meant, "{text}");
    }
}

fn record(random: &mut Random, depth: u64) -> (String, Value) {
    let mut pick = |count: u64| random.below(count) as usize;
    let string = ["", "a", "\"\\/\n", "\u{1f682}é", "a longer text than eight bytes"][pick(5)];
    let long = [0, -1, 63, 64, -65, i64::MAX, i64::MIN, 300][pick(8)];
    let bytes = ["", "\u{0}\u{ff}", "abc"][pick(3)];
    let number = [0.0, -1.5, 1e300, 0.1][pick(4)];
    let (symbol, kind, entries) = (["A", "B"][pick(2)], pick(7), pick(3));
    let union = match kind {
        0 => json!(null),
        1 => json!(true),
        2 => json!(i32::MIN),
        3 => json!(2.5),
        4 => json!(string),
        5 => json!([long, 1]),
        _ if depth > 0 => record(random, depth - 1).1,
        _ => json!(null),
    };
    let entries = (0..if depth > 0 { entries } else { 0 })
        .map(|at| (format!("k{at}"), if random.below(2) == 0 { json!(null) } else { record(random, depth - 1).1 }));
    let meant = json!({"s": string, "l": long, "u": union, "m": entries.collect::<serde_json::Map<_, _>>(), "b": bytes,
        "f": "\u{80}x", "e": symbol, "d": number});
    let Value::Object(members) = &meant else { unreachable!() };
    let mut members: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    for at in (1..members.len()).rev() {
        members.swap(at, (random.below(at as u64 + 1)) as usize);
    }
    (format!("{{{}}}", members.join(",")), meant)
}

#[test]
fn a_union_takes_the_first_branch_that_fits() {
    let branch = |schema: Value, document: &str| match decode(&schema, &encode(&schema, document).unwrap()) {
        Avro::Union(at, _) => at,
        other => panic!("{other:?}"),
    };
    assert_eq!(branch(json!(["null", "int", "long"]), "5"), 1);
    assert_eq!(branch(json!(["null", "int", "long"]), "5000000000"), 2);
    assert_eq!(branch(json!(["int", "double"]), "5.5"), 1);
    let records = json!([
        {"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}, {"name": "y", "type": "int"}]},
        {"type": "record", "name": "B", "fields": [{"name": "x", "type": "int"}]},
        {"type": "map", "values": "int"},
    ]);
    assert_eq!(branch(records.clone(), r#"{"y":1,"x":1}"#), 0);
    assert_eq!(branch(records.clone(), r#"{"x":1}"#), 1);
    assert_eq!(branch(records.clone(), r#"{"z":1}"#), 2);
    assert_eq!(encode(&records, "[]").unwrap_err(), "$: expected one of A, B, map");
    assert_eq!(encode(&json!(["null", "int"]), "\"secret\"").unwrap_err(), "$: expected one of null, int");
    assert_eq!(encode(&json!(["null", "int"]), "1.5").unwrap_err(), "$: expected an integer of 32 bits");
}

#[test]
fn a_tagged_union_names_its_branch() {
    let schema = json!({"type": "record", "name": "R", "namespace": "n", "fields": [
        {"name": "u", "type": ["null", "long", "string", {"type": "enum", "name": "E", "symbols": ["A"]}]}]});
    let tagged = |value: &str| encode_with(Encoder::new(true, false), &schema, &format!(r#"{{"u":{value}}}"#));
    assert_eq!(tagged("null").unwrap(), [0]);
    assert_eq!(tagged(r#"{"long":-1}"#).unwrap(), [2, 1]);
    assert_eq!(tagged(r#"{"string":"A"}"#).unwrap(), [4, 2, b'A']);
    assert_eq!(tagged(r#"{"n.E":"A"}"#).unwrap(), [6, 0]);
    assert_eq!(tagged("1").unwrap_err(), "$.u: expected {\"type\": value}, for a union");
    assert_eq!(tagged(r#"{"int":1}"#).unwrap_err(), "$.u.int: the union has no such type");
    assert_eq!(tagged(r#"{"long":"x"}"#).unwrap_err(), "$.u.long: expected a number, for long");
    assert_eq!(tagged(r#"{"long":1,"string":""}"#).unwrap_err(), "$.u: expected one member, for a union");
    assert_eq!(tagged("{}").unwrap_err(), "$.u: expected {\"type\": value}, for a union");
}

#[test]
fn decimals_are_exact() {
    let of = |logical: Value| json!({"type": "record", "name": "R", "fields": [{"name": "d", "type": logical}]});
    let bytes = of(json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}));
    let encoded = |text: &str| encode(&bytes, &format!(r#"{{"d":{text}}}"#));
    assert_eq!(encoded("1.27").unwrap(), [2, 127]);
    assert_eq!(encoded("1.28").unwrap(), [4, 0, 128]);
    assert_eq!(encoded("-1.28").unwrap(), [2, 0x80]);
    assert_eq!(encoded("-1.29").unwrap(), [4, 0xff, 0x7f]);
    assert_eq!(encoded("\"0\"").unwrap(), [2, 0]);
    let limit = "$.d: expected a number of at most 9 digits, 2 of them behind the point";
    assert_eq!(encoded("1.285").unwrap_err(), limit);
    assert_eq!(encoded("10000000").unwrap_err(), limit);
    assert_eq!(encoded("\"12,5\"").unwrap_err(), "$.d: expected a number, or a string with one in it");
    let fixed = of(json!({"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9}));
    assert_eq!(encode(&fixed, r#"{"d":-2}"#).unwrap(), [0xff, 0xff, 0xff, 0xfe]);
    for text in ["9999999.99", "-9999999.99", "0.01", "-0.01", "327.68"] {
        let Avro::Record(fields) = decode(&bytes, &encoded(text).unwrap()) else { panic!() };
        let Avro::Decimal(decimal) = &fields[0].1 else { panic!() };
        let unscaled = Vec::<u8>::try_from(decimal.clone()).unwrap();
        let sign = if unscaled[0] < 0x80 { 0 } else { -1 };
        let unscaled = unscaled.iter().fold(sign, |number: i128, &byte| number << 8 | i128::from(byte));
        assert_eq!(unscaled, text.replace('.', "").parse().unwrap(), "{text}");
    }
}

#[test]
fn says_what_does_not_fit_and_where() {
    let good = r#"{"id":1,"at":1,"state":"CA","ship_to":{"zip":"9"},"lines":[{"sku":"a","price":1}],"ok":true}"#;
    assert!(encode(&order(), good).is_ok());
    let refused = |from: &str, to: &str| encode(&order(), &good.replace(from, to)).unwrap_err();
    assert_eq!(refused("\"id\":1", "\"id\":1.0"), "$.id: expected an integer of 64 bits");
    assert_eq!(refused("\"id\":1", "\"id\":\"1\""), "$.id: expected a number, for long");
    assert_eq!(refused("CA", "XX"), "$.state: no symbol of shop.State");
    assert_eq!(refused("\"id\":1,", ""), "$.id: missing, and the schema has no default for it");
    assert_eq!(refused("\"id\"", "\"idd\""), "$.idd: the record shop.Order has no such field");
    assert_eq!(refused("\"ok\":true", "\"id\":2,\"ok\":true"), "$.id: comes twice");
    assert_eq!(refused("\"sku\":\"a\",", ""), "$.lines[0].sku: missing, and the schema has no default for it");
    assert_eq!(refused("{\"zip\":\"9\"}", "[]"), "$.ship_to: expected an object for the record shop.Address");
    assert_eq!(refused("true}", "true"), format!("$: not JSON at byte {}", good.len() - 1));
    assert_eq!(encode(&order(), "").unwrap_err(), "$: not JSON at byte 0");
    assert_eq!(encode(&order(), "{} 1").unwrap_err(), "$.id: missing, and the schema has no default for it");
    let dropped = encode_with(Encoder::new(false, true), &order(), &good.replace("\"ok\"", "\"x\":[1],\"ok\""));
    assert_eq!(dropped, encode(&order(), good));
}

#[test]
fn schemas_that_cannot_be_used_are_refused() {
    let error = |schema: Value| Schema::compile(&schema.to_string()).unwrap_err();
    let field = |of: Value| json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": of}]});
    assert_eq!(error(field(json!("Other"))), "R.f: the type Other is not defined before its use");
    assert_eq!(error(field(json!([["null"], "int"]))), "R.f: a union holds a union");
    assert_eq!(error(field(json!(["int", "int"]))), "R.f: a union holds int twice");
    assert_eq!(error(field(json!({"type": "fixed", "name": "F"}))), "R.f: F: a fixed has no \"size\"");
    assert_eq!(error(field(json!({"type": "enum", "name": "E"}))), "R.f: E: an enum has no \"symbols\"");
    let duration = json!({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"});
    assert_eq!(error(field(duration)), "R.f: the logical type duration of fixed cannot be encoded here");
    assert_eq!(
        error(json!({"type": "record", "name": "a-b", "fields": []})),
        "\"a-b\" is no name: letters, digits and underscores"
    );
    let default = json!({"type": "record", "name": "R", "fields": [{"name": "f", "type": "int", "default": "x"}]});
    assert_eq!(error(default), "the default of R.f does not fit: $: expected a number, for int");
    assert!(error(json!("bytes")).starts_with("a schema of bytes alone"));
    assert_eq!(Schema::compile("{").unwrap_err(), "not JSON at byte 1");
    assert!(Schema::compile("string").is_ok());
}

#[test]
fn no_document_nests_too_deep_for_the_stack() {
    let schema = json!({"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]});
    let nested = |levels| format!("{}null{}", r#"{"n":"#.repeat(levels), "}".repeat(levels));
    assert!(encode(&schema, &nested(30)).is_ok());
    assert!(encode(&schema, &nested(40)).unwrap_err().ends_with("nested deeper than 64 levels"));
}
