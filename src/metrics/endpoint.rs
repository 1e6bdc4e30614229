//! `GET /metrics` for Prometheus.
//!
//! The HTTP is `tiny_http`'s: small (four crates without features), blocking, and used for this purpose by many. It
//! brings a few threads of its own, so that a slow reader stops none but itself, and it runs only where
//! `metrics.prometheus.listen` asks for it. Nothing of the producer waits for it.

use super::Source;
use super::prometheus::CONTENT_TYPE;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tiny_http::{Header, Method, Request, Response, Server};

/// A socket that listens and is not served yet.
pub(crate) struct Listener {
    server: Arc<Server>,
    address: SocketAddr,
}

/// The endpoint at work. Dropping it ends it.
pub(crate) struct Endpoint {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Binds to `host:port`; port 0 is any that is free.
    ///
    /// # Errors
    /// The address is taken, is not ours, or is none.
    pub(crate) fn bind(address: &str) -> io::Result<Listener> {
        let listener = std::net::TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
        Ok(Listener { server: Arc::new(server), address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from now on.
    ///
    /// # Errors
    /// The operating system has no thread for us.
    pub(crate) fn serve(self, source: Source) -> io::Result<Endpoint> {
        let server = self.server;
        let of_thread = Arc::clone(&server);
        let thread = std::thread::Builder::new().name("pointsman-metrics".to_owned()).spawn(move || {
            // Ends when the server is unblocked.
            for request in of_thread.incoming_requests() {
                answer(request, &source);
            }
        })?;
        Ok(Endpoint { server, thread: Some(thread) })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic was told by the panic hook.
            let _ = thread.join();
        }
    }
}

fn answer(request: Request, source: &Source) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (status, content_type, body) = match (request.method(), path) {
        (Method::Get | Method::Head, "/metrics") => (200, CONTENT_TYPE, source().to_prometheus()),
        (_, "/metrics") => (405, TEXT, "GET it\n".to_owned()),
        _ => (404, TEXT, "metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    if let Ok(header) = Header::from_bytes("Content-Type", content_type) {
        response.add_header(header);
    }
    if let Err(error) = request.respond(response) {
        tracing::debug!(target: "pointsman::metrics", "an answer was not taken: {error}");
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
