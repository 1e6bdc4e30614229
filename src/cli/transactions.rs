//! Transactions, as the commands that send have them: as soon as `transactional.id` is set.

use super::Usage;
use super::stopwatch::Stopwatch;
use anyhow::anyhow;
use clap::Args;
use pointsman::Producer;
use pointsman::config::Config;
use pointsman::transaction::TransactionError;
use std::time::Duration;

/// How records are bound together.
#[derive(Args, Clone, Debug)]
pub(crate) struct TransactionOptions {
    /// Where transactional.id is set: commit after so many records, and at the end. Without it all are one transaction
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) commit_every: Option<u64>,
}

impl TransactionOptions {
    /// Records of a transaction, if there are to be any: all there are without the option.
    pub(crate) fn records(&self, config: &Config) -> anyhow::Result<Option<u64>> {
        match (config.producer.transactional_id.is_some(), self.commit_every) {
            (true, every) => Ok(Some(every.unwrap_or(u64::MAX))),
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Usage(
                "--commit-every is about transactions, and transactional.id is not set: -X transactional.id=NAME sets it"
                    .to_owned(),
            )
            .into()),
        }
    }
}

/// Gets the right to the id, before anything is sent.
pub(crate) fn init(producer: &Producer, id: &str) -> anyhow::Result<()> {
    let refused = |error| match error {
        // It names the id itself.
        error @ TransactionError::Fenced { .. } => anyhow!(error),
        error => anyhow!("transactional.id {id}: {}", words(&error)),
    };
    producer.init_transactions_blocking().map_err(refused)
}

/// Commits; one that takes long is not given up at once: who does that does not know what is in the topics. `waits` is told
/// each time that it is waited for once more.
pub(crate) fn commit_patiently(
    patience: Duration,
    commit: impl Fn() -> Result<(), TransactionError>,
    mut waits: impl FnMut(&TransactionError),
) -> Result<(), TransactionError> {
    let started = Stopwatch::start();
    loop {
        match commit() {
            Err(error @ TransactionError::Timeout { .. }) if started.elapsed() < patience => waits(&error),
            result => return result,
        }
    }
}

/// An error for users, who make no calls.
pub(crate) fn words(error: &TransactionError) -> String {
    match error {
        TransactionError::Timeout { call, key, limit, stage, last_cause, .. } => {
            let what = match *call {
                "init_transactions" => "no producer id",
                "commit_transaction" => "no end of the commit",
                "abort_transaction" => "no end of the abort",
                call => call,
            };
            let cause = last_cause.as_ref().map(|cause| format!("; {cause}")).unwrap_or_default();
            format!("{what} within {key} ({} ms), {stage}{cause}", limit.as_millis())
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let builder = Config::builder().set("bootstrap.servers", "localhost:9092");
        settings.iter().fold(builder, |builder, (key, value)| builder.set(*key, *value)).build().unwrap()
    }

    #[test]
    fn transactions_are_had_by_an_id_and_by_nothing_else() {
        let with_id = config(&[("transactional.id", "t")]);
        let of = |commit_every, config: &Config| TransactionOptions { commit_every }.records(config);
        assert_eq!(of(None, &config(&[])).unwrap(), None);
        assert_eq!(of(None, &with_id).unwrap(), Some(u64::MAX));
        assert_eq!(of(Some(7), &with_id).unwrap(), Some(7));
        let error = of(Some(7), &config(&[])).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("transactional.id is not set"), "{error}");
    }

    #[test]
    fn nobody_is_told_to_make_a_call() {
        let limit = Duration::from_secs(60);
        let stage = "looking for the transaction's coordinator";
        let timeout = |call, last_cause: Option<&str>| {
            let last_cause = last_cause.map(str::to_owned);
            words(&TransactionError::Timeout { call, key: "max.block.ms", limit, stage, last_cause })
        };
        assert_eq!(
            timeout("init_transactions", Some("connection refused")),
            "no producer id within max.block.ms (60000 ms), looking for the transaction's coordinator; connection refused"
        );
        assert!(timeout("commit_transaction", None).ends_with("coordinator"));
    }
}
