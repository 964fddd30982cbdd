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

use ndarray::Array2;

use super::gram::{GramAccumulator, mean_eigenvalue, shares};
use super::layers::{MAX_VALUES, check_layers, check_like, resolve};
use super::logra_projection::{LoGraInit, LoGraProjection};
use super::operator::example_weights;
use super::trak::solve_rows;
use crate::error::{check_length, check_limit, check_shape};
use crate::influence::{Damping, LayerRows};
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Result, Scalar};

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
        let projection = LoGraProjection::of_rows(train, init)?;
        let mut moments = GramAccumulator::new(projection.spec())?;
        moments.update_double(&projection.features(train)?, Some(&shares(&weights)?))?;
        Self::of_means(projection, moments.into_sums(), damping)
    }

    /// Fits the Fisher matrices to the `moments` of a corpus that was worked through in shards. Scores are those of
    /// [`LoGra::fit`] up to rounding: there each weight is divided by their sum, here the sum of the products is.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for moments of another projection and factored damping,
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty) without examples,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a damping that is not positive.
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
    /// [`Error::Shape`](crate::Error::Shape) for other layers than those of the fit, [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn features<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Vec<Array2<f64>>> {
        self.projection.features(layers)
    }

    /// Queries of stored features, each as [`LoGra::features`] gives them, ready for the examples of any shard.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{LoGra, LoGraInit};
    /// use limpid::influence::{Damping, Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let rows = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let logra = LoGra::fit(&rows, LoGraInit::PrincipalComponents { rank: 2 }, Damping::Absolute(1.0))?;
    /// let stored = logra.features(&rows)?;
    /// let queries = logra.queries(&stored)?;
    /// // as often as there are shards; the queries are solved once
    /// assert_eq!(queries.scores(&stored)?, logra.scores(&rows, &rows)?);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn queries(&self, features: &[Array2<f64>]) -> Result<LoGraQueries> {
        check_length("layers of the query", features.len(), self.layers.len())?;
        let q = features.first().map_or(0, Array2::nrows);
        let both = features.iter().zip(&self.layers).zip(self.projection.spec().dimensions);
        let solve = |((features, layer), k): ((&Array2<f64>, &Inverse), usize)| {
            check_shape("query features", features, &[q, k])?;
            solve_rows(&layer.factor, features.clone())
        };
        Ok(LoGraQueries { solved: both.map(solve).collect::<Result<_>>()? })
    }

    /// Scores of stored features, each as [`LoGra::features`] gives them, `(queries, examples)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ scores.
    pub fn feature_scores(&self, query: &[Array2<f64>], train: &[Array2<f64>]) -> Result<Array2<f64>> {
        self.queries(query)?.scores(train)
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

/// Queries of a `LoGra`: `(H + λ)⁻¹ φ_q` of every layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LoGraQueries {
    /// `(queries, k)` each.
    solved: Vec<Array2<f64>>,
}

impl LoGraQueries {
    /// Scores of the features of some examples, each as [`LoGra::features`] gives them, `(queries, examples)`: those of the
    /// whole corpus, to the bit, whichever shard it is.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ scores.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{LoGra, LoGraInit};
    /// use limpid::influence::{Damping, Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let (b, h) = (array![[3.0, 1.0]], array![[-1.0]]);
    /// let first = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let second = [LayerRows::new(&b, &h, Examples::EachRow)?];
    /// let logra = LoGra::fit(&first, LoGraInit::PrincipalComponents { rank: 2 }, Damping::Absolute(1.0))?;
    /// let queries = logra.queries(&logra.features(&first)?)?;
    /// // (1, 0) by -(3, 1) over 1/2 + 1
    /// assert!((queries.scores(&logra.features(&second)?)?[[0, 0]] + 2.0).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn scores(&self, features: &[Array2<f64>]) -> Result<Array2<f64>> {
        check_length("layers of the examples", features.len(), self.solved.len())?;
        let q = self.solved.first().map_or(0, Array2::nrows);
        let n = features.first().map_or(0, Array2::nrows);
        check_limit("scores", q.saturating_mul(n), MAX_VALUES)?;
        let mut scores = Array2::zeros((q, n));
        for (features, solved) in features.iter().zip(&self.solved) {
            check_shape("features", features, &[n, solved.ncols()])?;
            scores += &product(solved, &features.t())?;
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::estimators::projection::{Projection, project_sides};
    use crate::influence::estimators::testing::{Data, layers, noise_layers, part};
    use crate::influence::estimators::{DualFisher, Entries, GramSpec};
    use crate::influence::{CovarianceAccumulator, EigenBasis, LayerSpec};
    use crate::math::merge::Shards;
    use crate::{Error, Seed};
    use ndarray::{Array1, Axis, Slice, array, concatenate};

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

    /// Moments of these examples under `projection`.
    fn moments(projection: &LoGraProjection, data: &[Data]) -> GramAccumulator {
        let mut moments = GramAccumulator::new(projection.spec()).unwrap();
        projection.accumulate(&layers(data), &mut moments).unwrap();
        moments
    }

    #[test]
    fn a_corpus_in_shards_has_the_scores_of_one_call() {
        let (data, other) = (noise_layers(21, 1), noise_layers(3, 2));
        let shards = [(0, 4), (4, 13), (13, 21)].map(|(from, to)| part(&data, from, to));
        let random = Projection { seed: Seed(1), entries: Entries::Normal, k: 2 };
        let mut bases = Vec::new();
        for (layer, rows) in layers(&data).iter().enumerate() {
            let mut covariance = CovarianceAccumulator::new(LayerSpec::of(layer as u64, rows)).unwrap();
            shards.iter().for_each(|shard| covariance.update(&layers(shard)[layer]).unwrap());
            bases.push(EigenBasis::new(&covariance).unwrap());
        }
        let principal = LoGraProjection::principal(&bases, 2).unwrap();
        let random_projection = LoGraProjection::random(random, &[(4, 2), (3, 3)]).unwrap();
        let cases = [
            (random_projection, LoGraInit::Random(random), 1e-12),
            // the covariances are sums in another order too
            (principal, LoGraInit::PrincipalComponents { rank: 2 }, 1e-10),
        ];
        for (projection, init, tolerance) in cases {
            let mut seen = Shards::default();
            (0..).zip(&shards).for_each(|(number, shard)| seen.insert(number, moments(&projection, shard)).unwrap());
            let total = seen.total().unwrap().unwrap();
            let logra = LoGra::of_moments(projection, &total, Damping::default()).unwrap();
            let queries = logra.queries(&logra.features(&layers(&other)).unwrap()).unwrap();
            let expected = LoGra::fit(&layers(&data), init, Damping::default()).unwrap();
            let expected = expected.scores(&layers(&other), &layers(&data)).unwrap();
            let scores =
                shards.each_ref().map(|shard| queries.scores(&logra.features(&layers(shard)).unwrap()).unwrap());
            let scores = concatenate(Axis(1), &scores.each_ref().map(|scores| scores.view())).unwrap();
            assert!((&scores - &expected).iter().zip(&expected).all(|(e, s)| e.abs() < tolerance * (1.0 + s.abs())));
        }
    }

    #[test]
    fn one_shard_is_one_call_to_the_bit_where_no_weight_is_rounded() {
        // an eighth is a number in binary
        let data = noise_layers(8, 1);
        let random = Projection::new(2, Seed(1));
        let projection = LoGraProjection::random(random, &[(4, 2), (3, 3)]).unwrap();
        let total = moments(&projection, &data);
        let logra = LoGra::of_moments(projection, &total, Damping::default()).unwrap();
        let train = layers(&data);
        assert_eq!(logra, LoGra::fit(&train, LoGraInit::Random(random), Damping::default()).unwrap());
        let all = logra.scores(&train, &train).unwrap();
        let part = logra.scores(&train, &layers(&part(&data, 5, 8))).unwrap();
        assert_eq!(part, all.slice_axis(Axis(1), Slice::from(5..)));
    }

    #[test]
    fn moments_of_another_projection_are_refused() {
        let data = noise_layers(8, 1);
        let [ours, other] =
            [1, 2].map(|seed| LoGraProjection::random(Projection::new(2, Seed(seed)), &[(4, 2), (3, 3)]).unwrap());
        let mut found = moments(&ours, &data);
        let refused = Error::Unsupported { what: "moments of another projection" };
        assert_eq!(other.accumulate(&layers(&data), &mut found), Err(refused));
        assert_eq!(LoGra::of_moments(other, &found, Damping::default()), Err(refused));
        let fewer = LoGraProjection::random(Projection::new(2, Seed(1)), &[(4, 2)]).unwrap();
        assert!(matches!(LoGra::of_moments(fewer, &found, Damping::default()), Err(Error::Shape { .. })));
        let empty = GramAccumulator::new(ours.spec()).unwrap();
        assert!(matches!(LoGra::of_moments(ours.clone(), &empty, Damping::default()), Err(Error::Empty { .. })));
        // checkpoints are the caller's
        let later = GramAccumulator::new(GramSpec { checkpoint: 9, ..ours.spec() });
        let mut later = later.unwrap();
        ours.accumulate(&layers(&data), &mut later).unwrap();
        let logra = LoGra::of_moments(ours, &later, Damping::default()).unwrap();
        let features = logra.features(&layers(&data)).unwrap();
        assert!(matches!(logra.queries(&features[..1]), Err(Error::Shape { .. })));
        assert!(matches!(logra.queries(&features).unwrap().scores(&features[..1]), Err(Error::Shape { .. })));
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
