use super::LOG;
use crate::core::NodeId;
use crate::core::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lets one line per broker and cause pass in an interval, and counts the others: a broker that is down is tried many
/// times a minute.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    lines: BTreeMap<(NodeId, String), Line>,
}

#[derive(Debug)]
struct Line {
    at: Instant,
    suppressed: u64,
}

const INTERVAL: Duration = Duration::from_secs(30);
/// Causes come from outside: what they may take here is bounded.
const LINES_MAX: usize = 512;

impl LogLimit {
    /// Warns of a cause, unless that was said of the broker not long ago.
    pub(super) fn warn(&mut self, now: Instant, node: NodeId, cause: &str) {
        match self.pass(now, node, cause) {
            Some(0) => tracing::warn!(target: LOG, "{cause}"),
            Some(more) => tracing::warn!(target: LOG, "{cause} ({more} times more since the last time)"),
            None => tracing::debug!(target: LOG, "{cause}"),
        }
    }

    /// `None` if the line is to be left out, else how often it was since the last time.
    fn pass(&mut self, now: Instant, node: NodeId, cause: &str) -> Option<u64> {
        let key = (node, cause.to_owned());
        if let Some(line) = self.lines.get_mut(&key) {
            if now - line.at < INTERVAL {
                line.suppressed += 1;
                return None;
            }
            line.at = now;
            return Some(std::mem::take(&mut line.suppressed));
        }
        if self.lines.len() >= LINES_MAX {
            self.lines.retain(|_, line| now - line.at < INTERVAL);
            if self.lines.len() >= LINES_MAX {
                return None;
            }
        }
        self.lines.insert(key, Line { at: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_broker_and_cause_in_an_interval() {
        let mut limit = LogLimit::default();
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let (one, two) = (NodeId(1), NodeId(2));
        assert_eq!(limit.pass(at(0), one, "refused"), Some(0));
        assert_eq!(limit.pass(at(1), one, "refused"), None);
        assert_eq!(limit.pass(at(2), one, "refused"), None);
        assert_eq!(limit.pass(at(2), one, "reset"), Some(0), "another cause");
        assert_eq!(limit.pass(at(2), two, "refused"), Some(0), "another broker");
        assert_eq!(limit.pass(at(30), one, "refused"), Some(2), "with how many were left out");
    }

    #[test]
    fn causes_without_end_take_bounded_memory() {
        let mut limit = LogLimit::default();
        for cause in 0..10_000u64 {
            limit.pass(Instant::from_nanos(cause * 1_000_000_000), NodeId(1), &cause.to_string());
            assert!(limit.lines.len() <= LINES_MAX);
        }
    }
}
