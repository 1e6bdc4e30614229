//! A real Kafka for tests: a cluster per test or per process, faults on request, and Java's clients as the judge.
//!
//! Needs Java 17 and Maven; `tests/kafka/cluster` and `tests/kafka/tool` are usable by hand as well.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// One to three brokers with a home and ports of their own. Stopped when dropped, and when the process ends, however it does.
pub(crate) struct Cluster {
    home: PathBuf,
    bootstrap: String,
    environment: Vec<(String, String)>,
    /// One Java process answers all questions: starting one takes a second.
    judge: Mutex<Option<Judge>>,
}

/// How a cluster is started when the number of brokers is not all there is to say.
pub(crate) struct Setup<'a> {
    pub(crate) brokers: u32,
    pub(crate) auto_create: bool,
    /// Kafka's version; `None` is the one in the pom.
    pub(crate) version: Option<&'a str>,
    /// More broker properties, `key=value`; `{+N}` in one is the port N above the first broker's, N from 3 to 9.
    pub(crate) properties: &'a [&'a str],
    /// Variables for the brokers' processes.
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup { brokers: 1, auto_create: false, version: None, properties: &[], environment: &[] }
    }
}

impl Cluster {
    /// Starts `brokers` brokers that create no topic by themselves; returns when all answer.
    pub(crate) fn start(brokers: u32) -> Cluster {
        Cluster::start_with(Setup { brokers, ..Setup::default() })
    }

    pub(crate) fn start_with(setup: Setup<'_>) -> Cluster {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kafka");
        if number == 0 {
            sweep(&root);
        }
        let home = root.join(format!("test-{}-{number}", std::process::id()));
        let mut arguments = vec!["start".to_owned(), "--brokers".to_owned(), setup.brokers.to_string()];
        let base = free_ports();
        arguments.extend(["--port".to_owned(), base.to_string()]);
        arguments.extend(["--while".to_owned(), std::process::id().to_string()]);
        if setup.auto_create {
            arguments.push("--auto-create".to_owned());
        }
        if let Some(version) = setup.version {
            arguments.extend(["--version".to_owned(), version.to_owned()]);
        }
        for property in setup.properties {
            let fill = |text: String, at: u32| text.replace(&format!("{{+{at}}}"), &(base + at).to_string());
            arguments.extend(["--set".to_owned(), (0..=10).fold((*property).to_owned(), fill)]);
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = setup.environment.iter().map(own).collect();
        let mut cluster = Cluster { home, bootstrap: String::new(), environment, judge: Mutex::new(None) };
        cluster.bootstrap = cluster.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).trim().to_owned();
        cluster
    }

    /// The process's one cluster of a single broker, for tests that break nothing. It ends with the process.
    pub(crate) fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Cluster::start(1))
    }

    /// `host:port,…`, as `bootstrap.servers` takes it.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// kill -9 of broker `n`, from 1.
    pub(crate) fn kill(&self, n: u32) {
        self.run(&["kill", &n.to_string()]);
    }

    /// Broker `n` again, on its data; waits until it answers.
    pub(crate) fn restart(&self, n: u32) {
        self.run(&["restart", &n.to_string()]);
    }

    /// Broker `n` answers nothing any more; its connections stay open.
    pub(crate) fn pause(&self, n: u32) {
        self.run(&["pause", &n.to_string()]);
    }

    pub(crate) fn resume(&self, n: u32) {
        self.run(&["resume", &n.to_string()]);
    }

    /// Waits until every replica of every topic is in sync: due between two faults.
    pub(crate) fn wait_isr(&self) {
        self.run(&["wait-isr", "120"]);
    }

    /// Asks `tests/kafka/tool`; its failure fails the test.
    pub(crate) fn tool(&self, arguments: &[&str]) -> String {
        match self.try_tool(arguments) {
            Ok(answer) => answer,
            Err(error) => panic!("tool {}: {error}", arguments.join(" ")),
        }
    }

    /// Asks `tests/kafka/tool`. An error carries what was printed, then what was wrong.
    pub(crate) fn try_tool(&self, arguments: &[&str]) -> Result<String, String> {
        let mut judge = self.judge.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        judge.get_or_insert_with(|| Judge::start(&self.bootstrap)).ask(arguments)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(script("cluster"))
            .args(arguments)
            .env("POINTSMAN_KAFKA_HOME", &self.home)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("tests/kafka/cluster runs");
        assert!(
            output.status.success(),
            "cluster {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        String::from_utf8(output.stdout).expect("the cluster script prints text")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.judge.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take());
        let stopped = Command::new(script("cluster"))
            .args(["stop", "--now"])
            .env("POINTSMAN_KAFKA_HOME", &self.home)
            .stdout(Stdio::null())
            .status();
        // What a failed test leaves behind is evidence.
        if std::thread::panicking() {
            eprintln!("the brokers' logs and data are in {}", self.home.display());
        } else if stopped.is_ok_and(|status| status.success()) {
            let _ = std::fs::remove_dir_all(&self.home);
        }
    }
}

/// Asks an oracle of `tests/kafka/tool` that needs no broker, with `stdin` as its input.
pub(crate) fn oracle(arguments: &[&str], stdin: &str) -> Result<String, String> {
    let mut child = Command::new(script("tool"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/kafka/tool runs");
    let mut pipe = child.stdin.take().expect("its stdin is a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // It may end before it has read everything; then it says why.
            let _ = pipe.write_all(stdin.as_bytes());
        });
        child.wait_with_output().expect("the tool ends")
    });
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("the tool prints text"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// What `tool digest` computes, over what a test has sent: to be equal, nothing may be lost, doubled or changed.
#[derive(Default)]
pub(crate) struct Digest {
    sum: u64,
}

impl Digest {
    /// Adds one record, as `digest --by multiset` counts it.
    pub(crate) fn add(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.sum = self.sum.wrapping_add(mix(fnv(fnv(FNV_START, key), value)));
    }

    /// Adds all records of one key in their order, as `digest --by key` counts them.
    pub(crate) fn add_key<'a>(&mut self, key: &[u8], values: impl IntoIterator<Item = Option<&'a [u8]>>) {
        let hash = values.into_iter().fold(FNV_START, |hash, value| fnv(fnv(hash, Some(key)), value));
        self.sum = self.sum.wrapping_add(mix(hash));
    }

    /// As the tool prints it.
    pub(crate) fn hex(&self) -> String {
        format!("{:016x}", self.sum)
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, bytes: Option<&[u8]>) -> u64 {
    let length = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).expect("a record is below 2 GiB"));
    length
        .to_be_bytes()
        .iter()
        .chain(bytes.unwrap_or_default())
        .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// `tool serve`: questions by line, each answer closed by a line that begins with a zero byte.
struct Judge {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    fn start(bootstrap: &str) -> Judge {
        let mut process = Command::new(script("tool"))
            .args(["--bootstrap", bootstrap, "serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/kafka/tool runs");
        let questions = process.stdin.take().expect("its stdin is a pipe");
        let answers = BufReader::new(process.stdout.take().expect("its stdout is a pipe"));
        Judge { process, questions, answers }
    }

    fn ask(&mut self, arguments: &[&str]) -> Result<String, String> {
        writeln!(self.questions, "{}", arguments.join("\t")).map_err(|error| format!("the tool is gone: {error}"))?;
        let mut answer = String::new();
        loop {
            let start = answer.len();
            let read = self.answers.read_line(&mut answer).map_err(|error| error.to_string())?;
            if read == 0 {
                return Err("the tool ended without an answer".to_owned());
            }
            if answer.as_bytes()[start] == 0 {
                let verdict = answer.split_off(start);
                return match verdict[1..].trim_end() {
                    "ok" => Ok(answer),
                    error => Err(answer + error.strip_prefix("error ").unwrap_or(error)),
                };
            }
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // Asked at rest it has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka").join(name)
}

/// A folder for what a cluster's users need. One that this process does not remove, the next run does.
pub(crate) fn folder() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kafka");
    std::fs::create_dir_all(&root).unwrap();
    tempfile::Builder::new().prefix(&format!("test-{}-", std::process::id())).tempdir_in(root).unwrap()
}

/// Removes what earlier processes left in `root`: a failed test's evidence is kept until the next run.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix("test-")?.split('-').next()) else {
            continue;
        };
        // The guard is there for as long as brokers may run.
        let over = !Path::new("/proc").join(process).exists() && !entry.path().join("guard").exists();
        if over && Path::new("/proc/self").exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The first of twenty ports that are free now and below the range that systems give out by themselves.
pub(crate) fn free_ports() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes begin at different places, so that two of them seldom look at the same ports.
    let begin = std::process::id() % 500;
    loop {
        let tried = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(tried < 500, "no twenty free ports in a row");
        let base = 20_000 + (begin + tried) % 500 * 20;
        if (base..base + 20).all(|port| TcpListener::bind(("127.0.0.1", port as u16)).is_ok()) {
            return base;
        }
    }
}
