//! W3C trace context on every record, and how long each took: see README.md for its settings.

mod traceparent;

use pointsman_plugin::host::{self, Counter, Histogram, Random};
use pointsman_plugin::{Acknowledgement, Edit, Interceptor, InterceptorWants, Reads, Record, Settings};
use traceparent::TraceParent;

pointsman_plugin::export!(interceptor: TraceContext);

/// The plugin.
pub struct TraceContext {
    existing: Existing,
    random: Random,
    written: Counter,
    failed: Counter,
    dropped: Counter,
    latency_ms: Histogram,
}

/// What becomes of a valid `traceparent` that a record comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// It stays.
    Keep,
    /// The record becomes a span of that trace.
    Child,
    /// The record starts a trace of its own.
    Replace,
}

const TRACEPARENT: &str = "traceparent";
/// What vendors add to a trace: it belongs to the `traceparent` beside it, and goes with it.
const TRACESTATE: &str = "tracestate";

const NANOS_PER_MS: f64 = 1e6;

impl Interceptor for TraceContext {
    fn configure(settings: &Settings) -> Result<TraceContext, String> {
        let choices = [("keep", Existing::Keep), ("child", Existing::Child), ("replace", Existing::Replace)];
        Ok(TraceContext {
            existing: settings.choice("existing", &choices)?.unwrap_or(Existing::Child),
            random: Random::seeded_by_host(),
            written: Counter::new("records-written", &[]),
            failed: Counter::new("records-failed", &[]),
            dropped: Counter::new("records-dropped", &[]),
            latency_ms: Histogram::new("record-latency-ms", &[]),
        })
    }

    fn wants(&self) -> InterceptorWants {
        let reads = Reads::nothing().header(TRACEPARENT);
        InterceptorWants::nothing().on_send(reads).acknowledgements()
    }

    fn on_send(&mut self, record: &Record<'_>, edit: &mut Edit<'_>) {
        edit.set_tag(host::call_time());
        let Some(header) = record.header(TRACEPARENT) else {
            let trace = self.new_trace();
            return edit.add_header(TRACEPARENT, Some(trace.text()));
        };
        let parent = header.value.and_then(TraceParent::parse);
        let trace = match (parent, self.existing) {
            (Some(_), Existing::Keep) => return,
            (Some(parent), Existing::Child) => parent.child(self.random_id()),
            (Some(_), Existing::Replace) | (None, _) => {
                edit.remove_header(TRACESTATE);
                self.new_trace()
            }
        };
        edit.replace_header(TRACEPARENT, Some(trace.text()));
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement<'_>) {
        match acknowledgement.error() {
            0 => self.written.add(1.0),
            Acknowledgement::DROPPED => return self.dropped.add(1.0),
            _ => self.failed.add(1.0),
        }
        if let Some(sent) = acknowledgement.tag() {
            // Never below zero, though the clock may be set back.
            self.latency_ms.record(host::call_time().saturating_sub(sent) as f64 / NANOS_PER_MS);
        }
    }
}

impl TraceContext {
    fn new_trace(&mut self) -> TraceParent {
        TraceParent::new([self.random_id(), self.random_id()], self.random_id())
    }

    /// All zeros is no id.
    fn random_id(&mut self) -> u64 {
        loop {
            let id = self.random.next_u64();
            if id != 0 {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests;
