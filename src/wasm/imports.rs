//! What a component may import: the contract's interfaces and the WASI of `wasi.rs`. Everything else is refused by
//! name when it is loaded.

use super::error::{CONTRACT, LoadError};
use super::state::State;
use super::wasi::{self, Descriptor, Support};
use std::path::Path;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, Linker, ResourceType};

/// The names of all imports, with their versions.
pub(super) fn names(engine: &wasmtime::Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses what a plugin does not get, and makes traps of what is stubbed.
///
/// # Errors
/// [`LoadError::Import`], [`LoadError::Version`].
pub(super) fn link(
    engine: &wasmtime::Engine,
    component: &Component,
    linker: &mut Linker<State>,
    path: &Path,
) -> Result<(), LoadError> {
    for (name, import) in component.component_type().imports(engine) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        if interface.starts_with("pointsman:plugin/") {
            if !compatible(version, CONTRACT) {
                return Err(LoadError::Version { path: path.to_owned(), found: name.to_owned() });
            }
            continue;
        }
        let known = wasi::INTERFACES.iter().find(|(known, _)| *known == interface);
        let (Some((_, support)), true) = (known, compatible(version, wasi::VERSION)) else {
            return Err(LoadError::Import { path: path.to_owned(), import: name.to_owned(), why: refusal(interface) });
        };
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            let why = "an interface has that name, this is something else".to_owned();
            return Err(LoadError::Import { path: path.to_owned(), import: name.to_owned(), why });
        };
        if *support == Support::Stubbed {
            stub(engine, linker, name, &instance)
                .map_err(|cause| LoadError::Invalid { path: path.to_owned(), cause: format!("{cause:#}") })?;
        }
    }
    Ok(())
}

/// Whether two versions are on one track, as wasmtime matches them: 0.2.x with 0.2.y, 1.x with 1.y.
pub(super) fn compatible(a: &str, b: &str) -> bool {
    fn track(version: &str) -> Option<(u64, u64)> {
        let mut parts = version.split(['.', '+']).map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return None };
        Some((major, if major == 0 { minor } else { 0 }))
    }
    !a.contains('-') && track(a).is_some() && track(a) == track(b)
}

fn refusal(interface: &str) -> String {
    if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        "no plugin reaches the network. Take out what needs it, or build without it (componentize-py: `--stub-wasi`; \
         componentize-js: `-d http -d fetch-event`)"
            .to_owned()
    } else if interface.starts_with("wasi:") {
        "it is not among the WASI interfaces that plugins may use, version 0.2".to_owned()
    } else {
        "only pointsman:plugin/host and parts of WASI 0.2 are there to import".to_owned()
    }
}

fn stub(
    engine: &wasmtime::Engine,
    linker: &mut Linker<State>,
    name: &str,
    instance: &ComponentInstance,
) -> wasmtime::Result<()> {
    let mut stubs = linker.instance(name)?;
    for (item, definition) in instance.exports(engine) {
        match definition.ty {
            ComponentItem::ComponentFunc(_) => {
                let called = format!("{name}#{item}");
                stubs.func_new(item, move |_, _, _, _| {
                    Err(wasmtime::Error::msg(format!("a plugin has no files: it called {called}")))
                })?;
            }
            // Resources that an interface only uses belong to another, and are not exports of this one by a
            // definition of its own: `wasi:filesystem/types` has two, and neither is ever made.
            ComponentItem::Resource(_) if item == "descriptor" || item == "directory-entry-stream" => {
                stubs.resource(item, ResourceType::host::<Descriptor>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::compatible;

    #[test]
    fn versions_match_along_their_track() {
        assert!(compatible("0.2.0", "0.2.9"));
        assert!(!compatible("0.2.0", "0.3.0"));
        assert!(compatible("1.0.0", "1.4.2"));
        assert!(!compatible("2.0.0", "1.0.0"));
        assert!(!compatible("0.2.0-rc-2023-11-10", "0.2.0"));
        assert!(!compatible("", "0.2.0"));
    }
}
