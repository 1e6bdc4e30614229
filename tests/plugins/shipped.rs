//! The plugins of this repository as components: what they do in detail, their own tests say.

use crate::guests::shipped;
use pointsman::plugin::{
    Acknowledgements, Batch, Column, Edits, HeaderColumns, PluginFactory, Serialized, Side, TopicColumnRef, Topology,
};
use pointsman::wasm::{MetricValue, Plugin, Use};

const VALUE: Use = Use::Serializer(Side::Value);
const ORDERS: TopicColumnRef<'static> = TopicColumnRef { names: &["orders"], indexes: &[] };

fn column(entries: &[Option<&str>]) -> Column {
    let mut column = Column::default();
    entries.iter().for_each(|entry| column.push(entry.map(str::as_bytes)));
    column
}

fn text(column: &Column, at: usize) -> Option<String> {
    column.as_ref().iter().nth(at).flatten().map(|bytes| bytes.escape_ascii().to_string())
}

/// Why a plugin does not start with these settings.
fn refusal(component: &str, used_as: Use, settings: &[(&str, &str)]) -> String {
    shipped(component, &[used_as], settings).expect_err("the settings are refused").to_string()
}

fn send(plugin: &Plugin, values: &[Option<&str>]) -> Edits {
    let values = column(values);
    let batch = Batch { count: values.len(), values: Some(values.as_ref()), ..Batch::default() };
    plugin.interceptor(0).unwrap().on_send(&batch).unwrap()
}

#[test]
fn mask_fields_changes_what_it_names_and_refuses_what_it_cannot_mask() {
    let settings = [("mask", "card.number"), ("hash", "who[*]"), ("salt", "0123456789abcdef")];
    let plugin = shipped("mask_fields", &[Use::Interceptor], &settings).unwrap();
    let values = [
        Some(r#"{ "n":1.50, "card":{"number":4111}, "who":["Ann"] }"#),
        None,
        Some(r#"{"card":{"number":"4111"},"who":"Ann"}"#),
        Some("4111"),
    ];
    let edits = send(&plugin, &values);
    let changed = edits.values.expect("values are changed");
    // HMAC-SHA256 of "Ann" under that key.
    let hash = "993bf55a4da782513aed2f25784cb2b7d9191c100b6e24a3f61ad1619f0372d3";
    let expected = format!(r#"{{ \"n\":1.50, \"card\":{{\"number\":\"***\"}}, \"who\":[\"{hash}\"] }}"#);
    assert_eq!((changed.indexes, text(&changed.content, 0)), (vec![0], Some(expected)));
    let refused: Vec<_> = edits.refused.iter().map(|refusal| (refusal.index, refusal.reason.as_str())).collect();
    assert_eq!(
        refused,
        [
            (2, "the value has something else than an array at who"),
            (3, "the value has something else than an object at $"),
        ]
    );
    let error = refusal("mask_fields", Use::Interceptor, &[("hash", "a")]);
    assert!(error.ends_with("`salt` is missing: without it hashes of common values can be looked up"), "{error}");
}

#[test]
fn schema_frame_frames_what_fits_and_refuses_the_rest() {
    let serialize = |settings: &[_], payloads: &[Option<&str>]| -> Serialized {
        let plugin = shipped("schema_frame", &[VALUE], settings).unwrap();
        plugin.serializer(0, Side::Value).unwrap().serialize(ORDERS, column(payloads).as_ref(), None).unwrap()
    };
    let schema = r#"{"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}}}"#;
    let json = [("format", "json-schema"), ("schema", schema), ("schema-id", "258")];
    let framed = serialize(&json, &[Some(r#"{"zip":"94110"}"#), None, Some(r#"{"zip":94110}"#)]);
    assert_eq!(text(&framed.payloads, 0).unwrap(), r#"\x00\x00\x00\x01\x02{\"zip\":\"94110\"}"#);
    assert_eq!(text(&framed.payloads, 1), None);
    assert_eq!(framed.refused[0].reason, "the value does not fit the schema: $.zip: expected string");

    let schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"},
        {"name": "state", "type": ["null", "string"], "default": null}]}"#;
    let avro = [("format", "avro"), ("schema", schema), ("schema-id", "42")];
    let framed = serialize(&avro, &[Some(r#"{"state":"CA","id":17}"#), Some(r#"{"id":17}"#), Some(r#"{"id":"17"}"#)]);
    assert_eq!(text(&framed.payloads, 0).unwrap(), r#"\x00\x00\x00\x00*"\x02\x04CA"#.replace('"', "\\\""));
    assert_eq!(text(&framed.payloads, 1).unwrap(), r#"\x00\x00\x00\x00*"\x00"#.replace('"', "\\\""));
    assert_eq!(framed.refused[0].index, 2);

    let unknown = [("format", "json-schema"), ("schema", r#"{"unevaluatedItems": false}"#), ("schema-id", "1")];
    let error = refusal("schema_frame", VALUE, &unknown);
    let words = "schema: #/unevaluatedItems: this keyword is not known here, and so could not be checked";
    assert!(error.ends_with(words), "{error}");
}

/// Deep nesting must be refused before the guest's stack ends.
#[test]
fn nesting_is_a_refusal_and_not_a_trap() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let recursive = format!("{}{}", r#"{"of":["#.repeat(60), "]}".repeat(60));
    let tree = r##"{"type": "object", "properties": {"of": {"items": {"allOf": [{"anyOf": [{"$ref": "#"}]}]}}}}"##;
    let loops = r##"{"allOf": [{"$ref": "#"}]}"##;
    for (schema, payload, allowed) in [(tree, &recursive, false), (tree, &deep, false), (loops, &deep, false)] {
        let settings = [("format", "json-schema"), ("schema", schema), ("schema-id", "1")];
        let plugin = shipped("schema_frame", &[VALUE], &settings).unwrap();
        let mut serializer = plugin.serializer(0, Side::Value).unwrap();
        let framed = serializer.serialize(ORDERS, column(&[Some(payload)]).as_ref(), None).unwrap();
        assert_eq!(framed.refused.is_empty(), allowed, "{schema}");
    }
    let avro =
        r#"{"type": "record", "name": "N", "fields": [{"name": "of", "type": {"type": "array", "items": "N"}}]}"#;
    let settings = [("format", "avro"), ("schema", avro), ("schema-id", "1")];
    let plugin = shipped("schema_frame", &[VALUE], &settings).unwrap();
    let mut serializer = plugin.serializer(0, Side::Value).unwrap();
    let framed = serializer.serialize(ORDERS, column(&[Some(&recursive)]).as_ref(), None).unwrap();
    assert!(framed.refused[0].reason.ends_with("nested deeper than 64 levels"), "{:?}", framed.refused);

    let plugin = shipped("mask_fields", &[Use::Interceptor], &[("mask", "a"), ("missing", "pass")]).unwrap();
    assert_eq!(send(&plugin, &[Some(&format!(r#"{{"b":{deep}}}"#))]).refused.len(), 1);
}

#[test]
fn audit_count_counts_within_the_bound_of_the_host() {
    let plugin = shipped("audit_count", &[Use::Interceptor], &[]).unwrap();
    let mut interceptor = plugin.interceptor(0).unwrap();
    let names: Vec<String> = (0..300).map(|at| format!("topic-{at}")).chain(["x".repeat(200)]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let indexes: Vec<u32> = (0..names.len() as u32).collect();
    let topics = TopicColumnRef { names: &names, indexes: &indexes };
    let partitions = vec![-1; names.len()];
    let batch = Batch { count: names.len(), topics: Some(topics), partitions: Some(&partitions), ..Batch::default() };
    interceptor.on_send(&batch).unwrap();
    interceptor
        .on_acknowledgement(&Acknowledgements {
            count: 3,
            topics: ORDERS,
            partitions: &[7, 7, -1],
            offsets: &[0, 1, -1],
            timestamps: &[0, 0, -1],
            errors: &[0, 0, -104],
            fates: &[0, 0, 2],
            tags: &[0, 0, 0],
        })
        .unwrap();
    let metrics = plugin.metrics();
    assert_eq!((metrics.series.len(), metrics.points_dropped), (256, 0));
    let sum = |name: &str| -> f64 {
        let values = metrics.series.iter().filter(|sample| sample.name == name).map(|sample| match sample.value {
            MetricValue::Counter(value) => value,
            other => panic!("{other:?}"),
        });
        values.sum()
    };
    assert_eq!(sum("records-sent"), 301.0);
    assert_eq!((sum("records-acked"), sum("records-failed"), sum("records-in-doubt")), (2.0, 1.0, 1.0));
    let error = refusal("audit_count", Use::Interceptor, &[("by", "key")]);
    assert!(error.ends_with("by = \"key\": must be \"partition\" or \"topic\""), "{error}");
}

#[test]
fn a_topic_with_too_long_a_name_for_a_label_is_counted_as_other() {
    let plugin = shipped("audit_count", &[Use::Interceptor], &[]).unwrap();
    let name = "x".repeat(200);
    let topics = TopicColumnRef { names: &[&name], indexes: &[] };
    let batch = Batch { count: 2, topics: Some(topics), partitions: Some(&[-1, 3]), ..Batch::default() };
    plugin.interceptor(0).unwrap().on_send(&batch).unwrap();
    let sent = plugin.metrics().series.into_iter().filter(|sample| sample.name == "records-sent");
    let sent: Vec<_> = sent.map(|sample| (sample.labels, sample.value)).collect();
    let other = |name: &str| (name.to_owned(), "other".to_owned());
    assert_eq!(sent, [(vec![other("partition"), other("topic")], MetricValue::Counter(2.0))]);
}

#[test]
fn region_router_goes_by_field_header_and_key() {
    let placed = |settings: &[(&str, &str)], batch: Batch<'_>| {
        let settings = [settings, &[("regions.CA", "0"), ("regions.NV", "1,2"), ("regions.default", "3")]].concat();
        let mut router = shipped("region_router", &[Use::Partitioner], &settings).unwrap().partitioner(0).unwrap();
        let topology = Topology { topic: "orders".into(), partitions: 4, ..Topology::default() };
        assert_eq!(router.on_topology(&topology).unwrap(), [vec![1, 2]]);
        router.partition(&Batch { count: 3, topics: Some(ORDERS), ..batch }).unwrap().targets
    };
    let keys = column(&[Some("CA-1"), None, Some("OR-1")]);
    let values = [Some(r#"{"to":{"state":"CA"}}"#), Some(r#"{"to":{"state":"NV"}}"#), Some("[]")];
    let values = column(&values);
    let both = Batch { keys: Some(keys.as_ref()), values: Some(values.as_ref()), ..Batch::default() };
    assert_eq!(placed(&[("source", "field"), ("field", "to.state")], both), [0, -2, 3]);
    assert_eq!(placed(&[("source", "key-prefix"), ("separator", "-")], both), [0, 3, 3]);
    let mut headers = HeaderColumns { counts: vec![0, 1, 2], ..HeaderColumns::default() };
    for value in ["NV", "NV", "CA"] {
        headers.names.push(Some(b"state"));
        headers.values.push(Some(value.as_bytes()));
    }
    let by_header = Batch { headers: Some(headers.as_ref()), ..both };
    assert_eq!(placed(&[("source", "header"), ("header", "state")], by_header), [3, -2, 0]);
}

#[test]
fn trace_context_adds_a_header_and_times_the_acknowledgement() {
    let plugin = shipped("trace_context", &[Use::Interceptor], &[]).unwrap();
    let mut interceptor = plugin.interceptor(0).unwrap();
    let headers = HeaderColumns { counts: vec![0, 0], ..HeaderColumns::default() };
    let edits = interceptor.on_send(&Batch { count: 2, headers: Some(headers.as_ref()), ..Batch::default() }).unwrap();
    let added = edits.added_headers.unwrap();
    assert_eq!((added.counts, text(&added.names, 1)), (vec![1, 1], Some("traceparent".into())));
    assert_ne!(text(&added.values, 0), text(&added.values, 1));
    assert!(edits.tags.len() == 2 && edits.tags[0] > 0);
    interceptor
        .on_acknowledgement(&Acknowledgements {
            count: 2,
            topics: ORDERS,
            partitions: &[0, 0],
            offsets: &[0, 1],
            timestamps: &[0, 0],
            errors: &[0, 0],
            fates: &[0, 0],
            tags: &edits.tags,
        })
        .unwrap();
    let series = plugin.metrics().series;
    let value = |name: &str| series.iter().find(|sample| sample.name == name).unwrap().value;
    assert_eq!(value("records-written"), MetricValue::Counter(2.0));
    assert!(matches!(value("record-latency-ms"), MetricValue::Histogram { count: 2, .. }));
}
