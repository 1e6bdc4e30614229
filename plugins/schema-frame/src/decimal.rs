//! JSON's numbers, exactly: `0.1` is a tenth, and 2^53 + 1 is not 2^53.

use std::cmp::Ordering;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decimal {
    /// `digits · 10^exponent`. Digits do not end in 0, but for 0 itself, whose exponent is 0.
    Exact { digits: i128, exponent: i32 },
    /// One of more than 38 digits, about.
    About(f64),
}

impl Decimal {
    /// Reads a number as JSON writes it.
    pub(crate) fn parse(text: &[u8]) -> Decimal {
        match Decimal::parse_exact(text) {
            Some((digits, exponent)) => Decimal::normal(digits, exponent),
            None => Decimal::About(float(text)),
        }
    }

    fn parse_exact(text: &[u8]) -> Option<(i128, i32)> {
        let (mut digits, mut exponent, mut fraction, mut negative) = (0_i128, 0_i32, false, false);
        for (at, &byte) in text.iter().enumerate() {
            match byte {
                b'-' => negative = true,
                b'.' => fraction = true,
                b'e' | b'E' => {
                    let written: i32 = str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?;
                    exponent = exponent.checked_add(written)?;
                    break;
                }
                _ => {
                    digits = digits.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                    exponent -= i32::from(fraction);
                }
            }
        }
        Some((if negative { -digits } else { digits }, exponent))
    }

    fn normal(mut digits: i128, mut exponent: i32) -> Decimal {
        if digits == 0 {
            return Decimal::Exact { digits: 0, exponent: 0 };
        }
        while digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        Decimal::Exact { digits, exponent }
    }

    /// Whether nothing stands behind the point.
    pub(crate) fn is_integer(self) -> bool {
        match self {
            Decimal::Exact { exponent, .. } => exponent >= 0,
            Decimal::About(number) => number.fract() == 0.0,
        }
    }

    /// The number times ten to the power of `scale`, if that is an integer of at most 38 digits.
    pub(crate) fn scaled(self, scale: i32) -> Option<i128> {
        match self {
            Decimal::Exact { digits, exponent } => {
                let power = u32::try_from(exponent.checked_add(scale)?).ok()?;
                if digits == 0 { Some(0) } else { digits.checked_mul(10_i128.checked_pow(power)?) }
            }
            Decimal::About(_) => None,
        }
    }

    /// Whether it is a whole number of times another, which is above 0.
    pub(crate) fn is_multiple_of(self, other: Decimal) -> bool {
        if let (Decimal::Exact { exponent: a, .. }, Decimal::Exact { exponent: b, .. }) = (self, other) {
            let scale = a.min(b).saturating_neg();
            if let (Some(a), Some(b)) = (self.scaled(scale), other.scaled(scale)) {
                return a % b == 0;
            }
        }
        (self.about() / other.about()).fract() == 0.0
    }

    fn about(self) -> f64 {
        match self {
            // Parsed, because a product of two floats is not the nearest to what is meant.
            Decimal::Exact { digits, exponent } => float(format!("{digits}e{exponent}").as_bytes()),
            Decimal::About(number) => number,
        }
    }
}

/// The nearest float to a number as JSON writes it; infinite past the greatest.
pub(crate) fn float(text: &[u8]) -> f64 {
    str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        if let (Decimal::Exact { exponent: a, .. }, Decimal::Exact { exponent: b, .. }) = (self, other) {
            let scale = a.min(b).saturating_neg();
            if let (Some(a), Some(b)) = (self.scaled(scale), other.scaled(scale)) {
                return Some(a.cmp(&b));
            }
        }
        self.about().partial_cmp(&other.about())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes())
    }

    #[test]
    fn numbers_compare_by_value() {
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("0", "-0.0"), ("1.50", "15E-1"), ("0e99", "0")] {
            assert_eq!(number(a), number(b), "{a} {b}");
        }
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("-1", "-0.5"),
            ("0.1", "0.10000000000000000001"),
            ("1", "1e400"),
            ("1e-400", "1"),
            ("123456789012345678901234567890123456789012", "2e42"),
        ] {
            assert!(number(less) < number(more), "{less} {more}");
        }
    }

    #[test]
    fn integers_and_multiples_are_told_exactly() {
        for (text, integer) in [("1.0", true), ("1e3", true), ("10e-1", true), ("1.5", false), ("1e-1", false)] {
            assert_eq!(number(text).is_integer(), integer, "{text}");
        }
        for (a, b, multiple) in [
            ("0.3", "0.1", true),
            ("19.99", "0.01", true),
            ("0.35", "0.1", false),
            ("0", "7", true),
            ("-21", "7", true),
            ("7.5", "2.5", true),
            ("8", "3", false),
        ] {
            assert_eq!(number(a).is_multiple_of(number(b)), multiple, "{a} {b}");
        }
    }

    #[test]
    fn a_scaled_number_is_exact_or_none() {
        assert_eq!(number("12.34").scaled(2), Some(1234));
        assert_eq!(number("12.34").scaled(3), Some(12340));
        assert_eq!(number("-12").scaled(0), Some(-12));
        assert_eq!(number("12.34").scaled(1), None);
        assert_eq!(number("1e40").scaled(0), None);
        assert_eq!(number("0.00").scaled(0), Some(0));
    }
}
