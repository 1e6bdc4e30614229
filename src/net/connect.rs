use super::config::NetConfig;
use super::handshake::handshake;
use super::names::resolve;
use super::peer::Peer;
use crate::protocol::messages::ApiVersions;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// A connection on which requests may be sent. The name is resolved each time, and every address it has is tried in
/// turn: the socket and the first exchange on it, each address within `limit`. The error names them all.
pub(super) async fn connect(
    peer: &Peer,
    config: &NetConfig,
    limit: Duration,
) -> Result<(TcpStream, ApiVersions), String> {
    let addresses = match timeout(limit, resolve(peer, &config.names)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(peer.unreachable(&lookup_words(&error))),
        Err(_) => return Err(peer.unreachable(&format!("its name was not resolved within {}", millis(limit)))),
    };
    let mut causes: Vec<String> = Vec::new();
    let mut tried: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if tried.contains(&address) {
            continue;
        }
        tried.push(address);
        let cause = match timeout(limit, connect_to(address, config)).await {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(cause)) => cause,
            Err(_) => format!("no answer within {}", millis(limit)),
        };
        causes.push(format!("{address}: {cause}"));
    }
    if causes.is_empty() {
        causes.push("its name has no address".to_owned());
    }
    Err(peer.unreachable(&causes.join("; ")))
}

async fn connect_to(address: SocketAddr, config: &NetConfig) -> Result<(TcpStream, ApiVersions), String> {
    let mut stream = open(address, config).await.map_err(|error| io_words(&error))?;
    let versions = handshake(&mut stream, &config.client_id).await?;
    Ok((stream, versions))
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
