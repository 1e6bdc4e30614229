//! The Wasm host with real components. The guest under `guests/` behaves as its `mode` setting says, well or badly;
//! after every misdeed the process lives, the failure says what it was, and the next call works.

mod answers;
mod bench;
mod components;
mod encode;
#[cfg(feature = "cli")]
mod go;
mod guests;
mod hostile;
mod javascript;
mod listen;
mod lives;
mod load;
mod npm;
mod pip;
mod python;
mod roles;
mod sandbox;
mod shipped;
