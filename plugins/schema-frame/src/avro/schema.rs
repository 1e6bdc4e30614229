//! An Avro schema (specification 1.12), compiled: what cannot be encoded is refused here.

use super::Encoder;
use crate::json::Json;
use std::collections::BTreeMap;

/// The types of a schema. They name each other by their places, because a record may hold itself.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: usize,
}

#[derive(Debug)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// `decimal` over bytes, or over a fixed of some size.
    Decimal {
        precision: u32,
        scale: i32,
        fixed: Option<(Named, usize)>,
    },
    Fixed(Named, usize),
    Enum(Named, Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Record),
}

/// A type's name with its namespace.
#[derive(Clone, Debug)]
pub(super) struct Named(pub(super) String);

#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: Named,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) of: usize,
    /// Encoded.
    pub(super) default: Option<Vec<u8>>,
}

impl Schema {
    /// Reads a schema.
    pub(crate) fn compile(text: &str) -> Result<Schema, String> {
        // A schema that is only a type's name may be written without quotes.
        let name = text.trim();
        let json = if Compiler::primitive(name).is_some() {
            Json::String(name.to_owned())
        } else {
            Json::parse(text.as_bytes()).map_err(|error| error.to_string())?
        };
        let mut compiler = Compiler { types: Vec::new(), names: BTreeMap::new(), defaults: Vec::new() };
        let root = compiler.add(&json, "")?;
        let Compiler { types, defaults, .. } = compiler;
        if let Type::Bytes | Type::Decimal { fixed: None, .. } = types[root] {
            // Confluent writes these without their length, unlike any other schema of the same type.
            return Err("a schema of bytes alone is framed as they are, which needs no encoding".to_owned());
        }
        let mut schema = Schema { types, root };
        for (record, at, default) in defaults {
            let mut text = String::new();
            default.write(&mut text);
            let Type::Record(owner) = &schema.types[record] else { continue };
            let Field { name, of, .. } = &owner.fields[at];
            let mut encoded = Vec::new();
            Encoder::for_defaults()
                .encode_as(&schema, *of, text.as_bytes(), &mut encoded)
                .map_err(|fault| format!("the default of {}.{name} does not fit: {fault}", owner.name.0))?;
            if let Type::Record(owner) = &mut schema.types[record] {
                owner.fields[at].default = Some(encoded);
            }
        }
        Ok(schema)
    }
}

struct Compiler {
    types: Vec<Type>,
    names: BTreeMap<String, usize>,
    /// Record, field and default: encoded when every type is known.
    defaults: Vec<(usize, usize, Json)>,
}

impl Compiler {
    fn primitive(name: &str) -> Option<Type> {
        Some(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            _ => return None,
        })
    }

    fn push(&mut self, of: Type) -> usize {
        self.types.push(of);
        self.types.len() - 1
    }

    fn add(&mut self, json: &Json, namespace: &str) -> Result<usize, String> {
        match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => self.union(branches, namespace),
            Json::Object(_) => match json.get("type") {
                Some(Json::String(name)) => self.typed(name, json, namespace),
                // {"type": {"type": "string"}}
                Some(inner @ (Json::Object(_) | Json::Array(_))) => self.add(inner, namespace),
                _ => Err("a schema has no \"type\"".to_owned()),
            },
            _ => Err("a schema is a name, a union or an object".to_owned()),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<usize, String> {
        if let Some(primitive) = Compiler::primitive(name) {
            return Ok(self.push(primitive));
        }
        let full =
            if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
        // What has no namespace of its own is also found from within one.
        let known = self.names.get(&full).or_else(|| self.names.get(name));
        known.copied().ok_or_else(|| format!("the type {full} is not defined before its use"))
    }

    fn typed(&mut self, kind: &str, json: &Json, namespace: &str) -> Result<usize, String> {
        let logical = json.get("logicalType").and_then(Json::as_str);
        match (logical, kind) {
            (Some("decimal"), "bytes") => {
                let decimal = decimal(json, None)?;
                return Ok(self.push(decimal));
            }
            (Some(logical @ ("duration" | "big-decimal")), _) | (Some(logical @ "uuid"), "fixed") => {
                return Err(format!("the logical type {logical} of {kind} cannot be encoded here"));
            }
            // All others mean the type below: times are numbers, a uuid is a string. So says the specification of
            // what is not known, too.
            _ => {}
        }
        match kind {
            "array" => {
                let items = self.add(json.get("items").ok_or("an array has no \"items\"")?, namespace)?;
                Ok(self.push(Type::Array(items)))
            }
            "map" => {
                let values = self.add(json.get("values").ok_or("a map has no \"values\"")?, namespace)?;
                Ok(self.push(Type::Map(values)))
            }
            "fixed" => {
                let (name, _) = self.define(json, namespace)?;
                let size = json.get("size").and_then(Json::as_count);
                let size = size.ok_or_else(|| format!("{}: a fixed has no \"size\"", name.0))?;
                let at = self.types.len();
                self.names.insert(name.0.clone(), at);
                let fixed = match logical {
                    Some("decimal") => decimal(json, Some((name, size)))?,
                    _ => Type::Fixed(name, size),
                };
                Ok(self.push(fixed))
            }
            "enum" => {
                let (name, _) = self.define(json, namespace)?;
                let symbols = json.get("symbols").and_then(Json::as_array).unwrap_or_default();
                let symbols: Option<Vec<String>> =
                    symbols.iter().map(|symbol| symbol.as_str().map(str::to_owned)).collect();
                let symbols = symbols.filter(|symbols| !symbols.is_empty());
                let symbols = symbols.ok_or_else(|| format!("{}: an enum has no \"symbols\"", name.0))?;
                self.names.insert(name.0.clone(), self.types.len());
                Ok(self.push(Type::Enum(name, symbols)))
            }
            "record" | "error" => self.record(json, namespace),
            name => self.named(name, namespace),
        }
    }

    fn union(&mut self, branches: &[Json], namespace: &str) -> Result<usize, String> {
        let mut added: Vec<usize> = Vec::new();
        for branch in branches {
            let at = self.add(branch, namespace)?;
            if let Type::Union(_) = self.types[at] {
                return Err("a union holds a union".to_owned());
            }
            if added.iter().any(|&other| self.types[other].name() == self.types[at].name()) {
                return Err(format!("a union holds {} twice", self.types[at].name()));
            }
            added.push(at);
        }
        if added.is_empty() {
            return Err("a union is empty".to_owned());
        }
        Ok(self.push(Type::Union(added)))
    }

    fn record(&mut self, json: &Json, namespace: &str) -> Result<usize, String> {
        let (name, namespace) = self.define(json, namespace)?;
        let place = self.push(Type::Record(Record { name: name.clone(), fields: Vec::new() }));
        self.names.insert(name.0.clone(), place);
        let list = json.get("fields").and_then(Json::as_array);
        let mut fields: Vec<Field> = Vec::new();
        for field in list.ok_or_else(|| format!("{}: a record has no \"fields\"", name.0))? {
            let field_name = field.get("name").and_then(Json::as_str);
            let field_name = field_name.ok_or_else(|| format!("{}: a field has no \"name\"", name.0))?;
            let here = |error: String| format!("{}.{field_name}: {error}", name.0);
            check_name(field_name).map_err(here)?;
            if fields.iter().any(|other| other.name == field_name) {
                return Err(here("there are two fields of this name".to_owned()));
            }
            let of = field.get("type").ok_or_else(|| here("a field has no \"type\"".to_owned()))?;
            // A field's attributes may hold what belongs to its type: {"name": "f", "type": "array", "items": …}
            let of = match of {
                Json::String(kind) if matches!(kind.as_str(), "array" | "map" | "record" | "enum" | "fixed") => {
                    return Err(here(format!("\"type\": \"{kind}\" needs an object of its own around it")));
                }
                of => self.add(of, &namespace).map_err(here)?,
            };
            if let Some(default) = field.get("default") {
                self.defaults.push((place, fields.len(), default.clone()));
            }
            fields.push(Field { name: field_name.to_owned(), of, default: None });
        }
        self.types[place] = Type::Record(Record { name, fields });
        Ok(place)
    }

    /// The full name of a type that is defined here, and the namespace of what it holds.
    fn define(&self, json: &Json, namespace: &str) -> Result<(Named, String), String> {
        let name = json.get("name").and_then(Json::as_str).ok_or("a record, enum or fixed has no \"name\"")?;
        let full = match (name.contains('.'), json.get("namespace").and_then(Json::as_str).unwrap_or(namespace)) {
            (true, _) | (_, "") => name.to_owned(),
            (false, namespace) => format!("{namespace}.{name}"),
        };
        full.split('.').try_for_each(check_name)?;
        if Compiler::primitive(&full).is_some() || self.names.contains_key(&full) {
            return Err(format!("the type {full} is defined twice"));
        }
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        Ok((Named(full), namespace))
    }
}

impl Type {
    /// As a tagged union names it, and as two branches may not both be called.
    pub(super) fn name(&self) -> &str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes | Type::Decimal { fixed: None, .. } => "bytes",
            Type::String => "string",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            Type::Fixed(name, _) | Type::Enum(name, _) | Type::Decimal { fixed: Some((name, _)), .. } => &name.0,
            Type::Record(record) => &record.name.0,
        }
    }
}

fn decimal(json: &Json, fixed: Option<(Named, usize)>) -> Result<Type, String> {
    let number = |name: &str| json.get(name).map(|value| value.as_count().and_then(|value| u32::try_from(value).ok()));
    let precision = number("precision").flatten().filter(|&precision| precision > 0);
    let precision = precision.ok_or("a decimal has no \"precision\"")?;
    let scale = number("scale").unwrap_or(Some(0)).filter(|&scale| scale <= precision);
    let scale = scale.ok_or("a decimal's \"scale\" is above its precision")? as i32;
    if precision > DECIMAL_DIGITS_MAX {
        return Err(format!("a decimal of {precision} digits: no more than {DECIMAL_DIGITS_MAX} can be encoded here"));
    }
    Ok(Type::Decimal { precision, scale, fixed })
}

/// As many as always fit into 128 bits.
const DECIMAL_DIGITS_MAX: u32 = 38;

fn check_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    if begins && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(())
    } else {
        Err(format!("\"{name}\" is no name: letters, digits and underscores"))
    }
}
