//! What a plugin says: log calls, and the lines it prints. Bounded per line, per call and per second; what is past a
//! bound is counted.
//!
//! The lines of a call are held back until it ends. A call that trapped is repeated with fewer records, and its lines
//! would come twice: they go to debug.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Level;
use tracing::level_filters::LevelFilter;

/// One line on its way to the log.
struct Line {
    level: Level,
    source: &'static str,
    text: String,
}

/// What one instance said during the call that runs.
pub(super) struct Output {
    lines: Vec<Line>,
    overflow: u64,
    stdout: Partial,
    stderr: Partial,
    /// The last lines on stderr, and of errors: where a trap follows, they say why.
    last_words: VecDeque<String>,
}

/// The printing streams.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// A line that has not ended yet.
#[derive(Default)]
struct Partial(Vec<u8>);

/// What all instances of a plugin share: its name for the log, and the rate.
pub(super) struct LogGate {
    plugin: String,
    window: Mutex<Window>,
    dropped: AtomicU64,
}

struct Window {
    start: Instant,
    lines: u32,
    dropped: u64,
}

impl Output {
    pub(super) fn new() -> Output {
        Output {
            lines: Vec::new(),
            overflow: 0,
            stdout: Partial::default(),
            stderr: Partial::default(),
            last_words: VecDeque::new(),
        }
    }

    /// A log call of the plugin.
    pub(super) fn log(&mut self, level: Level, message: &str) {
        let text = cut(message);
        // Not every language has a stderr here.
        if level == Level::ERROR {
            self.remember(text.lines().next().unwrap_or_default());
        }
        self.push(level, "log", text);
    }

    /// Bytes that the plugin printed.
    pub(super) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.partial(stream).append(&rest[..end]);
            self.end_line(stream);
            rest = &rest[end + 1..];
        }
        self.partial(stream).append(rest);
    }

    /// The call ended well.
    pub(super) fn release(&mut self, gate: &LogGate, lane: u32) {
        if !self.lines.is_empty() || self.overflow > 0 {
            gate.pass(self.lines.drain(..), std::mem::take(&mut self.overflow), lane);
        }
        self.last_words.clear();
    }

    /// The call failed. Returns its last words.
    pub(super) fn discard(&mut self, gate: &LogGate, lane: u32) -> Option<String> {
        self.end_line(Stream::Stderr);
        let lines = self.lines.drain(..).map(|line| Line { level: Level::DEBUG, ..line });
        gate.pass(lines, std::mem::take(&mut self.overflow), lane);
        let last = self.last_words.pop_back()?;
        // "thread … panicked at src/lib.rs:1:1:" and the message are two lines of one sentence.
        match self.last_words.pop_back() {
            Some(before) if before.ends_with(':') => Some(format!("{before} {last}")),
            _ => Some(last),
        }
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(&mut self.partial(stream).0);
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if text.is_empty() {
            return;
        }
        match stream {
            Stream::Stdout => self.push(Level::INFO, "stdout", text),
            Stream::Stderr => {
                if !text.starts_with("note: ") {
                    self.remember(&text);
                }
                self.push(Level::WARN, "stderr", text);
            }
        }
    }

    fn remember(&mut self, words: &str) {
        if self.last_words.len() == LAST_WORDS {
            self.last_words.pop_front();
        }
        self.last_words.push_back(words.to_owned());
    }

    fn push(&mut self, level: Level, source: &'static str, text: String) {
        // What nobody listens to must not use up the bound.
        if level > LevelFilter::current() {
            return;
        }
        if self.lines.len() == CALL_LINES_MAX {
            self.overflow += 1;
            return;
        }
        self.lines.push(Line { level, source, text });
    }
}

impl Partial {
    fn append(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

impl LogGate {
    pub(super) fn new(plugin: String) -> LogGate {
        let window = Mutex::new(Window { start: Instant::now(), lines: 0, dropped: 0 });
        LogGate { plugin, window, dropped: AtomicU64::new(0) }
    }

    /// Lines that were never logged, since the plugin was loaded.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn pass(&self, lines: impl Iterator<Item = Line>, overflow: u64, lane: u32) {
        let (allowed, missed) = {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            let mut missed = 0;
            if window.start.elapsed() >= WINDOW {
                missed = std::mem::take(&mut window.dropped);
                (window.start, window.lines) = (Instant::now(), 0);
            }
            let mut allowed = Vec::new();
            let mut dropped = overflow;
            for line in lines {
                if window.lines < WINDOW_LINES_MAX {
                    window.lines += 1;
                    allowed.push(line);
                } else {
                    dropped += 1;
                }
            }
            window.dropped += dropped;
            self.dropped.fetch_add(dropped, Relaxed);
            (allowed, missed)
        };
        let plugin = self.plugin.as_str();
        if missed > 0 {
            tracing::warn!(target: TARGET, plugin, lane, "{missed} more lines, dropped");
        }
        for Line { level, source, text } in allowed {
            match level {
                Level::TRACE => tracing::trace!(target: TARGET, plugin, lane, source, "{text}"),
                Level::DEBUG => tracing::debug!(target: TARGET, plugin, lane, source, "{text}"),
                Level::INFO => tracing::info!(target: TARGET, plugin, lane, source, "{text}"),
                Level::WARN => tracing::warn!(target: TARGET, plugin, lane, source, "{text}"),
                Level::ERROR => tracing::error!(target: TARGET, plugin, lane, source, "{text}"),
            }
        }
    }
}

/// Cuts a guest's words to the length of a line.
pub(super) fn cut(text: &str) -> String {
    let text = text.trim_end();
    if text.len() <= LINE_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(LINE_BYTES_MAX)])
}

/// Under which plugins speak in the log.
pub(super) const TARGET: &str = "pointsman::plugin";
const LINE_BYTES_MAX: usize = 2048;
const CALL_LINES_MAX: usize = 64;
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_LINES_MAX: u32 = 100;
const LAST_WORDS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> Option<String> {
        let mut output = Output::new();
        output.print(Stream::Stderr, text.as_bytes());
        output.discard(&LogGate::new("p".into()), 0)
    }

    #[test]
    fn last_words_are_the_panic_and_where() {
        let panic =
            "x\n\nthread '<unnamed>' panicked at src/lib.rs:3:9:\nno such region\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(printed(panic).as_deref(), Some("thread '<unnamed>' panicked at src/lib.rs:3:9: no such region"));
    }

    #[test]
    fn an_error_that_is_logged_is_among_the_last_words() {
        let mut output = Output::new();
        output.log(Level::ERROR, "no such region\nand where");
        output.log(Level::WARN, "on the way out");
        assert_eq!(output.discard(&LogGate::new("p".into()), 0).as_deref(), Some("no such region"));
        output.log(Level::ERROR, "of a call that went well");
        output.release(&LogGate::new("p".into()), 0);
        assert_eq!(output.discard(&LogGate::new("p".into()), 0), None);
    }

    #[test]
    fn a_line_need_not_have_ended() {
        assert_eq!(printed("first\nlast").as_deref(), Some("last"));
        assert_eq!(printed(""), None);
    }

    #[test]
    fn lines_are_cut_at_characters() {
        let long = "é".repeat(LINE_BYTES_MAX);
        assert_eq!(cut(&long).chars().count(), LINE_BYTES_MAX / 2 + 1);
        assert_eq!(printed(&"x".repeat(1 << 20)).unwrap().len(), LINE_BYTES_MAX);
    }

    #[test]
    fn lines_past_the_rate_are_counted() {
        let gate = LogGate::new("p".into());
        let line = || Line { level: Level::INFO, source: "log", text: String::new() };
        gate.pass((0..WINDOW_LINES_MAX + 7).map(|_| line()), 3, 0);
        assert!(gate.dropped() >= 3);
        assert!(gate.dropped() <= 10);
    }
}
