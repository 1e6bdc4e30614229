//! Runs a schema over a payload's text.

use super::{ArrayRules, JsonSchema, Node, NumberRule, ObjectRules, PROPERTIES_MAX, Rules, StringRule, Types};
use crate::decimal::Decimal;
use crate::fault::Fault;
use crate::json::{DEPTH_MAX, Json};
use pointsman_plugin::json::{Scanner, Text, Value};
use std::borrow::Cow;

/// Schemas within schemas, by nesting of the payload or by references.
const CALLS_MAX: usize = 4 * DEPTH_MAX;

impl JsonSchema {
    /// Whether a payload is JSON that the schema allows.
    pub(crate) fn validate(&self, document: &[u8]) -> Result<(), Fault> {
        if let Err(error) = std::str::from_utf8(document) {
            return Err(Fault::new(format!("not UTF-8 at byte {}", error.valid_up_to())));
        }
        let mut scanner = Scanner::new(document);
        self.run(self.root, &mut scanner, 0)?;
        Ok(scanner.end()?)
    }

    /// Goes past the value at the scanner, if it is allowed.
    fn run(&self, node: usize, scanner: &mut Scanner<'_>, calls: usize) -> Result<(), Fault> {
        if calls == CALLS_MAX {
            return Err(Fault::new(format!("nested deeper than {CALLS_MAX} schemas")));
        }
        match &self.nodes[node] {
            Node::Any => {
                scanner.skip_value()?;
                Ok(())
            }
            Node::Never => Err(Fault::new("not allowed here")),
            Node::Rules(rules) => self.rules(rules, scanner, calls + 1),
        }
    }

    /// Whether a schema allows the value at a scanner, which stays where it is.
    fn allows(&self, node: usize, scanner: Scanner<'_>, calls: usize) -> bool {
        self.run(node, &mut { scanner }, calls).is_ok()
    }

    fn rules(&self, rules: &Rules, scanner: &mut Scanner<'_>, calls: usize) -> Result<(), Fault> {
        let start = *scanner;
        let found = Types::of(start.peek());
        if let Some(types) = rules.types
            && !types.meets(found)
            && !(types.meets(Types::INTEGER) && found == Types::NUMBER && is_integer(start)?)
        {
            // What is not JSON at all should be called that.
            { start }.skip_value()?;
            return Err(Fault::new(format!("expected {}", types.names())));
        }
        for &node in &rules.all_of {
            self.run(node, &mut { start }, calls)?;
        }
        if !rules.any_of.is_empty() && !rules.any_of.iter().any(|&node| self.allows(node, start, calls)) {
            return Err(self.unfit(start, "fits no schema of anyOf"));
        }
        if !rules.one_of.is_empty() {
            match rules.one_of.iter().filter(|&&node| self.allows(node, start, calls)).take(2).count() {
                0 => return Err(self.unfit(start, "fits no schema of oneOf")),
                1 => {}
                _ => return Err(Fault::new("fits more than one schema of oneOf")),
            }
        }
        if rules.not.is_some_and(|node| self.allows(node, start, calls)) {
            return Err(Fault::new("fits the schema of not"));
        }
        if let Some((condition, then, otherwise)) = rules.condition {
            let branch = if self.allows(condition, start, calls) { then } else { otherwise };
            branch.map_or(Ok(()), |node| self.run(node, &mut { start }, calls))?;
        }
        for values in &rules.one_of_values {
            let mut is_in = false;
            for value in values {
                is_in = is_in || value.is_at(&mut { start })?;
            }
            if !is_in {
                return Err(self.unfit(start, "none of the values that are allowed"));
            }
        }
        match (start.peek(), &rules.object, &rules.array) {
            (b'{', Some(object), _) => self.object(object, scanner, calls),
            (b'[', _, Some(array)) => self.array(array, scanner, calls),
            (b'{' | b'[', ..) => {
                scanner.skip_value()?;
                Ok(())
            }
            _ => match scanner.value()? {
                Value::Number(text) => rules.numbers.iter().try_for_each(|rule| rule.check(Decimal::parse(text))),
                Value::String(text) => rules.strings.iter().try_for_each(|rule| rule.check(&text)),
                _ => Ok(()),
            },
        }
    }

    fn object(&self, rules: &ObjectRules, scanner: &mut Scanner<'_>, calls: usize) -> Result<(), Fault> {
        let mut seen = [0_u64; PROPERTIES_MAX / 64];
        let (mut count, mut next) = (0, 0);
        let mut more = scanner.open(b'}')?;
        while more {
            let begin = *scanner;
            let name = scanner.name()?;
            let start = *scanner;
            let here = |fault: Fault| fault.in_member(name.raw());
            if let Some(names) = rules.names {
                self.run(names, &mut { begin }, calls).map_err(here)?;
            }
            let known = rules.find(next, &name);
            if let Some(at) = known {
                seen[at / 64] |= 1 << (at % 64);
                next = at + 1;
            }
            let mut taken = false;
            if let Some(of) = known.and_then(|at| rules.properties[at].of) {
                self.run(of, scanner, calls).map_err(here)?;
                taken = true;
            }
            if !rules.patterns.is_empty() {
                let meaning = meaning(&name);
                for (pattern, of) in &rules.patterns {
                    if pattern.is_match(&meaning) {
                        *scanner = start;
                        self.run(*of, scanner, calls).map_err(here)?;
                        taken = true;
                    }
                }
            }
            match rules.additional {
                _ if taken => {}
                Some(of) => self.run(of, scanner, calls).map_err(here)?,
                None => {
                    scanner.skip_value()?;
                }
            }
            count += 1;
            more = scanner.more(b'}')?;
        }
        let is_there = |at: usize| seen[at / 64] & 1 << (at % 64) != 0;
        let missing = |at: usize| Err(Fault::new(format!("\"{}\" is missing", rules.properties[at].name)));
        for (at, property) in rules.properties.iter().enumerate() {
            if property.required && !is_there(at) {
                return missing(at);
            }
        }
        for (if_there, others) in &rules.dependent {
            if let Some(&at) = others.iter().find(|&&other| is_there(*if_there) && !is_there(other)) {
                return missing(at);
            }
        }
        within(count, rules.min, rules.max, "members")
    }

    fn array(&self, rules: &ArrayRules, scanner: &mut Scanner<'_>, calls: usize) -> Result<(), Fault> {
        let mut seen = Vec::new();
        let mut count = 0;
        let mut more = scanner.open(b']')?;
        while more {
            if rules.unique {
                let element = Json::read(&mut { *scanner }, 0)?;
                if seen.contains(&element) {
                    return Err(Fault::new("the same as an element before it").in_element(count));
                }
                seen.push(element);
            }
            match rules.first.get(count).copied().or(rules.rest) {
                Some(of) => self.run(of, scanner, calls).map_err(|fault| fault.in_element(count))?,
                None => {
                    scanner.skip_value()?;
                }
            }
            count += 1;
            more = scanner.more(b']')?;
        }
        within(count, rules.min, rules.max, "elements")
    }

    /// What is wrong with a value; or, where there is no JSON at all, that.
    #[cold]
    fn unfit(&self, mut scanner: Scanner<'_>, what: &str) -> Fault {
        match scanner.skip_value() {
            Ok(_) => Fault::new(what),
            Err(malformed) => malformed.into(),
        }
    }
}

impl ObjectRules {
    /// The property of this name. Mostly it is the one that follows the one before.
    fn find(&self, next: usize, name: &Text<'_>) -> Option<usize> {
        if self.properties.get(next).is_some_and(|property| name.is(property.name.as_bytes())) {
            return Some(next);
        }
        self.properties.iter().position(|property| name.is(property.name.as_bytes()))
    }
}

impl NumberRule {
    fn check(&self, number: Decimal) -> Result<(), Fault> {
        let (holds, what, limit) = match self {
            NumberRule::Minimum(limit, text) => (number >= *limit, "less than", text),
            NumberRule::Maximum(limit, text) => (number <= *limit, "more than", text),
            NumberRule::Above(limit, text) => (number > *limit, "not more than", text),
            NumberRule::Below(limit, text) => (number < *limit, "not less than", text),
            NumberRule::MultipleOf(factor, text) => (number.is_multiple_of(*factor), "no multiple of", text),
        };
        if holds { Ok(()) } else { Err(Fault::new(format!("{what} {limit}"))) }
    }
}

impl StringRule {
    fn check(&self, text: &Text<'_>) -> Result<(), Fault> {
        let letters = || {
            let mut letters = 0;
            text.pieces(|piece| {
                // In UTF-8 every letter has one byte that is not a continuation.
                letters += piece.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
                true
            });
            letters
        };
        match self {
            StringRule::MinLength(min) if letters() < *min => Err(Fault::new(format!("has less than {min} letters"))),
            StringRule::MaxLength(max) if letters() > *max => Err(Fault::new(format!("has more than {max} letters"))),
            StringRule::Pattern(pattern) if !pattern.is_match(&meaning(text)) => {
                Err(Fault::new(format!("does not match {}", pattern.as_str())))
            }
            _ => Ok(()),
        }
    }
}

/// Allocates where escapes must be undone.
fn meaning<'a>(text: &Text<'a>) -> Cow<'a, str> {
    match text.plain() {
        Some(plain) => String::from_utf8_lossy(plain),
        None => {
            let mut decoded = Vec::new();
            text.decode_into(&mut decoded);
            Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
        }
    }
}

fn is_integer(mut scanner: Scanner<'_>) -> Result<bool, Fault> {
    let text = scanner.skip_value()?;
    Ok(text.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) || Decimal::parse(text).is_integer())
}

fn within(count: usize, min: usize, max: Option<usize>, what: &str) -> Result<(), Fault> {
    match max {
        _ if count < min => Err(Fault::new(format!("has less than {min} {what}"))),
        Some(max) if count > max => Err(Fault::new(format!("has more than {max} {what}"))),
        _ => Ok(()),
    }
}
