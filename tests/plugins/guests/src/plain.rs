//! All three roles, done plainly: what the benchmark measures.

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "plugin" });

use exports::pointsman::plugin::{interceptor, partitioner, serializer};
use pointsman::plugin::types::Fields;
use std::cell::Cell;

struct Plain;

thread_local!(static PARTITIONS: Cell<u32> = const { Cell::new(1) });

impl interceptor::Guest for Plain {
    fn configure(_: interceptor::Settings) -> Result<interceptor::Wants, String> {
        let on_send = Some(interceptor::Reads { fields: Fields::KEY | Fields::VALUE, headers: None });
        Ok(interceptor::Wants { on_send, changes: Fields::empty(), acknowledgements: true })
    }

    fn on_send(records: interceptor::Batch) -> Result<interceptor::Edits, String> {
        let count = records.count as usize;
        let header = interceptor::HeaderColumns {
            counts: vec![1; count],
            names: interceptor::Column { lengths: vec![5; count], data: b"trace".repeat(count) },
            values: interceptor::Column { lengths: vec![16; count], data: b"0123456789abcdef".repeat(count) },
        };
        Ok(interceptor::Edits {
            topics: None,
            partitions: None,
            timestamps: None,
            keys: None,
            values: None,
            removed_headers: vec![],
            added_headers: Some(header),
            tags: vec![],
            dropped: vec![],
            refused: vec![],
        })
    }

    fn on_acknowledgement(_: interceptor::Acknowledgements) {}

    fn close() {}
}

impl serializer::Guest for Plain {
    fn configure(_: serializer::Side, _: serializer::Settings) -> Result<serializer::Wants, String> {
        Ok(serializer::Wants { headers: None })
    }

    fn serialize(
        _: serializer::TopicColumn,
        payloads: serializer::Column,
        _: Option<serializer::HeaderColumns>,
    ) -> Result<serializer::Serialized, String> {
        let mut framed = serializer::Column {
            lengths: Vec::with_capacity(payloads.lengths.len()),
            data: Vec::with_capacity(payloads.data.len() + 5 * payloads.lengths.len()),
        };
        let mut rest = payloads.data.as_slice();
        for &length in &payloads.lengths {
            framed.lengths.push(if length < 0 { -1 } else { length + 5 });
            if length >= 0 {
                let (payload, after) = rest.split_at(length as usize);
                framed.data.extend_from_slice(&[0, 0, 0, 0, 7]);
                framed.data.extend_from_slice(payload);
                rest = after;
            }
        }
        Ok(serializer::Serialized { payloads: framed, added_headers: None, refused: vec![] })
    }

    fn close() {}
}

impl partitioner::Guest for Plain {
    fn configure(_: partitioner::Settings) -> Result<partitioner::Wants, String> {
        let reads = partitioner::Reads { fields: Fields::KEY, headers: None };
        Ok(partitioner::Wants { reads, consistency: partitioner::Consistency::Keyed })
    }

    fn on_topology(topology: partitioner::Topology) -> Result<Vec<Vec<u32>>, String> {
        PARTITIONS.set(topology.partitions);
        Ok(vec![])
    }

    fn partition(records: partitioner::Batch) -> Result<partitioner::Placements, String> {
        let partitions = PARTITIONS.get();
        let keys = records.keys.ok_or("no keys")?;
        let mut rest = keys.data.as_slice();
        let place = |&length: &i32| {
            let (key, after) = rest.split_at(length.max(0) as usize);
            rest = after;
            // FNV-1a.
            let hash =
                key.iter().fold(0x811c_9dc5, |hash: u32, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
            (hash % partitions) as i32
        };
        Ok(partitioner::Placements { targets: keys.lengths.iter().map(place).collect(), refused: vec![] })
    }

    fn close() {}
}

export!(Plain);
