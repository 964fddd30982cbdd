//! `LoGra`: the exact Fisher matrix of gradients that were projected from both sides of each layer.
//!
//! ```text
//! φ_e = vec(P_outᵀ G_e P_in) = Σ_t vec((P_outᵀ g_t)(P_inᵀ ã_t)ᵀ)      P_in: (d, k_in),  P_out: (d_out, k_out)
//! H = mean_e φ_e φ_eᵀ                s(q, i) = Σ_layers φ_qᵀ (H + λ)⁻¹ φ_i
//! ```
//!
//! A projected gradient costs `T (k_in d + k_out d_out)` and is never larger than `k_out k_in`; it can be stored for a whole
//! corpus. The projections are random, or the eigenvectors of the largest eigenvalues of `A` and `S`, which keep more at a
//! small rank. Whichever they are is part of the state: they cannot be swapped unnoticed.
//!
//! Source: Choe et al., "What is Your Data Worth to GPT? LLM-Scale Data Valuation with Influence Functions" (arXiv
//! 2405.13954).

use alloc::vec::Vec;

use ndarray::{Array1, Array2, Axis};

use super::layers::{MAX_VALUES, check_layers, check_like, resolve};
use super::operator::example_weights;
use super::projection::{Projection, Side, project_sides};
use super::trak::solve_rows;
use crate::error::{check_each, check_limit};
use crate::influence::{CovarianceAccumulator, Damping, EigenBasis, FactorBasis, LayerRows, LayerSpec};
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Result, Scalar};

/// Most dimensions `k_out k_in` of a layer: the factor of its matrix takes the third power of it.
pub(super) const MAX_DIMENSIONS: usize = 1 << 13;

/// What gradients are projected on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LoGraInit {
    /// Random directions on both sides, `k` each.
    Random(Projection),
    /// The `rank` first principal directions of the inputs and of the gradients, all where there are no more.
    PrincipalComponents {
        /// Directions on each side.
        rank: usize,
    },
}

/// One layer.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    input: Array2<f64>,
    output: Array2<f64>,
    damping: f64,
    factor: Cholesky,
}

/// A fitted `LoGra`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoGra {
    layers: Vec<Layer>,
}

impl LoGra {
    /// Chooses the projections and fits the Fisher matrices to `train`.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a rank of 0 and a damping that is not positive,
    /// [`Error::TooLarge`](crate::Error::TooLarge) beyond 8192 dimensions of a layer,
    /// [`Error::Unsupported`](crate::Error::Unsupported) for factored damping.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{LoGra, LoGraInit};
    /// use limpid::influence::{Damping, Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let train = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// // all directions: the exact Fisher matrix diag(1/2, 2)
    /// let logra = LoGra::fit(&train, LoGraInit::PrincipalComponents { rank: 2 }, Damping::Absolute(1.0))?;
    /// assert!((logra.scores(&train, &train)?[[0, 0]] - 1.0 / 1.5).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn fit<T: Scalar>(train: &[LayerRows<'_, T>], init: LoGraInit, damping: Damping) -> Result<Self> {
        check_layers("train", train)?;
        let weights = example_weights(train)?;
        let fit = |(number, rows): (usize, &LayerRows<'_, T>)| {
            let (input, output) = directions(number, rows, init)?;
            let features = project_sides(rows, &input, &output)?;
            let mut gram = second_moment(&features, &weights)?;
            let damping = resolve(damping, mean_eigenvalue(&gram))?;
            gram.diag_mut().iter_mut().for_each(|x| *x += damping);
            let factor = Cholesky::new(&gram, "the Fisher matrix of projected gradients")?;
            Ok(Layer { input, output, damping, factor })
        };
        Ok(Self { layers: train.iter().enumerate().map(fit).collect::<Result<_>>()? })
    }

    /// Damping of each layer.
    #[must_use]
    pub fn damping(&self) -> Vec<f64> {
        self.layers.iter().map(|layer| layer.damping).collect()
    }

    /// Projected gradients of each layer, `(examples, k_out k_in)`: what is worth storing for a corpus.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for other layers than those of the fit,
    /// [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn features<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Vec<Array2<f64>>> {
        crate::error::check_length("layers", layers.len(), self.layers.len())?;
        check_layers("layers", layers)?;
        let both = layers.iter().zip(&self.layers);
        both.map(|(rows, layer)| project_sides(rows, &layer.input, &layer.output)).collect()
    }

    /// Scores of stored features, each as [`LoGra::features`] gives them, `(queries, examples)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ scores.
    pub fn feature_scores(&self, query: &[Array2<f64>], train: &[Array2<f64>]) -> Result<Array2<f64>> {
        crate::error::check_length("layers of the query", query.len(), self.layers.len())?;
        crate::error::check_length("layers of the examples", train.len(), self.layers.len())?;
        let (q, n) = (query.first().map_or(0, Array2::nrows), train.first().map_or(0, Array2::nrows));
        check_limit("scores", q.saturating_mul(n), MAX_VALUES)?;
        let mut scores = Array2::zeros((q, n));
        for ((query, train), layer) in query.iter().zip(train).zip(&self.layers) {
            crate::error::check_shape("query features", query, &[q, query.ncols()])?;
            crate::error::check_shape("features", train, &[n, query.ncols()])?;
            scores += &product(&solve_rows(&layer.factor, query.clone())?, &train.t())?;
        }
        Ok(scores)
    }

    /// Scores of `train` for `query`, `(queries, examples)`; no minus sign, no `1/N`.
    ///
    /// # Errors
    /// As [`LoGra::features`].
    pub fn scores<T: Scalar>(&self, query: &[LayerRows<'_, T>], train: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
        check_like("query", query, train)?;
        self.feature_scores(&self.features(query)?, &self.features(train)?)
    }
}

/// Projections of the inputs and of the gradients of one layer.
fn directions<T: Scalar>(
    number: usize,
    rows: &LayerRows<'_, T>,
    init: LoGraInit,
) -> Result<(Array2<f64>, Array2<f64>)> {
    let rank = match init {
        LoGraInit::Random(projection) => projection.k,
        LoGraInit::PrincipalComponents { rank } => rank.min(rows.d_in().max(rows.d_out())),
    };
    check_each("rank", &[rank as f64], ">= 1", |rank: f64| rank >= 1.0)?;
    check_limit("dimensions of a layer", rank.saturating_mul(rank), MAX_DIMENSIONS)?;
    if let LoGraInit::Random(projection) = init {
        let input = projection.rows(number, Side::Input, 0, rows.d_in())?;
        return Ok((input, projection.rows(number, Side::Output, 0, rows.d_out())?));
    }
    let mut covariance = CovarianceAccumulator::new(LayerSpec::of(number as u64, rows))?;
    covariance.update(rows)?;
    let basis = EigenBasis::new(&covariance)?;
    let first = |factor: &FactorBasis| {
        let size = factor.size();
        // eigenvalues ascend
        let columns: Vec<usize> = (size - rank.min(size)..size).rev().collect();
        factor.vectors().select(Axis(1), &columns)
    };
    Ok((first(basis.activation()), first(basis.gradient())))
}

/// `Σ_e w_e φ_e φ_eᵀ / Σ_e w_e` of `features: (n, k)`.
pub(super) fn second_moment(features: &Array2<f64>, weights: &[f64]) -> Result<Array2<f64>> {
    check_limit("dimensions of a layer", features.ncols(), MAX_DIMENSIONS)?;
    let total: f64 = weights.iter().sum();
    check_each("sum of the weights", &[total], "> 0", |x: f64| x > 0.0)?;
    let shares: Array1<f64> = weights.iter().map(|weight| weight / total).collect();
    product(&(features * shares.insert_axis(Axis(1))).t(), features)
}

/// Mean of the diagonal.
pub(super) fn mean_eigenvalue(gram: &Array2<f64>) -> f64 {
    gram.diag().sum() / gram.nrows().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::estimators::{DualFisher, Entries};
    use crate::{Error, Seed};
    use ndarray::array;

    #[test]
    fn with_all_directions_each_layer_is_exact() {
        let (data, other) = (noise_layers(9, 1), noise_layers(4, 2));
        let (train, query) = (layers(&data), layers(&other));
        let logra = LoGra::fit(&train, LoGraInit::PrincipalComponents { rank: 9 }, Damping::Absolute(0.4)).unwrap();
        let mut exact = Array2::<f64>::zeros((4, 9));
        for (train, query) in train.chunks(1).zip(query.chunks(1)) {
            exact += &DualFisher::new(train, 0.4).unwrap().scores(query, train).unwrap();
        }
        assert!((logra.scores(&query, &train).unwrap() - exact).iter().all(|e| e.abs() < 1e-10));
        assert_eq!(logra.damping(), [0.4, 0.4]);
    }

    #[test]
    fn principal_directions_keep_more_than_random_ones() {
        let data: Vec<_> = noise_layers(40, 1)
            .into_iter()
            .map(|(a, g, e, n)| (&a * &Array1::from_iter((0..a.ncols()).map(|j| libm::pow(0.1, j as f64))), g, e, n))
            .collect();
        let train = layers(&data);
        let kept = |init| {
            let logra = LoGra::fit(&train, init, Damping::RelativeMean(0.1)).unwrap();
            let features = logra.features(&train).unwrap();
            features[0].iter().map(|x| x * x).sum::<f64>()
        };
        let all = kept(LoGraInit::PrincipalComponents { rank: 4 });
        let principal = kept(LoGraInit::PrincipalComponents { rank: 2 });
        assert!(principal > 0.95 * all && principal <= all * (1.0 + 1e-12), "{principal} {all}");
        let random = LoGraInit::Random(Projection { seed: Seed(1), entries: Entries::Normal, k: 2 });
        assert!(kept(random) > 0.0);
    }

    #[test]
    fn the_layout_is_that_of_a_kronecker_product() {
        // G = [[2, 0], [1, -1]]: (Ps kron Pa)ᵀ vec G
        let (a, g) = (array![[1.0, 0.0], [0.0, 1.0]], array![[2.0, 1.0], [0.0, -1.0]]);
        let rows = LayerRows::new(&a, &g, crate::influence::Examples::Offsets(&[0, 2])).unwrap();
        let (input, output) = (array![[1.0, 2.0], [3.0, -1.0]], array![[1.0], [1.0]]);
        let gradient = rows.gradient(0).unwrap();
        let features = project_sides(&rows, &input, &output).unwrap();
        for (column, x) in features.row(0).iter().enumerate() {
            let expected: f64 =
                gradient.indexed_iter().map(|((i, j), g)| output[[i, 0]] * input[[j, column]] * g).sum();
            assert!((x - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let data = noise_layers(4, 1);
        let train = layers(&data);
        let fit = |rank, damping| LoGra::fit(&train, LoGraInit::PrincipalComponents { rank }, damping);
        assert!(matches!(fit(0, Damping::default()), Err(Error::OutOfRange { what: "rank", .. })));
        assert!(matches!(fit(1, Damping::Absolute(0.0)), Err(Error::OutOfRange { what: "damping", .. })));
        assert!(matches!(fit(1, Damping::Factored(1.0)), Err(Error::Unsupported { .. })));
        let huge = LoGraInit::Random(Projection::new(usize::MAX, Seed(0)));
        assert!(matches!(LoGra::fit(&train, huge, Damping::default()), Err(Error::TooLarge { .. })));
        assert!(fit(1, Damping::default()).unwrap().features(&train[..1]).is_err());
    }
}
