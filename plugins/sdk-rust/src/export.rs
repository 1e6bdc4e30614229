//! The macro that makes a component of a crate.

/// Exports the roles that this component plays, one to three of them:
///
/// ```ignore
/// pointsman_plugin::export!(partitioner: Region);
/// pointsman_plugin::export!(interceptor: Trace, serializer: Frame, partitioner: Region);
/// ```
///
/// Outside wasm32 it only checks that the types implement their traits.
#[macro_export]
macro_rules! export {
    ($($role:ident : $plugin:ty),+ $(,)?) => {
        $( $crate::__export_role!($role: $plugin); )+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_role {
    (partitioner: $plugin:ty) => {
        const _: () = {
            const fn implements<P: $crate::Partitioner>() {}
            implements::<$plugin>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::{partitioner_role as role, types};
            $crate::__instance!($crate::runners::PartitionerRunner<$plugin>);
            struct Exported;
            impl role::Guest for Exported {
                fn configure(settings: types::Settings) -> Result<role::Wants, String> {
                    let (runner, wants) = $crate::runners::PartitionerRunner::configure(settings)?;
                    INSTANCE.set(Some(runner));
                    Ok(wants)
                }
                fn on_topology(topology: role::Topology) -> Result<Vec<Vec<u32>>, String> {
                    with_instance(|runner| runner.on_topology(topology))
                }
                fn partition(records: types::Batch) -> Result<role::Placements, String> {
                    with_instance(|runner| runner.partition(records))
                }
                fn close() {
                    with_instance(|runner| runner.close());
                }
            }
    $crate::bindings::partitioner::export_partitioner!(Exported with_types_in $crate::bindings::partitioner);
        };
    };
    (interceptor: $plugin:ty) => {
        const _: () = {
            const fn implements<I: $crate::Interceptor>() {}
            implements::<$plugin>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::{interceptor_role as role, types};
            $crate::__instance!($crate::runners::InterceptorRunner<$plugin>);
            struct Exported;
            impl role::Guest for Exported {
                fn configure(settings: types::Settings) -> Result<role::Wants, String> {
                    let (runner, wants) = $crate::runners::InterceptorRunner::configure(settings)?;
                    INSTANCE.set(Some(runner));
                    Ok(wants)
                }
                fn on_send(records: types::Batch) -> Result<role::Edits, String> {
                    with_instance(|runner| runner.on_send(records))
                }
                fn on_acknowledgement(acknowledgements: role::Acknowledgements) {
                    with_instance(|runner| runner.on_acknowledgement(acknowledgements));
                }
                fn close() {
                    with_instance(|runner| runner.close());
                }
            }
    $crate::bindings::interceptor::export_interceptor!(Exported with_types_in $crate::bindings::interceptor);
        };
    };
    (serializer: $plugin:ty) => {
        const _: () = {
            const fn implements<S: $crate::Serializer>() {}
            implements::<$plugin>();
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::{serializer_role as role, types};
            $crate::__instance!($crate::runners::SerializerRunner<$plugin>);
            struct Exported;
            impl role::Guest for Exported {
                fn configure(side: role::Side, settings: types::Settings) -> Result<role::Wants, String> {
                    let (runner, wants) = $crate::runners::SerializerRunner::configure(side, settings)?;
                    INSTANCE.set(Some(runner));
                    Ok(wants)
                }
                fn serialize(
                    topics: types::TopicColumn,
                    payloads: types::Column,
                    headers: Option<types::HeaderColumns>,
                ) -> Result<role::Serialized, String> {
                    with_instance(|runner| runner.serialize(topics, payloads, headers))
                }
                fn close() {
                    with_instance(|runner| runner.close());
                }
            }
    $crate::bindings::serializer::export_serializer!(Exported with_types_in $crate::bindings::serializer);
        };
    };
    ($other:ident: $plugin:ty) => {
        compile_error!(concat!(
            "no role is called `",
            stringify!($other),
            "`: the roles are interceptor, serializer and partitioner"
        ));
    };
}

/// The one plugin of a component instance: its calls never overlap.
#[doc(hidden)]
#[macro_export]
macro_rules! __instance {
    ($runner:ty) => {
        ::std::thread_local! {
            static INSTANCE: ::std::cell::RefCell<Option<$runner>> = const { ::std::cell::RefCell::new(None) };
        }
        fn with_instance<R>(hook: impl FnOnce(&mut $runner) -> R) -> R {
            INSTANCE.with_borrow_mut(|instance| hook(instance.as_mut().expect("configure is the first call")))
        }
    };
}
