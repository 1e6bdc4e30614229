//! Which known name was meant by an unknown one.

/// The candidate that differs by one or two slips of the finger, if there is one.
pub(super) fn misspelt<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // In a short word two slips may make any other word.
    let slips = if word.chars().count() < 5 { 1 } else { 2 };
    let best = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate)).min()?;
    (best.0 <= slips).then_some(best.1)
}

/// The candidates most like `word`, best first: those that share its dotted parts, then those spelt alike.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let parts: Vec<&str> = word.split('.').collect();
    let mut ranked: Vec<_> = candidates
        .into_iter()
        .map(|candidate| {
            let shared: usize = candidate.split('.').filter(|part| parts.contains(part)).map(str::len).sum();
            (distance(word, candidate).saturating_sub(shared), candidate)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// How many letters must be added, taken away, changed or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LETTERS_MAX).collect(), b.chars().take(LETTERS_MAX).collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// No key is longer; a megabyte of one line must not cost a square of it.
const LETTERS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips() {
        for (a, b, slips) in [
            ("", "", 0),
            ("acks", "acks", 0),
            ("acks", "ack", 1),
            ("acks", "akcs", 1),
            ("linger.ms", "lingerms", 1),
            ("linger.ms", "lnigre.ms", 2),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(a, b), slips, "{a} {b}");
            assert_eq!(distance(b, a), slips, "{b} {a}");
        }
    }

    #[test]
    fn short_words_forgive_one_slip() {
        assert_eq!(misspelt("ack", ["acks"]), Some("acks"));
        assert_eq!(misspelt("as", ["acks"]), None);
        assert_eq!(misspelt("linge.m", ["acks", "linger.ms"]), Some("linger.ms"));
    }

    #[test]
    fn shared_parts_rank_first() {
        let names = ["acks", "retry.backoff.ms", "reconnect.backoff.ms"];
        assert_eq!(nearest("retry.wait.ms", names, 1), ["retry.backoff.ms"]);
    }
}
