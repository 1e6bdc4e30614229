use super::*;
use pointsman_plugin::host::Random;
use serde_json::{Map, Value as Json, json};

const SALT: &str = "0123456789abcdef";

fn means(may_miss: bool) -> Means {
    Means { mask: b"\"***\"".to_vec(), hash: Some(Hash::new(SALT)), may_miss }
}

fn tree(paths: &[(&str, Action)]) -> Node {
    let mut root = Node::root();
    paths.iter().for_each(|&(path, action)| root.add(path, action).unwrap());
    root
}

fn apply_to(paths: &[(&str, Action)], document: &str) -> Result<String, String> {
    let mut output = Vec::new();
    match apply(&tree(paths), &means(false), document.as_bytes(), &mut output) {
        Ok(true) => Ok(String::from_utf8(output).unwrap()),
        Ok(false) => Ok(document.to_owned()),
        Err(fault) => Err(fault.into_reason("value")),
    }
}

/// The hash of a text, quotes and all.
fn hashed(text: &str) -> String {
    let mut output = Vec::new();
    Hash::new(SALT).append(&mut output, |update| update(text.as_bytes()));
    format!("\"{}\"", String::from_utf8(output).unwrap())
}

/// RFC 4231, test cases 1 and 2.
#[test]
fn the_hash_is_hmac_sha256() {
    let hash = |salt: &str, data: &str| {
        let mut output = Vec::new();
        Hash::new(salt).append(&mut output, |update| update(data.as_bytes()));
        String::from_utf8(output).unwrap()
    };
    let key = str::from_utf8(&[0x0b; 20]).unwrap();
    assert_eq!(hash(key, "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hash("Jefe", "what do ya want for nothing?"), expected);
}

#[test]
fn everything_else_keeps_its_bytes() {
    let document = " {\t\"z\" : 1.50e+01, \"card\":{ \"number\" : \"4111\" ,\"ok\":true},\n\"a\":[1 ,2, {\"b\":null}],\"\\u0065\":\"\\/\" } ";
    assert_eq!(apply_to(&[("card.number", Action::Mask)], document), Ok(document.replace("\"4111\"", "\"***\"")));
    assert_eq!(apply_to(&[("card.number", Action::Hash)], document), Ok(document.replace("\"4111\"", &hashed("4111"))));
    let removed = document.replace(" \"number\" : \"4111\" ,", " ");
    assert_eq!(apply_to(&[("card.number", Action::Remove)], document), Ok(removed));
    assert_eq!(apply_to(&[("a[*].b", Action::Hash)], r#"{"a":[{"b":null}]}"#).unwrap(), r#"{"a":[{"b":null}]}"#);
}

#[test]
fn every_kind_of_value_can_be_masked() {
    for value in ["\"x\"", "-1.5", "true", "null", "{\"a\":[1]}", "[{}, []]"] {
        assert_eq!(apply_to(&[("f", Action::Mask)], &format!("{{\"f\":{value}}}")), Ok(r#"{"f":"***"}"#.to_owned()));
    }
    assert_eq!(apply_to(&[("$", Action::Mask)], " 17 "), Ok(" \"***\" ".to_owned()));
}

#[test]
fn removal_takes_one_comma_with_it() {
    let remove = |names: &[&str], document: &str| {
        let paths: Vec<_> = names.iter().map(|&name| (name, Action::Remove)).collect();
        apply_to(&paths, document).unwrap()
    };
    let document = r#"{ "a": 1, "b": 2, "c": 3 }"#;
    assert_eq!(remove(&["a"], document), r#"{ "b": 2, "c": 3 }"#);
    assert_eq!(remove(&["b"], document), r#"{ "a": 1, "c": 3 }"#);
    assert_eq!(remove(&["c"], document), r#"{ "a": 1, "b": 2 }"#);
    assert_eq!(remove(&["a", "b"], document), r#"{ "c": 3 }"#);
    assert_eq!(remove(&["a", "c"], document), r#"{ "b": 2 }"#);
    assert_eq!(remove(&["b", "c"], document), r#"{ "a": 1 }"#);
    assert_eq!(remove(&["a", "b", "c"], document), "{  }");
    assert_eq!(remove(&["a[*]"], r#"{"a":[1, [2], {"b":3}]}"#), r#"{"a":[]}"#);
    assert_eq!(remove(&["[*].a"], r#"[{"a":1},{"a":2,"b":3}]"#), r#"[{},{"b":3}]"#);
}

#[test]
fn a_hash_is_of_what_is_meant() {
    let hash = |value: &str| apply_to(&[("f", Action::Hash)], &format!(r#"{{"f":{value}}}"#)).unwrap();
    let expected = format!(r#"{{"f":{}}}"#, hashed("cat\u{1f682}"));
    assert_eq!(hash("\"cat\u{1f682}\""), expected);
    assert_eq!(hash(r#""c\u0061t\ud83d\ude82""#), expected);
    assert_eq!(hash("17"), hash("\"17\""), "so that joins work where one side writes numbers as strings");
    assert_ne!(hash("17"), hash("17.0"));
}

#[test]
fn a_name_is_recognised_however_it_is_written_and_each_time() {
    let document = r#"{"ssn":1,"\u0073sn":2,"SSN":3,"ssn ":4}"#;
    let masked = r#"{"ssn":"***","\u0073sn":"***","SSN":3,"ssn ":4}"#;
    assert_eq!(apply_to(&[("ssn", Action::Mask)], document).unwrap(), masked);
}

#[test]
fn what_cannot_be_applied_is_refused() {
    let paths = [("a.b", Action::Mask), ("list[*].c", Action::Hash), ("gone", Action::Remove)];
    let fault = |document: &str| apply_to(&paths, document).unwrap_err();
    let good = r#"{"a":{"b":1},"list":[{"c":1}],"gone":1}"#;
    assert!(apply_to(&paths, good).is_ok());
    let lacks = |what: &str| format!("the value has no {what}; with missing = \"pass\" it need not");
    assert_eq!(fault("{}"), lacks("a"));
    assert_eq!(fault(&good.replace("\"b\"", "\"B\"")), lacks("a.b"));
    assert_eq!(fault(&good.replace("\"c\"", "\"C\"")), lacks("list[*].c"));
    assert_eq!(fault(&good.replace("gone", "here")), lacks("gone"));
    assert_eq!(fault(&good.replace("{\"b\":1}", "null")), "the value has null at a; with missing = \"pass\" it may");
    assert_eq!(fault(&good.replace("{\"b\":1}", "\"x\"")), "the value has something else than an object at a");
    assert_eq!(fault(&good.replace("{\"b\":1}", "[]")), "the value has something else than an object at a");
    assert_eq!(fault(&good.replace("[{\"c\":1}]", "{}")), "the value has something else than an array at list");
    assert_eq!(
        fault(&good.replace("{\"c\":1}", "{\"c\":[]}")),
        "the value has an array at list[*].c, which cannot be hashed; name its fields"
    );
    assert_eq!(fault("3"), "the value has something else than an object at $");
    assert_eq!(fault(""), "the value is not JSON at byte 0");
    assert_eq!(fault(&format!("{good}x")), "the value is not JSON at byte 39");
    assert_eq!(fault(&good[..38]), "the value is not JSON at byte 38");
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let mut output = Vec::new();
    let fault = apply(&tree(&[("a", Action::Mask)]), &means(true), b"{\"a\xff\":1}", &mut output).unwrap_err();
    assert_eq!(fault.into_reason("key"), "the key is not UTF-8 at byte 3");
}

#[test]
fn fields_may_be_missing_where_that_is_said() {
    let root = tree(&[("a.b", Action::Mask), ("c[*].d", Action::Remove)]);
    for document in ["{}", r#"{"a":null}"#, r#"{"a":{}}"#, r#"{"c":[]}"#, r#"{"c":[{}, null]}"#, "null"] {
        assert_eq!(apply(&root, &means(true), document.as_bytes(), &mut Vec::new()), Ok(false), "{document}");
    }
    for document in [r#"{"a":1}"#, r#"{"c":{}}"#, r#"{"c":[1]}"#, "[]"] {
        assert!(apply(&root, &means(true), document.as_bytes(), &mut Vec::new()).is_err(), "{document}");
    }
}

/// Random documents, written with random space: what comes out means what the same actions give on parsed JSON.
#[test]
fn random_documents_come_out_as_if_they_were_parsed() {
    let paths = [
        ("a.b", Action::Mask),
        ("a.c", Action::Remove),
        ("b[*]", Action::Remove),
        ("c[*].a", Action::Hash),
        ("c[*].b[*].c", Action::Remove),
        ("d", Action::Remove),
    ];
    let root = tree(&paths);
    let mut random = Random::from_seed(7);
    let mut changed = 0;
    for round in 0..4_000 {
        let document = object(&mut random, 4);
        let mut text = String::new();
        write(&document, &mut random, &mut text);
        let mut output = Vec::new();
        let mut expected = document.clone();
        let possible = reference(&root, &mut expected);
        match apply(&root, &means(true), text.as_bytes(), &mut output) {
            Ok(true) => {
                let found: Json = serde_json::from_slice(&output)
                    .unwrap_or_else(|error| panic!("{round}: {error}: {text} became {}", output.escape_ascii()));
                assert_eq!(found, expected, "{round}: {text}");
                changed += 1;
            }
            Ok(false) => assert_eq!(document, expected, "{round}: {text}"),
            Err(fault) => assert!(!possible, "{round}: {fault:?}: {text}"),
        }
    }
    assert!(changed > 1_000, "{changed} documents had something to change");
}

/// The same on parsed JSON. False where it cannot be done.
fn reference(node: &Node, value: &mut Json) -> bool {
    match (node.action, &mut *value) {
        (Some(Action::Mask), _) => *value = json!("***"),
        (Some(Action::Hash), Json::Object(_) | Json::Array(_)) => return false,
        (Some(Action::Hash), Json::Null) | (None, Json::Null) => {}
        (Some(Action::Hash), Json::String(text)) => *value = serde_json::from_str(&hashed(text)).unwrap(),
        (Some(Action::Hash), other) => *value = serde_json::from_str(&hashed(&other.to_string())).unwrap(),
        (Some(Action::Remove), _) => unreachable!(),
        (None, Json::Object(members)) if !node.members.is_empty() => {
            for (name, child) in &node.members {
                let name = str::from_utf8(name).unwrap();
                if child.action == Some(Action::Remove) {
                    members.remove(name);
                } else if let Some(value) = members.get_mut(name)
                    && !reference(child, value)
                {
                    return false;
                }
            }
        }
        (None, Json::Array(elements)) => match &node.elements {
            Some(child) if child.action == Some(Action::Remove) => elements.clear(),
            Some(child) => return elements.iter_mut().all(|element| reference(child, element)),
            None => return false,
        },
        (None, _) => return false,
    }
    true
}

fn object(random: &mut Random, depth: u64) -> Json {
    let mut members = Map::new();
    for name in ["a", "b", "c", "d", "e"] {
        if random.below(3) > 0 {
            // Mostly of the shape that the paths expect.
            let value = match (name, random.below(8)) {
                (_, 0) => scalar(random),
                ("b" | "c", _) if depth > 0 => {
                    Json::Array((0..random.below(4)).map(|_| object(random, depth - 1)).collect())
                }
                ("a", _) if depth > 3 => object(random, depth - 1),
                _ => scalar(random),
            };
            members.insert(name.to_owned(), value);
        }
    }
    Json::Object(members)
}

fn scalar(random: &mut Random) -> Json {
    match random.below(6) {
        0 => Json::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.below(1000)),
        3 => json!("plain"),
        4 => json!("\"\\\n\u{1f682}"),
        _ => json!(""),
    }
}

fn write(value: &Json, random: &mut Random, text: &mut String) {
    let mut space = |text: &mut String| text.push_str(["", "", " ", "\n\t"][random.below(4) as usize]);
    space(text);
    match value {
        Json::Object(members) => {
            text.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                write(&json!(name), random, text);
                text.push(':');
                write(value, random, text);
            }
            text.push('}');
        }
        Json::Array(elements) => {
            text.push('[');
            for (at, value) in elements.iter().enumerate() {
                text.push_str(if at > 0 { "," } else { "" });
                write(value, random, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
    text.push_str(["", "", " ", "\r\n"][random.below(4) as usize]);
}
