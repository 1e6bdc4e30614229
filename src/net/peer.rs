use crate::core::NodeId;
use std::fmt;

/// Whom a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Negative for a bootstrap server.
    pub(super) node: NodeId,
    host: String,
    port: u16,
}

impl Peer {
    pub(super) fn new(node: NodeId, host: &str, port: u16) -> Peer {
        // `[::1]` is how an address stands before a port, not what is looked up.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Peer { node, host: host.to_owned(), port }
    }

    /// What to look up.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// An error before there is a connection. The address that a broker advertises is a setting of the broker, and
    /// often the wrong one: the words say whose it is.
    pub(super) fn unreachable(&self, cause: &str) -> String {
        if self.is_bootstrap() {
            format!("{self} cannot be reached: {cause}")
        } else {
            format!("broker {} advertises {}, which cannot be reached: {cause}", self.node.0, self.host_port())
        }
    }

    fn is_bootstrap(&self) -> bool {
        self.node.0 < 0
    }

    fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_bootstrap() {
            write!(f, "bootstrap server {}", self.host_port())
        } else {
            write!(f, "broker {} ({})", self.node.0, self.host_port())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_node_and_what_it_advertises() {
        let broker = Peer::new(NodeId(1), "kafka-internal", 9092);
        assert_eq!(broker.unreachable("why"), "broker 1 advertises kafka-internal:9092, which cannot be reached: why");
        assert_eq!(broker.to_string(), "broker 1 (kafka-internal:9092)");
        let bootstrap = Peer::new(NodeId(-1), "[::1]", 9092);
        assert_eq!(bootstrap.address(), ("::1", 9092));
        assert_eq!(bootstrap.unreachable("why"), "bootstrap server [::1]:9092 cannot be reached: why");
    }
}
