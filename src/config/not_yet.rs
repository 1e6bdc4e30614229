//! What the rest of the producer cannot do yet, beyond the keys marked so in the table. All of it stands here: lifting a
//! limit is taking its lines away.

use super::error::{Place, Problem, ProblemKind, Source};
use super::plugin::OnError;
use super::producer::{CompressionType, ProducerConfig, Values};

/// Refuses what was asked for and is not there yet; what only a preset asks for is left out with a notice.
pub(super) fn check(
    producer: &mut ProducerConfig,
    values: &Values,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<String>,
) {
    if producer.compression_type != CompressionType::None {
        let key = "compression.type";
        let name = producer.compression_type.name();
        match values.place(key) {
            Some(Place { source: Source::Preset(preset), .. }) => {
                notices.push(format!("preset {preset}: {key}={name} is not supported yet; batches go uncompressed"));
            }
            Some(place) => problems.push(
                Problem::new(ProblemKind::NotSupportedYet, place, Some(key), format!("{name} is not supported yet"))
                    .help("leave it at none"),
            ),
            None => {}
        }
        producer.compression_type = CompressionType::None;
    }
}

/// What is wrong with a policy that no one carries out yet.
pub(super) fn on_error(policy: &OnError) -> Option<(String, &'static str)> {
    (*policy != OnError::Fail)
        .then(|| (format!("{} is not supported yet", policy.name()), "leave it at fail, the default"))
}
