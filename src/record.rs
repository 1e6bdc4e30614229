//! What goes in: records.

use bytes::Bytes;

/// A header of a record (KIP-82). Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// A header with a value.
    pub fn new(name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Header<'a> {
        Header { name, value: Some(value.as_ref()) }
    }
}

/// A record to send. It borrows: `send` copies it once, into the batch that is being gathered; but see
/// [`Record::shared_value`].
///
/// ```
/// use pointsman::Record;
/// let record = Record::to("orders").key("bj-17").value(r#"{"sum": 12}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Topic.
    pub topic: &'a str,
    /// `None` leaves the choice to the partitioner.
    pub partition: Option<i32>,
    /// Create time in milliseconds since the Unix epoch; `None` means when `send` was called.
    pub timestamp: Option<i64>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order.
    pub headers: &'a [Header<'a>],
    /// What the value lies in, where it may be held instead of being copied ([`Record::shared_value`]); if it lies elsewhere, it
    /// is copied.
    pub value_buffer: Option<&'a Bytes>,
}

impl<'a> Record<'a> {
    /// A record with null key and null value.
    pub fn to(topic: &'a str) -> Record<'a> {
        Record { topic, partition: None, timestamp: None, key: None, value: None, headers: &[], value_buffer: None }
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.key = Some(key.as_ref());
        self
    }

    /// With a value.
    #[must_use]
    pub fn value(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.value = Some(value.as_ref());
        self
    }

    /// With a value that may be held until the record is done, and its bytes are written, instead of being copied. That is
    /// done with one that has a batch for itself: of 4 KiB or more, by which a batch is full (`batch.size`), neither compressed
    /// nor handed to a plugin, and that need not wait before it is accepted. It counts for `buffer.memory` all the same; of a
    /// slice, what it is a slice of stays in memory, too, and does not count.
    ///
    /// ```
    /// use pointsman::Record;
    /// let image = bytes::Bytes::from(vec![0; 500_000]);
    /// let record = Record::to("images").key("17").shared_value(&image);
    /// ```
    #[must_use]
    pub fn shared_value(mut self, value: &'a Bytes) -> Record<'a> {
        self.value = Some(value);
        self.value_buffer = Some(value);
        self
    }

    /// To a partition of the caller's choice.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Record<'a> {
        self.partition = Some(partition);
        self
    }

    /// With a create time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Record<'a> {
        self.timestamp = Some(timestamp);
        self
    }

    /// With headers.
    #[must_use]
    pub fn headers(mut self, headers: &'a [Header<'a>]) -> Record<'a> {
        self.headers = headers;
        self
    }
}

/// Kafka's rule for topic names.
///
/// # Errors
/// How the name breaks it, in words.
pub(crate) fn valid_topic(name: &str) -> Result<(), String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() || name == "." || name == ".." {
        return Err("not a topic name".to_owned());
    }
    if name.len() > 249 {
        return Err(format!("a topic name has at most 249 letters, this one {}", name.len()));
    }
    match name.chars().find(|letter| !legal(*letter)) {
        Some(letter) => Err(format!("{letter:?} cannot be in a topic name (letters, digits, '.', '_' and '-' can)")),
        None => Ok(()),
    }
}
