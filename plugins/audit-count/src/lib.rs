//! Counts what was sent, acknowledged and failed, per topic and partition: see README.md for its settings.

mod places;

use places::{Places, Tally};
use pointsman_plugin::host::Counter;
use pointsman_plugin::{Acknowledgement, Edit, Fate, Fields, Interceptor, InterceptorWants, Reads, Record, Settings};

pointsman_plugin::export!(interceptor: AuditCount);

/// The plugin.
pub struct AuditCount {
    by_partition: bool,
    places: Places,
}

/// As many series as the producer keeps of one plugin.
const SERIES_MAX: usize = 256;

impl Interceptor for AuditCount {
    fn configure(settings: &Settings) -> Result<AuditCount, String> {
        let by_partition = settings.choice("by", &[("partition", true), ("topic", false)])?.unwrap_or(true);
        let series = settings.parse("max-series")?.unwrap_or(SERIES_MAX);
        if !(Tally::COUNT..=SERIES_MAX).contains(&series) {
            return Err(format!(
                "max-series = \"{series}\": must be {} to {SERIES_MAX}, as many as the producer keeps of one plugin",
                Tally::COUNT
            ));
        }
        Ok(AuditCount { by_partition, places: Places::new(series) })
    }

    fn wants(&self) -> InterceptorWants {
        let fields = if self.by_partition { Fields::TOPIC | Fields::PARTITION } else { Fields::TOPIC };
        InterceptorWants::nothing().on_send(Reads::of(fields)).acknowledgements()
    }

    fn on_send(&mut self, record: &Record<'_>, _: &mut Edit<'_>) {
        let partition = if self.by_partition { record.partition() } else { None };
        self.counter(record.topic(), partition, Tally::Sent).add(1.0);
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement<'_>) {
        let topic = acknowledgement.topic();
        let partition = if self.by_partition { acknowledgement.partition() } else { None };
        let tally = match acknowledgement.error() {
            0 => Tally::Acked,
            Acknowledgement::DROPPED => Tally::Dropped,
            _ => Tally::Failed,
        };
        self.counter(topic, partition, tally).add(1.0);
        if tally == Tally::Failed && acknowledgement.fate() != Fate::NotWritten {
            self.counter(topic, partition, Tally::InDoubt).add(1.0);
        }
    }
}

impl AuditCount {
    #[inline]
    fn counter(&mut self, topic: &str, partition: Option<u32>, tally: Tally) -> &Counter {
        self.places.counter(topic, self.by_partition.then_some(partition), tally)
    }
}

#[cfg(test)]
mod tests;
