//! The orders of the demo: made up, and the same ones every time.

use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;

/// An order of a region.
pub(super) struct Order {
    /// Index in [`REGIONS`].
    pub(super) region: usize,
    /// The customer, who belongs to a region.
    pub(super) key: String,
    /// JSON.
    pub(super) value: String,
}

/// Beijing, Shanghai, Guangzhou, Shenzhen, Hangzhou, Chengdu.
pub(super) const REGIONS: [&str; 6] = ["bj", "sh", "gz", "sz", "hz", "cd"];

/// Makes so many.
pub(super) fn make(count: u32) -> Vec<Order> {
    // A linear congruential generator is random enough for customers.
    let mut state: u64 = 0x5EED;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let order = |number: u32| {
        let region = random(REGIONS.len() as u64) as usize;
        let name = REGIONS[region];
        let key = format!("{name}-{}", random(1000));
        let cents = random(100_000) + 100;
        let (whole, part) = (cents / 100, cents % 100);
        let value = format!(r#"{{"order":{number},"region":"{name}","customer":"{key}","amount":{whole}.{part:02}}}"#);
        Order { region, key, value }
    };
    (0..count).map(order).collect()
}

/// The number of an order.
pub(super) fn number(value: &str) -> Option<usize> {
    value.strip_prefix(r#"{"order":"#)?.split_once(',')?.0.parse().ok()
}

/// Writes orders as JSON lines.
pub(super) fn write(file: &Path, orders: &[Order]) -> Result<()> {
    let mut text = String::new();
    for order in orders {
        writeln!(text, "{}", order.value)?;
    }
    std::fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_json_and_know_their_number() {
        for (at, order) in make(1000).iter().enumerate() {
            let json: serde_json::Value = serde_json::from_str(&order.value).unwrap();
            assert_eq!(json["region"], REGIONS[order.region]);
            assert_eq!(json["customer"], order.key.as_str());
            assert_eq!(number(&order.value), Some(at));
        }
    }
}
