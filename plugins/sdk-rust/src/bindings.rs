//! What wit-bindgen makes of the contract: one module per role, sharing the types and the host's functions.
//!
//! A world per role, and not the one with all three, because each carries the description of what it exports into
//! the component: a plugin that exports two roles gets two of them, and they are merged when the component is made.

pub mod interceptor {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "interceptor-plugin",
        pub_export_macro: true,
        export_macro_name: "export_interceptor",
        generate_unused_types: true,
    });
}

pub mod serializer {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "serializer-plugin",
        pub_export_macro: true,
        export_macro_name: "export_serializer",
        with: {
            "pointsman:plugin/types@0.1.0": crate::bindings::types,
            "pointsman:plugin/host@0.1.0": crate::bindings::host,
        },
    });
}

pub mod partitioner {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "partitioner-plugin",
        pub_export_macro: true,
        export_macro_name: "export_partitioner",
        with: {
            "pointsman:plugin/types@0.1.0": crate::bindings::types,
            "pointsman:plugin/host@0.1.0": crate::bindings::host,
        },
    });
}

pub use interceptor::exports::pointsman::plugin::interceptor as interceptor_role;
pub use interceptor::pointsman::plugin::{host, types};
pub use partitioner::exports::pointsman::plugin::partitioner as partitioner_role;
pub use serializer::exports::pointsman::plugin::serializer as serializer_role;
