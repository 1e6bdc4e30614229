//! What goes in: records.

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

/// A record to send. It borrows: `send` copies it once, into the batch that is being gathered.
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
}

impl<'a> Record<'a> {
    /// A record with null key and null value.
    pub fn to(topic: &'a str) -> Record<'a> {
        Record { topic, partition: None, timestamp: None, key: None, value: None, headers: &[] }
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
