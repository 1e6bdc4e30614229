//! The serializers that Kafka's clients bring along, by name: native plugins.
//!
//! The application's payload is text, or bytes for those that take any; what is not what the serializer's name says is
//! refused, each record for itself. Null stays null. What is written is what Java's class of that name writes.

mod json;
mod number;
mod text;

use super::columns::{Column, ColumnRef, HeaderColumnsRef, TopicColumnRef};
use super::failure::PluginFailure;
use super::roles::{HeaderReads, Refusal, Serialized, Serializer};

/// A serializer that comes with the producer. `bytes` is none: it leaves payloads as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltinSerializer {
    /// UTF-8, checked.
    String,
    /// A whole number as 32 bits, big-endian.
    Integer,
    /// A whole number as 64 bits, big-endian.
    Long,
    /// A whole number as 16 bits, big-endian.
    Short,
    /// A number as 32 bits of IEEE 754, big-endian.
    Float,
    /// A number as 64 bits of IEEE 754, big-endian.
    Double,
    /// A UUID as its 36 letters.
    Uuid,
    /// Null, whatever comes.
    Void,
    /// JSON, checked and not changed.
    Json,
}

/// What to write for a payload, appended to the output; or why it is refused.
type Convert = fn(&[u8], &mut Vec<u8>) -> Result<(), String>;

impl BuiltinSerializer {
    /// The name, as in `key.serializer`.
    pub fn name(self) -> &'static str {
        match self {
            BuiltinSerializer::String => "string",
            BuiltinSerializer::Integer => "integer",
            BuiltinSerializer::Long => "long",
            BuiltinSerializer::Short => "short",
            BuiltinSerializer::Float => "float",
            BuiltinSerializer::Double => "double",
            BuiltinSerializer::Uuid => "uuid",
            BuiltinSerializer::Void => "void",
            BuiltinSerializer::Json => "json",
        }
    }

    /// `None`: everything becomes null.
    fn convert(self) -> Option<Convert> {
        Some(match self {
            BuiltinSerializer::String => text::string,
            BuiltinSerializer::Integer => number::integer,
            BuiltinSerializer::Long => number::long,
            BuiltinSerializer::Short => number::short,
            BuiltinSerializer::Float => number::float,
            BuiltinSerializer::Double => number::double,
            BuiltinSerializer::Uuid => text::uuid,
            BuiltinSerializer::Json => json::json,
            BuiltinSerializer::Void => return None,
        })
    }
}

impl Serializer for BuiltinSerializer {
    fn headers(&self) -> &HeaderReads {
        &HeaderReads::None
    }

    fn serialize(
        &mut self,
        _: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        _: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        let mut written = Column { lengths: Vec::with_capacity(payloads.len()), data: Vec::new() };
        let mut refused = Vec::new();
        let Some(convert) = self.convert() else {
            written.lengths.resize(payloads.len(), super::columns::NULL);
            return Ok(Serialized { payloads: written, ..Serialized::default() });
        };
        written.data.reserve(payloads.data.len());
        for (index, payload) in (0..).zip(payloads.iter()) {
            let before = written.data.len();
            let length = match payload.map(|payload| convert(payload, &mut written.data)) {
                None => super::columns::NULL,
                // No longer than the payload or eight bytes.
                Some(Ok(())) => (written.data.len() - before) as i32,
                Some(Err(reason)) => {
                    written.data.truncate(before);
                    refused.push(Refusal { index, reason });
                    super::columns::NULL
                }
            };
            written.lengths.push(length);
        }
        Ok(Serialized { payloads: written, added_headers: None, refused })
    }

    fn close(&mut self) {}
}

/// A payload as a refusal shows it: quoted, and not a page long.
fn shown(payload: &[u8]) -> String {
    const SHOWN_MAX: usize = 40;
    let text = String::from_utf8_lossy(&payload[..payload.len().min(4 * SHOWN_MAX)]);
    if text.chars().count() <= SHOWN_MAX && payload.len() <= 4 * SHOWN_MAX {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(SHOWN_MAX).collect::<String>())
    }
}

/// The text of a payload.
fn utf8(payload: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(payload).map_err(|error| {
        let at = error.valid_up_to();
        match payload.get(at) {
            Some(byte) if error.error_len().is_some() => format!("not UTF-8: byte {byte:#04x} at offset {at}"),
            _ => format!("not UTF-8: it ends inside a letter that begins at offset {at}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of each payload.
    fn serialized(mut by: BuiltinSerializer, payloads: &[Option<&[u8]>]) -> Vec<Result<Option<Vec<u8>>, String>> {
        let mut column = Column::default();
        for payload in payloads {
            column.push(*payload);
        }
        let answer = by.serialize(TopicColumnRef::default(), column.as_ref(), None).unwrap();
        answer.payloads.as_ref().check(payloads.len()).unwrap();
        let mut written: Vec<_> = answer.payloads.as_ref().iter().map(|entry| Ok(entry.map(<[u8]>::to_vec))).collect();
        for refusal in answer.refused {
            written[refusal.index as usize] = Err(refusal.reason);
        }
        written
    }

    #[track_caller]
    fn writes(by: BuiltinSerializer, text: &str, bytes: &[u8]) {
        assert_eq!(serialized(by, &[Some(text.as_bytes())]), [Ok(Some(bytes.to_vec()))], "{text}");
    }

    #[track_caller]
    fn refuses(by: BuiltinSerializer, payload: &[u8], said: &str) {
        let outcome = serialized(by, &[Some(payload)]).remove(0);
        let reason = outcome.expect_err(&shown(payload));
        assert!(reason.contains(said), "{said:?} is not in {reason:?}");
    }

    #[test]
    fn null_stays_null_and_a_refusal_hits_its_record_alone() {
        use BuiltinSerializer::*;
        for by in [String, Integer, Long, Short, Float, Double, Uuid, Void, Json] {
            assert_eq!(serialized(by, &[None]), [Ok(None)], "{}", by.name());
            assert_eq!(serialized(by, &[]), [], "{}", by.name());
        }
        let outcomes = serialized(Short, &[Some(b"1"), Some(b"x"), None, Some(b"2")]);
        assert_eq!(outcomes[0], Ok(Some(vec![0, 1])));
        assert!(outcomes[1].is_err());
        assert_eq!(outcomes[2..], [Ok(None), Ok(Some(vec![0, 2]))]);
    }

    #[test]
    fn void_is_null_whatever_comes() {
        assert_eq!(serialized(BuiltinSerializer::Void, &[Some(b"x"), None, Some(b"")]), [Ok(None), Ok(None), Ok(None)]);
    }

    /// The bytes are those of Java's serializers.
    #[test]
    fn numbers_are_big_endian() {
        use BuiltinSerializer::*;
        writes(Integer, "1", &[0, 0, 0, 1]);
        writes(Integer, "-2147483648", &[0x80, 0, 0, 0]);
        writes(Integer, "+7", &[0, 0, 0, 7]);
        writes(Long, "-1", &[0xff; 8]);
        writes(Long, "9223372036854775807", &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        writes(Short, "-2", &[0xff, 0xfe]);
        writes(Float, "1.5", &[0x3f, 0xc0, 0, 0]);
        writes(Float, "NaN", &[0x7f, 0xc0, 0, 0]);
        writes(Double, "-0.5", &[0xbf, 0xe0, 0, 0, 0, 0, 0, 0]);
        writes(Double, "1e3", &[0x40, 0x8f, 0x40, 0, 0, 0, 0, 0]);
        writes(Double, "-Infinity", &[0xff, 0xf0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_is_no_such_number_is_refused_and_quoted() {
        use BuiltinSerializer::*;
        refuses(Integer, b"2147483648", "2147483648 is out of range: -2147483648 to 2147483647");
        refuses(Short, b"-40000", "out of range: -32768 to 32767");
        refuses(Integer, b"12x", "\"12x\" is not a whole number");
        refuses(Integer, b"", "\"\" is not a whole number");
        refuses(Integer, b" 1", "not a whole number");
        refuses(Long, b"1.0", "not a whole number");
        refuses(Double, b"1,5", "\"1,5\" is not a number");
        refuses(Double, b"1e400", "1e400 is out of range of a double");
        refuses(Float, b"1e39", "1e39 is out of range of a float");
        refuses(Integer, b"\xff", "not UTF-8: byte 0xff at offset 0");
        refuses(Integer, "9".repeat(100).as_bytes(), "is out of range");
        refuses(Integer, "a".repeat(1000).as_bytes(), "…");
    }

    #[test]
    fn text_is_utf8() {
        writes(BuiltinSerializer::String, "grüße", "grüße".as_bytes());
        writes(BuiltinSerializer::String, "", b"");
        refuses(BuiltinSerializer::String, b"ab\xfe", "byte 0xfe at offset 2");
        refuses(BuiltinSerializer::String, b"ab\xc3", "ends inside a letter that begins at offset 2");
    }

    #[test]
    fn a_uuid_is_its_36_letters_in_lower_case() {
        let text = "0190e5c2-7f4b-7abc-8def-0123456789ab";
        writes(BuiltinSerializer::Uuid, text, text.as_bytes());
        writes(BuiltinSerializer::Uuid, &text.to_uppercase(), text.as_bytes());
        for wrong in ["", "0190e5c27f4b7abc8def0123456789ab", &text[1..], &text.replace('-', "_"), &format!("{text}0")]
        {
            refuses(BuiltinSerializer::Uuid, wrong.as_bytes(), "not a UUID");
        }
        refuses(BuiltinSerializer::Uuid, b"0190e5c2-7f4b-7abc-8def-0123456789ag", "letter 36");
    }

    #[test]
    fn json_is_checked_and_not_changed() {
        for text in [
            "{\"a\": [1, 2.50e3, null, \"\\u00fc\"]}",
            "7",
            "\"x\"",
            " true ",
            &format!("{}{}", "[".repeat(9999), "]".repeat(9999)),
        ] {
            writes(BuiltinSerializer::Json, text, text.as_bytes());
        }
        refuses(BuiltinSerializer::Json, b"{\"a\": 1,\n \"b\": }", "line 2, column 7");
        refuses(BuiltinSerializer::Json, b"{} {}", "line 1, column 4");
        refuses(BuiltinSerializer::Json, b"", "ends too early");
        refuses(BuiltinSerializer::Json, b"{\"a\":", "ends too early");
        refuses(BuiltinSerializer::Json, b"\"\xff\"", "not UTF-8: byte 0xff at offset 1");
    }
}
