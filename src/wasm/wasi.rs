//! WASI 0.2 as far as a plugin needs it. Every language's standard library imports some of it, used or not.
//!
//! Three lists: what works (clocks, random bytes, stdout and stderr into the log), what answers that there is nothing
//! (environment, arguments, stdin, terminals, files), and, by leaving it out, what is refused at load (sockets, http,
//! the rest). Nothing waits: an epoch interrupts a guest, never the host.

use super::output::Stream;
use super::state::State;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};

/// Interfaces that the host knows, without their version. Of the last two kinds every function traps.
pub(super) const INTERFACES: &[(&str, Support)] = &[
    ("wasi:cli/environment", Support::Defined),
    ("wasi:cli/exit", Support::Defined),
    ("wasi:cli/stdin", Support::Defined),
    ("wasi:cli/stdout", Support::Defined),
    ("wasi:cli/stderr", Support::Defined),
    ("wasi:cli/terminal-input", Support::Defined),
    ("wasi:cli/terminal-output", Support::Defined),
    ("wasi:cli/terminal-stdin", Support::Defined),
    ("wasi:cli/terminal-stdout", Support::Defined),
    ("wasi:cli/terminal-stderr", Support::Defined),
    ("wasi:clocks/monotonic-clock", Support::Defined),
    ("wasi:clocks/wall-clock", Support::Defined),
    ("wasi:filesystem/preopens", Support::Defined),
    ("wasi:filesystem/types", Support::Stubbed),
    ("wasi:io/error", Support::Defined),
    ("wasi:io/poll", Support::Defined),
    ("wasi:io/streams", Support::Defined),
    ("wasi:random/insecure", Support::Defined),
    ("wasi:random/insecure-seed", Support::Defined),
    ("wasi:random/random", Support::Defined),
];

/// What the host has of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// Every function.
    Defined,
    /// Whatever the component imports of it is defined when it is loaded, and traps when it is called: without
    /// preopened folders no file is ever reached.
    Stubbed,
}

/// The version that the interfaces are defined under; components with any other 0.2 find them too.
pub(super) const VERSION: &str = "0.2.0";

struct InputStream;
struct OutputStream;
struct IoError;
struct Pollable;
struct TerminalInput;
struct TerminalOutput;
/// Never made.
pub(super) struct Descriptor;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

type Context<'a> = StoreContextMut<'a, State>;
type Streamed<T> = (Result<T, StreamError>,);

/// Defines all of it.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    cli(linker)?;
    terminals(linker)?;
    clocks(linker)?;
    io(linker)?;
    random(linker)?;
    let mut preopens = interface(linker, "wasi:filesystem/preopens")?;
    preopens.func_wrap("get-directories", |_: Context<'_>, (): ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
}

fn interface<'a>(linker: &'a mut Linker<State>, name: &str) -> wasmtime::Result<LinkerInstance<'a, State>> {
    linker.instance(&format!("{name}@{VERSION}"))
}

fn cli(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "wasi:cli/environment")?;
    environment.func_wrap("get-environment", |_: Context<'_>, (): ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_: Context<'_>, (): ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_: Context<'_>, (): ()| Ok((None::<String>,)))?;

    let mut exit = interface(linker, "wasi:cli/exit")?;
    exit.func_wrap("exit", |_: Context<'_>, (status,): (Result<(), ()>,)| exited(if status.is_ok() { 0 } else { 1 }))?;
    exit.func_wrap("exit-with-code", |_: Context<'_>, (status,): (u8,)| exited(status))?;

    let mut stdin = interface(linker, "wasi:cli/stdin")?;
    stdin.func_wrap("get-stdin", |_: Context<'_>, (): ()| Ok((Resource::<InputStream>::new_own(0),)))?;
    let mut stdout = interface(linker, "wasi:cli/stdout")?;
    stdout.func_wrap("get-stdout", |_: Context<'_>, (): ()| Ok((Resource::<OutputStream>::new_own(STDOUT),)))?;
    let mut stderr = interface(linker, "wasi:cli/stderr")?;
    stderr.func_wrap("get-stderr", |_: Context<'_>, (): ()| Ok((Resource::<OutputStream>::new_own(STDERR),)))
}

fn exited(status: u8) -> wasmtime::Result<()> {
    Err(wasmtime::Error::msg(format!("the plugin called exit with status {status}")))
}

fn terminals(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    resource::<TerminalInput>(&mut interface(linker, "wasi:cli/terminal-input")?, "terminal-input")?;
    resource::<TerminalOutput>(&mut interface(linker, "wasi:cli/terminal-output")?, "terminal-output")?;
    interface(linker, "wasi:cli/terminal-stdin")?
        .func_wrap("get-terminal-stdin", |_: Context<'_>, (): ()| Ok((None::<Resource<TerminalInput>>,)))?;
    interface(linker, "wasi:cli/terminal-stdout")?
        .func_wrap("get-terminal-stdout", |_: Context<'_>, (): ()| Ok((None::<Resource<TerminalOutput>>,)))?;
    interface(linker, "wasi:cli/terminal-stderr")?
        .func_wrap("get-terminal-stderr", |_: Context<'_>, (): ()| Ok((None::<Resource<TerminalOutput>>,)))
}

fn clocks(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut monotonic = interface(linker, "wasi:clocks/monotonic-clock")?;
    let start = Instant::now();
    monotonic.func_wrap("now", move |_: Context<'_>, (): ()| {
        Ok((u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),))
    })?;
    monotonic.func_wrap("resolution", |_: Context<'_>, (): ()| Ok((1u64,)))?;
    for subscribe in ["subscribe-instant", "subscribe-duration"] {
        monotonic
            .func_wrap(subscribe, |_: Context<'_>, (_,): (u64,)| Ok((Resource::<Pollable>::new_own(NEVER_READY),)))?;
    }
    let mut wall = interface(linker, "wasi:clocks/wall-clock")?;
    wall.func_wrap("now", |_: Context<'_>, (): ()| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() },))
    })?;
    wall.func_wrap("resolution", |_: Context<'_>, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))
}

fn io(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "wasi:io/error")?;
    resource::<IoError>(&mut error, "error")?;
    error.func_wrap("[method]error.to-debug-string", |_: Context<'_>, (_,): (Resource<IoError>,)| {
        Ok((String::new(),))
    })?;

    let mut poll = interface(linker, "wasi:io/poll")?;
    resource::<Pollable>(&mut poll, "pollable")?;
    poll.func_wrap("[method]pollable.ready", |_: Context<'_>, (pollable,): (Resource<Pollable>,)| {
        Ok((pollable.rep() == READY,))
    })?;
    poll.func_wrap(
        "[method]pollable.block",
        |_: Context<'_>, (pollable,): (Resource<Pollable>,)| {
            if pollable.rep() == READY { Ok(()) } else { wait() }
        },
    )?;
    poll.func_wrap("poll", |_: Context<'_>, (pollables,): (Vec<Resource<Pollable>>,)| {
        let ready: Vec<u32> =
            (0..).zip(&pollables).filter(|(_, pollable)| pollable.rep() == READY).map(|(at, _)| at).collect();
        if ready.is_empty() { wait() } else { Ok((ready,)) }
    })?;

    let mut streams = interface(linker, "wasi:io/streams")?;
    resource::<InputStream>(&mut streams, "input-stream")?;
    resource::<OutputStream>(&mut streams, "output-stream")?;
    input_streams(&mut streams)?;
    output_streams(&mut streams)
}

fn wait<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("a plugin may not wait (wasi:io/poll): every hook must return at once"))
}

fn input_streams(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for read in ["read", "blocking-read"] {
        streams.func_wrap(
            &format!("[method]input-stream.{read}"),
            |_: Context<'_>, (_, _): (Resource<InputStream>, u64)| -> wasmtime::Result<Streamed<Vec<u8>>> {
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    for skip in ["skip", "blocking-skip"] {
        streams.func_wrap(
            &format!("[method]input-stream.{skip}"),
            |_: Context<'_>, (_, _): (Resource<InputStream>, u64)| -> wasmtime::Result<Streamed<u64>> {
                Ok((Err(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |_: Context<'_>, (_,): (Resource<InputStream>,)| {
        Ok((Resource::<Pollable>::new_own(READY),))
    })
}

fn output_streams(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.func_wrap(
        "[method]output-stream.check-write",
        |_: Context<'_>, (_,): (Resource<OutputStream>,)| -> wasmtime::Result<Streamed<u64>> { Ok((Ok(WRITE_MAX),)) },
    )?;
    for write in ["write", "blocking-write-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{write}"),
            |mut context: Context<'_>, (stream, bytes): (Resource<OutputStream>, Vec<u8>)| {
                let stream = if stream.rep() == STDERR { Stream::Stderr } else { Stream::Stdout };
                context.data_mut().output.print(stream, &bytes);
                Ok::<Streamed<()>, _>((Ok(()),))
            },
        )?;
    }
    for write in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{write}"),
            |_: Context<'_>, (_, _): (Resource<OutputStream>, u64)| -> wasmtime::Result<Streamed<()>> { Ok((Ok(()),)) },
        )?;
    }
    for flush in ["flush", "blocking-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{flush}"),
            |_: Context<'_>, (_,): (Resource<OutputStream>,)| -> wasmtime::Result<Streamed<()>> { Ok((Ok(()),)) },
        )?;
    }
    // The only input stream is stdin, and it is closed.
    for splice in ["splice", "blocking-splice"] {
        streams.func_wrap(
            &format!("[method]output-stream.{splice}"),
            |_: Context<'_>, (_, _, _): (Resource<OutputStream>, Resource<InputStream>, u64)| {
                Ok::<Streamed<u64>, _>((Err(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |_: Context<'_>, (_,): (Resource<OutputStream>,)| {
        Ok((Resource::<Pollable>::new_own(READY),))
    })
}

fn random(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, bytes, number) in [
        ("wasi:random/random", "get-random-bytes", "get-random-u64"),
        ("wasi:random/insecure", "get-insecure-random-bytes", "get-insecure-random-u64"),
    ] {
        let mut random = interface(linker, name)?;
        random.func_wrap(bytes, |mut context: Context<'_>, (count,): (u64,)| {
            if count > RANDOM_BYTES_MAX {
                return Err(wasmtime::Error::msg(format!(
                    "{count} random bytes in one call; the host gives at most {RANDOM_BYTES_MAX}"
                )));
            }
            let mut bytes = vec![0; count as usize];
            context.data_mut().random.fill(&mut bytes)?;
            Ok((bytes,))
        })?;
        random.func_wrap(number, |mut context: Context<'_>, (): ()| Ok((context.data_mut().random.number()?,)))?;
    }
    interface(linker, "wasi:random/insecure-seed")?.func_wrap("insecure-seed", |mut context: Context<'_>, (): ()| {
        let random = &mut context.data_mut().random;
        Ok(((random.number()?, random.number()?),))
    })
}

fn resource<R: 'static>(instance: &mut LinkerInstance<'_, State>, name: &str) -> wasmtime::Result<()> {
    instance.resource(name, ResourceType::host::<R>(), |_, _| Ok(()))
}

/// What a handle stands for needs no table: there are two of each kind.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const READY: u32 = 1;
const NEVER_READY: u32 = 2;

/// What `check-write` allows at once. Lines are cut long before.
const WRITE_MAX: u64 = 4096;

const RANDOM_BYTES_MAX: u64 = 64 << 10;
