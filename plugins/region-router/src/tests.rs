use super::*;
use pointsman_plugin::testing::{PartitionerTest, TestRecord};

type Router = PartitionerTest<RegionRouter>;

/// A router for the topic "orders" with six partitions.
fn router(settings: &[(&str, &str)]) -> Router {
    let mut router = Router::configure(settings).unwrap();
    router.topology("orders", 6).unwrap();
    router
}

fn error(settings: &[(&str, &str)]) -> String {
    Router::configure(settings).err().expect("settings that are refused")
}

fn order() -> TestRecord {
    TestRecord::new("orders")
}

const BY_PREFIX: [(&str, &str); 4] =
    [("source", "key-prefix"), ("separator", "-"), ("regions.CA", "0"), ("regions.NV", "1,3,4-5")];

#[test]
fn a_region_with_one_partition_goes_there() {
    let placed = router(&BY_PREFIX).partition(&[order().key("CA-17"), order().key("CA-")]).unwrap();
    assert_eq!(placed, [Placement::Partition(0), Placement::Partition(0)]);
}

#[test]
fn a_region_with_several_keeps_a_key_in_one_of_them() {
    let records: Vec<_> = (0..200).map(|id| order().key(format!("NV-{}", id % 100))).collect();
    let placed = router(&BY_PREFIX).partition(&records).unwrap();
    assert_eq!(placed[..100], placed[100..]);
    for partition in [1, 3, 4, 5] {
        assert!(placed.contains(&Placement::Partition(partition)), "no record went to {partition}");
    }
    let expected = [1, 3, 4, 5][partition_of_key(b"NV-7", 4) as usize];
    assert_eq!(placed[7], Placement::Partition(expected));
}

#[test]
fn records_without_a_key_go_to_the_regions_group() {
    let settings = [("source", "header"), ("header", "region"), ("regions.EU", "1-2"), ("regions.US", "3-5")];
    let records =
        [order().header("region", "EU"), order().header("region", "US"), order().header("region", "EU").key("k")];
    let placed = router(&settings).partition(&records).unwrap();
    assert_eq!(placed[..2], [Placement::Group(0), Placement::Group(1)]);
    assert!(matches!(placed[2], Placement::Partition(1 | 2)));
}

#[test]
fn spread_group_leaves_keyed_records_to_the_producer_too() {
    let mut settings = BY_PREFIX.to_vec();
    settings.push(("spread", "group"));
    let placed = router(&settings).partition(&[order().key("NV-1"), order().key("CA-1")]).unwrap();
    assert_eq!(placed, [Placement::Group(0), Placement::Partition(0)]);

    let by_header = [("source", "header"), ("header", "region"), ("regions.EU", "1-2"), ("spread", "group")];
    let placed = router(&by_header).partition(&[order().key("k").header("region", "EU")]).unwrap();
    assert_eq!(placed, [Placement::Group(0)]);
}

#[test]
fn groups_are_told_for_each_topic() {
    let mut router = Router::configure(&BY_PREFIX).unwrap();
    assert_eq!(router.topology("orders", 6).unwrap(), [[1, 3, 4, 5]]);
    assert_eq!(router.topology("returns", 12).unwrap(), [[1, 3, 4, 5]]);
}

#[test]
fn regions_with_the_same_partitions_share_a_group() {
    let settings =
        [("source", "header"), ("header", "r"), ("regions.a", "1-2"), ("regions.b", "1,2"), ("regions.c", "2,1")];
    let mut router = Router::configure(&settings).unwrap();
    assert_eq!(router.topology("orders", 6).unwrap(), [[1, 2], [2, 1]]);
    let records = ["a", "b", "c"].map(|region| order().header("r", region));
    assert_eq!(router.partition(&records).unwrap(), [0, 0, 1].map(Placement::Group));
}

#[test]
fn a_fixed_length_cuts_the_keys_start() {
    let settings = [("source", "key-prefix"), ("length", "2"), ("regions.CA", "0")];
    let placed =
        router(&settings).partition(&[order().key("CAx"), order().key("CA"), order().key("C"), order()]).unwrap();
    assert_eq!(placed[..2], [Placement::Partition(0), Placement::Partition(0)]);
    assert_eq!(placed[2..], [Placement::Default, Placement::Default]);
}

#[test]
fn a_separator_may_have_several_bytes() {
    let settings = [("source", "key-prefix"), ("separator", "::"), ("regions.a:b", "4")];
    assert_eq!(router(&settings).partition(&[order().key("a:b::1")]).unwrap(), [Placement::Partition(4)]);
}

#[test]
fn a_field_of_the_value_names_the_region() {
    let settings =
        [("source", "field"), ("field", "address.state"), ("regions.CA", "0"), ("regions.12", "1"), ("regions.é", "2")];
    let records = [
        order().value(r#"{"state":"NV","address":{"zip":[1],"state":"CA"}}"#),
        order().value(r#"{"address":{"state":"\u0043A"}}"#),
        order().value(r#"{"address":{"state":12}}"#),
        order().value(r#"{"address":{"state":"é"}}"#),
        order().value(r#"{"address":{"state":null}}"#),
        order().value("no JSON"),
        order(),
    ];
    let placed = router(&settings).partition(&records).unwrap();
    let expected = [0, 0, 1, 2].map(Placement::Partition);
    assert_eq!(placed[..4], expected);
    assert!(placed[4..].iter().all(|placement| *placement == Placement::Default), "{placed:?}");
}

#[test]
fn regions_are_bytes_unless_case_is_ignored() {
    let records = [order().key("ca-1"), order().key("CA-1"), order().key([0xff, b'-', b'1'])];
    let exact = router(&BY_PREFIX).partition(&records).unwrap();
    assert_eq!(exact, [Placement::Default, Placement::Partition(0), Placement::Default]);
    let mut settings = BY_PREFIX.to_vec();
    settings.push(("ignore-case", "true"));
    let folded = router(&settings).partition(&records).unwrap();
    assert_eq!(folded[..2], [Placement::Partition(0), Placement::Partition(0)]);
}

#[test]
fn the_rest_goes_to_the_default_region() {
    let mut settings = BY_PREFIX.to_vec();
    settings.push(("regions.default", "2"));
    let placed = router(&settings).partition(&[order().key("TX-1"), order()]).unwrap();
    assert_eq!(placed, [Placement::Partition(2), Placement::Partition(2)]);
}

#[test]
fn the_rest_can_be_refused() {
    let mut settings = BY_PREFIX.to_vec();
    settings.push(("unknown", "refuse"));
    let placed = router(&settings).partition(&[order().key("TX-1"), order(), order().key("CA-1")]).unwrap();
    let refuse = |reason: &str| Placement::Refuse(reason.to_owned());
    assert_eq!(placed[0], refuse("the key says region \"TX\", which has no partitions in the settings"));
    assert_eq!(placed[1], refuse("the key says no region: there is no key"));
    assert_eq!(placed[2], Placement::Partition(0));
}

#[test]
fn a_topic_that_is_too_small_is_an_error() {
    let mut router = Router::configure(&BY_PREFIX).unwrap();
    assert_eq!(
        router.topology("returns", 5).unwrap_err(),
        "regions.NV names partition 5, but topic returns has 5 (0 to 4)"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    assert_eq!(error(&[]), "the setting `source` is missing");
    assert_eq!(error(&[("source", "key")]), "source = \"key\": must be \"key-prefix\" or \"header\" or \"field\"");
    assert_eq!(error(&[("source", "header")]), "the setting `header` is missing");
    assert_eq!(
        error(&[("source", "field"), ("field", "a..b")]),
        "field: \"a..b\" is no path of names with dots between them"
    );
    assert!(error(&[("source", "key-prefix")]).starts_with("where does the region end?"));
    assert!(error(&[("source", "key-prefix"), ("separator", "-"), ("length", "2")]).contains("leave one out"));
    assert!(error(&[("source", "key-prefix"), ("separator", "-")]).starts_with("no regions"));
    let with = |more: (&'static str, &'static str)| {
        let mut settings = BY_PREFIX.to_vec();
        settings.push(more);
        error(&settings)
    };
    assert_eq!(
        with(("regions.TX", "2-")),
        "regions.TX: \"\" is no partition: write numbers and ranges, such as \"1,3,5-7\""
    );
    assert_eq!(with(("region.TX", "2")), "the setting `region.TX` is not known here; is `regions.TX` meant?");
    assert_eq!(with(("spraed", "key")), "the setting `spraed` is not known here; is `spread` meant?");
    let mut both = BY_PREFIX.to_vec();
    both.extend([("regions.default", "0"), ("unknown", "refuse")]);
    assert!(error(&both).ends_with("leave one out"));
    let mut twice = BY_PREFIX.to_vec();
    twice.extend([("regions.ca", "1"), ("ignore-case", "true")]);
    assert!(error(&twice).contains("another entry has this name"));
}
