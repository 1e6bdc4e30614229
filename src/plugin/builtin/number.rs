//! Numbers, written as text and sent as big-endian bytes.

use super::{shown, utf8};
use std::num::IntErrorKind;

macro_rules! whole {
    ($name:ident, $type:ty) => {
        pub(super) fn $name(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
            let number: Result<$type, _> = utf8(payload)?.parse();
            match number {
                Ok(number) => {
                    out.extend_from_slice(&number.to_be_bytes());
                    Ok(())
                }
                Err(error) => Err(not_whole(payload, error.kind(), <$type>::MIN.into(), <$type>::MAX.into())),
            }
        }
    };
}

whole!(integer, i32);
whole!(long, i64);
whole!(short, i16);

pub(super) fn float(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let number: f32 = utf8(payload)?.parse().map_err(|_| not_a_number(payload))?;
    in_range(payload, number.is_infinite(), "float")?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

pub(super) fn double(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let number: f64 = utf8(payload)?.parse().map_err(|_| not_a_number(payload))?;
    in_range(payload, number.is_infinite(), "double")?;
    out.extend_from_slice(&number.to_be_bytes());
    Ok(())
}

fn not_whole(payload: &[u8], kind: &IntErrorKind, min: i64, max: i64) -> String {
    match kind {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            format!("{} is out of range: {min} to {max}", shown(payload).replace('"', ""))
        }
        _ => format!("{} is not a whole number", shown(payload)),
    }
}

fn not_a_number(payload: &[u8]) -> String {
    format!("{} is not a number", shown(payload))
}

/// Infinity is written as such; digits that amount to it are too many.
fn in_range(payload: &[u8], is_infinite: bool, name: &str) -> Result<(), String> {
    if is_infinite && payload.iter().any(u8::is_ascii_digit) {
        return Err(format!("{} is out of range of a {name}", shown(payload).replace('"', "")));
    }
    Ok(())
}
