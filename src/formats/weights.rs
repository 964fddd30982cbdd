//! From the tensors of a file to parameters in canonical orientation. Names tell the orientation, shapes only confirm it.

use alloc::string::ToString;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, Array3, ArrayD, Dimension, Slice};

use super::fail;
use super::loaded::{Axis, StoredTensor};
use super::tensor::{Dtype, Tensor, Tensors};
use crate::error::check_finite;
use crate::sae::Activation;
use crate::{FormatKind, Result, Scalar};

/// Rows and columns that are transposed at once, so that both sides stay in the cache.
const TILE: usize = 64;

/// Tensors that are being read, and what was learnt about them.
#[derive(Debug)]
pub(super) struct Weights<'a> {
    tensors: Tensors<'a>,
    stored: Vec<StoredTensor>,
    notes: Vec<&'static str>,
}

impl<'a> Weights<'a> {
    pub(super) fn new(tensors: Tensors<'a>) -> Self {
        Self { tensors, stored: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.tensors.get(name).map(|tensor| tensor.shape().len())
    }

    pub(super) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// Type of the decoder, orientations and notes.
    pub(super) fn finish(self) -> (Dtype, Vec<StoredTensor>, Vec<&'static str>) {
        let is_decoder =
            |tensor: &&StoredTensor| tensor.axes.contains(&Axis::Latent) && tensor.axes.contains(&Axis::Output);
        let dtype = self.stored.iter().find(is_decoder).map_or(Dtype::F32, |tensor| tensor.dtype);
        (dtype, self.stored, self.notes)
    }

    fn tensor(&self, name: &'static str) -> Result<&Tensor<'a>> {
        self.tensors.get(name).ok_or(fail(FormatKind::Missing, name, 0))
    }

    /// The finite elements of a tensor with these axes.
    fn read<T: Scalar, const N: usize>(&mut self, name: &'static str, axes: [Axis; N]) -> Result<ArrayD<T>> {
        let tensor = self.tensor(name)?;
        // no file bounds an axis beside an empty one, and what is made of such an axis could be of any size
        if tensor.shape().len() != N || tensor.shape().contains(&0) {
            return Err(fail(FormatKind::Shape, name, 0));
        }
        if !tensor.dtype().is_float() {
            return Err(fail(FormatKind::Dtype, name, 0));
        }
        let array = tensor.array()?;
        check_finite(name, &array)?;
        let (dtype, column_major) = (tensor.dtype(), tensor.is_column_major());
        self.stored.push(StoredTensor { name: name.to_string(), axes: axes.to_vec(), dtype, column_major });
        Ok(array)
    }

    fn fixed<T, D: Dimension>(name: &'static str, array: ArrayD<T>) -> Result<ndarray::Array<T, D>> {
        array.into_dimensionality().map_err(|_| fail(FormatKind::Shape, name, 0))
    }

    pub(super) fn vector<T: Scalar>(&mut self, name: &'static str, axis: Axis) -> Result<Array1<T>> {
        let array = self.read(name, [axis])?;
        Self::fixed(name, array)
    }

    /// `w_enc: (d_in, m)` from a matrix with these axes; column-major where that saves a copy.
    pub(super) fn encoder<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 2]) -> Result<Array2<T>> {
        self.matrix(name, axes, [Axis::Input, Axis::Latent])
    }

    /// `w_dec: (m, d_out)`, rows contiguous, from a matrix with these axes.
    pub(super) fn decoder<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 2]) -> Result<Array2<T>> {
        self.matrix(name, axes, [Axis::Latent, Axis::Output]).map(row_major)
    }

    /// `w_skip: (d_out, d_in)` from a matrix with these axes.
    pub(super) fn skip<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 2]) -> Result<Array2<T>> {
        self.matrix(name, axes, [Axis::Output, Axis::Input]).map(row_major)
    }

    fn matrix<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 2], wanted: [Axis; 2]) -> Result<Array2<T>> {
        let array = self.read(name, axes)?;
        let matrix: Array2<T> = Self::fixed(name, array)?;
        Ok(if axes == wanted { matrix } else { matrix.reversed_axes() })
    }

    pub(super) fn cube<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 3]) -> Result<Array3<T>> {
        let array = self.read(name, axes)?;
        Self::fixed(name, array)
    }

    /// A table whose axes are no weights, such as a bias per layer.
    pub(super) fn table<T: Scalar>(&mut self, name: &'static str, axes: [Axis; 2]) -> Result<Array2<T>> {
        self.matrix(name, axes, axes)
    }

    /// The one number of a tensor, of any type; `None` where there is no such tensor.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<f64>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        if tensor.shape().iter().product::<usize>() != 1 {
            return Err(fail(FormatKind::Shape, name, 0));
        }
        let array = tensor.array::<f64>()?;
        check_finite(name, &array)?;
        Ok(array.first().copied())
    }

    /// Whole numbers of a list; empty where there is no such tensor.
    pub(super) fn counts(&self, name: &'static str) -> Result<Vec<usize>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(Vec::new()) };
        let array = tensor.array::<f64>()?;
        array.iter().map(|&x| count(x).ok_or(fail(FormatKind::Config, name, 0))).collect()
    }

    /// JumpReLU with thresholds from the file. All published implementations rectify before they compare, so that a
    /// threshold below 0 acts as 0.
    pub(super) fn jump_relu<T: Scalar>(&mut self, threshold: Array1<T>) -> Activation<T> {
        if threshold.iter().any(|t| *t < T::zero()) {
            self.note("thresholds below 0 act as 0 and became 0");
        }
        Activation::JumpRelu { threshold: threshold.mapv_into(|t| t.max(T::zero())) }
    }

    /// Scales `w_dec` by the finetuned sizes of its latents, where there are any but ones; `enabled` is what the settings
    /// say, if they do.
    pub(super) fn scale_features<T: Scalar>(&mut self, w_dec: &mut Array2<T>, enabled: Option<bool>) -> Result<()> {
        let names = ["scaling_factor", "finetuning_scaling_factor"];
        let Some(name) = names.into_iter().find(|name| self.has(name)) else { return Ok(()) };
        let scale: Array1<T> = self.vector(name, Axis::Latent)?;
        if scale.len() != w_dec.nrows() {
            return Err(fail(FormatKind::Shape, name, 0));
        }
        if scale.iter().all(|s| (*s - T::one()).abs() <= T::of(1e-5)) {
            self.note("a scaling_factor of ones was dropped");
            return Ok(());
        }
        if enabled == Some(false) {
            return Err(fail(FormatKind::Config, "finetuning_scaling_factor", 0));
        }
        self.note("the finetuned scaling_factor was multiplied into the decoder");
        for (mut row, &scale) in w_dec.rows_mut().into_iter().zip(&scale) {
            row *= scale;
        }
        Ok(())
    }
}

/// A whole number from 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
pub(super) fn count(x: f64) -> Option<usize> {
    let fits = (0.0..9e15).contains(&x) && x <= usize::MAX as f64 && libm::floor(x) == x;
    fits.then_some(x as usize)
}

/// A number of latents from 1 to `m`; anything else contradicts the weights.
pub(super) fn active(k: Option<usize>, m: usize) -> Result<usize> {
    k.filter(|k| (1..=m).contains(k)).ok_or(fail(FormatKind::Config, "k, from 1 to the number of latents", 0))
}

/// `e^x` of every logarithm of a threshold.
pub(super) fn exponential<T: Scalar>(logarithms: Array1<T>) -> Result<Array1<T>> {
    let thresholds = logarithms.mapv_into(|x| T::of(libm::exp(x.as_f64())));
    check_finite("threshold", &thresholds)?;
    Ok(thresholds)
}

/// The same matrix with contiguous rows.
fn row_major<T: Scalar>(matrix: Array2<T>) -> Array2<T> {
    if matrix.is_standard_layout() {
        return matrix;
    }
    let mut out = Array2::zeros(matrix.dim());
    for row in (0..matrix.nrows()).step_by(TILE) {
        for column in (0..matrix.ncols()).step_by(TILE) {
            let rows = Slice::from(row..(row + TILE).min(matrix.nrows()));
            let columns = Slice::from(column..(column + TILE).min(matrix.ncols()));
            let tile = |axis: ndarray::AxisDescription| if axis.axis.index() == 0 { rows } else { columns };
            out.slice_each_axis_mut(tile).assign(&matrix.slice_each_axis(tile));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, array};

    fn weights(tensors: &[(&str, Tensor<'static>)]) -> Weights<'static> {
        Weights::new(tensors.iter().map(|(name, tensor)| ((*name).to_string(), tensor.clone())).collect())
    }

    fn tensor<D: Dimension>(array: &ndarray::ArrayRef<f64, D>) -> Tensor<'static> {
        Tensor::from_array(array, Dtype::F64).unwrap()
    }

    #[test]
    fn orientation_goes_by_axes() {
        let stored = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let mut weights = weights(&[("w", tensor(&stored))]);
        assert_eq!(weights.encoder("w", [Axis::Input, Axis::Latent]), Ok(stored.clone()));
        assert_eq!(weights.encoder("w", [Axis::Latent, Axis::Input]), Ok(stored.t().to_owned()));
        let decoder: Array2<f64> = weights.decoder("w", [Axis::Output, Axis::Latent]).unwrap();
        assert!(decoder == stored.t() && decoder.is_standard_layout());
        assert_eq!(weights.skip("w", [Axis::Output, Axis::Input]), Ok(stored));
        let (dtype, stored, _) = weights.finish();
        assert_eq!((dtype, stored.len(), &stored[2].axes[..]), (Dtype::F64, 4, &[Axis::Output, Axis::Latent][..]));
    }

    #[test]
    fn tiles_cover_all_of_a_matrix() {
        let matrix = Array::from_shape_fn((130, 67), |(i, j)| (i * 1000 + j) as f64);
        assert_eq!(row_major(matrix.t().to_owned().reversed_axes()), matrix);
        assert_eq!(row_major(matrix.clone().reversed_axes()), matrix.t());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let none = Tensor::new(Dtype::F32, &[0], vec![]).unwrap();
        let whole = Tensor::new(Dtype::I32, &[1], vec![7, 0, 0, 0]).unwrap();
        let mut weights = weights(&[("v", tensor(&array![1.0, f64::NAN])), ("k", whole), ("none", none)]);
        let kind = |result: Result<Array1<f64>>| result.unwrap_err().format_kind().unwrap();
        assert_eq!(kind(weights.vector("v", Axis::Latent)), FormatKind::NotFinite);
        assert_eq!(kind(weights.vector("x", Axis::Latent)), FormatKind::Missing);
        assert_eq!(kind(weights.vector("k", Axis::Latent)), FormatKind::Dtype);
        assert_eq!(kind(weights.vector("none", Axis::Latent)), FormatKind::Shape);
        assert_eq!(
            weights.encoder::<f64>("v", [Axis::Input, Axis::Latent]).unwrap_err().format_kind(),
            Some(FormatKind::Shape)
        );
        assert_eq!((weights.number("k"), weights.number("x")), (Ok(Some(7.0)), Ok(None)));
        assert_eq!(weights.counts("k"), Ok(vec![7]));
        assert!(weights.number("v").is_err() && weights.counts("v").is_err());
        assert!(active(Some(0), 3).is_err() && active(None, 3).is_err() && active(Some(3), 3) == Ok(3));
    }

    #[test]
    fn sizes_of_features_go_into_the_decoder() {
        let mut weights = weights(&[("scaling_factor", tensor(&array![1.0, 2.0]))]);
        let mut w_dec = array![[1.0], [3.0]];
        assert!(weights.scale_features(&mut w_dec, Some(false)).is_err());
        weights.scale_features(&mut w_dec, Some(true)).unwrap();
        assert_eq!(w_dec, array![[1.0], [6.0]]);
    }
}
