//! The choice of vector instructions, made once per call of a kernel.
//!
//! A kernel is an `#[inline(always)]` function over `S: Simd`; [`dispatch`] compiles it for every instruction set and
//! runs the best one that the machine has. Products and sums are rounded one by one, never fused, and vectors have a
//! fixed width, so the floats are the same on every machine.

pub(crate) use fearless_simd::{Level, Select, Simd, SimdBase, dispatch, u32x16};

/// The vector of the scalar `T` under the instruction set `S`.
pub(crate) type Vector<T, S> = <T as crate::scalar::Vectorised>::Vector<S>;

/// The best instruction set of this machine; without `std` the best that the build assumes.
#[inline]
pub(crate) fn level() -> Level {
    Level::try_detect().unwrap_or(Level::baseline())
}

/// Whether `S` has registers of at least 64 bytes, and so 32 of them.
#[inline(always)]
pub(crate) fn wide<S: Simd>() -> bool {
    <S::f32s as SimdBase<S>>::LEN >= 16
}
