//! The serializer role.

use super::bindings::exports::pointsman::plugin::serializer::{self, Guest};
use super::convert;
use super::plugin::RoleIndices;
use super::seat::{Role, Seat};
use super::state::State;
use crate::plugin::rules;
use crate::plugin::{
    ColumnRef, FailureKind, HeaderColumnsRef, HeaderReads, Hook, PluginFailure, Serialized, Serializer, Side,
    TopicColumnRef,
};
use wasmtime::Store;
use wasmtime::component::Instance;

pub(super) struct SerializerRole {
    pub(super) side: Side,
}

impl SerializerRole {
    fn hook(&self) -> Hook {
        match self.side {
            Side::Key => Hook::SerializeKey,
            Side::Value => Hook::SerializeValue,
        }
    }
}

impl Role for SerializerRole {
    type Guest = Guest;
    type Wants = HeaderReads;
    const NAME: &'static str = "serializer";

    fn is_among(&self, roles: &RoleIndices) -> bool {
        roles.serializer.is_some()
    }

    fn load(&self, roles: &RoleIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guest> {
        let indices = roles.serializer.as_ref().ok_or_else(|| wasmtime::Error::msg("no serializer"))?;
        indices.load(store, instance)
    }

    fn configure(
        &self,
        guest: &Guest,
        store: &mut Store<State>,
        settings: &[(&str, &str)],
    ) -> wasmtime::Result<Result<HeaderReads, String>> {
        let side = match self.side {
            Side::Key => serializer::Side::Key,
            Side::Value => serializer::Side::Value,
        };
        Ok(guest.call_configure(store, side, settings)?.map(|wants| convert::header_reads(wants.headers)))
    }

    fn close(&self, guest: &Guest, store: &mut Store<State>) -> wasmtime::Result<()> {
        guest.call_close(store)
    }
}

/// A serializer whose hook runs in a component.
pub(super) struct WasmSerializer {
    seat: Seat<SerializerRole>,
}

impl WasmSerializer {
    pub(super) fn new(seat: Seat<SerializerRole>) -> WasmSerializer {
        WasmSerializer { seat }
    }
}

impl Serializer for WasmSerializer {
    fn headers(&self) -> &HeaderReads {
        self.seat.wants()
    }

    fn serialize(
        &mut self,
        topics: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        headers: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        self.seat.ready()?;
        let count = payloads.len();
        let hook = self.seat.role().hook();
        let input = convert::column_bytes(payloads) + headers.map_or(0, convert::header_bytes);
        let answer = self.seat.call(input, |guest, store| {
            let headers = headers.map(convert::header_columns);
            guest.call_serialize(store, convert::topic_column(topics), convert::column(payloads), headers)
        })?;
        let serialized = answer.map_err(|words| convert::refused_call(FailureKind::Error, hook, &words))?;
        let serialized = convert::serialized(serialized);
        match rules::serialized(&serialized, count) {
            Ok(()) => Ok(serialized),
            Err(rule) => Err(self.seat.broke_rule(hook, rule)),
        }
    }

    fn close(&mut self) {
        self.seat.close();
    }
}
