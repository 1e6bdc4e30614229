//! A plugin's settings: asked for by name, and what nobody asks for is an error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::str::FromStr;

/// The plugin's table in the producer's config file, flattened: `regions.CA = "0"` is the entry `regions.CA`, and
/// the array `fields = ["a", "b"]` the entries `fields.0` and `fields.1`.
///
/// A plugin need not list what it knows: an entry that `configure` never asked for is reported as a mistake, with
/// the known name that it resembles.
#[derive(Debug)]
pub struct Settings {
    entries: Vec<(String, String)>,
    known: RefCell<Known>,
}

/// What `configure` asked for so far.
#[derive(Debug, Default)]
struct Known {
    names: BTreeSet<String>,
    prefixes: BTreeSet<String>,
}

impl Settings {
    /// Runs a plugin's `configure` and refuses entries that it did not ask for.
    pub(crate) fn configure<P>(
        entries: Vec<(String, String)>,
        configure: impl FnOnce(&Settings) -> Result<P, String>,
    ) -> Result<P, String> {
        let settings = Settings { entries, known: RefCell::default() };
        let plugin = configure(&settings)?;
        settings.check_unknown()?;
        Ok(plugin)
    }

    /// The value of a setting, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.known.borrow_mut().names.insert(name.to_owned());
        self.entries.iter().find(|(entry, _)| entry == name).map(|(_, value)| value.as_str())
    }

    /// The value of a setting that must be there.
    ///
    /// # Errors
    /// If it is not; with the entry that looks like a misspelling of it.
    pub fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| {
            let names = self.entries.iter().map(|(entry, _)| entry.as_str());
            match nearest(name, names) {
                Some(entry) => format!("the setting `{name}` is missing; is `{entry}` meant to be it?"),
                None => format!("the setting `{name}` is missing"),
            }
        })
    }

    /// A number, or whatever else can be read from a string.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, String>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.trim().parse().map(Some).map_err(|error| format!("{name} = \"{value}\": {error}"))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// If it is there and is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// One of some words.
    ///
    /// # Errors
    /// If it is there and none of them; names them all.
    pub fn choice<T: Clone>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, choice)) => Ok(Some(choice.clone())),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                Err(format!("{name} = \"{value}\": must be {}", words.join(" or ")))
            }
        }
    }

    /// The entries below a name: `under("regions")` gives `CA` and its value for `regions.CA`.
    pub fn under(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{name}.");
        self.known.borrow_mut().prefixes.insert(prefix.clone());
        self.entries.iter().filter_map(move |(entry, value)| Some((entry.strip_prefix(&prefix)?, value.as_str())))
    }

    /// The values of an array, in order: `fields = ["a", "b"]`. One string counts as an array of one.
    pub fn list(&self, name: &str) -> Vec<&str> {
        let mut values = Vec::from_iter(self.get(name));
        while let Some(value) = self.get(&format!("{name}.{}", values.len())) {
            values.push(value);
        }
        values
    }

    fn check_unknown(&self) -> Result<(), String> {
        let known = self.known.borrow();
        let is_known =
            |entry: &str| known.names.contains(entry) || known.prefixes.iter().any(|prefix| entry.starts_with(prefix));
        let Some((entry, _)) = self.entries.iter().find(|(entry, _)| !is_known(entry)) else { return Ok(()) };

        // "region.CA" for "regions.CA": compare what stands before the dot with the prefixes.
        let head = entry.split_once('.').map(|(head, rest)| (format!("{head}."), rest));
        let prefixes = known.prefixes.iter().map(String::as_str);
        let by_prefix = head.and_then(|(head, rest)| Some(format!("{}{rest}", nearest(&head, prefixes)?)));
        let by_name = nearest(entry, known.names.iter().map(String::as_str)).map(str::to_owned);
        if let Some(meant) = by_name.or(by_prefix) {
            return Err(format!("the setting `{entry}` is not known here; is `{meant}` meant?"));
        }
        let mut all: Vec<_> = known.names.iter().cloned().collect();
        all.extend(known.prefixes.iter().map(|prefix| format!("{prefix}*")));
        Err(match all.is_empty() {
            true => format!("the setting `{entry}` is not known here: there are none"),
            false => format!("the setting `{entry}` is not known here; known are {}", all.join(", ")),
        })
    }
}

/// The candidate with the fewest edits, if they are few for its length.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(name.as_bytes(), candidate.as_bytes()), candidate))
        .min()
        .filter(|&(edits, candidate)| edits <= 2 && edits * 2 < candidate.len())
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configure<P>(entries: &[(&str, &str)], f: impl FnOnce(&Settings) -> Result<P, String>) -> Result<P, String> {
        Settings::configure(entries.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(), f)
    }

    #[test]
    fn an_entry_nobody_asked_for_is_an_error_that_names_the_nearest() {
        let ask = |settings: &Settings| {
            settings.get("source");
            settings.under("regions").count();
            Ok(())
        };
        assert_eq!(configure(&[("source", "x"), ("regions.a.b", "1")], ask), Ok(()));
        let error = |entry| configure(&[(entry, "x")], ask).unwrap_err();
        assert_eq!(error("sorce"), "the setting `sorce` is not known here; is `source` meant?");
        assert_eq!(error("region.CA"), "the setting `region.CA` is not known here; is `regions.CA` meant?");
        assert_eq!(error("colour"), "the setting `colour` is not known here; known are source, regions.*");
        let none = configure(&[("x", "1")], |_| Ok(())).unwrap_err();
        assert_eq!(none, "the setting `x` is not known here: there are none");
    }

    #[test]
    fn a_missing_setting_names_its_misspelling() {
        let ask = |settings: &Settings| settings.required("header").map(str::to_owned);
        assert_eq!(
            configure(&[("heder", "x")], ask).unwrap_err(),
            "the setting `header` is missing; is `heder` meant to be it?"
        );
        assert_eq!(configure(&[], ask).unwrap_err(), "the setting `header` is missing");
    }

    #[test]
    fn values_are_read_or_named() {
        let number = |value| configure(&[("n", value)], |settings| settings.parse::<u32>("n"));
        assert_eq!(number(" 7 "), Ok(Some(7)));
        assert_eq!(number("x").unwrap_err(), "n = \"x\": invalid digit found in string");
        let flag = |value| configure(&[("f", value)], |settings| settings.flag("f"));
        assert_eq!(flag("true"), Ok(Some(true)));
        assert_eq!(flag("yes").unwrap_err(), "f = \"yes\": must be \"true\" or \"false\"");
    }

    #[test]
    fn lists_keep_their_order() {
        let list = |entries: &[_]| {
            configure(entries, |settings| Ok(settings.list("f").into_iter().map(str::to_owned).collect::<Vec<_>>()))
        };
        assert_eq!(list(&[("f.1", "b"), ("f.0", "a")]), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(list(&[("f", "a")]), Ok(vec!["a".to_owned()]));
        assert_eq!(list(&[("f.1", "b")]).unwrap_err(), "the setting `f.1` is not known here; is `f.0` meant?");
    }
}
