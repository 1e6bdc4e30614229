//! One use of a plugin, tried.

use super::Finding;
use crate::cli::plugin::component::{RECORDS_MAX, push, repeated, topology, with_record_of, words};
use crate::cli::terminal::{count, short};
use pointsman::plugin::{
    Acknowledgements, BreakerOptions, Chain, Consistency, End, FailureKind, Hook, PluginFactory, PluginFailure, Policy,
    Records, Side, TopicFailure, Used,
};
use pointsman::wasm::{Limits, Plugin, Use};
use pointsman::{Header, ProduceError, Record};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is tried, and with what.
pub(super) struct Trial<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) used: Use,
    pub(super) limits: Limits,
    /// Records as they should be.
    pub(super) usual: &'a Records,
    pub(super) topic: &'a str,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Taken; by a partitioner, to there.
    Taken(i32),
    /// Left out on purpose.
    Dropped,
    /// In the plugin's words.
    Refused(String),
    /// What a plugin should not do.
    Failed(String),
}

/// A chain with the one plugin, and what its partitioner said of topics.
struct Tried {
    chain: Chain,
    failed_topics: BTreeMap<String, PluginFailure>,
}

impl Trial<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Err(failure) = self.try_all(&mut findings) {
            findings.push(Finding::Bad(words(&failure)));
        }
        findings
    }

    fn try_all(&self, findings: &mut Vec<Finding>) -> Result<(), PluginFailure> {
        let mut partitions = None;
        if self.used == Use::Partitioner {
            partitions = self.topologies(findings)?;
            if partitions.is_none() {
                return Ok(());
            }
        }
        let mut tried = self.tried(partitions)?;
        let is_called = match self.used {
            Use::Interceptor => tried.chain.interceptors.iter().any(|used| used.role.wants().on_send.is_some()),
            Use::Serializer(_) | Use::Partitioner => true,
        };
        if is_called {
            self.odd_records(&mut tried, findings);
            self.full_load(&mut tried, partitions, findings);
        }
        if let Some(partitions) = partitions {
            self.places_by_record(partitions, findings)?;
        }
        if tried.chain.wants_acknowledgements() {
            acknowledgements(&mut tried.chain, self.topic, findings);
        }
        tried.chain.close();
        Ok(())
    }

    /// A fresh instance; a partitioner's is told of the topics, of so many partitions.
    fn tried(&self, partitions: Option<u32>) -> Result<Tried, PluginFailure> {
        let Trial { plugin, used, usual, .. } = self;
        let name = plugin.name();
        // Each failure is to be seen, however many there were before it.
        let never = BreakerOptions { incidents: 0, ..BreakerOptions::default() };
        let mut chain = Chain::default();
        match used {
            Use::Interceptor => {
                chain.interceptors.push(Used::new(name, plugin.interceptor(0)?, Policy::Fail, never));
            }
            Use::Serializer(side) => {
                let serializer = Some(Used::new(name, plugin.serializer(0, *side)?, Policy::Fail, never));
                match side {
                    Side::Key => chain.key_serializer = serializer,
                    Side::Value => chain.value_serializer = serializer,
                }
            }
            Use::Partitioner => {
                chain.partitioner = Some(Used::new(name, plugin.partitioner(0)?, Policy::Fail, never));
            }
        }
        let mut tried = Tried { chain, failed_topics: BTreeMap::new() };
        if let Some(partitions) = partitions {
            let topics = usual.topics.iter().map(|topic| &**topic).chain([self.topic]);
            for topic in topics.collect::<std::collections::BTreeSet<&str>>() {
                if let Err(failure) = tried.tell(topic, partitions) {
                    tried.failed_topics.insert(topic.to_owned(), failure);
                }
            }
        }
        Ok(tried)
    }

    /// Returns a number of partitions that it can work with.
    fn topologies(&self, findings: &mut Vec<Finding>) -> Result<Option<u32>, PluginFailure> {
        let mut tried = self.tried(None)?;
        let (mut works, mut refused, mut why) = (Vec::new(), Vec::new(), String::new());
        for partitions in [1, 2, 3, 6, 100, 1000] {
            match tried.tell(self.topic, partitions) {
                Ok(()) => works.push(partitions),
                Err(failure) if failure.kind == FailureKind::Error => {
                    refused.push(partitions);
                    why = failure.cause;
                }
                Err(failure) => {
                    let what = format!("{partitions} partitions: {}", words(&failure));
                    findings.push(Finding::Bad(format!("{}, {what}", Hook::OnTopology)));
                }
            }
        }
        if !refused.is_empty() {
            let what = format!("{}: it does not take topics of {} partitions: {why}", Hook::OnTopology, list(&refused));
            findings.push(if works.is_empty() { Finding::Bad(what) } else { Finding::Note(what) });
        }
        if !works.is_empty() {
            findings.push(Finding::Good(format!("{}: topics of {} partitions", Hook::OnTopology, list(&works))));
        }
        Ok(works.iter().copied().find(|partitions| *partitions == USUAL_PARTITIONS).or(works.last().copied()))
    }

    fn odd_records(&self, tried: &mut Tried, findings: &mut Vec<Finding>) {
        let odd = odd_records(self.topic);
        let alone: Vec<Outcome> = odd.iter().flat_map(|(_, record)| self.run(tried, record.clone())).collect();
        let mut together = Records::default();
        let companions: Vec<usize> =
            (0..odd.len()).filter(|&at| odd[at].1.staged_bytes() < COMPANY_BYTES_MAX).collect();
        for &at in &companions {
            append(&mut together, &odd[at].1);
        }
        let in_company = self.run(tried, together);
        let hook = self.hook();
        let (mut taken, mut dropped, mut refused, mut why) = (0, 0, 0, None);
        for ((name, _), outcome) in odd.iter().zip(&alone) {
            match outcome {
                Outcome::Taken(_) => taken += 1,
                Outcome::Dropped => dropped += 1,
                Outcome::Refused(reason) => {
                    refused += 1;
                    why.get_or_insert_with(|| format!("; {name}: {reason}"));
                }
                Outcome::Failed(what) => findings.push(Finding::Bad(format!("{hook}, {name}: {what}"))),
            }
        }
        // What fails alone was said.
        for (&at, outcome) in companions.iter().zip(&in_company) {
            let name = odd[at].0;
            match (&alone[at], outcome) {
                (Outcome::Failed(_), _) => {}
                (_, Outcome::Failed(what)) => {
                    findings.push(Finding::Bad(format!("{hook}, {name}, in a call with others: {what}")));
                }
                (Outcome::Refused(_), Outcome::Refused(_)) => {}
                (one, other) if std::mem::discriminant(one) != std::mem::discriminant(other) => {
                    let what = format!("{hook}, {name}: alone {}, with others {}", one.words(), other.words());
                    findings.push(Finding::Bad(what));
                }
                _ => {}
            }
        }
        if alone.iter().chain(&in_company).all(|outcome| !matches!(outcome, Outcome::Failed(_))) {
            let others = [(dropped, "left out"), (refused, "refused")];
            let others: String = others
                .iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, word)| format!(", {number} {word}"))
                .collect();
            let what = format!(
                "{hook}: {}, alone and together: {taken} taken{others}{}",
                count(odd.len() as u64, "odd record"),
                why.unwrap_or_default()
            );
            findings.push(Finding::Good(what));
        }
    }

    /// As many records at a time as a lane ever has for a call, again and again.
    fn full_load(&self, tried: &mut Tried, partitions: Option<u32>, findings: &mut Vec<Finding>) {
        let hook = self.hook();
        let records = repeated(self.usual, RECORDS_MAX);
        let many = count(records.len() as u64, "record");
        let recycled = self.plugin.metrics().instances_recycled;
        let (began, mut took, mut calls) = (Instant::now(), Vec::new(), 0);
        let mut outcomes = Vec::new();
        while took.len() < ROUNDS_MAX && (took.len() < ROUNDS_MIN || began.elapsed() < ROUNDS_TIME) {
            // What the chain remembers of keys it would not ask for.
            for topic in partitions.iter().flat_map(|_| &records.topics) {
                let _ = tried.tell(topic, partitions.unwrap_or_default());
            }
            let (before, called) = (tried.calls(hook), Instant::now());
            outcomes = self.run(tried, records.clone());
            took.push(called.elapsed());
            calls = tried.calls(hook) - before;
        }
        let failed: Vec<&String> = outcomes.iter().filter_map(Outcome::failed).collect();
        if let Some(first) = failed.first() {
            findings.push(Finding::Bad(format!("{hook}: of {many} at a time {} failed: {first}", failed.len())));
            return;
        }
        let refused: Vec<&String> = outcomes.iter().filter_map(Outcome::refused).collect();
        if let Some(why) = refused.first() {
            let what = format!("{hook}: refuses {} of {many}: {why}", refused.len());
            findings.push(Finding::Note(format!("{what} (--records FILE.jsonl has others)")));
        }
        // What the longest took may be the machine's fault.
        took.sort_unstable();
        let (millis, limit) = (took[took.len() / 2].as_secs_f64() * 1e3, self.limits.timeout.as_millis());
        let what = format!("{hook}: {many} at a time take {millis:.1} ms");
        findings.push(match calls {
            0 | 1 => Finding::Good(format!("{what}; timeout.ms is {limit}")),
            _ => Finding::Note(format!("{what} in {calls} calls: larger ones ran out of time, timeout.ms is {limit}")),
        });
        let recycled = self.plugin.metrics().instances_recycled - recycled;
        if recycled > 0 {
            let of = count((took.len() * records.len()) as u64, "record");
            let what =
                format!("{hook}: its memory grows: in {of} its instance was replaced {}", count(recycled, "time"));
            findings.push(Finding::Note(what));
        }
    }

    /// Whether what is placed by the record alone is placed so by any instance, in any company.
    fn places_by_record(&self, partitions: u32, findings: &mut Vec<Finding>) -> Result<(), PluginFailure> {
        let hook = self.hook();
        let mut tried = self.tried(Some(partitions))?;
        let consistency = tried.chain.partitioner_wants().map(|wants| wants.consistency).unwrap_or_default();
        if consistency == Consistency::Free {
            let what = "places by what it has seen (consistency free): its chain keeps to one lane";
            findings.push(Finding::Note(format!("{hook}: {what}")));
            return Ok(());
        }
        let mut records = repeated(self.usual, self.usual.len().min(SOLO_RECORDS_MAX));
        // It is not asked about others.
        records.partitions.fill(-1);
        let together = self.run(&mut tried, records.clone());
        let mut other = self.tried(Some(partitions))?;
        for at in (0..records.len()).rev() {
            let alone = self.run(&mut other, one(&records, at));
            if let [Outcome::Taken(alone)] = alone[..]
                && let Outcome::Taken(together) = together[at]
                && alone != together
            {
                let key = records.keys.as_ref().iter().nth(at).flatten();
                let (one, other) = (target(together), target(alone));
                findings.push(Finding::Bad(format!(
                    "{hook}: key {} goes to {one} in a call with others, and to {other} alone and by another instance; \
                     a partitioner whose answers follow from more than the record is of consistency free",
                    short(key)
                )));
                return Ok(());
            }
        }
        let what = format!("{hook}: the same place alone, in company, and by another instance");
        findings.push(Finding::Good(what));
        Ok(())
    }

    /// Has records go through, and says what became of each.
    fn run(&self, tried: &mut Tried, mut records: Records) -> Vec<Outcome> {
        let slots = records.len();
        let mut outcomes = vec![Outcome::Taken(0); slots];
        let mut ended = Vec::new();
        match self.used {
            Use::Interceptor => drop(tried.chain.on_send(Duration::ZERO, &mut records, slots, &mut ended)),
            Use::Serializer(_) => tried.chain.serialize(Duration::ZERO, &mut records, &mut ended),
            Use::Partitioner => {
                let failed: Vec<TopicFailure> = (records.topics.iter().zip(0..))
                    .filter_map(|(topic, at)| Some((at, tried.failed_topics.get(&**topic)?.clone())))
                    .collect();
                let placed = tried.chain.partition(Duration::ZERO, &mut records, &failed, &mut ended);
                for (&slot, target) in records.slots.iter().zip(placed.targets) {
                    outcomes[slot as usize] = Outcome::Taken(target);
                }
            }
        }
        for ended in ended {
            let End::Failed(error) = ended.end else { continue };
            outcomes[ended.slot as usize] = match error {
                ProduceError::Plugin { kind: FailureKind::Refused, cause, .. } => Outcome::Refused(cause.to_string()),
                ProduceError::Plugin { kind, cause, .. } => Outcome::Failed(format!("{}: {cause}", kind.words())),
                ProduceError::Dropped { .. } => Outcome::Dropped,
                error => Outcome::Failed(error.to_string()),
            };
        }
        outcomes
    }

    fn hook(&self) -> Hook {
        match self.used {
            Use::Interceptor => Hook::OnSend,
            Use::Serializer(Side::Key) => Hook::SerializeKey,
            Use::Serializer(Side::Value) => Hook::SerializeValue,
            Use::Partitioner => Hook::Partition,
        }
    }
}

impl Tried {
    /// Made so far.
    fn calls(&self, hook: Hook) -> u64 {
        self.chain.meter.counts().iter().filter(|(_, of, _)| *of == hook).map(|(_, _, counts)| counts.calls).sum()
    }

    fn tell(&mut self, topic: &str, partitions: u32) -> Result<(), PluginFailure> {
        let consistency = self.chain.partitioner_wants().map(|wants| wants.consistency).unwrap_or_default();
        let told = topology(topic, partitions, consistency);
        self.chain.on_topology(Duration::ZERO, &told).map(drop)
    }
}

impl Outcome {
    fn failed(&self) -> Option<&String> {
        if let Outcome::Failed(what) = self { Some(what) } else { None }
    }

    fn refused(&self) -> Option<&String> {
        if let Outcome::Refused(why) = self { Some(why) } else { None }
    }

    fn words(&self) -> &'static str {
        match self {
            Outcome::Taken(_) => "taken",
            Outcome::Dropped => "left out",
            Outcome::Refused(_) => "refused",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// Outcomes of every kind: written, without an offset, failed early, late, and on purpose.
fn acknowledgements(chain: &mut Chain, topic: &str, findings: &mut Vec<Finding>) {
    let errors = [0, 0, -100, -101, -102, -103, -104, 7, -1];
    let names = [topic];
    let all = Acknowledgements {
        count: errors.len(),
        topics: pointsman::plugin::TopicColumnRef { names: &names, indexes: &[] },
        partitions: &[0, 5, -1, -1, -1, -1, 2, 3, 4],
        offsets: &[17, -1, -1, -1, -1, -1, -1, -1, -1],
        timestamps: &[1_700_000_000_000, -1, -1, -1, -1, -1, -1, -1, -1],
        errors: &errors,
        fates: &[0, 0, 1, 1, 1, 1, 2, 2, 2],
        tags: &[0; 9],
    };
    let hook = Hook::OnAcknowledgement;
    let mut failed = chain.on_acknowledgement(Duration::ZERO, &all, &[]);
    for at in 0..all.count {
        failed.extend(chain.on_acknowledgement(Duration::ZERO, &all.range(at..at + 1), &[]));
    }
    match failed.into_iter().next() {
        Some((_, failure)) => {
            findings.push(Finding::Bad(format!("{hook}: {}", words(&failure))));
        }
        None => findings.push(Finding::Good(format!("{hook}: {} outcomes, alone and together", all.count))),
    }
}

/// Records that an author may not have thought of.
fn odd_records(topic: &str) -> Vec<(&'static str, Records)> {
    let deep = "[".repeat(10_000);
    let large = vec![b'x'; 1_000_000];
    let names: Vec<String> = (0..100).map(|number| format!("header-{number}")).collect();
    let header = |name, value| Header { name, value };
    let many: Vec<Header<'_>> = names.iter().map(|name| header(name, Some(b"x".as_slice()))).collect();
    let no_text: &[u8] = &[0xff, 0xfe, 0, 0x80];
    let json = r#"{"id":17,"state":"CA","name":"Zoë \u0000 \ud83d\ude00","n":1e400,"id":18}"#;
    let plain = || Record::to(topic).key("k").value("v");
    let all = [
        ("no key and no value", Record::to(topic)),
        ("an empty key and value", Record::to(topic).key("").value("")),
        ("a key without a value", Record::to(topic).key("k")),
        ("a value without a key", Record::to(topic).value("v")),
        ("text", plain()),
        ("bytes that are no text", Record::to(topic).key(no_text).value(no_text)),
        ("JSON with a name twice and a number too large", Record::to(topic).key("CA-17").value(json)),
        ("JSON that ends early", Record::to(topic).key("CA-17").value(r#"{"id":17,"state":"C"#)),
        ("JSON 10,000 deep", Record::to(topic).key("k").value(&deep)),
        ("a megabyte", Record::to(topic).key("k").value(&large)),
        ("a header without a value", Record { headers: &[header("h", None)], ..plain() }),
        ("a header twice", Record { headers: &[header("h", Some(b"1")), header("h", Some(b"2"))], ..plain() }),
        ("a header without a name", Record { headers: &[header("", Some(no_text))], ..plain() }),
        ("a hundred headers", Record { headers: &many, ..plain() }),
        ("a timestamp of 1970", Record { timestamp: Some(0), ..plain() }),
    ];
    all.into_iter()
        .map(|(name, record)| {
            let mut records = Records::default();
            push(&mut records, &record);
            (name, records)
        })
        .collect()
}

fn append(records: &mut Records, more: &Records) {
    for at in 0..more.len() {
        with_record_of(more, at, |record| push(records, record));
    }
}

fn one(records: &Records, at: usize) -> Records {
    let mut only = Records::default();
    with_record_of(records, at, |record| push(&mut only, record));
    only
}

fn target(target: i32) -> String {
    match target {
        0.. => format!("partition {target}"),
        -1 => "the producer's own choice".to_owned(),
        _ => format!("group {}", -2 - target),
    }
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// How many partitions a topic has, if that suits.
const USUAL_PARTITIONS: u32 = 6;
/// A larger record goes alone, as in a lane.
const COMPANY_BYTES_MAX: usize = 128 * 1024;
/// Records that are placed one by one.
const SOLO_RECORDS_MAX: usize = 256;
/// Rounds at full load, and how long they take: the first ones are for the size of calls, and enough for memory to grow.
const ROUNDS_MIN: usize = 8;
const ROUNDS_MAX: usize = 400;
const ROUNDS_TIME: Duration = Duration::from_secs(2);
