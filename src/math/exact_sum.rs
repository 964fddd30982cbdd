//! Sums that are the same to the bit in whichever order and grouping their terms come.
//!
//! ```text
//! x = ± Σ_p digit_p 2^(28 p - 1074),   0 <= digit_p < 2^28
//! sum = Σ_p (Σ_x ± digit_p) 2^(28 p - 1074)   over the N highest p in which any x had a digit
//! ```
//!
//! Each position adds up whole numbers, which is associative. What lies below the N positions is cut off each term by
//! itself, so that neither order nor grouping shows: the error is below `2^(-28 (N - 1))` of the largest term, per term.
//!
//! Source: the idea of sums over fixed positions is that of U. W. Kulisch and W. L. Miranker, "The arithmetic of the digital
//! computer: a new approach", SIAM Review 28 (1986), cut to few positions as in J. Demmel and H. D. Nguyen, "Parallel
//! reproducible summation", IEEE Transactions on Computers 64 (2015).

use alloc::vec::Vec;

use super::double::Double;
use super::merge::{Bytes, Merge, Reader};
use crate::Result;

/// Bits of a digit.
const DIGIT: i32 = 28;

const MASK: u64 = (1 << DIGIT) - 1;

/// Exponent of the lowest bit of any double.
const LOWEST: i32 = -1074;

/// Position of the highest digit of the largest double.
const HIGHEST: i32 = (1024 - 1 - LOWEST) / DIGIT;

/// A sum of up to 2³⁴ doubles, in `N` positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExactSum<const N: usize> {
    /// Highest position of a digit that is not 0, -1 without one.
    top: i32,
    /// Sums of digits, from `top` downward.
    digits: [i64; N],
}

impl<const N: usize> Default for ExactSum<N> {
    fn default() -> Self {
        Self { top: -1, digits: [0; N] }
    }
}

impl<const N: usize> ExactSum<N> {
    /// Adds a finite number.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let (mantissa, place) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        if mantissa == 0 {
            return;
        }
        let (lowest, shift) = (place / DIGIT, place % DIGIT);
        let sign = (bits >> 63).cast_signed();
        let signed = |digit: u64| ((digit & MASK).cast_signed() ^ -sign) + sign;
        let digits = [mantissa << shift, mantissa >> (DIGIT - shift), mantissa >> (2 * DIGIT - shift)].map(signed);
        // most terms of a long sum end here
        match usize::try_from(self.top - lowest) {
            Ok(at) if at >= 2 && at < N => {
                for (above, digit) in digits.into_iter().enumerate() {
                    self.digits[at - above] = self.digits[at - above].wrapping_add(digit);
                }
            }
            _ => self.add_anywhere(lowest, digits),
        }
    }

    /// Adds the digits of a number from `lowest` up, which may reach above the highest position, or below the lowest.
    #[inline(never)]
    fn add_anywhere(&mut self, lowest: i32, digits: [i64; 3]) {
        for (position, digit) in (lowest..).zip(digits).filter(|(_, digit)| *digit != 0) {
            self.raise(position);
            if let Some(sum) = usize::try_from(self.top - position).ok().and_then(|at| self.digits.get_mut(at)) {
                *sum = sum.wrapping_add(digit);
            }
        }
    }

    /// Adds a finite number of 106 bits.
    pub(crate) fn add_double(&mut self, x: Double) {
        self.add(x.high);
        self.add(x.low);
    }

    /// Makes `position` the highest one unless a higher one is.
    fn raise(&mut self, position: i32) {
        let Ok(steps) = usize::try_from(position - self.top) else { return };
        if steps == 0 {
            return;
        }
        for at in (0..N).rev() {
            self.digits[at] = at.checked_sub(steps).map_or(0, |from| self.digits[from]);
        }
        self.top = position;
    }

    /// The sum, rounded to 106 bits.
    pub(crate) fn value(&self) -> Double {
        let mut sum = Double::default();
        // positions below 0 hold nothing
        let lowest = self.top + 1 - i32::try_from(N).unwrap_or(0);
        for (position, &digit) in (lowest..).zip(self.digits.iter().rev()) {
            let scale = |x: i64| libm::scalbn(x as f64, DIGIT * position + LOWEST);
            sum = sum + Double::sum(scale(digit - (digit & 0xffff_ffff)), scale(digit & 0xffff_ffff));
        }
        sum
    }
}

impl<const N: usize> Merge for ExactSum<N> {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.raise(other.top);
        let from = usize::try_from(self.top - other.top).unwrap_or(N).min(N);
        self.digits[from..].iter_mut().zip(&other.digits).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
        Ok(())
    }
}

impl<const N: usize> Bytes for ExactSum<N> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.top.to_le_bytes());
        self.digits.iter().for_each(|digit| out.extend(digit.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("an exact sum");
        let top = input.take(4, "an exact sum")?.first_chunk().map_or(-1, |bytes| i32::from_le_bytes(*bytes));
        let mut digits = [0; N];
        for digit in &mut digits {
            *digit = input.u64("a digit of a sum")?.cast_signed();
        }
        let none = top == -1 && digits == [0; N];
        if none || (0..=HIGHEST).contains(&top) { Ok(Self { top, digits }) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{fill_normal, shuffle};

    fn of<const N: usize>(terms: &[f64]) -> ExactSum<N> {
        let mut sum = ExactSum::default();
        terms.iter().for_each(|&x| sum.add(x));
        sum
    }

    #[test]
    fn nothing_is_lost_to_a_large_term() {
        assert_eq!(of::<5>(&[1e20, 1.0, -1e20]).value().value(), 1.0);
        assert_eq!(of::<3>(&[0.1; 10]).value().value(), 1.0);
        assert_eq!(of::<3>(&[f64::MAX, -f64::MAX, -0.0]).value().value(), 0.0);
        assert_eq!(of::<2>(&[5e-324, 5e-324]).value().value(), 1e-323);
        assert_eq!(of::<4>(&[f64::MAX]).value().value(), f64::MAX);
        assert_eq!(of::<4>(&[-1.5, 0.25]).value().value(), -1.25);
        assert_eq!(of::<2>(&[]).value().value(), 0.0);
    }

    #[test]
    fn order_and_grouping_do_not_show() {
        let mut stream = Seed(3).stream(0, 0);
        let mut terms = alloc::vec![0.0; if cfg!(miri) { 20 } else { 200 }];
        fill_normal(&mut stream, 1.0, &mut terms);
        terms.iter_mut().enumerate().for_each(|(i, x)| *x *= libm::scalbn(1.0, 3 * (i32::try_from(i).unwrap() % 40)));
        let whole = of::<2>(&terms);
        for round in 0..10 {
            shuffle(&mut stream, &mut terms);
            let (a, b) = terms.split_at(round * terms.len() / 10);
            let (mut a, b) = (of::<2>(a), of::<2>(b));
            a.merge(&b).unwrap();
            assert_eq!(a, whole);
        }
        assert_eq!(ExactSum::from_bytes(&whole.to_bytes()), Ok(whole));
        let bytes = whole.to_bytes();
        assert!((0..bytes.len()).all(|end| ExactSum::<2>::from_bytes(&bytes[..end]).is_err()));
        assert!(ExactSum::<2>::from_bytes(&[0x7f; 20]).is_err());
    }
}
