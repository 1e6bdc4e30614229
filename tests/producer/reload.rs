//! Other plugins in the place of those that run.

use super::guests::{Guests, close, counted, fate, guest, outcomes, plain, read};
use super::{Broker, PATIENCE};
use pointsman::{Config, Producer, Record, ReloadError, StartError};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Interceptors that leave their names in the values.
fn journals(names: &[&str]) -> Guests {
    journals_with("", names)
}

/// As [`journals`], with lines of their tables.
fn journals_with(table: &str, names: &[&str]) -> Guests {
    let classes = names.iter().map(|name| format!("\"wasm:{name}\"")).collect::<Vec<_>>().join(", ");
    let guests = Guests::used(&format!("interceptor.classes = [{classes}]"));
    names.iter().fold(guests, |guests, name| guests.plugin(name, table, &[("mode", "journal")]))
}

/// A file's text that has such a one, and is looked at.
fn watched(broker: &Broker, name: &str, component: &Path, more: &str) -> String {
    let used = format!("plugin.reload = true\n{more}interceptor.classes = [\"wasm:{name}\"]");
    Guests::used(&used).component(name, component, "", &[("mode", "journal")]).text(broker)
}

fn reloads(producer: &Producer) -> (f64, f64) {
    let metrics = producer.metrics();
    let of = |name| metrics.value("plugin-metrics", name, &[]).unwrap();
    (of("reload-total"), of("reload-failed-total"))
}

fn value_of(producer: &Producer, broker: &Broker, value: &str) -> String {
    let written = fate(producer, &Record::to("orders").key("k").value(value)).unwrap();
    let read = read(broker, "orders");
    let is_it =
        |read: &&super::guests::Read| (read.partition, Some(read.offset)) == (written.partition, written.offset);
    read.iter().find(is_it).unwrap().value.clone().unwrap()
}

#[test]
fn every_record_goes_through_one_chain_whole_and_order_is_kept() {
    let broker = Broker::start();
    // One stays: its counters go on.
    let chains = [journals(&["a1", "b1", "c"]).config(&broker), journals(&["a2", "b2", "c"]).config(&broker)];
    let producer = Producer::start(chains[0].clone()).unwrap();
    let is_over = AtomicBool::new(false);
    let send = |thread: usize| {
        let mut deliveries = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let (key, value) = (format!("key-{thread}-{}", deliveries.len() % 7), deliveries.len().to_string());
            deliveries.push(producer.send_blocking(&Record::to("orders").key(&key).value(&value)).unwrap());
        }
        let count = deliveries.len();
        assert!(outcomes(deliveries).iter().all(Result::is_ok));
        count
    };
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|thread| scope.spawn(move || send(thread))).collect();
        for number in 1..=20 {
            let reloaded = producer.reload_plugins(&chains[number % 2]).unwrap();
            assert_eq!((reloaded.changed, reloaded.plugins.len(), reloaded.ignored), (true, 2, vec![]));
            std::thread::sleep(Duration::from_millis(5));
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(reloads(&producer), (20.0, 0.0));
    let (mut last, mut by_chain) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for record in read(&broker, "orders") {
        let value = record.value.unwrap();
        let (number, chain) = value.split_once('>').unwrap();
        *by_chain.entry(chain.to_owned()).or_default() += 1;
        let (key, number) = (record.key.unwrap(), number.parse().unwrap());
        assert!(last.insert(key.clone(), number).is_none_or(|last| last + 7 == number), "{key}: {number}");
    }
    assert_eq!(by_chain.keys().collect::<Vec<_>>(), ["a1>b1>c", "a2>b2>c"]);
    let count: usize = counts.iter().sum();
    assert_eq!(by_chain.values().sum::<usize>(), count);
    close(&producer);
    // Each outcome was told once to each interceptor, whichever it was by then.
    let metrics = producer.metrics();
    let heard = |plugin| {
        let tags = [("plugin", plugin), ("hook", "on-acknowledgement")];
        metrics.value("plugin-metrics", "record-total", &tags).unwrap() as usize
    };
    assert_eq!([heard("a1") + heard("a2"), heard("b1") + heard("b2"), heard("c")], [count; 3]);
}

#[test]
fn outcomes_under_way_go_to_the_successor_with_the_tags_of_its_name() {
    let broker = Broker::start();
    let chain = |table: &str, names: &[&str]| {
        let mut config = journals_with(table, names).config(&broker);
        config.producer.linger = Duration::from_secs(60);
        config
    };
    let producer = Producer::start(chain("", &["first", "second"])).unwrap();
    let delivery = producer.send_blocking(&Record::to("orders").value("v")).unwrap();
    // The second one had seen the header of the first.
    let next = chain("timeout.ms = 51", &["second", "third"]);
    assert_eq!(producer.reload_plugins(&next).unwrap().plugins, ["second", "third"]);
    assert!(delivery.try_result().is_none());
    producer.flush_blocking().unwrap();
    delivery.wait().unwrap();
    assert_eq!(counted(&producer, "second", "acknowledged", Some(("tag", "101"))), 1.0);
    assert_eq!(counted(&producer, "third", "acknowledged", Some(("tag", "0"))), 1.0);
    close(&producer);
}

#[test]
fn a_plugin_that_did_not_change_goes_on_with_what_it_knows() {
    let broker = Broker::start();
    let chain = |interceptor: &str, table: &str| {
        let used = format!("partitioner.class = \"wasm:places\"\ninterceptor.classes = [\"wasm:{interceptor}\"]");
        Guests::used(&used)
            .plugin("places", table, &[("mode", "state")])
            .plugin(interceptor, "", &[("mode", "journal")])
            .config(&broker)
    };
    let producer = Producer::start(chain("a", "")).unwrap();
    // It counts.
    let place = || fate(&producer, &Record::to("orders").key("k").value("v")).unwrap().partition;
    assert_eq!([place(), place()], [0, 1]);
    assert_eq!(producer.reload_plugins(&chain("b", "")).unwrap().plugins, ["b"]);
    assert_eq!([place(), place()], [2, 3]);
    let nothing = producer.reload_plugins(&chain("b", "")).unwrap();
    assert_eq!((nothing.changed, nothing.plugins.len()), (false, 0));
    assert_eq!(producer.reload_plugins(&chain("b", "timeout.ms = 51")).unwrap().plugins, ["places"]);
    assert_eq!(place(), 0, "a new one counts anew");
    assert_eq!(reloads(&producer), (2.0, 0.0));
    assert!(read(&broker, "orders").iter().all(|record| record.value.as_ref().unwrap().starts_with("v>")));
    close(&producer);
}

#[test]
fn what_cannot_be_taken_over_leaves_everything_as_it_was() {
    let broker = Broker::start();
    let start =
        Guests::used("value.serializer = \"wasm:frames\"\nlanes = 2").plugin("frames", "", &[("mode", "frame")]);
    let producer = Producer::start(start.config(&broker)).unwrap();
    let missing = Path::new("nowhere.wasm");
    let refused = |guests: Guests| producer.reload_plugins(&guests.config(&broker)).unwrap_err();
    let broken =
        refused(Guests::used("value.serializer = \"wasm:frames\"\nlanes = 2").component("frames", missing, "", &[]));
    assert!(matches!(broken, ReloadError::Start(StartError::Plugin { .. })), "{broken}");
    let fails = refused(Guests::used("value.serializer = \"wasm:frames\"\nlanes = 2").plugin(
        "frames",
        "",
        &[("mode", "configure-error")],
    ));
    assert!(fails.to_string().starts_with("plugin frames: "), "{fails}");
    let outcomes =
        refused(Guests::used("interceptor.classes = [\"wasm:a\"]\nlanes = 2").plugin("a", "", &[("mode", "journal")]));
    let words = "an interceptor of [producer] wants to hear of outcomes, and none did (nor was plugin.reload set): it takes a restart";
    assert_eq!(outcomes.to_string(), words);
    let lanes = refused(Guests::used("value.serializer = \"wasm:f\"\nlanes = 3").plugin("f", "", &[("mode", "frame")]));
    assert_eq!(lanes.to_string(), "the chain of [producer] runs in 3 lanes instead of 2: it takes a restart");
    let topics = refused(
        Guests::used("value.serializer = \"wasm:frames\"\nlanes = 2\n[topics.other]\nvalue.serializer = \"bytes\"")
            .plugin("frames", "", &[("mode", "frame")]),
    );
    assert_eq!(topics.to_string(), "the tables [topics.…] are for other topics: it takes a restart");
    let turns = refused(
        Guests::used("value.serializer = \"wasm:frames\"\npartitioner.class = \"round-robin\"\nlanes = 2").plugin(
            "frames",
            "",
            &[("mode", "frame")],
        ),
    );
    assert!(turns.to_string().contains("round-robin"), "{turns}");
    assert_eq!(value_of(&producer, &broker, "v"), "valuev");
    assert_eq!(reloads(&producer), (0.0, 6.0));

    // What has nothing to do with plugins is named; and plugins may go.
    let gone = Guests::used("lanes = 2\nmax.block.ms = 1234").config(&broker);
    let reloaded = producer.reload_plugins(&gone).unwrap();
    assert_eq!((reloaded.changed, reloaded.plugins.len(), reloaded.ignored), (true, 0, vec!["max.block.ms"]));
    assert_eq!(value_of(&producer, &broker, "v"), "v");
    close(&producer);
    assert!(matches!(producer.reload_plugins(&start.config(&broker)), Err(ReloadError::Closed)));

    let plugless = broker.producer(&[]);
    let none = plugless.reload_plugins(&start.config(&broker)).unwrap_err();
    assert!(
        none.to_string().starts_with("the chain of [producer] has plugins or serializers, and had none: "),
        "{none}"
    );
    plugless.close_blocking(PATIENCE).unwrap();
}

#[test]
fn a_topic_s_own_chain_is_replaced_and_others_keep_theirs() {
    let broker = Broker::start();
    broker.broker.create_topic("other", 1);
    let chain = |name: &str| {
        let guests = Guests::used(&format!(
            "interceptor.classes = [\"wasm:all\"]\nlanes = 2\n[topics.orders]\ninterceptor.classes = [\"wasm:{name}\"]"
        ));
        ["all", name]
            .iter()
            .fold(guests, |guests, name| guests.plugin(name, "", &[("mode", "journal")]))
            .config(&broker)
    };
    let producer = Producer::start(chain("one")).unwrap();
    let other = || {
        fate(&producer, &Record::to("other").value("v")).unwrap();
        read(&broker, "other").pop().unwrap().value.unwrap()
    };
    assert_eq!((value_of(&producer, &broker, "v"), other()), ("v>one".to_owned(), "v>all".to_owned()));
    assert_eq!(producer.reload_plugins(&chain("two")).unwrap().plugins, ["two"]);
    assert_eq!((value_of(&producer, &broker, "v"), other()), ("v>two".to_owned(), "v>all".to_owned()));
    close(&producer);
}

#[test]
fn where_it_cannot_be_waited_for_it_says_so() {
    let broker = Broker::start();
    let chains = [journals(&["a"]).config(&broker), journals(&["b"]).config(&broker)];
    let producer = Producer::start(chains[0].clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let in_a_task = runtime.block_on(async { producer.reload_plugins(&chains[1]) }).unwrap_err();
    assert!(matches!(in_a_task, ReloadError::Misuse(words) if words.ends_with("use spawn_blocking")), "{in_a_task}");
    let (told, tells) = std::sync::mpsc::channel();
    let (of_callback, next) = (producer.clone(), chains[1].clone());
    let callback = move |_| told.send(of_callback.reload_plugins(&next)).unwrap();
    producer.send_with_blocking(&Record::to("orders").value("v"), callback).unwrap();
    assert!(matches!(tells.recv().unwrap(), Err(ReloadError::Misuse(_))));
    assert_eq!(value_of(&producer, &broker, "v"), "v>a");
    close(&producer);
}

#[test]
fn a_producer_that_closes_meanwhile_ends_the_reload() {
    let broker = Broker::start();
    let chains = [journals(&["a"]).config(&broker), journals(&["b"]).config(&broker)];
    for pause in [0, 1, 3, 10, 30] {
        let producer = Producer::start(chains[0].clone()).unwrap();
        std::thread::scope(|scope| {
            let reloads = scope.spawn(|| producer.reload_plugins(&chains[1]));
            std::thread::sleep(Duration::from_millis(pause));
            close(&producer);
            match reloads.join().unwrap() {
                Ok(reloaded) => assert!(reloaded.changed),
                Err(error) => assert!(matches!(error, ReloadError::Closed), "{error}"),
            }
        });
    }
}

/// Waits for what another thread is to do, for as long as a test may take.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: that never came");
}

#[test]
fn files_that_change_are_taken_over_and_broken_ones_are_not() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let (file, component) = (folder.path().join("orders.toml"), folder.path().join("marks.wasm"));
    fs::copy(guest(), &component).unwrap();
    let text = |name: &str, more: &str| watched(&broker, name, Path::new("marks.wasm"), more);
    fs::write(&file, text("one", "")).unwrap();
    let producer = Producer::from_config_file(&file).unwrap();
    assert_eq!(producer.notices(), [""; 0]);
    assert_eq!(value_of(&producer, &broker, "v"), "v>one");

    // Written in place; a key that needs a restart does no harm.
    fs::write(&file, text("two", "max.block.ms = 1000\n")).unwrap();
    until("the file was written", || reloads(&producer) == (1.0, 0.0));
    assert_eq!(value_of(&producer, &broker, "v"), "v>two");

    // Half a file, and a configuration with a slip.
    fs::write(&component, &fs::read(guest()).unwrap()[..1000]).unwrap();
    until("the component was broken", || reloads(&producer) == (1.0, 1.0));
    assert_eq!(value_of(&producer, &broker, "v"), "v>two");
    fs::write(&file, text("two", "intercepter.classes = []\n")).unwrap();
    until("the file was broken", || reloads(&producer) == (1.0, 2.0));
    assert_eq!(value_of(&producer, &broker, "v"), "v>two");

    // Renamed into its place, as tools do that write files whole: another component.
    fs::write(&file, text("two", "")).unwrap();
    let whole = folder.path().join("marks.wasm.new");
    fs::copy(plain(), &whole).unwrap();
    fs::rename(&whole, &component).unwrap();
    until("the component was replaced", || reloads(&producer).0 == 2.0);
    assert_eq!(value_of(&producer, &broker, "v"), "v");
    close(&producer);
}

#[test]
fn a_component_that_is_not_the_pinned_one_is_not_taken_over() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("marks.wasm");
    fs::copy(guest(), &component).unwrap();
    let pinned: String =
        Sha256::digest(fs::read(&component).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = Guests::used("interceptor.classes = [\"wasm:marks\"]")
        .component("marks", &component, &format!("sha256 = \"{pinned}\""), &[("mode", "journal")])
        .config(&broker);
    let producer = Producer::start(config.clone()).unwrap();
    fs::copy(plain(), &component).unwrap();
    let refused = producer.reload_plugins(&config).unwrap_err();
    assert!(refused.to_string().contains(&format!("the config pins {pinned}")), "{refused}");
    assert_eq!(value_of(&producer, &broker, "v"), "v>marks");
    close(&producer);
}

/// As a mounted ConfigMap is: what the names stand for is a folder behind a link.
#[cfg(unix)]
#[test]
fn a_link_that_changes_is_a_change() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["one", "two"] {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("orders.toml"), watched(&broker, name, &guest(), "")).unwrap();
    }
    std::os::unix::fs::symlink(at("one"), at("data")).unwrap();
    std::os::unix::fs::symlink("data/orders.toml", at("orders.toml")).unwrap();
    let producer = Producer::from_config_file(at("orders.toml")).unwrap();
    assert_eq!(value_of(&producer, &broker, "v"), "v>one");
    std::os::unix::fs::symlink(at("two"), at("data.new")).unwrap();
    fs::rename(at("data.new"), at("data")).unwrap();
    until("the link was changed", || reloads(&producer) == (1.0, 0.0));
    assert_eq!(value_of(&producer, &broker, "v"), "v>two");
    close(&producer);
}

#[test]
fn a_reload_that_cannot_be_is_told_at_the_start() {
    let broker = Broker::start();
    let config = Config::builder()
        .set("bootstrap.servers", broker.broker.bootstrap_servers())
        .set("plugin.reload", "true")
        .build()
        .unwrap();
    let producer = Producer::start(config).unwrap();
    assert_eq!(producer.notices(), ["plugin.reload has no effect: the configuration is from no file"]);
    close(&producer);
}
