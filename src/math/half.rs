//! Sixteen-bit floats as storage: IEEE half precision and bfloat16, to and from `f32`.
//!
//! ```text
//!         sign  exponent  fraction    largest       smallest normal   smallest
//! f16       1       5        10       65504         2^-14             2^-24
//! bf16      1       8         7       3.39e38       2^-126            2^-133
//! ```
//!
//! Into 16 bits: nearest, ties to even, overflow to infinity, subnormals kept. Out of 16 bits: exact. NaN stays NaN.
//!
//! Source: IEEE 754-2019, sections 3.4 and 4.3.1; bfloat16 is the upper half of a `f32`.

/// Bits of the `bf16` nearest to `x`.
///
/// # Example
/// ```
/// use limpid::math::half::{bf16_from_f32, bf16_to_f32};
///
/// assert_eq!(bf16_from_f32(1.1), 0x3f8d);
/// assert_eq!(bf16_to_f32(0x3f8d), 1.1015625);
/// ```
#[must_use]
#[inline]
pub fn bf16_from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        // rounding could carry a NaN into infinity: keep its upper bits and make it quiet
        return (bits >> 16) as u16 | 0x40;
    }
    let round = 0x7fff + (bits >> 16 & 1);
    ((bits + round) >> 16) as u16
}

/// The value of a `bf16`.
#[must_use]
#[inline]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Bits of the `f16` nearest to `x`.
///
/// # Example
/// ```
/// use limpid::math::half::{f16_from_f32, f16_to_f32};
///
/// assert_eq!(f16_from_f32(1.1), 0x3c66);
/// assert_eq!(f16_to_f32(0x0001), 2.0_f32.powi(-24));
/// assert_eq!(f16_to_f32(f16_from_f32(65520.0)), f32::INFINITY);
/// ```
#[expect(clippy::cast_possible_truncation, reason = "every result was brought below 2^15")]
#[must_use]
#[inline]
pub fn f16_from_f32(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = bits & 0x7fff_ffff;
    let rest = match size {
        // NaN: keep it a NaN, and quiet
        0x7f80_0001.. => 0x7e00 | (size >> 13 & 0x3ff) as u16,
        // 65520 and more round to infinity
        0x477f_f000.. => 0x7c00,
        // normal: move the exponent's bias from 127 to 15, drop 13 bits; a carry into the exponent is right
        0x3880_0000.. => rounded_shift(size - (112 << 23), 13) as u16,
        // subnormal, above half of the smallest: the fraction with its leading one, shifted to units of 2^-24
        0x3300_0001.. => rounded_shift(size & 0x7f_ffff | 0x80_0000, 126 - (size >> 23)) as u16,
        _ => 0,
    };
    sign | rest
}

/// `x / 2^shift` to the nearest, ties to even; `shift` is 1 to 24.
#[inline(always)]
fn rounded_shift(x: u32, shift: u32) -> u32 {
    let half = 1 << (shift - 1);
    (x + (half - 1) + (x >> shift & 1)) >> shift
}

/// The value of a `f16`.
#[must_use]
#[inline]
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let size = match exponent {
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(), // units of 2^-24, exact
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back_as_it_was() {
        for bits in (0..=u16::MAX).step_by(if cfg!(miri) { 255 } else { 1 }) {
            let (half, brain) = (f16_to_f32(bits), bf16_to_f32(bits));
            assert!(half.is_nan() && f16_to_f32(f16_from_f32(half)).is_nan() || f16_from_f32(half) == bits, "{bits:x}");
            assert!(brain.is_nan() && bf16_to_f32(bf16_from_f32(brain)).is_nan() || bf16_from_f32(brain) == bits);
        }
    }

    #[test]
    fn between_two_neighbours_the_nearer_or_the_even_one_is_taken() {
        for bits in (0..0x7bff_u16).step_by(if cfg!(miri) { 127 } else { 1 }) {
            let (low, high) = (f16_to_f32(bits), f16_to_f32(bits + 1));
            let middle = low / 2.0 + high / 2.0;
            assert_eq!(f16_from_f32(middle), bits + (bits & 1), "{bits:x}");
            assert_eq!(f16_from_f32(f32::from_bits(middle.to_bits() - 1)), bits, "{bits:x}");
            assert_eq!(f16_from_f32(f32::from_bits(middle.to_bits() + 1)), bits + 1, "{bits:x}");
        }
        assert_eq!([65519.996, 65520.0, 1e30].map(f16_from_f32), [0x7bff, 0x7c00, 0x7c00]);
        assert_eq!([1.003_906_3, 1.011_718_8, f32::MAX].map(bf16_from_f32), [0x3f80, 0x3f82, 0x7f80]);
    }

    #[test]
    fn nan_and_signs_stay() {
        assert!(f16_to_f32(f16_from_f32(f32::NAN)).is_nan() && bf16_to_f32(bf16_from_f32(f32::NAN)).is_nan());
        let barely_nan = f32::from_bits(0x7f80_0001);
        assert!(f16_to_f32(f16_from_f32(barely_nan)).is_nan() && bf16_to_f32(bf16_from_f32(barely_nan)).is_nan());
        assert_eq!([-0.0, f32::NEG_INFINITY].map(f16_from_f32), [0x8000, 0xfc00]);
        assert_eq!([-0.0, f32::NEG_INFINITY].map(bf16_from_f32), [0x8000, 0xff80]);
    }
}
