//! What may be wrong with a component, and how the error says it.

use crate::encode;
use crate::guests::{guest, load, mode, options, records, router};
use pointsman::plugin::{PluginFactory, Side, Topology};
use pointsman::wasm::{Engine, EngineOptions, Limits, Plugin, PluginOptions, Roles, Use};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The error of loading these bytes.
fn error_of(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    std::fs::write(&path, bytes).unwrap();
    let error = load(PluginOptions { path, ..options(&[]) }).expect_err("this is no plugin").to_string();
    assert!(error.contains("plugin.wasm"), "{error} should name the file");
    error
}

#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    for word in words {
        assert!(error.contains(word), "{error:?} should hold {word:?}");
    }
}

/// The error of loading the guest for a use.
fn start_error(settings: &[(&str, &str)], used: Use) -> String {
    let limits = Limits { memory_max: 32 << 20, ..Limits::default() };
    start_error_within(limits, settings, used)
}

fn start_error_within(limits: Limits, settings: &[(&str, &str)], used: Use) -> String {
    load(PluginOptions { uses: vec![used], limits, ..options(settings) }).expect_err("it does not start").to_string()
}

#[test]
fn a_good_component_says_what_it_is() {
    let plugin = mode("header");
    assert_eq!(plugin.roles(), Roles { interceptor: true, serializer: true, partitioner: true });
    assert_eq!(PluginFactory::name(&plugin), "guest");
    assert!(plugin.imports().iter().any(|import| import == "pointsman:plugin/host@0.1.0"));
}

#[test]
fn a_component_of_one_role_is_used_for_that_one_only() {
    let router = || PluginOptions { path: router(), name: "router".into(), ..options(&[]) };
    let plugin = load(PluginOptions { uses: vec![Use::Partitioner], ..router() }).unwrap();
    assert_eq!(plugin.roles(), Roles { interceptor: false, serializer: false, partitioner: true });
    let mut partitioner = plugin.partitioner(0).unwrap();
    partitioner.on_topology(&Topology { topic: "orders".into(), partitions: 6, ..Topology::default() }).unwrap();
    assert_eq!(partitioner.partition(&records(2).batch()).unwrap().targets, [5, 5]);

    let failure = plugin.interceptor(0).err().expect("it is none");
    assert_eq!(failure.cause, "router has no interceptor, only: partitioner");
    let error = load(PluginOptions { uses: vec![Use::Serializer(Side::Key)], ..router() }).unwrap_err();
    assert_says(&error.to_string(), &["router.wasm: has no serializer, only: partitioner"]);
}

#[test]
fn a_missing_file() {
    let error = load(PluginOptions { path: "/nowhere/router.wasm".into(), ..options(&[]) }).unwrap_err().to_string();
    assert_says(&error, &["/nowhere/router.wasm", "cannot be read", "No such file"]);
}

#[test]
fn a_core_module() {
    assert_says(
        &error_of(&encode::core_module()),
        &["core WebAssembly module", "--target wasm32-wasip2", "pointsman plugin build"],
    );
}

#[test]
fn no_webassembly() {
    assert_says(&error_of(b"\x7fELF\x02\x01\x01"), &["not a WebAssembly component", "\\x7fELF"]);
    assert_says(&error_of(b""), &["the file is empty"]);
}

#[test]
fn a_broken_component() {
    let mut bytes = std::fs::read(guest()).unwrap();
    bytes.truncate(bytes.len() / 2);
    assert_says(&error_of(&bytes), &["not a valid component"]);
}

#[test]
fn no_role() {
    assert_says(&error_of(&encode::empty()), &["none of interceptor, serializer, partitioner", "exports nothing"]);
    let other = encode::exporting("acme:router/api@1.0.0");
    assert_says(&error_of(&other), &["pointsman:plugin@0.1.0", "it exports acme:router/api@1.0.0"]);
}

#[test]
fn another_version_of_the_contract() {
    let next = encode::exporting("pointsman:plugin/partitioner@0.2.0");
    assert_says(&error_of(&next), &["built for pointsman:plugin/partitioner@0.2.0", "speaks pointsman:plugin@0.1.0"]);
    let host = encode::importing("pointsman:plugin/host@1.0.0", "pointsman:plugin/partitioner@0.1.0");
    assert_says(&error_of(&host), &["built for pointsman:plugin/host@1.0.0"]);
}

#[test]
fn a_role_without_its_functions() {
    let hollow = encode::exporting("pointsman:plugin/partitioner@0.1.0");
    assert_says(&error_of(&hollow), &["its partitioner does not fit", "configure"]);
}

/// Names match along the contract's version, so only the functions' types tell that they are something else.
#[test]
fn functions_of_another_shape() {
    let roles = [
        ("partitioner", &["configure", "on-topology", "partition", "close"][..]),
        ("interceptor", &["configure", "on-send", "on-acknowledgement", "close"]),
        ("serializer", &["configure", "serialize", "close"]),
    ];
    for (role, functions) in roles {
        let other = encode::exporting_functions(&format!("pointsman:plugin/{role}@0.1.0"), functions);
        assert_says(&error_of(&other), &[&format!("its {role} does not fit"), "type mismatch"]);
    }
}

#[test]
fn imports_that_no_plugin_gets() {
    for (import, why) in [
        ("wasi:sockets/tcp@0.2.0", "no plugin reaches the network"),
        ("wasi:http/outgoing-handler@0.2.0", "no plugin reaches the network"),
        ("wasi:keyvalue/store@0.2.0", "not among the WASI interfaces"),
        ("wasi:clocks/wall-clock@0.3.0", "version 0.2"),
        ("acme:secrets/vault@1.0.0", "only pointsman:plugin/host"),
    ] {
        let component = encode::importing(import, "pointsman:plugin/partitioner@0.1.0");
        assert_says(&error_of(&component), &[&format!("imports {import}"), why]);
    }
}

#[test]
fn the_pin_is_checked() {
    let digest = mode("header").sha256();
    load(PluginOptions { sha256: Some(digest), ..options(&[]) }).expect("the digest is the file's");
    let error = load(PluginOptions { sha256: Some([0xab; 32]), ..options(&[]) }).unwrap_err().to_string();
    let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_says(&error, &[&found, &"ab".repeat(32), "pins"]);
}

#[test]
fn configure_is_tried_for_each_use() {
    let uses = [Use::Interceptor, Use::Serializer(Side::Key), Use::Serializer(Side::Value), Use::Partitioner];
    for used in uses {
        let error = start_error(&[("mode", "configure-error")], used);
        assert_says(&error, &[": as ", "configure returned an error: no region is called \"mars\""]);
        load(PluginOptions { uses: vec![used], ..options(&[]) }).expect("without that mode it starts");
    }
    load(options(&[("mode", "configure-error")])).expect("nothing is tried that is not used");
}

#[test]
fn a_start_that_goes_wrong_says_how() {
    let error = start_error(&[("mode", "configure-trap")], Use::Interceptor);
    assert_says(&error, &["configure trapped", "configure fell over"]);
    let hasty = Limits { start_timeout: Duration::from_millis(50), ..Limits::default() };
    let error = start_error_within(hasty, &[("mode", "configure-loop")], Use::Partitioner);
    assert_says(&error, &[".wasm: as partitioner: ", "configure did not end: it ran for more than 50ms"]);
    let error = start_error(&[("mode", "configure-grow")], Use::Interceptor);
    assert_says(&error, &["memory.max = 32 MiB reached"]);
}

/// Before configure is called at all.
#[test]
fn an_endless_start_function_ends_at_the_deadline_of_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    std::fs::write(&path, encode::with_endless_start(&std::fs::read(guest()).unwrap())).unwrap();
    let limits = Limits { start_timeout: Duration::from_millis(50), ..Limits::default() };
    for uses in [vec![], vec![Use::Interceptor]] {
        let error = load(PluginOptions { path: path.clone(), limits, uses, ..options(&[]) }).unwrap_err().to_string();
        assert_says(&error, &["plugin.wasm", "instantiation did not end: it ran for more than 50ms"]);
    }
}

#[test]
fn memory_too_small_to_begin_with() {
    let limits = Limits { memory_max: 64 << 10, ..Limits::default() };
    let error = load(PluginOptions { limits, ..options(&[]) }).unwrap_err().to_string();
    assert_says(&error, &["instantiation", "memory.max = 64 KiB reached"]);
}

/// Writes these bytes and loads them with the guest's options, and a limit of 32 MiB.
fn load_bytes(bytes: &[u8]) -> Result<Plugin, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    std::fs::write(&path, bytes).unwrap();
    let limits = Limits { memory_max: 32 << 20, ..Limits::default() };
    let options = PluginOptions { path, limits, uses: vec![Use::Interceptor], ..options(&[]) };
    load(options).map_err(|error| error.to_string())
}

#[test]
fn all_memories_of_a_component_are_summed() {
    let component = std::fs::read(guest()).unwrap();
    // 400 pages are 25 MiB: below the limit, which two of them are not.
    const PAGES: u8 = (400 & 0x7f) as u8;
    assert_eq!(u16::from(PAGES) + (3 << 7), 400, "as the encoder writes it");
    load_bytes(&encode::with_memories(&component, PAGES, 1)).expect("one fits");
    let error = load_bytes(&encode::with_memories(&component, PAGES, 2)).unwrap_err();
    assert_says(&error, &["instantiation", "memory.max = 32 MiB reached"]);
}

#[test]
fn a_component_may_say_its_version() {
    let component = std::fs::read(guest()).unwrap();
    assert_eq!(load_bytes(&component).unwrap().version(), None);
    let plugin = load_bytes(&encode::with_version(&component, "1.4.0-rc.1")).unwrap();
    assert_eq!(plugin.version(), Some("1.4.0-rc.1"));
    assert_eq!(plugin.digest().len(), 64);
}

#[test]
fn the_cache_is_found_again_by_another_engine() {
    let dir = tempfile::tempdir().unwrap();
    let load = || {
        let engine = Engine::new(EngineOptions { cache_dir: Some(dir.path().join("cache")) }).unwrap();
        Plugin::load(&engine, options(&[])).unwrap();
    };
    load();
    assert_eq!(compiled(dir.path()), 1);
    load();
    assert_eq!(compiled(dir.path()), 1, "nothing was compiled anew");
}

/// How many components a cache holds; what it counts of them, and writes some time later, aside.
fn compiled(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => compiled(&path),
        Some(_) => 0,
        None => 1,
    };
    entries.map(count).sum()
}

#[test]
fn a_slow_start_is_not_a_slow_call() {
    let limits = Limits { timeout: Duration::from_millis(1), ..Limits::default() };
    let settings = [("mode", "slow-start"), ("rounds", "30000000")];
    load(PluginOptions { uses: vec![Use::Partitioner], limits, ..options(&settings) }).expect("it has ten seconds");
}

#[test]
fn a_folder_that_others_write_to_is_no_cache() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (open, own) = (dir.path().join("open"), dir.path().join("made/by/us"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    for (cache, used) in [(&open, false), (&own, true)] {
        let engine = Engine::new(EngineOptions { cache_dir: Some(cache.clone()) }).expect("with or without a cache");
        Plugin::load(&engine, options(&[])).expect("it loads in any case");
        assert_eq!(holds_a_file(cache), used, "{}", cache.display());
    }
    assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    Engine::new(EngineOptions { cache_dir: Some(file) }).expect("a folder that cannot be made");
}

fn holds_a_file(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        path.is_file() || holds_a_file(&path)
    })
}

#[test]
fn plugins_and_engines_outlive_each_other() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let plugin = Plugin::load(&engine, options(&[("mode", "header")])).unwrap();
    drop(engine);
    let mut interceptor = plugin.interceptor(0).unwrap();
    drop(plugin);
    let records = records(1);
    assert!(interceptor.on_send(&records.batch()).unwrap().added_headers.is_some());
}
