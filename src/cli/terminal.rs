//! What the user sees: lines on stderr, a progress line where that is a terminal, results on stdout.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A line that changes in place while work goes on. There is at most one.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows it, if it is wanted and stderr is a terminal.
    pub(crate) fn start(wanted: bool) -> Progress {
        if !wanted || !io::stderr().is_terminal() {
            return Progress { bar: None };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        *bar_shown() = Some(bar.clone());
        Progress { bar: Some(bar) }
    }

    /// Whether anyone sees it.
    pub(crate) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Changes it.
    pub(crate) fn set(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            *bar_shown() = None;
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to stderr, above the progress line.
pub(crate) fn say(line: impl AsRef<str>) {
    // Without stderr there is no one to tell.
    let _ = LogWriter.write_all(format!("{}\n", line.as_ref()).as_bytes());
}

/// Writes text to stdout. A reader that has gone away has seen enough.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Sends the log to stderr: the library's warnings, and more for each `-v` or as `POINTSMAN_LOG` says.
pub(crate) fn log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = match std::env::var("POINTSMAN_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            say(format!("warning: POINTSMAN_LOG={text:?} is ignored: {error}"));
            EnvFilter::new(format!("pointsman={level}"))
        }),
        _ => EnvFilter::new(format!("pointsman={level}")),
    };
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter).with_ansi(io::stderr().is_terminal());
    // A second subscriber could only come from ourselves, and the first one serves.
    let _ = match verbose {
        0 => subscriber.with_target(false).without_time().try_init(),
        _ => subscriber.try_init(),
    };
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, the word in the right form: `1 record`, `2,000 records`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// `0-2,5`.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let [first, ..] = rest {
        let run = rest.iter().zip(*first..).take_while(|(number, expected)| *number == expected).count();
        let comma = if text.is_empty() { "" } else { "," };
        match run {
            1 => text += &format!("{comma}{first}"),
            _ => text += &format!("{comma}{first}-{}", rest[run - 1]),
        }
        rest = &rest[run..];
    }
    text
}

/// The beginning of some bytes: as text where they are, else in hex.
pub(crate) fn short(bytes: Option<&[u8]>) -> String {
    const SHOWN: usize = 60;
    let Some(bytes) = bytes else { return "null".to_owned() };
    let cut = &bytes[..bytes.len().min(SHOWN)];
    // A character may be cut in two.
    let text = match std::str::from_utf8(cut) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&cut[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let rest = if bytes.len() > SHOWN { format!("… ({})", count(bytes.len() as u64, "byte")) } else { String::new() };
    match text.filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => format!("\"{text}\"{rest}"),
        None => format!("{}{rest}", cut.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")),
    }
}

/// Writes to stderr without tearing the progress line.
#[derive(Clone, Copy)]
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = bar_shown().clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write_all(bytes))?,
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&self) -> LogWriter {
        LogWriter
    }
}

static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn bar_shown() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_readers() {
        let table = [(0, "0"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")];
        for (number, text) in table {
            assert_eq!(thousands(number as u64), text);
        }
        assert_eq!((count(1, "record"), count(2000, "line")), ("1 record".into(), "2,000 lines".into()));
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(short(None), "null");
        assert_eq!(short(Some(b"a")), "\"a\"");
        assert_eq!(short(Some(&[0, 255])), "00 ff");
        assert_eq!(short(Some("é".repeat(40).as_bytes())), format!("\"{}\"… (80 bytes)", "é".repeat(30)));
    }
}
