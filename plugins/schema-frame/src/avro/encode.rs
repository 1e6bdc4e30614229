//! JSON into Avro's binary encoding, straight from the text.

use super::{Field, Record, Schema, Type};
use crate::decimal::{Decimal, float};
use crate::fault::Fault;
use crate::json::DEPTH_MAX;
use pointsman_plugin::json::{Scanner, Text, Value};

/// Encodes documents. Kept between them for its allocations.
#[derive(Debug)]
pub(crate) struct Encoder {
    tagged_unions: bool,
    drop_unknown: bool,
    /// Of the records that are open, where the members are that came too early.
    places: Vec<usize>,
}

/// A member that did not come yet. No member stands at the start of a document.
const NOWHERE: usize = 0;

impl Encoder {
    /// `tagged_unions`: whether a union's value is written as `{"branch": value}`, as in Avro's own JSON.
    /// `drop_unknown`: whether members that the schema does not know are left out.
    pub(crate) fn new(tagged_unions: bool, drop_unknown: bool) -> Encoder {
        Encoder { tagged_unions, drop_unknown, places: Vec::new() }
    }

    /// Defaults in a schema are never tagged.
    pub(super) fn for_defaults() -> Encoder {
        Encoder::new(false, false)
    }

    /// Appends a document's encoding. After an error what was appended means nothing.
    pub(crate) fn encode(&mut self, schema: &Schema, document: &[u8], output: &mut Vec<u8>) -> Result<(), Fault> {
        self.encode_as(schema, schema.root, document, output)
    }

    pub(super) fn encode_as(
        &mut self,
        schema: &Schema,
        of: usize,
        document: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if let Err(error) = std::str::from_utf8(document) {
            return Err(Fault::new(format!("not UTF-8 at byte {}", error.valid_up_to())));
        }
        self.places.clear();
        let mut pass = Pass { encoder: self, schema, document, output, depth: 0 };
        let mut scanner = Scanner::new(document);
        pass.value(of, &mut scanner)?;
        Ok(scanner.end()?)
    }
}

struct Pass<'a, 'o> {
    encoder: &'o mut Encoder,
    schema: &'a Schema,
    document: &'a [u8],
    output: &'o mut Vec<u8>,
    depth: usize,
}

impl<'a> Pass<'a, '_> {
    fn value(&mut self, of: usize, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        match &self.schema.types[of] {
            Type::Record(record) => self.nested(|pass| pass.record(record, scanner)),
            Type::Array(items) => self.nested(|pass| pass.array(*items, scanner)),
            Type::Map(values) => self.nested(|pass| pass.map(*values, scanner)),
            Type::Union(branches) => self.nested(|pass| match pass.encoder.tagged_unions {
                true => pass.tagged(branches, scanner),
                false => pass.fitting(branches, scanner),
            }),
            scalar => {
                let value = scanner.value()?;
                self.scalar(scalar, value)
            }
        }
    }

    fn nested(&mut self, run: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::new(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// Fields in the schema's order, whatever the document's is. Those that come in order, as they mostly do, are
    /// encoded when they come; the place of others is kept until it is their turn.
    fn record(&mut self, record: &'a Record, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        if scanner.peek() != b'{' {
            return Err(unfit(&format!("an object for the record {}", record.name.0), scanner));
        }
        let base = self.encoder.places.len();
        self.encoder.places.resize(base + record.fields.len(), NOWHERE);
        let mut next = 0;
        let mut more = scanner.open(b'}')?;
        while more {
            let name = scanner.name()?;
            match find(&record.fields, next, &name) {
                Some(at) if at == next => {
                    self.field(&record.fields[at], scanner)?;
                    next += 1;
                    next = self.early(record, base, next)?;
                }
                Some(at) if at < next || self.encoder.places[base + at] != NOWHERE => {
                    return Err(Fault::new("comes twice").in_member(name.raw()));
                }
                Some(at) => {
                    self.encoder.places[base + at] = scanner.place();
                    scanner.skip_value()?;
                }
                None if self.encoder.drop_unknown => {
                    scanner.skip_value()?;
                }
                None => {
                    let what = format!("the record {} has no such field", record.name.0);
                    return Err(Fault::new(what).in_member(name.raw()));
                }
            }
            more = scanner.more(b'}')?;
        }
        while let Some(field) = record.fields.get(next) {
            let Some(default) = &field.default else {
                let what = "missing, and the schema has no default for it";
                return Err(Fault::new(what).in_member(field.name.as_bytes()));
            };
            self.output.extend_from_slice(default);
            next = self.early(record, base, next + 1)?;
        }
        self.encoder.places.truncate(base);
        Ok(())
    }

    /// Encodes those fields from `next` on that came before their turn, and returns the first that did not.
    fn early(&mut self, record: &'a Record, base: usize, mut next: usize) -> Result<usize, Fault> {
        while let Some(field) = record.fields.get(next) {
            let place = self.encoder.places[base + next];
            if place == NOWHERE {
                break;
            }
            self.field(field, &mut Scanner::at_place(self.document, place))?;
            next += 1;
        }
        Ok(next)
    }

    fn field(&mut self, field: &Field, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        self.value(field.of, scanner).map_err(|fault| fault.in_member(field.name.as_bytes()))
    }

    /// One block with all elements: their number, they themselves, 0.
    fn array(&mut self, items: usize, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        if scanner.peek() != b'[' {
            return Err(unfit("an array", scanner));
        }
        let start = self.output.len();
        let mut count = 0;
        let mut more = scanner.open(b']')?;
        while more {
            self.value(items, scanner).map_err(|fault| fault.in_element(count))?;
            count += 1;
            more = scanner.more(b']')?;
        }
        self.close_block(start, count);
        Ok(())
    }

    fn map(&mut self, values: usize, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        if scanner.peek() != b'{' {
            return Err(unfit("an object", scanner));
        }
        let start = self.output.len();
        let mut count = 0;
        let mut more = scanner.open(b'}')?;
        while more {
            let name = scanner.name()?;
            self.text(&name);
            self.value(values, scanner).map_err(|fault| fault.in_member(name.raw()))?;
            count += 1;
            more = scanner.more(b'}')?;
        }
        self.close_block(start, count);
        Ok(())
    }

    fn close_block(&mut self, start: usize, count: usize) {
        if count > 0 {
            self.insert_length(start, count);
        }
        self.output.push(0);
    }

    /// `null`, or an object with one member, which is called as the branch.
    fn tagged(&mut self, branches: &[usize], scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        let named = |name: &dyn Fn(&str) -> bool| {
            let types = &self.schema.types;
            branches.iter().position(|&branch| name(types[branch].name()))
        };
        if scanner.peek() != b'{' {
            let at = named(&|name| name == "null").filter(|_| scanner.peek() == b'n');
            let at = at.ok_or_else(|| unfit("{\"type\": value}, for a union", scanner))?;
            scanner.skip_value()?;
            self.long(at as i64);
            return Ok(());
        }
        if !scanner.open(b'}')? {
            return Err(Fault::new("expected {\"type\": value}, for a union"));
        }
        let tag = scanner.name()?;
        let at = named(&|name| tag.is(name.as_bytes()) && name != "null");
        let at = at.ok_or_else(|| Fault::new("the union has no such type").in_member(tag.raw()))?;
        self.long(at as i64);
        self.value(branches[at], scanner).map_err(|fault| fault.in_member(tag.raw()))?;
        match scanner.more(b'}')? {
            true => Err(Fault::new("expected one member, for a union")),
            false => Ok(()),
        }
    }

    /// The first branch that the value fits.
    fn fitting(&mut self, branches: &[usize], scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        let (start, places, first) = (self.output.len(), self.encoder.places.len(), scanner.peek());
        let mut faults = Vec::new();
        for (at, &branch) in branches.iter().enumerate() {
            if !may_fit(&self.schema.types[branch], first) {
                continue;
            }
            let mut tried = *scanner;
            self.long(at as i64);
            match self.value(branch, &mut tried) {
                Ok(()) => {
                    *scanner = tried;
                    return Ok(());
                }
                Err(fault) => {
                    self.output.truncate(start);
                    self.encoder.places.truncate(places);
                    faults.push(fault);
                }
            }
        }
        match faults.len() {
            1 => Err(faults.remove(0)),
            _ => {
                let names: Vec<_> = branches.iter().map(|&branch| self.schema.types[branch].name()).collect();
                Err(unfit(&format!("one of {}", names.join(", ")), scanner))
            }
        }
    }

    fn scalar(&mut self, of: &Type, value: Value<'a>) -> Result<(), Fault> {
        match (of, value) {
            (Type::Null, Value::Null) => {}
            (Type::Boolean, Value::Bool(value)) => self.output.push(u8::from(value)),
            (Type::Int, Value::Number(text)) => {
                let number = integer(text).and_then(|number| i32::try_from(number).ok());
                self.long(i64::from(number.ok_or_else(|| Fault::new("expected an integer of 32 bits"))?));
            }
            (Type::Long, Value::Number(text)) => {
                self.long(integer(text).ok_or_else(|| Fault::new("expected an integer of 64 bits"))?);
            }
            (Type::Float, Value::Number(text)) => {
                let number = float(text) as f32;
                if number.is_infinite() {
                    return Err(Fault::new("larger than a float can be"));
                }
                self.output.extend_from_slice(&number.to_le_bytes());
            }
            (Type::Double, Value::Number(text)) => {
                let number = float(text);
                if number.is_infinite() {
                    return Err(Fault::new("larger than a double can be"));
                }
                self.output.extend_from_slice(&number.to_le_bytes());
            }
            (Type::String, Value::String(text)) => self.text(&text),
            (Type::Bytes, Value::String(text)) => {
                let start = self.output.len();
                self.code_points(&text)?;
                self.insert_length(start, self.output.len() - start);
            }
            (Type::Fixed(name, size), Value::String(text)) => {
                let start = self.output.len();
                self.code_points(&text)?;
                if self.output.len() - start != *size {
                    return Err(Fault::new(format!("{} has {size} bytes, each a letter", name.0)));
                }
            }
            (Type::Enum(name, symbols), Value::String(text)) => {
                let at = symbols.iter().position(|symbol| text.is(symbol.as_bytes()));
                self.long(at.ok_or_else(|| Fault::new(format!("no symbol of {}", name.0)))? as i64);
            }
            (Type::Decimal { precision, scale, fixed }, Value::Number(number)) => {
                self.decimal(*precision, *scale, fixed.as_ref().map(|(_, size)| *size), number)?;
            }
            (Type::Decimal { precision, scale, fixed }, Value::String(text)) => {
                let written = text.plain().filter(|text| {
                    let mut number = Scanner::new(text);
                    matches!(number.value(), Ok(Value::Number(_))) && number.place() == text.len()
                });
                let number = written.ok_or_else(|| Fault::new("expected a number, or a string with one in it"))?;
                self.decimal(*precision, *scale, fixed.as_ref().map(|(_, size)| *size), number)?;
            }
            (of, _) => {
                let expected = match of {
                    Type::Null => "null",
                    Type::Boolean => "true or false",
                    Type::Int | Type::Long | Type::Float | Type::Double | Type::Decimal { .. } => "a number",
                    _ => "a string",
                };
                return Err(Fault::new(format!("expected {expected}, for {}", of.name())));
            }
        }
        Ok(())
    }

    /// The number without its point, in as few bytes as hold it, or as many as a fixed has.
    fn decimal(&mut self, precision: u32, scale: i32, size: Option<usize>, number: &[u8]) -> Result<(), Fault> {
        let limit = 10_i128.pow(precision);
        let unscaled = Decimal::parse(number).scaled(scale).filter(|number| number.abs() < limit);
        let unscaled = unscaled.ok_or_else(|| {
            Fault::new(format!("expected a number of at most {precision} digits, {scale} of them behind the point"))
        })?;
        let bytes = unscaled.to_be_bytes();
        let sign = if unscaled < 0 { 0xff } else { 0 };
        // The first byte that is kept must have the sign in its highest bit.
        let spare = |at: &usize| bytes[*at] == sign && (bytes[at + 1] ^ sign) < 0x80;
        let needed = &bytes[(0..bytes.len() - 1).take_while(spare).count()..];
        match size {
            None => {
                self.long(needed.len() as i64);
                self.output.extend_from_slice(needed);
            }
            Some(size) if needed.len() <= size => {
                self.output.resize(self.output.len() + size - needed.len(), sign);
                self.output.extend_from_slice(needed);
            }
            Some(size) => return Err(Fault::new(format!("does not fit into {size} bytes"))),
        }
        Ok(())
    }

    fn text(&mut self, text: &Text<'_>) {
        if let Some(plain) = text.plain() {
            self.long(plain.len() as i64);
            return self.output.extend_from_slice(plain);
        }
        let start = self.output.len();
        text.decode_into(self.output);
        self.insert_length(start, self.output.len() - start);
    }

    /// Bytes as Avro's JSON has them: each is the letter of its number.
    fn code_points(&mut self, text: &Text<'_>) -> Result<(), Fault> {
        let mut high = false;
        text.pieces(|piece| {
            for letter in String::from_utf8_lossy(piece).chars() {
                match u8::try_from(u32::from(letter)) {
                    Ok(byte) => self.output.push(byte),
                    Err(_) => high = true,
                }
            }
            !high
        });
        if high { Err(Fault::new("expected bytes: letters of at most \\u00ff")) } else { Ok(()) }
    }

    /// Avro's int and long: zig-zag, seven bits a byte, the lowest first.
    fn long(&mut self, number: i64) {
        let (bytes, length) = varint(number);
        self.output.extend_from_slice(&bytes[..length]);
    }

    /// Puts a length before what was appended from `start` on.
    fn insert_length(&mut self, start: usize, length: usize) {
        let (bytes, count) = varint(length as i64);
        let end = self.output.len();
        self.output.extend_from_slice(&bytes[..count]);
        self.output.copy_within(start..end, start + count);
        self.output[start..start + count].copy_from_slice(&bytes[..count]);
    }
}

fn varint(number: i64) -> ([u8; 10], usize) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = [0; 10];
    let mut length = 0;
    while rest >= 0x80 {
        bytes[length] = rest as u8 | 0x80;
        rest >>= 7;
        length += 1;
    }
    bytes[length] = rest as u8;
    (bytes, length + 1)
}

/// The field of this name. Mostly it is the one that is next.
fn find(fields: &[Field], next: usize, name: &Text<'_>) -> Option<usize> {
    if fields.get(next).is_some_and(|field| name.is(field.name.as_bytes())) {
        return Some(next);
    }
    fields.iter().position(|field| name.is(field.name.as_bytes()))
}

/// A number without a point or exponent.
fn integer(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a value that begins so can be of this type at all.
fn may_fit(of: &Type, first: u8) -> bool {
    match of {
        Type::Null => first == b'n',
        Type::Boolean => matches!(first, b't' | b'f'),
        Type::Int | Type::Long | Type::Float | Type::Double => matches!(first, b'-' | b'0'..=b'9'),
        Type::Decimal { .. } => matches!(first, b'-' | b'0'..=b'9' | b'"'),
        Type::Bytes | Type::String | Type::Fixed(..) | Type::Enum(..) => first == b'"',
        Type::Array(_) => first == b'[',
        Type::Map(_) | Type::Record(_) => first == b'{',
        Type::Union(_) => true,
    }
}

/// That something else was expected; or, where there is no JSON at all, that.
#[cold]
fn unfit(expected: &str, scanner: &Scanner<'_>) -> Fault {
    match { *scanner }.skip_value() {
        Ok(_) => Fault::new(format!("expected {expected}")),
        Err(malformed) => malformed.into(),
    }
}
