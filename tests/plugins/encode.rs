//! Small components, byte by byte: those that no toolchain would make.

/// A component without anything in it.
pub(crate) fn empty() -> Vec<u8> {
    b"\0asm\x0d\0\x01\0".to_vec()
}

/// A core module without anything in it.
pub(crate) fn core_module() -> Vec<u8> {
    b"\0asm\x01\0\0\0".to_vec()
}

/// Exports an instance without functions.
pub(crate) fn exporting(name: &str) -> Vec<u8> {
    let mut bytes = empty();
    // One instance, made of no exports.
    section(&mut bytes, 5, &[1, 1, 0]);
    // One export: the name, the sort (instance), its index, no type ascribed.
    section(&mut bytes, 11, &[&[1][..], &extern_name(name), &[5, 0, 0]].concat());
    bytes
}

/// Imports an instance without functions, and exports another.
pub(crate) fn importing(import: &str, export: &str) -> Vec<u8> {
    let mut bytes = empty();
    // One type: an instance without exports.
    section(&mut bytes, 7, &[1, 0x42, 0]);
    // One import: the name, an instance, of type 0.
    section(&mut bytes, 10, &[&[1][..], &extern_name(import), &[5, 0]].concat());
    section(&mut bytes, 5, &[1, 1, 0]);
    section(&mut bytes, 11, &[&[1][..], &extern_name(export), &[5, 1, 0]].concat());
    bytes
}

fn extern_name(name: &str) -> Vec<u8> {
    [&[0, short(name.len())][..], name.as_bytes()].concat()
}

fn section(bytes: &mut Vec<u8>, id: u8, content: &[u8]) {
    bytes.extend([id, short(content.len())]);
    bytes.extend(content);
}

/// A length that LEB128 writes as one byte.
fn short(length: usize) -> u8 {
    u8::try_from(length).ok().filter(|&length| length < 128).expect("test components are short")
}
