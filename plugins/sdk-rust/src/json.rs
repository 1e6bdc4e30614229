//! Reads JSON where it stands, without allocating: [`Path`] finds one field of a document, [`Scanner`] walks all of it.

mod scanner;
mod text;

pub use scanner::Scanner;
pub use text::Text;

/// The document does not follow JSON's grammar, or nests deeper than 64 levels where it had to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the start.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not JSON at byte {}", self.at)
    }
}

impl std::error::Error for Malformed {}

/// The way to a field through nested objects: `address.state`. Made once, in `configure`.
///
/// A document is read from its start to the end of the field, and what is read must be well-formed; nothing is known
/// of what follows. Where an object has a name twice, the first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    names: Vec<Box<[u8]>>,
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string.
    String(Text<'a>),
    /// A number, as it is written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// `{…`, not looked into.
    Object,
    /// `[…`, not looked into.
    Array,
}

impl Path {
    /// Reads a path; names are separated by dots.
    ///
    /// # Errors
    /// If a name is empty.
    pub fn new(path: &str) -> Result<Path, String> {
        if path.split('.').any(str::is_empty) {
            return Err(format!("\"{path}\" is no path of names with dots between them"));
        }
        Ok(Path { names: path.split('.').map(|name| name.as_bytes().into()).collect() })
    }

    /// The value at the end of the path; `None` where the document has no such field.
    ///
    /// # Errors
    /// If the document is malformed before the end of the field.
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<Value<'a>>, Malformed> {
        let mut scanner = Scanner::new(document);
        'object: for name in &self.names {
            if scanner.peek() != b'{' {
                // A scalar or an array where the path goes on: there is no such field, if it is a value at all.
                scanner.skip_value()?;
                return Ok(None);
            }
            if !scanner.open(b'}')? {
                return Ok(None);
            }
            loop {
                if scanner.name()?.is(name) {
                    continue 'object;
                }
                scanner.skip_value()?;
                if !scanner.more(b'}')? {
                    return Ok(None);
                }
            }
        }
        scanner.value().map(Some)
    }
}

#[cfg(test)]
mod tests;
