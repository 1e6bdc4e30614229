//! Reads record batches (v2) the way a broker does, written from Kafka's format description and not from the producer's
//! encoder: what does not fit is a bug of the producer, never something to be lenient about.

use pointsman::protocol::compression::decompress;
use pointsman::protocol::record_batch::HEADER_LEN;

/// DefaultRecordBatch.TRANSACTIONAL_FLAG_MASK.
const TRANSACTIONAL: i16 = 0x10;

/// One record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// One batch of a Produce request.
#[derive(Clone, Debug)]
pub struct Batch {
    pub producer_id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    /// It is part of a transaction.
    pub transactional: bool,
    pub max_timestamp: i64,
    /// Bytes of the whole batch, as `max.message.bytes` counts them.
    pub size: usize,
    pub records: Vec<StoredRecord>,
}

impl Batch {
    pub fn decode(bytes: &[u8]) -> Result<Batch, String> {
        if bytes.len() < HEADER_LEN {
            return Err(format!("a batch of {} bytes", bytes.len()));
        }
        let int32 = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let int64 = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let int16 = |at: usize| i16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
        let wrong = |what: &str, got: i64| Err(format!("{what} is {got}"));
        if int64(0) != 0 {
            return wrong("the base offset", int64(0));
        }
        if int32(8) as usize != bytes.len() - 12 {
            return Err(format!("the length says {}, {} bytes follow", int32(8), bytes.len() - 12));
        }
        if bytes[16] != 2 {
            return wrong("the magic", i64::from(bytes[16]));
        }
        let crc = crc32c::crc32c(&bytes[21..]);
        if crc != int32(17) as u32 {
            return Err(format!("the checksum says {:08x}, the bytes {crc:08x}", int32(17)));
        }
        let attributes = int16(21);
        if attributes & !(7 | TRANSACTIONAL) != 0 {
            return wrong("the attributes", attributes.into());
        }
        let body = decompress(attributes & 7, &bytes[HEADER_LEN..], 64 << 20).map_err(|error| error.to_string())?;
        let count = int32(57);
        if count < 1 || int32(23) != count - 1 {
            return Err(format!("{count} records, last offset delta {}", int32(23)));
        }
        let (base_timestamp, max_timestamp) = (int64(27), int64(35));
        let mut rest = Reader(&body);
        let mut records = Vec::new();
        for at in 0..count {
            let (delta, record) =
                rest.record(base_timestamp).ok_or_else(|| format!("record {at} is cut or longer than it says"))?;
            if delta != i64::from(at) {
                return Err(format!("record {at} has offset delta {delta}"));
            }
            records.push(record);
        }
        if !rest.0.is_empty() {
            return Err(format!("{} bytes after the last record", rest.0.len()));
        }
        let highest = records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
        if highest != max_timestamp {
            return Err(format!("the max timestamp says {max_timestamp}, the records {highest}"));
        }
        let (producer_id, epoch, base_sequence) = (int64(43), int16(51), int32(53));
        // LogValidator.validateBatch: a producer id comes with an epoch and a sequence.
        if producer_id >= 0 && (epoch < 0 || base_sequence < 0) {
            return Err(format!("producer id {producer_id} with epoch {epoch} and sequence {base_sequence}"));
        }
        let transactional = attributes & TRANSACTIONAL != 0;
        // DefaultRecordBatch.writeHeader: without a producer id nothing can be transactional.
        if transactional && producer_id < 0 {
            return Err("a transactional batch without a producer id".to_owned());
        }
        Ok(Batch { producer_id, epoch, base_sequence, transactional, max_timestamp, size: bytes.len(), records })
    }

    pub fn last_sequence(&self) -> i32 {
        sequence_plus(self.base_sequence, self.records.len() as i32 - 1)
    }
}

/// Sequences wrap from 2^31 − 1 to 0 (DefaultRecordBatch.incrementSequence).
pub fn sequence_plus(sequence: i32, by: i32) -> i32 {
    ((i64::from(sequence) + i64::from(by)) % (1 << 31)) as i32
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn record(&mut self, base_timestamp: i64) -> Option<(i64, StoredRecord)> {
        let len = usize::try_from(self.varint()?).ok()?;
        let mut body = Reader(self.take(len)?);
        let _attributes = body.take(1)?;
        let timestamp = base_timestamp + body.varint()?;
        let delta = body.varint()?;
        let key = body.bytes()?;
        let value = body.bytes()?;
        let mut headers = Vec::new();
        for _ in 0..body.varint()? {
            headers.push((body.bytes()??, body.bytes()?));
        }
        body.0.is_empty().then_some((delta, StoredRecord { timestamp, key, value, headers }))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// The outer option is about the format, the inner one about null.
    fn bytes(&mut self) -> Option<Option<Vec<u8>>> {
        match self.varint()? {
            -1 => Some(None),
            len => Some(Some(self.take(usize::try_from(len).ok()?)?.to_vec())),
        }
    }

    fn varint(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }
}
