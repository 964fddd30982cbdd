//! A tensor as it lies in a file: element type, shape, strides and borrowed bytes, converted when it is asked for.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{ArrayD, ArrayRef, ArrayView, Dimension, IxDyn, ShapeBuilder};

use super::fail;
use crate::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use crate::{Error, FormatKind, Result, Scalar};

/// Axes that a tensor may have.
const MAX_RANK: usize = 16;

/// Tensors by name.
pub type Tensors<'a> = BTreeMap<String, Tensor<'a>>;

/// Type of the elements of a stored tensor; little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Dtype {
    /// Double precision.
    F64,
    /// Single precision.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
    /// Signed 64-bit.
    I64,
    /// Signed 32-bit.
    I32,
    /// Signed 16-bit.
    I16,
    /// Signed 8-bit.
    I8,
    /// Unsigned 64-bit.
    U64,
    /// Unsigned 32-bit.
    U32,
    /// Unsigned 16-bit.
    U16,
    /// Unsigned 8-bit.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Bytes of an element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether it is a float.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
}

/// A tensor in the bytes of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Tensor<'a> {
    /// A row-major tensor whose elements are all of `bytes`.
    ///
    /// # Errors
    /// [`Error::Format`] of the kind [`FormatKind::Shape`] where the shape needs another number of bytes, or
    /// [`FormatKind::Limit`] for more than 16 axes.
    pub fn new(dtype: Dtype, shape: &[usize], bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let needed = elements(shape)?.checked_mul(dtype.size());
        if needed != Some(bytes.len()) {
            return Err(fail(FormatKind::Shape, "shape that needs as many bytes as there are", 0));
        }
        Ok(Self { dtype, shape: shape.to_vec(), strides: row_major(shape), bytes })
    }

    /// A tensor with any strides (in elements) over `bytes`, which may be longer.
    pub(super) fn strided(dtype: Dtype, shape: &[usize], strides: &[usize], bytes: &'a [u8]) -> Result<Self> {
        let outside = fail(FormatKind::Bounds, "strides that stay inside of the storage", 0);
        let (count, stored) = (elements(shape)?, bytes.len() / dtype.size());
        if strides.len() != shape.len() {
            return Err(fail(FormatKind::Shape, "as many strides as axes", 0));
        }
        // an expanded tensor repeats elements: a few stored ones must not become many
        if count > stored {
            return Err(outside);
        }
        let last = shape
            .iter()
            .zip(strides)
            .try_fold(0_usize, |last, (&axis, &stride)| last.checked_add(stride.checked_mul(axis.saturating_sub(1))?));
        let used = if count == 0 { 0 } else { last.ok_or(outside)?.checked_add(1).ok_or(outside)? };
        let bytes = used.checked_mul(dtype.size()).and_then(|end| bytes.get(..end)).ok_or(outside)?;
        Ok(Self { dtype, shape: shape.to_vec(), strides: strides.to_vec(), bytes: Cow::Borrowed(bytes) })
    }

    /// A column-major tensor whose elements are all of `bytes`.
    pub(super) fn column_major(dtype: Dtype, shape: &[usize], bytes: Cow<'a, [u8]>) -> Result<Self> {
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        let mut tensor = Self::new(dtype, &reversed, bytes)?;
        tensor.shape.reverse();
        tensor.strides.reverse();
        Ok(tensor)
    }

    /// The tensor that holds `x`, each element rounded to the nearest of `dtype`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where a finite element becomes infinite; [`Error::Unsupported`] for types that are no floats.
    ///
    /// # Example
    /// ```
    /// use limpid::formats::{Dtype, Tensor};
    /// use ndarray::array;
    ///
    /// let tensor = Tensor::from_array(&array![[1.1_f32, 2.0]], Dtype::Bf16)?;
    /// assert_eq!(tensor.array::<f32>()?, array![[1.1015625, 2.0]].into_dyn());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn from_array<T: Scalar, D: Dimension>(x: &ArrayRef<T, D>, dtype: Dtype) -> Result<Tensor<'static>> {
        let mut bytes = Vec::with_capacity(x.len().saturating_mul(dtype.size()));
        for (index, &value) in x.iter().enumerate() {
            let kept = append(value.as_f64(), dtype, &mut bytes)?;
            if !kept.is_finite() && value.is_finite() {
                let expected = "within the range of the stored type";
                return Err(Error::OutOfRange { what: "tensor to be stored", index, value: value.as_f64(), expected });
            }
        }
        Tensor::new(dtype, x.shape(), bytes)
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Lengths of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether the first axis runs fastest, in two or more axes of more than one element.
    #[must_use]
    pub fn is_column_major(&self) -> bool {
        let reversed = |x: &[usize]| x.iter().rev().copied().collect::<Vec<_>>();
        self.strides != row_major(&self.shape) && reversed(&self.strides) == row_major(&reversed(&self.shape))
    }

    /// All elements as floats; a column-major tensor becomes a column-major array, without another copy.
    ///
    /// # Errors
    /// [`Error::Format`] of the kind [`FormatKind::Shape`] where the strides make elements share their place.
    pub fn array<T: Scalar>(&self) -> Result<ArrayD<T>> {
        let shape = IxDyn(&self.shape);
        let wrong = |_| fail(FormatKind::Shape, "strides that give every element its own place", 0);
        let values = values(self.dtype, &self.bytes);
        if self.strides == row_major(&self.shape) {
            return ArrayD::from_shape_vec(shape, values).map_err(wrong);
        }
        if self.is_column_major() {
            return ArrayD::from_shape_vec(shape.f(), values).map_err(wrong);
        }
        let view = ArrayView::from_shape(shape.strides(IxDyn(&self.strides)), &values).map_err(wrong)?;
        Ok(view.as_standard_layout().into_owned())
    }

    /// The bytes in row-major order, borrowed where they lie so.
    pub(super) fn row_major_bytes(&self) -> Option<&[u8]> {
        (self.strides == row_major(&self.shape)).then_some(&*self.bytes)
    }
}

/// Number of elements of a shape.
pub(super) fn elements(shape: &[usize]) -> Result<usize> {
    if shape.len() > MAX_RANK {
        return Err(fail(FormatKind::Limit, "axes of a tensor, of which there may be 16", 0));
    }
    // strides are products of the axes, also where another axis is 0
    let extent = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n.max(1)));
    match extent {
        Some(extent) if extent <= isize::MAX.unsigned_abs() => Ok(shape.iter().product()),
        _ => Err(fail(FormatKind::Shape, "shape of a countable size", 0)),
    }
}

/// Row-major strides in elements; `shape` was checked to have a product.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = alloc::vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

pub(super) fn values<T: Scalar>(dtype: Dtype, bytes: &[u8]) -> Vec<T> {
    fn each<const N: usize, T: Scalar>(bytes: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| T::of(of(chunk))).collect()
    }
    match dtype {
        Dtype::F64 => each(bytes, f64::from_le_bytes),
        Dtype::F32 => each(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => each(bytes, |b| f64::from(f16_to_f32(u16::from_le_bytes(b)))),
        Dtype::Bf16 => each(bytes, |b| f64::from(bf16_to_f32(u16::from_le_bytes(b)))),
        Dtype::I64 => each(bytes, |b| i64::from_le_bytes(b) as f64),
        Dtype::U64 => each(bytes, |b| u64::from_le_bytes(b) as f64),
        Dtype::I32 => each(bytes, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U32 => each(bytes, |b| f64::from(u32::from_le_bytes(b))),
        Dtype::I16 => each(bytes, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U16 => each(bytes, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I8 => each(bytes, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::U8 | Dtype::Bool => each(bytes, |[b]| f64::from(b)),
    }
}

/// Appends `x` as `dtype`, and returns what it became.
fn append(x: f64, dtype: Dtype, out: &mut Vec<u8>) -> Result<f64> {
    let single = f32::of(x);
    match dtype {
        Dtype::F64 => {
            out.extend(x.to_le_bytes());
            Ok(x)
        }
        Dtype::F32 => {
            out.extend(single.to_le_bytes());
            Ok(f64::from(single))
        }
        Dtype::F16 | Dtype::Bf16 => {
            let (bits, kept) = if dtype == Dtype::F16 {
                let bits = f16_from_f32(single);
                (bits, f16_to_f32(bits))
            } else {
                let bits = bf16_from_f32(single);
                (bits, bf16_to_f32(bits))
            };
            out.extend(bits.to_le_bytes());
            Ok(f64::from(kept))
        }
        _ => Err(Error::Unsupported { what: "weights stored as whole numbers" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn every_type_is_read() {
        let read = |dtype, bytes: &[u8]| Tensor::new(dtype, &[1], bytes.to_vec()).unwrap().array::<f64>().unwrap()[0];
        assert_eq!(read(Dtype::F64, &1.5_f64.to_le_bytes()), 1.5);
        assert_eq!(read(Dtype::F32, &1.5_f32.to_le_bytes()), 1.5);
        assert_eq!(read(Dtype::F16, &[0x00, 0x3e]), 1.5);
        assert_eq!(read(Dtype::Bf16, &[0xc0, 0x3f]), 1.5);
        assert_eq!(read(Dtype::I64, &(-3_i64).to_le_bytes()), -3.0);
        assert_eq!(read(Dtype::U64, &3_u64.to_le_bytes()), 3.0);
        assert_eq!(read(Dtype::I32, &(-3_i32).to_le_bytes()), -3.0);
        assert_eq!(read(Dtype::U32, &3_u32.to_le_bytes()), 3.0);
        assert_eq!(read(Dtype::I16, &(-3_i16).to_le_bytes()), -3.0);
        assert_eq!(read(Dtype::U16, &3_u16.to_le_bytes()), 3.0);
        assert_eq!(read(Dtype::I8, &[0xfd]), -3.0);
        assert_eq!(read(Dtype::U8, &[3]), 3.0);
        assert_eq!(read(Dtype::Bool, &[1]), 1.0);
    }

    #[test]
    fn any_strides_give_the_same_elements() {
        let bytes: Vec<u8> = (0..6_u8).collect();
        let read = |shape: &[usize], strides: &[usize]| {
            Tensor::strided(Dtype::U8, shape, strides, &bytes).and_then(|t| t.array::<f32>())
        };
        assert_eq!(read(&[2, 3], &[3, 1]).unwrap(), array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]].into_dyn());
        assert_eq!(read(&[3, 2], &[1, 3]).unwrap(), array![[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]].into_dyn());
        assert_eq!(read(&[2], &[2]).unwrap(), array![0.0, 2.0].into_dyn());
        assert_eq!(read(&[2, 2], &[3, 2]).unwrap(), array![[0.0, 2.0], [3.0, 5.0]].into_dyn());
        assert_eq!(read(&[], &[]).unwrap().len(), 1);
        let columns = Tensor::column_major(Dtype::U8, &[3, 2], bytes.clone().into()).unwrap();
        assert!(columns.is_column_major() && columns.row_major_bytes().is_none());
        assert_eq!(columns.array::<f32>().unwrap(), read(&[3, 2], &[1, 3]).unwrap());
    }

    #[test]
    fn nothing_reaches_outside() {
        let bytes = [0_u8; 6];
        let kind = |shape: &[usize], strides: &[usize]| {
            Tensor::strided(Dtype::U8, shape, strides, &bytes).unwrap_err().format_kind().unwrap()
        };
        assert_eq!(kind(&[2, 3], &[4, 1]), FormatKind::Bounds);
        assert_eq!(kind(&[2, 3], &[usize::MAX, 1]), FormatKind::Bounds);
        assert_eq!(kind(&[1_000_000], &[0]), FormatKind::Bounds);
        assert_eq!(kind(&[usize::MAX, 2], &[1, 1]), FormatKind::Shape);
        assert_eq!(kind(&[2], &[1, 1]), FormatKind::Shape);
        assert_eq!(kind(&[1; 17], &[1; 17]), FormatKind::Limit);
        assert!(Tensor::new(Dtype::F32, &[2], vec![0; 7]).is_err());
        assert!(Tensor::new(Dtype::F32, &[0, usize::MAX, 2], vec![]).is_err());
        assert!(Tensor::new(Dtype::F32, &[0, 5], vec![]).is_ok());
    }

    #[test]
    fn rounding_may_not_make_a_weight_infinite() {
        let large = array![1.0, 1e5];
        assert!(matches!(Tensor::from_array(&large, Dtype::F16), Err(Error::OutOfRange { index: 1, .. })));
        assert!(Tensor::from_array(&large, Dtype::Bf16).is_ok() && Tensor::from_array(&large, Dtype::I32).is_err());
        let wide = Tensor::from_array(&array![0.1], Dtype::F64).unwrap();
        assert_eq!(wide.array::<f64>().unwrap(), array![0.1].into_dyn());
    }
}
