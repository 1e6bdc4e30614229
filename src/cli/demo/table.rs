//! Counts by region and partition, drawn.

use super::orders::REGIONS;
use crate::cli::terminal::thousands;
use std::fmt::Write;

/// Colours, where there are any.
pub(super) struct Style {
    pub(super) is_coloured: bool,
}

/// How many orders of each region are in each partition.
pub(super) struct Table {
    counts: Vec<Vec<u64>>,
}

impl Style {
    pub(super) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Table {
    pub(super) fn new(regions: usize, partitions: usize) -> Table {
        Table { counts: vec![vec![0; partitions]; regions] }
    }

    pub(super) fn add(&mut self, region: usize, partition: usize) {
        self.counts[region][partition] += 1;
    }

    /// A row for each region, a column for each partition.
    pub(super) fn draw(&self, style: &Style) -> String {
        let mut text = String::new();
        let max = self.counts.iter().flatten().copied().max().unwrap_or(0);
        let partitions = self.counts.first().map_or(0, Vec::len);
        let mut head = format!("{:<8}", "  region");
        for partition in 0..partitions {
            let _ = write!(head, "{:>WIDTH$}", format!("p{partition}"));
        }
        let _ = writeln!(text, "{}", style.dim(&head));
        for (region, counts) in self.counts.iter().enumerate() {
            let _ = write!(text, "  {:<6}", REGIONS[region]);
            for count in counts {
                text += &cell(style, COLOURS[region % COLOURS.len()], *count, max);
            }
            text.push('\n');
        }
        let mut foot = format!("{:<8}", "  all");
        for partition in 0..partitions {
            let sum: u64 = self.counts.iter().map(|counts| counts[partition]).sum();
            let _ = write!(foot, "{:>WIDTH$}", thousands(sum));
        }
        let _ = writeln!(text, "{}", style.dim(&foot));
        text
    }
}

/// A bar of one to three letters, and the number.
fn cell(style: &Style, colour: &str, count: u64, max: u64) -> String {
    if count == 0 {
        return style.dim(&format!("{:>WIDTH$}", "·"));
    }
    // As long as the largest number leaves room for.
    let letters = WIDTH.saturating_sub(thousands(max).len() + 2).clamp(1, 3);
    let eighths = (count * 8 * letters as u64).div_ceil(max) as usize;
    let bar = format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8]);
    let number = thousands(count);
    let space = WIDTH.saturating_sub(bar.chars().count() + number.len() + 1);
    format!("{}{} {number}", " ".repeat(space), style.paint(colour, &bar))
}

/// Six columns and the names keep within 80 letters.
const WIDTH: usize = 12;
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const COLOURS: [&str; 6] = ["31", "33", "32", "36", "34", "35"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_eighty_columns_and_adds_up() {
        let mut table = Table::new(6, 6);
        table.counts[0][0] = 1_000_000;
        table.counts[1][5] = 125_000;
        table.counts[5][5] = 1;
        let text = table.draw(&Style { is_coloured: false });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let words = |at: usize| text.lines().nth(at).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(0), ["region", "p0", "p1", "p2", "p3", "p4", "p5"]);
        assert_eq!(words(1), ["bj", "█", "1,000,000", "·", "·", "·", "·", "·"]);
        assert_eq!(words(2), ["sh", "·", "·", "·", "·", "·", "▏", "125,000"]);
        assert_eq!(words(7), ["all", "1,000,000", "0", "0", "0", "0", "125,001"]);
    }
}
