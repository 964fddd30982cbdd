//! `DataInf`: the mean of inverses in place of the inverse of the mean, in closed form.
//!
//! ```text
//! V_q = mean_e[(G_e G_eᵀ + λ)⁻¹] v_q = (1/λ) [v_q - mean_e[(v_e·v_q)/(λ + ‖v_e‖²) v_e]]        s(q, i) = V_q · v_i
//! λ_l = c · mean over examples and parameters of v²,  per layer
//! ```
//!
//! Nothing of the size of a curvature is stored or factored: two passes over the rows for each query. Swapping mean and
//! inverse never makes the operator smaller than the exact inverse (the inverse is operator convex), so self-influence is
//! overestimated, the more so the more parameters a layer has.
//!
//! Source: Kwon et al., "DataInf: Efficiently Estimating Data Influence in LoRA-tuned LLMs and Diffusion Models" (arXiv
//! 2310.00902).

use alloc::vec::Vec;

use ndarray::{Array2, Array3, Axis};

use super::layers::{check_layers, check_like, resolve, squared_norms, weighted_mean};
use super::operator::example_weights;
use crate::error::{check_each, check_limit};
use crate::influence::{Damping, LayerRows};
use crate::{Result, Scalar};

/// Scores by `DataInf`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DataInf {
    /// Of each layer, `(layers, queries, examples)`; no minus sign, no `1/N`.
    pub layer_scores: Array3<f64>,
    /// Damping `λ_l` of each layer.
    pub damping: Vec<f64>,
}

impl DataInf {
    /// Sum over layers, `(queries, examples)`.
    #[must_use]
    pub fn scores(&self) -> Array2<f64> {
        self.layer_scores.sum_axis(Axis(0))
    }
}

/// Influence of `train` on `query`, the curvature fitted to `train`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape), [`Error::OutOfRange`](crate::Error::OutOfRange)
/// for a damping that is not positive, as a relative one is where all gradients are 0,
/// [`Error::Unsupported`](crate::Error::Unsupported) for factored damping.
///
/// # Example
/// ```
/// use limpid::influence::estimators::datainf;
/// use limpid::influence::{Damping, Examples, LayerRows};
/// use ndarray::array;
///
/// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
/// let (query_a, query_g) = (array![[1.0, 1.0]], array![[1.0]]);
/// let train = [LayerRows::new(&a, &g, Examples::EachRow)?];
/// let query = [LayerRows::new(&query_a, &query_g, Examples::EachRow)?];
/// let found = datainf(&train, &query, Damping::Absolute(1.0))?;
/// // V = (3/4, 3/5)
/// assert!((found.scores()[[0, 0]] - 0.75).abs() < 1e-15 && (found.scores()[[0, 1]] - 1.2).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn datainf<T: Scalar>(train: &[LayerRows<'_, T>], query: &[LayerRows<'_, T>], damping: Damping) -> Result<DataInf> {
    let (n, q) = (check_layers("train", train)?, check_like("query", query, train)?);
    check_limit("scores", train.len().saturating_mul(q).saturating_mul(n), super::layers::MAX_VALUES)?;
    let weights = example_weights(train)?;
    let total: f64 = weights.iter().sum();
    check_each("sum of the weights", &[total], "> 0", |x: f64| x > 0.0)?;
    let (mut layer_scores, mut resolved) = (Array3::zeros((train.len(), q, n)), Vec::with_capacity(train.len()));
    for (layer, (train, query)) in train.iter().zip(query).enumerate() {
        let norms = squared_norms(train)?;
        let mean = weighted_mean(&norms, &weights)? / (train.d_out() * train.d_in()).max(1) as f64;
        let lambda = resolve(damping, mean)?;
        resolved.push(lambda);
        let mut scores = layer_scores.index_axis_mut(Axis(0), layer);
        for (example, mut row) in scores.rows_mut().into_iter().enumerate() {
            let mut v = query.gradient(example)?;
            let mut coefficients = train.inner(&v)?;
            for ((c, norm), weight) in coefficients.iter_mut().zip(&norms).zip(&weights) {
                *c *= weight / (total * (lambda + norm));
            }
            v -= &train.weighted_sum(&coefficients)?;
            row.assign(&(train.inner(&v)? / lambda));
        }
    }
    Ok(DataInf { layer_scores, damping: resolved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::estimators::DualFisher;
    use crate::influence::estimators::testing::{layers, noise_layers};

    #[test]
    fn one_example_is_inverted_exactly() {
        let (data, other) = (noise_layers(1, 1), noise_layers(3, 2));
        let (train, query) = (layers(&data), layers(&other));
        let found = datainf(&train[..1], &query[..1], Damping::Absolute(0.3)).unwrap();
        let exact = DualFisher::new(&train[..1], 0.3).unwrap().scores(&query[..1], &train[..1]).unwrap();
        assert!((found.scores() - exact).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn self_influence_is_never_underestimated() {
        let data = noise_layers(9, 5);
        let train = layers(&data);
        let found = datainf(&train[..1], &train[..1], Damping::default()).unwrap();
        let exact = DualFisher::new(&train[..1], found.damping[0]).unwrap().scores(&train[..1], &train[..1]).unwrap();
        assert!(found.scores().diag().iter().zip(exact.diag()).all(|(ours, exact)| ours >= &(exact - 1e-12)));
    }

    #[test]
    fn without_gradients_there_is_no_relative_damping() {
        let data: Vec<_> = noise_layers(2, 5).into_iter().map(|(a, g, e, n)| (a, g * 0.0, e, n)).collect();
        let train = layers(&data);
        let found = datainf(&train, &train, Damping::default());
        assert!(matches!(found, Err(Error::OutOfRange { what: "damping", .. })));
        assert!(datainf(&train, &train, Damping::Absolute(0.1)).unwrap().scores().iter().all(|s| *s == 0.0));
    }
}
