//! `plugin build`: of sources, of a module, and of what is neither.

use super::{Ran, file, pointsman, run};
use std::fs;
use std::path::Path;
use std::process::Command;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection, ValType,
};

fn build(arguments: &[&str]) -> Ran {
    run(command().args(arguments), "")
}

/// What it builds of a crate goes below the crate, where no other build waits.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(["plugin", "build"]).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    command
}

/// A partitioner as a compiler of another language makes it: every answer is at address 0, where there are zeros, which
/// are an empty list, or no wishes at all. `names` are of its four functions.
fn module(version: &str, names: &[&str]) -> Vec<u8> {
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    let mut exports = ExportSection::new();
    let mut function = |name: &str, parameters: usize, answers: bool| {
        let index = functions.len();
        types.ty().function(vec![ValType::I32; parameters], answers.then_some(ValType::I32));
        functions.function(index);
        exports.export(name, ExportKind::Func, index);
        let mut body = Function::new([]);
        if answers {
            body.instructions().i32_const(if name == "cabi_realloc" { 1024 } else { 0 });
        }
        body.instructions().end();
        code.function(&body);
    };
    function("cabi_realloc", 4, true);
    for &name in names {
        let parameters = match name {
            "configure" => 2,
            "on-topology" => 7,
            "partition" => 1,
            _ => 0,
        };
        function(&format!("pointsman:plugin/partitioner@{version}#{name}"), parameters, name != "close");
    }
    exports.export("memory", ExportKind::Memory, 0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), [0; 64]);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports).section(&code).section(&data);
    module.finish()
}

const ALL: [&str; 4] = ["configure", "on-topology", "partition", "close"];

#[test]
fn a_module_of_any_language_becomes_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let source = file(folder.path(), "router.wasm", module("0.1.0", &ALL));
    let component = folder.path().join("router.component.wasm");
    build(&[&source]).shows(&["router.component.wasm\n", "roles    partitioner\n", "contract pointsman:plugin@0.1.0"]);
    let first = fs::read(&component).unwrap();
    let named = folder.path().join("named.wasm");
    build(&[&source, "-o", named.to_str().unwrap()]).shows(&["named.wasm\n", "partitioner.class = \"wasm:named\""]);
    assert_eq!(fs::read(&named).unwrap(), first, "the same of the same");
    pointsman(&["plugin", "inspect", named.to_str().unwrap()], "").shows(&["roles    partitioner\n"]);

    let again = build(&[named.to_str().unwrap()]);
    again.fails(2, &["named.wasm: this is a component already", "plugin inspect"]);
    let config = format!(
        "[producer]\nbootstrap.servers = \"127.0.0.1:1\"\npartitioner.class = \"wasm:named\"\n\
         [plugins.named]\ncomponent = {named:?}\n"
    );
    let config = file(folder.path(), "named.toml", config);
    pointsman(&["config", "check", "-c", &config], "").shows(&["is valid"]);
}

#[test]
fn a_module_that_does_not_fit_is_told_why_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let text = file(folder.path(), "text.wasm", "(module)");
    build(&[&text]).fails(2, &["text.wasm: this is no WebAssembly"]);
    let cut = file(folder.path(), "cut.wasm", &module("0.1.0", &ALL)[..40]);
    build(&[&cut]).fails(1, &["cut.wasm: this is no valid module"]);
    let idle = file(folder.path(), "idle.wasm", module("0.1.0", &[]));
    build(&[&idle]).fails(1, &["idle.wasm: the module exports no role", "pointsman:plugin/ROLE@0.1.0#NAME"]);
    let later = file(folder.path(), "later.wasm", module("7.0.0", &ALL));
    build(&[&later]).fails(1, &["exports no role", "It has pointsman:plugin/partitioner@7.0.0#", "another version"]);
    let half = file(folder.path(), "half.wasm", module("0.1.0", &ALL[..3]));
    build(&[&half]).fails(1, &["half.wasm: the module does not fit the contract (partitioner)", "`close`"]);
    build(&[folder.path().join("none.wasm").to_str().unwrap()]).fails(2, &["none.wasm cannot be read"]);
    let fits = file(folder.path(), "fits.wasm", module("0.1.0", &ALL));
    let nowhere = folder.path().join("no/folder.wasm");
    build(&[&fits, "-o", nowhere.to_str().unwrap()]).fails(2, &["no/folder.wasm", "cannot be written"]);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["cut.wasm", "fits.wasm", "half.wasm", "idle.wasm", "later.wasm", "text.wasm"]);
}

#[test]
fn a_folder_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    build(&[path]).fails(2, &["has no go.mod and no Cargo.toml", "pointsman plugin build FILE.wasm"]);

    file(folder.path(), "go.mod", "module orders\n\ngo 1.24\n");
    file(folder.path(), "main.go", "package orders\n");
    build(&[path]).fails(1, &["is package orders: a plugin is package main"]);
    file(folder.path(), "main.go", "package main\n\nfunc main() { routes() }\n");
    build(&[path]).fails(1, &["undefined: routes", "go failed"]);
    file(folder.path(), "main.go", "package main\n\nfunc main() {}\n");
    build(&[path]).fails(1, &["the module exports no role"]);
    without_tools(folder.path()).fails(1, &["go is missing. Install it: https://go.dev/dl"]);

    file(folder.path(), "Cargo.toml", "[package]\nname = \"orders\"\nedition = \"2024\"\n[workspace]\n");
    build(&[path]).fails(2, &["has a go.mod and a Cargo.toml"]);
    fs::remove_file(folder.path().join("go.mod")).unwrap();
    without_tools(folder.path()).fails(1, &["cargo is missing. Install it: https://rustup.rs"]);
    fs::create_dir(folder.path().join("src")).unwrap();
    file(folder.path(), "src/lib.rs", "");
    build(&[path]).fails(1, &["makes no component: say `crate-type = [\"cdylib\", \"rlib\"]`"]);
}

/// As on a machine where nothing is installed.
fn without_tools(folder: &Path) -> Ran {
    run(command().arg(folder).env("PATH", folder), "")
}

#[test]
fn a_go_program_becomes_a_component_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("plugins/examples/go");
    fs::copy(example.join("main.go"), folder.path().join("main.go")).unwrap();
    let sdk = root.join("plugins/sdk-go");
    let module = fs::read_to_string(example.join("go.mod")).unwrap().replace("../../sdk-go", sdk.to_str().unwrap());
    file(folder.path(), "go.mod", module);
    let ran = run(command().current_dir(folder.path()), "");
    ran.shows(&["by-state.wasm\n", "roles    partitioner\n", "partitioner.class = \"wasm:by-state\""]);
    // It stands on the host alone: whatever else Go imports is answered inside.
    let (_, imports) = ran.stdout.split_once("imports").unwrap();
    let (imports, _) = imports.split_once("\n\n").unwrap();
    assert!(imports.lines().all(|import| import.trim().starts_with("pointsman:plugin/")), "{imports}");
    assert!(folder.path().join("by-state.wasm").is_file());
}

#[test]
fn a_crate_becomes_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk-rust");
    let manifest = format!(
        "[package]\nname = \"to-last\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\npointsman-plugin = {{ path = {sdk:?} }}\n[workspace]\n"
    );
    file(folder.path(), "Cargo.toml", manifest);
    // The versions that the shipped plugins are built of, which are there.
    fs::copy(sdk.join("../Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let code = "use pointsman_plugin::*;\nexport!(partitioner: Last);\nstruct Last;\nimpl Partitioner for Last {\n\
                fn configure(_: &Settings) -> Result<Last, String> { Ok(Last) }\n\
                fn wants(&self) -> PartitionerWants { PartitionerWants::keyed(Reads::nothing()) }\n\
                fn partition(&mut self, _: &Record<'_>, topology: &Topology) -> Placement {\n\
                Placement::Partition(topology.partitions - 1)\n}\n}\n";
    file(folder.path(), "src/lib.rs", code);
    let ran = build(&[folder.path().to_str().unwrap()]);
    ran.shows(&["to_last.wasm\n", "roles    partitioner\n", "partitioner.class = \"wasm:to-last\""]);
    assert!(folder.path().join("to_last.wasm").is_file());
}
