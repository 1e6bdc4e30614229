//! pointsman as a peer among the others: the same records, the same flags, one JSON line. See `tests/bench/run`.

use pointsman::{Config, Delivery, Producer, Record};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Deliveries that are looked at later; every one is.
const WINDOW: usize = 100_000;

fn main() {
    let mut bootstrap = "127.0.0.1:19092".to_owned();
    let mut topic = "bench".to_owned();
    let mut records = 1_000_000usize;
    let mut overrides: Vec<(String, String)> = Vec::new();
    let mut file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--bootstrap" => bootstrap = value(),
            "--topic" => topic = value(),
            "--records" => records = value().parse().expect("a number of records"),
            "--compression" => overrides.push(("compression.type".into(), value())),
            "--batch-size" => overrides.push(("batch.size".into(), value())),
            "--linger" => overrides.push(("linger.ms".into(), value())),
            "--config" => file = Some(value()),
            other => panic!("unknown flag {other}"),
        }
    }
    overrides.push(("bootstrap.servers".into(), bootstrap));
    let config = match file {
        Some(file) => Config::from_file_with(file, &overrides),
        None => overrides.iter().fold(Config::builder(), |builder, (key, value)| builder.set(key, value)).build(),
    };
    let producer = Producer::start(config.expect("a configuration")).expect("a producer");
    let orders = orders();
    // The first record waits for the topic's metadata; it is not measured.
    producer.send_blocking(&Record::to(&topic).key("warm").value("up")).unwrap().wait().expect("a topic to write to");

    let started = Instant::now();
    let cpu = cpu_seconds();
    let mut open: VecDeque<Delivery> = VecDeque::with_capacity(WINDOW + 1);
    let (mut ok, mut failed) = (0u64, 0u64);
    let mut observe = |delivery: Delivery| match delivery.wait() {
        Ok(_) => ok += 1,
        Err(error) => {
            if failed == 0 {
                eprintln!("{error}");
            }
            failed += 1;
        }
    };
    for number in 0..records {
        let (key, value) = &orders[number & 65_535];
        open.push_back(producer.send_blocking(&Record::to(&topic).key(key).value(value)).expect("accepted"));
        if open.len() > WINDOW {
            open.drain(..WINDOW / 2).for_each(&mut observe);
        }
    }
    let _ = producer.flush_blocking();
    open.drain(..).for_each(&mut observe);
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{{\"client\":\"pointsman\",\"version\":\"{}\",\"records\":{records},\"ok\":{ok},\"failed\":{failed},\
         \"seconds\":{seconds:.3},\"cpu_ns_per_record\":{:.1},\"max_rss_kb\":{}}}",
        env!("CARGO_PKG_VERSION"),
        cpu * 1e9 / records as f64,
        max_rss_kb(),
    );
    if let Err(error) = producer.close_blocking(Duration::from_secs(30)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// 65,536 orders: a key of 16 bytes that begins with a region, a JSON value of 100.
fn orders() -> Vec<(String, String)> {
    let regions = ["bj", "sh", "gz", "sz", "hz", "cd"];
    let mut state = 42u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..65_536)
        .map(|_| {
            let key = format!("{}-{:013}", regions[(random() % 6) as usize], random() % 1_000_000);
            let mut value = String::from("{\"order\":\"");
            while value.len() < 98 {
                value.push((b'a' + (random() % 26) as u8) as char);
            }
            value.push_str("\"}");
            (key, value)
        })
        .collect()
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn max_rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: 0 kB");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
