//! The same chain twice: an interceptor with both hooks that adds a header, both serializers that frame, and a
//! partitioner; as types of this program, and as the component tests/plugins/guests/src/plain.rs.

use crate::components::{build, target};
use pointsman::plugin::{
    Acknowledgements, Batch, BreakerOptions, Chain, Column, ColumnRef, Edits, Fields, HeaderColumns, HeaderColumnsRef,
    HeaderReads, Interceptor, InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFactory,
    PluginFailure, Policy, Reads, Serialized, Serializer, Side, TopicColumnRef, Topology, Used,
};
use pointsman::wasm::{Engine, EngineOptions, Limits, Plugin, PluginOptions};
use std::time::Duration;

pub fn native() -> Chain {
    let on_send = Some(reads(Fields { key: true, value: true, ..Fields::default() }));
    let interceptor = InterceptorWants { on_send, acknowledgements: true, ..InterceptorWants::default() };
    chain(Box::new(Tracing(interceptor)), Box::new(Framing), Box::new(Framing), Box::new(ByKey::new()))
}

/// Answers of a partitioner that follow from the key alone are remembered, or not, by what they cost in time; so where
/// instructions are counted, the partitioner is not the component's.
pub fn wasm(counts: bool) -> Chain {
    let cache_dir = Some(target().join("guests/compiled"));
    let plugin = Plugin::load(
        &Engine::new(EngineOptions { cache_dir }).expect("an engine"),
        PluginOptions {
            name: "plain".into(),
            path: build("tests/plugins/guests", &["--lib", "--examples"], "guests").join("examples/plain.wasm"),
            sha256: None,
            settings: Vec::new(),
            limits: Limits { timeout: Duration::from_secs(60), ..Limits::default() },
            client_id: "costs".into(),
            uses: Vec::new(),
        },
    );
    let plugin = plugin.expect("it loads");
    chain(
        plugin.interceptor(0).expect("it starts"),
        plugin.serializer(0, Side::Key).expect("it starts"),
        plugin.serializer(0, Side::Value).expect("it starts"),
        if counts { Box::new(ByKey::new()) } else { plugin.partitioner(0).expect("it starts") },
    )
}

fn chain(
    interceptor: Box<dyn Interceptor>,
    key: Box<dyn Serializer>,
    value: Box<dyn Serializer>,
    partitioner: Box<dyn Partitioner>,
) -> Chain {
    let breaker = BreakerOptions::default();
    let mut chain = Chain::default();
    chain.interceptors.push(Used::new("interceptor", interceptor, Policy::Fail, breaker));
    chain.key_serializer = Some(Used::new("key", key, Policy::Fail, breaker));
    chain.value_serializer = Some(Used::new("value", value, Policy::Fail, breaker));
    chain.partitioner = Some(Used::new("partitioner", partitioner, Policy::Fail, breaker));
    chain
}

fn reads(fields: Fields) -> Reads {
    Reads { fields, ..Reads::default() }
}

struct Tracing(InterceptorWants);

impl Interceptor for Tracing {
    fn wants(&self) -> &InterceptorWants {
        &self.0
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let count = batch.count;
        let added = HeaderColumns {
            counts: vec![1; count],
            names: Column { lengths: vec![5; count], data: b"trace".repeat(count) },
            values: Column { lengths: vec![16; count], data: b"0123456789abcdef".repeat(count) },
        };
        Ok(Edits { added_headers: Some(added), ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

struct Framing;

impl Serializer for Framing {
    fn headers(&self) -> &HeaderReads {
        &HeaderReads::None
    }

    fn serialize(
        &mut self,
        _: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        _: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        let mut framed = Column {
            lengths: payloads.lengths.iter().map(|length| length + 5).collect(),
            data: Vec::with_capacity(payloads.data.len() + 5 * payloads.lengths.len()),
        };
        for payload in payloads.iter() {
            framed.data.extend_from_slice(&[0, 0, 0, 0, 7]);
            framed.data.extend_from_slice(payload.unwrap_or_default());
        }
        Ok(Serialized { payloads: framed, ..Serialized::default() })
    }

    fn close(&mut self) {}
}

struct ByKey {
    wants: PartitionerWants,
    partitions: u32,
}

impl ByKey {
    fn new() -> ByKey {
        // With the value, see above.
        let reads = reads(Fields { key: true, value: true, ..Fields::default() });
        ByKey { wants: PartitionerWants { reads, ..PartitionerWants::default() }, partitions: 0 }
    }
}

impl Partitioner for ByKey {
    fn wants(&self) -> &PartitionerWants {
        &self.wants
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        self.partitions = topology.partitions;
        Ok(Vec::new())
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        let keys = batch.keys.expect("asked for").iter();
        // FNV-1a.
        let hash = |key: &[u8]| {
            key.iter().fold(0x811c_9dc5, |hash: u32, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
        };
        let targets = keys.map(|key| (hash(key.unwrap_or_default()) % self.partitions) as i32).collect();
        Ok(Placements { targets, refused: Vec::new() })
    }

    fn close(&mut self) {}
}
