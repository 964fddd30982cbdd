//! ALTI: how much each token contributes to the output of an attention block, by how near its part comes to the whole.
//!
//! ```text
//! y_i = Σ_j T_i(x_j) + bias
//! T_i(x_j) = norm(Σ_h α^h_ij v^h_j + δ_ij x_j)         v^h_j = x_j W_V^h W_O^h
//! norm(z)  = (z - mean z) ⊙ γ s_i                      linear: s_i is the scale of the whole sum at position i
//! c_ij     = max(0, ‖y_i‖₁ - ‖y_i - T_i(x_j)‖₁),       then every row is divided by its sum
//! ```
//!
//! A row in which no part comes nearer to the whole than nothing does stays 0. The contributions of the model are the
//! [`rollout`](super::rollout()) of those of its layers.
//!
//! Source: Ferrando, Gállego and Costa-jussà, "Measuring the Mixing of Contextual Information in the Transformer"
//! (arXiv 2203.04212).

use alloc::vec::Vec;
use ndarray::{Array2, ArrayRef1, ArrayRef2, ArrayRef3, ArrayView1, ArrayView2, ArrayView3, Axis};

use super::MAX_TOKENS;
use super::attention::normalise_rows_with_zeros;
use super::norm::ResidualNorm;
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::gemm::add_product_into;
use crate::math::par;
use crate::{Result, Scalar};

/// One attention block, as tensors.
#[derive(Debug, Clone)]
pub struct AttentionBlock<'a, T> {
    /// Attention weights, `(h, t, t)`, row = the position that attends.
    pub attention: ArrayView3<'a, T>,
    /// What each head would write for each token, `(h, t, d)`: value vector times output projection, as
    /// [`project_heads`](super::project_heads) gives it.
    pub values: ArrayView3<'a, T>,
    /// What the residual connection carries, `(t, d)`.
    pub residual: ArrayView2<'a, T>,
    /// Bias of the output projection, `(d)`; absent = 0.
    pub bias: Option<ArrayView1<'a, T>>,
    /// The norm after the sum; the default, none, is that of models that normalise before the block.
    pub norm: ResidualNorm<T>,
}

impl<T: Scalar> AttentionBlock<'_, T> {
    /// Contributions `(t, t)`: row = the position, column = the token; rows sum to 1, or are 0.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::TooLarge`](crate::Error::TooLarge) above [`MAX_TOKENS`],
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where the norm has nothing to divide by.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::{AttentionBlock, ResidualNorm};
    /// use ndarray::array;
    ///
    /// let (attention, values) = (array![[[0.0, 1.0], [0.0, 1.0]]], array![[[9.0, 9.0], [0.0, 2.0]]]);
    /// let residual = array![[1.0, 0.0], [1.0, 0.0]];
    /// let block = AttentionBlock {
    ///     attention: attention.view(),
    ///     values: values.view(),
    ///     residual: residual.view(),
    ///     bias: None,
    ///     norm: ResidualNorm::default(),
    /// };
    /// // position 0 is (1, 2): 1 from itself, 2 from token 1
    /// assert_eq!(block.contributions()?, array![[1.0 / 3.0, 2.0 / 3.0], [0.0, 1.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn contributions(&self) -> Result<Array2<T>> {
        let whole = self.whole()?;
        let tokens = whole.output.nrows();
        let mut contributions = Array2::zeros((tokens, tokens));
        if let Some(contributions) = contributions.as_slice_mut() {
            par::for_each_chunk_mut(contributions, tokens, |i, row| {
                let mut part = ndarray::Array1::zeros(whole.output.ncols());
                for (j, contribution) in row.iter_mut().enumerate() {
                    if self.transform(i, j, whole.scales[i], &mut part) {
                        *contribution = T::of(proximity(&whole.output.row(i), &part));
                    }
                }
            });
        }
        check_finite("contributions", &contributions)?;
        normalise_rows_with_zeros(contributions.rows_mut().into_iter());
        Ok(contributions)
    }

    /// The transformed vectors `T_i(x_j)` of position `i`, `(t, d)`.
    ///
    /// # Errors
    /// As [`Self::contributions`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for a position that does not exist.
    pub fn transformed(&self, i: usize) -> Result<Array2<T>> {
        let whole = self.whole()?;
        let tokens = whole.output.nrows();
        check_each("position", &[i as f64], "a position that exists", |i: f64| i < tokens as f64)?;
        let mut parts = Array2::zeros(whole.output.raw_dim());
        for (j, mut part) in parts.rows_mut().into_iter().enumerate() {
            self.transform(i, j, whole.scales[i], &mut part);
        }
        Ok(parts)
    }

    /// The output `y: (t, d)`.
    ///
    /// # Errors
    /// As [`Self::contributions`].
    pub fn output(&self) -> Result<Array2<T>> {
        Ok(self.whole()?.output)
    }

    /// The output, and the scales that its norm has.
    pub(super) fn whole(&self) -> Result<Whole<T>> {
        self.check()?;
        let mut sum = self.residual.to_owned();
        for (attention, values) in self.attention.outer_iter().zip(self.values.outer_iter()) {
            add_product_into(&attention, &values, &mut sum)?;
        }
        if let Some(bias) = &self.bias {
            sum += bias;
        }
        check_finite("output", &sum)?;
        let scales = self.norm.scales(&sum)?.iter().map(|scale| scale.as_f64()).collect();
        Ok(Whole { output: self.norm.apply(&sum)?, scales })
    }

    fn check(&self) -> Result<()> {
        let ((heads, tokens, _), width) = (self.attention.dim(), self.residual.ncols());
        check_not_empty("attention", &self.attention)?;
        check_limit("tokens", tokens, MAX_TOKENS)?;
        check_shape("attention", &self.attention, &[heads, tokens, tokens])?;
        check_shape("values", &self.values, &[heads, tokens, width])?;
        check_shape("residual", &self.residual, &[tokens, width])?;
        self.norm.check(width)?;
        check_finite("attention", &self.attention)?;
        check_finite("values", &self.values)?;
        check_finite("residual", &self.residual)?;
        self.bias.as_ref().map_or(Ok(()), |bias| {
            check_shape("bias", bias, &[width])?;
            check_finite("bias", bias)
        })
    }

    /// Writes `T_i(x_j)` to `part: (d)`; false, and nothing is written, where it is 0 because nothing is attended to.
    fn transform(&self, i: usize, j: usize, scale: f64, part: &mut ArrayRef1<T>) -> bool {
        let weights = self.attention.outer_iter().map(|attention| attention[[i, j]]);
        if i != j && weights.clone().all(|weight| weight == T::zero()) {
            return false;
        }
        if i == j {
            part.assign(&self.residual.row(i));
        } else {
            part.fill(T::zero());
        }
        for (weight, values) in weights.zip(self.values.outer_iter()) {
            part.zip_mut_with(&values.row(j), |part, &value| *part += weight * value);
        }
        self.norm.part_in_place(part, scale);
        true
    }
}

/// The output of a block.
#[derive(Debug)]
pub(super) struct Whole<T> {
    /// `y: (t, d)`.
    pub(super) output: Array2<T>,
    /// `s: (t)`.
    pub(super) scales: Vec<f64>,
}

/// Contributions `(t, t)` from vectors that were computed elsewhere: `transformed: (t, t, d)` holds `T_i(x_j)` at
/// `[i, j]`, `output: (t, d)` holds `y_i`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
/// [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::attribution::circuits::alti;
/// use ndarray::array;
///
/// let contributions = alti(&array![[[0.8, 0.1], [0.2, 0.9]], [[1.0, 0.0], [0.0, 1.0]]], &array![[1.0, 1.0], [1.0, 1.0]])?;
/// assert!((contributions[[0, 0]] - 0.45_f64).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn alti<T: Scalar>(transformed: &ArrayRef3<T>, output: &ArrayRef2<T>) -> Result<Array2<T>> {
    let (tokens, sources, width) = transformed.dim();
    check_not_empty("transformed", transformed)?;
    check_shape("output", output, &[tokens, width])?;
    check_finite("transformed", transformed)?;
    check_finite("output", output)?;
    let mut contributions = Array2::zeros((tokens, sources));
    for ((i, j), contribution) in contributions.indexed_iter_mut() {
        *contribution = T::of(proximity(&output.row(i), &transformed.index_axis(Axis(0), i).row(j)));
    }
    check_finite("contributions", &contributions)?;
    normalise_rows_with_zeros(contributions.rows_mut().into_iter());
    Ok(contributions)
}

/// `max(0, ‖whole‖₁ - ‖whole - part‖₁)`, from differences of the terms so that small parts keep their digits.
pub(super) fn proximity<T: Scalar>(whole: &ArrayRef1<T>, part: &ArrayRef1<T>) -> f64 {
    let gain = |(whole, part): (&T, &T)| whole.as_f64().abs() - (whole.as_f64() - part.as_f64()).abs();
    whole.iter().zip(part).map(gain).sum::<f64>().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::circuits::rollout;
    use crate::{Error, Seed, math::random::fill_normal};
    use approx::assert_relative_eq;
    use ndarray::{Array1, Array3, array};

    fn noise(shape: (usize, usize, usize), seed: u64) -> Array3<f64> {
        let mut x = Array3::zeros(shape);
        fill_normal(&mut Seed(seed).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
        x
    }

    /// Causal attention of two heads over four tokens, width 3.
    fn tensors() -> (Array3<f64>, Array3<f64>, Array2<f64>) {
        let mut attention = noise((2, 4, 4), 1).mapv(f64::exp);
        attention.indexed_iter_mut().filter(|((_, i, j), _)| j > i).for_each(|(_, weight)| *weight = 0.0);
        attention.rows_mut().into_iter().for_each(|mut row| {
            let sum = row.sum();
            row /= sum;
        });
        (attention, noise((2, 4, 3), 2), noise((1, 4, 3), 3).index_axis_move(Axis(0), 0))
    }

    fn with_block<V>(norm: ResidualNorm<f64>, work: impl FnOnce(&AttentionBlock<'_, f64>) -> V) -> V {
        let ((attention, values, residual), bias) = (tensors(), array![0.1, -0.2, 0.3]);
        work(&AttentionBlock {
            attention: attention.view(),
            values: values.view(),
            residual: residual.view(),
            bias: Some(bias.view()),
            norm,
        })
    }

    fn norms() -> [ResidualNorm<f64>; 2] {
        [ResidualNorm::default(), ResidualNorm::layer(array![1.0, 2.0, 0.5], array![0.5, 0.0, -1.0], 1e-5)]
    }

    #[test]
    fn a_row_by_hand() {
        let contributions = alti(&array![[[0.8, 0.1], [0.2, 0.9]]], &array![[1.0, 1.0]]).unwrap();
        assert_relative_eq!(contributions, array![[0.45, 0.55]], epsilon = 1e-15);
        assert_eq!(alti(&array![[[-1.0]], [[2.0]]], &array![[1.0], [1.0]]).unwrap(), array![[0.0], [0.0]]);
    }

    #[test]
    fn transformed_vectors_and_biases_add_up_to_the_output() {
        for norm in norms() {
            let beta = norm.beta.clone().unwrap_or(Array1::zeros(3));
            with_block(norm, |block| {
                let whole = block.whole().unwrap();
                for i in 0..4 {
                    let mut bias = block.bias.unwrap().to_owned();
                    block.norm.part_in_place(&mut bias, whole.scales[i]);
                    let sum = block.transformed(i).unwrap().sum_axis(Axis(0)) + bias + &beta;
                    assert_relative_eq!(sum, whole.output.row(i), epsilon = 1e-13);
                }
            });
        }
    }

    #[test]
    fn streaming_equals_stored_vectors() {
        for norm in norms() {
            with_block(norm, |block| {
                let mut stored = Array3::zeros((4, 4, 3));
                for (i, mut row) in stored.outer_iter_mut().enumerate() {
                    row.assign(&block.transformed(i).unwrap());
                }
                let contributions = block.contributions().unwrap();
                assert_eq!(contributions, alti(&stored, &block.output().unwrap()).unwrap());
                assert!(contributions.indexed_iter().all(|((i, j), &c)| j <= i || c == 0.0));
                let layers = ndarray::stack![Axis(0), contributions, contributions];
                let sums = rollout(&layers).unwrap().sum_axis(Axis(2));
                assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-14));
            });
        }
    }

    #[test]
    fn bad_blocks_are_named() {
        let ((attention, values, residual), wide) = (tensors(), Array2::zeros((4, 2)));
        let block = AttentionBlock {
            attention: attention.view(),
            values: values.view(),
            residual: residual.view(),
            bias: None,
            norm: ResidualNorm::default(),
        };
        let other = AttentionBlock { residual: wide.view(), ..block.clone() };
        assert!(matches!(other.contributions(), Err(Error::Shape { what: "values", .. })));
        assert!(matches!(block.transformed(4), Err(Error::OutOfRange { what: "position", .. })));
        let none = Array3::zeros((0, 4, 4));
        let other = AttentionBlock { attention: none.view(), ..block };
        assert!(matches!(other.output(), Err(Error::Empty { what: "attention" })));
    }
}
