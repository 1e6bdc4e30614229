//! `pointsman plugin bench`: what a plugin's hooks cost.

use super::component::{Candidate, ComponentOptions, RECORDS_MAX, repeated, topology, words};
use crate::cli::EXIT_FAILED;
use crate::cli::terminal::{count as counted, print};
use anyhow::{Result, anyhow};
use clap::Args;
use pointsman::plugin::{
    Acknowledgements, Hook, Interceptor, Partitioner, PluginFactory, PluginFailure, Records, Refusal, Serializer, Side,
};
use pointsman::wasm::Use;
use serde_json::json;
use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Measure what a plugin's hooks cost, per record, by the number of records in a call
#[derive(Args, Debug)]
#[command(override_usage = "pointsman plugin bench [OPTIONS] <FILE.wasm | --config <FILE>>", after_help = AFTER_HELP)]
pub(super) struct Bench {
    #[command(flatten)]
    component: ComponentOptions,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Records in a call: what a lane's calls have when little is sent, and up to the most that they may have.
const BATCHES: [usize; 5] = [1, 8, 64, 256, RECORDS_MAX];
/// The best of so many runs counts: what else the machine does only adds.
const RUNS: usize = 7;
/// How long one of them takes.
const RUN: Duration = Duration::from_millis(20);
/// Calls between two looks at the clock.
const CALLS: u32 = 8;
/// Partitions of the topics that a partitioner is told of: the first that it takes.
const PARTITIONS: [u32; 4] = [6, 2, 100, 1];

/// Nanoseconds for a record, by size of the call; `None` where such a call fails, or would be larger than a lane's.
type Row = [Option<f64>; BATCHES.len()];

impl Bench {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let sample = self.component.records()?;
        let batches = BATCHES.map(|count| repeated(&sample, count));
        let candidates = self.component.load()?;
        let floor = floor(&batches);
        let mut rows = Vec::new();
        for candidate in &candidates {
            for &used in &candidate.uses {
                measure(candidate, used, &batches, &mut rows)?;
            }
        }
        let all_measured = rows.iter().all(|row| !row.is_failing);
        print(&if self.json { as_json(&floor, &rows) } else { table(&floor, &rows)? })?;
        Ok(if all_measured { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

/// Copies of keys and values: less than that no plugin that reads them can cost.
fn floor(batches: &[Records; BATCHES.len()]) -> Row {
    let mut copy = Vec::new();
    std::array::from_fn(|at| {
        let Records { keys, values, .. } = &batches[at];
        let best = best(batches[at].len(), || {
            copy.clear();
            copy.extend_from_slice(black_box(keys.as_ref().data));
            copy.extend_from_slice(black_box(values.as_ref().data));
            black_box(&copy);
            Ok(())
        });
        best.ok().filter(|_| batches[at].len() == BATCHES[at])
    })
}

/// A hook of a plugin, and what it costs.
struct Measured {
    plugin: String,
    hook: Hook,
    row: Row,
    is_failing: bool,
    /// Of the records of the largest call.
    refused: usize,
    /// Instances that were replaced meanwhile, as their memory grew: that costs, too.
    replaced: u64,
    /// What is to be said of it.
    notes: Vec<String>,
}

/// The hooks that a use of a plugin calls.
fn measure(
    candidate: &Candidate,
    used: Use,
    batches: &[Records; BATCHES.len()],
    measured: &mut Vec<Measured>,
) -> Result<()> {
    let plugin = &candidate.plugin;
    let fail = |hook: Hook| move |failure: PluginFailure| anyhow!("{}, {hook}: {}", plugin.name(), words(&failure));
    let mut add = |hook, time: &mut dyn FnMut(&Records) -> Timed| {
        let (mut row, mut notes, mut refused, mut is_failing) = (Row::default(), Vec::new(), 0, false);
        let replaced = plugin.metrics().instances_recycled;
        for ((nanos, records), count) in row.iter_mut().zip(batches).zip(BATCHES) {
            if records.len() < count {
                notes.push(format!("{count} of these records are more than a call carries"));
                break;
            }
            match time(records) {
                Ok((took, refusals)) => {
                    *nanos = Some(took);
                    refused = refusals.len();
                    if let Some(Refusal { reason, .. }) = refusals.first().filter(|_| count == RECORDS_MAX) {
                        notes.push(format!(
                            "refuses {refused} of {count} records: {reason} (--records FILE.jsonl has others)"
                        ));
                    }
                }
                Err(failure) => {
                    // The others fail likewise.
                    if !is_failing {
                        notes.push(format!("{} in a call: {}", counted(count as u64, "record"), words(&failure)));
                    }
                    is_failing = true;
                }
            }
        }
        let replaced = plugin.metrics().instances_recycled - replaced;
        if replaced > 0 {
            let times = counted(replaced, "time");
            notes.push(format!("its memory grows: its instance was replaced {times}, which is in the figures"));
        }
        measured.push(Measured { plugin: plugin.name().to_owned(), hook, row, is_failing, refused, replaced, notes });
    };
    match used {
        Use::Interceptor => {
            let mut interceptor = plugin.interceptor(0).map_err(fail(Hook::Configure))?;
            if interceptor.wants().on_send.is_some() {
                add(Hook::OnSend, &mut |records| on_send(&mut *interceptor, records));
            }
            if interceptor.wants().acknowledgements {
                add(Hook::OnAcknowledgement, &mut |records| acknowledge(&mut *interceptor, records));
            }
        }
        Use::Serializer(side) => {
            let hook = if side == Side::Key { Hook::SerializeKey } else { Hook::SerializeValue };
            let mut serializer = plugin.serializer(0, side).map_err(fail(Hook::Configure))?;
            add(hook, &mut |records| serialize(&mut *serializer, side, records));
        }
        Use::Partitioner => {
            let mut partitioner = plugin.partitioner(0).map_err(fail(Hook::Configure))?;
            let topics = &batches[BATCHES.len() - 1].topics;
            let mut told = Ok(());
            for partitions in PARTITIONS {
                let consistency = partitioner.wants().consistency;
                told = topics
                    .iter()
                    .try_for_each(|topic| partitioner.on_topology(&topology(topic, partitions, consistency)).map(drop));
                if told.is_ok() {
                    break;
                }
            }
            told.map_err(fail(Hook::OnTopology))?;
            add(Hook::Partition, &mut |records| partition(&mut *partitioner, records));
        }
    }
    Ok(())
}

/// Nanoseconds for a record, and what was refused.
type Timed = Result<(f64, Vec<Refusal>), PluginFailure>;

fn on_send(interceptor: &mut dyn Interceptor, records: &Records) -> Timed {
    let reads = interceptor.wants().on_send.clone().unwrap_or_default();
    let (names, headers) = (records.topic_names(), records.read_headers(&reads.headers));
    let batch = records.batch(&reads, &names, &headers);
    let refused = interceptor.on_send(&batch)?.refused;
    Ok((best(batch.count, || interceptor.on_send(&batch).map(drop))?, refused))
}

fn acknowledge(interceptor: &mut dyn Interceptor, records: &Records) -> Timed {
    let (names, count) = (records.topic_names(), records.len());
    let (zeros, numbers) = (vec![0; count], (0..count as i64).collect::<Vec<_>>());
    let told = Acknowledgements {
        count,
        topics: records.topic_column(&names),
        partitions: &vec![0; count],
        offsets: &numbers,
        timestamps: &records.timestamps,
        errors: &vec![0; count],
        fates: &vec![0; count],
        tags: &zeros,
    };
    Ok((best(count, || interceptor.on_acknowledgement(&told))?, Vec::new()))
}

fn serialize(serializer: &mut dyn Serializer, side: Side, records: &Records) -> Timed {
    let (names, headers) = (records.topic_names(), records.read_headers(serializer.headers()));
    let (topics, headers) = (records.topic_column(&names), headers.as_ref().map(|headers| headers.as_ref()));
    let payloads = if side == Side::Key { records.keys.as_ref() } else { records.values.as_ref() };
    let refused = serializer.serialize(topics, payloads, headers)?.refused;
    Ok((best(records.len(), || serializer.serialize(topics, payloads, headers).map(drop))?, refused))
}

fn partition(partitioner: &mut dyn Partitioner, records: &Records) -> Timed {
    let mut reads = partitioner.wants().reads.clone();
    // Told in any case.
    reads.fields.topic = true;
    let mut records = records.clone();
    // It is not asked about others.
    records.partitions.fill(-1);
    let (names, headers) = (records.topic_names(), records.read_headers(&reads.headers));
    let batch = records.batch(&reads, &names, &headers);
    let refused = partitioner.partition(&batch)?.refused;
    Ok((best(batch.count, || partitioner.partition(&batch).map(drop))?, refused))
}

/// Nanoseconds for a record of calls with so many.
fn best(count: usize, mut call: impl FnMut() -> Result<(), PluginFailure>) -> Result<f64, PluginFailure> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let (started, mut calls) = (Instant::now(), 0_u32);
        let took = loop {
            // The clock costs as much as a small call: it is not read after each.
            for _ in 0..CALLS {
                call()?;
            }
            calls += CALLS;
            let took = started.elapsed();
            if took >= RUN {
                break took;
            }
        };
        best = best.min(took.as_secs_f64() * 1e9 / (f64::from(calls) * count as f64));
    }
    Ok(best)
}

fn table(floor: &Row, all: &[Measured]) -> Result<String, std::fmt::Error> {
    let names: Vec<String> = all.iter().map(|one| format!("{}, {}", one.plugin, one.hook)).collect();
    let widest = names.iter().map(String::len).chain([FLOOR.len()]).max().unwrap_or_default();
    let mut text = format!("{:<widest$}", "ns per record, by records in a call");
    for count in BATCHES {
        write!(text, " {count:>9}")?;
    }
    let rows = names.iter().map(|name| name.as_str()).zip(all.iter().map(|one| &one.row));
    for (name, row) in std::iter::once((FLOOR, floor)).chain(rows) {
        write!(text, "\n{name:<widest$}")?;
        for nanos in row {
            match nanos {
                Some(nanos) => write!(text, " {nanos:>9.1}")?,
                None => write!(text, " {:>9}", "-")?,
            }
        }
    }
    text.push('\n');
    for (name, one) in names.iter().zip(all) {
        for note in &one.notes {
            writeln!(text, "{name}: {note}")?;
        }
    }
    Ok(text)
}

fn as_json(floor: &Row, all: &[Measured]) -> String {
    let row = |row: &Row| BATCHES.iter().zip(row).map(|(count, nanos)| (count.to_string(), json!(nanos))).collect();
    let rows = all.iter().map(|Measured { plugin, hook, row: nanos, is_failing, refused, replaced, notes }| {
        let nanos: serde_json::Map<_, _> = row(nanos);
        json!({
            "plugin": plugin,
            "hook": hook.name(),
            "nanos": nanos,
            "failing": is_failing,
            "refused": refused,
            "replaced": replaced,
            "notes": notes,
        })
    });
    let floor: serde_json::Map<_, _> = row(floor);
    format!("{:#}\n", json!({"copy": floor, "hooks": rows.collect::<Vec<_>>()}))
}

const FLOOR: &str = "a copy of keys and values";

const AFTER_HELP: &str = "\
Examples:
  pointsman plugin bench router.wasm -S source=key-prefix -S separator=- -S regions.CA=0
  pointsman plugin bench -c orders.toml --records sample.jsonl

The best of several runs on this machine. Under load calls grow by themselves, up to 1,024 records. \
Partitioners are told of topics with 6 partitions, or as many as they take. Without --records they are \
orders with a key and a JSON value of about 100 bytes.
Exit status: 0 it was measured, 1 a plugin does not start or some call fails, 2 the command line, the \
records or the configuration make no sense";
