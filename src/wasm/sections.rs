//! What a component says of itself in custom sections.

use super::output::cut;

/// The version in a component's `version` section, where it has one (an OCI annotation, as `wasm-tools` writes it).
pub(super) fn version(component: &[u8]) -> Option<String> {
    let mut rest = component.get(PREAMBLE..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let section = after.get(..size)?;
        rest = &after[size..];
        if id == CUSTOM {
            let (length, section) = number(section)?;
            let (name, content) = section.split_at_checked(length)?;
            if name == b"version" {
                return std::str::from_utf8(content).ok().filter(|text| !text.is_empty()).map(cut);
            }
        }
    }
    None
}

/// A LEB128 number, and what comes after it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(number).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

/// Magic, version and layer.
const PREAMBLE: usize = 8;
const CUSTOM: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        assert!(content.len() < 128);
        [&[id, content.len() as u8], content].concat()
    }

    #[test]
    fn a_version_is_found_among_other_sections() {
        let bytes =
            [HEAD.to_vec(), section(1, b"a module"), section(0, b"\x09producersx"), section(0, b"\x07version1.4.0")]
                .concat();
        assert_eq!(version(&bytes).as_deref(), Some("1.4.0"));
        assert_eq!(version(&bytes[..bytes.len() - 1]), None, "cut off");
        assert_eq!(version(HEAD), None);
        assert_eq!(version(b""), None);
        assert_eq!(version(&[HEAD, &[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()), None);
        assert_eq!(version(&[HEAD, &section(0, b"\x07version")].concat()), None, "says nothing");
    }
}
