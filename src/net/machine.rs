use crate::core::time::Instant;
use crate::core::{Action, ConnectionId, Core, Sealed, Transmit, Unsealed};
use crate::protocol::messages::{ApiVersions, Response};

/// The core as the driver uses it. There is one; that it is a trait lets the driver's tests play it.
pub trait Machine: Send + 'static {
    /// A batch before it is sealed.
    type Unsealed: Send + 'static;
    /// And after.
    type Sealed: Send + 'static;

    /// See [`Unsealed::seal`]; called without the lock.
    fn seal(unsealed: Self::Unsealed) -> Self::Sealed;
    /// See [`Unsealed::is_costly`].
    fn is_costly(unsealed: &Self::Unsealed) -> bool;
    /// See [`Core::handle_connected`].
    fn handle_connected(&mut self, now: Instant, connection: ConnectionId, versions: ApiVersions);
    /// See [`Core::handle_disconnected`].
    fn handle_disconnected(&mut self, now: Instant, connection: ConnectionId, cause: String);
    /// See [`Core::handle_refused`].
    fn handle_refused(&mut self, now: Instant, connection: ConnectionId, cause: String);
    /// See [`Core::handle_response`].
    fn handle_response(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32, response: Response);
    /// See [`Core::handle_written`].
    fn handle_written(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32);
    /// See [`Core::handle_timeout`].
    fn handle_timeout(&mut self, now: Instant);
    /// See [`Core::handle_sealed`].
    fn handle_sealed(&mut self, now: Instant, sealed: Self::Sealed);
    /// See [`Core::poll_action`].
    fn poll_action(&mut self) -> Option<Action>;
    /// See [`Core::poll_seal`].
    fn poll_seal(&mut self, now: Instant) -> Option<Self::Unsealed>;
    /// See [`Core::poll_transmit`].
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit>;
    /// See [`Core::poll_timeout`].
    fn poll_timeout(&mut self) -> Option<Instant>;
}

impl Machine for Core {
    type Unsealed = Unsealed;
    type Sealed = Sealed;

    fn seal(unsealed: Unsealed) -> Sealed {
        unsealed.seal()
    }

    fn is_costly(unsealed: &Unsealed) -> bool {
        unsealed.is_costly()
    }

    fn handle_connected(&mut self, now: Instant, connection: ConnectionId, versions: ApiVersions) {
        self.handle_connected(now, connection, versions);
    }

    fn handle_disconnected(&mut self, now: Instant, connection: ConnectionId, cause: String) {
        self.handle_disconnected(now, connection, cause);
    }

    fn handle_refused(&mut self, now: Instant, connection: ConnectionId, cause: String) {
        self.handle_refused(now, connection, cause);
    }

    fn handle_response(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32, response: Response) {
        self.handle_response(now, connection, correlation_id, response);
    }

    fn handle_written(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32) {
        self.handle_written(now, connection, correlation_id);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn handle_sealed(&mut self, now: Instant, sealed: Sealed) {
        self.handle_sealed(now, sealed);
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.poll_action()
    }

    fn poll_seal(&mut self, now: Instant) -> Option<Unsealed> {
        self.poll_seal(now)
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.poll_transmit(now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.poll_timeout()
    }
}
