//! Matrices row by row in 8, 16 or 32 bits, in memory of their own or in bytes that are linked into the program.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use super::steps::{scale, step};
use crate::error::check_finite;
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
    /// Whole numbers in 8 bits with one scale per row: an error of at most 1/254 of the row's largest magnitude.
    Int8,
}

impl Precision {
    /// Bytes of a written row.
    fn row_bytes(self, width: usize) -> Option<usize> {
        match self {
            Self::F32 => width.checked_mul(4),
            Self::F16 | Self::Bf16 => width.checked_mul(2),
            Self::Int8 => width.checked_add(4),
        }
    }
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
    Steps {
        steps: Vec<i8>,
        scales: Vec<f32>,
    },
    /// Written rows where they lie.
    Linked {
        bytes: &'static [u8],
        precision: Precision,
    },
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
            Precision::Int8 => stepped(x),
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
            Stored::Steps { scales, .. } => return scales.len(),
            Stored::Linked { bytes, precision } => {
                return bytes.len() / precision.row_bytes(self.width).unwrap_or(1).max(1);
            }
        };
        elements / self.width.max(1)
    }

    pub(super) fn precision(&self) -> Precision {
        match self.stored {
            Stored::Single(_) => Precision::F32,
            Stored::Half(_) => Precision::F16,
            Stored::Brain(_) => Precision::Bf16,
            Stored::Steps { .. } => Precision::Int8,
            Stored::Linked { precision, .. } => precision,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.stored {
            Stored::Single(x) => size_of_val(&x[..]),
            Stored::Half(x) | Stored::Brain(x) => size_of_val(&x[..]),
            Stored::Steps { steps, scales } => steps.len() + size_of_val(&scales[..]),
            Stored::Linked { bytes, .. } => bytes.len(),
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
            Stored::Steps { steps, scales } => {
                let scale = scales[index];
                widened(&steps[span], buffer, |q| f32::from(q) * scale)
            }
            Stored::Linked { bytes, precision } => {
                let size = bytes.len() / self.len().max(1);
                read(&bytes[index * size..(index + 1) * size], *precision, buffer)
            }
        }
    }

    /// Appends all rows: little-endian numbers, in 8 bits the scale of a row before its steps.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.stored {
            Stored::Single(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
            Stored::Half(x) | Stored::Brain(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
            Stored::Steps { steps, scales } => {
                for (steps, scale) in steps.chunks(self.width.max(1)).zip(scales) {
                    out.extend(scale.to_le_bytes());
                    out.extend(steps.iter().map(|q| q.cast_unsigned()));
                }
            }
            Stored::Linked { bytes, .. } => out.extend_from_slice(bytes),
        }
    }

    /// Bytes that [`Rows::write`] makes of `len` rows; `None` for more than there can be.
    pub(super) fn written(len: usize, width: usize, precision: Precision) -> Option<usize> {
        precision.row_bytes(width)?.checked_mul(len)
    }

    /// Written rows, copied.
    pub(super) fn owned(bytes: &[u8], width: usize, precision: Precision) -> Self {
        let short = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|&bits| u16::from_le_bytes(bits)).collect();
        let stored = match precision {
            Precision::F32 => {
                Stored::Single(bytes.as_chunks().0.iter().map(|&bits| f32::from_le_bytes(bits)).collect())
            }
            Precision::F16 => Stored::Half(short(bytes)),
            Precision::Bf16 => Stored::Brain(short(bytes)),
            Precision::Int8 => {
                let rows = || bytes.chunks_exact(4 + width).filter_map(|row| row.split_first_chunk());
                let scales = rows().map(|(scale, _)| f32::from_le_bytes(*scale)).collect();
                Stored::Steps { steps: rows().flat_map(|(_, steps)| steps).map(|q| q.cast_signed()).collect(), scales }
            }
        };
        Self { width, stored }
    }

    /// Written rows, read where they lie whenever one is asked for.
    pub(super) fn linked(bytes: &'static [u8], width: usize, precision: Precision) -> Self {
        Self { width, stored: Stored::Linked { bytes, precision } }
    }

    /// Whether all numbers are finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub(super) fn check(&self, what: &'static str) -> Result<()> {
        let mut buffer = self.buffer();
        for i in 0..self.len() {
            check_finite(what, &ndarray::aview1(self.row(i, &mut buffer))).map_err(|error| match error {
                Error::NotFinite { what, index } => Error::NotFinite { what, index: i * self.width + index },
                other => other,
            })?;
        }
        Ok(())
    }

    /// A buffer that is long enough for [`Rows::row`].
    pub(super) fn buffer(&self) -> Vec<f32> {
        match self.stored {
            Stored::Single(_) => Vec::new(),
            _ => vec![0.0; self.width],
        }
    }
}

/// Rows in whole steps of a scale each.
fn stepped(x: &ArrayRef2<f32>) -> Stored {
    let (mut steps, mut scales) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.nrows()));
    let mut buffer = vec![0.0; x.ncols()];
    for row in x.rows() {
        buffer.iter_mut().zip(row).for_each(|(to, &from)| *to = from);
        let scale = scale(&buffer);
        steps.extend(buffer.iter().map(|&x| step(x, scale)));
        scales.push(scale);
    }
    Stored::Steps { steps, scales }
}

#[inline(always)]
fn widened<'a, V: Copy>(short: &[V], buffer: &'a mut [f32], widen: impl Fn(V) -> f32) -> &'a [f32] {
    let buffer = &mut buffer[..short.len()];
    buffer.iter_mut().zip(short).for_each(|(wide, &bits)| *wide = widen(bits));
    buffer
}

/// One written row.
#[inline(always)]
fn read<'a>(row: &[u8], precision: Precision, buffer: &'a mut [f32]) -> &'a [f32] {
    match precision {
        Precision::F32 => widened(row.as_chunks().0, buffer, f32::from_le_bytes),
        Precision::F16 => widened(row.as_chunks().0, buffer, |bits| f16_to_f32(u16::from_le_bytes(bits))),
        Precision::Bf16 => widened(row.as_chunks().0, buffer, |bits| bf16_to_f32(u16::from_le_bytes(bits))),
        Precision::Int8 => {
            // rows that are shorter than their scale are never made
            let (scale, steps) = row.split_first_chunk().unwrap_or((&[0; 4], &[]));
            let scale = f32::from_le_bytes(*scale);
            widened(steps, buffer, |q| f32::from(q.cast_signed()) * scale)
        }
    }
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

    #[test]
    fn eight_bits_by_hand() {
        let x = array![[2.54_f32, -0.031, 0.0], [0.0, 0.0, 0.0], [-127.0, 63.5, 1.0]];
        let rows = Rows::new("x", &x, Precision::Int8).unwrap();
        assert_eq!((rows.len(), rows.width(), rows.bytes()), (3, 3, 21));
        let mut buffer = rows.buffer();
        let row = rows.row(0, &mut buffer);
        assert!((row[0] - 2.54).abs() < 1e-6 && (row[1] + 0.04).abs() < 1e-6 && row[2] == 0.0);
        assert_eq!(rows.row(1, &mut buffer), [0.0; 3]);
        // halves go away from 0
        assert_eq!(rows.row(2, &mut buffer), [-127.0, 64.0, 1.0]);
    }

    #[test]
    fn written_rows_are_the_rows() {
        let x = array![[1.1_f32, -2.0, 0.5], [1e-6, 3.0, 100.25]];
        for precision in [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8] {
            let rows = Rows::new("x", &x, precision).unwrap();
            let mut bytes = Vec::new();
            rows.write(&mut bytes);
            assert_eq!((Some(bytes.len()), bytes.len()), (Rows::written(2, 3, precision), rows.bytes()));
            assert_eq!(Rows::owned(&bytes, 3, precision), rows);
            let linked = Rows::linked(bytes.leak(), 3, precision);
            assert_eq!((linked.len(), linked.bytes(), linked.precision()), (2, rows.bytes(), precision));
            for i in 0..2 {
                assert_eq!(linked.row(i, &mut linked.buffer()), rows.row(i, &mut [0.0; 3]));
            }
        }
        assert!(Rows::linked(&[0, 0, 192, 127], 1, Precision::F32).check("x").is_err());
    }
}
