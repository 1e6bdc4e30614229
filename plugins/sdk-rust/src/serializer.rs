//! The serializer's role: the trait, and the loop that runs it over a batch.

use crate::bindings::serializer_role as wit;
use crate::bindings::types::{Column, HeaderColumns, Refusal, TopicColumn};
use crate::columns::{self, ColumnCursor, HeaderBuilder};
use crate::host;
use crate::record::{HeaderRows, Headers, Topics};
use crate::settings::Settings;

/// Turns keys or values into the bytes that go to the broker.
pub trait Serializer: Sized + 'static {
    /// Makes the plugin for one side from its settings. The first call of an instance.
    ///
    /// # Errors
    /// In words for whoever wrote the config file. A setting that was not asked for here is an error by itself.
    fn configure(side: Side, settings: &Settings) -> Result<Self, String>;

    /// Which headers `serialize` reads.
    fn wants(&self) -> SerializerWants {
        SerializerWants::nothing()
    }

    /// Appends one key or value to `output`. Where nothing is appended, null stays null and anything else becomes
    /// empty.
    ///
    /// # Errors
    /// Refuses this record, and says why. The plugin's `on-error` in the config decides what follows.
    fn serialize(&mut self, payload: &Payload<'_>, output: &mut Output<'_>) -> Result<(), String>;

    /// The last call, unless the instance failed.
    fn close(&mut self) {}
}

/// The side that an instance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `key.serializer`.
    Key,
    /// `value.serializer`.
    Value,
}

/// What a serializer asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SerializerWants {
    headers: Option<Vec<String>>,
}

impl SerializerWants {
    /// The payloads and their topics, and no headers.
    pub fn nothing() -> SerializerWants {
        SerializerWants::default()
    }

    /// The headers of this name too. Calls add up.
    pub fn header(mut self, name: impl Into<String>) -> SerializerWants {
        match &mut self.headers {
            // An empty list already means all.
            Some(names) if names.is_empty() => {}
            Some(names) => names.push(name.into()),
            None => self.headers = Some(vec![name.into()]),
        }
        self
    }

    /// Every header.
    pub fn all_headers(mut self) -> SerializerWants {
        self.headers = Some(Vec::new());
        self
    }
}

/// A key or value as the application gave it.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    topic: &'a str,
    bytes: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Payload<'a> {
    /// The record's topic.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// The bytes; `None` is null.
    #[inline]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }

    /// The headers that `wants` asked for.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

/// Where a serializer puts its bytes: the end of the batch's column, so that nothing is allocated for a record.
pub struct Output<'a> {
    column: &'a mut Column,
    headers: &'a mut HeaderBuilder,
    start: usize,
    index: usize,
    count: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Untouched,
    Written,
    Null,
}

impl Output<'_> {
    /// Appends bytes.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) {
        self.column.data.extend_from_slice(bytes);
        self.state = State::Written;
    }

    /// What was written so far, to be changed in place.
    pub fn written(&mut self) -> &mut [u8] {
        &mut self.column.data[self.start..]
    }

    /// Makes it null, whatever was written.
    pub fn write_null(&mut self) {
        self.column.data.truncate(self.start);
        self.state = State::Null;
    }

    /// Appends a header to the record; `None` is null.
    pub fn add_header(&mut self, name: &str, value: Option<&[u8]>) {
        self.headers.add(self.index, self.count, name, value);
    }
}

impl std::io::Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Output::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a serializer over batches. What [`export!`](crate::export) and [`testing`](crate::testing) have in common.
#[doc(hidden)]
pub struct SerializerRunner<S> {
    plugin: S,
}

impl<S: Serializer> SerializerRunner<S> {
    #[doc(hidden)]
    pub fn configure(
        side: wit::Side,
        settings: Vec<(String, String)>,
    ) -> Result<(SerializerRunner<S>, wit::Wants), String> {
        let side = match side {
            wit::Side::Key => Side::Key,
            wit::Side::Value => Side::Value,
        };
        let plugin = host::call(|| Settings::configure(settings, |settings| S::configure(side, settings)))?;
        let wants = wit::Wants { headers: plugin.wants().headers };
        Ok((SerializerRunner { plugin }, wants))
    }

    #[doc(hidden)]
    pub fn serialize(
        &mut self,
        topics: TopicColumn,
        payloads: Column,
        headers: Option<HeaderColumns>,
    ) -> Result<wit::Serialized, String> {
        let count = payloads.lengths.len();
        let topics = Topics::new(&topics);
        let mut inputs = ColumnCursor::new(&payloads);
        let mut header_rows = headers.as_ref().map_or(HeaderRows::NONE, HeaderRows::new);
        // Framing adds a few bytes; what is larger grows the column a few times per batch, not per record.
        let room = payloads.data.len() + 16 * count;
        let mut column = Column { lengths: Vec::with_capacity(count), data: Vec::with_capacity(room) };
        let mut added_headers = HeaderBuilder::default();
        let mut refused = Vec::new();
        host::call(|| {
            for index in 0..count {
                let bytes = inputs.next();
                let headers = header_rows.of(index);
                header_rows.pass(index);
                let start = column.data.len();
                let mut output = Output {
                    column: &mut column,
                    headers: &mut added_headers,
                    start,
                    index,
                    count,
                    state: State::Untouched,
                };
                let payload = Payload { topic: topics.name(index), bytes, headers };
                let result = self.plugin.serialize(&payload, &mut output);
                let mut null = match output.state {
                    State::Untouched => bytes.is_none(),
                    State::Written => false,
                    State::Null => true,
                };
                if let Err(reason) = result {
                    refused.push(Refusal { index: index as u32, reason });
                    null = true;
                }
                columns::close_entry(&mut column, start, null);
            }
        });
        Ok(wit::Serialized { payloads: column, added_headers: added_headers.finish(), refused })
    }

    #[doc(hidden)]
    pub fn close(&mut self) {
        host::call(|| self.plugin.close());
    }
}
