//! A TOML file as entries: tables flatten to dotted names, each with its line.

use super::entry::{Entry, Raw};
use super::error::{Place, Problem, ProblemKind};
use ::toml::de::{DeTable, DeValue};

/// Reads a TOML text: `[producer]`, `[plugins.NAME]` and `[plugins.NAME.settings]`, `[topics."PATTERN"]`.
///
/// Keys of `[producer]` come out under their own names, those of plugins as `plugins.NAME.…` and of topics as
/// `topics.PATTERN.…`, all in the order of the file.
pub(super) fn read(text: &str, file: &Place, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut last_line = None;
        for error in errors {
            let at = error.span().map(|span| lines.position(span.start));
            // One slip makes the parser stumble more than once; a line is named once, and the first few only.
            if at.is_some() && at.map(|at| at.0) == last_line || problems.len() == SYNTAX_ERRORS_MAX {
                continue;
            }
            last_line = at.map(|at| at.0);
            let place = at.map_or_else(|| file.clone(), |at| file.at(at));
            // Only the parser's words: the line itself may hold a secret.
            let what = format!("not TOML: {}", error.message().trim_end().replace('\n', ", "));
            let help = if what.contains("dotted key") { QUOTE_HELP } else { "" };
            problems.push(Problem::new(ProblemKind::Syntax, &place, None, what).help(help));
        }
        return Vec::new();
    }

    let mut reader = Reader { lines, file, problems, found: Vec::new() };
    for (name, value) in table.get_ref() {
        let (at, name) = (name.span().start, name.get_ref().as_ref());
        match (name, value.get_ref()) {
            ("producer", DeValue::Table(table)) => reader.flatten("", table),
            ("plugins", DeValue::Table(table)) => reader.flatten("plugins.", table),
            ("topics", DeValue::Table(table)) => reader.flatten("topics.", table),
            ("preset", _) => reader.value("preset".into(), at, value.get_ref()),
            _ => reader.stray(name, at),
        }
    }
    let Reader { mut found, .. } = reader;
    found.sort_by_key(|(at, _)| *at);
    refuse_twice(&found, problems);
    found.into_iter().map(|(_, entry)| entry).collect()
}

struct Reader<'a> {
    lines: Lines<'a>,
    file: &'a Place,
    problems: &'a mut Vec<Problem>,
    found: Vec<(usize, Entry)>,
}

impl Reader<'_> {
    fn flatten(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            self.value(format!("{prefix}{}", name.get_ref()), name.span().start, value.get_ref());
        }
    }

    fn value(&mut self, key: String, at: usize, value: &DeValue<'_>) {
        if let DeValue::Table(table) = value {
            return self.flatten(&format!("{key}."), table);
        }
        if let DeValue::Array(array) = value {
            // A setting's array becomes one entry an element; any other key's stays a list.
            if is_setting(&key) {
                for (index, element) in array.iter().enumerate() {
                    self.value(format!("{key}.{index}"), element.span().start, element.get_ref());
                }
                return;
            }
            let items: Option<Vec<String>> = array.iter().map(|element| scalar(element.get_ref())).collect();
            return match items {
                Some(items) => self.push(key, at, Raw::List(items)),
                None => {
                    let place = self.place(at);
                    let problem =
                        Problem::new(ProblemKind::InvalidValue, &place, Some(&key), "a list of lists or tables");
                    self.problems.push(problem.help("a list holds single values here"));
                }
            };
        }
        if let Some(text) = scalar(value) {
            self.push(key, at, Raw::Text(text));
        }
    }

    fn push(&mut self, key: String, at: usize, raw: Raw) {
        let place = self.place(at);
        self.found.push((at, Entry { key, raw, place, provided: false }));
    }

    fn place(&self, at: usize) -> Place {
        self.file.at_line(self.lines.position(at).0)
    }

    /// Something at the top level that is none of the tables.
    fn stray(&mut self, name: &str, at: usize) {
        let place = self.place(at);
        self.problems.push(match name {
            "producer" | "plugins" | "topics" => {
                Problem::new(ProblemKind::Syntax, &place, Some(name), "a single value where a table is expected")
                    .help(format!("write [{name}] on a line of its own, with its keys below"))
            }
            _ => Problem::new(ProblemKind::UnknownKey, &place, Some(name), "outside of any known table")
                .help("Kafka's keys go below [producer], plugins into [plugins.NAME], chains of some topics into [topics.\"NAME\"]"),
        });
    }
}

/// Where lines begin, to turn offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// Line and column of an offset, both from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}

/// A single value as text, in TOML's own spelling; none for arrays and tables.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // Hexadecimal and its like as decimal; what doesn't fit stays text, and the key's range refuses it.
        DeValue::Integer(number) => Some(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()),
        ),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Whether a flattened name is below `plugins.NAME.settings`.
fn is_setting(key: &str) -> bool {
    let mut parts = key.splitn(4, '.');
    parts.next() == Some("plugins") && parts.next().is_some() && parts.next() == Some("settings")
}

/// A dotted and a quoted key may spell the same name: TOML allows both, we can't tell which is meant.
fn refuse_twice(found: &[(usize, Entry)], problems: &mut Vec<Problem>) {
    let mut by_key: Vec<&Entry> = found.iter().map(|(_, entry)| entry).collect();
    by_key.sort_by(|a, b| a.key.cmp(&b.key));
    for pair in by_key.windows(2).filter(|pair| pair[0].key == pair[1].key) {
        let first = pair[0].place.line.unwrap_or_default();
        problems.push(
            Problem::new(
                ProblemKind::Conflict,
                &pair[1].place,
                Some(&pair[1].key),
                format!("set before, in line {first}"),
            )
            .help("take one of the two away"),
        );
    }
}

const SYNTAX_ERRORS_MAX: usize = 5;

const QUOTE_HELP: &str = "if two names share a beginning, such as \"a.b\" and \"a.b.c\", put both in quotes";

#[cfg(test)]
mod tests {
    use super::super::error::Source;
    use super::*;

    fn read_ok(text: &str) -> Vec<(String, String, usize)> {
        let mut problems = Vec::new();
        let entries = read(text, &Place::of(Source::Text), &mut problems);
        assert_eq!(problems, []);
        entries
            .into_iter()
            .map(|entry| {
                let value = match &entry.raw {
                    Raw::Text(text) => text.clone(),
                    Raw::List(items) => format!("[{}]", items.join("|")),
                };
                (entry.key, value, entry.place.line.unwrap())
            })
            .collect()
    }

    fn read_err(text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        read(text, &Place::of(Source::Text), &mut problems);
        assert!(!problems.is_empty());
        problems
    }

    fn triple(key: &str, value: &str, line: usize) -> (String, String, usize) {
        (key.into(), value.into(), line)
    }

    #[test]
    fn dotted_quoted_and_nested_keys_are_the_same() {
        let text = "[producer]\nbootstrap.servers = \"a:1\"\n\"linger.ms\" = 5\nretry = { backoff.ms = 1, backoff.max.ms = 2 }\n\
                    [producer.batch]\nsize = 0x10\n";
        let expected = [
            triple("bootstrap.servers", "a:1", 2),
            triple("linger.ms", "5", 3),
            triple("retry.backoff.ms", "1", 4),
            triple("retry.backoff.max.ms", "2", 4),
            triple("batch.size", "16", 6),
        ];
        assert_eq!(read_ok(text), expected);
    }

    #[test]
    fn settings_keep_their_order_and_flatten() {
        let text = "[plugins.p]\ncomponent = \"p.wasm\"\n[plugins.p.settings]\nz = 1\na = true\nf = 1_0.5\n\
                    fields = [\"name\", \"mail\"]\nregions.bj = \"0-1\"\n\"regions.sh\" = 2\nday = 2026-01-02\n\
                    [[plugins.p.settings.rules]]\nname = \"x\"\n";
        let expected = [
            triple("plugins.p.component", "p.wasm", 2),
            triple("plugins.p.settings.z", "1", 4),
            triple("plugins.p.settings.a", "true", 5),
            triple("plugins.p.settings.f", "10.5", 6),
            triple("plugins.p.settings.fields.0", "name", 7),
            triple("plugins.p.settings.fields.1", "mail", 7),
            triple("plugins.p.settings.regions.bj", "0-1", 8),
            triple("plugins.p.settings.regions.sh", "2", 9),
            triple("plugins.p.settings.day", "2026-01-02", 10),
            triple("plugins.p.settings.rules.0.name", "x", 12),
        ];
        assert_eq!(read_ok(text), expected);
    }

    #[test]
    fn lists_are_arrays_or_text() {
        let text = "[producer]\ninterceptor.classes = [\"wasm:a\", \"wasm:b\"]\n";
        assert_eq!(read_ok(text), [triple("interceptor.classes", "[wasm:a|wasm:b]", 2)]);
        assert!(read_err("[producer]\ninterceptor.classes = [[1]]")[0].what.contains("list of lists"));
    }

    #[test]
    fn syntax_errors_have_line_and_column_and_no_value() {
        let problems = read_err("[producer]\nacks = \"all\"\nssl.key.password = \"hunter2\nlinger.ms = \n");
        assert_eq!((problems[0].kind, problems[0].place.line), (ProblemKind::Syntax, Some(3)), "{problems:?}");
        assert!(problems[0].place.column.is_some());
        assert!(!format!("{problems:?}").contains("hunter2"));
        assert_eq!(problems.last().unwrap().place.line, Some(4), "{problems:?}");
    }

    #[test]
    fn names_that_share_a_beginning_must_be_quoted() {
        let problems =
            read_err("[producer]\nsasl.oauthbearer.scope = \"a\"\nsasl.oauthbearer.scope.claim.name = \"b\"\n");
        assert!(problems[0].help.contains("in quotes"), "{problems:?}");
        assert_eq!(
            read_ok("[producer]\n\"sasl.oauthbearer.scope\" = \"a\"\n\"sasl.oauthbearer.scope.claim.name\" = \"b\"\n")
                .len(),
            2
        );
    }

    #[test]
    fn a_name_spelt_two_ways_is_refused() {
        let problems = read_err("[producer]\nlinger.ms = 1\n\"linger.ms\" = 2\n");
        assert!(problems[0].what.contains("set before, in line 2"), "{problems:?}");
    }

    #[test]
    fn strays_are_told_where_to_go() {
        assert!(read_err("acks = \"all\"\n")[0].help.contains("[producer]"));
        assert!(read_err("producer = 1\n")[0].help.contains("[producer]"));
        assert!(read_err("topics = 1\n")[0].help.contains("[topics]"));
    }

    #[test]
    fn positions_count_letters_not_bytes() {
        let lines = Lines::new("é = 1\nb");
        assert_eq!((lines.position(0), lines.position(3), lines.position(7)), ((1, 1), (1, 3), (2, 1)));
        assert_eq!(lines.position(8), (2, 2));
    }
}
