//! Runs against a producer that does as it is told.

use super::super::kafka::Delivery;
use super::super::topics::Create;
use super::*;
use crate::cli::format::Format;
use pointsman::error::{Fate, ProduceError};
use pointsman::transaction::TransactionError;
use pointsman::{Record, RecordMetadata};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex};

/// Takes all records but those whose value says otherwise: `fail` is not delivered, `refuse` not accepted, `unknown`
/// perhaps delivered, at `block` it waits until it is closed or the transaction is aborted, `fatal` is its end, `hang` is
/// delivered at the close. Of transactions: `spoil` is delivered, and its transaction cannot be committed; `fence` is
/// delivered, and ends the producer; the commit of `slow` takes longer than is waited for at
/// a time, and how that of `lost` ended is not told.
#[derive(Default)]
struct Fake {
    sent: Arc<Mutex<Vec<String>>>,
    closed: Arc<(Mutex<bool>, Condvar)>,
    /// What was called about transactions, and of those that are committed the number of their records.
    calls: Arc<Mutex<Vec<String>>>,
    /// How many were sent before the one that is open.
    before: Mutex<usize>,
}

impl Fake {
    fn call(&self, what: impl Into<String>) {
        self.calls.lock().unwrap().push(what.into());
    }

    fn has_sent(&self, value: &str) -> bool {
        self.sent.lock().unwrap().iter().skip(*self.before.lock().unwrap()).any(|sent| sent == value)
    }
}

fn fenced() -> TransactionError {
    TransactionError::Fenced { transactional_id: "t".into(), code: 90 }
}

struct Coming {
    result: Result<RecordMetadata, ProduceError>,
    after: Option<Arc<(Mutex<bool>, Condvar)>>,
}

fn until_closed((closed, changed): &(Mutex<bool>, Condvar)) {
    drop(changed.wait_while(closed.lock().unwrap(), |closed| !*closed).unwrap());
}

impl Producer for Fake {
    type Delivery = Coming;

    fn send(&self, record: &Record<'_>) -> Result<Coming, ProduceError> {
        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        let fatal = |fate| ProduceError::Fatal { topic: None, partition: None, reason: "it is over".into(), fate };
        let mut after = None;
        let result = match value.as_str() {
            "refuse" => return Err(ProduceError::BufferFull),
            "fatal" => return Err(fatal(Fate::NotWritten)),
            "block" => {
                until_closed(&self.closed);
                return Err(ProduceError::Closed { topic: None, partition: None, fate: Fate::NotWritten });
            }
            _ if self.has_sent("spoil") => {
                return Err(ProduceError::NoTransaction {
                    topic: record.topic.into(),
                    reason: "it is spoilt".into(),
                    must_abort: true,
                });
            }
            "fail" => Err(ProduceError::Dropped { topic: "t".into(), plugin: "p".into(), failure: None }),
            "unknown" => Err(fatal(Fate::Unknown)),
            _ => {
                after = (value == "hang").then(|| Arc::clone(&self.closed));
                let mut sent = self.sent.lock().unwrap();
                sent.push(value);
                Ok(RecordMetadata {
                    topic: record.topic.into(),
                    partition: 0,
                    offset: Some(sent.len() as i64 - 1),
                    timestamp: 7,
                    serialized_key_size: None,
                    serialized_value_size: None,
                })
            }
        };
        Ok(Coming { result, after })
    }

    fn flush(&self) -> Result<(), ProduceError> {
        Ok(())
    }

    fn begin_transaction(&self) -> Result<(), TransactionError> {
        if self.has_sent("fence") {
            return Err(fenced());
        }
        *self.before.lock().unwrap() = self.sent.lock().unwrap().len();
        self.call("begin");
        Ok(())
    }

    fn commit_transaction(&self) -> Result<(), TransactionError> {
        if self.has_sent("spoil") {
            self.call("no commit");
            return Err(TransactionError::MustAbort { reason: "it is spoilt".into() });
        }
        if self.has_sent("slow") && self.calls.lock().unwrap().last().is_some_and(|call| call != "late") {
            self.call("late");
            return Err(TransactionError::Timeout {
                call: "commit_transaction",
                key: "max.block.ms",
                limit: Duration::from_secs(1),
                stage: "waiting",
                last_cause: None,
            });
        }
        if self.has_sent("lost") {
            self.call("lost");
            return Err(fenced());
        }
        self.call(format!("commit {}", self.sent.lock().unwrap().len() - *self.before.lock().unwrap()));
        Ok(())
    }

    fn abort_transaction(&self) -> Result<(), TransactionError> {
        self.call("abort");
        *self.closed.0.lock().unwrap() = true;
        self.closed.1.notify_all();
        if self.has_sent("fence") { Err(fenced()) } else { Ok(()) }
    }

    fn close(&self, _: Duration) -> Result<(), String> {
        *self.closed.0.lock().unwrap() = true;
        self.closed.1.notify_all();
        Ok(())
    }
}

impl Delivery for Coming {
    fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>> {
        self.after.is_none().then(|| self.result.clone())
    }

    fn wait_for(self, patience: Duration) -> Result<Result<RecordMetadata, ProduceError>, Self> {
        if let Some((closed, changed)) = self.after.as_deref() {
            let open = closed.lock().unwrap();
            if !*changed.wait_timeout_while(open, patience, |closed| !*closed).unwrap().0 {
                return Err(self);
            }
        }
        Ok(self.result)
    }
}

struct AnyTopic;

impl Cluster for AnyTopic {
    fn has(&mut self, topic: &str) -> Result<bool, String> {
        Ok(topic != "absent")
    }

    fn create(&mut self, _: &str, _: Option<i32>) -> Result<(), String> {
        Ok(())
    }

    fn nearest(&mut self, _: &str) -> Option<String> {
        None
    }

    fn address(&self) -> String {
        "here".to_owned()
    }
}

/// A report that a test can read, and that takes so many bytes.
#[derive(Clone)]
struct Page {
    text: Arc<Mutex<Vec<u8>>>,
    bytes_max: usize,
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().unwrap();
        if text.len() + bytes.len() > self.bytes_max {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Case {
    files: Vec<PathBuf>,
    job: Job,
    page: Page,
    signals: usize,
    transactions: Option<u64>,
    _folder: tempfile::TempDir,
}

fn case(format: Format, texts: &[&str]) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let write = |(at, text): (usize, &&str)| {
        let path = folder.path().join(format!("{at}.txt"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let files: Vec<PathBuf> = texts.iter().enumerate().map(write).collect();
    let sources = files.iter().map(|file| Source::named(file)).collect();
    let job = Job { sources, format, topic: Some("t".to_owned()), record_bytes_max: 100, is_strict: false };
    let page = Page { text: Arc::default(), bytes_max: usize::MAX };
    Case { files, job, page, signals: 0, transactions: None, _folder: folder }
}

impl Case {
    /// What was sent, what was reported, how it ended.
    fn run(self) -> (Vec<String>, String, Outcome) {
        let (sent, _, report, outcome) = self.run_with_calls();
        (sent, report, outcome)
    }

    /// The same, and what was called about transactions.
    fn run_with_calls(self) -> (Vec<String>, Vec<String>, String, Outcome) {
        let (events, inbox) = channel::<Event<()>>();
        let producer = Fake::default();
        let (sent, calls) = (Arc::clone(&producer.sent), Arc::clone(&producer.calls));
        let options = Options {
            report: Some(self.page.clone()),
            is_quiet: true,
            shows_progress: false,
            close_deadline: Duration::from_secs(9),
            transactions: self.transactions,
        };
        for _ in 0..self.signals {
            let (tell, sent) = (events.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                // Not before the reader stands at the record that blocks it.
                while sent.lock().unwrap().is_empty() {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(20));
                drop(tell.send(Event::Signal(Signal::INTERRUPT)));
            });
        }
        let outcome = run(self.job, producer, Topics::new(AnyTopic, Create::No), options, (events, &inbox));
        let report = String::from_utf8(self.page.text.lock().unwrap().clone()).unwrap();
        let (sent, calls) = (sent.lock().unwrap().clone(), calls.lock().unwrap().clone());
        (sent, calls, report, outcome)
    }
}

fn lines() -> Format {
    Format::Lines { separator: None }
}

#[test]
fn all_delivered() {
    let (sent, report, outcome) = case(lines(), &["a\nb\n"]).run();
    assert_eq!((sent, outcome), (vec!["a".to_owned(), "b".to_owned()], Outcome::Delivered));
    assert_eq!(
        report,
        "{\"line\":1,\"topic\":\"t\",\"partition\":0,\"offset\":0,\"timestamp\":7}\n\
         {\"line\":2,\"topic\":\"t\",\"partition\":0,\"offset\":1,\"timestamp\":7}\n"
    );
}

#[test]
fn nothing_to_send_is_no_failure() {
    let (sent, report, outcome) = case(lines(), &[""]).run();
    assert_eq!((sent.len(), report.as_str(), outcome), (0, "", Outcome::Delivered));
}

#[test]
fn the_report_has_every_line_in_order_whatever_became_of_it() {
    let text = "{\"value\":\"a\"}\nnonsense\n\n{\"value\":\"fail\"}\n{\"value\":\"hang\"}\n{\"value\":\"refuse\"}\n\
                {\"value\":\"unknown\"}\n{\"topic\":\"absent\",\"value\":\"b\"}\n{\"topic\":\"u\",\"value\":\"c\"}\n";
    let (sent, report, outcome) = case(Format::Jsonl, &[text]).run();
    assert_eq!((sent, outcome), (vec!["a".to_owned(), "hang".to_owned(), "c".to_owned()], Outcome::NotAll));
    let expected = [
        r#"{"line":1,"topic":"t","partition":0,"offset":0,"timestamp":7}"#,
        r#"{"line":2,"error":"not JSON","fate":"not-written"}"#,
        r#"{"line":4,"error":"t: dropped by plugin p","fate":"not-written"}"#,
        r#"{"line":5,"topic":"t","partition":0,"offset":1,"timestamp":7}"#,
        r#"{"line":6,"error":"buffer.memory is full","fate":"not-written"}"#,
        r#"{"line":7,"error":"the producer cannot go on: it is over","fate":"unknown"}"#,
        r#"{"line":8,"error":"topic absent does not exist on here; --create-topics creates it","fate":"not-written"}"#,
        r#"{"line":9,"topic":"u","partition":0,"offset":2,"timestamp":7}"#,
    ];
    assert_eq!(report.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn several_files_are_named_and_one_that_cannot_be_read_does_not_stop_the_rest() {
    let case = case(lines(), &["a", "b", "c"]);
    std::fs::remove_file(&case.files[1]).unwrap();
    let names = case.files.clone();
    let (sent, report, outcome) = case.run();
    assert_eq!((sent, outcome), (vec!["a".to_owned(), "c".to_owned()], Outcome::NotAll));
    for (line, name) in report.lines().zip(names) {
        assert!(line.starts_with(&format!("{{\"file\":{:?},\"line\":", name.display().to_string())), "{line}");
    }
    assert!(report.lines().nth(1).unwrap().contains("\"line\":0,\"error\":\"cannot be read: No such file"), "{report}");
}

#[test]
fn lines_beyond_the_largest_record_are_named_and_skipped() {
    let text = format!("a\n{}\nb\n", "x".repeat(70_000));
    let (sent, report, outcome) = case(lines(), &[&text]).run();
    assert_eq!((sent, outcome), (vec!["a".to_owned(), "b".to_owned()], Outcome::NotAll));
    let line = report.lines().nth(1).unwrap();
    assert!(line.contains("a line of 70000 bytes is longer than max.request.size (100 bytes) allows"), "{line}");
}

#[test]
fn strict_stops_at_the_first_bad_line() {
    let mut case = case(Format::Jsonl, &["{\"value\":\"a\"}\n[]\n{\"value\":\"b\"}\n"]);
    case.job.is_strict = true;
    let (sent, report, outcome) = case.run();
    assert_eq!((sent, report.lines().count(), outcome), (vec!["a".to_owned()], 2, Outcome::NotAll));
}

#[test]
fn a_producer_that_cannot_go_on_ends_the_reading() {
    let (sent, report, outcome) = case(lines(), &["a\nfatal\nb\n"]).run();
    assert_eq!((sent, report.lines().count(), outcome), (vec!["a".to_owned()], 2, Outcome::NotAll));
}

#[test]
fn a_signal_delivers_what_was_accepted_and_the_record_at_hand_is_none_that_failed() {
    let mut case = case(lines(), &["hang\nblock\nb\n"]);
    // Together they are one.
    case.signals = 2;
    let (sent, report, outcome) = case.run();
    assert_eq!((sent, outcome), (vec!["hang".to_owned()], Outcome::NotAll));
    assert_eq!(report, "{\"line\":1,\"topic\":\"t\",\"partition\":0,\"offset\":0,\"timestamp\":7}\n");
}

#[test]
fn a_report_without_a_reader_ends_the_reading_and_not_the_deliveries() {
    let mut case = case(lines(), &["a\nblock\nb\n"]);
    case.page.bytes_max = 10;
    let (sent, report, outcome) = case.run();
    assert_eq!((sent, outcome), (vec!["a".to_owned()], Outcome::NotAll));
    assert!(report.len() <= 10);
}

fn delivered(line: u64) -> String {
    format!("{{\"line\":{line},\"topic\":\"t\",\"partition\":0,\"offset\":{},\"timestamp\":7}}", line - 1)
}

/// Lines of a report about transactions, what was called, how it ended.
fn in_transactions(records: u64, text: &str) -> (Vec<String>, Vec<String>, Outcome) {
    let mut case = case(lines(), &[text]);
    case.transactions = Some(records);
    let (_, calls, report, outcome) = case.run_with_calls();
    let ends = report.lines().filter(|line| line.starts_with("{\"transaction\"")).map(str::to_owned).collect();
    (ends, calls, outcome)
}

#[test]
fn all_is_one_transaction() {
    let mut case = case(lines(), &["a\nb\n", "c\n"]);
    case.transactions = Some(u64::MAX);
    let (sent, calls, report, outcome) = case.run_with_calls();
    assert_eq!((sent.len(), outcome), (3, Outcome::Delivered));
    assert_eq!(calls, ["begin", "commit 3"]);
    assert_eq!(report.lines().count(), 4);
    assert_eq!(report.lines().last(), Some(r#"{"transaction":1,"outcome":"committed","records":3}"#));
}

#[test]
fn a_transaction_ends_after_so_many_records_and_at_the_end() {
    let mut case = case(lines(), &["a\nb\nc\nd\n\n"]);
    case.job.format = Format::Json { key_field: None };
    std::fs::write(&case.files[0], "1\n2\n\n3\n4\n5\n\n").unwrap();
    case.transactions = Some(2);
    let (_, calls, report, outcome) = case.run_with_calls();
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(calls, ["begin", "commit 2", "begin", "commit 2", "begin", "commit 1"]);
    let ended =
        |number, records| format!("{{\"transaction\":{number},\"outcome\":\"committed\",\"records\":{records}}}");
    let report: Vec<&str> = report.lines().collect();
    assert_eq!(report[2], ended(1, 2));
    assert_eq!(report[5], ended(2, 2));
    assert_eq!(report[7], ended(3, 1));
    assert_eq!(report.len(), 8);
}

#[test]
fn no_transaction_is_begun_for_nothing() {
    assert_eq!(in_transactions(u64::MAX, ""), (vec![], vec![], Outcome::Delivered));
    let (ends, calls, outcome) = in_transactions(2, "a\nb\n");
    assert_eq!((ends.len(), calls.len(), outcome), (1, 2, Outcome::Delivered));
}

#[test]
fn whatever_fails_is_not_committed_and_neither_is_what_follows() {
    let aborted = |records| format!("{{\"transaction\":2,\"outcome\":\"aborted\",\"records\":{records}}}");
    for (text, records) in [
        ("a\nb\nc\nfail\ne\nf\n", 2),
        ("a\nb\nrefuse\nd\ne\nf\n", 1),
        ("a\nb\nc\nd\nunknown\nf\n", 3),
        ("a\nb\nc\nfatal\ne\nf\n", 2),
    ] {
        let (ends, calls, outcome) = in_transactions(if records == 3 { 4 } else { 2 }, text);
        assert_eq!(outcome, Outcome::NotAll, "{text}");
        if records < 3 {
            assert_eq!(ends[1..], [aborted(records)], "{text}");
            assert_eq!(calls, ["begin", "commit 2", "begin", "abort"], "{text}");
        }
    }
}

#[test]
fn a_line_that_is_no_record_is_in_no_transaction() {
    let mut case = case(Format::Jsonl, &["{\"value\":\"a\"}\n[]\n{\"value\":\"b\"}\n"]);
    case.transactions = Some(u64::MAX);
    let (sent, calls, report, outcome) = case.run_with_calls();
    assert_eq!((sent.len(), outcome), (1, Outcome::NotAll));
    assert_eq!(calls, ["begin", "abort"]);
    assert_eq!(report.lines().last(), Some(r#"{"transaction":1,"outcome":"aborted","records":1}"#));
}

#[test]
fn the_producer_may_know_better_than_the_records() {
    let spoilt = r#"{"transaction":1,"outcome":"aborted","records":2,"error":"it is spoilt"}"#;
    let (ends, calls, outcome) = in_transactions(u64::MAX, "a\nspoil\n");
    assert_eq!((ends, outcome), (vec![spoilt.to_owned()], Outcome::NotAll));
    assert_eq!(calls, ["begin", "no commit", "abort"]);
    // It is found out by a record, which is none that failed.
    let mut case = case(lines(), &["a\nspoil\nb\n"]);
    case.transactions = Some(u64::MAX);
    let (_, calls, report, _) = case.run_with_calls();
    assert_eq!(calls, ["begin", "abort"]);
    assert_eq!(report, format!("{}\n{}\n{spoilt}\n", delivered(1), delivered(2)));
}

#[test]
fn a_producer_that_is_fenced_off_ends_the_reading() {
    let (ends, calls, outcome) = in_transactions(1, "fence\nb\n");
    assert_eq!((ends.len(), calls.len(), outcome), (1, 2, Outcome::NotAll));
    assert!(ends[0].contains("committed"), "{ends:?}");
}

#[test]
fn a_commit_that_takes_long_is_waited_for() {
    let (ends, calls, outcome) = in_transactions(u64::MAX, "slow\n");
    assert_eq!((ends.len(), outcome), (1, Outcome::Delivered));
    assert_eq!(calls, ["begin", "late", "commit 1"]);
}

#[test]
fn a_commit_of_which_nothing_is_known_is_told_as_that() {
    let (ends, calls, outcome) = in_transactions(2, "a\nlost\nb\n");
    assert!(ends[0].starts_with(r#"{"transaction":1,"outcome":"unknown","records":2,"error":"transactional.id t is"#));
    assert_eq!((ends.len(), outcome), (1, Outcome::NotAll));
    assert_eq!(calls, ["begin", "lost"]);
}

#[test]
fn a_signal_aborts_the_transaction_that_is_open() {
    let mut case = case(lines(), &["a\nblock\nb\n"]);
    case.transactions = Some(u64::MAX);
    case.signals = 1;
    let (sent, calls, report, outcome) = case.run_with_calls();
    assert_eq!((sent.len(), outcome), (1, Outcome::NotAll));
    assert_eq!(calls, ["begin", "abort"]);
    assert_eq!(report, format!("{}\n{}\n", delivered(1), r#"{"transaction":1,"outcome":"aborted","records":1}"#));
}
