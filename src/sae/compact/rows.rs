//! Matrices row by row in 16 or 32 bits.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use crate::{Error, Result};

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// IEEE half precision: 11 bits of precision, up to 65504.
    F16,
    /// The upper half of a single: 8 bits of precision, the range of a single.
    Bf16,
}

/// Rows of one width.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    width: usize,
    stored: Stored,
}

#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Single(Vec<f32>),
    Half(Vec<u16>),
    Brain(Vec<u16>),
}

impl Rows {
    /// The rows of `x`, rounded.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a weight that becomes infinite.
    pub(super) fn new(what: &'static str, x: &ArrayRef2<f32>, precision: Precision) -> Result<Self> {
        let short = |of: fn(f32) -> u16, back: fn(u16) -> f32| {
            let each = x.iter().enumerate().map(|(index, &value)| {
                let bits = of(value);
                let expected = "within the range of the stored type";
                let infinite = Error::OutOfRange { what, index, value: f64::from(value), expected };
                if back(bits).is_finite() { Ok(bits) } else { Err(infinite) }
            });
            each.collect::<Result<Vec<u16>>>()
        };
        let stored = match precision {
            Precision::F32 => Stored::Single(x.iter().copied().collect()),
            Precision::F16 => Stored::Half(short(f16_from_f32, f16_to_f32)?),
            Precision::Bf16 => Stored::Brain(short(bf16_from_f32, bf16_to_f32)?),
        };
        Ok(Self { width: x.ncols(), stored })
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn len(&self) -> usize {
        let elements = match &self.stored {
            Stored::Single(x) => x.len(),
            Stored::Half(x) | Stored::Brain(x) => x.len(),
        };
        elements / self.width.max(1)
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.stored {
            Stored::Single(x) => size_of_val(&x[..]),
            Stored::Half(x) | Stored::Brain(x) => size_of_val(&x[..]),
        }
    }

    /// One row, in `buffer` where it has to be widened first.
    #[inline(always)]
    pub(super) fn row<'a>(&'a self, index: usize, buffer: &'a mut [f32]) -> &'a [f32] {
        let span = index * self.width..(index + 1) * self.width;
        match &self.stored {
            Stored::Single(x) => &x[span],
            Stored::Half(x) => widened(&x[span], buffer, f16_to_f32),
            Stored::Brain(x) => widened(&x[span], buffer, bf16_to_f32),
        }
    }

    /// A buffer that is long enough for [`Rows::row`].
    pub(super) fn buffer(&self) -> Vec<f32> {
        match self.stored {
            Stored::Single(_) => Vec::new(),
            _ => vec![0.0; self.width],
        }
    }
}

#[inline(always)]
fn widened<'a>(short: &[u16], buffer: &'a mut [f32], widen: impl Fn(u16) -> f32) -> &'a [f32] {
    let buffer = &mut buffer[..short.len()];
    buffer.iter_mut().zip(short).for_each(|(wide, &bits)| *wide = widen(bits));
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_come_back_rounded() {
        let x = array![[1.1_f32, -2.0, 0.5], [1e-6, 3.0, 100.25]];
        for (precision, bytes, tolerance) in
            [(Precision::F32, 24, 0.0), (Precision::F16, 12, 4.9e-4), (Precision::Bf16, 12, 3.91e-3)]
        {
            let rows = Rows::new("x", &x, precision).unwrap();
            assert_eq!((rows.len(), rows.width(), rows.bytes()), (2, 3, bytes));
            let mut buffer = rows.buffer();
            for (i, expected) in x.rows().into_iter().enumerate() {
                for (&a, &b) in rows.row(i, &mut buffer).iter().zip(expected) {
                    assert!(
                        (a - b).abs() <= tolerance * b.abs() + if precision == Precision::F16 { 3e-8 } else { 0.0 }
                    );
                }
            }
        }
        assert!(matches!(Rows::new("x", &array![[0.0, 1e5]], Precision::F16), Err(Error::OutOfRange { index: 1, .. })));
    }
}
