//! The roles' loops, through the same harness that plugin authors have.

use super::*;
use crate::{
    Acknowledgement, Edit, Fields, InterceptorWants, Output, PartitionerWants, Payload, Reads, Record, SerializerWants,
    Settings, Topology,
};
use std::cell::RefCell;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn see(what: String) {
    SEEN.with_borrow_mut(|seen| seen.push(what));
}

fn seen() -> Vec<String> {
    SEEN.take()
}

/// Does to a record what its value says, word by word.
struct Obedient;

impl Interceptor for Obedient {
    fn configure(_: &Settings) -> Result<Obedient, String> {
        Ok(Obedient)
    }

    fn wants(&self) -> InterceptorWants {
        let all_but_timestamp = Fields::TOPIC | Fields::PARTITION | Fields::KEY | Fields::VALUE;
        let reads = Reads::of(all_but_timestamp | Fields::TIMESTAMP).all_headers();
        InterceptorWants::nothing().on_send(reads).changes(all_but_timestamp).acknowledgements()
    }

    fn on_send(&mut self, record: &Record<'_>, edit: &mut Edit<'_>) {
        see(format!("{record:?}"));
        for word in str::from_utf8(record.value().unwrap_or_default()).unwrap().split(' ') {
            match word.split_once('=').unwrap_or((word, "")) {
                ("topic", topic) => edit.set_topic(topic),
                ("partition", "none") => edit.set_partition(None),
                ("partition", number) => edit.set_partition(number.parse().ok()),
                ("timestamp", number) => edit.set_timestamp(number.parse().unwrap()),
                ("key", "null") => edit.set_key(None),
                ("key", key) => edit.set_key(Some(key.as_bytes())),
                ("value", value) => edit.set_value(Some(value.as_bytes())),
                ("add", name) => edit.add_header(name, Some(b"added")),
                ("null", name) => edit.add_header(name, None),
                ("remove", name) => edit.remove_header(name),
                ("tag", number) => edit.set_tag(number.parse().unwrap()),
                ("drop", _) => edit.drop_record(),
                ("refuse", reason) => edit.refuse(reason),
                _ => {}
            }
        }
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement<'_>) {
        see(format!("{acknowledgement:?} {:?}", acknowledgement.fate()));
    }
}

fn obey(values: &[&str]) -> Vec<Sent> {
    let records: Vec<_> = values
        .iter()
        .map(|&value| TestRecord::new("t").key("k").value(value).header("h", "1").header("i", "2"))
        .collect();
    InterceptorTest::<Obedient>::configure(&[]).unwrap().send(&records).unwrap()
}

#[test]
fn a_record_is_shown_with_all_that_was_asked_for() {
    let records = [
        TestRecord::new("a").key("k").header("h", "1"),
        TestRecord::new("b").value("v").partition(3).timestamp(5),
        TestRecord::new("a").key("").header("x", "").header("y", "2"),
    ];
    InterceptorTest::<Obedient>::configure(&[]).unwrap().send(&records).unwrap();
    assert_eq!(
        seen(),
        [
            "Record { topic: \"a\", partition: None, timestamp: None, key: Some(\"k\"), value: None, headers: [h=1] }",
            "Record { topic: \"b\", partition: Some(3), timestamp: Some(5), key: None, value: Some(\"v\"), headers: [] }",
            "Record { topic: \"a\", partition: None, timestamp: None, key: Some(\"\"), value: None, headers: [x=, y=2] }",
        ]
    );
}

#[test]
fn edits_reach_their_records_and_no_others() {
    let sent = obey(&["", "topic=u partition=2 key=x value=y tag=9", "key=null", "topic=v partition=none"]);
    assert_eq!(*sent[0].record(), TestRecord::new("t").key("k").value("").header("h", "1").header("i", "2"));
    let changed = TestRecord::new("u").key("x").value("y").partition(2).header("h", "1").header("i", "2");
    assert_eq!((sent[1].record(), sent[1].tag()), (&changed, 9));
    assert_eq!(sent[2].record().key, None);
    assert_eq!((sent[3].record().topic.as_str(), sent[3].record().partition), ("v", None));
    assert_eq!([0, 2, 3].map(|index| sent[index].tag()), [0; 3]);
}

#[test]
fn the_last_of_two_edits_counts() {
    let sent = obey(&["key=long key=s value=a value=bc topic=a topic=b partition=1 partition=2", "value=z"]);
    let record = sent[0].record();
    assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"s"[..]), Some(&b"bc"[..])));
    assert_eq!((record.topic.as_str(), record.partition), ("b", Some(2)));
    assert_eq!(sent[1].record().value.as_deref(), Some(&b"z"[..]));
}

#[test]
fn headers_of_one_name_and_of_several_are_added_in_order() {
    let names = |sent: &Sent| sent.record().headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" ");
    let same = obey(&["add=n", "", "add=n add=n"]);
    assert_eq!(same.iter().map(names).collect::<Vec<_>>(), ["h i n", "h i", "h i n n"]);
    let different = obey(&["", "add=n add=m", "null=n", "add=m"]);
    assert_eq!(different.iter().map(names).collect::<Vec<_>>(), ["h i", "h i n m", "h i n", "h i m"]);
    assert_eq!(different[2].record().headers[2].1, None);
}

#[test]
fn removing_spares_what_is_added() {
    let sent = obey(&["remove=h remove=h add=h", "remove=i", "remove=none"]);
    assert_eq!(sent[0].record().headers.len(), 2);
    assert_eq!(sent[0].record().header_value("h"), Some(&b"added"[..]));
    assert_eq!(sent[1].record().header_value("i"), None);
    assert_eq!(sent[2].record().headers.len(), 2);
}

#[test]
fn records_are_dropped_and_refused_by_themselves() {
    let sent = obey(&["", "drop drop", "refuse=bad refuse=worse", ""]);
    assert_eq!(sent[1..3], [Sent::Dropped, Sent::Refused("bad".to_owned())]);
    sent[0].record();
    sent[3].record();
}

#[test]
#[should_panic(expected = "sets the timestamp, which its `wants` does not name")]
fn an_edit_that_was_not_declared_panics() {
    obey(&["timestamp=1"]);
}

#[test]
fn acknowledgements_have_nothing_where_there_was_nothing() {
    let mut test = InterceptorTest::<Obedient>::configure(&[]).unwrap();
    test.acknowledge(&[TestAcknowledgement::written("a", 1, 2, 3), TestAcknowledgement::failed("b", -104, 0)]);
    let seen = seen();
    assert!(seen[0].contains("topic: \"a\", partition: 1, offset: 2") && seen[0].ends_with("Written"), "{seen:?}");
    assert!(seen[1].contains("error: -104") && seen[1].ends_with("NotWritten"), "{seen:?}");
}

/// Reads a key that it did not ask for, or names a group of the key's length.
struct Careless {
    asks: bool,
}

impl Partitioner for Careless {
    fn configure(settings: &Settings) -> Result<Careless, String> {
        Ok(Careless { asks: settings.flag("asks")?.unwrap_or(true) })
    }

    fn wants(&self) -> PartitionerWants {
        PartitionerWants::keyed(if self.asks { Reads::of(Fields::KEY) } else { Reads::nothing() })
    }

    fn topology(&mut self, topology: &Topology) -> Result<Groups, String> {
        Ok((0..topology.partitions).map(|partition| vec![partition]).collect())
    }

    fn partition(&mut self, record: &Record<'_>, _: &Topology) -> Placement {
        match record.key() {
            Some(key) => Placement::Group(key.len()),
            None => Placement::Partition(u32::MAX),
        }
    }
}

#[test]
#[should_panic(expected = "reads the key, which its `wants` does not ask for")]
fn a_field_that_was_not_asked_for_panics() {
    let mut test = PartitionerTest::<Careless>::configure(&[("asks", "false")]).unwrap();
    test.topology("t", 2).unwrap();
    let _ = test.partition(&[TestRecord::new("t").key("k")]);
}

#[test]
fn groups_are_those_of_the_records_own_topic() {
    let mut test = PartitionerTest::<Careless>::configure(&[]).unwrap();
    test.topology("small", 1).unwrap();
    test.topology("large", 3).unwrap();
    let record = |topic, key| TestRecord::new(topic).key(key);
    let placed = test.partition(&[record("large", "xx"), record("small", ""), record("small", "x")]).unwrap();
    assert_eq!(placed[..2], [Placement::Group(2), Placement::Group(0)]);
    assert_eq!(placed[2], Placement::Refuse("the plugin named group 1, but it made 1 for topic small".to_owned()));
    // A topology told again replaces the first.
    test.topology("small", 2).unwrap();
    assert_eq!(test.partition(&[record("small", "x")]).unwrap(), [Placement::Group(1)]);
    assert_eq!(
        test.partition(&[TestRecord::new("small")]).unwrap(),
        [Placement::Refuse("no topic has a partition 4294967295".to_owned())]
    );
    assert!(test.partition(&[record("other", "")]).unwrap_err().contains("before its topology"));
}

/// Puts the side and a length before the payload, or does what the header says.
struct Frame(Side);

impl Serializer for Frame {
    fn configure(side: Side, _: &Settings) -> Result<Frame, String> {
        Ok(Frame(side))
    }

    fn wants(&self) -> SerializerWants {
        SerializerWants::nothing().header("do")
    }

    fn serialize(&mut self, payload: &Payload<'_>, output: &mut Output<'_>) -> Result<(), String> {
        match payload.headers().last("do").and_then(|header| header.value) {
            Some(b"nothing") => return Ok(()),
            Some(b"refuse") => {
                output.write(b"half of it");
                return Err("as told".to_owned());
            }
            Some(b"null") => {
                output.write(b"some");
                output.write_null();
                return Ok(());
            }
            _ => {}
        }
        let Some(bytes) = payload.bytes() else { return Ok(()) };
        output.write(if self.0 == Side::Key { b"K_" } else { b"V_" });
        output.write(bytes);
        output.written()[1] = bytes.len() as u8;
        output.add_header("topic", Some(payload.topic().as_bytes()));
        Ok(())
    }
}

#[test]
fn payloads_are_written_one_after_another() {
    let mut test = SerializerTest::<Frame>::configure(Side::Key, &[]).unwrap();
    let record = || TestRecord::new("t").key("abc").header("other", "1");
    let records = [
        record(),
        record().header("do", "refuse"),
        TestRecord::new("t"),
        record().header("do", "nothing"),
        record().header("do", "null"),
        TestRecord::new("u").key(""),
    ];
    let results = test.serialize(&records).unwrap();
    let payloads: Vec<_> = results.iter().map(|result| result.as_ref().map(|done| done.payload.as_deref())).collect();
    let refused = "as told".to_owned();
    assert_eq!(
        payloads,
        [Ok(Some(&b"K\x03abc"[..])), Err(&refused), Ok(None), Ok(Some(b"")), Ok(None), Ok(Some(b"K\x00"))]
    );
    let topics: Vec<_> = results.iter().flatten().flat_map(|done| &done.headers).collect();
    assert_eq!(topics, [&("topic".to_owned(), Some(b"t".to_vec())), &("topic".to_owned(), Some(b"u".to_vec()))]);
}
