//! The one scalar trait: `f32` or `f64`, with every bound that the crate needs.

use core::fmt::{Debug, Display, LowerExp};
use core::iter::Sum;

use ndarray::{LinalgScalar, ScalarOperand};
use num_traits::{Float, FloatConst, NumAssign};

mod vector;

pub(crate) use vector::Vectorised;

/// A float that the crate computes with: `f32` or `f64`.
///
/// Sealed by a supertrait that is not exported, so that operations can be added without breaking anybody.
pub trait Scalar:
    Vectorised
    + Float
    + FloatConst
    + NumAssign
    + LinalgScalar
    + ScalarOperand
    + Sum
    + Default
    + Debug
    + Display
    + LowerExp
    + Send
    + Sync
    + 'static
{
    /// Nearest value to `x`.
    fn of(x: f64) -> Self;

    /// `self` in double precision, without loss.
    fn as_f64(self) -> f64;

    /// What [`Self::sign_and_exponent`] is of 0, and below for all other numbers.
    const ZERO_EXPONENT: u16;

    /// The bits in front of the fraction: equal for numbers of the same sign between the same powers of two.
    fn sign_and_exponent(self) -> u16;

    /// Random words behind one uniform number.
    const RANDOM_WORDS: usize;

    /// Uniform number in `[0, 1)` from [`Self::RANDOM_WORDS`] random words, a multiple of the precision.
    fn uniform_from(words: &[u32]) -> Self;
}

impl Scalar for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what is asked for")]
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as Self
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    const ZERO_EXPONENT: u16 = 1 << 9;

    #[inline(always)]
    fn sign_and_exponent(self) -> u16 {
        let bits = self.to_bits();
        if bits << 1 == 0 { Self::ZERO_EXPONENT } else { (bits >> 23) as u16 }
    }

    const RANDOM_WORDS: usize = 1;

    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    #[inline(always)]
    fn uniform_from(words: &[u32]) -> Self {
        let word = words.first().copied().unwrap_or(0);
        // through i32, which every vector unit converts
        ((word >> 8).cast_signed()) as Self * (1.0 / (1_u32 << 24) as Self)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn as_f64(self) -> f64 {
        self
    }

    const ZERO_EXPONENT: u16 = 1 << 12;

    #[inline(always)]
    fn sign_and_exponent(self) -> u16 {
        let bits = self.to_bits();
        if bits << 1 == 0 { Self::ZERO_EXPONENT } else { (bits >> 52) as u16 }
    }

    const RANDOM_WORDS: usize = 2;

    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    #[inline(always)]
    fn uniform_from(words: &[u32]) -> Self {
        let word = words.first_chunk().map_or(0, |&[low, high]| u64::from(low) | u64::from(high) << 32);
        (word >> 11) as Self * (1.0 / (1_u64 << 53) as Self)
    }
}
