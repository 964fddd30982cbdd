//! The logit lens: what the model would predict if it ended after each layer.
//!
//! ```text
//! z_l = norm(h_l) W_U + b_U        p_l = softmax(z_l)        with the statistics that the norm has at h_l itself
//! ```
//!
//! Source: nostalgebraist, "interpreting GPT: the logit lens" (2020).

use alloc::vec::Vec;
use ndarray::{Array2, Array3, ArrayRef3, Axis};

use super::readout::Readout;
use crate::error::{check_each, check_finite, check_not_empty};
use crate::math::pointwise::softmax;
use crate::math::select::top_k;
use crate::{Result, Scalar};

/// Predictions after every layer.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogitLens<T> {
    /// Logits, `(l, t, c)`.
    pub logits: Array3<T>,
    /// Their softmax, `(l, t, c)`.
    pub probability: Array3<T>,
    /// Class with the largest logit, the first of equals, `(l, t)`.
    pub top: Array2<usize>,
}

impl<T: Scalar> LogitLens<T> {
    /// How many classes have a larger logit than `class`, `(l, t)`: 0 where it is the prediction, or equal to it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a class that does not exist.
    pub fn rank(&self, class: usize) -> Result<Array2<usize>> {
        let classes = self.logits.dim().2;
        check_each("class", &[class as f64], "a class that exists", |class: f64| class < classes as f64)?;
        Ok(self.logits.map_axis(Axis(2), |logits| logits.iter().filter(|&&logit| logit > logits[class]).count()))
    }

    /// The `k` classes with the largest logits at a layer and position, best first; all where there are fewer.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a layer or position that does not exist.
    pub fn best(&self, layer: usize, position: usize, k: usize) -> Result<Vec<usize>> {
        let (layers, positions, _) = self.logits.dim();
        check_each("layer", &[layer as f64], "a layer that exists", |layer: f64| layer < layers as f64)?;
        check_each("position", &[position as f64], "a position that exists", |p: f64| p < positions as f64)?;
        let logits = self.logits.index_axis(Axis(0), layer).row(position).to_vec();
        let mut best = top_k(&logits, k);
        // stable, so that equal logits stay in the order of their classes
        best.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).unwrap_or(core::cmp::Ordering::Equal));
        Ok(best)
    }
}

/// Predictions `(l, t, c)` from the residual stream after every layer, `residual: (l, t, d)`.
///
/// # Errors
/// Those of [`Readout::logits`], and [`Error::Empty`](crate::Error::Empty).
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{ResidualNorm, Readout, logit_lens};
/// use ndarray::array;
///
/// let unembed = array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
/// let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
/// let lens = logit_lens(&array![[[2.0, -1.0]], [[-1.0, 2.0]]], &readout)?;
/// assert_eq!(lens.top, array![[0], [1]]);
/// assert_eq!(lens.rank(2)?, array![[1], [1]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn logit_lens<T: Scalar>(residual: &ArrayRef3<T>, readout: &Readout<'_, T>) -> Result<LogitLens<T>> {
    check_not_empty("residual", residual)?;
    check_not_empty("unembed", &readout.unembed)?;
    let ((layers, positions, _), classes) = (residual.dim(), readout.unembed.ncols());
    let mut logits = Array3::zeros((layers, positions, classes));
    let mut probability = Array3::zeros((layers, positions, classes));
    for (layer, residual) in residual.outer_iter().enumerate() {
        let of_layer = readout.logits(&residual)?;
        check_finite("logits", &of_layer)?;
        probability.index_axis_mut(Axis(0), layer).assign(&softmax(&of_layer)?);
        logits.index_axis_mut(Axis(0), layer).assign(&of_layer);
    }
    let top = logits.map_axis(Axis(2), |logits| {
        let largest = logits
            .iter()
            .enumerate()
            .fold((0, T::neg_infinity()), |best, (class, &logit)| if logit > best.1 { (class, logit) } else { best });
        largest.0
    });
    Ok(LogitLens { logits, probability, top })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::circuits::ResidualNorm;
    use ndarray::array;

    #[test]
    fn every_layer_is_read_with_its_own_statistics() {
        let unembed = array![[1.0, 0.0], [0.0, 1.0]];
        let norm = ResidualNorm::rms(array![1.0, 1.0], 0.0);
        let readout = Readout { norm, unembed: unembed.view(), bias: None };
        // the same direction at any length gives the same prediction
        let lens = logit_lens(&array![[[3.0, 4.0]], [[30.0, 40.0]]], &readout).unwrap();
        let (first, second) = (lens.logits.index_axis(Axis(0), 0), lens.logits.index_axis(Axis(0), 1));
        assert!((&first - &second).iter().all(|gap: &f64| gap.abs() < 1e-15));
        assert!(lens.probability.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-15));
        assert_eq!(lens.top, array![[1], [1]]);
    }

    #[test]
    fn of_equal_logits_the_first_wins() {
        let (unembed, bias) = (array![[0.0, 0.0, 0.0, 0.0]], array![1.0, 2.0, 2.0, 0.0]);
        let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: Some(bias.view()) };
        let lens = logit_lens(&array![[[5.0]]], &readout).unwrap();
        assert_eq!((lens.top[[0, 0]], lens.best(0, 0, 3)), (1, Ok(alloc::vec![1, 2, 0])));
        assert_eq!((lens.rank(2), lens.rank(0)), (Ok(array![[0]]), Ok(array![[2]])));
        assert_eq!(lens.best(0, 0, 9).unwrap().len(), 4);
        assert!(matches!(lens.rank(4), Err(Error::OutOfRange { what: "class", .. })));
        assert!(matches!(lens.best(0, 1, 1), Err(Error::OutOfRange { what: "position", .. })));
    }

    #[test]
    fn empty_input_is_named() {
        let unembed = Array2::<f32>::zeros((2, 0));
        let readout = Readout { norm: ResidualNorm::default(), unembed: unembed.view(), bias: None };
        assert_eq!(logit_lens(&Array3::zeros((1, 1, 2)), &readout), Err(Error::Empty { what: "unembed" }));
        assert_eq!(logit_lens(&Array3::zeros((0, 1, 2)), &readout), Err(Error::Empty { what: "residual" }));
    }
}
