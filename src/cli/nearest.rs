//! Which known name was meant by an unknown one.

/// The candidate that differs by few slips of the finger, if there is one.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // In a short word a few slips make any other word.
    let slips = (word.chars().count() / 3).clamp(1, 3);
    let distance = |candidate: &'a str| (strsim::damerau_levenshtein(word, candidate), candidate);
    candidates.into_iter().map(distance).min().filter(|(distance, _)| *distance <= slips).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_forgiven_and_another_word_is_not() {
        let names = ["topic", "partition", "value_base64"];
        assert_eq!(nearest("tpoic", names), Some("topic"));
        assert_eq!(nearest("partitions", names), Some("partition"));
        assert_eq!(nearest("valuebase64", names), Some("value_base64"));
        assert_eq!(nearest("order", names), None);
        assert_eq!(nearest("", []), None);
    }
}
