//! Numbers for sums of vertices: plain doubles, and pairs of doubles where a sum cancels.
//!
//! Source: error-free sums and products of Dekker (1971) and Knuth; pair arithmetic as in Hida, Li and Bailey (2001).

use core::ops::{Add, Mul, Sub};

/// What vertex sums compute with.
pub(super) trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    fn of(x: f64) -> Self;
    /// `x + y` of plain doubles, without the rounding where the type can hold it.
    fn sum(self, y: f64) -> Self;
    /// `1 / x` to the precision of the type.
    fn inverse(x: f64) -> Self;
    fn value(self) -> f64;
}

impl Number for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn sum(self, y: f64) -> Self {
        self + y
    }

    #[inline(always)]
    fn inverse(x: f64) -> Self {
        1.0 / x
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }
}

/// An unevaluated sum of two doubles, about 32 digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Double {
    high: f64,
    low: f64,
}

/// `a + b` and its rounding error.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// `a b` and its rounding error.
#[inline(always)]
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let split = |x: f64| {
        let scaled = x * 134_217_729.0;
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let product = a * b;
    let ((a1, a0), (b1, b0)) = (split(a), split(b));
    (product, ((a1 * b1 - product) + a1 * b0 + a0 * b1) + a0 * b0)
}

impl Double {
    #[inline(always)]
    fn normal(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self { high: sum, low: low - (sum - high) }
    }
}

impl Add for Double {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (high, error) = two_sum(self.high, other.high);
        let (low, rest) = two_sum(self.low, other.low);
        let first = Self::normal(high, error + low);
        Self::normal(first.high, first.low + rest)
    }
}

impl Sub for Double {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + Self { high: -other.high, low: -other.low }
    }
}

impl Mul for Double {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        Self::normal(high, error + (self.high * other.low + self.low * other.high))
    }
}

impl Number for Double {
    #[inline(always)]
    fn of(x: f64) -> Self {
        Self { high: x, low: 0.0 }
    }

    #[inline(always)]
    fn sum(self, y: f64) -> Self {
        self + Self::of(y)
    }

    #[inline(always)]
    fn inverse(x: f64) -> Self {
        // one step of Newton's iteration, with the residual of the first guess free of error
        let guess = 1.0 / x;
        let (product, error) = two_product(x, guess);
        Self::normal(guess, ((1.0 - product) - error) * guess)
    }

    #[inline(always)]
    fn value(self) -> f64 {
        self.high + self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_double_loses_a_pair_keeps() {
        let tiny = 1e-20;
        assert_eq!((Double::of(1.0).sum(tiny) - Double::of(1.0)).value(), tiny);
        let x = Double::of(1.0).sum(1e-10);
        let square = x * x - Double::of(1.0).sum(2e-10);
        assert!((square.value() / 1e-20 - 1.0).abs() < 1e-11);
        let third = Double::inverse(3.0) * Double::of(3.0) - Double::of(1.0);
        assert!(third.value().abs() < 1e-31);
    }
}
