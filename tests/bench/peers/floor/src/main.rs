//! Not a client: the least that any client has to do. One thread encodes each record into its partition's batch, sums the
//! full batch, writes it to the socket as a produce request and reads the answers, five requests in flight.
//!
//! No producer id, no retries, no deliveries one by one, and a partition from two bytes of the key instead of its hash. It
//! takes the partitions 0 to 5 of the topic to be led by the first bootstrap server, without asking.

use std::io::{Read, Write};
use std::net::TcpStream;

use meter::{Flags, Meter, Records};

const PARTITIONS: usize = 6;
/// Before the records of a batch.
const BATCH_HEADER: usize = 61;
/// Where the sum begins: after base offset, length, leader epoch, magic and the sum itself.
const SUMMED: usize = 21;

fn main() -> std::io::Result<()> {
    let flags = Flags::parse();
    assert_eq!(flags.compression, "none", "the floor does not compress");
    assert_eq!(flags.ca, None, "the floor speaks no TLS");
    assert!(flags.keys && flags.threads == 1, "the floor is one thread, and places records by their keys");
    let records = Records::of(&flags);
    let meter = Meter::new(&flags);
    let server = flags.bootstrap.split(',').next().unwrap_or_default();
    let mut floor = Floor::new(TcpStream::connect(server)?, &flags)?;
    let send = |floor: &mut Floor, i: u64| {
        let (key, value) = records.get(i);
        floor.append(key.unwrap_or_default().as_bytes(), value.as_bytes())
    };
    for i in 0..flags.warmup {
        send(&mut floor, i)?;
    }
    floor.flush()?;
    floor.acknowledged = 0;
    let section = meter.start(&flags);
    for i in 0..flags.records {
        section.pace(i);
        send(&mut floor, i)?;
    }
    floor.flush()?;
    meter.delivered_many(floor.acknowledged);
    section.print("floor", env!("CARGO_PKG_VERSION"));
    Ok(())
}

struct Floor {
    stream: TcpStream,
    topic: String,
    batch_size: usize,
    open: Vec<Batch>,
    /// The record counts of the requests in flight, oldest first.
    in_flight: std::collections::VecDeque<u64>,
    acknowledged: u64,
    head: Vec<u8>,
    answer: Vec<u8>,
}

struct Batch {
    bytes: Vec<u8>,
    records: i32,
}

impl Floor {
    fn new(stream: TcpStream, flags: &Flags) -> std::io::Result<Floor> {
        stream.set_nodelay(true)?;
        let batch_size = flags.batch_size.map_or(128 << 10, |size| size as usize);
        let open = (0..PARTITIONS).map(|_| Batch { bytes: vec![0; BATCH_HEADER], records: 0 }).collect();
        Ok(Floor {
            stream,
            topic: flags.topic.clone(),
            batch_size,
            open,
            in_flight: std::collections::VecDeque::new(),
            acknowledged: 0,
            head: Vec::new(),
            answer: Vec::new(),
        })
    }

    fn append(&mut self, key: &[u8], value: &[u8]) -> std::io::Result<()> {
        let partition = (usize::from(key[key.len() - 1]) + usize::from(key[key.len() - 4])) % PARTITIONS;
        let batch = &mut self.open[partition];
        let delta = i64::from(batch.records);
        // attributes, timestamp delta 0, offset delta, key, value, no headers
        let body = 1 + 1 + varint_size(delta) + varint_size(key.len() as i64) + key.len();
        let body = body + varint_size(value.len() as i64) + value.len() + 1;
        let out = &mut batch.bytes;
        varint(out, body as i64);
        out.extend_from_slice(&[0, 0]);
        varint(out, delta);
        varint(out, key.len() as i64);
        out.extend_from_slice(key);
        varint(out, value.len() as i64);
        out.extend_from_slice(value);
        out.push(0);
        batch.records += 1;
        if out.len() >= self.batch_size { self.send(partition) } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        for partition in 0..PARTITIONS {
            if self.open[partition].records > 0 {
                self.send(partition)?;
            }
        }
        while !self.in_flight.is_empty() {
            self.receive()?;
        }
        Ok(())
    }

    fn send(&mut self, partition: usize) -> std::io::Result<()> {
        while self.in_flight.len() == 5 {
            self.receive()?;
        }
        let Batch { bytes, records } = &mut self.open[partition];
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64).to_be_bytes();
        let mut at = 0;
        let mut put = |field: &[u8]| {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        };
        put(&[0; 8]); // base offset
        put(&[0; 4]); // length, below
        put(&(-1_i32).to_be_bytes()); // leader epoch
        put(&[2]); // magic
        put(&[0; 4]); // sum, below
        put(&[0; 2]); // attributes
        put(&(*records - 1).to_be_bytes()); // last offset delta
        put(&now); // first timestamp
        put(&now); // last timestamp
        put(&[0xff; 14]); // no producer id, epoch, sequence
        put(&records.to_be_bytes());
        let length = (bytes.len() - 12) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let sum = crc32c::crc32c(&bytes[SUMMED..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());

        // Produce 8: the last whose lengths are of fixed size.
        let head = &mut self.head;
        head.clear();
        let size = 4 + 4 + 2 + 5 + 2 + 2 + 4 + 4 + 2 + self.topic.len() + 4 + 4 + 4 + bytes.len();
        head.extend_from_slice(&(size as i32).to_be_bytes());
        head.extend_from_slice(&[0, 0, 0, 8, 0, 0, 0, 1]); // Produce, version, correlation id
        head.extend_from_slice(b"\0\x05floor\xff\xff\xff\xff"); // client id, no transaction, acks=all
        head.extend_from_slice(&30_000_i32.to_be_bytes());
        head.extend_from_slice(&1_i32.to_be_bytes());
        head.extend_from_slice(&(self.topic.len() as i16).to_be_bytes());
        head.extend_from_slice(self.topic.as_bytes());
        head.extend_from_slice(&1_i32.to_be_bytes());
        head.extend_from_slice(&(partition as i32).to_be_bytes());
        head.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.stream.write_all(head)?;
        self.stream.write_all(bytes)?;
        self.in_flight.push_back(*records as u64);
        bytes.truncate(BATCH_HEADER);
        *records = 0;
        Ok(())
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        self.answer.resize(i32::from_be_bytes(size) as usize, 0);
        self.stream.read_exact(&mut self.answer)?;
        let records = self.in_flight.pop_front().expect("one answer per request");
        // correlation id, topics, name, partitions, partition, then the error
        let at = 4 + 4 + 2 + self.topic.len() + 4 + 4;
        let error = i16::from_be_bytes([self.answer[at], self.answer[at + 1]]);
        if error == 0 {
            self.acknowledged += records;
            return Ok(());
        }
        Err(std::io::Error::other(format!("the broker answers with error {error}")))
    }
}

fn varint_size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}
