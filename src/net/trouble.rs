use std::fmt;

/// Why there is no connection, or none any more; in words for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may go better next time.
    Failed(String),
    /// One side does not believe the other: trying again with the same keys, names and passwords is in vain.
    Refused(String),
}

impl Trouble {
    /// The same, with more to say.
    pub(super) fn map(self, words: impl FnOnce(String) -> String) -> Trouble {
        match self {
            Trouble::Failed(cause) => Trouble::Failed(words(cause)),
            Trouble::Refused(cause) => Trouble::Refused(words(cause)),
        }
    }

    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Trouble::Refused(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed(cause) | Trouble::Refused(cause) => f.write_str(cause),
        }
    }
}

impl From<String> for Trouble {
    fn from(cause: String) -> Trouble {
        Trouble::Failed(cause)
    }
}
