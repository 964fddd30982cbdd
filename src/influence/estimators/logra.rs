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
//! A corpus in shards takes three steps, none of which sees it as a whole: a [`LoGraProjection`], a [`GramAccumulator`] of
//! the features of all shards, and scores of one shard after the other.
//!
//! Source: Choe et al., "What is Your Data Worth to GPT? LLM-Scale Data Valuation with Influence Functions" (arXiv
//! 2405.13954).

use alloc::vec::Vec;
use core::cmp::Ordering;

use ndarray::{Array2, Axis};

use super::gram::{GramAccumulator, GramSpec, ProjectionId, digest, matrix_words, mean_eigenvalue, shares};
use super::layers::{MAX_VALUES, check_layers, check_like, resolve};
use super::operator::example_weights;
use super::projection::{Projection, Side, project_sides};
use super::trak::solve_rows;
use crate::error::{check_each, check_length, check_limit, check_shape};
use crate::influence::{CovarianceAccumulator, Damping, EigenBasis, FactorBasis, LayerRows, LayerSpec};
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar};

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

/// What the gradients of every layer are projected on, from both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct LoGraProjection {
    id: ProjectionId,
    layers: Vec<Sides>,
}

/// Directions of one layer, in the columns.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    input: Array2<f64>,
    output: Array2<f64>,
}

impl LoGraProjection {
    /// Random directions, `k` on each side, for layers of these inputs, the bias included, and outputs.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::OutOfRange`] for `k` of 0,
    /// [`Error::TooLarge`] beyond 8192 dimensions `k²` of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{LoGraProjection, Projection};
    ///
    /// let projection = LoGraProjection::random(Projection::new(8, Seed(1)), &[(513, 512), (513, 10)])?;
    /// assert_eq!(projection.spec().dimensions, [64, 64]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn random(projection: Projection, widths: &[(usize, usize)]) -> Result<Self> {
        check_rank(projection.k)?;
        let sides = |(number, &(d_in, d_out)): (usize, &(usize, usize))| {
            let input = projection.rows(number, Side::Input, 0, d_in)?;
            Ok(Sides { input, output: projection.rows(number, Side::Output, 0, d_out)? })
        };
        Self::of(ProjectionId::BothSides(projection), widths.iter().enumerate().map(sides))
    }

    /// The eigenvectors of the `rank` largest eigenvalues of `A` and of `S` of each layer, all where there are no more.
    /// Covariances merge as moments do, so these too can come from a corpus in shards.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::OutOfRange`] for a rank of
    /// 0, [`Error::TooLarge`] beyond 8192 dimensions of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::LoGraProjection;
    /// use limpid::influence::{CovarianceAccumulator, EigenBasis, Examples, LayerRows, LayerSpec};
    /// use limpid::math::merge::Merge;
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let rows = LayerRows::new(&a, &g, Examples::EachRow)?;
    /// let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, &rows))?;
    /// covariance.update(&rows)?;
    /// covariance.merge(&covariance.clone())?;
    /// let projection = LoGraProjection::principal(&[EigenBasis::new(&covariance)?], 1)?;
    /// // the second input is the larger one
    /// assert_eq!(projection.features(&[rows])?[0].mapv(f64::abs), array![[0.0], [2.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn principal(bases: &[EigenBasis], rank: usize) -> Result<Self> {
        let sides = |basis: &EigenBasis| {
            let rank = rank.min(basis.activation().size().max(basis.gradient().size()));
            check_rank(rank)?;
            Ok(Sides { input: largest(basis.activation(), rank), output: largest(basis.gradient(), rank) })
        };
        let mut found = Self::of(ProjectionId::Digest(0), bases.iter().map(sides))?;
        let words = found.layers.iter().flat_map(|layer| matrix_words(&layer.input).chain(matrix_words(&layer.output)));
        found.id = ProjectionId::Digest(digest(words));
        Ok(found)
    }

    fn of(id: ProjectionId, layers: impl Iterator<Item = Result<Sides>>) -> Result<Self> {
        let layers = layers.collect::<Result<Vec<_>>>()?;
        if layers.is_empty() { Err(Error::Empty { what: "layers of the projection" }) } else { Ok(Self { id, layers }) }
    }

    /// As `init` says, from all examples at once.
    fn of_rows<T: Scalar>(train: &[LayerRows<'_, T>], init: LoGraInit) -> Result<Self> {
        let rank = match init {
            LoGraInit::Random(projection) => {
                let widths: Vec<_> = train.iter().map(|rows| (rows.d_in(), rows.d_out())).collect();
                return Self::random(projection, &widths);
            }
            LoGraInit::PrincipalComponents { rank } => rank,
        };
        let basis = |(number, rows): (usize, &LayerRows<'_, T>)| {
            // before the work
            check_rank(rank.min(rows.d_in().max(rows.d_out())))?;
            let mut covariance = CovarianceAccumulator::new(LayerSpec::of(number as u64, rows))?;
            covariance.update(rows)?;
            EigenBasis::new(&covariance)
        };
        Self::principal(&train.iter().enumerate().map(basis).collect::<Result<Vec<_>>>()?, rank)
    }

    /// Which moments belong to this projection, those of checkpoint 0. Random directions are told by their settings,
    /// others by a digest.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, LoGraProjection, Projection};
    ///
    /// let projection = LoGraProjection::random(Projection::new(2, Seed(1)), &[(3, 2)])?;
    /// let moments = GramAccumulator::new(GramSpec { checkpoint: 5, ..projection.spec() })?;
    /// assert_eq!(moments.spec().projection, projection.spec().projection);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn spec(&self) -> GramSpec {
        let dimensions = self.layers.iter().map(|layer| layer.input.ncols() * layer.output.ncols()).collect();
        GramSpec { projection: self.id, checkpoint: 0, dimensions }
    }

    /// Projected gradients of each layer, `(examples, k_out k_in)`: what is worth storing for a corpus.
    ///
    /// # Errors
    /// [`Error::Shape`] for other layers than those of the projection,
    /// [`Error::TooLarge`]. An example stands at [`LoGraProjection::principal`].
    pub fn features<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Vec<Array2<f64>>> {
        check_length("layers", layers.len(), self.layers.len())?;
        check_layers("layers", layers)?;
        let both = layers.iter().zip(&self.layers);
        both.map(|(rows, sides)| project_sides(rows, &sides.input, &sides.output)).collect()
    }

    /// Adds the features of `layers`, with the weights of their examples, to `moments` of this projection.
    ///
    /// # Errors
    /// As [`LoGraProjection::features`] and [`GramAccumulator::update`], and
    /// [`Error::Unsupported`] for moments of another projection; nothing is added then.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, LoGraProjection, Projection};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let shard = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let projection = LoGraProjection::random(Projection::new(1, Seed(1)), &[(2, 1)])?;
    /// let mut moments = GramAccumulator::new(projection.spec())?;
    /// projection.accumulate(&shard, &mut moments)?;
    /// assert_eq!(moments.mean(0)?, array![[2.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn accumulate<T: Scalar>(&self, layers: &[LayerRows<'_, T>], moments: &mut GramAccumulator) -> Result<()> {
        self.spec().check_projection(moments.spec())?;
        moments.update_double(&self.features(layers)?, Some(&example_weights(layers)?))
    }
}

/// What became of the Fisher matrix of one layer.
#[derive(Debug, Clone, PartialEq)]
struct Inverse {
    damping: f64,
    factor: Cholesky,
}

/// A fitted `LoGra`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoGra {
    projection: LoGraProjection,
    layers: Vec<Inverse>,
}

impl LoGra {
    /// Chooses the projections and fits the Fisher matrices to `train`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`],
    /// [`Error::OutOfRange`] for a rank of 0 and a damping that is not positive,
    /// [`Error::TooLarge`] beyond 8192 dimensions of a layer,
    /// [`Error::Unsupported`] for factored damping.
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
        let projection = LoGraProjection::of_rows(train, init)?;
        let mut moments = GramAccumulator::new(projection.spec())?;
        moments.update_double(&projection.features(train)?, Some(&shares(&weights)?))?;
        Self::of_means(projection, moments.into_sums(), damping)
    }

    /// Fits the Fisher matrices to the `moments` of a corpus that was worked through in shards. Scores are those of
    /// [`LoGra::fit`] up to rounding: there each weight is divided by their sum, here the sum of the products is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for moments of another projection and factored damping,
    /// [`Error::Shape`], [`Error::Empty`] without examples,
    /// [`Error::OutOfRange`] for a damping that is not positive.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, LoGra, LoGraProjection, Projection};
    /// use limpid::influence::{Damping, Examples, LayerRows};
    /// use limpid::math::merge::Shards;
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let (b, h) = (array![[3.0, 1.0]], array![[-1.0]]);
    /// let shards =
    ///     [[LayerRows::new(&a, &g, Examples::EachRow)?], [LayerRows::new(&b, &h, Examples::EachRow)?]];
    /// let projection = LoGraProjection::random(Projection::new(2, Seed(1)), &[(2, 1)])?;
    /// let mut seen = Shards::default();
    /// for (number, shard) in (0..).zip(&shards) {
    ///     let mut moments = GramAccumulator::new(projection.spec())?;
    ///     projection.accumulate(shard, &mut moments)?;
    ///     seen.insert(number, moments)?;
    /// }
    /// let logra = LoGra::of_moments(projection, &seen.total()?.unwrap(), Damping::default())?;
    /// for shard in &shards {
    ///     let scores = logra.scores(&shards[1], shard)?;
    ///     assert_eq!(scores.ncols(), shard[0].n_examples());
    /// }
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of_moments(projection: LoGraProjection, moments: &GramAccumulator, damping: Damping) -> Result<Self> {
        projection.spec().check_projection(moments.spec())?;
        Self::of_means(projection, moments.means()?, damping)
    }

    fn of_means(projection: LoGraProjection, means: Vec<Array2<f64>>, damping: Damping) -> Result<Self> {
        let invert = |mut gram: Array2<f64>| {
            let damping = resolve(damping, mean_eigenvalue(&gram))?;
            gram.diag_mut().iter_mut().for_each(|x| *x += damping);
            Ok(Inverse { damping, factor: Cholesky::new(&gram, "the Fisher matrix of projected gradients")? })
        };
        let layers = means.into_iter().map(invert).collect::<Result<_>>()?;
        Ok(Self { projection, layers })
    }

    /// Damping of each layer.
    #[must_use]
    pub fn damping(&self) -> Vec<f64> {
        self.layers.iter().map(|layer| layer.damping).collect()
    }

    /// Projected gradients of each layer, `(examples, k_out k_in)`: what is worth storing for a corpus.
    ///
    /// # Errors
    /// [`Error::Shape`] for other layers than those of the fit,
    /// [`Error::TooLarge`].
    pub fn features<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Vec<Array2<f64>>> {
        self.projection.features(layers)
    }

    /// Scores of stored features, each as [`LoGra::features`] gives them, `(queries, examples)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::TooLarge`] beyond 2²⁸ scores.
    pub fn feature_scores(&self, query: &[Array2<f64>], train: &[Array2<f64>]) -> Result<Array2<f64>> {
        check_length("layers of the query", query.len(), self.layers.len())?;
        check_length("layers of the examples", train.len(), self.layers.len())?;
        let (q, n) = (query.first().map_or(0, Array2::nrows), train.first().map_or(0, Array2::nrows));
        check_limit("scores", q.saturating_mul(n), MAX_VALUES)?;
        let mut scores = Array2::zeros((q, n));
        for ((query, train), layer) in query.iter().zip(train).zip(&self.layers) {
            check_shape("query features", query, &[q, query.ncols()])?;
            check_shape("features", train, &[n, query.ncols()])?;
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

/// Checks that a layer with so many directions on each side is not too large.
fn check_rank(rank: usize) -> Result<()> {
    check_each("rank", &[rank as f64], ">= 1", |rank: f64| rank >= 1.0)?;
    check_limit("dimensions of a layer", rank.saturating_mul(rank), MAX_DIMENSIONS)
}

/// Eigenvectors of the `rank` largest eigenvalues, the largest first.
fn largest(factor: &FactorBasis, rank: usize) -> Array2<f64> {
    let values = factor.values();
    // eigenvalues ascend, but only within the blocks of a factor; of equal ones the last stands first
    let mut order: Vec<usize> = (0..factor.size()).rev().collect();
    order.sort_by(|&i, &j| values[j].partial_cmp(&values[i]).unwrap_or(Ordering::Equal));
    order.truncate(rank);
    factor.vectors().select(Axis(1), &order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::estimators::{DualFisher, Entries};
    use ndarray::{Array1, array};

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
