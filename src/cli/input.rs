//! Files and standard input as lines of bounded length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Where lines come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// The lines of a source.
pub(super) struct Lines<R> {
    reader: R,
    bytes_max: usize,
    buffer: Vec<u8>,
    number: u64,
    bytes: u64,
}

/// What was found: a line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// The line.
    Line(&'a [u8]),
    /// It was longer than lines may be, by this number of bytes in all, and is skipped.
    TooLong(u64),
}

impl Source {
    /// What is named on the command line; `-` is standard input.
    pub(super) fn named(path: &Path) -> Source {
        if path.as_os_str() == "-" { Source::Stdin } else { Source::File(path.to_owned()) }
    }

    /// How messages name it.
    pub(super) fn name(&self) -> String {
        match self {
            Source::Stdin => "stdin".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// Whether it is there. Opening a pipe by name would wait for its writer, so only folders and absent files are
    /// found out before the first record.
    pub(super) fn check(&self) -> io::Result<()> {
        match self {
            Source::Stdin => Ok(()),
            Source::File(path) if std::fs::metadata(path)?.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Source::File(_) => Ok(()),
        }
    }

    /// How many bytes it will have, where that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Source::Stdin => None,
            Source::File(path) => {
                std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
            }
        }
    }

    /// Opens it.
    pub(super) fn open(&self, bytes_max: usize) -> io::Result<Lines<Box<dyn BufRead>>> {
        let reader: Box<dyn BufRead> = match self {
            Source::Stdin => Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())),
            Source::File(path) => Box::new(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?)),
        };
        Ok(Lines::new(reader, bytes_max))
    }
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R, bytes_max: usize) -> Lines<R> {
        Lines { reader, bytes_max, buffer: Vec::new(), number: 0, bytes: 0 }
    }

    /// The next line; its end, `\n` or `\r\n`, is left out. The last one needs none.
    pub(super) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        self.buffer.clear();
        // Two more for the end of the line, so that the longest one allowed still shows it.
        let limit = self.bytes_max as u64 + 2;
        let taken = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? as u64;
        if taken == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += taken;
        let has_end = self.buffer.ends_with(b"\n");
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        // Without its \n a \r is no end of a line; it may be the last byte before the file goes on.
        let line = if has_end { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        let length = line.len();
        if length > self.bytes_max {
            let rest = if has_end { 0 } else { self.skip_rest()? };
            return Ok(Some(Found::TooLong(length as u64 + rest)));
        }
        Ok(Some(Found::Line(&self.buffer[..length])))
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Skips to the end of the line without keeping it.
    fn skip_rest(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(skipped);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(length);
            self.bytes += length as u64;
            skipped += length as u64 - u64::from(end.is_some());
            if end.is_some() {
                return Ok(skipped);
            }
        }
    }
}

const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], bytes_max: usize) -> Vec<Result<String, u64>> {
        // A small buffer, so that lines span several.
        let mut lines = Lines::new(BufReader::with_capacity(3, text), bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Found::Line(line) => Ok(String::from_utf8(line.to_vec()).unwrap()),
                Found::TooLong(length) => Err(length),
            });
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        assert_eq!(lines.number(), all.len() as u64);
        all
    }

    #[test]
    fn line_ends() {
        let ok = |lines: &[&str]| lines.iter().map(|line| Ok((*line).to_owned())).collect::<Vec<_>>();
        assert_eq!(read(b"", 9), ok(&[]));
        assert_eq!(read(b"a", 9), ok(&["a"]));
        assert_eq!(read(b"a\n", 9), ok(&["a"]));
        assert_eq!(read(b"a\r\nb\n\n c \n", 9), ok(&["a", "b", "", " c "]));
        assert_eq!(read(b"\n\n", 9), ok(&["", ""]));
        assert_eq!(read(b"a\rb\r\r\n", 9), ok(&["a\rb\r"]));
    }

    #[test]
    fn long_lines_are_skipped_and_measured() {
        let one = |text: &str| Ok(text.to_owned());
        assert_eq!(read(b"12345\n12345\r\n", 5), [one("12345"), one("12345")]);
        assert_eq!(read(b"123456\nb", 5), [Err(6), one("b")]);
        assert_eq!(read(b"1234567\nb", 5), [Err(7), one("b")]);
        assert_eq!(read(b"12345678901234567890\nb\n", 5), [Err(20), one("b")]);
        assert_eq!(read(b"a\n12345678901234567890", 5), [one("a"), Err(20)]);
    }
}
