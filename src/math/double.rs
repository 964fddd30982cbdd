//! Numbers of about 106 bits: the sum of two doubles that is never carried out.
//!
//! ```text
//! x = high + low,   |low| <= half a unit in the last place of high
//! ```
//!
//! Source: T. J. Dekker, "A floating-point technique for extending the available precision", Numerische Mathematik 18
//! (1971).
//!
//! Sums and products are always inlined, so that loops over many numbers can be vectors.

use core::ops::{Add, Div, Mul, Sub};

/// A sum of two doubles. Products of factors beyond 10²⁹⁹ overflow.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Double {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl Double {
    /// The exact sum.
    #[inline(always)]
    pub(crate) fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let of_b = high - a;
        Self { high, low: (a - (high - of_b)) + (b - of_b) }
    }

    /// The exact product.
    #[inline(always)]
    pub(crate) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        let ((a1, a2), (b1, b2)) = (halves(a), halves(b));
        Self { high, low: (a1 * b1 - high + a1 * b2 + a2 * b1) + a2 * b2 }
    }

    /// The nearest double.
    pub(crate) fn value(self) -> f64 {
        self.high + self.low
    }

    /// The exact sum where `a` is the larger.
    #[inline(always)]
    fn ordered(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: b - (high - a) }
    }
}

/// Two numbers of 26 bits whose sum is `a`.
#[inline(always)]
fn halves(a: f64) -> (f64, f64) {
    const SPLIT: f64 = ((1_u64 << 27) + 1) as f64;
    let scaled = SPLIT * a;
    let upper = scaled - (scaled - a);
    (upper, a - upper)
}

impl From<f64> for Double {
    #[inline(always)]
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl From<u64> for Double {
    fn from(count: u64) -> Self {
        let lower = count & 0xffff_ffff;
        Self::sum((count - lower) as f64, lower as f64)
    }
}

impl Add for Double {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (high, low) = (Self::sum(self.high, other.high), Self::sum(self.low, other.low));
        let first = Self::ordered(high.high, high.low + low.high);
        Self::ordered(first.high, first.low + low.low)
    }
}

impl Sub for Double {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { high: -other.high, low: -other.low }
    }
}

impl Mul for Double {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::ordered(product.high, product.low + (self.high * other.low + self.low * other.high))
    }
}

impl Div for Double {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * Self::from(first);
        let second = rest.high / other.high;
        let rest = rest - other * Self::from(second);
        Self::ordered(first, second) + Self::from(rest.high / other.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        assert_eq!(Double::sum(1e16, 1.0), Double { high: 1e16, low: 1.0 });
        let product = Double::product((1_u64 << 53) as f64 - 1.0, (1_u64 << 53) as f64 - 1.0);
        // (2^53 - 1)^2 = 2^106 - 2^54 + 1
        assert_eq!((product.high, product.low), ((1_u128 << 106) as f64 - (1_u64 << 54) as f64, 1.0));
        assert_eq!(Double::from(u64::MAX) - Double::from(u64::MAX - 3), Double::from(3.0));
    }

    #[test]
    fn a_quotient_has_twice_the_digits() {
        let third = Double::from(1.0) / Double::from(3.0);
        let rest = Double::from(1.0) - third * Double::from(3.0);
        assert!(rest.value().abs() < 1e-31 && third.low != 0.0);
        assert_eq!((Double::from(9.0) / Double::from(3.0)).value(), 3.0);
    }
}
