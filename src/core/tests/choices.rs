//! Where records go by configuration, and when connections end that nobody needs.

use super::*;

impl Rig {
    fn keyed(&mut self, topic: TopicHandle, key: Option<&[u8]>) -> i32 {
        self.keyed_by(topic, Placement::Default, key)
    }

    fn keyed_by(&mut self, topic: TopicHandle, placement: Placement, key: Option<&[u8]>) -> i32 {
        let record = Append { key, ..record(topic, placement, self.now) };
        self.core.append(|| self.now, &record).expect("there is room").completion.partition()
    }
}

fn in_turn(rig: &mut Rig, topic: TopicHandle, count: usize) -> Vec<i32> {
    let key = |at: usize| at.is_multiple_of(2).then_some(&b"key"[..]);
    (0..count).map(|at| rig.keyed_by(topic, Placement::RoundRobin, key(at))).collect()
}

#[test]
fn round_robin_takes_turns_whatever_the_key() {
    let mut rig = Rig::new(CoreConfig::default(), &[("t", vec![1, 2, 1])]);
    let topic = rig.topic("t");
    let placed = in_turn(&mut rig, topic, 9);
    for turn in placed.windows(3) {
        assert_eq!(turn.iter().collect::<BTreeSet<_>>().len(), 3, "{placed:?}");
    }
}

/// As Java's RoundRobinPartitioner: a partition without a leader has no turn, as long as another one has a leader.
#[test]
fn round_robin_passes_over_a_partition_without_a_leader() {
    let mut rig = Rig::new(CoreConfig::default(), &[("t", vec![1, -1, 2])]);
    let topic = rig.topic("t");
    let placed = in_turn(&mut rig, topic, 12);
    assert!(!placed.contains(&1), "{placed:?}");
    assert!(placed.contains(&0) && placed.contains(&2), "{placed:?}");
    let mut rig = Rig::new(CoreConfig::default(), &[("t", vec![-1, -1])]);
    let topic = rig.topic("t");
    assert_eq!(in_turn(&mut rig, topic, 4).iter().collect::<BTreeSet<_>>().len(), 2, "all of them wait");
}

#[test]
fn with_ignored_keys_a_key_sticks_to_no_partition() {
    let config = |ignore_keys| CoreConfig { ignore_keys, batch_size: 200, ..CoreConfig::default() };
    let of_one_key = |ignore_keys| {
        let mut rig = Rig::new(config(ignore_keys), &[("t", vec![1, 2, 1, -1])]);
        let topic = rig.topic("t");
        (0..400).map(|_| rig.keyed(topic, Some(b"key"))).collect::<BTreeSet<_>>()
    };
    let there = partition_of_key(b"key", 4) as i32;
    assert_eq!(of_one_key(false), [there].into());
    // The sticky choice goes round, past the partition without a leader.
    assert_eq!(of_one_key(true), [0, 1, 2].into());
}

/// Even where the key's partition has no leader: the key's order is worth waiting for it.
#[test]
fn a_key_keeps_its_partition_without_a_leader() {
    let there = partition_of_key(b"key", 2);
    let mut leaders = vec![1, 1];
    leaders[there] = -1;
    let mut rig = Rig::new(CoreConfig::default(), &[("t", leaders)]);
    let topic = rig.topic("t");
    assert_eq!(rig.keyed(topic, Some(b"key")), there as i32);
}

#[test]
fn idle_connections_are_closed_and_made_again_without_a_wait() {
    let idle = Duration::from_secs(30);
    let config = CoreConfig { connections_max_idle: idle, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("t", vec![1])]);
    let topic = rig.topic("t");
    rig.append(topic, Placement::Partition(0)).unwrap();
    let open = rig.peers.len();
    assert!(open > 0);
    rig.pass(idle - Duration::from_secs(1));
    assert_eq!(rig.peers.len(), open);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.peers.len(), 0);
    // It was no failure.
    let sent = rig.produced.len();
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert_eq!(rig.produced.len(), sent + 1);
}
