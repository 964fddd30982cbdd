//! Direct logit attribution: which components of the residual stream wrote a logit, or the difference of two.
//!
//! ```text
//! h = Σ_n c_n (+ remainder)          s = scale of the final norm for the whole h, held fixed
//! attribution_n = part(c_n) · (W_U[:, a] - W_U[:, c])       part = the norm with this scale and without β
//! bias          = β · (W_U[:, a] - W_U[:, c]) + b_U[a] - b_U[c]
//! total = Σ_n attribution_n (+ remainder) + bias = z_a - z_c,  the logit itself without a contrast
//! ```
//!
//! Components may be embeddings, layers, heads ([`project_heads`](super::project_heads)) or anything else that adds up to
//! the residual; neurons have [`direct_logit_neurons`]. Peers demand that the weights of a layer norm be folded into the
//! unembedding first and are silently wrong where they are not; here the norm is part of the computation.
//!
//! Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021); nostalgebraist, "interpreting GPT:
//! the logit lens" (2020) for sums up to a layer.

use alloc::vec::Vec;
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayRef3, Axis};

use super::readout::{Direction, Readout, exact_dot};
use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::gemm::product;
use crate::math::reduce::dot;
use crate::{Result, Scalar};

/// A logit, or the difference of two, split over components.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DirectLogit<T> {
    /// What every component wrote, `(n, t)`.
    pub attribution: Array2<T>,
    /// What the residual holds besides the components, `(t)`; `None` where the residual is their sum.
    pub remainder: Option<Array1<T>>,
    /// What does not depend on the residual, `(t)`.
    pub bias: Array1<T>,
    /// The logit or the difference itself, computed from the whole residual, `(t)`.
    pub total: Array1<T>,
}

impl<T: Scalar> DirectLogit<T> {
    /// Sums over the components up to each one, `(n, t)`: for components in the order of the layers, what a logit lens
    /// sees after each of them with the scale of the last, without the bias.
    #[must_use]
    pub fn accumulated(&self) -> Array2<T> {
        let mut sums = self.attribution.clone();
        sums.accumulate_axis_inplace(Axis(0), |&before, sum| *sum += before);
        sums
    }
}

/// Splits the logit of `target` over `components: (n, t, d)`, minus that of `contrast` where there is one.
///
/// `residual: (t, d)` is the stream before the final norm; without it the components must add up to it. `target` and
/// `contrast` are columns of the unembedding: one for all positions, or one for each.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a column that does not
/// exist, and those of [`ResidualNorm::scales`](super::ResidualNorm::scales).
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{ResidualNorm, Readout, direct_logit};
/// use ndarray::array;
///
/// let unembed = array![[3.0, 0.0], [0.0, 1.0]];
/// let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
/// let components = array![[[0.5, 0.0]], [[0.0, 1.0]]];
/// let split = direct_logit(&components, None, &readout, &[0], Some(&[1]))?;
/// assert_eq!(split.attribution, array![[1.5], [-1.0]]);
/// assert_eq!(split.total, array![0.5]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn direct_logit<T: Scalar>(
    components: &ArrayRef3<T>,
    residual: Option<&ArrayRef2<T>>,
    readout: &Readout<'_, T>,
    target: &[usize],
    contrast: Option<&[usize]>,
) -> Result<DirectLogit<T>> {
    let (n, positions, width) = components.dim();
    check_not_empty("components", components)?;
    check_finite("components", components)?;
    let sum = components.sum_axis(Axis(0));
    let whole = residual.unwrap_or(&sum);
    check_shape("residual", whole, &[positions, width])?;
    let position = Positions::new(whole, readout, target, contrast)?;
    let mut attribution = Array2::zeros((n, positions));
    for (component, mut row) in components.outer_iter().zip(attribution.rows_mut()) {
        row.assign(&position.read(&component)?);
    }
    let remainder = match residual {
        Some(residual) => Some(position.read(&(&residual.view() - &sum))?),
        None => None,
    };
    let total = position.total(whole, readout);
    check_finite("total", &total)?;
    Ok(DirectLogit { attribution, remainder, bias: position.bias(), total })
}

/// Splits the same logit over the neurons of one layer: `(m, t)`.
///
/// `activation: (t, m)` are the neurons, `output: (m, d)` what each writes, `residual: (t, d)` the stream before the final
/// norm. The vectors that neurons write are never stored.
///
/// # Errors
/// As [`direct_logit`].
pub fn direct_logit_neurons<T: Scalar>(
    activation: &ArrayRef2<T>,
    output: &ArrayRef2<T>,
    residual: &ArrayRef2<T>,
    readout: &Readout<'_, T>,
    target: &[usize],
    contrast: Option<&[usize]>,
) -> Result<Array2<T>> {
    let ((positions, neurons), width) = (activation.dim(), residual.ncols());
    check_not_empty("activation", activation)?;
    check_finite("activation", activation)?;
    check_shape("output", output, &[neurons, width])?;
    check_finite("output", output)?;
    check_shape("residual", residual, &[positions, width])?;
    let position = Positions::new(residual, readout, target, contrast)?;
    let mut pulled = Array2::zeros((width, position.directions.len()));
    for (direction, mut column) in position.directions.iter().zip(pulled.columns_mut()) {
        column.assign(&direction.pulled);
    }
    let reads = product(output, &pulled)?;
    let read = |neuron, p| reads[[neuron, if reads.ncols() == 1 { 0 } else { p }]];
    let split = Array2::from_shape_fn((neurons, positions), |(neuron, p)| {
        activation[[p, neuron]] * read(neuron, p) * position.scales[p]
    });
    check_finite("attribution", &split)?;
    Ok(split)
}

/// What is read from every position, with the scale it has there.
struct Positions<T> {
    scales: Array1<T>,
    directions: Vec<Direction<T>>,
}

impl<T: Scalar> Positions<T> {
    fn new(
        residual: &ArrayRef2<T>,
        readout: &Readout<'_, T>,
        target: &[usize],
        contrast: Option<&[usize]>,
    ) -> Result<Self> {
        readout.check(residual.ncols())?;
        let scales = readout.norm.scales(residual)?;
        Ok(Self { directions: readout.directions(target, contrast, residual.nrows())?, scales })
    }

    fn direction(&self, position: usize) -> &Direction<T> {
        &self.directions[if self.directions.len() == 1 { 0 } else { position }]
    }

    /// What every position of `part: (t, d)` contributes, `(t)`.
    fn read(&self, part: &ArrayRef2<T>) -> Result<Array1<T>> {
        let read = |(p, row): (usize, ndarray::ArrayView1<'_, T>)| -> Result<T> {
            Ok(dot(&row, &self.direction(p).pulled)? * self.scales[p])
        };
        let values: Array1<T> = part.rows().into_iter().enumerate().map(read).collect::<Result<Vec<T>>>()?.into();
        check_finite("attribution", &values)?;
        Ok(values)
    }

    fn bias(&self) -> Array1<T> {
        (0..self.scales.len()).map(|p| self.direction(p).bias).collect()
    }

    fn total(&self, residual: &ArrayRef2<T>, readout: &Readout<'_, T>) -> Array1<T> {
        let total = |(p, row): (usize, ndarray::ArrayView1<'_, T>)| {
            let mut normalised = row.to_owned();
            readout.norm.part_in_place(&mut normalised, self.scales[p].as_f64());
            let direction = self.direction(p);
            let read: &ArrayRef1<T> = &direction.column;
            T::of(exact_dot(&normalised, read) + direction.bias.as_f64())
        };
        residual.rows().into_iter().enumerate().map(total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::circuits::ResidualNorm;
    use crate::attribution::network::NormKind;
    use crate::{Error, Seed, math::random::fill_normal};
    use approx::assert_relative_eq;
    use ndarray::{Array3, array};

    fn noise(shape: (usize, usize, usize), seed: u64) -> Array3<f64> {
        let mut x = Array3::zeros(shape);
        fill_normal(&mut Seed(seed).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn a_frozen_scale_of_one_half() {
        // mean square of (1, √7) is 4
        let unembed = array![[3.0], [-1.0]];
        let readout = Readout { norm: ResidualNorm::rms(array![1.0, 1.0], 0.0), unembed: unembed.view(), bias: None };
        let parts = array![[[1.0, 0.0]], [[0.0, 2.0]]];
        let residual = array![[1.0, 7.0_f64.sqrt()]];
        let split = direct_logit(&parts, Some(&residual), &readout, &[0], None).unwrap();
        assert_relative_eq!(split.attribution, array![[1.5], [-1.0]], epsilon = 1e-15);
        assert_relative_eq!(split.accumulated(), array![[1.5], [0.5]], epsilon = 1e-15);
        assert_relative_eq!(split.remainder.unwrap()[0], (2.0 - 7.0_f64.sqrt()) / 2.0, epsilon = 1e-15);
    }

    #[test]
    fn parts_and_remainder_add_up_to_the_logits() {
        let (parts, weights) = (noise((4, 3, 5), 1), noise((1, 5, 6), 2));
        let (unembed, bias) = (weights.index_axis(Axis(0), 0), array![0.5, 0.0, -1.0, 2.0, 0.0, 1.0]);
        let residual = &parts.sum_axis(Axis(0)) + &noise((1, 3, 5), 3).index_axis(Axis(0), 0);
        for kind in [Some(NormKind::Layer), Some(NormKind::RootMeanSquare), None] {
            let gamma = Some(array![1.0, -0.5, 2.0, 1.5, 0.1]);
            let norm = ResidualNorm {
                kind,
                gamma,
                beta: Some(Array1::from_iter((0..5).map(|i| 0.25 * f64::from(i)))),
                epsilon: 1e-5,
            };
            let readout = Readout { norm, unembed, bias: Some(bias.view()) };
            let split = direct_logit(&parts, Some(&residual), &readout, &[1, 5, 0], Some(&[2])).unwrap();
            let logits = readout.logits(&residual).unwrap();
            for (p, a) in [1, 5, 0].into_iter().enumerate() {
                let difference = logits[[p, a]] - logits[[p, 2]];
                let sum = split.attribution.column(p).sum() + split.remainder.as_ref().unwrap()[p] + split.bias[p];
                assert!((sum - difference).abs() < 1e-13 && (split.total[p] - difference).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn neurons_equal_components_of_their_own() {
        let (activation, output) = (noise((1, 3, 4), 4), noise((1, 4, 5), 5));
        let (activation, output) = (activation.index_axis(Axis(0), 0), output.index_axis(Axis(0), 0));
        let parts = Array3::from_shape_fn((4, 3, 5), |(n, p, c)| activation[[p, n]] * output[[n, c]]);
        let residual = parts.sum_axis(Axis(0));
        let weights = noise((1, 5, 2), 6);
        let norm = ResidualNorm::layer(array![1.0, 2.0, 0.5, -1.0, 1.0], Array1::zeros(5), 1e-5);
        let readout = Readout { norm, unembed: weights.index_axis(Axis(0), 0), bias: None };
        for (target, contrast) in [(&[0][..], None), (&[0, 1, 0], Some(&[1][..]))] {
            let neurons = direct_logit_neurons(&activation, &output, &residual, &readout, target, contrast).unwrap();
            let split = direct_logit(&parts, None, &readout, target, contrast).unwrap();
            assert_relative_eq!(neurons, split.attribution, epsilon = 1e-13);
        }
    }

    #[test]
    fn bad_input_is_named() {
        let unembed = array![[1.0_f32], [1.0]];
        let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
        let parts = Array3::<f32>::zeros((2, 3, 2));
        let split =
            |residual: &Array2<f32>, target: &[usize]| direct_logit(&parts, Some(residual), &readout, target, None);
        assert!(matches!(split(&Array2::zeros((2, 2)), &[0]), Err(Error::Shape { what: "residual", .. })));
        assert!(matches!(split(&Array2::zeros((3, 2)), &[1]), Err(Error::OutOfRange { what: "target", .. })));
        assert!(matches!(split(&Array2::from_elem((3, 2), f32::NAN), &[0]), Err(Error::NotFinite { .. })));
        let none = Array3::zeros((0, 3, 2));
        assert!(matches!(direct_logit(&none, None, &readout, &[0], None), Err(Error::Empty { .. })));
        let huge = Array3::from_elem((1, 1, 2), f32::MAX);
        assert!(matches!(direct_logit(&huge, None, &readout, &[0], None), Err(Error::NotFinite { .. })));
    }
}
