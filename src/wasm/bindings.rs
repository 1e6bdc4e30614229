//! What `bindgen!` makes of the contract. Only this folder sees these types; `convert.rs` turns them into the
//! crate's own.

#![allow(missing_docs, unreachable_pub, reason = "generated")]

wasmtime::component::bindgen!({
    path: "wit/0.1.0",
    world: "plugin",
    // Parameters borrow, so that a batch is lowered straight from the lane's columns.
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { "pointsman:plugin/host.random": trappable },
});
