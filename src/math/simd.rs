//! The choice of vector instructions, made once per call of a kernel.
//!
//! A kernel is an `#[inline(always)]` function over `S: Simd`; [`dispatch`] compiles it for every instruction set and
//! runs the best one that the machine has. Vectors have a fixed width, so sums have one order on every machine. Products
//! of matrices and of blocks fuse multiplication and addition where the machine can, as every machine with AVX2 or NEON
//! does; all other kernels round them one by one, and so give the same floats everywhere.

pub(crate) use fearless_simd::{Level, Select, Simd, SimdBase, SimdFloat, SimdMask, dispatch, u32x16};

use crate::Scalar;

/// The vector of the scalar `T` under the instruction set `S`.
pub(crate) type Vector<T, S> = <T as crate::scalar::Vectorised>::Vector<S>;

/// A yes or no for each lane of [`Vector`].
pub(crate) type Mask<T, S> = <Vector<T, S> as SimdBase<S>>::Mask;

/// The best instruction set of this machine; without `std` the best that the build assumes.
#[inline]
pub(crate) fn level() -> Level {
    Level::try_detect().unwrap_or(Level::baseline())
}

/// How many vectors of 64 bytes the registers of a machine hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registers {
    /// 32.
    Wide,
    /// 8, as 16 registers of half the size or 32 of a quarter.
    Some,
    /// 4.
    Few,
}

/// What the registers of `S` hold.
#[inline(always)]
pub(crate) fn registers<S: Simd>() -> Registers {
    match <S::f32s as SimdBase<S>>::LEN {
        16.. => Registers::Wide,
        8.. => Registers::Some,
        _ if cfg!(target_arch = "aarch64") => Registers::Some,
        _ => Registers::Few,
    }
}

/// What the registers of this machine hold.
pub(crate) fn registers_here() -> Registers {
    #[inline(always)]
    fn of<S: Simd>(_: S) -> Registers {
        registers::<S>()
    }
    dispatch!(level(), simd => of(simd))
}

/// Whether `S` has registers of at least 64 bytes, and so 32 of them.
#[inline(always)]
pub(crate) fn wide<S: Simd>() -> bool {
    registers::<S>() == Registers::Wide
}

/// A vector from a slice that may be shorter; lanes without an element are 0.
#[inline(always)]
pub(crate) fn load_part<T: Scalar, S: Simd>(simd: S, from: &[T]) -> Vector<T, S> {
    if from.len() >= T::LANES {
        return Vector::<T, S>::from_slice(simd, &from[..T::LANES]);
    }
    Vector::<T, S>::from_fn(simd, |lane| from.get(lane).copied().unwrap_or_else(T::zero))
}

/// Writes the first lanes to a slice that may be shorter.
#[inline(always)]
pub(crate) fn store_part<T: Scalar, S: Simd>(from: Vector<T, S>, to: &mut [T]) {
    if to.len() >= T::LANES {
        return from.store_slice(&mut to[..T::LANES]);
    }
    to.iter_mut().zip(from.as_slice()).for_each(|(to, &from)| *to = from);
}

/// Whether dense products are fused on this machine.
#[cfg(test)]
pub(crate) fn fuses() -> bool {
    #[inline(always)]
    fn square_less_its_rounding<S: Simd>(simd: S) -> f32 {
        let x = fearless_simd::f32x16::splat(simd, 1.0 + 2.0_f32.powi(-12));
        x.mul_add(x, -fearless_simd::f32x16::splat(simd, 1.0 + 2.0_f32.powi(-11))).as_slice()[0]
    }
    dispatch!(level(), simd => square_less_its_rounding(simd)) > 0.0
}
