//! Ways to misbehave that every hook shares.

use crate::pointsman::plugin::host;
use std::cell::{Cell, RefCell};
use std::hint::black_box;

thread_local! {
    static SETTINGS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static MODE: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static RECORDS: Cell<u32> = const { Cell::new(0) };
    static LEAK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the settings, and misbehaves already now where the mode says so.
pub fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
    let mode = settings.iter().find(|(key, _)| key == "mode").map(|(_, value)| value.clone()).unwrap_or_default();
    if mode == "configure-tell" {
        return Err(format!("{settings:?}"));
    }
    SETTINGS.set(settings);
    match mode.as_str() {
        "configure-error" => return Err("no region is called \"mars\"".into()),
        "configure-trap" => panic!("configure fell over"),
        "configure-loop" => spin(),
        "configure-grow" => grow(),
        "slow-start" => {
            leak(number("bytes", 0));
            burn(number("rounds", 0));
        }
        // All instances share the numbers of their series, so this one is how many were started.
        "panic" if setting("starts").is_some() => {
            let name = format!("start-{}", host::random());
            if host::metric(host::Kind::Gauge, &name, &[]) as usize > number("starts", 0) {
                return Err("the registry is gone".into());
            }
        }
        "configure-random" if host::random().is_multiple_of(2) => return Err("heads".into()),
        _ => {}
    }
    MODE.set(mode);
    Ok(())
}

pub fn mode() -> String {
    MODE.with_borrow(String::clone)
}

pub fn is(mode: &str) -> bool {
    MODE.with_borrow(|is| is == mode)
}

pub fn setting(key: &str) -> Option<String> {
    SETTINGS.with_borrow(|all| all.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()))
}

pub fn number(key: &str, otherwise: usize) -> usize {
    setting(key).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// Calls of this instance, this one included.
pub fn calls() -> u32 {
    CALLS.get()
}

/// Whether a hook is to misbehave now: where settings say `stage`, only that hook, and where they say `bad`, only for
/// data that holds that word. Elsewhere the guest does what it should.
pub fn strikes<'d>(stage: &str, data: impl IntoIterator<Item = &'d [u8]>) -> bool {
    let is_here = setting("stage").is_none_or(|only| only == stage);
    is_here && setting("bad").is_none_or(|bad| data.into_iter().any(|data| holds(data, &bad)))
}

/// Whether the word is in the data.
pub fn holds(data: &[u8], word: &str) -> bool {
    data.windows(word.len()).any(|window| window == word.as_bytes())
}

/// The entries of a column.
pub fn entries<'d>(lengths: &'d [i32], mut data: &'d [u8]) -> impl Iterator<Item = Option<&'d [u8]>> {
    lengths.iter().map(move |&length| {
        let (entry, rest) = data.split_at(usize::try_from(length).unwrap_or(0));
        data = rest;
        (length >= 0).then_some(entry)
    })
}

/// Traps when so many records were seen.
pub fn count_records(count: u32) {
    RECORDS.set(RECORDS.get() + count);
    if is("panic-nth") && RECORDS.get() >= number("records", 3) as u32 {
        panic!("one record too many");
    }
}

/// At the start of every hook.
pub fn act() -> Result<(), String> {
    CALLS.set(CALLS.get() + 1);
    if !(CALLS.get() as usize).is_multiple_of(number("every", 1)) {
        return Ok(());
    }
    match mode().as_str() {
        "error" => return Err("the schema registry is unknown".into()),
        "panic" => panic!("no such region: mars"),
        "loop" => spin(),
        "grow" => grow(),
        "leak" => leak(number("bytes", 1 << 20)),
        "recursion" => {
            black_box(recurse(1));
        }
        "deep-calls" => {
            black_box(deep(black_box(u64::MAX), black_box(3)));
        }
        "exit" => std::process::exit(3),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "file" => {
            let error = std::fs::read("/etc/passwd").expect_err("no files here");
            return Err(format!("read: {error}"));
        }
        "environment" => {
            let environment: Vec<_> =
                std::env::vars().chain(std::env::args().map(|arg| (arg, String::new()))).collect();
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            return Err(format!("{environment:?} {line:?} {read:?}"));
        }
        "print-flood" => {
            for line in 0..number("lines", 100_000) {
                println!("line {line} {}", "x".repeat(number("width", 10)));
            }
        }
        "log-flood" => {
            for line in 0..number("lines", 10_000) {
                host::log(host::Level::Info, &format!("line {line}"));
            }
        }
        "log-large" => host::log(host::Level::Info, &"x".repeat(3 << 20)),
        "log-huge" => host::log(host::Level::Info, &"x".repeat(16 << 20)),
        "print" => {
            println!("on stdout");
            eprintln!("on stderr");
            host::log(host::Level::Error, "in the log");
            host::log(host::Level::Trace, "in detail");
        }
        "metrics" => metrics(),
        "metrics-then-panic" => {
            metrics();
            host::log(host::Level::Info, "before the panic");
            panic!("after the metrics");
        }
        "metric-flood" => {
            for i in 0..10_000 {
                let id = host::metric(host::Kind::Counter, &format!("c{i}"), &[]);
                host::observe(&[(id, 1.0)]);
            }
        }
        "clocks" => {
            let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            let (before, host) = (std::time::Instant::now(), host::now());
            let apart = u128::from(host).abs_diff(wall.as_nanos());
            let seed = std::collections::hash_map::RandomState::new();
            let hash = std::hash::BuildHasher::hash_one(&seed, 1);
            let randoms = [host::random(), host::random(), hash];
            let distinct = randoms[0] != randoms[1] && randoms[1] != randoms[2];
            return Err(format!("{} {} {distinct}", apart < 60_000_000_000, before.elapsed().as_secs() < 60));
        }
        "names" => {
            return Err(format!("{} {} {}", host::plugin_name(), host::client_id(), host::lane()));
        }
        _ => {}
    }
    Ok(())
}

/// Takes its time.
pub fn burn(rounds: usize) {
    let mut sum = 0u64;
    for i in 0..rounds as u64 {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(i));
    }
    black_box(sum);
}

/// For ever.
pub fn spin() -> ! {
    let mut i = 0u64;
    loop {
        i = black_box(i + 1);
    }
}

fn grow() -> ! {
    loop {
        leak(1 << 20);
    }
}

fn leak(bytes: usize) {
    LEAK.with_borrow_mut(|leak| leak.push(vec![1; bytes]));
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}

/// Keeps nothing in memory, so that only the calls themselves pile up.
#[inline(never)]
fn deep(depth: u64, factor: u64) -> u64 {
    if depth == 0 { 0 } else { deep(depth - 1, factor).wrapping_mul(factor) ^ depth }
}

fn metrics() {
    let labels = [("topic".to_owned(), "orders".to_owned())];
    let calls = host::metric(host::Kind::Counter, "calls", &labels);
    let sizes = host::metric(host::Kind::Histogram, "sizes", &[]);
    host::observe(&[(calls, 1.0), (sizes, 10.0), (sizes, 30.0)]);
}
