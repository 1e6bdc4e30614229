//! What the rest of the producer cannot do yet, beyond the keys marked so in the table. All of it stands here: lifting a
//! limit is taking its lines away.

use super::plugin::OnError;

/// What is wrong with a policy that no one carries out yet.
pub(super) fn on_error(policy: &OnError) -> Option<(String, &'static str)> {
    (*policy != OnError::Fail)
        .then(|| (format!("{} is not supported yet", policy.name()), "leave it at fail, the default"))
}
