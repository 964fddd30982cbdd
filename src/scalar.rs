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
}
