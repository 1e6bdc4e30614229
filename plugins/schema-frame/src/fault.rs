//! Why a payload does not fit, and where. Never holds what stood there.

use pointsman_plugin::json::Malformed;
use std::fmt;

/// What is wrong with a payload.
#[derive(Debug)]
pub(crate) struct Fault {
    what: String,
    /// The way there, from the inside out.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Element(usize),
}

impl Fault {
    #[cold]
    pub(crate) fn new(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), path: Vec::new() }
    }

    /// It is within this member of what is at hand.
    #[cold]
    pub(crate) fn in_member(mut self, name: &[u8]) -> Fault {
        self.path.push(Step::Member(String::from_utf8_lossy(name).into_owned()));
        self
    }

    /// It is within this element of what is at hand.
    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Fault {
        self.path.push(Step::Element(index));
        self
    }
}

impl From<Malformed> for Fault {
    #[cold]
    fn from(malformed: Malformed) -> Fault {
        // The place is known to the byte: the way there says no more.
        Fault { what: malformed.to_string(), path: Vec::new() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in self.path.iter().rev() {
            match step {
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, ": {}", self.what)
    }
}
