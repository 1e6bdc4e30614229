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

/// A component with more in it: a core module whose memory has so many pages, and so many instances of that.
pub(crate) fn with_memories(component: &[u8], pages: u8, instances: u8) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let modules = short(sections(component).filter(|id| *id == CORE_MODULE).count());
    // Its one section: one memory with a least size only. Sizes below 16,384 are two bytes of LEB128 at most.
    let memory = [5, 4, 1, 0, pages | 0x80, 3];
    section(&mut bytes, CORE_MODULE, &[&core_module()[..], &memory].concat());
    for _ in 0..instances {
        // One instance, of that module, without arguments.
        section(&mut bytes, 2, &[1, 0, modules, 0]);
    }
    bytes
}

/// A component with more in it: a core module whose start function never ends, and an instance of that.
pub(crate) fn with_endless_start(component: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let modules = short(sections(component).filter(|id| *id == CORE_MODULE).count());
    let mut module = core_module();
    // A type without parameters and results, a function of it, which starts, and loops.
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 8, &[0]);
    section(&mut module, 10, &[1, 7, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b]);
    section(&mut bytes, CORE_MODULE, &module);
    section(&mut bytes, 2, &[1, 0, modules, 0]);
    bytes
}

/// Exports an instance of functions of these names, each without parameters and results.
pub(crate) fn exporting_functions(name: &str, functions: &[&str]) -> Vec<u8> {
    let mut bytes = empty();
    let mut module = core_module();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 7, &[1, 1, b'f', 0, 0]);
    section(&mut module, 10, &[1, 2, 0, 0x0b]);
    section(&mut bytes, CORE_MODULE, &module);
    section(&mut bytes, 2, &[1, 0, 0, 0]);
    // The instance's function "f"; a type of no parameters and no result; the one lifted as the other.
    section(&mut bytes, 6, &[1, 0, 0, 1, 0, 1, b'f']);
    section(&mut bytes, 7, &[1, 0x40, 0, 1, 0]);
    section(&mut bytes, 8, &[1, 0, 0, 0, 0, 0]);
    let exports = functions.iter().flat_map(|function| [extern_name(function), vec![1, 0]].concat());
    let exports: Vec<u8> = exports.collect();
    section(&mut bytes, 5, &[&[1, 1, short(functions.len())][..], &exports].concat());
    section(&mut bytes, 11, &[&[1][..], &extern_name(name), &[5, 0, 0]].concat());
    bytes
}

/// A component that says its version.
pub(crate) fn with_version(component: &[u8], version: &str) -> Vec<u8> {
    let mut bytes = component.to_vec();
    section(&mut bytes, 0, &[&[7][..], b"version", version.as_bytes()].concat());
    bytes
}

const CORE_MODULE: u8 = 1;

/// The kinds of a component's sections, in order.
fn sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = &component[8..];
    std::iter::from_fn(move || {
        let (&id, after) = rest.split_first()?;
        let length = after.iter().position(|byte| byte & 0x80 == 0).expect("a number ends") + 1;
        let (number, after) = after.split_at(length);
        let size = number.iter().rev().fold(0, |size, &byte| size << 7 | usize::from(byte & 0x7f));
        rest = &after[size..];
        Some(id)
    })
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
