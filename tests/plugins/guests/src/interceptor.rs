use crate::exports::pointsman::plugin::interceptor::*;
use crate::pointsman::plugin::host;
use crate::pointsman::plugin::types::Fields;
use crate::vice;

impl Guest for crate::Guest {
    fn configure(settings: Settings) -> Result<Wants, String> {
        vice::configure(settings)?;
        let (mut fields, mut headers) = (Fields::KEY | Fields::VALUE, None);
        if vice::is("echo") || vice::is("journal") {
            (fields, headers) = (Fields::all(), Some(vec![]));
        }
        if vice::is("tally") {
            fields = Fields::empty();
        }
        let random = vice::is("wants-change") && host::random().is_multiple_of(2);
        let changes = match vice::mode().as_str() {
            "undeclared-edit" => Fields::VALUE,
            "echo" | "retopic" | "topic-index" => Fields::all(),
            _ => Fields::all() - Fields::TOPIC,
        };
        Ok(Wants { on_send: Some(Reads { fields, headers }), changes, acknowledgements: !random })
    }

    fn on_send(records: Batch) -> Result<Edits, String> {
        let count = records.count;
        let mut edits = nothing();
        let data = [&records.keys, &records.values].into_iter().flatten().map(|column| column.data.as_slice());
        if !vice::strikes("on-send", data) {
            edits.added_headers = Some(header_for_each(count, "trace", b"0123456789abcdef"));
            return Ok(edits);
        }
        vice::act()?;
        vice::count_records(count);
        match vice::mode().as_str() {
            "header" => edits.added_headers = Some(header_for_each(count, "trace", b"0123456789abcdef")),
            "echo" => {
                edits.topics = records.topics.map(|topics| TopicEdit { indexes: vec![], topics });
                edits.partitions = records.partitions.map(|partitions| PartitionEdit { indexes: vec![], partitions });
                edits.timestamps = records.timestamps.map(|timestamps| TimestampEdit { indexes: vec![], timestamps });
                edits.keys = records.keys.map(|column| ColumnEdit { indexes: vec![], column });
                edits.values = records.values.map(|column| ColumnEdit { indexes: vec![], column });
                edits.added_headers = records.headers;
                edits.removed_headers = vec![HeaderRemoval { name: "old".into(), indexes: vec![0] }];
                edits.tags = (0..u64::from(count)).collect();
                edits.dropped = vec![0];
                edits.refused = vec![Refusal { index: 1, reason: "it is the second".into() }];
            }
            "journal" => journal(&records, &mut edits),
            "retopic" => {
                let (bad, to) = (vice::setting("bad").unwrap_or_default(), vice::setting("to").expect("a topic"));
                let (keys, values) = (records.keys.as_ref().expect("asked for"), records.values.as_ref().expect("too"));
                let is_bad = |data: Option<&[u8]>| bad.is_empty() || data.is_some_and(|data| vice::holds(data, &bad));
                let each = vice::entries(&keys.lengths, &keys.data).zip(vice::entries(&values.lengths, &values.data));
                let moved = (0..).zip(each).filter(|(_, (key, value))| is_bad(*key) || is_bad(*value));
                let indexes: Vec<u32> = moved.map(|(index, _)| index).collect();
                let topics = TopicColumn { names: vec![to], indexes: vec![0; indexes.len()] };
                edits.topics = Some(TopicEdit { indexes, topics });
            }
            "repartition" => {
                let partitions = vec![vice::number("to", 0) as i32; count as usize];
                edits.partitions = Some(PartitionEdit { indexes: vec![], partitions });
            }
            "drop" => edits.dropped = (0..count).collect(),
            "refuse" => {
                let (bad, values) =
                    (vice::setting("bad").unwrap_or_default(), records.values.as_ref().expect("asked for"));
                let is_bad = |value: Option<&[u8]>| value.is_some_and(|value| vice::holds(value, &bad));
                let bad = (0..).zip(vice::entries(&values.lengths, &values.data)).filter(|(_, value)| is_bad(*value));
                edits.refused = bad.map(|(index, _)| Refusal { index, reason: "not with that word".into() }).collect();
                // Does not count for those that it refused.
                edits.added_headers = Some(header_for_each(count, "trace", b"0123456789abcdef"));
            }
            "tally" => edits.tags = vec![u64::from(vice::calls()); count as usize],
            "undeclared-edit" => edits.keys = Some(column_edit(vec![], vec![1; count as usize], count as usize)),
            "bad-lengths" => edits.values = Some(column_edit(vec![], vec![7; count as usize], 3)),
            "negative-lengths" => edits.values = Some(column_edit(vec![], vec![-2; count as usize], 0)),
            "few-lengths" => edits.values = Some(column_edit(vec![], vec![], 0)),
            "descending" => edits.values = Some(column_edit(vec![1, 0], vec![0, 0], 0)),
            "index-out-of-range" => edits.values = Some(column_edit(vec![count], vec![0], 0)),
            "topic-index" => {
                let topics = TopicColumn { names: vec!["a".into()], indexes: vec![9; count as usize] };
                edits.topics = Some(TopicEdit { indexes: vec![], topics });
            }
            "partition-number" => {
                edits.partitions = Some(PartitionEdit { indexes: vec![], partitions: vec![-2; count as usize] });
            }
            "header-counts" => {
                let mut headers = header_for_each(count, "n", b"v");
                headers.counts[0] = u32::MAX;
                edits.added_headers = Some(headers);
            }
            "header-null-name" => {
                let mut headers = header_for_each(count, "", b"v");
                headers.names.lengths[0] = -1;
                edits.added_headers = Some(headers);
            }
            "header-not-utf8" => {
                let mut headers = header_for_each(count, "n", b"v");
                headers.names.data[0] = 0xff;
                edits.added_headers = Some(headers);
            }
            "tags" => edits.tags = vec![1; count as usize + 1],
            "dropped" => edits.dropped = vec![count],
            "refused" => edits.refused = vec![Refusal { index: count, reason: String::new() }],
            "refuse-long" => edits.refused = vec![Refusal { index: 0, reason: "é".repeat(100_000) }],
            "huge-result" => {
                edits.values = Some(column_edit(vec![], vec![0; count as usize], vice::number("bytes", 16 << 20)));
            }
            "wild-pointer" => {
                // Safety: none, on purpose. Nobody reads it but the host.
                let data = unsafe { Vec::from_raw_parts(0xffff_0000usize as *mut u8, 1 << 10, 1 << 10) };
                edits.values = Some(ColumnEdit { indexes: vec![], column: Column { lengths: vec![0], data } });
            }
            "not-utf8" => {
                let reason = unsafe { String::from_utf8_unchecked(vec![0xff]) };
                edits.refused = vec![Refusal { index: 0, reason }];
            }
            "gigabyte" => {
                // A gigabyte by its own word, of which the guest has little.
                let data = unsafe { Vec::from_raw_parts(vec![0; 1 << 16].leak().as_mut_ptr(), 1 << 30, 1 << 30) };
                edits.values = Some(ColumnEdit { indexes: vec![], column: Column { lengths: vec![1 << 30], data } });
            }
            "alias" => {
                // One megabyte that the answer holds two hundred times.
                let text = "x".repeat(1 << 20).leak();
                let alias = |index| {
                    let reason = unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), 1 << 20, 1 << 20) };
                    Refusal { index, reason }
                };
                edits.refused = (0..200).map(alias).collect();
            }
            _ => {}
        }
        Ok(edits)
    }

    fn on_acknowledgement(acknowledgements: Acknowledgements) {
        if vice::is("journal") {
            return note(&acknowledgements);
        }
        // Outcomes hold no data: whoever wants a vice here says so by the stage.
        let is_here = match vice::setting("stage") {
            Some(stage) => stage == "on-acknowledgement",
            None => vice::setting("bad").is_none(),
        };
        if !is_here {
            return;
        }
        if let Err(words) = vice::act() {
            panic!("{words}");
        }
        if vice::is("acks") {
            let sum: u64 = acknowledgements.tags.iter().sum();
            let (topics, errors) = (acknowledgements.topics, acknowledgements.errors);
            println!("{} {sum} {:?} {:?} {errors:?}", acknowledgements.count, topics.names, topics.indexes);
        }
    }

    fn close() {
        if vice::is("close") {
            println!("closed after {} calls", vice::calls());
        }
        if vice::is("journal") {
            count("closed", &[]);
        }
        if vice::is("close-loop") {
            vice::spin();
        }
        if vice::is("close-panic") {
            panic!("cannot close");
        }
    }
}

/// Each value gets the plugin's name, so that the order of the hooks is to be read in it, and a header; the tag is how
/// many headers the record had.
fn journal(records: &Batch, edits: &mut Edits) {
    let (name, values) = (host::plugin_name(), records.values.as_ref().expect("asked for"));
    if vice::setting("trap").is_some_and(|trap| vice::holds(&values.data, &trap)) {
        panic!("told to");
    }
    let (mut lengths, mut data) = (vec![], vec![]);
    for value in vice::entries(&values.lengths, &values.data) {
        let value = [value.unwrap_or_default(), b">", name.as_bytes()].concat();
        lengths.push(value.len() as i32);
        data.extend(value);
    }
    edits.values = Some(ColumnEdit { indexes: vec![], column: Column { lengths, data } });
    edits.added_headers = Some(header_for_each(records.count, "by", name.as_bytes()));
    let headers = records.headers.as_ref().expect("asked for");
    edits.tags = headers.counts.iter().map(|&count| 100 + u64::from(count)).collect();
    count("sent", &[]);
}

/// Each outcome as a series of its own, so that the test can read them.
fn note(told: &Acknowledgements) {
    for at in 0..told.count as usize {
        let topic = &told.topics.names[told.topics.indexes.get(at).map_or(0, |&index| index as usize)];
        let labels = [
            ("topic", topic.clone()),
            ("partition", told.partitions[at].to_string()),
            ("offset", told.offsets[at].to_string()),
            ("error", told.errors[at].to_string()),
            ("fate", told.fates[at].to_string()),
            ("tag", told.tags[at].to_string()),
        ];
        count("acknowledged", &labels);
    }
}

fn count(name: &str, labels: &[(&str, String)]) {
    let labels: Vec<(String, String)> = labels.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
    let series = host::metric(host::Kind::Counter, name, &labels);
    host::observe(&[(series, 1.0)]);
}

fn nothing() -> Edits {
    Edits {
        topics: None,
        partitions: None,
        timestamps: None,
        keys: None,
        values: None,
        removed_headers: vec![],
        added_headers: None,
        tags: vec![],
        dropped: vec![],
        refused: vec![],
    }
}

fn column_edit(indexes: Vec<u32>, lengths: Vec<i32>, bytes: usize) -> ColumnEdit {
    ColumnEdit { indexes, column: Column { lengths, data: vec![b'x'; bytes] } }
}

fn header_for_each(count: u32, name: &str, value: &[u8]) -> HeaderColumns {
    let count = count as usize;
    HeaderColumns {
        counts: vec![1; count],
        names: Column { lengths: vec![name.len() as i32; count], data: name.as_bytes().repeat(count) },
        values: Column { lengths: vec![value.len() as i32; count], data: value.repeat(count) },
    }
}
