//! What a guest sees of the world, and what it may say.

use crate::guests::{assert_fails, mode, records, with};
use crate::listen::listen;
use pointsman::plugin::{FailureKind, PluginFactory, PluginFailure};
use pointsman::wasm::{MetricSample, MetricValue, Plugin};

fn call(plugin: &Plugin) -> Result<(), PluginFailure> {
    plugin.interceptor(3).unwrap().on_send(&records(1).batch()).map(drop)
}

#[test]
fn there_is_no_environment_no_argument_no_input() {
    assert!(std::env::vars().count() > 0 && std::env::args().count() > 0, "there is something to be seen");
    assert_fails(call(&mode("environment")), FailureKind::Error, "on-send: [] \"\" Ok(0)");
}

#[test]
fn there_are_no_files() {
    assert_fails(call(&mode("file")), FailureKind::Error, "on-send: read: ");
}

#[test]
fn clocks_and_random_numbers_are_real() {
    assert_fails(call(&mode("clocks")), FailureKind::Error, "on-send: true true true");
}

#[test]
fn a_plugin_knows_its_names() {
    assert_fails(call(&mode("names")), FailureKind::Error, "on-send: guest orders 3");
}

#[test]
fn what_a_plugin_says_is_logged_under_its_name() {
    let (answer, lines) = listen(|| call(&mode("print")));
    answer.unwrap();
    assert_eq!(lines, ["INFO stdout on stdout", "WARN stderr on stderr", "ERROR log in the log"]);
}

#[test]
fn a_flood_is_cut_short_and_counted() {
    for (settings, all) in
        [(&[("mode", "print-flood"), ("lines", "5000")][..], 5000), (&[("mode", "log-flood")], 10_000)]
    {
        let plugin = with(settings, |_| {});
        let (answer, lines) = listen(|| call(&plugin));
        answer.unwrap();
        assert!(lines.len() <= 64, "{} lines", lines.len());
        assert!(lines.len() as u64 + plugin.metrics().log_lines_dropped == all);
        assert!(lines[0].ends_with(" line 0") || lines[0].ends_with("line 0 xxxxxxxxxx"), "{}", lines[0]);
    }
}

#[test]
fn a_long_line_is_cut() {
    let (answer, lines) = listen(|| call(&mode("log-large")));
    answer.unwrap();
    assert!(lines[0].len() < 4096, "{} bytes", lines[0].len());
    let plugin = with(&[("mode", "print-flood"), ("lines", "1"), ("width", "1000000")], |_| {});
    let (answer, lines) = listen(|| call(&plugin));
    answer.unwrap();
    assert!(lines[0].len() < 4096, "{} bytes", lines[0].len());
}

#[test]
fn numbers_are_kept_per_plugin() {
    let plugin = mode("metrics");
    call(&plugin).unwrap();
    call(&plugin).unwrap();
    let labels = vec![("topic".to_owned(), "orders".to_owned())];
    let calls = MetricSample { name: "calls".into(), labels, value: MetricValue::Counter(2.0) };
    let value = MetricValue::Histogram { count: 4, sum: 80.0, min: 10.0, max: 30.0 };
    let sizes = MetricSample { name: "sizes".into(), labels: vec![], value };
    assert_eq!(plugin.metrics().series, [calls, sizes]);
}

#[test]
fn what_a_trapped_call_counted_and_said_is_taken_back() {
    let plugin = mode("metrics-then-panic");
    let (answer, lines) = listen(|| call(&plugin));
    assert_fails(answer, FailureKind::Trap, "after the metrics");
    assert_eq!(plugin.metrics().series[0].value, MetricValue::Counter(0.0));
    assert_eq!(lines[0], "DEBUG log before the panic", "the author finds it, nobody else");
    assert!(lines.iter().all(|line| line.starts_with("DEBUG")), "{lines:?}");
}

#[test]
fn a_flood_of_series_is_cut_short_and_counted() {
    let plugin = mode("metric-flood");
    call(&plugin).unwrap();
    let metrics = plugin.metrics();
    assert!(metrics.series.len() <= 256, "{} series", metrics.series.len());
    assert!(metrics.points_dropped >= 10_000 - 256);
}
