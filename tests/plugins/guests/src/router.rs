//! A partitioner and nothing else: every record to the last partition of its topic.

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "partitioner-plugin" });

use exports::pointsman::plugin::partitioner::*;
use pointsman::plugin::types::Fields;
use std::cell::Cell;

struct Router;

thread_local!(static LAST: Cell<i32> = const { Cell::new(-1) });

impl Guest for Router {
    fn configure(_: Settings) -> Result<Wants, String> {
        let reads = Reads { fields: Fields::empty(), headers: None };
        Ok(Wants { reads, consistency: Consistency::Keyed })
    }

    fn on_topology(topology: Topology) -> Result<Vec<Vec<u32>>, String> {
        LAST.set(topology.partitions as i32 - 1);
        Ok(vec![])
    }

    fn partition(records: Batch) -> Result<Placements, String> {
        Ok(Placements { targets: vec![LAST.get(); records.count as usize], refused: vec![] })
    }

    fn close() {}
}

export!(Router);
