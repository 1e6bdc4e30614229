use super::*;
use pointsman_plugin::testing::{InterceptorTest, Sent, TestRecord};

const SALT: (&str, &str) = ("salt", "salt for the tests");

fn plugin(settings: &[(&str, &str)]) -> InterceptorTest<MaskFields> {
    InterceptorTest::configure(settings).unwrap()
}

#[test]
fn only_what_is_named_changes() {
    let mut plugin = plugin(&[("mask.0", "name"), ("mask.1", "cards[*].number"), ("hash", "email"), SALT]);
    let record = TestRecord::new("orders")
        .key("17")
        .header("h", "1")
        .value(r#"{"name":"Ann","email":"a@example.com","cards":[{"number":1},{"number":2}]}"#);
    let sent = plugin.send(std::slice::from_ref(&record)).unwrap();
    let value = r#"{"name":"***","email":"7385cc8e64be7c0f9649bdc250e751a254bf638325170beea1a373bf7c75142c","cards":[{"number":"***"},{"number":"***"}]}"#;
    assert_eq!(*sent[0].record(), TestRecord { value: Some(value.into()), ..record });
}

#[test]
fn a_hash_is_the_same_in_every_instance_and_other_with_another_salt() {
    let hashed = |salt| {
        let mut plugin = plugin(&[("hash", "id"), ("salt", salt)]);
        let sent = plugin.send(&[TestRecord::new("t").value(r#"{"id":7}"#)]).unwrap();
        sent[0].record().value.clone().unwrap()
    };
    assert_eq!(hashed("salt for the tests"), hashed("salt for the tests"));
    assert_ne!(hashed("salt for the tests"), hashed("salt for the test 2"));
}

#[test]
fn one_bad_record_is_refused_and_the_others_go_on() {
    let mut plugin = plugin(&[("mask", "ssn"), ("mask-with", "\"gone\"\n")]);
    let values = [r#"{"ssn":1}"#, "{\"ssn\":\"secret", r#"{"snn":"secret"}"#, r#"{"ssn":2}"#];
    let records = values.map(|value| TestRecord::new("t").value(value));
    let sent = plugin.send(&records).unwrap();
    let masked = Some(r#"{"ssn":"\"gone\"\u000a"}"#.as_bytes().to_vec());
    assert_eq!((&sent[0].record().value, &sent[3].record().value), (&masked, &masked));
    assert_eq!(sent[1], Sent::Refused("the value is not JSON at byte 14".into()));
    assert_eq!(sent[2], Sent::Refused("the value has no ssn; with missing = \"pass\" it need not".into()));
}

#[test]
fn null_hides_nothing() {
    let mut plugin = plugin(&[("mask", "a"), ("key.mask", "b")]);
    let tombstone = TestRecord::new("t").key(r#"{"b":1}"#);
    let sent = plugin.send(&[tombstone.clone(), TestRecord::new("t")]).unwrap();
    assert_eq!(*sent[0].record(), tombstone.key(r#"{"b":"***"}"#));
    assert_eq!(*sent[1].record(), TestRecord::new("t"));
}

#[test]
fn keys_are_changed_by_field_or_as_a_whole() {
    let send = |settings: &[_], key: &str| {
        plugin(settings).send(&[TestRecord::new("t").key(key).value("not JSON")]).unwrap().remove(0)
    };
    let sent = send(&[("key.remove", "b")], r#"{"a":1,"b":2}"#);
    assert_eq!(sent.record().key.as_deref(), Some(&br#"{"a":1}"#[..]));
    assert_eq!(send(&[("key.remove", "b")], "x"), Sent::Refused("the key is not JSON at byte 0".into()));
    let sent = send(&[("whole-key", "hash"), SALT], "ann@example.com");
    let key = sent.record().key.as_ref().unwrap();
    assert!(key.len() == 64 && key.iter().all(u8::is_ascii_hexdigit), "{}", key.escape_ascii());
    assert_eq!(sent.record().value.as_deref(), Some(&b"not JSON"[..]));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = |settings: &[_]| InterceptorTest::<MaskFields>::configure(settings).err().unwrap();
    assert_eq!(error(&[]), "there is nothing to do: name fields in `mask`, `hash` or `remove`");
    assert_eq!(error(&[("msk", "a")]), "there is nothing to do: name fields in `mask`, `hash` or `remove`");
    assert_eq!(error(&[("mask", "a"), ("remov", "b")]), "the setting `remov` is not known here; is `remove` meant?");
    assert_eq!(error(&[("mask", "a..b")]), "mask: a..b: a name is empty");
    assert_eq!(error(&[("key.mask.0", "a"), ("key.remove", "a")]), "key.remove: a: it is in `mask` already");
    assert_eq!(error(&[("hash", "a")]), "`salt` is missing: without it hashes of common values can be looked up");
    assert_eq!(
        error(&[("hash", "a"), ("salt", "pepper")]),
        "`salt` has 6 bytes: it should have 16 or more, and random ones"
    );
    assert_eq!(error(&[("mask", "a"), SALT]), "`salt` is there, but nothing is hashed");
    assert_eq!(error(&[("mask", "a"), ("missing", "ok")]), "missing = \"ok\": must be \"refuse\" or \"pass\"");
    assert_eq!(
        error(&[("whole-key", "hash"), ("key.hash", "a"), SALT]),
        "`whole-key` leaves nothing for `key.*`: leave one out"
    );
}
