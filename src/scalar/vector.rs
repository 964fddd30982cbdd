//! The vector type that belongs to each scalar.

use fearless_simd::{Simd, SimdFloat, SimdFloatElement, f32x16, f64x8};

/// A scalar with a vector of fixed width.
///
/// The width is the same on every machine: a sum over lanes then has the same order, and so the same floats, whatever
/// instructions carry it out.
pub trait Vectorised: Copy + SimdFloatElement {
    /// Lanes of one vector, 64 bytes in all.
    const LANES: usize;

    /// The vector of [`Self::LANES`] lanes under the instruction set `S`.
    type Vector<S: Simd>: SimdFloat<S, Element = Self>;
}

impl Vectorised for f32 {
    const LANES: usize = 16;
    type Vector<S: Simd> = f32x16<S>;
}

impl Vectorised for f64 {
    const LANES: usize = 8;
    type Vector<S: Simd> = f64x8<S>;
}
