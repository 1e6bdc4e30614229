//! Paths as they are written in the settings: `card.number`, `people[*].ssn`, `$["a.b"]`.

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member of an object.
    Member(String),
    /// Every element of an array.
    Elements,
}

/// Reads a path. That of the whole document, `$`, has no steps.
pub(crate) fn parse(path: &str) -> Result<Vec<Step>, String> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    // A name needs no dot before it where the path begins with it.
    let mut begins = rest.len() == path.len();
    if path.is_empty() {
        return Err("the path is empty; `$` is the whole document".to_owned());
    }
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            steps.push(Step::Elements);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let (name, after) = after.split_once("\"]").ok_or_else(|| format!("{path}: [\" is not closed by \"]"))?;
            steps.push(Step::Member(name.to_owned()));
            rest = after;
        } else if rest.starts_with('[') {
            return Err(format!("{path}: in brackets stands * for every element, or a name in double quotes"));
        } else {
            let name = if begins { Some(rest) } else { rest.strip_prefix('.') };
            let name = name.ok_or_else(|| format!("{path}: \"{rest}\" should begin with a dot or a bracket"))?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            match &name[..end] {
                "" => return Err(format!("{path}: a name is empty")),
                "*" => return Err(format!("{path}: * stands for elements of an array only, as [*]")),
                name => steps.push(Step::Member(name.to_owned())),
            }
            rest = &name[end..];
        }
        begins = false;
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_elements_and_quoted_names() {
        let member = |name: &str| Step::Member(name.to_owned());
        assert_eq!(parse("$"), Ok(vec![]));
        assert_eq!(parse("card.number"), Ok(vec![member("card"), member("number")]));
        assert_eq!(parse("$.card"), parse("card"));
        assert_eq!(parse("people[*].ssn"), Ok(vec![member("people"), Step::Elements, member("ssn")]));
        assert_eq!(parse("[*][*]"), Ok(vec![Step::Elements, Step::Elements]));
        assert_eq!(parse("$[*].a"), parse("[*].a"));
        assert_eq!(parse(r#"a["b.c[*]"].d"#), Ok(vec![member("a"), member("b.c[*]"), member("d")]));
        assert_eq!(parse(r#"[""]"#), Ok(vec![member("")]));
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = [
            ("", "the path is empty; `$` is the whole document"),
            (".a", ".a: a name is empty"),
            ("a.", "a.: a name is empty"),
            ("a..b", "a..b: a name is empty"),
            ("$a", "$a: \"a\" should begin with a dot or a bracket"),
            ("a[*]b", "a[*]b: \"b\" should begin with a dot or a bracket"),
            ("a[0]", "a[0]: in brackets stands * for every element, or a name in double quotes"),
            ("a[\"b]", "a[\"b]: [\" is not closed by \"]"),
            ("a.*", "a.*: * stands for elements of an array only, as [*]"),
        ];
        for (path, error) in wrong {
            assert_eq!(parse(path).unwrap_err(), error, "{path}");
        }
    }
}
