//! What every measured Rust program shares: its flags, its records, and the line it prints. The Go and the Java program do
//! the same by their own means.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The flags of every client.
#[derive(Clone)]
pub struct Flags {
    pub bootstrap: String,
    pub topic: String,
    pub records: u64,
    /// Sent before the measured ones: connections, metadata, a compiler that learns.
    pub warmup: u64,
    /// Bytes of a record's key and value together.
    pub size: usize,
    /// Whether records have keys; else the value has all the bytes.
    pub keys: bool,
    /// How many send, each its share of the records.
    pub threads: u64,
    pub compression: String,
    /// Absent: what the client does by itself.
    pub batch_size: Option<u64>,
    pub linger_ms: u64,
    /// Records a second; 0 is as fast as it goes.
    pub rate: u64,
    /// The bootstrap servers speak TLS, and this PEM file holds the authority of their certificates.
    pub ca: Option<String>,
    /// One delivery in so many is timed.
    pub sampled: u64,
    /// With the settings that the client's own documents advise for throughput, whatever batch size and linger are asked for.
    pub best: bool,
}

impl Default for Flags {
    fn default() -> Flags {
        Flags {
            bootstrap: "127.0.0.1:19092".to_owned(),
            topic: "bench".to_owned(),
            records: 1_000_000,
            warmup: 100_000,
            size: 116,
            keys: true,
            threads: 1,
            compression: "none".to_owned(),
            batch_size: None,
            linger_ms: 5,
            rate: 0,
            sampled: 128,
            best: false,
            ca: None,
        }
    }
}

impl Flags {
    /// From the command line; a wrong one ends the program.
    pub fn parse() -> Flags {
        Flags::parse_with(&[], |_, _| {})
    }

    /// As [`Flags::parse`], for a client with flags of its own.
    pub fn parse_with(own: &[&str], mut take: impl FnMut(&str, String)) -> Flags {
        let mut flags = Flags::default();
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let value = words.next().unwrap_or_default();
            let number = || value.parse().unwrap_or_else(|_| wrong(&format!("{name} takes a number, not '{value}'")));
            match name.as_str() {
                "--bootstrap" => flags.bootstrap = value,
                "--topic" => flags.topic = value,
                "--records" => flags.records = number(),
                "--warmup" => flags.warmup = number(),
                "--size" => flags.size = (number() as usize).max(2),
                "--keys" => flags.keys = value == "yes",
                "--threads" => flags.threads = number().max(1),
                "--compression" => flags.compression = value,
                "--batch-size" => flags.batch_size = Some(number()),
                "--linger" => flags.linger_ms = number(),
                "--rate" => flags.rate = number(),
                "--sampled" => flags.sampled = number().max(1),
                "--best" => flags.best = value == "yes",
                "--ca" => flags.ca = Some(value),
                name if own.contains(&name) => take(name, value),
                _ => wrong(&format!("unknown: {name}")),
            }
        }
        flags
    }

    /// The numbers of the measured records, in as many parts as there are threads.
    pub fn shares(&self) -> Vec<Range<u64>> {
        let bound = |part| part * self.records / self.threads;
        (0..self.threads).map(|part| bound(part)..bound(part + 1)).collect()
    }

    /// Does something with each share, on a thread of its own if there are several.
    pub fn on_threads(&self, work: impl Fn(Range<u64>) + Sync) {
        match self.shares().as_slice() {
            [all] => work(all.clone()),
            shares => std::thread::scope(|scope| {
                shares.iter().for_each(|share| {
                    scope.spawn(|| work(share.clone()));
                });
            }),
        }
    }
}

fn wrong(what: &str) -> ! {
    eprintln!(
        "{what}; known: --bootstrap --topic --records --warmup --size --keys yes|no --threads --compression --batch-size \
         --linger --rate --sampled --best yes|no --ca"
    );
    std::process::exit(2)
}

/// The records, over and over: a key of 16 bytes that begins with a region, a value of JSON, 116 bytes together if no
/// other size is asked for. The same in all clients: one generator, one seed.
pub struct Records {
    keys: Vec<String>,
    values: Vec<String>,
    has_keys: bool,
}

impl Records {
    /// As the flags say; no more of them than are sent.
    pub fn of(flags: &Flags) -> Records {
        const REGIONS: [&str; 6] = ["bj", "sh", "gz", "sz", "hz", "cd"];
        let mut state = 42_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let key_size = if flags.keys { KEY.min(flags.size / 2) } else { 0 };
        let count = CYCLE.min((flags.records + flags.warmup).next_power_of_two());
        let mut values = count;
        while values > 1 && values as usize * flags.size > VALUES_MAX {
            values /= 2;
        }
        let mut records = Records { keys: Vec::new(), values: Vec::new(), has_keys: flags.keys };
        for at in 0..count {
            let key = format!("{}-{:013}", REGIONS[(random() % 6) as usize], random() % 1_000_000);
            records.keys.push(key[KEY - key_size..].to_owned());
            // Large values come round sooner than keys; small ones do not look like orders.
            if at < values {
                let mut letters =
                    |count| (0..count).map(|_| char::from(b'a' + (random() % 26) as u8)).collect::<String>();
                records.values.push(match flags.size - key_size {
                    small @ ..20 => letters(small),
                    size => format!(r#"{{"order":"{}"}}"#, letters(size - 12)),
                });
            }
        }
        records
    }

    /// All different values, in the order in which they come round.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Key and value of record `i`.
    #[inline]
    pub fn get(&self, i: u64) -> (Option<&str>, &str) {
        let key = &self.keys[i as usize & (self.keys.len() - 1)];
        (self.has_keys.then_some(key), &self.values[i as usize & (self.values.len() - 1)])
    }
}

/// How many different keys there are at most; a power of two.
const CYCLE: u64 = 1 << 16;
/// Bytes of a key, but for small records.
const KEY: usize = 16;
/// Bytes of different values at most.
const VALUES_MAX: usize = 16 << 20;

/// Counts deliveries, and times some of them.
pub struct Meter {
    ok: AtomicU64,
    failed: AtomicU64,
    sampled: u64,
    epoch: Instant,
    latencies: Mutex<Vec<Duration>>,
    /// When the last one that is timed was told, in nanoseconds since the Unix epoch.
    told: AtomicU64,
}

impl Meter {
    pub fn new(flags: &Flags) -> Meter {
        Meter {
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            sampled: flags.sampled,
            epoch: Instant::now(),
            latencies: Mutex::new(Vec::new()),
            told: AtomicU64::new(0),
        }
    }

    /// To be called before record `i` is sent; what it returns goes with the record, to [`Meter::delivered`].
    #[inline]
    pub fn stamp(&self, i: u64) -> usize {
        if i.is_multiple_of(self.sampled) { self.epoch.elapsed().as_nanos() as usize | 1 } else { 0 }
    }

    #[inline]
    pub fn delivered(&self, stamp: usize, ok: bool) {
        if ok { &self.ok } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
        if stamp != 0 {
            let taken = self.epoch.elapsed() - Duration::from_nanos(stamp as u64);
            self.latencies.lock().expect("nobody panics with it").push(taken);
            let now = UNIX_EPOCH.elapsed().expect("a time after 1970").as_nanos() as u64;
            self.told.store(now, Ordering::Relaxed);
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
    /// Waits until record `i` is due, where a rate was asked for. The records of a millisecond are due together, at its
    /// beginning: what asks to sleep for less may sleep as long (Go's does), and clients would be sent different loads.
    #[inline]
    pub fn pace(&self, i: u64) {
        if self.rate > 0 {
            let due = Duration::from_millis((u128::from(i) * 1_000 / u128::from(self.rate)) as u64);
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
            r#"{{"client":"{client}","version":"{version}","records":{},"ok":{ok},"failed":{failed},"seconds":{seconds:.3},"cpu_ns_per_record":{cpu:.1},"max_rss_kb":{},"p50_ms":{},"p99_ms":{},"p999_ms":{},"told_ns":{}}}"#,
            self.records,
            max_rss_kb(),
            percentile(0.5),
            percentile(0.99),
            percentile(0.999),
            self.meter.told.load(Ordering::Relaxed),
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
