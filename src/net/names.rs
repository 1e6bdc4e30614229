//! From names to addresses, and back for `client.dns.lookup`.

use super::peer::Peer;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What knows the names of hosts. Its functions may take seconds.
pub trait Names: Debug + Send + Sync {
    /// The addresses of a name, the best first.
    ///
    /// # Errors
    /// It is not known, or nobody could be asked.
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// The name of an address.
    ///
    /// # Errors
    /// It has none, or nobody could be asked.
    fn name(&self, address: IpAddr) -> io::Result<String>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = dns_lookup::lookup_host(name).map_err(io::Error::from)?;
        Ok(addresses.collect())
    }

    fn name(&self, address: IpAddr) -> io::Result<String> {
        dns_lookup::lookup_addr(&address).map_err(io::Error::from)
    }
}

/// Where a peer may be reached, asked for anew each time.
pub(super) async fn resolve(peer: &Peer, names: &Arc<dyn Names>) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = peer.address();
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (names, host) = (Arc::clone(names), host.to_owned());
    let looked_up = tokio::task::spawn_blocking(move || names.addresses(&host)).await;
    let addresses = looked_up.map_err(io::Error::other)??;
    Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// `resolve_canonical_bootstrap_servers_only`: each address of each bootstrap server, by its canonical name (KIP-235).
/// That is what certificates and Kerberos principals are made out to where an alias stands for a whole cluster. An
/// address without a name stands for itself, as in Java; a server without an address is left out, with a warning.
///
/// # Errors
/// No server has an address.
pub fn canonical_servers(servers: &[(String, u16)], names: &dyn Names) -> io::Result<Vec<(String, u16)>> {
    let mut canonical: Vec<(String, u16)> = Vec::new();
    let mut last = None;
    for (host, port) in servers {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => names.addresses(host),
        };
        match addresses {
            Ok(addresses) => {
                for address in addresses {
                    let server = (names.name(address).unwrap_or_else(|_| address.to_string()), *port);
                    if !canonical.contains(&server) {
                        canonical.push(server);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(target: super::LOG, "bootstrap server {host}:{port} is left out: {error}");
                last = Some(format!("{host}: {error}"));
            }
        }
    }
    if canonical.is_empty() {
        let cause = last.unwrap_or_else(|| "none is given".to_owned());
        return Err(io::Error::other(format!("bootstrap.servers: no server has an address ({cause})")));
    }
    Ok(canonical)
}

#[cfg(test)]
#[path = "tests/names.rs"]
mod tests;
