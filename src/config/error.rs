//! What is wrong with a configuration: all of it at once, each with its place and what would be right.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Everything that is wrong with a configuration, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// What sort of thing.
    pub kind: ProblemKind,
    /// Where.
    pub place: Place,
    /// The key, if it is about one.
    pub key: Option<String>,
    /// What is wrong. Values of secret keys are never in it.
    pub what: String,
    /// What would be right; empty if that goes without saying.
    pub help: String,
}

/// What sort of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file could not be read.
    Unreadable,
    /// The text is not TOML, or not a properties file.
    Syntax,
    /// No key has that name.
    UnknownKey,
    /// A key that must be set is not.
    Missing,
    /// The value is not one that the key takes.
    InvalidValue,
    /// Two keys contradict each other.
    Conflict,
    /// A known key or value that a later version brings.
    NotSupportedYet,
}

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Which source.
    pub source: Source,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// The column in that line, from 1; only for syntax errors.
    pub column: Option<usize>,
}

/// A source of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A configuration file.
    File(Arc<Path>),
    /// Text given by the program.
    Text,
    /// An override (`-X key=value`).
    Override,
    /// The builder.
    Code,
    /// A preset.
    Preset(&'static str),
    /// No source in particular: the configuration as a whole.
    Whole,
}

impl Error {
    pub(super) fn new(mut problems: Vec<Problem>) -> Error {
        // Stable: what has no line keeps its place after what has one.
        problems.sort_by_key(|problem| problem.place.line.unwrap_or(usize::MAX));
        problems.dedup();
        Error { problems }
    }

    /// The single problems: at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Error {
    /// One problem: a line, and a line of advice. More: the same under a line that counts them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = &self.problems[..] {
            return problem.write(f, "");
        }
        write!(f, "the configuration has {} errors", self.problems.len())?;
        for problem in &self.problems {
            writeln!(f)?;
            problem.write(f, "  ")?;
        }
        Ok(())
    }
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, place: &Place, key: Option<&str>, what: impl Into<String>) -> Problem {
        Problem { kind, place: place.clone(), key: key.map(str::to_owned), what: what.into(), help: String::new() }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = help.into();
        self
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        f.write_str(indent)?;
        if self.place.source != Source::Whole {
            write!(f, "{}: ", self.place)?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.what)?;
        if !self.help.is_empty() {
            write!(f, "\n{indent}  {}", self.help)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "")
    }
}

impl Place {
    /// A source as a whole.
    pub(super) fn of(source: Source) -> Place {
        Place { source, line: None, column: None }
    }

    pub(super) fn at_line(&self, line: usize) -> Place {
        Place { source: self.source.clone(), line: Some(line), column: None }
    }

    pub(super) fn at(&self, (line, column): (usize, usize)) -> Place {
        Place { source: self.source.clone(), line: Some(line), column: Some(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => {
                write!(f, "{}", path.display())?;
                if let Some(line) = self.line {
                    write!(f, ":{line}")?;
                }
                if let Some(column) = self.column {
                    write!(f, ":{column}")?;
                }
                return Ok(());
            }
            Source::Text => f.write_str("text")?,
            Source::Override => f.write_str("-X")?,
            Source::Code => f.write_str("builder")?,
            Source::Preset(name) => write!(f, "preset {name}")?,
            Source::Whole => f.write_str("configuration")?,
        }
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " line {line}, column {column}"),
            (Some(line), None) => write!(f, " line {line}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, what: &str) -> Problem {
        let place = Place::of(Source::File(Path::new("a.toml").into())).at_line(line);
        Problem::new(ProblemKind::InvalidValue, &place, Some("acks"), what)
    }

    #[test]
    fn one_problem_is_one_line_and_its_advice() {
        let error = Error::new(vec![problem(3, "is wrong").help("do this")]);
        assert_eq!(error.to_string(), "a.toml:3: acks: is wrong\n  do this");
    }

    #[test]
    fn several_are_counted_and_in_the_order_of_lines() {
        let error = Error::new(vec![problem(9, "late").help("x"), problem(3, "early")]);
        assert_eq!(
            error.to_string(),
            "the configuration has 2 errors\n  a.toml:3: acks: early\n  a.toml:9: acks: late\n    x"
        );
    }
}
