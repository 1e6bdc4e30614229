//! `json`: checked, and sent as it came.

use super::utf8;
use serde::de::IgnoredAny;
use serde_json::error::Category;

pub(super) fn json(payload: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    // Ignored values nest without recursion: depth costs no stack.
    match serde_json::from_str::<IgnoredAny>(utf8(payload)?) {
        Ok(IgnoredAny) => {
            out.extend_from_slice(payload);
            Ok(())
        }
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let words = error.to_string();
            // Its own words end with the position.
            let words = words.split(" at line ").next().unwrap_or_default();
            Err(match error.classify() {
                Category::Eof => format!("not JSON: it ends too early (line {line}, column {column})"),
                _ => format!("not JSON: {words} (line {line}, column {column})"),
            })
        }
    }
}
