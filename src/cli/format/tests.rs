//! Tables of lines, good and bad.

use super::{BadLine, Format, Line, field_path, separator};
use std::borrow::Cow;

fn jsonl(text: &str) -> Result<Line<'_>, BadLine> {
    Format::Jsonl.parse(text.as_bytes()).map(|line| line.expect("a record"))
}

fn json<'a>(key_field: &str, text: &'a str) -> Result<Line<'a>, BadLine> {
    let format = Format::Json { key_field: Some(field_path(key_field).unwrap()) };
    format.parse(text.as_bytes()).map(|line| line.expect("a record"))
}

fn text<'a>(bytes: &'a Option<Cow<'_, [u8]>>) -> Option<&'a str> {
    bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
}

#[test]
fn a_line_is_the_value() {
    let format = Format::Lines { separator: None };
    for line in [&b"a"[..], b"", b" \t", b"{\"a\": 1}", b"\xff\xfe"] {
        let parsed = format.parse(line).unwrap().unwrap();
        assert_eq!(parsed, Line { value: Some(line.into()), ..Line::default() });
    }
}

#[test]
fn a_separator_ends_the_key() {
    let table: [[&[u8]; 4]; 5] = [
        [b":", b"k:v", b"k", b"v"],
        [b":", b"k:v:w", b"k", b"v:w"],
        [b":", b":", b"", b""],
        [b"::", b"k:k::v", b"k:k", b"v"],
        [b"\t", b"\t\xff", b"", b"\xff"],
    ];
    for [separator, line, key, value] in table {
        let format = Format::Lines { separator: Some(separator.to_vec()) };
        let parsed = format.parse(line).unwrap().unwrap();
        assert_eq!((parsed.key.as_deref(), parsed.value.as_deref()), (Some(key), Some(value)));
    }
    let format = Format::Lines { separator: Some(b"\t".to_vec()) };
    for line in [&b""[..], b"kv", b"k:v"] {
        assert_eq!(format.parse(line).unwrap_err().what, "no separator \"\\t\" between key and value");
    }
}

#[test]
fn separators_as_typed() {
    let good = [(":", ":"), (r"\t", "\t"), (r"\x1f", "\x1f"), (r"\0", "\0"), (r"\\", "\\"), ("=>", "=>"), ("→", "→")];
    for (typed, meant) in good {
        assert_eq!(separator(typed).unwrap(), meant.as_bytes(), "{typed}");
    }
    for typed in ["", "\\", r"\q", r"\x1", r"\xyz", "\n", r"\x0a"] {
        assert!(separator(typed).is_err(), "{typed}");
    }
}

#[test]
fn field_paths_as_typed() {
    assert_eq!(field_path("a.b").unwrap(), ["a", "b"]);
    for typed in ["", ".", "a.", "a..b"] {
        assert!(field_path(typed).is_err(), "{typed}");
    }
}

#[test]
fn all_fields() {
    let line = jsonl(
        r#"{"topic": "t", "partition": 3, "timestamp": 1700000000000, "key": "k", "value": {"a": [1, 2]},
            "headers": {"x": "1", "y": null, "z": {"base64": "/w=="}}}"#,
    )
    .unwrap();
    assert_eq!(line.topic.as_deref(), Some("t"));
    assert_eq!((line.partition, line.timestamp), (Some(3), Some(1_700_000_000_000)));
    assert_eq!((text(&line.key), text(&line.value)), (Some("k"), Some(r#"{"a":[1,2]}"#)));
    let headers: Vec<_> = line.headers.iter().map(|(name, value)| (name.as_ref(), value.as_deref())).collect();
    assert_eq!(headers, [("x", Some(&b"1"[..])), ("y", None), ("z", Some(b"\xff"))]);
}

#[test]
fn keys_and_values_become_bytes() {
    let table = [
        (r#""text""#, Some("text")),
        (r#""""#, Some("")),
        (r#""é→\u00e9\ud83d\ude00\n""#, Some("é→é😀\n")),
        ("null", None),
        ("true", Some("true")),
        ("17", Some("17")),
        // More digits than any number type has.
        ("3.14159265358979323846264338327950288", Some("3.14159265358979323846264338327950288")),
        ("123456789012345678901234567890", Some("123456789012345678901234567890")),
        ("1E400", Some("1E400")),
        ("-0", Some("-0")),
        (r#"{"b" : 1, "a": "x  y", "b": [ ]}"#, Some(r#"{"b":1,"a":"x  y","b":[]}"#)),
        (r#"[ "a \" b" , "\\" , 1 ]"#, Some(r#"["a \" b","\\",1]"#)),
        ("{}", Some("{}")),
    ];
    for (json, bytes) in table {
        let text_of = format!(r#"{{"value": {json}, "key": {json}}}"#);
        let line = jsonl(&text_of).unwrap();
        assert_eq!((text(&line.key), text(&line.value)), (bytes, bytes), "{json}");
    }
}

#[test]
fn base64_is_for_bytes_that_are_no_text() {
    let line = jsonl(r#"{"key_base64": "AP8=", "value_base64": null}"#).unwrap();
    assert_eq!((line.key.as_deref(), line.value.as_deref()), (Some(&b"\0\xff"[..]), None));
    assert_eq!(jsonl(r#"{"value_base64": "", "key": "k"}"#).unwrap().value.as_deref(), Some(&b""[..]));
}

#[test]
fn what_is_left_out_or_null_is_none() {
    assert_eq!(jsonl("{}").unwrap(), Line::default());
    let nulls = r#"{"topic": null, "partition": null, "timestamp": null, "key": null, "value": null, "headers": null}"#;
    assert_eq!(jsonl(nulls).unwrap(), Line::default());
}

#[test]
fn headers_may_repeat() {
    let lists = jsonl(r#"{"headers": [["a", "1"], ["a", "2"], ["b", null]]}"#).unwrap();
    let names: Vec<_> = lists.headers.iter().map(|(name, value)| (name.as_ref(), text(value))).collect();
    assert_eq!(names, [("a", Some("1")), ("a", Some("2")), ("b", None)]);
    let object = jsonl(r#"{"headers": {"a": "1", "a": 2}}"#).unwrap();
    assert_eq!(object.headers.len(), 2);
    assert_eq!(jsonl(r#"{"headers": []}"#).unwrap().headers, []);
}

#[test]
fn bad_records_say_what_would_be_right() {
    let table = [
        ("nonsense", Some(1), "not JSON"),
        ("  <a/>", Some(3), "not JSON"),
        ("{", Some(1), "not JSON: EOF while parsing an object"),
        (r#"{"value": 1"#, Some(11), "not JSON: EOF while parsing an object"),
        (r#"{"value": 1} x"#, Some(14), "not JSON: trailing characters"),
        (r#"{"value": 1,}"#, Some(13), "not JSON: trailing comma"),
        (r#"{"value": 01}"#, Some(12), "not JSON: invalid number"),
        ("[1]", None, r#"a record is an object such as {"value": …}, and this is a list"#),
        ("\"a\"", None, r#"a record is an object such as {"value": …}, and this is a string"#),
        ("17", None, r#"a record is an object such as {"value": …}, and this is a number"#),
        ("null", None, r#"a record is an object such as {"value": …}, and this is null"#),
        (r#"{"vlaue": 1}"#, Some(8), r#"unknown field "vlaue"; did you mean "value"?"#),
        (r#"{"Key": 1}"#, Some(6), r#"unknown field "Key"; did you mean "key"?"#),
        (r#"{"key": 1, "key": 2}"#, None, "key stands there twice"),
        (r#"{"key": "a", "key_base64": "YQ=="}"#, None, "both key and key_base64: leave one out"),
        (r#"{"value_base64": "%"}"#, None, "value_base64: not base64: Invalid symbol 37, offset 0."),
        (r#"{"value_base64": 1}"#, None, "value_base64: 1 is not a string of base64"),
        (r#"{"partition": -1}"#, None, "partition: -1 is not the number of a partition"),
        (r#"{"partition": 1.5}"#, None, "partition: 1.5 is not the number of a partition"),
        (r#"{"partition": 2147483648}"#, None, "partition: 2147483648 is not the number of a partition"),
        (r#"{"partition": "1"}"#, None, "partition: \"1\" is not the number of a partition"),
        (r#"{"timestamp": "now"}"#, None, "timestamp: \"now\" is not milliseconds since 1970, a whole number"),
        (r#"{"topic": 1}"#, None, "topic: 1 is not a string"),
        (r#"{"value": "\ud800"}"#, None, "value: unexpected end of hex escape"),
        (r#"{"headers": 1}"#, None, "headers: an object is expected, or a list of [name, value]"),
        (r#"{"headers": [["a"]]}"#, None, "headers: an object is expected, or a list of [name, value]"),
        (r#"{"headers": [[1, "a"]]}"#, None, "headers: an object is expected, or a list of [name, value]"),
        (r#"{"headers": {"a": [1]}}"#, None, r#"headers: a: [1] is not a string, null or {"base64": …}"#),
        (r#"{"headers": {"a": {"b": 1}}}"#, None, r#"headers: a: {"b": 1} is not a string, null or {"base64": …}"#),
    ];
    for (line, column, what) in table {
        let bad = jsonl(line).unwrap_err();
        assert!(bad.what.contains(what), "{line}: {bad:?}");
        if column.is_some() {
            assert_eq!(bad.column, column, "{line}: {bad:?}");
        }
    }
    let far = jsonl(r#"{"order": 1}"#).unwrap_err().what;
    assert!(far.contains("a record has topic, partition") && far.contains("--format json"), "{far}");
}

#[test]
fn json_that_is_not_utf_8() {
    let bad = Format::Jsonl.parse(b"{\"value\": \"\xff\"}").unwrap_err();
    assert_eq!((bad.column, bad.what.as_str()), (Some(12), "not UTF-8, which JSON has to be"));
}

#[test]
fn blank_lines_between_json_are_no_records() {
    for format in [Format::Jsonl, Format::Json { key_field: None }] {
        for blank in [&b""[..], b" ", b"\t", b"\xEF\xBB\xBF"] {
            assert_eq!(format.parse(blank), Ok(None));
        }
    }
    assert!(Format::Jsonl.parse(b"\xEF\xBB\xBF{}").unwrap().is_some(), "a byte order mark is skipped");
}

#[test]
fn a_field_is_the_key_and_the_whole_line_the_value() {
    let table = [
        ("id", r#"{"id": 7}"#, Some("7")),
        ("id", r#" {"x": {"id": 1}, "id": "seven"} "#, Some("seven")),
        ("a.b", r#"{"a": {"b": "é"}, "b": 1}"#, Some("é")),
        ("a.b", r#"{"a": {"b": {"c" : 1}}}"#, Some(r#"{"c":1}"#)),
        ("id", r#"{"id": null}"#, None),
        ("id", r#"{"id": 1, "id": 2}"#, Some("2")),
        ("é", r#"{"\u00e9": 1}"#, Some("1")),
    ];
    for (path, line, key) in table {
        let parsed = json(path, line).unwrap();
        assert_eq!(text(&parsed.key), key, "{line}");
        assert_eq!(text(&parsed.value), Some(line.trim()), "{line}");
    }
    let bad = [
        ("id", "{}", "no field id for the key"),
        ("id", "17", "no field id for the key"),
        ("a.b", r#"{"a": 1}"#, "no field a.b for the key"),
        ("a.b", r#"{"b": 1}"#, "no field a for the key"),
        ("a", "{", "not JSON: EOF while parsing an object"),
    ];
    for (path, line, what) in bad {
        assert_eq!(json(path, line).unwrap_err().what, what, "{line}");
    }
    let without = Format::Json { key_field: None };
    assert_eq!(text(&without.parse(b"[1, 2]").unwrap().unwrap().value), Some("[1, 2]"));
}
