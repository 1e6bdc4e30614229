//! Stands before a broker and has it speak an older Produce: what the library negotiates is then the real thing, and
//! needs no switch of its own for the tests.

use crate::harness::{Cluster, Setup};
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI16, Ordering};
use std::sync::{Arc, Mutex};

/// A broker that advertises the proxy's address and no other.
pub(crate) struct Capped {
    pub(crate) cluster: Cluster,
    shared: Arc<Shared>,
}

struct Shared {
    broker: String,
    /// The highest Produce that connections learn of from now on.
    cap: AtomicI16,
    /// The versions of the Produce requests that came through.
    seen: Mutex<BTreeSet<i16>>,
}

impl Capped {
    pub(crate) fn start() -> Capped {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let advertised = format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}");
        let cluster = Cluster::start_with(Setup { properties: &[&advertised], auto_create: true, ..Setup::default() });
        let broker = cluster.bootstrap().to_owned();
        let shared = Arc::new(Shared { broker, cap: AtomicI16::new(i16::MAX), seen: Mutex::default() });
        let accepting = Arc::clone(&shared);
        // It ends with the process, as do the threads of its connections.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // No broker, no connection: the client sees it closed.
                if let Ok(broker) = TcpStream::connect(&accepting.broker) {
                    join(&accepting, client, broker);
                }
            }
        });
        Capped { cluster, shared }
    }

    /// Who connects from now on learns of no Produce above `version`.
    pub(crate) fn cap(&self, version: i16) {
        self.shared.cap.store(version, Ordering::SeqCst);
        self.shared.seen.lock().unwrap().clear();
    }

    /// The versions of Produce that were used since [`Capped::cap`].
    pub(crate) fn seen(&self) -> BTreeSet<i16> {
        self.shared.seen.lock().unwrap().clone()
    }
}

const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;

fn join(shared: &Arc<Shared>, client: TcpStream, broker: TcpStream) {
    for stream in [&client, &broker] {
        stream.set_nodelay(true).expect("a socket");
    }
    // ApiVersions requests that wait for their answer, by correlation id; answers come in order.
    let asked = Arc::new(Mutex::new(VecDeque::<(i32, i16)>::new()));
    let twin = |stream: &TcpStream| stream.try_clone().expect("a socket");
    {
        let (shared, asked, from, to) = (Arc::clone(shared), Arc::clone(&asked), twin(&client), twin(&broker));
        pass_on(from, to, move |request| match int16(request, 0) {
            API_VERSIONS => asked.lock().unwrap().push_back((int32(request, 4), int16(request, 2))),
            PRODUCE => _ = shared.seen.lock().unwrap().insert(int16(request, 2)),
            _ => {}
        });
    }
    let cap = shared.cap.load(Ordering::SeqCst);
    pass_on(broker, client, move |answer| {
        let due = asked.lock().unwrap().pop_front_if(|(correlation_id, _)| *correlation_id == int32(answer, 0));
        if let Some((_, version)) = due {
            lower(answer, version, cap);
        }
    });
}

/// Passes frames on until one side closes.
fn pass_on(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&mut [u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut pass = || -> Result<()> {
            let mut frame = vec![0; 4];
            loop {
                frame.truncate(4);
                from.read_exact(&mut frame)?;
                let len = int32(&frame, 0);
                frame.resize(4 + usize::try_from(len).expect("a length"), 0);
                from.read_exact(&mut frame[4..])?;
                look(&mut frame[4..]);
                to.write_all(&frame)?;
            }
        };
        // Either side may close whenever it wants.
        let _ = pass();
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Lowers the highest Produce in an answer to ApiVersions, in place.
fn lower(answer: &mut [u8], version: i16, cap: i16) {
    const NONE: i16 = 0;
    // A refusal is always told in version 0.
    let flexible = version >= 3 && int16(answer, 4) == NONE;
    let (count, first, size) = if flexible {
        assert!(answer[6] < 0x80, "a count of one byte");
        (usize::from(answer[6]) - 1, 7, 7)
    } else {
        (int32(answer, 6) as usize, 10, 6)
    };
    for api in answer[first..].chunks_exact_mut(size).take(count) {
        if int16(api, 0) == PRODUCE {
            let lowered = int16(api, 4).min(cap);
            api[4..6].copy_from_slice(&lowered.to_be_bytes());
        }
    }
}

fn int16(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn int32(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
