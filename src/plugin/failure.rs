//! How a plugin's call can fail, short of refusing single records.

use std::fmt;

/// A hook of a plugin, as errors and metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// Loading and configuring.
    Configure,
    /// Interceptor.
    OnSend,
    /// Interceptor.
    OnAcknowledgement,
    /// Serializer of keys.
    SerializeKey,
    /// Serializer of values.
    SerializeValue,
    /// Partitioner.
    OnTopology,
    /// Partitioner.
    Partition,
    /// The last call.
    Close,
}

impl Hook {
    /// The name in WIT, with the side where there are two.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Configure => "configure",
            Hook::OnSend => "on-send",
            Hook::OnAcknowledgement => "on-acknowledgement",
            Hook::SerializeKey => "serialize (key)",
            Hook::SerializeValue => "serialize (value)",
            Hook::OnTopology => "on-topology",
            Hook::Partition => "partition",
            Hook::Close => "close",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed. The kinds are the rows of the policy table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The plugin refused this record.
    Refused,
    /// The plugin returned an error for the whole call.
    Error,
    /// The guest trapped.
    Trap,
    /// The call took longer than `timeout.ms`.
    Deadline,
    /// The answer breaks a rule of the contract: lengths, indexes, fields not declared.
    BrokenRule,
    /// The answer is larger than the host lets in.
    ResultSize,
    /// The guest asked for more than `memory.max`.
    Memory,
    /// The plugin could not be loaded or configured.
    Configure,
    /// It kept failing and was not called this time.
    BreakerOpen,
}

impl FailureKind {
    /// Whether a call with fewer records may succeed where this one failed: then the chain halves.
    pub fn may_be_one_record(self) -> bool {
        matches!(self, FailureKind::Trap | FailureKind::Deadline | FailureKind::ResultSize | FailureKind::Memory)
    }

    /// The name that metrics give it.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Refused => "refused",
            FailureKind::Error => "error",
            FailureKind::Trap => "trap",
            FailureKind::Deadline => "deadline",
            FailureKind::BrokenRule => "broken-rule",
            FailureKind::ResultSize => "result-size",
            FailureKind::Memory => "memory",
            FailureKind::Configure => "configure",
            FailureKind::BreakerOpen => "breaker-open",
        }
    }

    /// What the plugin did, in words.
    pub fn words(self) -> &'static str {
        match self {
            FailureKind::Refused => "refused",
            FailureKind::Error => "returned an error",
            FailureKind::Trap => "trapped",
            FailureKind::Deadline => "exceeded timeout.ms",
            FailureKind::BrokenRule => "broke a rule of the contract",
            FailureKind::ResultSize => "returned too large a result",
            FailureKind::Memory => "exceeded memory.max",
            FailureKind::Configure => "did not start",
            FailureKind::BreakerOpen => "its breaker is open",
        }
    }
}

/// A failed call: the kind, and the cause in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginFailure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The cause: the trap, the plugin's own words, or the rule and how it was broken.
    pub cause: String,
    /// The hook that failed, where that is another than the one that was to be called: a new instance is told of
    /// topics before it places.
    pub before: Option<Hook>,
}

impl PluginFailure {
    /// A failure of a kind, with its cause.
    pub fn new(kind: FailureKind, cause: impl Into<String>) -> PluginFailure {
        PluginFailure { kind, cause: cause.into(), before: None }
    }

    /// The same of a hook that has to be called before the one that was to be.
    #[must_use]
    pub fn of_hook_before(self, hook: Hook) -> PluginFailure {
        PluginFailure { before: Some(hook), ..self }
    }
}

impl fmt::Display for PluginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.words(), self.cause)
    }
}

impl std::error::Error for PluginFailure {}
