//! PEM text, as lenient as Java reads it: blanks of any kind between and within the lines, other text around.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One `-----BEGIN LABEL-----` block. No `Debug`: it may be a key.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// All blocks in order. The error quotes nothing but labels.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let after = &rest[at + BEGIN.len()..];
        let (label, body) = after.split_once(DASHES).ok_or("a BEGIN line has no end")?;
        if label.len() > LABEL_MAX || label.contains(['\n', '\r']) {
            return Err("a BEGIN line has no end".to_owned());
        }
        let end = body.find(END).ok_or_else(|| format!("the {label} has no END line"))?;
        let (body, after) = (&body[..end], &body[end + END.len()..]);
        rest = after
            .strip_prefix(label)
            .and_then(|after| after.strip_prefix(DASHES))
            .ok_or_else(|| format!("the {label} has the END line of something else"))?;
        if body.contains(':') {
            return Err(format!(
                "the {label} is encrypted in OpenSSL's old way: openssl pkcs8 -topk8 makes a PKCS #8 key of it"
            ));
        }
        let mut dense = Zeroizing::new(String::with_capacity(body.len()));
        dense.extend(body.chars().filter(|letter| !letter.is_whitespace()));
        let der = STANDARD.decode(dense.as_bytes()).map_err(|_| format!("the {label} is not base64"))?;
        blocks.push(Block { label: label.to_owned(), der: Zeroizing::new(der) });
    }
    Ok(blocks)
}

const LABEL_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_may_stand_on_one_line() {
        let text = "subject=me\n-----BEGIN CERTIFICATE----- aGVs bG8= -----END CERTIFICATE-----\r\n\
                    -----BEGIN PRIVATE KEY-----\nd29y\n bGQ=\n-----END PRIVATE KEY-----";
        let blocks = blocks(text).unwrap_or_else(|error| panic!("{error}"));
        let read: Vec<_> = blocks.iter().map(|block| (block.label.as_str(), block.der.as_slice())).collect();
        assert_eq!(read, [("CERTIFICATE", b"hello".as_slice()), ("PRIVATE KEY", b"world")]);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (text, words) in [
            ("-----BEGIN X-----\nhushhush", "the X has no END line"),
            ("-----BEGIN X-----\nhushhush\n-----END Y-----", "something else"),
            ("-----BEGIN X-----\nhush!hush\n-----END X-----", "not base64"),
            ("-----BEGIN X\nhushhush", "no end"),
            ("-----BEGIN R-----\nProc-Type: 4,ENCRYPTED\n\nhush\n-----END R-----", "openssl pkcs8 -topk8"),
        ] {
            let Err(error) = blocks(text) else { panic!("{text} was taken") };
            assert!(error.contains(words) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
