//! `pointsman demo`: the whole way of a record, in one process and a few seconds.

mod broker;
mod build;
mod hooks;
mod orders;
mod table;

use super::signals;
use super::stopwatch::{Stopwatch, process_cpu};
use super::terminal::{Progress, print, thousands};
use anyhow::{Context, Result, bail, ensure};
use broker::Broker;
use build::Plugins;
use clap::Args;
use hooks::Hook;
use orders::{Order, REGIONS};
use pointsman::config::Config;
use pointsman::{Producer, Record};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;
use table::{Style, Table};

/// Show it at work: orders of six regions, traced, framed and routed by Wasm plugins, through a broker in this process
///
/// Builds the plugins, starts an embedded broker, sends 100,000 orders through trace-context, schema-frame and
/// region-router, reads them back, and shows who went where and what each hook cost. Nothing is left running.
#[derive(Args, Debug)]
#[command(after_help = "Exit status: 0 every order is where it belongs, 1 anything else")]
pub(super) struct Demo {
    /// The folder with the plugins' sources, if it is not beside this program's own
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,

    /// How many orders
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    orders: u32,

    /// Leave the broker up, for further commands, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What it cost to send all orders.
#[derive(Default)]
struct Cost {
    elapsed: Option<Duration>,
    /// Processor time of the process, the broker's thread left out.
    cpu: Option<Duration>,
    /// Of the cheapest run.
    hooks: Vec<Hook>,
}

/// A run.
struct Run {
    elapsed: Duration,
    cpu: Duration,
    hooks: Vec<Hook>,
}

impl Cost {
    /// Keeps the better of each: what disturbs a run only makes it worse.
    fn add(&mut self, Run { elapsed, cpu, hooks }: Run) {
        self.elapsed = Some(self.elapsed.map_or(elapsed, |best| best.min(elapsed)));
        if self.cpu.is_none_or(|best| cpu < best) {
            (self.cpu, self.hooks) = (Some(cpu), hooks);
        }
    }

    fn records_per_second(&self, records: u32) -> u64 {
        (f64::from(records) / self.elapsed.unwrap_or_default().as_secs_f64().max(1e-9)) as u64
    }

    fn cpu_nanos(&self, records: u32) -> u64 {
        self.cpu.unwrap_or_default().as_nanos() as u64 / u64::from(records)
    }
}

impl Demo {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let style = Style { is_coloured: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
        let style = &style;
        print(&format!(
            "{}\n\n",
            style.bold("pointsman demo: orders of six regions, traced, framed and routed by Wasm plugins")
        ))?;

        let plugins = {
            let progress = Progress::start(true);
            progress.set("building the plugins; the first time takes a while".to_owned());
            build::plugins(self.plugins.as_deref())?
        };
        line(style, "plugins", &plugins.summary())?;
        let broker = Broker::start(&[TOPIC, AGAIN_TOPIC, PLAIN_TOPIC, WARM_UP_TOPIC], PARTITIONS)?;
        let text = format!("{} (in this process), topic {TOPIC} with {PARTITIONS} partitions", broker.address());
        line(style, "broker", &text)?;
        let file = write_config(&plugins, broker.address())?;
        line(style, "config", &shown(&file))?;
        print(&style.dim(&indented(&std::fs::read_to_string(&file)?)))?;

        let orders = orders::make(self.orders);
        let sample = file.with_file_name("orders.jsonl");
        orders::write(&sample, &orders[..orders.len().min(SAMPLE)])?;

        let plain = Config::builder().set("bootstrap.servers", broker.address()).build()?;
        let routed = Config::from_file(&file)?;
        let (mut without, mut with) = (Cost::default(), Cost::default());
        // In turns, so that what else the machine does meets both.
        for topic in [TOPIC, AGAIN_TOPIC, AGAIN_TOPIC] {
            without.add(send(plain.clone(), &broker, PLAIN_TOPIC, &orders, "without plugins")?);
            with.add(send(routed.clone(), &broker, topic, &orders, "through the plugins")?);
        }
        let text = format!("{} orders, all acknowledged", thousands(self.orders));
        line(style, "sent", &text)?;

        let read = {
            let progress = Progress::start(true);
            progress.set("reading them back".to_owned());
            broker.read(TOPIC, PARTITIONS, orders.len())?
        };
        let table = check(&orders, &read)?;
        let text =
            format!("{} orders: each once, traced, framed, in its region's partition", thousands(read.len() as u64));
        line(style, "read back", &format!("{text} {}", style.good("✓")))?;

        print(&format!("\n{}\n\n", style.bold("Who went where")))?;
        print(&table.draw(style))?;
        print(&format!("\n{}\n\n", style.bold("What it cost")))?;
        print(&costs(style, self.orders, &without, &with))?;
        print(&format!("\n{}\n\n", style.bold("Next")))?;
        print(&next(&file, &sample, self.keep.then(|| broker.address())))?;

        if self.keep {
            let (tell, told) = mpsc::channel();
            signals::watch(move |signal| tell.send(signal).is_ok())?;
            print("\nThe broker stays up until Ctrl-C.\n")?;
            told.recv()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Sends all orders and waits until each is acknowledged: how long that took, and what it cost.
fn send(config: Config, broker: &Broker, topic: &str, orders: &[Order], how: &str) -> Result<Run> {
    let progress = Progress::start(true);
    progress.set(format!("sending {} orders {how}", thousands(orders.len() as u64)));
    let producer = Producer::start(config)?;
    // Connections, metadata and the producer id are had once, not per record.
    deliver(&producer, WARM_UP_TOPIC, &orders[..orders.len().min(WARM_UP)])?;
    let (started, cpu) = (Stopwatch::start(), process_cpu() - broker.cpu()?);
    deliver(&producer, topic, orders)?;
    let (elapsed, cpu) = (started.elapsed(), (process_cpu() - broker.cpu()?).saturating_sub(cpu));
    let metrics = producer.metrics();
    producer.close_blocking(Duration::from_secs(30))?;
    Ok(Run { elapsed, cpu, hooks: hooks::of(&metrics) })
}

fn deliver(producer: &Producer, topic: &str, orders: &[Order]) -> Result<()> {
    let mut deliveries = Vec::with_capacity(orders.len());
    for Order { key, value, .. } in orders {
        deliveries.push(producer.send_blocking(&Record::to(topic).key(key).value(value))?);
    }
    for (delivery, order) in deliveries.into_iter().zip(orders) {
        delivery.wait().with_context(|| format!("order {}", order.value))?;
    }
    Ok(())
}

/// Whether each order is there, once, in order, with a trace and its schema's number, and where its region belongs.
fn check(orders: &[Order], read: &[broker::Read]) -> Result<Table> {
    let mut table = Table::new(REGIONS.len(), PARTITIONS as usize);
    let mut seen = vec![false; orders.len()];
    let mut last = vec![None; PARTITIONS as usize];
    for record in read {
        let value = record.value.strip_prefix(FRAME).with_context(|| format!("{:?} has no frame", record.value))?;
        let number = orders::number(value).with_context(|| format!("{value:?} is no order"))?;
        let order = orders.get(number).with_context(|| format!("order {number} was never sent"))?;
        ensure!(value == order.value && record.key == order.key, "order {number} was changed on its way");
        ensure!(!std::mem::replace(&mut seen[number], true), "order {number} is there twice");
        let is_traced = record.traceparent.as_ref().is_some_and(|trace| trace.len() == TRACEPARENT_BYTES);
        ensure!(is_traced, "order {number} has no traceparent header");
        let is_home = REGIONS[order.region] == HOME_REGION;
        ensure!(
            is_home == (record.partition == 0),
            "order {number} of region {} is in partition {}",
            REGIONS[order.region],
            record.partition
        );
        let before = last[record.partition as usize].replace(number);
        ensure!(before < Some(number), "order {number} stands behind {before:?} in partition {}", record.partition);
        table.add(order.region, record.partition as usize);
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        bail!("order {missing} was acknowledged and is not there");
    }
    Ok(table)
}

fn write_config(plugins: &Plugins, address: &str) -> Result<PathBuf> {
    let folder = plugins.target.join("demo");
    let file = folder.join("pointsman.toml");
    let text = format!(
        r#"[producer]
bootstrap.servers = "{address}"
interceptor.classes = ["wasm:trace-context"]
key.serializer = "string"
value.serializer = "wasm:schema-frame"
partitioner.class = "wasm:region-router"

[plugins.trace-context]
component = "{trace_context}"

[plugins.schema-frame]
component = "{schema_frame}"
[plugins.schema-frame.settings]
format = "json-schema"
schema-id = {SCHEMA_ID}
schema = '''{SCHEMA}'''

[plugins.region-router]
component = "{region_router}"
[plugins.region-router.settings]
source = "key-prefix"
separator = "-"
regions.{HOME_REGION} = "0"
regions.default = "1-{last}"
"#,
        trace_context = plugins.relative_to_target("trace_context"),
        schema_frame = plugins.relative_to_target("schema_frame"),
        region_router = plugins.relative_to_target("region_router"),
        last = PARTITIONS - 1,
    );
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)).with_context(|| shown(&file))?;
    Ok(file)
}

fn costs(style: &Style, orders: u32, without: &Cost, with: &Cost) -> String {
    let row = |name: &str, rate: String, nanos: String| format!("  {name:<20}{rate:>22}{nanos:>12} of CPU a record\n");
    let rate = |cost: &Cost| format!("{} records/s", thousands(cost.records_per_second(orders)));
    let nanos = |nanos: u64| format!("{} ns", thousands(nanos));
    let (before, after) = (without.cpu_nanos(orders), with.cpu_nanos(orders));
    let mut text = row("without plugins", rate(without), nanos(before));
    text += &row("with the plugins", rate(with), nanos(after));
    text += &style.bold(&row("the difference", String::new(), nanos(after.saturating_sub(before))));
    text += &hooks::table(&with.hooks);
    let note = if cfg!(debug_assertions) {
        "This is a build without optimization: with --release the numbers mean something."
    } else {
        "Best of three runs. The rates are also the broker's, the CPU is the producer's alone; the hooks are timed by\n  \
         the clock, so that what else the machine does is in theirs."
    };
    text + &format!("  {}\n", style.dim(note))
}

fn next(config: &Path, sample: &Path, address: Option<&str>) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "pointsman".to_owned());
    let kafka = address.unwrap_or("localhost:9092");
    let (config, sample) = (shown(config), shown(sample));
    format!(
        "  Why an order goes where it goes:\n    {program} explain -c {config} -t {TOPIC} --partitions {PARTITIONS} -n 2 \\\n      \
         --format json --key-field customer {sample}\n  The same orders into a Kafka of yours:\n    \
         {program} produce -c {config} -b {kafka} -t {TOPIC} \\\n      --create-topics={PARTITIONS} --format json --key-field \
         customer {sample}\n"
    )
}

fn line(style: &Style, name: &str, text: &str) -> Result<()> {
    Ok(print(&format!("  {}{text}\n", style.dim(&format!("{name:<11}"))))?)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("             {line}").trim_end().to_owned() + "\n").collect()
}

/// A path as seen from here, where that is shorter.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

const TOPIC: &str = "orders";
/// For the runs that are only measured.
const AGAIN_TOPIC: &str = "orders-again";
const PLAIN_TOPIC: &str = "orders-without-plugins";
const WARM_UP_TOPIC: &str = "warm-up";
const PARTITIONS: i32 = 6;
/// The region with a partition of its own.
const HOME_REGION: &str = "bj";
const WARM_UP: usize = 1000;
/// Orders in the file for further tries.
const SAMPLE: usize = 1000;
/// What the orders have to be.
const SCHEMA: &str =
    r#"{"type":"object","required":["order","region"],"properties":{"amount":{"type":"number","minimum":1}}}"#;
const SCHEMA_ID: u32 = 7;
/// Confluent's: a zero, and the schema's number in four bytes.
const FRAME: &str = "\0\0\0\0\x07";
/// `00-<32>-<16>-01`
const TRACEPARENT_BYTES: usize = 55;
