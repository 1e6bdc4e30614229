//! The interceptor role.

use super::bindings::exports::pointsman::plugin::interceptor::Guest;
use super::convert;
use super::plugin::RoleIndices;
use super::seat::{Role, Seat};
use super::state::State;
use crate::plugin::rules;
use crate::plugin::{Acknowledgements, Batch, Edits, FailureKind, Hook, Interceptor, InterceptorWants, PluginFailure};
use wasmtime::Store;
use wasmtime::component::Instance;

pub(super) struct InterceptorRole;

impl Role for InterceptorRole {
    type Guest = Guest;
    type Wants = InterceptorWants;
    const NAME: &'static str = "interceptor";

    fn is_among(&self, roles: &RoleIndices) -> bool {
        roles.interceptor.is_some()
    }

    fn load(&self, roles: &RoleIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guest> {
        let indices = roles.interceptor.as_ref().ok_or_else(|| wasmtime::Error::msg("no interceptor"))?;
        indices.load(store, instance)
    }

    fn configure(
        &self,
        guest: &Guest,
        store: &mut Store<State>,
        settings: &[(&str, &str)],
    ) -> wasmtime::Result<Result<InterceptorWants, String>> {
        Ok(guest.call_configure(store, settings)?.map(convert::interceptor_wants))
    }

    fn close(&self, guest: &Guest, store: &mut Store<State>) -> wasmtime::Result<()> {
        guest.call_close(store)
    }
}

/// An interceptor whose hooks run in a component.
pub(super) struct WasmInterceptor {
    seat: Seat<InterceptorRole>,
}

impl WasmInterceptor {
    pub(super) fn new(seat: Seat<InterceptorRole>) -> WasmInterceptor {
        WasmInterceptor { seat }
    }
}

impl Interceptor for WasmInterceptor {
    fn wants(&self) -> &InterceptorWants {
        self.seat.wants()
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        self.seat.ready()?;
        let argument = convert::batch(batch);
        let input = convert::batch_bytes(batch);
        let answer = self.seat.call(input, |guest, store| guest.call_on_send(store, argument))?;
        let edits = answer.map_err(|words| convert::refused_call(FailureKind::Error, Hook::OnSend, &words))?;
        let edits = convert::edits(edits);
        match rules::edits(&edits, batch.count, &self.seat.wants().changes) {
            Ok(()) => Ok(edits),
            Err(rule) => Err(self.seat.broke_rule(Hook::OnSend, rule)),
        }
    }

    fn on_acknowledgement(&mut self, acknowledgements: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        self.seat.ready()?;
        let argument = convert::acknowledgements(acknowledgements);
        self.seat.call(0, |guest, store| guest.call_on_acknowledgement(store, argument))
    }

    fn close(&mut self) {
        self.seat.close();
    }
}
