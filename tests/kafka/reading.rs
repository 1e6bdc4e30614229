//! What stands in a topic, as Java's consumer reads it.

use crate::harness::Cluster;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A record as Java returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) timestamp_type: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Read {
    /// From a line of `tool read` or `tool decode`.
    pub(crate) fn from_line(line: &str) -> Read {
        let line: Value = serde_json::from_str(line).expect("the tool prints JSON");
        let number = |name: &str| line[name].as_i64().expect("a number");
        let headers = line["headers"].as_array().expect("a list");
        Read {
            partition: number("partition"),
            offset: number("offset"),
            timestamp: number("timestamp"),
            timestamp_type: line["timestampType"].as_str().expect("a name").to_owned(),
            key: bytes(&line["key"]),
            value: bytes(&line["value"]),
            headers: headers
                .iter()
                .map(|header| (header[0].as_str().expect("a name").to_owned(), bytes(&header[1])))
                .collect(),
        }
    }

    /// The value, which has to be text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.value.clone().expect("a value")).expect("text")
    }
}

/// All records of a topic, each partition in its order.
pub(crate) fn read(cluster: &Cluster, topic: &str) -> Vec<Read> {
    cluster.tool(&["read", topic]).lines().map(Read::from_line).collect()
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| STANDARD.decode(text).expect("base64"))
}
