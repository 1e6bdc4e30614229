//! JSON Schema: compiled once, then run over the text of each payload.

mod compile;
mod validate;

use crate::decimal::Decimal;
use crate::json::Json;
use regex_lite::Regex;

/// A schema. Its parts name each other by their places, because a schema may hold itself.
#[derive(Debug)]
pub(crate) struct JsonSchema {
    nodes: Vec<Node>,
    root: usize,
}

#[derive(Debug)]
enum Node {
    /// `true`, `{}`.
    Any,
    /// `false`.
    Never,
    Rules(Box<Rules>),
}

/// The keywords of one schema. What is not there allows everything.
#[derive(Debug, Default)]
struct Rules {
    types: Option<Types>,
    /// `enum` and `const`: lists of which the value must be in each.
    one_of_values: Vec<Vec<Json>>,
    /// `allOf` and `$ref`.
    all_of: Vec<usize>,
    any_of: Vec<usize>,
    one_of: Vec<usize>,
    not: Option<usize>,
    /// `if`, and what then and else must hold.
    condition: Option<(usize, Option<usize>, Option<usize>)>,
    numbers: Vec<NumberRule>,
    strings: Vec<StringRule>,
    array: Option<ArrayRules>,
    object: Option<ObjectRules>,
}

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Types(u8);

impl Types {
    const NAMES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    const NUMBER: Types = Types(1 << 4);
    const INTEGER: Types = Types(1 << 6);

    fn named(name: &str) -> Option<Types> {
        Types::NAMES.iter().position(|other| *other == name).map(|at| Types(1 << at))
    }

    /// Of a value that begins so.
    fn of(first: u8) -> Types {
        Types(match first {
            b'n' => 1,
            b't' | b'f' => 1 << 1,
            b'{' => 1 << 2,
            b'[' => 1 << 3,
            b'"' => 1 << 5,
            _ => Types::NUMBER.0,
        })
    }

    fn meets(self, other: Types) -> bool {
        self.0 & other.0 != 0
    }

    fn names(self) -> String {
        let names = Types::NAMES.iter().enumerate().filter(|(at, _)| self.0 & 1 << at != 0);
        names.map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    }
}

#[derive(Debug)]
enum NumberRule {
    Minimum(Decimal, String),
    Maximum(Decimal, String),
    Above(Decimal, String),
    Below(Decimal, String),
    MultipleOf(Decimal, String),
}

#[derive(Debug)]
enum StringRule {
    /// In letters (Unicode scalar values), as all of JSON Schema counts.
    MinLength(usize),
    MaxLength(usize),
    Pattern(Box<Regex>),
}

#[derive(Debug, Default)]
struct ArrayRules {
    first: Vec<usize>,
    rest: Option<usize>,
    min: usize,
    max: Option<usize>,
    unique: bool,
}

#[derive(Debug, Default)]
struct ObjectRules {
    properties: Vec<Property>,
    patterns: Vec<(Regex, usize)>,
    additional: Option<usize>,
    names: Option<usize>,
    min: usize,
    max: Option<usize>,
    /// Where the first is there, the others must be, by their places in `properties`.
    dependent: Vec<(usize, Vec<usize>)>,
}

/// A member that some rule names.
#[derive(Debug)]
struct Property {
    name: String,
    /// None where it is named as required, or by another's dependency, only. Then it counts as additional.
    of: Option<usize>,
    required: bool,
}

/// As many as the bits that tell which were seen.
const PROPERTIES_MAX: usize = 256;

#[cfg(test)]
mod tests;
