use super::*;
use pointsman_plugin::host::Random;
use serde_json::{Value, json};

fn compile(schema: &Value) -> JsonSchema {
    JsonSchema::compile(&schema.to_string()).unwrap()
}

fn refusal(schema: &Value, document: &str) -> String {
    compile(schema).validate(document.as_bytes()).unwrap_err().to_string()
}

#[test]
fn says_what_is_wrong_and_where_but_not_what_stands_there() {
    let schema = json!({
        "type": "object",
        "required": ["id", "lines"],
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "state": {"enum": ["CA", "NV"]},
            "lines": {"type": "array", "minItems": 1, "items": {
                "properties": {"sku": {"type": "string", "maxLength": 4, "pattern": "^[A-Z]+$"}},
                "required": ["sku"], "additionalProperties": false,
            }},
        },
    });
    let cases = [
        (r#"{"id":1,"lines":[{"sku":"SECRET"}]}"#, "$.lines[0].sku: has more than 4 letters"),
        (r#"{"id":1,"lines":[{"sku":"A"},{"sku":"a"}]}"#, "$.lines[1].sku: does not match ^[A-Z]+$"),
        (r#"{"id":1,"lines":[{"sku":"A","x":1}]}"#, "$.lines[0].x: not allowed here"),
        (r#"{"id":1,"lines":[{}]}"#, "$.lines[0]: \"sku\" is missing"),
        (r#"{"id":1,"lines":[]}"#, "$.lines: has less than 1 elements"),
        (r#"{"id":0,"lines":[{"sku":"A"}]}"#, "$.id: less than 1"),
        (r#"{"id":1.5,"lines":[{"sku":"A"}]}"#, "$.id: expected integer"),
        (r#"{"id":1,"state":"TX","lines":[{"sku":"A"}]}"#, "$.state: none of the values that are allowed"),
        (r#"{"id":1}"#, "$: \"lines\" is missing"),
        ("[]", "$: expected object"),
        ("", "$: not JSON at byte 0"),
        (r#"{"id":1,"lines":[{"sku":"A"}]} x"#, "$: not JSON at byte 31"),
        (r#"{"id":1,"lines":[{"sku":"A"}]"#, "$: not JSON at byte 29"),
    ];
    for (document, reason) in cases {
        assert_eq!(refusal(&schema, document), reason, "{document}");
    }
    assert!(compile(&schema).validate(br#" {"id":1.0e0,"state":"\u0043A","lines":[{"sku":"A"}],"more":{}} "#).is_ok());
}

#[test]
fn what_cannot_be_checked_is_refused_at_once() {
    let error = |schema: Value| JsonSchema::compile(&schema.to_string()).unwrap_err();
    let unknown = "this keyword is not known here, and so could not be checked";
    assert_eq!(error(json!({"unevaluatedProperties": false})), format!("#/unevaluatedProperties: {unknown}"));
    assert_eq!(error(json!({"properties": {"a": {"typ": "x"}}})), format!("#/properties/a/typ: {unknown}"));
    assert_eq!(error(json!({"type": "int"})), "#/type: must name JSON's types");
    assert_eq!(error(json!({"minLength": -1})), "#/minLength: must be a number from 0 up");
    assert_eq!(error(json!({"multipleOf": 0})), "#/multipleOf: must be above 0");
    assert_eq!(error(json!({"exclusiveMinimum": true})), "#/exclusiveMinimum: must be a number");
    assert!(
        error(json!({"pattern": "(?=a)"})).starts_with("#/pattern: the pattern \"(?=a)\" cannot be checked here: ")
    );
    assert_eq!(
        error(json!({"$ref": "other.json"})),
        "#: $ref \"other.json\": only places in the schema itself can be referred to, as \"#/$defs/name\""
    );
    assert_eq!(error(json!({"$ref": "#/$defs/a"})), "#: $ref \"#/$defs/a\": there is no such place in the schema");
    assert_eq!(
        error(json!({"$schema": "http://json-schema.org/draft-04/schema#"})),
        "$schema \"http://json-schema.org/draft-04/schema#\": draft-06, draft-07, 2019-09 and 2020-12 of json-schema.org are known here"
    );
    let beside = json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "type": "null",
        "definitions": {"a": true}});
    assert_eq!(error(beside), "#: type stands beside $ref, where this draft does not look at it");
    assert_eq!(JsonSchema::compile("{").unwrap_err(), "not JSON at byte 1");
}

#[test]
fn a_schema_may_hold_itself() {
    let tree = json!({"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#"}}},
        "additionalProperties": false});
    assert!(compile(&tree).validate(br#"{"of":[{"of":[]},{}]}"#).is_ok());
    assert_eq!(refusal(&tree, r#"{"of":[{"of":[{"off":1}]}]}"#), "$.of[0].of[0].off: not allowed here");
    let deep = format!("{}{}", r#"{"of":["#.repeat(200), "]}".repeat(200));
    assert!(refusal(&tree, &deep).ends_with("nested deeper than 256 schemas"));
    assert_eq!(refusal(&json!({"$ref": "#"}), "1"), "$: nested deeper than 256 schemas");
    assert!(refusal(&json!({}), &"[".repeat(100)).starts_with("$: not JSON at byte "));
}

/// The `jsonschema` crate decides, over schemas that together use every keyword, and documents that are right, wrong
/// and nearly right.
#[test]
fn allows_and_refuses_what_another_implementation_does() {
    let schemas = [
        json!(true),
        json!({"type": ["integer", "string"]}),
        json!({"minimum": -1, "exclusiveMaximum": 2.5}),
        json!({"maximum": 1, "exclusiveMinimum": 0, "multipleOf": 0.5}),
        json!({"minLength": 1, "maxLength": 2}),
        json!({"pattern": "^a|b$"}),
        json!({"enum": [1, "a", null, [1, "a"], {"a": 1, "b": []}]}),
        json!({"const": {"a": [1]}}),
        json!({"prefixItems": [{"type": "number"}, {"const": "a"}], "items": {"type": "null"}}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "number"}],
            "additionalItems": {"type": "string"}}),
        json!({"items": {"type": "integer"}, "minItems": 1, "maxItems": 2}),
        json!({"uniqueItems": true}),
        json!({"properties": {"a": {"type": "integer"}, "b": false}, "required": ["a", "c"]}),
        json!({"properties": {"a": true}, "patternProperties": {"^b": {"type": "array"}}, "additionalProperties": false}),
        json!({"patternProperties": {"a": {"type": "number"}, "^.$": {"minimum": 1}}}),
        json!({"additionalProperties": {"type": "string"}, "minProperties": 1, "maxProperties": 2}),
        json!({"propertyNames": {"maxLength": 1, "pattern": "[a-b]"}}),
        json!({"dependentRequired": {"a": ["b", "c"], "c": []}}),
        json!({"allOf": [{"required": ["a"]}, {"properties": {"a": {"minimum": 1}}}]}),
        json!({"anyOf": [{"type": "string"}, {"minimum": 1}, {"required": ["b"]}]}),
        json!({"oneOf": [{"type": "integer"}, {"minimum": 1}, {"items": {"type": "string"}, "type": "array"}]}),
        json!({"not": {"anyOf": [{"type": "null"}, {"required": ["a"]}]}}),
        json!({"if": {"type": "object"}, "then": {"required": ["b"]}, "else": {"type": "string"}}),
        json!({"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}}),
        json!({"$defs": {"x/y~%": {"type": "array", "items": {"$ref": "#/$defs/x~1y~0%25"}}},
            "$ref": "#/$defs/x~1y~0%25", "maxItems": 2}),
        json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"a": {"$ref": "#"}}}}}),
    ];
    let mut random = Random::from_seed(3);
    let documents: Vec<Value> = (0..3_000).map(|_| document(&mut random, 3)).collect();
    let (mut allowed, mut refused) = (0, 0);
    for schema in &schemas {
        let ours = compile(schema);
        let theirs = jsonschema::validator_for(schema).unwrap();
        for document in &documents {
            let text = document.to_string();
            let found = ours.validate(text.as_bytes());
            assert_eq!(found.is_ok(), theirs.is_valid(document), "{schema} {text}: {found:?}");
            *(if found.is_ok() { &mut allowed } else { &mut refused }) += 1;
        }
    }
    assert!(allowed > 10_000 && refused > 10_000, "{allowed} allowed, {refused} refused");
}

fn document(random: &mut Random, depth: u64) -> Value {
    let count = |random: &mut Random| random.below(4);
    match random.below(if depth > 0 { 10 } else { 6 }) {
        0 => json!(null),
        1 => json!(random.below(2) == 0),
        2 => json!(random.below(4)),
        3 => json!([-1.0, 0.5, 1.0, 2.5, 1.5, 1e3][random.below(6) as usize]),
        4 | 5 => json!(["", "a", "b", "ab", "\"\\", "é", "\u{1f682}", "abc"][random.below(8) as usize]),
        6 | 7 => (0..count(random)).map(|_| document(random, depth - 1)).collect(),
        _ => {
            let members = (0..count(random)).map(|_| {
                let name = ["a", "b", "c", "ba", "\u{1f682}"][random.below(5) as usize];
                (name.to_owned(), document(random, depth - 1))
            });
            Value::Object(members.collect())
        }
    }
}
