use super::names::{Names, SystemNames};
use super::security::Secured;
use crate::core::Windows;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the connections, named as Kafka's keys. The default is Java's.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// `client.id`.
    pub client_id: String,
    /// `send.buffer.bytes`; `None` (−1) leaves it to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// `receive.buffer.bytes`; `None` (−1) leaves it to the operating system.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.connection.setup.timeout.ms`, for one address: its socket and the first exchange on it.
    pub setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`: the timeout doubles with each failure up to this.
    pub setup_timeout_max: Duration,
    /// Who knows the addresses of names.
    pub names: Arc<dyn Names>,
    /// `security.protocol` and what belongs to it.
    pub security: Secured,
    /// `metrics.sample.window.ms` and `metrics.num.samples`.
    pub windows: Windows,
}

impl Default for NetConfig {
    fn default() -> NetConfig {
        NetConfig {
            client_id: env!("CARGO_PKG_NAME").to_owned(),
            send_buffer_bytes: Some(128 * 1024),
            receive_buffer_bytes: Some(32 * 1024),
            setup_timeout: Duration::from_secs(10),
            setup_timeout_max: Duration::from_secs(30),
            names: Arc::new(SystemNames),
            security: Secured::default(),
            windows: Windows::default(),
        }
    }
}

impl NetConfig {
    /// The timeout after so many failures in a row.
    pub(super) fn setup_timeout_after(&self, failures: u32) -> Duration {
        let doubled = self.setup_timeout.saturating_mul(1 << failures.min(16));
        doubled.min(self.setup_timeout_max.max(self.setup_timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setup_timeout_doubles_up_to_its_maximum() {
        let config = NetConfig::default();
        let seconds = |failures| config.setup_timeout_after(failures).as_secs();
        assert_eq!([seconds(0), seconds(1), seconds(2), seconds(40)], [10, 20, 30, 30]);
        let config = NetConfig { setup_timeout: Duration::from_secs(60), ..config };
        assert_eq!(config.setup_timeout_after(3).as_secs(), 60, "a maximum below the timeout does not lower it");
    }
}
