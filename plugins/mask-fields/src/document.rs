//! One pass over a document: what no path names is copied byte by byte.

use crate::tree::{Action, Node};
use hmac::{Hmac, KeyInit, Mac};
use pointsman_plugin::json::{Malformed, Scanner, Value};
use sha2::Sha256;
use std::ops::Range;

/// How fields are masked and hashed, and what becomes of documents without them.
pub(crate) struct Means {
    /// A JSON string.
    pub(crate) mask: Vec<u8>,
    /// Where something is hashed.
    pub(crate) hash: Option<Hash>,
    /// Whether a document may lack a field.
    pub(crate) may_miss: bool,
}

/// HMAC-SHA256 under the salt.
pub(crate) struct Hash(Hmac<Sha256>);

impl Hash {
    pub(crate) fn new(salt: &str) -> Hash {
        Hash(Hmac::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length"))
    }

    /// The hash in hexadecimal, of bytes that come in pieces.
    pub(crate) fn append(&self, output: &mut Vec<u8>, pieces: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        let mut hmac = self.0.clone();
        pieces(&mut |piece| hmac.update(piece));
        for byte in hmac.finalize().into_bytes() {
            output.extend([byte >> 4, byte & 0xf].map(|half| b"0123456789abcdef"[usize::from(half)]));
        }
    }
}

/// Why a document is not let through. Never holds what stood in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault(String);

impl Fault {
    pub(crate) fn into_reason(self, document: &str) -> String {
        format!("the {document} {}", self.0)
    }
}

impl From<Malformed> for Fault {
    #[cold]
    fn from(malformed: Malformed) -> Fault {
        Fault(format!("is {malformed}"))
    }
}

/// Applies all actions to a document and appends what comes out to `output`. False if it stays as it is; then
/// nothing of `output` counts.
pub(crate) fn apply(root: &Node, means: &Means, document: &[u8], output: &mut Vec<u8>) -> Result<bool, Fault> {
    // A reader that replaces or skips what is not UTF-8 might see a name that was not seen here.
    if let Err(error) = std::str::from_utf8(document) {
        return Err(Fault(format!("is not UTF-8 at byte {}", error.valid_up_to())));
    }
    let mut pass = Pass { document, scanner: Scanner::new(document), means, output, copied: 0 };
    pass.value(root)?;
    pass.scanner.end()?;
    if pass.copied == 0 {
        return Ok(false);
    }
    let rest = pass.copied..document.len();
    pass.copy(rest);
    Ok(true)
}

struct Pass<'a, 'o> {
    document: &'a [u8],
    scanner: Scanner<'a>,
    means: &'o Means,
    output: &'o mut Vec<u8>,
    /// Up to here the document is in the output, or left out of it.
    copied: usize,
}

impl Pass<'_, '_> {
    /// The value here, which some path names or goes through. Not one that is removed: that is its container's task.
    fn value(&mut self, node: &Node) -> Result<(), Fault> {
        match node.action {
            None => self.within(node),
            Some(Action::Mask) => {
                let start = self.scanner.place();
                self.scanner.skip_value()?;
                self.cut(start..self.scanner.place());
                self.output.extend_from_slice(&self.means.mask);
                Ok(())
            }
            Some(Action::Hash) => self.hash(node),
            Some(Action::Remove) => unreachable!("a container leaves it out"),
        }
    }

    fn within(&mut self, node: &Node) -> Result<(), Fault> {
        match self.scanner.peek() {
            b'{' if !node.members.is_empty() => self.object(node),
            b'[' => match &node.elements {
                Some(elements) => self.array(elements),
                None => Err(other_shape(node)),
            },
            b'n' => {
                self.scanner.skip_value()?;
                match self.means.may_miss {
                    true => Ok(()),
                    false => Err(Fault(format!("has null at {}; with missing = \"pass\" it may", node.path))),
                }
            }
            _ => {
                // What is not JSON is said to be that.
                self.scanner.skip_value()?;
                Err(other_shape(node))
            }
        }
    }

    fn object(&mut self, node: &Node) -> Result<(), Fault> {
        let mut seen: u64 = 0;
        // Where the value before ended, and whether any before stays.
        let (mut before, mut stays) = (self.scanner.place() + 1, false);
        let mut more = self.scanner.open(b'}')?;
        while more {
            let start = self.scanner.place();
            let name = self.scanner.name()?;
            let named = node.member(&name);
            if let Some((at, _)) = named {
                seen |= 1 << at;
            }
            match named {
                Some((_, child)) if child.action == Some(Action::Remove) => {
                    (before, more) = self.leave_out(b'}', start, before, stays)?;
                    continue;
                }
                Some((_, child)) => self.value(child)?,
                None => {
                    self.scanner.skip_value()?;
                }
            }
            (before, stays) = (self.scanner.place(), true);
            more = self.scanner.more(b'}')?;
        }
        match node.members.get((!seen).trailing_zeros() as usize) {
            Some((_, missing)) if !self.means.may_miss => {
                Err(Fault(format!("has no {}; with missing = \"pass\" it need not", missing.path)))
            }
            _ => Ok(()),
        }
    }

    fn array(&mut self, elements: &Node) -> Result<(), Fault> {
        let (mut before, mut stays) = (self.scanner.place() + 1, false);
        let mut more = self.scanner.open(b']')?;
        while more {
            if elements.action == Some(Action::Remove) {
                (before, more) = self.leave_out(b']', self.scanner.place(), before, stays)?;
                continue;
            }
            self.value(elements)?;
            (before, stays) = (self.scanner.place(), true);
            more = self.scanner.more(b']')?;
        }
        Ok(())
    }

    /// Leaves out the value here, from `start` on, and the comma that it needs no more: the one before it, or behind
    /// it where nothing stays before it. Returns where the value ended and whether another follows.
    fn leave_out(&mut self, close: u8, start: usize, before: usize, stays: bool) -> Result<(usize, bool), Fault> {
        self.scanner.skip_value()?;
        let end = self.scanner.place();
        let more = self.scanner.more(close)?;
        self.cut(match (stays, more) {
            (true, _) => before..end,
            (false, true) => start..self.scanner.place(),
            (false, false) => start..end,
        });
        Ok((end, more))
    }

    /// Of what a string means, of numbers, `true` and `false` as they are written. Null hides nothing and stays.
    fn hash(&mut self, node: &Node) -> Result<(), Fault> {
        let start = self.scanner.place();
        let value = self.scanner.value()?;
        let end = self.scanner.place();
        match value {
            Value::Null => return Ok(()),
            Value::Object | Value::Array => {
                let what = if matches!(value, Value::Object) { "an object" } else { "an array" };
                // The same content can be written in many ways, and each would have a hash of its own.
                return Err(Fault(format!("has {what} at {}, which cannot be hashed; name its fields", node.path)));
            }
            _ => self.cut(start..end),
        }
        self.output.push(b'"');
        let hash = self.means.hash.as_ref().expect("configured where something is hashed");
        hash.append(self.output, |update| match value {
            Value::String(text) => {
                text.pieces(|piece| {
                    update(piece);
                    true
                });
            }
            _ => update(&self.document[start..end]),
        });
        self.output.push(b'"');
        Ok(())
    }

    /// Copies what stands before a range and leaves the range out.
    fn cut(&mut self, range: Range<usize>) {
        self.copy(self.copied..range.start);
        self.copied = range.end;
    }

    fn copy(&mut self, range: Range<usize>) {
        self.output.extend_from_slice(&self.document[range]);
    }
}

#[cold]
fn other_shape(node: &Node) -> Fault {
    let expected = match (node.members.is_empty(), node.elements.is_some()) {
        (false, true) => "an object or an array",
        (false, false) => "an object",
        (true, _) => "an array",
    };
    Fault(format!("has something else than {expected} at {}", node.path))
}

#[cfg(test)]
mod tests;
