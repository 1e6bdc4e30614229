//! What every measured Rust program shares: its flags, its records, and the line it prints. The Go and the Java program do
//! the same by their own means.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The flags of every client.
pub struct Flags {
    pub bootstrap: String,
    pub topic: String,
    pub records: u64,
    /// Sent before the measured ones: connections, metadata, a compiler that learns.
    pub warmup: u64,
    pub compression: String,
    /// Absent: what the client does by itself.
    pub batch_size: Option<u64>,
    pub linger_ms: u64,
    /// Records a second; 0 is as fast as it goes.
    pub rate: u64,
    /// The bootstrap servers speak TLS, and this PEM file holds the authority of their certificates.
    pub ca: Option<String>,
}

impl Flags {
    /// From the command line; a wrong one ends the program.
    pub fn parse() -> Flags {
        Flags::parse_with(&[], |_, _| {})
    }

    /// As [`Flags::parse`], for a client with flags of its own.
    pub fn parse_with(own: &[&str], mut take: impl FnMut(&str, String)) -> Flags {
        let mut flags = Flags {
            bootstrap: "127.0.0.1:19092".to_owned(),
            topic: "bench".to_owned(),
            records: 1_000_000,
            warmup: 100_000,
            compression: "none".to_owned(),
            batch_size: None,
            linger_ms: 5,
            rate: 0,
            ca: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = || value.parse().unwrap_or_else(|_| wrong(&format!("{name} takes a number, not '{value}'")));
            match name.as_str() {
                "--bootstrap" => flags.bootstrap = value,
                "--topic" => flags.topic = value,
                "--records" => flags.records = number(),
                "--warmup" => flags.warmup = number(),
                "--compression" => flags.compression = value,
                "--batch-size" => flags.batch_size = Some(number()),
                "--linger" => flags.linger_ms = number(),
                "--rate" => flags.rate = number(),
                "--ca" => flags.ca = Some(value),
                name if own.contains(&name) => take(name, value),
                _ => wrong(&format!("unknown: {name}")),
            }
        }
        flags
    }
}

fn wrong(what: &str) -> ! {
    eprintln!("{what}; known: --bootstrap --topic --records --warmup --compression --batch-size --linger --rate --ca");
    std::process::exit(2)
}

/// The records, over and over: a key of 16 bytes that begins with a region, a value of 100 bytes of JSON. The same in all
/// clients: one generator, one seed.
pub fn records() -> Vec<(String, String)> {
    const REGIONS: [&str; 6] = ["bj", "sh", "gz", "sz", "hz", "cd"];
    let mut state = 42_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..CYCLE)
        .map(|_| {
            let key = format!("{}-{:013}", REGIONS[(random() % 6) as usize], random() % 1_000_000);
            let letters: String = (0..88).map(|_| char::from(b'a' + (random() % 26) as u8)).collect();
            (key, format!(r#"{{"order":"{letters}"}}"#))
        })
        .collect()
}

/// How many different records there are; a power of two.
pub const CYCLE: usize = 1 << 16;

/// Counts deliveries; one in [`SAMPLED`] is timed.
pub struct Meter {
    ok: AtomicU64,
    failed: AtomicU64,
    epoch: Instant,
    latencies: Mutex<Vec<Duration>>,
}

const SAMPLED: u64 = 128;

impl Meter {
    #[expect(clippy::new_without_default, reason = "it takes the time")]
    pub fn new() -> Meter {
        Meter {
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            epoch: Instant::now(),
            latencies: Mutex::new(Vec::new()),
        }
    }

    /// To be called before record `i` is sent; what it returns goes with the record, to [`Meter::delivered`].
    #[inline]
    pub fn stamp(&self, i: u64) -> usize {
        if i.is_multiple_of(SAMPLED) { self.epoch.elapsed().as_nanos() as usize | 1 } else { 0 }
    }

    #[inline]
    pub fn delivered(&self, stamp: usize, ok: bool) {
        if ok { &self.ok } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
        if stamp != 0 {
            let taken = self.epoch.elapsed() - Duration::from_nanos(stamp as u64);
            self.latencies.lock().expect("nobody panics with it").push(taken);
        }
    }

    /// For a client that learns of its deliveries by the batch.
    pub fn delivered_many(&self, count: u64) {
        self.ok.fetch_add(count, Ordering::Relaxed);
    }

    /// Starts the measured section: what was counted before does not count.
    pub fn start(&self, flags: &Flags) -> Section<'_> {
        self.ok.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        self.latencies.lock().expect("nobody panics with it").clear();
        Section { meter: self, records: flags.records, rate: flags.rate, start: Instant::now(), cpu: cpu() }
    }
}

/// The measured section, from the first `send` to the last delivery.
pub struct Section<'a> {
    meter: &'a Meter,
    records: u64,
    rate: u64,
    start: Instant,
    cpu: Duration,
}

impl Section<'_> {
    /// Waits until record `i` is due, where a rate was asked for.
    #[inline]
    pub fn pace(&self, i: u64) {
        if self.rate > 0 {
            let due = Duration::from_nanos((u128::from(i) * 1_000_000_000 / u128::from(self.rate)) as u64);
            let now = self.start.elapsed();
            if due > now {
                std::thread::sleep(due - now);
            }
        }
    }

    /// Ends the section and prints its line.
    pub fn print(self, client: &str, version: &str) {
        let cpu = (cpu() - self.cpu).as_nanos() as f64 / self.records as f64;
        let seconds = self.start.elapsed().as_secs_f64();
        let (ok, failed) = (self.meter.ok.load(Ordering::Relaxed), self.meter.failed.load(Ordering::Relaxed));
        let mut latencies = std::mem::take(&mut *self.meter.latencies.lock().expect("nobody panics with it"));
        latencies.sort_unstable();
        let percentile = |p: f64| match latencies.len() {
            0 => "null".to_owned(),
            n => format!("{:.3}", latencies[((n - 1) as f64 * p) as usize].as_secs_f64() * 1e3),
        };
        println!(
            r#"{{"client":"{client}","version":"{version}","records":{},"ok":{ok},"failed":{failed},"seconds":{seconds:.3},"cpu_ns_per_record":{cpu:.1},"max_rss_kb":{},"p50_ms":{},"p99_ms":{}}}"#,
            self.records,
            max_rss_kb(),
            percentile(0.5),
            percentile(0.99),
        );
    }
}

/// User and system time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn max_rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
