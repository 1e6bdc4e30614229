use super::config::NetConfig;
use super::handshake::{NO_ANSWER, handshake};
use super::names::resolve;
use super::peer::Peer;
use super::sasl::Prepared;
use super::stream::Stream;
use super::trouble::Trouble;
use crate::protocol::messages::ApiVersions;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A connection on which requests may be sent.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: Stream,
    /// What the broker speaks.
    pub(super) versions: ApiVersions,
    /// How long the broker lets the login count; `None` is for ever.
    pub(super) login_lasts: Option<Duration>,
    /// Whom it was made to, for the next login.
    pub(super) host: String,
}

/// Connects, under TLS and logged in as configured. The name is resolved each time, and every address it has is tried in
/// turn, within `limit` each: the socket and what is exchanged on it, once what the login needs is there. The error names
/// them all.
pub(super) async fn connect(peer: &Peer, config: &NetConfig, limit: Duration) -> Result<Connected, Trouble> {
    let addresses = match timeout(limit, resolve(peer, &config.names)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(peer.unreachable(&lookup_words(&error)).into()),
        Err(_) => {
            return Err(peer.unreachable(&format!("its name was not resolved within {}", millis(limit))).into());
        }
    };
    let mut causes: Vec<String> = Vec::new();
    let mut tried: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if tried.contains(&address) {
            continue;
        }
        tried.push(address);
        let prepared = match config.security.sasl() {
            None => Prepared::default(),
            Some(sasl) => {
                let prepared = sasl.prepare(peer.address().0, limit).await;
                prepared.map_err(|trouble| trouble.map(|cause| format!("{peer}: {cause}")))?
            }
        };
        let cause = match timeout(limit, connect_to(address, peer, config, prepared)).await {
            Ok(Ok(connected)) => return Ok(connected),
            // It was reached, and another address of it would say the same.
            Ok(Err(Trouble::Refused(cause))) => return Err(Trouble::Refused(format!("{peer}: {cause}"))),
            Ok(Err(Trouble::Failed(cause))) => cause,
            Err(_) => format!("no answer within {}", millis(limit)),
        };
        causes.push(format!("{address}: {cause}"));
    }
    if causes.is_empty() {
        causes.push("its name has no address".to_owned());
    }
    Err(peer.unreachable(&causes.join("; ")).into())
}

async fn connect_to(
    address: SocketAddr,
    peer: &Peer,
    config: &NetConfig,
    prepared: Prepared,
) -> Result<Connected, Trouble> {
    let socket = open(address, config).await.map_err(|error| io_words(&error))?;
    let security = &config.security;
    let mut stream = match security.tls() {
        None => Stream::Plain(socket),
        Some(tls) => Stream::Tls(Box::new(tls.connect(socket, peer.address().0).await?)),
    };
    let versions = handshake(&mut stream, &config.client_id).await.map_err(|trouble| match trouble {
        Trouble::Failed(cause) if cause == NO_ANSWER => {
            let hint = if security.tls().is_some() { "a client certificate (ssl.keystore.*)" } else { "TLS" };
            Trouble::Failed(format!(
                "{cause}: does the port want {hint}, while security.protocol is {}?",
                security.protocol()
            ))
        }
        trouble => trouble,
    })?;
    let login_lasts = match security.sasl() {
        None => None,
        Some(sasl) => sasl.authenticate(&mut stream, &versions, &config.client_id, prepared).await?,
    };
    Ok(Connected { stream, versions, login_lasts, host: peer.address().0.to_owned() })
}

async fn open(address: SocketAddr, config: &NetConfig) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Before it connects: the window that TCP negotiates depends on them.
    if let Some(bytes) = config.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.connect(address).await
}

/// The operating system's words, without its numbers.
pub(super) fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the other side".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to the host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::BrokenPipe => "the other side closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

fn lookup_words(error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    format!("its name cannot be resolved ({words})")
}

fn millis(limit: Duration) -> String {
    format!("{} ms", limit.as_millis())
}

#[cfg(test)]
#[path = "tests/connect.rs"]
mod tests;
