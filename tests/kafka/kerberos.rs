//! A real Kerberos for tests: MIT's KDC on loopback, with a realm of its own in a folder of its own.
//!
//! Needs krb5-kdc, krb5-admin-server and krb5-user; the system's own Kerberos is neither asked nor changed.

use crate::harness;
use std::fs;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const REALM: &str = "TESTS";

/// A realm, and its KDC while this is there.
pub(crate) struct Kdc {
    folder: tempfile::TempDir,
    port: u16,
    _served: Served,
}

impl Kdc {
    pub(crate) fn start() -> Kdc {
        let folder = harness::folder();
        let port = free_port();
        write_configs(&folder, port);
        let database = run(&folder, port, "kdb5_util", &["create", "-s", "-r", REALM, "-P", "hush-hush-master"], "");
        assert!(database.contains(REALM), "{database}");
        let served = serve(&folder, port);
        Kdc { folder, port, _served: served }
    }

    /// The same realm at one more port, until that is dropped.
    pub(crate) fn serve_at(&self, port: u16) -> Served {
        serve(&self.folder, port)
    }

    /// A `krb5.conf` by which the KDC is at `port`, whoever is there.
    pub(crate) fn config_at(&self, port: u16) -> String {
        write_configs(&self.folder, port);
        text(self.folder.path().join(format!("krb5-{port}.conf")))
    }

    /// The `krb5.conf` of this realm.
    pub(crate) fn config(&self) -> String {
        text(self.folder.path().join(format!("krb5-{}.conf", self.port)))
    }

    /// Where nothing is yet.
    pub(crate) fn path(&self, name: &str) -> String {
        text(self.folder.path().join(name))
    }

    /// Asks the administration, as in `addprinc -pw … alice`.
    pub(crate) fn admin(&self, query: &str) {
        let said = run(&self.folder, self.port, "kadmin.local", &["-q", query], "");
        // Its status is 0 whatever became of the query.
        let done = ["created.", "added to keytab", "modified.", "changed."].iter().any(|word| said.contains(word));
        assert!(done, "kadmin.local: {said}");
    }

    /// The keys of a principal as they are, in a new file.
    pub(crate) fn keytab(&self, principal: &str, name: &str) -> String {
        let path = self.path(name);
        self.admin(&format!("ktadd -norandkey -k {path} {principal}"));
        path
    }

    /// How many tickets a principal was given by its key.
    pub(crate) fn tickets_of(&self, name: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("kdc.log")).unwrap();
        let given = format!("{name}@{REALM} for krbtgt/");
        log.lines().filter(|line| line.contains("AS_REQ") && line.contains("ISSUE") && line.contains(&given)).count()
    }

    /// A new ticket cache with a ticket that is good for so long.
    pub(crate) fn ticket(&self, principal: &str, password: &str, lifetime: &str, name: &str) -> String {
        let cache = format!("FILE:{}", self.path(name));
        run(&self.folder, self.port, "kinit", &["-c", &cache, "-l", lifetime, principal], &format!("{password}\n"));
        cache
    }
}

/// A running KDC. It ends when this is dropped, and when the process ends, however it does.
pub(crate) struct Served {
    process: Child,
    /// Its end is what the KDC waits for.
    held: Option<ChildStdin>,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = self.process.wait();
    }
}

/// A port that is free now, for TCP and UDP, and that nothing else is given while its KDC is away.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = harness::free_ports() as u16;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn write_configs(folder: &tempfile::TempDir, port: u16) {
    let here = folder.path().display();
    // No name is looked up: the tests' hosts are what they are called.
    let client = format!(
        "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
         dns_canonicalize_hostname = false\nrdns = false\n[realms]\n{REALM} = {{\n kdc = 127.0.0.1:{port}\n}}\n\
         [domain_realm]\nlocalhost = {REALM}\n"
    );
    let server = format!(
        "[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n{REALM} = {{\n \
         database_name = {here}/principals\n key_stash_file = {here}/stash\n acl_file = {here}/acl\n \
         default_principal_flags = +preauth\n}}\n\
         [logging]\nkdc = FILE:{here}/kdc.log\nadmin_server = FILE:{here}/admin.log\n"
    );
    fs::write(folder.path().join(format!("krb5-{port}.conf")), client).unwrap();
    fs::write(folder.path().join(format!("kdc-{port}.conf")), server).unwrap();
}

fn command(folder: &tempfile::TempDir, port: u16, name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command
        // Where Debian has them, and not every user looks.
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("KRB5_CONFIG", folder.path().join(format!("krb5-{port}.conf")))
        .env("KRB5_KDC_PROFILE", folder.path().join(format!("kdc-{port}.conf")));
    command
}

/// What it printed; its failure fails the test.
fn run(folder: &tempfile::TempDir, port: u16, name: &str, arguments: &[&str], stdin: &str) -> String {
    let mut child = command(folder, port, name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error} (apt-get install -y krb5-kdc krb5-admin-server krb5-user)"));
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: {said}");
    said
}

fn serve(folder: &tempfile::TempDir, port: u16) -> Served {
    let mut process = command(folder, port, "sh")
        .args(["-c", "krb5kdc -n & cat; kill $!; wait $!"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let served = Served { held: process.stdin.take(), process };
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = folder.path().join("kdc.log");
        assert!(Instant::now() < deadline, "krb5kdc: {}", fs::read_to_string(log).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(50));
    }
    served
}

fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}
