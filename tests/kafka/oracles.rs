//! Our bytes before the judges that count: Java's own classes, and librdkafka.

use crate::harness::{Cluster, oracle};
use crate::producers::{PATIENCE, plain};
use crate::reading::Read;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman::core::{murmur2, partition_of_key};
use pointsman::protocol::body::Body;
use pointsman::protocol::record_batch::{self, RecordBody, encode_headers};
use pointsman::{Header, Record};
use std::process::{Command, Stdio};

const INPUTS: usize = 100_000;

#[test]
#[ignore = "broker"]
fn a_keys_hash_is_javas() {
    let mut random = Random(1);
    // Every length up to 100 and then any bytes at all, hardly ever UTF-8.
    let keys: Vec<Vec<u8>> = (0..INPUTS).map(|at| random.bytes(at % 101)).collect();
    let lines: String = keys.iter().map(|key| STANDARD.encode(key) + "\n").collect();
    let answer = oracle(&["murmur2"], &lines).expect("hashes");
    assert_eq!(answer.lines().count(), INPUTS);
    for (key, hash) in keys.iter().zip(answer.lines()) {
        let hash: u32 = hash.parse().expect("a number");
        assert_eq!(murmur2(key) & 0x7fff_ffff, hash, "{key:?}");
        assert_eq!(partition_of_key(key, 7), hash as usize % 7, "{key:?}");
    }
}

#[test]
#[ignore = "broker"]
fn a_batch_is_read_by_java_as_it_was_meant() {
    let mut random = Random(2);
    let mut lines = String::new();
    let mut expected = Vec::new();
    for _ in 0..INPUTS {
        let (header, records) = batch(&mut random);
        let mut body = Vec::new();
        for (at, record) in records.iter().enumerate() {
            let mut headers = Vec::new();
            let pairs = record.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref()));
            encode_headers(&mut headers, record.headers.len(), pairs);
            let encoded = RecordBody { key: record.key.as_deref(), value: record.value.as_deref(), headers: &headers };
            let before = body.len();
            encoded.encode(&mut body, record.timestamp - header.base_timestamp, at as i32);
            assert!(body.len() - before <= encoded.max_len());
        }
        let body = Body::from(body);
        let mut bytes = header.encode(&body, body.crc()).to_vec();
        bytes.extend_from_slice(&body.to_bytes());
        lines += &STANDARD.encode(&bytes);
        lines.push('\n');
        expected.push((header, bytes.len(), records));
    }
    let answer = oracle(&["decode", "--batches"], &lines).expect("batches that pass Java's checks");
    let mut answer = answer.lines();
    for (number, (header, len, records)) in expected.iter().enumerate() {
        let found: serde_json::Value = serde_json::from_str(answer.next().expect("a batch")).expect("JSON");
        let last = header.count - 1;
        let last_sequence = match header.base_sequence {
            record_batch::NO_SEQUENCE => record_batch::NO_SEQUENCE,
            base => ((i64::from(base) + i64::from(last)) & 0x7fff_ffff) as i32,
        };
        let meant = serde_json::json!({"batch": {
            "magic": 2,
            "baseOffset": 0,
            "lastOffset": last,
            "records": header.count,
            "bytes": len,
            "compression": "none",
            "partitionLeaderEpoch": -1,
            "producerId": header.producer_id,
            "producerEpoch": header.producer_epoch,
            "baseSequence": header.base_sequence,
            "lastSequence": last_sequence,
            "maxTimestamp": header.max_timestamp,
            "transactional": header.attributes & 0x10 != 0,
            "control": false,
        }});
        assert_eq!(found, meant, "batch {number}");
        for record in records {
            assert_eq!(Read::from_line(answer.next().expect("a record")), *record, "batch {number}");
        }
    }
    assert_eq!(answer.next(), None);
}

#[test]
#[ignore = "broker"]
fn kcat_reads_what_we_write() {
    let cluster = Cluster::shared();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        kcat_reads(cluster, codec);
    }
}

fn kcat_reads(cluster: &Cluster, codec: &str) {
    const RECORDS: usize = 5000;
    let topic = format!("for-kcat-{codec}");
    cluster.tool(&["create", &topic, "3"]);
    let producer = plain(cluster, &format!("compression.type = {codec:?}"));
    let headers = [Header::new("trace", "a-1"), Header { name: "none", value: None }, Header::new("trace", "again")];
    let mut expected = Vec::new();
    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        let (key, value) = (format!("key-{}", number % 50), format!("value {number}"));
        let mut record = Record::to(&topic).timestamp(1_700_000_000_000 + number as i64);
        let (mut key_text, mut value_text, mut header_text) = ("-1:".to_owned(), "-1:".to_owned(), "");
        if number % 3 > 0 {
            key_text = format!("{}:{key}", key.len());
            record = record.key(&key);
        }
        if number % 5 > 0 {
            value_text = format!("{}:{value}", value.len());
            record = record.value(&value);
        }
        if number % 7 == 0 {
            header_text = "trace=a-1,none=NULL,trace=again";
            record = record.headers(&headers);
        }
        deliveries.push(producer.send_blocking(&record).unwrap());
        expected.push(format!("{} {key_text} {value_text} {header_text}", 1_700_000_000_000 + number as i64));
    }
    let mut meant: Vec<String> = Vec::new();
    for (delivery, text) in deliveries.into_iter().zip(expected) {
        let metadata = delivery.wait().unwrap();
        meant.push(format!("{} {} {text}", metadata.partition, metadata.offset.expect("acks=all")));
    }
    producer.close_blocking(PATIENCE).unwrap();
    // -1 is the length of null.
    let kcat = Command::new("kcat")
        .args(["-C", "-q", "-e", "-u", "-o", "beginning", "-t", &topic, "-b", cluster.bootstrap()])
        .args(["-X", "check.crcs=true", "-f", "%p %o %T %K:%k %S:%s %h\n"])
        .stderr(Stdio::inherit())
        .output()
        .expect("kcat is missing. Install it: apt-get install -y kcat");
    assert!(kcat.status.success(), "{codec}");
    let mut found: Vec<String> = String::from_utf8(kcat.stdout).expect("text").lines().map(str::to_owned).collect();
    found.sort_unstable();
    meant.sort_unstable();
    for (found, meant) in found.iter().zip(&meant) {
        assert_eq!(found, meant, "{codec}");
    }
    assert_eq!(found.len(), RECORDS, "{codec}");
}

/// A batch as a producer might make it, and the records as Java should see them.
fn batch(random: &mut Random) -> (record_batch::Header, Vec<Read>) {
    let count = if random.below(100) == 0 { 1 + random.below(200) } else { 1 + random.below(4) };
    let base_timestamp = random.timestamp();
    let mut records: Vec<Read> = (0..count)
        .map(|at| Read {
            partition: -1,
            offset: at as i64,
            // Mostly near the first, before it or after; sometimes anywhere.
            timestamp: match random.below(10) {
                0 => random.timestamp(),
                _ => (base_timestamp + random.below(2000) as i64 - 1000).max(0),
            },
            timestamp_type: "CreateTime".to_owned(),
            key: random.field(),
            value: random.field(),
            headers: match random.below(3) {
                0 => (0..random.below(6)).map(|_| (random.name(), random.field())).collect(),
                _ => Vec::new(),
            },
        })
        .collect();
    records[0].timestamp = base_timestamp;
    let idempotent = random.below(4) > 0;
    let transactional = idempotent && random.below(4) == 0;
    let header = record_batch::Header {
        attributes: if transactional { 0x10 } else { 0 },
        base_timestamp,
        max_timestamp: records.iter().map(|record| record.timestamp).max().expect("at least one"),
        producer_id: if idempotent { (random.next() >> 1) as i64 } else { record_batch::NO_PRODUCER_ID },
        producer_epoch: if idempotent { random.below(0x8000) as i16 } else { record_batch::NO_PRODUCER_EPOCH },
        base_sequence: match (idempotent, random.below(10)) {
            (false, _) => record_batch::NO_SEQUENCE,
            // About to begin again at 0.
            (true, 0) => i32::MAX - random.below(5) as i32,
            (true, _) => random.below(1 << 31) as i32,
        },
        count: count as i32,
    };
    (header, records)
}

/// SplitMix64: the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Null, empty, short, or long enough for a length of two bytes and more.
    fn field(&mut self) -> Option<Vec<u8>> {
        let len = match self.below(20) {
            0..3 => return None,
            3 => 0,
            4 => 60 + self.below(10),
            5 => self.below(1000),
            6 if self.below(1000) == 0 => 8190 + self.below(100),
            _ => self.below(40),
        };
        Some(self.bytes(len))
    }

    fn name(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'h', '-', '"', '\\', 'ß', '鉄', '🚃'];
        (0..self.below(12)).map(|_| LETTERS[self.below(LETTERS.len())]).collect()
    }

    fn timestamp(&mut self) -> i64 {
        match self.below(10) {
            0 => 0,
            1 => (self.next() >> 2) as i64,
            _ => 1_700_000_000_000 + self.below(100_000_000_000) as i64,
        }
    }
}
