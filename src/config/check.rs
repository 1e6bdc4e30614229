//! Keys that bear on each other: the checks that Java's producer makes, with its outcome.

use super::error::{Place, Problem, ProblemKind, Source};
use super::producer::{Acks, CompressionType, ProducerConfig, Values};
use super::value::Value;
use std::time::Duration;

/// Checks, and adjusts what Java adjusts.
pub(super) fn check(
    producer: &mut ProducerConfig,
    values: &Values,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<String>,
) {
    idempotence(producer, values, problems, notices);
    transactions(producer, values, problems);
    delivery_timeout(producer, values, problems, notices);
    batch_sizes(producer, values, problems, notices);
    backoffs(producer, values, notices);
    repetitions(producer, values, notices);
}

fn idempotence(producer: &mut ProducerConfig, values: &Values, problems: &mut Vec<Problem>, notices: &mut Vec<String>) {
    if !producer.enable_idempotence {
        return;
    }
    // Java refuses this even where acks or retries switch idempotence off, and so where it was never asked for.
    let in_flight = producer.max_in_flight_requests_per_connection;
    if in_flight > IN_FLIGHT_MAX
        && let Some(place) = values.place("max.in.flight.requests.per.connection")
    {
        let what = format!("{in_flight} requests in flight are too many for idempotence");
        problems.push(
            Problem::new(ProblemKind::Conflict, place, Some("max.in.flight.requests.per.connection"), what)
                .help("brokers remember 5 batches a producer: set it to at most 5, or enable.idempotence=false"),
        );
    }
    let conflicts = [
        ("retries", producer.retries == 0, "retries=0", "retries above 0"),
        ("acks", producer.acks != Acks::All, "acks other than all", "acks=all"),
    ];
    for (key, _, conflict, needed) in conflicts.into_iter().filter(|(_, conflicts, ..)| *conflicts) {
        let Some(place) = values.place(key) else { continue };
        match values.place("enable.idempotence") {
            Some(explicit) => problems.push(
                Problem::new(
                    ProblemKind::Conflict,
                    place,
                    Some(key),
                    format!("enable.idempotence=true ({explicit}) needs {needed}"),
                )
                .help(format!("set {needed}, or enable.idempotence=false")),
            ),
            None => notices.push(format!("{place}: {conflict} turns idempotence off: retries may double records")),
        }
        producer.enable_idempotence = false;
    }
}

fn transactions(producer: &ProducerConfig, values: &Values, problems: &mut Vec<Problem>) {
    let Some(place) = values.place("transactional.id") else { return };
    let mut refuse = |kind, what: &str, help: &str| {
        problems.push(Problem::new(kind, place, Some("transactional.id"), what.to_owned()).help(help));
    };
    if producer.transactional_id.is_none() {
        refuse(
            ProblemKind::InvalidValue,
            "is empty",
            "name it after the program and its part of the work, or leave it out",
        );
    } else if !producer.enable_idempotence {
        let help = "set acks=all, retries above 0 and enable.idempotence=true, or leave them out";
        refuse(ProblemKind::Conflict, "transactions need idempotence, which is off", help);
    }
}

fn batch_sizes(producer: &ProducerConfig, values: &Values, problems: &mut Vec<Problem>, notices: &mut Vec<String>) {
    let (size, max) = (producer.batch_size, producer.batch_size_max);
    let Some(place) = values.place("batch.size.max") else { return };
    let in_vain = [
        (producer.compression_type != CompressionType::None, "batches that are compressed do not grow"),
        (producer.acks == Acks::None, "with acks=0 batches do not grow"),
        (max > producer.max_request_size, "batches grow no larger than max.request.size"),
    ];
    for (_, why) in in_vain.iter().filter(|(applies, _)| *applies && max > size) {
        notices.push(format!("{place}: batch.size.max has less effect: {why}"));
    }
    if max < size {
        let what = format!("{max} is below batch.size ({size})");
        let help = "set it to batch.size for batches that never grow, or to more";
        problems.push(Problem::new(ProblemKind::Conflict, place, Some("batch.size.max"), what).help(help));
    }
}

fn delivery_timeout(
    producer: &mut ProducerConfig,
    values: &Values,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<String>,
) {
    let least = producer.linger + producer.request_timeout;
    if producer.delivery_timeout >= least {
        return;
    }
    let (linger, request) = (producer.linger.as_millis(), producer.request_timeout.as_millis());
    let (set, least_ms) = (producer.delivery_timeout.as_millis(), least.as_millis());
    let sum = format!("linger.ms + request.timeout.ms ({linger} + {request})");
    match values.place("delivery.timeout.ms") {
        Some(place) if !matches!(place.source, Source::Preset(_)) => problems.push(
            Problem::new(ProblemKind::Conflict, place, Some("delivery.timeout.ms"), format!("{set} is below {sum}"))
                .help(format!("set it to at least {least_ms}, or lower the other two")),
        ),
        _ => notices.push(format!("warning: delivery.timeout.ms raised from {set} to {least_ms}, {sum}")),
    }
    producer.delivery_timeout = least;
}

fn backoffs(producer: &mut ProducerConfig, values: &Values, notices: &mut Vec<String>) {
    if let (Some(place), None) = (values.place("reconnect.backoff.ms"), values.place("reconnect.backoff.max.ms")) {
        producer.reconnect_backoff_max = producer.reconnect_backoff;
        let pause = producer.reconnect_backoff.as_millis();
        notices.push(format!(
            "{place}: reconnect.backoff.ms without reconnect.backoff.max.ms: every pause is {pause} ms, as in Java"
        ));
    }
    let pairs: [(&str, &str, Duration, &mut Duration); 3] = [
        ("retry.backoff.ms", "retry.backoff.max.ms", producer.retry_backoff_max, &mut producer.retry_backoff),
        (
            "reconnect.backoff.ms",
            "reconnect.backoff.max.ms",
            producer.reconnect_backoff_max,
            &mut producer.reconnect_backoff,
        ),
        (
            "socket.connection.setup.timeout.ms",
            "socket.connection.setup.timeout.max.ms",
            producer.socket_connection_setup_timeout_max,
            &mut producer.socket_connection_setup_timeout,
        ),
    ];
    for (first_key, most_key, most, first) in pairs {
        if *first > most {
            let place = values.place(first_key).or(values.place(most_key));
            let place = place.map(Place::to_string).unwrap_or_default();
            notices.push(format!("{place}: {first_key} is above {most_key}: every wait is {} ms", most.as_millis()));
            *first = most;
        }
    }
}

/// Java drops what a list has twice, with a warning.
fn repetitions(producer: &ProducerConfig, values: &Values, notices: &mut Vec<String>) {
    let kept = [
        ("bootstrap.servers", producer.bootstrap_servers.len()),
        ("interceptor.classes", producer.interceptor_classes.len()),
    ];
    for (key, kept) in kept {
        // Where an item was invalid, fewer are kept too; then there is an error and no one reads notices.
        if let Some((Value::List(items), place)) = values.set.get(key)
            && kept < items.len()
        {
            notices.push(format!("{place}: {key} names one twice; it counts once"));
        }
    }
}

/// Batches that a broker remembers of one producer and partition.
const IN_FLIGHT_MAX: usize = 5;
