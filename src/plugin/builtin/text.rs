//! `string` and `uuid`.

use super::{shown, utf8};

pub(super) fn string(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(utf8(payload)?.as_bytes());
    Ok(())
}

/// Java's `UUIDSerializer` writes the text of a `UUID`, which has small letters whatever it was parsed from.
pub(super) fn uuid(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    const LETTERS: usize = 36;
    if payload.len() != LETTERS {
        return Err(format!("{} is not a UUID: it has {} letters, not {LETTERS}", shown(payload), payload.len()));
    }
    for (at, &letter) in payload.iter().enumerate() {
        let is_hyphen_s = matches!(at, 8 | 13 | 18 | 23);
        if if is_hyphen_s { letter != b'-' } else { !letter.is_ascii_hexdigit() } {
            let wanted = if is_hyphen_s { "a hyphen" } else { "a hexadecimal digit" };
            return Err(format!("{} is not a UUID: letter {} is not {wanted}", shown(payload), at + 1));
        }
        out.push(letter.to_ascii_lowercase());
    }
    Ok(())
}
