//! Lists of partitions as they are written in the settings: `0`, `1-5`, `1,3,5-7`.

/// Partitions that a list may name. More are a slip of the finger, and a range of them would take the memory.
const MAX: usize = 10_000;

/// Reads a list, in its order.
pub(crate) fn parse(list: &str) -> Result<Vec<u32>, String> {
    let mut partitions = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("the range {} runs backwards", part.trim()));
        }
        if (last - first) as usize >= MAX - partitions.len() {
            return Err(format!("names more than {MAX} partitions"));
        }
        partitions.extend(first..=last);
    }
    let mut sorted = partitions.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("names partition {} twice", pair[0])),
        None => Ok(partitions),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let text = text.trim();
    text.parse().map_err(|_| format!("\"{text}\" is no partition: write numbers and ranges, such as \"1,3,5-7\""))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_numbers_and_ranges() {
        assert_eq!(parse("0"), Ok(vec![0]));
        assert_eq!(parse("1-5"), Ok(vec![1, 2, 3, 4, 5]));
        assert_eq!(parse(" 7, 3 ,5 - 6"), Ok(vec![7, 3, 5, 6]));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = [
            ("", "\"\" is no partition"),
            ("1,", "\"\" is no partition"),
            ("-1", "\"\" is no partition"),
            ("a", "\"a\" is no partition"),
            ("1-2-3", "\"2-3\" is no partition"),
            ("5-1", "the range 5-1 runs backwards"),
            ("1-3,2", "names partition 2 twice"),
            ("0-4294967295", "names more than 10000 partitions"),
        ];
        for (list, error) in wrong {
            let found = parse(list).unwrap_err();
            assert!(found.starts_with(error), "{list}: {found}");
        }
    }
}
