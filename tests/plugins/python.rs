//! The example in Python.

use crate::guests::{assert_fails, load, options};
use crate::listen::listen;
use crate::pip::normal_keys;
use pointsman::plugin::{
    Acknowledgements, Batch, Column, FailureKind, HeaderColumns, HeaderReads, Interceptor, PluginFactory,
    TopicColumnRef,
};
use pointsman::wasm::{Limits, LoadError, MetricValue, Plugin, PluginOptions, Use};

/// "Zoë" in one letter for its end, and in two.
const COMPOSED: &str = "Zo\u{eb}";
const DECOMPOSED: &str = "Zoe\u{308}";

fn plugin(settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    within(Limits::default().memory_max, settings)
}

fn within(memory_max: u64, settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    let options = options(settings);
    let limits = Limits { memory_max, ..options.limits };
    load(PluginOptions { path: normal_keys().to_owned(), uses: vec![Use::Interceptor], limits, ..options })
}

fn interceptor(settings: &[(&str, &str)]) -> Box<dyn Interceptor> {
    plugin(settings).unwrap().interceptor(0).unwrap()
}

fn column(entries: &[Option<&[u8]>]) -> Column {
    let mut column = Column::default();
    entries.iter().for_each(|&entry| column.push(entry));
    column
}

fn texts(column: &Column) -> Vec<Option<&str>> {
    column.as_ref().iter().map(|entry| entry.map(|bytes| std::str::from_utf8(bytes).unwrap())).collect()
}

/// `counts[i]` headers of record i, all of that name.
fn headers(counts: &[u32]) -> HeaderColumns {
    let total = counts.iter().sum::<u32>() as usize;
    let all = |entry: Option<&'static [u8]>| column(&vec![entry; total]);
    HeaderColumns { counts: counts.to_vec(), names: all(Some(b"typed-key")), values: all(None) }
}

#[test]
fn an_interceptor_in_python_changes_keys_and_adds_a_header() {
    let mut interceptor = interceptor(&[("header", "typed-key")]);
    let wants = interceptor.wants();
    let reads = wants.on_send.as_ref().unwrap();
    assert!(reads.fields.key && !reads.fields.value && wants.changes.key && wants.acknowledgements);
    assert_eq!(reads.headers, HeaderReads::Named(vec!["typed-key".into()]));

    let [composed, decomposed] = [COMPOSED, DECOMPOSED].map(|key| Some(key.as_bytes()));
    let keys = column(&[None, Some(b""), Some(b"Zoe"), composed, decomposed, Some(b"Zo\xeb"), decomposed]);
    let headers = headers(&[0, 0, 1, 0, 0, 0, 100]);
    let batch = Batch { count: 7, keys: Some(keys.as_ref()), headers: Some(headers.as_ref()), ..Batch::default() };
    let edits = interceptor.on_send(&batch).unwrap();
    let changed = edits.keys.expect("keys are changed");
    assert_eq!((changed.indexes, texts(&changed.content)), (vec![4, 6], vec![Some(COMPOSED); 2]));
    let added = edits.added_headers.expect("a header is added");
    assert_eq!(added.counts, [0, 0, 0, 0, 1, 0, 0], "the last record has it");
    assert_eq!((texts(&added.names), texts(&added.values)), (vec![Some("typed-key")], vec![Some(DECOMPOSED)]));
    let refused: Vec<_> = edits.refused.iter().map(|refusal| (refusal.index, refusal.reason.as_str())).collect();
    assert_eq!(refused, [(5, "the key is not UTF-8 at byte 2")]);
    assert!(edits.removed_headers.is_empty() && edits.dropped.is_empty() && edits.values.is_none());
}

#[test]
fn a_batch_with_nothing_to_change_comes_back_without_edits() {
    for (settings, key) in [(&[][..], COMPOSED), (&[("form", "NFD")], DECOMPOSED)] {
        let mut interceptor = interceptor(settings);
        assert_eq!(interceptor.wants().on_send.as_ref().unwrap().headers, HeaderReads::None);
        let keys = column(&[None, Some(b"Zoe"), Some(key.as_bytes())]);
        let edits = interceptor.on_send(&Batch { count: 3, keys: Some(keys.as_ref()), ..Batch::default() }).unwrap();
        assert!(edits.keys.is_none() && edits.added_headers.is_none() && edits.refused.is_empty(), "{edits:?}");
    }
}

#[test]
fn settings_that_python_refuses_are_told() {
    let error = |settings: &[_]| plugin(settings).expect_err("the settings are refused").to_string();
    let form = error(&[("form", "nfc")]);
    assert!(form.ends_with("form = \"nfc\": must be one of NFC, NFD, NFKC, NFKD"), "{form}");
    let unknown = error(&[("from", "NFC")]);
    assert!(unknown.ends_with("the setting `from` is not known here; known are form, header"), "{unknown}");
    let empty = error(&[("header", "")]);
    assert!(empty.ends_with("`header` is empty: leave it out, or name a header"), "{empty}");
}

/// The host would not call it so: Python has to stumble over something.
#[test]
fn an_exception_in_python_is_told_and_the_next_call_works() {
    let plugin = plugin(&[]).unwrap();
    let mut interceptor = plugin.interceptor(0).unwrap();
    let no_keys = interceptor.on_send(&Batch { count: 1, ..Batch::default() });
    assert_fails(no_keys, FailureKind::Error, "AttributeError: 'NoneType' object has no attribute 'lengths'");
    let keys = column(&[Some(DECOMPOSED.as_bytes())]);
    let edits = interceptor.on_send(&Batch { count: 1, keys: Some(keys.as_ref()), ..Batch::default() }).unwrap();
    assert_eq!(texts(&edits.keys.unwrap().content), [Some(COMPOSED)]);

    let orders = written(1, &["orders"]);
    let no_topics = Acknowledgements { topics: TopicColumnRef { names: &[], indexes: &[] }, ..orders };
    let (told, lines) = listen(|| interceptor.on_acknowledgement(&no_topics));
    told.expect("the outcome stands, and so does the instance");
    assert_eq!(lines, ["ERROR log IndexError: list index out of range"]);
    interceptor.on_acknowledgement(&orders).unwrap();
    assert_eq!(counted(&plugin), [("records-written".into(), "orders".into(), 1.0)]);
    assert_eq!(plugin.metrics().instances_discarded, 0);
}

#[test]
fn acknowledgements_are_counted_in_python() {
    let plugin = plugin(&[]).unwrap();
    assert!(plugin.imports().iter().all(|import| import.starts_with("pointsman:plugin/")), "{:?}", plugin.imports());
    let told = Acknowledgements {
        topics: TopicColumnRef { names: &["orders", "Zo\u{eb}"], indexes: &[0, 1, 0, 0, 1] },
        errors: &[0, 0, -104, 0, -101],
        ..written(5, &[])
    };
    // One after the other: the series are the plugin's.
    for _ in 0..2 {
        let mut interceptor = plugin.interceptor(0).unwrap();
        interceptor.on_acknowledgement(&told).unwrap();
        interceptor.close();
    }
    let series = |name: &str, topic: &str, count| (name.to_owned(), topic.to_owned(), count);
    assert_eq!(
        counted(&plugin),
        [
            series("records-written", "orders", 4.0),
            series("records-written", "Zo\u{eb}", 2.0),
            series("records-failed", "orders", 2.0),
            series("records-dropped", "Zo\u{eb}", 2.0),
        ]
    );
    assert_eq!(plugin.metrics().points_dropped, 0);
}

/// What a call returned stays in the instance's memory, with componentize-py. One record a call, and large ones: of a batch that
/// failed the halves would be tried.
#[test]
fn an_instance_that_keeps_what_it_returned_is_replaced_before_it_fails_a_record() {
    const CALLS: u32 = 300;
    let plugin = within(20 << 20, &[("header", "typed-key")]).unwrap();
    let mut interceptor = plugin.interceptor(0).unwrap();
    let key = DECOMPOSED.to_owned() + &"\u{65e5}".repeat(30_000);
    let (keys, headers) = (column(&[Some(key.as_bytes())]), headers(&[0]));
    let batch = Batch { count: 1, keys: Some(keys.as_ref()), headers: Some(headers.as_ref()), ..Batch::default() };
    for call in 0..CALLS {
        let edits = interceptor.on_send(&batch).unwrap_or_else(|failure| panic!("call {call}: {failure}"));
        assert_eq!(edits.keys.unwrap().content.as_ref().data.len(), key.len() - 1);
        interceptor.on_acknowledgement(&written(1, &["orders"])).unwrap();
    }
    let metrics = plugin.metrics();
    // Each call returns its key twice, 180 KB, and there are 7 MiB for them, which are full in less than a second.
    assert!(metrics.instances_recycled >= 4, "{metrics:?}");
    assert_eq!(metrics.instances_discarded, 0);
    assert_eq!(metrics.instances_started, 2 + metrics.instances_recycled, "one to try it, one to begin with");
    assert_eq!(counted(&plugin), [("records-written".into(), "orders".into(), f64::from(CALLS))]);
}

/// Up to five records, all of the first of these topics, and written.
fn written<'a>(count: usize, topics: &'a [&'a str]) -> Acknowledgements<'a> {
    Acknowledgements {
        count,
        topics: TopicColumnRef { names: topics, indexes: &[] },
        partitions: &[0; 5][..count],
        offsets: &[0; 5][..count],
        timestamps: &[0; 5][..count],
        errors: &[0; 5][..count],
        fates: &[0; 5][..count],
        tags: &[0; 5][..count],
    }
}

/// The plugin's counters: name, topic, value.
fn counted(plugin: &Plugin) -> Vec<(String, String, f64)> {
    let series = plugin.metrics().series.into_iter().map(|sample| match (&*sample.labels, sample.value) {
        ([(label, topic)], MetricValue::Counter(value)) if label == "topic" => (sample.name, topic.clone(), value),
        other => panic!("{other:?}"),
    });
    series.collect()
}
