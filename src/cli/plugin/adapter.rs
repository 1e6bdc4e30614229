//! WASI preview 1 for modules that are wrapped: what Go's runtime and wasi-libc import, answered inside the component.
//!
//! The usual adapter calls on WASI 0.2. Go's runtime reads the clock when it allocates, and it allocates where the host
//! has a place made for an argument, from where no host may be called: such a component loads, works for a while, and
//! then traps. This one reaches the host for random numbers, for which Go asks when it starts, and for what is printed.
//!
//! The clock stands still between two calls of `pointsman_set_clock`, but for a microsecond at each reading, so that
//! whoever waits for it to move gets on. There are no files, no arguments and no environment. What is printed goes into
//! the log, line by line, if the module gives room for a line by `pointsman_keep_words`; else nowhere.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, ImportSection, InstructionSink, MemArg, MemoryType, Module, TypeSection, ValType,
};

/// The name that modules import it by.
pub(super) const NAME: &str = "wasi_snapshot_preview1";

/// The adapter, as a core module that shares the plugin's memory.
pub(super) fn module() -> Vec<u8> {
    let mut parts = Parts::default();
    parts.types.ty().function([], [ValType::I64]);
    parts.types.ty().function([ValType::I32; 3], []);
    parts.imports.import(super::build::HOST, "random", EntityType::Function(0));
    parts.imports.import(super::build::HOST, "log", EntityType::Function(1));
    let memory = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
    parts.imports.import("env", "memory", EntityType::Memory(memory));

    // The first, as LEGIBLE says.
    parts.function("pointsman_legible", "ii", false, &[ValType::I32; 6], legible);
    for (name, parameters, errno) in ANSWERED {
        parts.function(name, parameters, true, &[], |code| {
            code.i32_const(*errno);
        });
    }
    parts.function("args_sizes_get", "ii", true, &[], no_strings);
    parts.function("environ_sizes_get", "ii", true, &[], no_strings);
    parts.function("clock_res_get", "ii", true, &[], |code| {
        code.local_get(1).i64_const(TICK).i64_store(at(0)).i32_const(0);
    });
    parts.function("clock_time_get", "iIi", true, &[], |code| {
        code.global_get(NOW).i64_const(TICK).i64_add().global_set(NOW);
        code.local_get(2).global_get(NOW).i64_store(at(0)).i32_const(0);
    });
    parts.function("pointsman_set_clock", "I", false, &[], |code| {
        // The system's clock may be set back; Go's has to go on.
        code.local_get(0).global_get(NOW).local_get(0).global_get(NOW).i64_gt_u().select().global_set(NOW);
        code.i64_const(0).global_set(DYING);
    });
    parts.function("pointsman_keep_words", "i", false, &[], |code| {
        code.local_get(0).i64_extend_i32_u().global_set(WORDS);
    });
    parts.function("pointsman_trap", "", false, &[], |code| {
        code.unreachable();
    });
    parts.function("random_get", "ii", true, &[ValType::I64, ValType::I32], random);
    parts.function("fd_write", "iiii", true, &[ValType::I32, ValType::I32], write);
    parts.function("poll_oneoff", "iiii", true, &[], sleep);
    parts.function("proc_exit", "i", false, &[], |code| {
        code.unreachable();
    });
    parts.finish()
}

/// Functions that answer the same in any case: their name, their parameters and the error number.
const ANSWERED: &[(&str, &str, i32)] = &[
    ("args_get", "ii", 0),
    ("environ_get", "ii", 0),
    ("sched_yield", "", 0),
    ("fd_advise", "iIIi", BADF),
    ("fd_allocate", "iII", BADF),
    ("fd_close", "i", BADF),
    ("fd_datasync", "i", BADF),
    ("fd_fdstat_get", "ii", BADF),
    ("fd_fdstat_set_flags", "ii", BADF),
    ("fd_fdstat_set_rights", "iII", BADF),
    ("fd_filestat_get", "ii", BADF),
    ("fd_filestat_set_size", "iI", BADF),
    ("fd_filestat_set_times", "iIIi", BADF),
    ("fd_pread", "iiiIi", BADF),
    ("fd_prestat_dir_name", "iii", BADF),
    ("fd_prestat_get", "ii", BADF),
    ("fd_pwrite", "iiiIi", BADF),
    ("fd_read", "iiii", BADF),
    ("fd_readdir", "iiiIi", BADF),
    ("fd_renumber", "ii", BADF),
    ("fd_seek", "iIii", BADF),
    ("fd_sync", "i", BADF),
    ("fd_tell", "ii", BADF),
    ("path_create_directory", "iii", BADF),
    ("path_filestat_get", "iiiii", BADF),
    ("path_filestat_set_times", "iiiiIIi", BADF),
    ("path_link", "iiiiiii", BADF),
    ("path_open", "iiiiiIIii", BADF),
    ("path_readlink", "iiiiii", BADF),
    ("path_remove_directory", "iii", BADF),
    ("path_rename", "iiiiii", BADF),
    ("path_symlink", "iiiii", BADF),
    ("path_unlink_file", "iii", BADF),
    ("proc_raise", "i", NOSYS),
    ("sock_accept", "iii", BADF),
    ("sock_recv", "iiiiii", BADF),
    ("sock_send", "iiiii", BADF),
    ("sock_shutdown", "ii", BADF),
];

const STDERR: i32 = 2;
/// Error numbers of WASI preview 1.
const BADF: i32 = 8;
const NOSYS: i32 = 52;

/// The imported functions.
const RANDOM: u32 = 0;
const LOG: u32 = 1;
const IMPORTED: u32 = 2;
/// The first of our own.
const LEGIBLE: u32 = IMPORTED;

/// The globals: the time in nanoseconds, where there is room for a line, how many bytes of it are used, and whether Go's
/// runtime is saying why it ends. Of 64 bits all: one of 32 that changes would be taken for a stack pointer.
const NOW: u32 = 0;
const WORDS: u32 = 1;
const USED: u32 = 2;
const DYING: u32 = 3;
/// How far a reading moves the time.
const TICK: i64 = 1_000;
/// The room that a module gives for a line.
const WORDS_MAX: i64 = 1024;

fn no_strings(code: &mut InstructionSink<'_>) {
    code.local_get(0).i32_const(0).i32_store(at(0));
    code.local_get(1).i32_const(0).i32_store(at(0)).i32_const(0);
}

/// `random_get(pointer, length)`: eight bytes of each of the host's numbers.
fn random(code: &mut InstructionSink<'_>) {
    let (pointer, length, number, left) = (0, 1, 2, 3);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(length).i32_eqz().br_if(1);
    code.local_get(left).i32_eqz().if_(BlockType::Empty);
    code.call(RANDOM).local_set(number).i32_const(8).local_set(left).end();
    code.local_get(pointer).local_get(number).i64_store8(byte(0));
    code.local_get(number).i64_const(8).i64_shr_u().local_set(number);
    step(code, left, -1);
    step(code, pointer, 1);
    step(code, length, -1);
    code.br(0).end().end().i32_const(0);
}

/// `fd_write(file, pieces, count, written)`: says that all was written. Of stdout and stderr it keeps what fits, and logs
/// it where a line ends.
fn write(code: &mut InstructionSink<'_>) {
    let (file, pieces, count, written, sum, kept) = (0, 1, 2, 3, 4, 5);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(count).i32_eqz().br_if(1);
    code.local_get(sum).local_get(pieces).i32_load(at(4)).i32_add().local_set(sum);
    code.local_get(file).i32_const(1).i32_sub().i32_const(2).i32_lt_u();
    code.global_get(WORDS).i64_eqz().i32_eqz().i32_and().global_get(DYING).i64_eqz().i32_and();
    code.if_(BlockType::Empty);
    // What is left of the room, or the piece if that is less.
    code.i64_const(WORDS_MAX).global_get(USED).i64_sub().i32_wrap_i64().local_tee(kept);
    code.local_get(pieces).i32_load(at(4));
    code.local_get(kept).local_get(pieces).i32_load(at(4)).i32_lt_u().select().local_set(kept);
    code.global_get(WORDS).global_get(USED).i64_add().i32_wrap_i64();
    code.local_get(pieces).i32_load(at(0)).local_get(kept).memory_copy(0, 0);
    code.global_get(USED).local_get(kept).i64_extend_i32_u().i64_add().global_set(USED);
    code.global_get(USED).i64_const(WORDS_MAX).i64_eq().if_(BlockType::Result(ValType::I32)).i32_const(1).else_();
    code.global_get(USED).i64_eqz().if_(BlockType::Result(ValType::I32)).i32_const(0).else_();
    code.global_get(WORDS).global_get(USED).i64_add().i32_wrap_i64().i32_const(1).i32_sub().i32_load8_u(byte(0));
    code.i32_const(i32::from(b'\n')).i32_eq().end().end();
    code.if_(BlockType::Empty);
    line(code, file);
    code.end().end();
    step(code, pieces, 8);
    step(code, count, -1);
    code.br(0).end().end();
    code.local_get(written).local_get(sum).i32_store(at(0)).i32_const(0);
}

/// Logs the line that was kept: of stdout as information, of stderr as a warning. Where Go's runtime begins to say why it
/// ends, that is an error, and the stacks that follow are left out.
fn line(code: &mut InstructionSink<'_>, file: u32) {
    for (first, offset, second) in [(*b"pani", 3, *b"ic: "), (*b"fata", 4, *b"l er")] {
        code.global_get(WORDS).i32_wrap_i64().i32_load(byte(0)).i32_const(i32::from_le_bytes(first)).i32_eq();
        code.global_get(WORDS).i32_wrap_i64().i32_load(byte(offset)).i32_const(i32::from_le_bytes(second)).i32_eq();
        code.i32_and();
    }
    code.i32_or().local_get(file).i32_const(STDERR).i32_eq().i32_and().i64_extend_i32_u().global_set(DYING);
    code.global_get(WORDS).i32_wrap_i64().global_get(USED).i32_wrap_i64().call(LEGIBLE);
    // The contract's levels: 2 for information, 3 for a warning, 4 for an error.
    code.local_get(file).i32_const(1).i32_add().global_get(DYING).i32_wrap_i64().i32_add();
    code.global_get(WORDS).i32_wrap_i64().global_get(USED).i32_wrap_i64().call(LOG);
    code.i64_const(0).global_set(USED);
}

/// `pointsman_legible(pointer, length)`: text that is not UTF-8 would trap where the host takes it. What is beyond ASCII in
/// it becomes question marks then.
fn legible(code: &mut InstructionSink<'_>) {
    let (pointer, length, index, read, need, low, high, is_bad) = (0, 1, 2, 3, 4, 5, 6, 7);
    let load = |code: &mut InstructionSink<'_>| {
        code.local_get(pointer).local_get(index).i32_add().i32_load8_u(byte(0)).local_set(read);
    };
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(index).local_get(length).i32_ge_u().br_if(1);
    load(code);
    code.local_get(need).if_(BlockType::Empty);
    // A byte that goes on: between bounds, which only the first one narrows.
    code.local_get(read).local_get(low).i32_lt_u().local_get(read).local_get(high).i32_gt_u().i32_or();
    code.local_get(is_bad).i32_or().local_set(is_bad);
    step(code, need, -1);
    code.i32_const(0x80).local_set(low).i32_const(0xBF).local_set(high);
    code.else_().local_get(read).i32_const(0x80).i32_ge_u().if_(BlockType::Empty);
    // One that begins a character, by its length.
    for from in [0xC2, 0xE0, 0xF0] {
        code.local_get(read).i32_const(from).i32_ge_u();
    }
    code.i32_add().i32_add().local_tee(need).i32_eqz().local_get(read).i32_const(0xF4).i32_gt_u().i32_or();
    code.local_get(is_bad).i32_or().local_set(is_bad);
    // No longer than it has to be, no half of a pair, nothing beyond the last character (RFC 3629).
    code.i32_const(0xA0).i32_const(0x90).i32_const(0x80).local_get(read).i32_const(0xF0).i32_eq().select();
    code.local_get(read).i32_const(0xE0).i32_eq().select().local_set(low);
    code.i32_const(0x9F).i32_const(0x8F).i32_const(0xBF).local_get(read).i32_const(0xF4).i32_eq().select();
    code.local_get(read).i32_const(0xED).i32_eq().select().local_set(high);
    code.end().end();
    step(code, index, 1);
    code.br(0).end().end();
    // Nor may it end within one.
    code.local_get(need).local_get(is_bad).i32_or().if_(BlockType::Empty);
    code.i32_const(0).local_set(index);
    code.block(BlockType::Empty).loop_(BlockType::Empty);
    code.local_get(index).local_get(length).i32_ge_u().br_if(1);
    load(code);
    code.local_get(read).i32_const(0x80).i32_ge_u().if_(BlockType::Empty);
    code.local_get(pointer).local_get(index).i32_add().i32_const(i32::from(b'?')).i32_store8(byte(0)).end();
    step(code, index, 1);
    code.br(0).end().end().end();
}

/// `poll_oneoff(subscriptions, events, count, happened)`: a hook may not wait, so the clock jumps to where the first of
/// them ends. If that one is for a file, it has failed.
fn sleep(code: &mut InstructionSink<'_>) {
    let (subscription, event, happened) = (0, 1, 3);
    code.local_get(event).local_get(subscription).i64_load(at(0)).i64_store(at(0));
    code.local_get(event).i64_const(0).i64_store(at(8));
    code.local_get(event).i64_const(0).i64_store(at(16));
    code.local_get(event).i64_const(0).i64_store(at(24));
    code.local_get(subscription).i32_load8_u(byte(8)).if_(BlockType::Empty);
    code.local_get(event).i32_const(BADF).i32_store16(byte(8));
    code.local_get(event).local_get(subscription).i32_load8_u(byte(8)).i32_store8(byte(10));
    code.else_();
    // Its lowest flag says that the time is a point, not a length.
    code.local_get(subscription).i64_load(at(24));
    code.global_get(NOW).i64_const(0).local_get(subscription).i32_load8_u(byte(40)).i32_eqz().select();
    code.i64_add().global_set(NOW).end();
    code.local_get(happened).i32_const(1).i32_store(at(0)).i32_const(0);
}

fn step(code: &mut InstructionSink<'_>, local: u32, by: i32) {
    code.local_get(local).i32_const(by).i32_add().local_set(local);
}

fn at(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: 0 }
}

fn byte(offset: u64) -> MemArg {
    MemArg { offset, align: 0, memory_index: 0 }
}

/// The sections of the module while it is made.
#[derive(Default)]
struct Parts {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
}

impl Parts {
    /// Exports a function; of its parameters `i` is 32 and `I` 64 bits wide, and an error number is of 32.
    fn function(
        &mut self,
        name: &str,
        parameters: &str,
        has_errno: bool,
        locals: &[ValType],
        write: impl FnOnce(&mut InstructionSink<'_>),
    ) {
        let parameters = parameters.chars().map(|width| if width == 'I' { ValType::I64 } else { ValType::I32 });
        let index = self.functions.len();
        self.functions.function(self.types.len());
        self.types.ty().function(parameters.collect::<Vec<_>>(), has_errno.then_some(ValType::I32));
        self.exports.export(name, ExportKind::Func, IMPORTED + index);
        let mut function = Function::new(locals.iter().map(|&local| (1, local)));
        let mut code = function.instructions();
        write(&mut code);
        code.end();
        self.code.function(&function);
    }

    fn finish(self) -> Vec<u8> {
        let mut globals = GlobalSection::new();
        let number = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        for _ in [NOW, WORDS, USED, DYING] {
            globals.global(number, &ConstExpr::i64_const(0));
        }
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&globals);
        module.section(&self.exports).section(&self.code);
        module.finish()
    }
}
