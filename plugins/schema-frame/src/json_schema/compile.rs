//! Reads a schema. A keyword that is not known here, or cannot be checked, is refused: a rule that is passed over would
//! let through what it forbids.

use super::{
    ArrayRules, JsonSchema, Node, NumberRule, ObjectRules, PROPERTIES_MAX, Property, Rules, StringRule, Types,
};
use crate::decimal::Decimal;
use crate::json::Json;
use regex_lite::Regex;
use std::collections::BTreeMap;

/// Keywords that forbid nothing. `format` is one of them since draft 2019-09.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "$defs",
    "definitions",
    "$schema",
    "$id",
];

/// Keywords of others that forbid nothing either: by these beginnings.
const EXTENSIONS: &[&str] = &["x-", "connect.", "javaType", "confluent:"];

impl JsonSchema {
    /// Reads a schema of draft 6 to 2020-12.
    pub(crate) fn compile(text: &str) -> Result<JsonSchema, String> {
        let document = Json::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        let old_refs = match document.get("$schema").map(|uri| uri.as_str().unwrap_or_default()) {
            None => false,
            Some(uri) => {
                let known = |draft: &str| uri.contains("json-schema.org/") && uri.contains(draft);
                let draft = ["draft-06/", "draft-07/", "2019-09/", "2020-12/"].iter().position(|draft| known(draft));
                let drafts = "draft-06, draft-07, 2019-09 and 2020-12 of json-schema.org are known here";
                draft.ok_or_else(|| format!("$schema \"{uri}\": {drafts}"))? < 2
            }
        };
        let mut compiler = Compiler { document: &document, old_refs, nodes: Vec::new(), by_pointer: BTreeMap::new() };
        let root = compiler.at_pointer("#")?;
        Ok(JsonSchema { nodes: compiler.nodes, root })
    }
}

struct Compiler<'a> {
    document: &'a Json,
    /// Up to draft 7 whatever stands beside `$ref` counts for nothing.
    old_refs: bool,
    nodes: Vec<Node>,
    /// What `$ref` names, so that a schema may hold itself.
    by_pointer: BTreeMap<String, usize>,
}

impl<'a> Compiler<'a> {
    fn add(&mut self, schema: &'a Json, path: &str) -> Result<usize, String> {
        let node = self.node(schema, path)?;
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn node(&mut self, schema: &'a Json, path: &str) -> Result<Node, String> {
        match schema {
            Json::Bool(true) => Ok(Node::Any),
            Json::Bool(false) => Ok(Node::Never),
            Json::Object(members) if members.is_empty() => Ok(Node::Any),
            Json::Object(members) => Ok(Node::Rules(Box::new(self.rules(schema, members, path)?))),
            _ => Err(format!("{path}: a schema is an object, true or false")),
        }
    }

    /// The schema that a reference within the document names.
    fn at_pointer(&mut self, pointer: &str) -> Result<usize, String> {
        if let Some(&known) = self.by_pointer.get(pointer) {
            return Ok(known);
        }
        let nowhere = || format!("$ref \"{pointer}\": there is no such place in the schema");
        let path = pointer.strip_prefix('#').filter(|path| path.is_empty() || path.starts_with('/'));
        let path = path.ok_or_else(|| {
            format!("$ref \"{pointer}\": only places in the schema itself can be referred to, as \"#/$defs/name\"")
        })?;
        let mut schema = self.document;
        for step in path.split('/').skip(1) {
            let step = unescape(step);
            schema = match schema.as_array() {
                Some(elements) => step.parse().ok().and_then(|at: usize| elements.get(at)),
                None => schema.get(&step),
            }
            .ok_or_else(nowhere)?;
        }
        // Taken before it is read, because it may refer to itself.
        let place = self.nodes.len();
        self.nodes.push(Node::Never);
        self.by_pointer.insert(pointer.to_owned(), place);
        self.nodes[place] = self.node(schema, pointer)?;
        Ok(place)
    }

    fn rules(&mut self, schema: &'a Json, members: &'a [(String, Json)], path: &str) -> Result<Rules, String> {
        let mut rules = Rules::default();
        let (mut array, mut object) = (ArrayRules::default(), ObjectRules::default());
        if self.old_refs && schema.get("$ref").is_some() {
            let beside = members.iter().find(|(keyword, _)| keyword != "$ref" && !is_annotation(keyword));
            if let Some((keyword, _)) = beside {
                return Err(format!("{path}: {keyword} stands beside $ref, where this draft does not look at it"));
            }
        }
        for (keyword, value) in members {
            let here = format!("{path}/{keyword}");
            let count = || value.as_count().ok_or_else(|| format!("{here}: must be a number from 0 up"));
            match keyword.as_str() {
                "$ref" => {
                    let pointer = value.as_str().ok_or_else(|| format!("{here}: must be a string"))?;
                    let target = self.at_pointer(pointer).map_err(|error| format!("{path}: {error}"))?;
                    rules.all_of.push(target);
                }
                "type" => rules.types = Some(types(value).ok_or_else(|| format!("{here}: must name JSON's types"))?),
                "enum" => {
                    let values = value.as_array().ok_or_else(|| format!("{here}: must be an array"))?;
                    rules.one_of_values.push(values.to_vec());
                }
                "const" => rules.one_of_values.push(vec![value.clone()]),
                "allOf" => rules.all_of.extend(self.list(value, &here)?),
                "anyOf" => rules.any_of = self.list(value, &here)?,
                "oneOf" => rules.one_of = self.list(value, &here)?,
                "not" => rules.not = Some(self.add(value, &here)?),
                "if" => {
                    let [then, otherwise] = ["then", "else"].map(|branch| schema.get(branch));
                    let condition = self.add(value, &here)?;
                    let mut branch = |schema: Option<&'a Json>, name| {
                        schema.map(|schema| self.add(schema, &format!("{path}/{name}"))).transpose()
                    };
                    rules.condition = Some((condition, branch(then, "then")?, branch(otherwise, "else")?));
                }
                // With `if`; without it they count for nothing.
                "then" | "else" => {}
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                    let Json::Number(text) = value else { return Err(format!("{here}: must be a number")) };
                    let (number, text) = (Decimal::parse(text.as_bytes()), text.clone());
                    rules.numbers.push(match keyword.as_str() {
                        "minimum" => NumberRule::Minimum(number, text),
                        "maximum" => NumberRule::Maximum(number, text),
                        "exclusiveMinimum" => NumberRule::Above(number, text),
                        "exclusiveMaximum" => NumberRule::Below(number, text),
                        _ if number > Decimal::parse(b"0") => NumberRule::MultipleOf(number, text),
                        _ => return Err(format!("{here}: must be above 0")),
                    });
                }
                "minLength" => rules.strings.push(StringRule::MinLength(count()?)),
                "maxLength" => rules.strings.push(StringRule::MaxLength(count()?)),
                "pattern" => rules.strings.push(StringRule::Pattern(Box::new(regex(value.as_str(), &here)?))),
                "prefixItems" => array.first = self.list(value, &here)?,
                // Up to 2019-09 a list of schemas was what is prefixItems now, and the rest was additionalItems.
                "items" => match value {
                    Json::Array(_) => array.first = self.list(value, &here)?,
                    _ => array.rest = Some(self.add(value, &here)?),
                },
                "additionalItems" => {
                    if let Some(Json::Array(_)) = schema.get("items") {
                        array.rest = Some(self.add(value, &here)?);
                    }
                }
                "minItems" => array.min = count()?,
                "maxItems" => array.max = Some(count()?),
                "uniqueItems" => match value {
                    Json::Bool(unique) => array.unique = *unique,
                    _ => return Err(format!("{here}: must be true or false")),
                },
                "properties" => {
                    for (name, schema) in self.members(value, &here)? {
                        let of = self.add(schema, &format!("{here}/{name}"))?;
                        object.property(name).of = Some(of);
                    }
                }
                "required" => {
                    for name in names(value).ok_or_else(|| format!("{here}: must be an array of names"))? {
                        object.property(name).required = true;
                    }
                }
                "patternProperties" => {
                    for (pattern, schema) in self.members(value, &here)? {
                        let regex = regex(Some(pattern), &here)?;
                        object.patterns.push((regex, self.add(schema, &format!("{here}/{pattern}"))?));
                    }
                }
                "additionalProperties" => object.additional = Some(self.add(value, &here)?),
                "propertyNames" => object.names = Some(self.add(value, &here)?),
                "minProperties" => object.min = count()?,
                "maxProperties" => object.max = Some(count()?),
                "dependentRequired" => {
                    for (name, others) in self.members(value, &here)? {
                        let others =
                            names(others).ok_or_else(|| format!("{here}/{name}: must be an array of names"))?;
                        let others = others.map(|other| object.place(other)).collect();
                        let place = object.place(name);
                        object.dependent.push((place, others));
                    }
                }
                "$id" if path != "#" => {
                    return Err(format!("{here}: a schema within the schema may not have an $id of its own"));
                }
                keyword if is_annotation(keyword) => {}
                _ => return Err(format!("{here}: this keyword is not known here, and so could not be checked")),
            }
        }
        if object.properties.len() > PROPERTIES_MAX {
            return Err(format!("{path}: more than {PROPERTIES_MAX} properties"));
        }
        rules.array = ARRAY_KEYWORDS.iter().any(|keyword| schema.get(keyword).is_some()).then_some(array);
        rules.object = OBJECT_KEYWORDS.iter().any(|keyword| schema.get(keyword).is_some()).then_some(object);
        Ok(rules)
    }

    fn list(&mut self, value: &'a Json, path: &str) -> Result<Vec<usize>, String> {
        let schemas = value.as_array().filter(|schemas| !schemas.is_empty());
        let schemas = schemas.ok_or_else(|| format!("{path}: must be an array of schemas"))?;
        schemas.iter().enumerate().map(|(at, schema)| self.add(schema, &format!("{path}/{at}"))).collect()
    }

    fn members(
        &self,
        value: &'a Json,
        path: &str,
    ) -> Result<impl Iterator<Item = (&'a str, &'a Json)> + use<'a>, String> {
        let Json::Object(members) = value else { return Err(format!("{path}: must be an object")) };
        Ok(members.iter().map(|(name, value)| (name.as_str(), value)))
    }
}

const ARRAY_KEYWORDS: &[&str] = &["prefixItems", "items", "minItems", "maxItems", "uniqueItems"];
const OBJECT_KEYWORDS: &[&str] = &[
    "properties",
    "required",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
    "dependentRequired",
];

impl ObjectRules {
    /// The property of this name, with its place in the list made if it is new.
    fn place(&mut self, name: &str) -> usize {
        self.properties.iter().position(|property| property.name == name).unwrap_or_else(|| {
            self.properties.push(Property { name: name.to_owned(), of: None, required: false });
            self.properties.len() - 1
        })
    }

    fn property(&mut self, name: &str) -> &mut Property {
        let place = self.place(name);
        &mut self.properties[place]
    }
}

fn is_annotation(keyword: &str) -> bool {
    ANNOTATIONS.contains(&keyword) || EXTENSIONS.iter().any(|beginning| keyword.starts_with(beginning))
}

fn types(value: &Json) -> Option<Types> {
    let one = |value: &Json| value.as_str().and_then(Types::named);
    match value.as_array() {
        None => one(value),
        Some([]) => None,
        Some(all) => all.iter().try_fold(Types(0), |types, value| Some(Types(types.0 | one(value)?.0))),
    }
}

fn names(value: &Json) -> Option<impl Iterator<Item = &str>> {
    let names = value.as_array()?;
    names.iter().all(|name| name.as_str().is_some()).then(|| names.iter().filter_map(Json::as_str))
}

fn regex(pattern: Option<&str>, path: &str) -> Result<Regex, String> {
    let pattern = pattern.ok_or_else(|| format!("{path}: must be a string"))?;
    Regex::new(pattern).map_err(|error| format!("{path}: the pattern \"{pattern}\" cannot be checked here: {error}"))
}

/// A step of a JSON pointer (RFC 6901) in a fragment: %25 is a percent sign, then ~1 a slash and ~0 a tilde.
fn unescape(step: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = step.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).replace("~1", "/").replace("~0", "~")
}
