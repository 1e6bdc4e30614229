//! One connection: requests out, answers in, in order.
//!
//! A task of its own, because it waits for its socket in its own time: a slow one stops nobody else. It shares an
//! [`Inbox`] with the driver and an outbox per connection; all of them live on the driver's thread, so that these are
//! plain cells and a wake-up costs no system call. What may be in an outbox is bounded by the core, which has at most
//! `max.in.flight.requests.per.connection` requests out.

use super::clock::Clock;
use super::config::NetConfig;
use super::connect::{Connected, io_words};
use super::frames::FrameBuffer;
use super::sasl;
use super::stream::Stream;
use super::trouble::Trouble;
use super::waker::Waker;
use crate::core::ConnectionId;
use crate::protocol::codec::{self, Frame, IoSlices};
use crate::protocol::messages::{ApiKey, ApiVersions, Response};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{sleep, timeout};

/// What a connection tells the driver.
#[derive(Debug)]
pub(super) enum Inbound {
    /// It is there, and this is what the broker speaks.
    Connected(ApiVersions),
    /// An answer, already decoded, and its length in bytes.
    Response(i32, Response, usize),
    /// A request that has no answer is with the socket.
    Written(i32),
    /// The login was made again, and took so long.
    LoggedInAgain(Duration),
    /// It never came to be, or is no more; in words for the user.
    Lost(Trouble),
}

/// Where connections put what they have for the driver.
pub(super) struct Inbox {
    queue: RefCell<Vec<(ConnectionId, Inbound)>>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Inbox {
        Inbox { queue: RefCell::default(), waker }
    }

    pub(super) fn push(&self, from: ConnectionId, inbound: Inbound) {
        self.queue.borrow_mut().push((from, inbound));
        self.waker.wake();
    }

    /// Exchanges what came for an empty list, whose memory serves again.
    pub(super) fn swap(&self, into: &mut Vec<(ConnectionId, Inbound)>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut *self.queue.borrow_mut(), into);
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    pub(super) correlation_id: i32,
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) expects_response: bool,
}

/// Requests that the driver hands to a connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: RefCell<OutboxState>,
}

#[derive(Debug, Default)]
struct OutboxState {
    queue: VecDeque<Outgoing>,
    waker: Option<std::task::Waker>,
}

impl Outbox {
    pub(super) fn push(&self, outgoing: Outgoing) {
        let mut state = self.state.borrow_mut();
        state.queue.push_back(outgoing);
        // Once is enough: the task takes the whole queue.
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn take_into(&self, into: &mut VecDeque<Outgoing>, cx: &Context<'_>) {
        let mut state = self.state.borrow_mut();
        if into.is_empty() {
            std::mem::swap(into, &mut state.queue);
        } else {
            into.append(&mut state.queue);
        }
        match &state.waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => state.waker = Some(cx.waker().clone()),
        }
    }
}

/// A connection past its handshake.
pub(super) struct Connection<S> {
    id: ConnectionId,
    stream: S,
    inbox: Rc<Inbox>,
    outbox: Rc<Outbox>,
    frames: FrameBuffer,
    /// Not yet wholly written, the first of them perhaps in part.
    writing: VecDeque<Outgoing>,
    written: usize,
    /// Sent and not answered, in order.
    awaited: VecDeque<Awaited>,
    answered: bool,
    config: Arc<NetConfig>,
    renewal: Option<Renewal>,
}

/// A login that ends unless it is made again.
struct Renewal {
    /// After the last login.
    after: Duration,
    versions: ApiVersions,
    host: String,
    /// Whether the broker takes another login on this connection then, or only on a new one.
    in_place: bool,
    clock: Clock,
}

struct Awaited {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

impl Connection<Stream> {
    /// Takes over what [`super::connect::connect`] made.
    pub(super) fn over(
        id: ConnectionId,
        connected: Connected,
        inbox: Rc<Inbox>,
        outbox: Rc<Outbox>,
        config: Arc<NetConfig>,
        clock: Clock,
    ) -> Connection<Stream> {
        let Connected { stream, versions, login_lasts, host } = connected;
        let renewal = login_lasts.map(|lasts| {
            let after = sasl::renewal_after(lasts);
            Renewal { after, versions, host, in_place: true, clock }
        });
        Connection { renewal, ..Connection::new(id, stream, inbox, outbox, config) }
    }
}

/// A broker ignores a second renewal that comes sooner after the first (KIP-368), and takes it for a mistake.
const RENEWALS_APART: Duration = Duration::from_millis(1100);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(
        id: ConnectionId,
        stream: S,
        inbox: Rc<Inbox>,
        outbox: Rc<Outbox>,
        config: Arc<NetConfig>,
    ) -> Connection<S> {
        Connection {
            config,
            renewal: None,
            id,
            stream,
            inbox,
            outbox,
            frames: FrameBuffer::default(),
            writing: VecDeque::new(),
            written: 0,
            awaited: VecDeque::new(),
            answered: false,
        }
    }

    /// Writes and reads until the connection ends; returns why.
    pub(super) async fn run(mut self) -> Trouble {
        loop {
            if let Err(cause) = self.serve().await {
                return Trouble::Failed(cause);
            }
            if let Err(trouble) = self.log_in_again().await {
                return trouble;
            }
        }
    }

    /// Until the login has to be made again and nothing is under way.
    async fn serve(&mut self) -> Result<(), String> {
        let mut due = self.renewal.as_ref().map(|renewal| Box::pin(sleep(renewal.after)));
        std::future::poll_fn(|cx| {
            if due.as_mut().is_some_and(|due| due.as_mut().poll(cx).is_ready()) {
                due = None;
            }
            let ends = due.is_none() && self.renewal.is_some();
            if let Err(cause) = self.poll(cx, ends) {
                return Poll::Ready(Err(cause));
            }
            if ends && self.is_at_rest() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    fn is_at_rest(&self) -> bool {
        self.writing.is_empty() && self.awaited.is_empty() && !self.frames.is_partial()
    }

    /// Requests gather meanwhile: brokers take none between the steps of a login (KIP-368).
    async fn log_in_again(&mut self) -> Result<(), Trouble> {
        let (Some(renewal), Some(sasl)) = (&mut self.renewal, self.config.security.sasl()) else { return Ok(()) };
        if !renewal.in_place {
            return Err(Trouble::Failed("its login ends too soon to be renewed on this connection".to_owned()));
        }
        let limit = self.config.setup_timeout;
        let prepared = sasl.prepare(&renewal.host, limit).await?;
        let began = renewal.clock.now();
        let login = sasl.authenticate(&mut self.stream, &renewal.versions, &self.config.client_id, prepared);
        let lasts = match timeout(limit, login).await {
            Ok(lasts) => lasts?,
            Err(_) => {
                let words = format!("the broker did not answer a second login within {} ms", limit.as_millis());
                return Err(Trouble::Failed(words));
            }
        };
        tracing::debug!(target: "pointsman::net", "logged in again");
        self.inbox.push(self.id, Inbound::LoggedInAgain(renewal.clock.now().saturating_since(began)));
        match lasts {
            Some(lasts) => {
                renewal.in_place = lasts > RENEWALS_APART;
                renewal.after = sasl::renewal_after(lasts);
                if renewal.in_place {
                    renewal.after = renewal.after.max(RENEWALS_APART);
                }
            }
            None => self.renewal = None,
        }
        Ok(())
    }

    /// Goes as far as the socket lets it, in both directions. Writes first: a request must not wait for the answers
    /// to those before it.
    /// `ends` leaves what is new in the outbox.
    fn poll(&mut self, cx: &mut Context<'_>, ends: bool) -> Result<(), String> {
        if !ends {
            self.outbox.take_into(&mut self.writing, cx);
        }
        let written = self.write(cx);
        // A broker that refuses a request says why before it closes: read that even if writing failed.
        self.read(cx)?;
        written
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        while !self.writing.is_empty() {
            let mut slices = IoSlices::new();
            let mut skip = self.written;
            for outgoing in &self.writing {
                outgoing.frame.slices(skip, &mut slices);
                skip = 0;
                if slices.is_full() {
                    break;
                }
            }
            match Pin::new(&mut self.stream).poll_write_vectored(cx, slices.as_slice()) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err("the socket takes no more bytes".to_owned()),
                Poll::Ready(Ok(len)) => self.wrote(len),
                Poll::Ready(Err(error)) => return Err(io_words(&error)),
            }
        }
        // A plain socket has nothing to flush, TLS has.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(io_words(&error)),
            _ => Ok(()),
        }
    }

    fn wrote(&mut self, len: usize) {
        self.written += len;
        while let Some(first) = self.writing.front() {
            if self.written < first.frame.len() {
                break;
            }
            self.written -= first.frame.len();
            let Some(Outgoing { correlation_id, api, version, expects_response, .. }) = self.writing.pop_front() else {
                break;
            };
            if expects_response {
                self.awaited.push_back(Awaited { correlation_id, api, version });
            } else {
                self.inbox.push(self.id, Inbound::Written(correlation_id));
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), String> {
        loop {
            let mut room = ReadBuf::new(self.frames.room());
            match Pin::new(&mut self.stream).poll_read(cx, &mut room) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {
                    let len = room.filled().len();
                    if len == 0 {
                        return Err(self.closed());
                    }
                    self.frames.filled(len);
                    self.answers()?;
                }
                Poll::Ready(Err(error)) => return Err(io_words(&error)),
            }
        }
    }

    fn answers(&mut self) -> Result<(), String> {
        while let Some(frame) = self.frames.next().map_err(|error| error.to_string())? {
            let len = frame.len();
            let found = codec::correlation_id(frame).map_err(|error| format!("an answer cannot be read: {error}"))?;
            let Some(due) = self.awaited.pop_front() else {
                return Err(format!("an answer to request {found} came, while none was due"));
            };
            if found != due.correlation_id {
                return Err(format!(
                    "an answer to request {found} came, while the one to request {} was due",
                    due.correlation_id
                ));
            }
            let response = codec::decode_response(due.api, due.version, frame).map_err(|error| {
                format!("the answer to {:?} version {} cannot be read: {error}", due.api, due.version)
            })?;
            self.answered = true;
            self.inbox.push(self.id, Inbound::Response(found, response, len));
        }
        Ok(())
    }

    fn closed(&self) -> String {
        if self.frames.is_partial() {
            "the broker closed the connection in the middle of an answer".to_owned()
        } else if !(self.answered || self.awaited.is_empty() && self.writing.is_empty()) {
            // It answers ApiVersions to everyone, and hangs up on the next request of who did not log in.
            let protocol = self.config.security.protocol();
            let hint = match self.config.security.sasl() {
                None => format!(": does it want SASL, while security.protocol is {protocol}?"),
                Some(_) => String::new(),
            };
            format!("the broker closed the connection on the first request{hint}")
        } else {
            "the broker closed the connection".to_owned()
        }
    }
}

#[cfg(test)]
#[path = "tests/connection.rs"]
mod tests;
