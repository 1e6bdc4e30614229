//! The command as a user meets it: what it says and the status it ends with.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run said, and its exit status.
struct Ran {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

fn pointsman(arguments: &[&str], input: &str) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_pointsman")).args(arguments), input)
}

fn run(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .env_remove("POINTSMAN_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever refuses the command line does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { stdout: text(stdout), stderr: text(stderr), code: status.code() }
}

impl Ran {
    /// It ended so, and said all of that on stderr.
    #[track_caller]
    fn fails(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for part in said {
            assert!(self.stderr.contains(part), "{part:?} is not in:\n{}", self.stderr);
        }
        assert_eq!(self.stdout, "");
    }

    #[track_caller]
    fn shows(&self, shown: &[&str]) {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        for part in shown {
            assert!(self.stdout.contains(part), "{part:?} is not in:\n{}", self.stdout);
        }
    }
}

fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// An address where no one listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn help_has_examples_and_the_exit_status() {
    pointsman(&["--help"], "").shows(&["produce", "config", "topic", "plugin", "Examples:"]);
    pointsman(&["produce", "--help"], "").shows(&["--create-topics", "jsonl", "Examples:", "Exit status:"]);
    for command in [
        &["config", "check"][..],
        &["config", "list"],
        &["topic", "create"],
        &["topic", "describe"],
        &["explain"],
        &["perf"],
        &["plugin", "inspect"],
    ] {
        pointsman(&[command, &["--help"]].concat(), "").shows(&["Example", "Usage: pointsman"]);
    }
    pointsman(&["--version"], "").shows(&[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn explain_says_where_a_record_goes_and_why() {
    let lines = "{\"key\":\"a\",\"value\":1}\n{\"value\":1}\n{\"partition\":3,\"value\":1}\n";
    let explain = ["explain", "-b", "nowhere:1", "-t", "orders", "--format", "jsonl", "--partitions", "6"];
    pointsman(&explain, lines).shows(&[
        "stdin:1: to orders, key \"a\", value \"1\"",
        "orders-4: Kafka's hash of the key",
        "orders, one of 0-5: no key that counts",
        "orders-3: the record names it",
    ]);
    let ran = pointsman(&[&explain[..], &["-X", "value.serializer=json"]].concat(), "{\"value\":\"bare\"}\nno\n");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("refused; on-error = fail\n  -> not sent: orders: plugin json"), "{}", ran.stdout);
    assert!(ran.stderr.contains("stdin:2: not JSON"), "{}", ran.stderr);
    // The second asks a broker, and there is none.
    pointsman(&["explain", "-b", &nobody(), "-t", "orders"], "x\n").fails(1, &["no broker can be reached"]);
}

#[test]
fn command_lines_that_make_no_sense() {
    let table: [(&[&str], &str); 9] = [
        (&[], "Usage: pointsman"),
        (&["prodcue"], "'produce'"),
        (&["produce", "-t", "t"], "--config <FILE>"),
        (&["produce", "-b", "localhost:9092"], "-t TOPIC is missing"),
        (&["produce", "-b", "localhost:9092", "-t", "t", "-K", ""], "the separator is empty"),
        (&["produce", "-b", "localhost:9092", "-t", "t", "--format", "jsonl", "-K", ":"], "-K is for --format lines"),
        (&["produce", "-b", "localhost:9092", "-t", "t", "--key-field", "a"], "--key-field is for --format json"),
        (&["produce", "-b", "localhost:9092", "-t", "t", "-X", "linger.ms"], "KEY=VALUE is expected"),
        (&["produce", "-b", "localhost:9092", "-t", "t", "--create-topics=0"], "0 is not in 1.."),
    ];
    for (arguments, said) in table {
        pointsman(arguments, "").fails(2, &[said]);
    }
}

#[test]
fn a_configuration_that_is_wrong_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[producer]\nbootstrap.servers = \"localhost:9092\"\nlingr.ms = 5\nacks = \"some\"\n";
    let config = file(folder.path(), "wrong.toml", text);
    for command in [&["produce", "-t", "t"][..], &["config", "check"]] {
        pointsman(&[command, &["-c", &config]].concat(), "").fails(
            2,
            &[
                "the configuration has 2 errors",
                "wrong.toml:3: lingr.ms",
                "did you mean linger.ms?",
                "wrong.toml:4: acks",
            ],
        );
    }
    let right = file(folder.path(), "right.toml", "[producer]\nbootstrap.servers = \"localhost:9092\"\n");
    pointsman(&["config", "check", "-c", &right], "").shows(&["ok: ", "right.toml is valid"]);
    pointsman(&["config", "check", "-c", &right, "-X", "batch.sise=1"], "").fails(2, &["did you mean batch.size?"]);
    pointsman(&["config", "check", "-c", "nowhere.toml"], "").fails(2, &["nowhere.toml: cannot be read"]);
}

#[test]
fn every_key_is_listed() {
    pointsman(&["config", "list"], "").shows(&[
        "bootstrap.servers = required",
        "linger.ms = 5",
        "component = required",
    ]);
    let all = pointsman(&["config", "list", "--all", "sasl"], "");
    all.shows(&["sasl.mechanism = GSSAPI"]);
    assert!(!all.stdout.contains("linger.ms"));
}

/// The library of the system takes a keytab from the environment only: another one is an error, not another login.
#[cfg(feature = "gssapi")]
#[test]
fn a_keytab_that_the_environment_does_not_name_is_an_error_that_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "kerberos.properties",
        "bootstrap.servers=127.0.0.1:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.kerberos.service.name=kafka\n\
         sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true keyTab=\"/etc/a.keytab\" \
         principal=\"alice@TESTS\";\n",
    );
    let check = |keytab: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        let output =
            command.args(["config", "check", "-c", &config]).env("KRB5_CLIENT_KTNAME", keytab).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_right, said) = check("FILE:/etc/b.keytab");
    assert!(!is_right && said.contains("sasl.jaas.config"), "{said}");
    assert!(said.contains("set KRB5_CLIENT_KTNAME=FILE:/etc/a.keytab in the environment of this process"), "{said}");
    let (is_right, said) = check("FILE:/etc/a.keytab");
    assert!(is_right, "{said}");
}

#[test]
fn the_values_of_a_configuration_are_listed_and_secrets_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[producer]\nbootstrap.servers = \"localhost:9092\"\nlinger.ms = 20\n\
                partitioner.class = \"wasm:router\"\n[plugins.router]\ncomponent = \"router.wasm\"\n\
                [plugins.router.settings]\ntoken = \"hush\"\n";
    let config = file(folder.path(), "pointsman.toml", text);
    let listed = pointsman(&["config", "list", "-c", &config, "-X", "acks=1"], "");
    listed.shows(&[
        "linger.ms = 20    # ",
        "pointsman.toml:3",
        "acks = 1    # -X",
        "batch.size = 16384\n",
        "[plugins.router]",
        "settings: token (values not shown)",
        "turns idempotence off",
    ]);
    assert!(!listed.stdout.contains("hush"));
    pointsman(&["config", "list", "-b", "localhost:9092", "linger"], "").shows(&["linger.ms = 5\n"]);
    pointsman(&["config", "list", "-X", "linger.ms=1"], "").fails(2, &["-c FILE or -b is missing"]);
}

#[test]
fn a_file_that_is_missing_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let there = file(folder.path(), "there.txt", "a\n");
    let arguments = ["produce", "-b", &nobody(), "-t", "t", &there, "missing.txt"];
    pointsman(&arguments, "").fails(2, &["missing.txt: cannot be read: No such file"]);
    let arguments = ["produce", "-b", &nobody(), "-t", "t", folder.path().to_str().unwrap()];
    pointsman(&arguments, "").fails(2, &["is a directory"]);
}

#[test]
fn no_broker_reachable_names_every_address() {
    let (first, second) = (nobody(), nobody());
    let servers = format!("{first},{second}");
    for command in [&["produce", "-t", "t"][..], &["topic", "describe", "t"], &["topic", "create", "t"]] {
        let ran = pointsman(&[command, &["-b", &servers]].concat(), "a\n");
        ran.fails(1, &["no broker can be reached", &first, &second, "connection refused"]);
    }
}

#[test]
fn a_wasm_file_that_is_no_component() {
    let folder = tempfile::tempdir().unwrap();
    let text = file(folder.path(), "text.wasm", "hello");
    let module = file(folder.path(), "module.wasm", b"\0asm\x01\0\0\0");
    pointsman(&["plugin", "inspect", &text], "").fails(1, &["not a WebAssembly component", "\"hello\""]);
    pointsman(&["plugin", "inspect", &module], "").fails(1, &["a core WebAssembly module", "wasm32-wasip2"]);
    pointsman(&["plugin", "inspect", "missing.wasm"], "").fails(2, &["missing.wasm: cannot be read"]);

    let config = "[producer]\nbootstrap.servers = \"localhost:9092\"\npartitioner.class = \"wasm:text\"\n\
                  [plugins.text]\ncomponent = \"text.wasm\"\n";
    let config = file(folder.path(), "pointsman.toml", config);
    for command in [&["produce", "-t", "t"][..], &["config", "check"]] {
        pointsman(&[command, &["-c", &config]].concat(), "a\n")
            .fails(1, &["plugin text", "not a WebAssembly component"]);
    }
}

#[path = "cli/build.rs"]
mod build;

#[cfg(feature = "embedded-broker")]
#[path = "cli/broker.rs"]
mod broker;

#[cfg(feature = "embedded-broker")]
#[path = "cli/plugins.rs"]
mod plugins;

#[test]
fn chains_of_topics_are_checked_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[producer]\nbootstrap.servers = \"127.0.0.1:1\"\n[topics.\"orders.*\"]\nvalue.serializer = \"json\"\n";
    let good = file(folder.path(), "good.toml", text);
    pointsman(&["config", "check", "-c", &good], "").shows(&["is valid"]);
    let listed = [r#"[topics."orders.*"]"#, "  value.serializer = json    # ", "good.toml:4"];
    pointsman(&["config", "list", "-c", &good], "").shows(&listed);
    pointsman(&["config", "list", "serializer"], "").shows(&[r#"[topics."NAME"]"#, "key.serializer, value.serializer"]);
    let bad = file(folder.path(), "bad.toml", text.replace("value.serializer", "value.serialiser"));
    let said = ["bad.toml:4: topics.orders.*.value.serialiser", "did you mean value.serializer?"];
    pointsman(&["config", "check", "-c", &bad], "").fails(2, &said);
    // The chain that a record's topic has is the one that is explained.
    let explain = |topic| {
        let arguments = ["explain", "-c", &good, "-t", topic, "--partitions", "3"];
        pointsman(&arguments, "{\n")
    };
    assert!(explain("orders.eu").stdout.contains("json"), "{}", explain("orders.eu").stdout);
    let plain = explain("payments");
    assert!(plain.code == Some(0) && !plain.stdout.contains("json"), "{}{}", plain.stdout, plain.stderr);
}
