//! The producer id and its epoch (KIP-98, KIP-360).

use super::Core;
use super::batch::ProducerIdAndEpoch;
use super::partition::Slot;
use super::time::Instant;
use super::timers::Timer;
use super::verdict::{Asked, Verdict, verdict};
use crate::protocol::error_code as code;
use crate::protocol::messages::InitProducerIdResponse;

/// Where the producer stands with its id.
#[derive(Debug)]
pub(super) enum ProducerId {
    /// Idempotence is off.
    Off,
    /// To be asked for, not before a time, after so many failures.
    Wanted { not_before: Instant, failures: u32 },
    /// The cluster does not allow it: asked for again, not before a time, once there is something to send.
    Refused { not_before: Instant, failures: u32 },
    /// Transactions see to it, see [`super::transactions`].
    OfTransactions,
    /// Asked for.
    Asked { failures: u32 },
    /// There.
    Have(ProducerIdAndEpoch),
}

impl ProducerId {
    pub(super) fn new(idempotence: bool, transactions: bool) -> ProducerId {
        if transactions {
            ProducerId::OfTransactions
        } else if idempotence {
            ProducerId::Wanted { not_before: Instant::default(), failures: 0 }
        } else {
            ProducerId::Off
        }
    }

    pub(super) fn current(&self) -> Option<ProducerIdAndEpoch> {
        match self {
            ProducerId::Have(producer) => Some(*producer),
            _ => None,
        }
    }
}

impl Core {
    pub(super) fn wants_producer_id(&self, now: Instant) -> bool {
        match self.producer_id {
            ProducerId::Wanted { not_before, .. } => not_before <= now,
            ProducerId::Refused { not_before, .. } => not_before <= now && !self.active.is_empty(),
            ProducerId::Off | ProducerId::OfTransactions | ProducerId::Asked { .. } | ProducerId::Have(_) => false,
        }
    }

    pub(super) fn asked_producer_id(&mut self) {
        if let ProducerId::Wanted { failures, .. } | ProducerId::Refused { failures, .. } = self.producer_id {
            self.producer_id = ProducerId::Asked { failures };
        }
    }

    /// A request for the id ended without an answer.
    pub(super) fn producer_id_failed(&mut self, now: Instant) {
        self.ask_later(now, |not_before, failures| ProducerId::Wanted { not_before, failures });
    }

    fn ask_later(&mut self, now: Instant, as_what: impl FnOnce(Instant, u32) -> ProducerId) {
        if let ProducerId::Asked { failures } = self.producer_id {
            let failures = failures + 1;
            let not_before = now + self.retry_backoff().after(failures, &mut self.rng);
            self.producer_id = as_what(not_before, failures);
            self.timers.set(Timer::ProducerId, Some(not_before));
        }
    }

    pub(super) fn handle_producer_id(&mut self, now: Instant, response: &InitProducerIdResponse) {
        match verdict(Asked::ProducerId, response.error_code) {
            Verdict::Good => {
                self.producer_id =
                    ProducerId::Have(ProducerIdAndEpoch { id: response.producer_id, epoch: response.producer_epoch });
                for partition in self.active.iter().collect::<Vec<_>>() {
                    self.schedule(now, partition);
                }
            }
            Verdict::Retry { .. } => self.producer_id_failed(now),
            Verdict::NotAllowed => {
                self.ask_later(now, |not_before, failures| ProducerId::Refused { not_before, failures });
                self.fail_without_producer_id(now, response.error_code);
            }
            _ => {
                self.fail_for_good(format!("the cluster gives it no producer id: {}", code::name(response.error_code)));
            }
        }
    }

    /// A hole stands before the head of the partition's queue and nothing of it is in flight: what follows gets new
    /// sequences, of a new epoch. Other partitions take the new epoch when their batches of the old one are through.
    /// `refused`: the broker cannot have taken what goes out once more, with a hole before it. Of a topic that was made
    /// anew that is not so: a request that is still under way may come to the new one.
    pub(super) fn bump(&mut self, id: u32, refused: bool) {
        let partition = &mut self.partitions[id as usize];
        if let ProducerId::Have(producer) = self.producer_id
            && partition.sequences.is_of(producer)
        {
            // The bump is local: a new id would not fence a request of the old one that is still under way.
            self.producer_id = match producer.epoch.checked_add(1) {
                Some(epoch) => ProducerId::Have(ProducerIdAndEpoch { epoch, ..producer }),
                None => ProducerId::Wanted { not_before: Instant::default(), failures: 0 },
            };
        }
        partition.sequences.reset();
        for slot in &mut partition.queue {
            match slot {
                Slot::Open(_) => {}
                Slot::Sealing(info) => info.forget_sequence(refused),
                Slot::Sealed(batch) => batch.info.forget_sequence(refused),
            }
        }
    }
}
