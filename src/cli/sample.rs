//! Records that are read to be looked at, not sent.

use super::format::{Format, Line};
use super::input::{Found, Lines, Source};
use anyhow::{Context, Result, anyhow};
use pointsman::{Header, Record};
use std::io::BufRead;

/// The records of some files, one after the other.
pub(super) struct Sample {
    format: Format,
    bytes_max: usize,
    /// Those that are not read yet, the next one last.
    sources: Vec<Source>,
    open: Option<(String, Lines<Box<dyn BufRead>>)>,
}

/// A line, and where it stands: `orders.jsonl:17`.
pub(super) struct Sampled {
    pub(super) place: String,
    /// The record, or why it is none.
    pub(super) line: Result<Line<'static>, String>,
}

impl Sample {
    /// `record_bytes_max` is the most that a record may have.
    pub(super) fn new(format: Format, mut sources: Vec<Source>, record_bytes_max: usize) -> Sample {
        sources.reverse();
        Sample { bytes_max: format.line_bytes_max(record_bytes_max), format, sources, open: None }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> Result<Option<Sampled>> {
        loop {
            let Some((name, lines)) = &mut self.open else {
                let Some(source) = self.sources.pop() else { return Ok(None) };
                let lines = source.open(self.bytes_max).map_err(|error| anyhow!("{}: {error}", source.name()))?;
                self.open = Some((source.name(), lines));
                continue;
            };
            let found = lines.next().with_context(|| format!("{name} cannot be read"))?;
            let line = match found {
                None => {
                    self.open = None;
                    continue;
                }
                Some(Found::TooLong(length)) => Err(format!("a line of {length} bytes is no record")),
                Some(Found::Line(line)) => match self.format.parse(line) {
                    Ok(None) => continue,
                    Ok(Some(line)) => Ok(owned(line)),
                    Err(bad) => Err(bad.to_string()),
                },
            };
            return Ok(Some(Sampled { place: format!("{name}:{}", lines.number()), line }));
        }
    }
}

/// Has the record of a line, to a topic.
pub(super) fn with_record<T>(line: &Line<'_>, topic: &str, with: impl FnOnce(&Record<'_>) -> T) -> T {
    let headers: Vec<Header<'_>> =
        line.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
    with(&Record {
        partition: line.partition,
        timestamp: line.timestamp,
        key: line.key.as_deref(),
        value: line.value.as_deref(),
        headers: &headers,
        ..Record::to(topic)
    })
}

/// A line that outlives its buffer.
fn owned(line: Line<'_>) -> Line<'static> {
    Line {
        topic: line.topic.map(|topic| topic.into_owned().into()),
        partition: line.partition,
        timestamp: line.timestamp,
        key: line.key.map(|key| key.into_owned().into()),
        value: line.value.map(|value| value.into_owned().into()),
        headers: (line.headers.into_iter())
            .map(|(name, value)| (name.into_owned().into(), value.map(|value| value.into_owned().into())))
            .collect(),
    }
}
