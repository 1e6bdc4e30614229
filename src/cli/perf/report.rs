//! A run in numbers, as a table or JSON.

use super::latency::Sorted;
use crate::cli::terminal::{count, thousands};
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;

/// What a run took and cost.
pub(super) struct Report<'a> {
    pub(super) topic: &'a str,
    pub(super) records: u64,
    pub(super) size: usize,
    pub(super) elapsed: Duration,
    /// Processor time of the process.
    pub(super) cpu: Duration,
    pub(super) latencies: Sorted,
    /// Average of a batch as sent.
    pub(super) batch_bytes: Option<f64>,
    /// Bytes as sent over bytes before.
    pub(super) compression_rate: Option<f64>,
    pub(super) batch_size: usize,
    /// Where there were transactions.
    pub(super) commits: Option<Commits>,
    pub(super) failed: u64,
    pub(super) first_error: Option<&'a str>,
}

/// How transactions ended.
pub(super) struct Commits {
    pub(super) times: Sorted,
    pub(super) aborted: u64,
}

/// The times of commits told, in the same way.
const COMMITS_TOLD: [(usize, &str); 2] = [(500, "p50"), (990, "p99")];

/// The latencies told: in a thousand, and the name.
const TOLD: [(usize, &str); 4] = [(500, "p50"), (950, "p95"), (990, "p99"), (999, "p99.9")];

impl Report<'_> {
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, words: String| {
            let _ = writeln!(text, "{name:<9}{words}");
        };
        let (records, size) = (count(self.records, "record"), count(self.size as u64, "byte"));
        line("sent", format!("{records} of {size} to {}, in {:.3} s", self.topic, self.elapsed.as_secs_f64()));
        let megabytes = self.per_second() * self.size as f64 / 1e6;
        line("rate", format!("{} records/s, {megabytes:.1} MB/s of values", thousands(self.per_second() as u64)));
        let told = |of: &Sorted, permille, name: &str| match of.permille(permille) {
            Some(micros) => format!("{name} {:.2} ms", f64::from(micros) / 1e3),
            None => format!("{name} -"),
        };
        line("latency", TOLD.map(|(permille, name)| told(&self.latencies, permille, name)).join("   "));
        line("CPU", format!("{} ns a record", thousands(self.cpu_nanos())));
        line(
            "batches",
            match (self.batch_bytes, self.fill()) {
                (Some(bytes), Some(fill)) => {
                    // Not of records that are as large, nor of what compression made larger room for.
                    let has_grown = self.size < self.batch_size && bytes > self.batch_size as f64;
                    let grown = if has_grown { ": they grew, as the broker was behind" } else { "" };
                    format!("{} bytes on average, {:.0} % of batch.size{grown}", thousands(bytes as u64), fill * 100.0)
                }
                _ => "none were sent".to_owned(),
            },
        );
        if let Some(Commits { times, aborted }) = &self.commits {
            let [p50, p99] = COMMITS_TOLD.map(|(permille, name)| told(times, permille, name));
            let aborted = if *aborted > 0 { format!("; {} aborted", thousands(*aborted)) } else { String::new() };
            line("commits", format!("{}: {p50}   {p99}{aborted}", thousands(times.count() as u64)));
        }
        let error = self.first_error.map(|error| format!("; the first: {error}")).unwrap_or_default();
        line("failed", format!("{}{error}", thousands(self.failed)));
        text
    }

    pub(super) fn json(&self) -> String {
        let micros = TOLD.map(|(permille, name)| (name.to_owned(), json!(self.latencies.permille(permille))));
        let report = json!({
            "topic": self.topic,
            "records": self.records,
            "size": self.size,
            "seconds": self.elapsed.as_secs_f64(),
            "records_per_second": self.per_second(),
            "latency_us": serde_json::Map::from_iter(micros),
            "cpu_ns_per_record": self.cpu_nanos(),
            "batch_bytes": self.batch_bytes,
            "batch_fill": self.fill(),
            "commits": self.commits.as_ref().map(|Commits { times, aborted }| {
                let millis = |(permille, name)| {
                    let millis = times.permille(permille).map(|micros| f64::from(micros) / 1e3);
                    (format!("{name}_ms"), json!(millis))
                };
                let mut commits = serde_json::Map::from_iter(COMMITS_TOLD.map(millis));
                commits.insert("count".to_owned(), json!(times.count()));
                commits.insert("aborted".to_owned(), json!(aborted));
                commits
            }),
            "failed": self.failed,
            "first_error": self.first_error,
        });
        format!("{report}\n")
    }

    fn per_second(&self) -> f64 {
        (self.records - self.failed) as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn cpu_nanos(&self) -> u64 {
        (self.cpu.as_nanos() / u128::from(self.records)) as u64
    }

    /// How much of `batch.size` a batch used on average, before compression.
    fn fill(&self) -> Option<f64> {
        let plain = self.batch_bytes? / self.compression_rate.filter(|rate| *rate > 0.0).unwrap_or(1.0);
        Some(plain / self.batch_size.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::Latencies;
    use super::*;

    fn report() -> Report<'static> {
        Report {
            topic: "orders",
            records: 2000,
            size: 100,
            elapsed: Duration::from_millis(500),
            cpu: Duration::from_millis(1),
            latencies: Latencies::new(1).sorted(),
            batch_bytes: Some(4096.0),
            compression_rate: Some(0.5),
            batch_size: 16_384,
            commits: None,
            failed: 500,
            first_error: Some("no"),
        }
    }

    #[test]
    fn commits_are_told_where_there_were_transactions() {
        let of =
            |aborted| Report { commits: Some(Commits { times: vec![1500, 500, 9000].into(), aborted }), ..report() };
        assert!(of(0).table().contains("commits  3: p50 1.50 ms   p99 9.00 ms\n"), "{}", of(0).table());
        assert!(of(2).table().contains("9.00 ms; 2 aborted\n"), "{}", of(2).table());
        let read: serde_json::Value = serde_json::from_str(&of(2).json()).unwrap();
        assert_eq!(read["commits"], json!({"count": 3, "p50_ms": 1.5, "p99_ms": 9.0, "aborted": 2}));
        assert!(!report().table().contains("commits"));
        let read: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert!(read["commits"].is_null());
    }

    #[test]
    fn the_table_has_it_all() {
        let table = report().table();
        for part in [
            "2,000 records of 100 bytes to orders, in 0.500 s",
            "3,000 records/s, 0.3 MB/s",
            "p50 -   p95 -",
            "500 ns a record",
            "4,096 bytes on average, 50 % of batch.size",
            "500; the first: no",
        ] {
            assert!(table.contains(part), "{part:?} is not in:\n{table}");
        }
    }

    #[test]
    fn batches_that_grew_are_told_of() {
        let table = |batch_size, size| Report { batch_size, size, ..report() }.table();
        let grown = "they grew, as the broker was behind";
        assert!(table(4_095, 100).contains(&format!("200 % of batch.size: {grown}")), "{}", table(4_095, 100));
        assert!(!table(4_096, 100).contains(grown) && !table(1_000, 4_000).contains(grown));
    }

    #[test]
    fn json_is_one_line_with_the_same() {
        let text = report().json();
        assert_eq!(text.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&read["failed"], &read["cpu_ns_per_record"], &read["batch_fill"]),
            (&500.into(), &500.into(), &0.5.into())
        );
        assert!(read["latency_us"]["p99.9"].is_null());
    }
}
