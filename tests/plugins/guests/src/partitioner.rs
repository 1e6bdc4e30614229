use crate::exports::pointsman::plugin::partitioner::*;
use crate::pointsman::plugin::host;
use crate::pointsman::plugin::types::Fields;
use crate::vice;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

thread_local! {
    static NEXT: Cell<i32> = const { Cell::new(0) };
    static TOPICS: RefCell<HashMap<String, u32>> = RefCell::new(HashMap::new());
}

impl Guest for crate::Guest {
    fn configure(settings: Settings) -> Result<Wants, String> {
        vice::configure(settings)?;
        let consistency = if vice::is("state") { Consistency::Free } else { Consistency::Keyed };
        Ok(Wants { reads: Reads { fields: Fields::KEY, headers: None }, consistency })
    }

    fn on_topology(topology: Topology) -> Result<Vec<Vec<u32>>, String> {
        if vice::setting("stage").is_some_and(|stage| stage == "on-topology")
            && vice::strikes("on-topology", [topology.topic.as_bytes()])
        {
            vice::act()?;
            match vice::mode().as_str() {
                "bad-lengths" => return Ok(vec![vec![]]),
                "huge-result" => return Ok(vec![vec![0; 4 << 20]]),
                _ => {}
            }
        }
        match vice::mode().as_str() {
            "topology-error" => return Err("no such topic in the map".into()),
            "topology-panic" => panic!("topology"),
            "empty-group" => return Ok(vec![vec![0], vec![]]),
            "group-out-of-range" => return Ok(vec![vec![topology.partitions]]),
            "fickle-groups" => return Ok(vec![vec![0]; 1 + host::random() as usize % 1000]),
            "racks" => {
                return Err(format!("{:?} {:?}", topology.leaders, topology.brokers));
            }
            _ => {}
        }
        let known = TOPICS.with_borrow_mut(|topics| topics.insert(topology.topic.clone(), topology.partitions));
        println!("topology {} {} {known:?}", topology.topic, topology.partitions);
        let half = topology.partitions.div_ceil(2);
        Ok(vec![(0..half).collect(), (half..topology.partitions).collect()]
            .into_iter()
            .filter(|g: &Vec<u32>| !g.is_empty())
            .collect())
    }

    fn partition(records: Batch) -> Result<Placements, String> {
        let count = records.count as usize;
        let topics = records.topics.expect("the topics come in any case");
        let mut refused = vec![];
        let keys = records.keys.as_ref().expect("asked for");
        let strikes = vice::strikes("partition", [keys.data.as_slice()]);
        if strikes {
            vice::act()?;
            vice::count_records(records.count);
        }
        let mode = if strikes { vice::mode() } else { String::new() };
        let targets = match mode.as_str() {
            "state" | "keyed-state" => (0..count).map(|_| NEXT.replace(NEXT.get() + 1)).collect(),
            "unknown-group" => vec![-9; count],
            "refuse-unknown-group" => {
                refused = (0..records.count).map(|index| Refusal { index, reason: "no".into() }).collect();
                vec![-9; count]
            }
            "partition-out-of-range" => vec![i32::MAX; count],
            "refuse" => {
                let bad = vice::setting("bad").unwrap_or_default();
                for (index, key) in (0..).zip(vice::entries(&keys.lengths, &keys.data)) {
                    if key.is_some_and(|key| vice::holds(key, &bad)) {
                        refused.push(Refusal { index, reason: "not with that word".into() });
                    }
                }
                vec![0; count]
            }
            "bad-lengths" => vec![],
            "huge-result" => vec![0; 4 << 20],
            "few-targets" => vec![0; count - 1],
            "groups" => (0..count).map(|i| if i % 2 == 0 { -2 } else { -3 }).collect(),
            "default" => vec![-1; count],
            _ => (0..count)
                .scan(0, |at, i| {
                    let name = &topics.names[topics.indexes.get(i).map_or(0, |&index| index as usize)];
                    let partitions = TOPICS.with_borrow(|topics| topics.get(name).copied().unwrap_or(1));
                    let length = keys.lengths[i].max(0) as usize;
                    let sum: u32 = keys.data[*at..*at + length].iter().map(|&byte| u32::from(byte)).sum();
                    *at += length;
                    if vice::is("slow") {
                        vice::burn(vice::number("rounds", 0));
                    }
                    Some((sum % partitions) as i32)
                })
                .collect(),
        };
        Ok(Placements { targets, refused })
    }

    fn close() {}
}
