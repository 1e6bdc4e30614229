use super::scanner::special_bytes;
use super::*;

fn find<'a>(path: &str, document: &'a str) -> Result<Option<Value<'a>>, Malformed> {
    Path::new(path).unwrap().find(document.as_bytes())
}

fn text(path: &str, document: &str) -> Option<String> {
    match find(path, document).unwrap()? {
        Value::String(text) => {
            let mut decoded = Vec::new();
            text.decode_into(&mut decoded);
            assert!(text.is(&decoded));
            Some(String::from_utf8(decoded).unwrap())
        }
        Value::Number(number) => Some(String::from_utf8(number.to_vec()).unwrap()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn finds_fields_at_any_depth() {
    let document = r#" { "id" : 7, "tags": ["state", {"state": "no"}], "state": "CA",
        "address": {"lines": [[1, 2], {}], "geo": {"lat": -1.5e+3}, "state": "NV"}, "ok": true, "none": null } "#;
    assert_eq!(text("state", document).unwrap(), "CA");
    assert_eq!(text("address.state", document).unwrap(), "NV");
    assert_eq!(text("address.geo.lat", document).unwrap(), "-1.5e+3");
    assert_eq!(text("id", document).unwrap(), "7");
    assert_eq!(find("ok", document), Ok(Some(Value::Bool(true))));
    assert_eq!(find("none", document), Ok(Some(Value::Null)));
    assert_eq!(find("address", document), Ok(Some(Value::Object)));
    assert_eq!(find("tags", document), Ok(Some(Value::Array)));
}

#[test]
fn says_that_a_field_is_absent() {
    for document in [r#"{}"#, r#"{"b":1}"#, r#"{"a":{}}"#, r#"{"a":"x"}"#, r#"{"a":[{"b":1}]}"#, "3", "null", "[]"] {
        assert_eq!(find("a.b", document), Ok(None), "{document}");
    }
}

#[test]
fn the_first_of_two_fields_of_a_name_counts() {
    assert_eq!(text("a", r#"{"a":"1","a":"2"}"#).unwrap(), "1");
}

#[test]
fn reads_escapes_in_names_and_values() {
    assert_eq!(text("état.a", r#"{"\u00e9tat":{"\u0061":"x\"\\\/\b\f\n\r\ty"}}"#).unwrap(), "x\"\\/\u{8}\u{c}\n\r\ty");
    assert_eq!(text("a", r#"{"a":"\ud83d\ude82 \ud83d! \ude82"}"#).unwrap(), "\u{1f682} \u{fffd}! \u{fffd}");
    // A quote behind a backslash does not end the string, one behind two of them does.
    assert_eq!(text("a", r#"{"x":"\",\"a\":1","y":"\\","a":"2"}"#).unwrap(), "2");
}

#[test]
fn an_escaped_text_is_only_what_it_means() {
    let Ok(Some(Value::String(text))) = find("a", r#"{"a":"c\u0061t"}"#) else { panic!() };
    assert_eq!(text.plain(), None);
    assert!(text.is(b"cat"));
    for other in [&b"ca"[..], b"cats", b"cbt", b"", br"c\u0061t"] {
        assert!(!text.is(other), "{}", other.escape_ascii());
    }
}

#[test]
fn refuses_what_is_malformed_up_to_the_field() {
    let malformed = [
        "",
        " ",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{a:1}",
        "{\"b\":1,}",
        "{\"b\":1 \"a\":2}",
        "{\"b\" 1}",
        "{\"b\":}",
        "{,}",
        "{\"b\":[1,2}",
        "{\"b\":[1 2],\"a\":1}",
        "{\"b\":[1,],\"a\":1}",
        "{\"b\":{\"c\":1],\"a\":1}",
        "{\"b\":tru}",
        "{\"b\":01,\"a\":1}",
        "{\"b\":-,\"a\":1}",
        "{\"b\":1.,\"a\":1}",
        "{\"b\":1e,\"a\":1}",
        "{\"b\":+1,\"a\":1}",
        "{\"a\":\"x",
        "{\"a\":\"x\\",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u123",
        "{\"a\":\"\n\"}",
        "{\"b\":\"long enough for a word\u{1}\",\"a\":1}",
        "nul",
        "x",
    ];
    for document in malformed {
        assert!(find("a", document).is_err(), "{document:?} gave {:?}", find("a", document));
    }
}

#[test]
fn does_not_look_behind_the_field() {
    assert_eq!(text("a", r#"{"a":"x" and so on"#).unwrap(), "x");
}

/// What the scanner has passed is a whole document, or it says where not.
#[test]
fn a_scanner_that_comes_to_the_end_has_read_json() {
    let whole = |document: &str| {
        let mut scanner = Scanner::new(document.as_bytes());
        scanner.skip_value().map(|text| text.len()).and_then(|length| scanner.end().map(|()| length))
    };
    assert_eq!(whole(" {\"a\" : [1, 2] } \n"), Ok(15));
    assert_eq!(whole("1 2"), Err(Malformed { at: 2 }));
    assert_eq!(whole("{} ,"), Err(Malformed { at: 3 }));
    assert_eq!(whole(" "), Err(Malformed { at: 1 }));
    assert_eq!(Scanner::new(b"[").open(b'}'), Err(Malformed { at: 0 }));
}

#[test]
fn skips_64_levels_and_no_more() {
    let nested = |levels: usize| format!(r#"{{"b":{}1{},"a":2}}"#, "[".repeat(levels), "]".repeat(levels));
    assert_eq!(text("a", &nested(64)).unwrap(), "2");
    assert!(find("a", &nested(65)).is_err());
}

#[test]
fn a_path_has_no_empty_names() {
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert!(Path::new(path).is_err(), "{path:?}");
    }
}

/// The first of the special bytes, at every place in a word and behind bytes that could disturb it.
#[test]
fn finds_the_first_special_byte_of_a_word() {
    for special in [b'"', b'\\', 0x1f, 0, b'\n'] {
        for other in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
            for at in 0..8 {
                let mut word = [other; 8];
                word[at] = special;
                let found = special_bytes(u64::from_le_bytes(word)).trailing_zeros() / 8;
                assert_eq!(found as usize, at, "{special} among {other}");
            }
            assert_eq!(special_bytes(u64::from_le_bytes([other; 8])), 0, "{other}");
        }
    }
}
