//! One component for the plugin tests, good or hostile as its `mode` setting says. All three roles know all modes
//! that make sense for them.

mod interceptor;
mod partitioner;
mod serializer;
mod vice;

wit_bindgen::generate!({ path: "../../../wit/0.1.0", world: "plugin" });

struct Guest;

export!(Guest);
