//! A Java `.properties` file as entries.
//!
//! The syntax is that of `java.util.Properties`: comments with `#` or `!`, keys that end at `=`, `:` or white space,
//! lines continued by a backslash, `\t \n \r \f \uXXXX`. Two differences: the text is UTF-8 where it can be (Java reads
//! ISO-8859-1; what is not UTF-8 is read so), and half of a surrogate pair is an error.

use super::entry::Entry;
use super::error::{Place, Problem, ProblemKind};
use std::iter::Peekable;
use std::str::Chars;

/// Reads a properties text. A line that can't be read is a problem; the others are read on.
pub(super) fn read(text: &str, file: &Place, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (line, logical) in logical_lines(text) {
        let place = file.at_line(line);
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => entries.push(Entry::text(key, value, place)),
            (Err(what), _) | (_, Err(what)) => problems.push(
                Problem::new(ProblemKind::Syntax, &place, None, what)
                    .help("\\u needs four hexadecimal digits; a backslash itself is written \\\\"),
            ),
        }
    }
    entries
}

/// The value of one key in a properties text; the last one counts.
pub(super) fn value_of(text: &str, wanted: &str) -> Option<String> {
    let lines = logical_lines(text).into_iter().rev();
    let mut found = lines.filter(|(_, line)| unescape(split(line).0).is_ok_and(|key| key == wanted));
    found.next().and_then(|(_, line)| unescape(split(&line).1).ok())
}

/// Text from bytes: UTF-8, or else ISO-8859-1; without a byte order mark.
pub(super) fn decode(mut bytes: Vec<u8>) -> String {
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    }
}

/// Lines with their continuations, without comments and blanks; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut logical: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, line) in natural_lines(text).into_iter().enumerate() {
        let line = line.trim_start_matches(is_blank);
        // What continues a line is never a comment, and a blank one ends it.
        if !continued && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let goes_on = backslashes % 2 == 1;
        let line = if goes_on { &line[..line.len() - 1] } else { line };
        match logical.last_mut() {
            Some((_, before)) if continued => before.push_str(line),
            _ => logical.push((index + 1, line.to_owned())),
        }
        continued = goes_on;
    }
    // A continuation of nothing, such as a lone backslash, leaves an empty line.
    logical.retain(|(_, line)| !line.is_empty());
    logical
}

/// Lines that end at `\n`, `\r` or both.
fn natural_lines(text: &str) -> Vec<&str> {
    text.split('\n')
        .flat_map(|line| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            line.split('\r')
        })
        .collect()
}

/// The key and the value of a line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || is_blank(c));
            escaped = !escaped && c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => plain.push(unicode(&mut chars)?),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Ok(plain)
}

/// The letter of `\uXXXX`, or of two of them where the first is half a pair.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let first = four_digits(chars)?;
    if let Some(letter) = char::from_u32(first) {
        return Ok(letter);
    }
    let mut ahead = chars.clone();
    if ahead.next() == Some('\\') && ahead.next() == Some('u') {
        let second = four_digits(&mut ahead)?;
        let pair = [first, second].map(|unit| u16::try_from(unit).unwrap_or_default());
        if let Some(Ok(letter)) = char::decode_utf16(pair).next() {
            *chars = ahead;
            return Ok(letter);
        }
    }
    Err("half of a surrogate pair after \\u".into())
}

fn four_digits(chars: &mut Peekable<Chars<'_>>) -> Result<u32, String> {
    let mut number = 0;
    for _ in 0..4 {
        let digit = chars.peek().and_then(|c| c.to_digit(16)).ok_or("a \\u without its four digits")?;
        chars.next();
        number = number * 16 + digit;
    }
    Ok(number)
}

/// White space to Java's reader: space, tab, form feed.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

#[cfg(test)]
mod tests {
    use super::super::entry::Raw;
    use super::super::error::Source;
    use super::*;
    use proptest::prelude::*;

    fn read_all(text: &str) -> (Vec<(String, String, usize)>, Vec<Problem>) {
        let mut problems = Vec::new();
        let entries = read(text, &Place::of(Source::Text), &mut problems);
        let triples = entries.into_iter().map(|entry| match &entry.raw {
            Raw::Text(text) => (entry.key, text.clone(), entry.place.line.unwrap()),
            Raw::List(_) => unreachable!("properties have no lists"),
        });
        (triples.collect(), problems)
    }

    /// Expected values are what `java.util.Properties` (Java 17) loads from the same text.
    #[test]
    fn as_java_reads_it() {
        for (text, key, value) in [
            ("a=b", "a", "b"),
            ("a:b", "a", "b"),
            ("a b", "a", "b"),
            ("a = b ", "a", "b "),
            ("a : = b", "a", "= b"),
            ("a==b", "a", "=b"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("  \t\u{c}a=b", "a", "b"),
            ("a\\ b=c", "a b", "c"),
            ("a\\=b=c", "a=b", "c"),
            ("a\\:b:c", "a:b", "c"),
            ("a=b#c", "a", "b#c"),
            ("a=\\u4e2d\\u6587", "a", "中文"),
            ("a=\\uD83D\\uDE00", "a", "😀"),
            ("a=\\t\\n\\r\\f\\x\\\\", "a", "\t\n\r\u{c}x\\"),
            ("a=b\\\n   c", "a", "bc"),
            ("a=b\\\r\n\tc", "a", "bc"),
            ("a=b\\\n#c", "a", "b#c"),
            ("a=b\\\\", "a", "b\\"),
            ("a=b\\", "a", "b"),
            ("a\\\n=b", "a", "b"),
            ("=b", "", "b"),
            ("ü=é", "ü", "é"),
        ] {
            let (entries, problems) = read_all(text);
            assert_eq!(problems, [], "{text:?}");
            assert_eq!(entries, [(key.to_owned(), value.to_owned(), 1)], "{text:?}");
        }
    }

    #[test]
    fn comments_and_blanks_are_skipped_and_lines_are_counted() {
        let (entries, _) = read_all("# x\n\n! y \\\na=1\r\n \t\nb=2\\\n  3\rc=4\n\\\n");
        let expected = [("a", "1", 4), ("b", "23", 6), ("c", "4", 8)];
        assert_eq!(entries, expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line)));
    }

    #[test]
    fn a_blank_line_ends_a_continuation() {
        let (entries, _) = read_all("a=b\\\n\nc=d");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].1, "b");
    }

    #[test]
    fn a_broken_escape_names_its_line_and_the_rest_is_read() {
        for broken in ["\\u12", "\\u12g4", "\\uD83D", "\\uD83Dx", "\\uD83D\\u0041", "\\uDE00"] {
            let (entries, problems) = read_all(&format!("a=1\nb={broken}\nc=3"));
            assert_eq!(entries.len(), 2, "{broken}");
            assert_eq!((problems[0].kind, problems[0].place.line), (ProblemKind::Syntax, Some(2)), "{broken}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_latin_1() {
        assert_eq!(decode(b"a=\xe9".to_vec()), "a=é");
        assert_eq!(decode("\u{feff}a=é".into()), "a=é");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_all(&decode(bytes));
        }

        #[test]
        fn never_panics_on_its_own_signs(text in "[\\\\u=: #!\n\r\t0-9aDdEe]{0,60}") {
            read_all(&text);
        }

        #[test]
        fn what_is_escaped_comes_back(key in "[a-z.]{1,20}", value in "[ -~]{0,40}") {
            let escaped: String = value.chars().flat_map(|c| ['\\'].into_iter().chain([c]).skip(usize::from(c.is_ascii_alphanumeric()))).collect();
            let (entries, problems) = read_all(&format!("{key}={escaped}"));
            prop_assert_eq!(problems, []);
            prop_assert_eq!(entries, [(key, value, 1)]);
        }
    }
}
