//! TRAK: influence in the linear model of randomly projected gradients, averaged over checkpoints or trainings.
//!
//! ```text
//! Φ_c: (n, k) projected gradients of the margin f, φ_c(q) those of the query, Q_c = 1 - p_c of the training examples
//! τ(q, i) = mean_c[φ_c(q)ᵀ (Φ_cᵀ Φ_c + λ)⁻¹ φ_c(i)] · mean_c[Q_c(i)]
//! f = log(p/(1 - p))          ∂f/∂z_y = 1,  ∂f/∂z_j = -softmax over the other classes
//! ```
//!
//! The two means are multiplied, as in the paper: it is not the mean of the products. `ΦᵀΦ` is a sum over the examples, and
//! scores are not rescaled. With fewer examples than dimensions it is singular, and needs `λ`.
//!
//! A corpus in shards takes two passes at each checkpoint: the first sums `ΦᵀΦ` of all shards in a [`GramAccumulator`], of
//! which [`TrakQueries`] are made; the second adds them to a [`Trak`] of each shard with [`Trak::add_shard`].
//!
//! Source: Park et al., "TRAK: Attributing Model Behavior at Scale" (arXiv 2303.14186), section 3.

use alloc::vec;
use alloc::vec::Vec;
use core::slice;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use super::gram::GramAccumulator;
use super::gram_spec::GramSpec;
use super::layers::MAX_VALUES;
use crate::error::{check_each, check_finite, check_length, check_limit, check_shape};
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar};

/// Scores in the making, checkpoint by checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Trak {
    regularisation: f64,
    checkpoints: usize,
    /// Sum over checkpoints, `(q, n)`.
    kernel: Array2<f64>,
    /// Sum over checkpoints, `(n)`.
    weights: Array1<f64>,
}

impl Trak {
    /// Scores of `n` training examples for `q` queries, with `λ = regularisation`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a regularisation that is negative or not finite, [`Error::TooLarge`] beyond 2²⁸ scores.
    pub fn new(q: usize, n: usize, regularisation: f64) -> Result<Self> {
        check_regularisation(regularisation)?;
        check_limit("scores", q.saturating_mul(n), MAX_VALUES)?;
        Ok(Self { regularisation, checkpoints: 0, kernel: Array2::zeros((q, n)), weights: Array1::zeros(n) })
    }

    /// Adds a checkpoint: projected gradients `features: (n, k)` and `query_features: (q, k)`, and `weights: (n)`, the
    /// probability that each training example is *not* given its label. `k` and the projection may differ between checkpoints.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::TooLarge`] beyond 16,384 dimensions, [`Error::Singular`] where there
    /// are fewer examples than dimensions and no regularisation. Nothing is added then.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::Trak;
    /// use ndarray::array;
    ///
    /// let mut trak = Trak::new(1, 3, 0.0)?;
    /// trak.add(&array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &array![[1.0, 2.0]], &array![0.5, 0.2, 0.1])?;
    /// let scores = trak.scores().unwrap();
    /// assert!(scores[[0, 0]].abs() < 1e-15 && (scores[[0, 1]] - 0.2).abs() < 1e-15 && (scores[[0, 2]] - 0.1).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn add<T: Scalar>(
        &mut self,
        features: &ArrayRef2<T>,
        query_features: &ArrayRef2<T>,
        weights: &ArrayRef1<T>,
    ) -> Result<()> {
        let k = features.ncols();
        self.check(features, query_features.nrows(), weights)?;
        check_shape("query features", query_features, &[query_features.nrows(), k])?;
        check_finite("query features", query_features)?;
        let mut moments = GramAccumulator::new(GramSpec::unnamed(vec![k]))?;
        let [features, query] = [features, query_features].map(|x| x.mapv(Scalar::as_f64));
        moments.update_double(slice::from_ref(&features), None)?;
        let sum = moments.into_sums().pop().unwrap_or_default();
        let queries = TrakQueries::solve(sum, query, self.regularisation)?;
        self.add_solved(&queries, &features, weights)
    }

    /// Adds a checkpoint of which these examples are one shard: the queries come from the moments of all shards, and
    /// `features: (n, k)` and `weights: (n)` are those of [`Trak::add`]. The kernel is the one of all shards in one call, to
    /// the bit where the moments are.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Unsupported`] for queries of another regularisation. Nothing is added
    /// then.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, Projection, Trak, TrakQueries};
    /// use ndarray::array;
    ///
    /// let spec = GramSpec::of_gradients(Projection::new(2, Seed(0)));
    /// let shards = [array![[1.0, 0.0], [0.0, 1.0]], array![[1.0, 1.0]]];
    /// let mut moments = GramAccumulator::new(spec.clone())?;
    /// for features in &shards {
    ///     moments.update(std::slice::from_ref(features), None)?;
    /// }
    /// let queries = TrakQueries::new(&moments, &spec, &array![[1.0, 2.0]], 0.0)?;
    /// let mut last = Trak::new(1, 1, 0.0)?;
    /// last.add_shard(&queries, &shards[1], &array![0.1])?;
    /// assert!((last.scores().unwrap()[[0, 0]] - 0.1).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn add_shard<T: Scalar>(
        &mut self,
        queries: &TrakQueries,
        features: &ArrayRef2<T>,
        weights: &ArrayRef1<T>,
    ) -> Result<()> {
        if self.regularisation != queries.regularisation {
            return Err(Error::Unsupported { what: "queries of another regularisation" });
        }
        self.check(features, queries.solved.nrows(), weights)?;
        check_shape("features", features, &[features.nrows(), queries.solved.ncols()])?;
        self.add_solved(queries, &features.mapv(Scalar::as_f64), weights)
    }

    /// Checks the examples of a checkpoint, and that the queries are as many as here.
    fn check<T: Scalar>(&self, features: &ArrayRef2<T>, queries: usize, weights: &ArrayRef1<T>) -> Result<()> {
        let (q, n) = self.kernel.dim();
        check_shape("features", features, &[n, features.ncols()])?;
        check_length("query features", queries, q)?;
        check_shape("weights", weights, &[n])?;
        check_finite("features", features)?;
        check_finite("weights", weights)
    }

    fn add_solved<T: Scalar>(
        &mut self,
        queries: &TrakQueries,
        features: &Array2<f64>,
        weights: &ArrayRef1<T>,
    ) -> Result<()> {
        self.kernel += &product(&queries.solved, &features.t())?;
        self.weights += &weights.mapv(Scalar::as_f64);
        self.checkpoints += 1;
        Ok(())
    }

    /// Number of checkpoints that were added.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        self.checkpoints
    }

    /// Scores `(q, n)`; `None` before the first checkpoint.
    #[must_use]
    pub fn scores(&self) -> Option<Array2<f64>> {
        let count = self.checkpoints as f64;
        (self.checkpoints > 0).then(|| &self.kernel * &self.weights.view().insert_axis(Axis(0)) / (count * count))
    }

    /// Adds the checkpoints of `other`, made for the same examples and queries.
    ///
    /// # Errors
    /// [`Error::Shape`], and [`Error::Unsupported`] for another regularisation.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        check_shape("the other scores", &other.kernel, self.kernel.shape())?;
        if self.regularisation != other.regularisation {
            return Err(Error::Unsupported { what: "checkpoints of different regularisation" });
        }
        self.kernel += &other.kernel;
        self.weights += &other.weights;
        self.checkpoints += other.checkpoints;
        Ok(())
    }
}

/// Queries of one checkpoint, ready for the examples of any shard: `(ΦᵀΦ + λ)⁻¹ φ(q)`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrakQueries {
    regularisation: f64,
    /// `(q, k)`.
    solved: Array2<f64>,
}

impl TrakQueries {
    /// Queries of `query_features: (q, k)`, projected as `spec` says, beside the `moments` of all shards; `λ =
    /// regularisation`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for moments of another projection or checkpoint, [`Error::Shape`], [`Error::NotFinite`],
    /// [`Error::Empty`] where nothing was added to the moments, [`Error::OutOfRange`] for a regularisation that is negative or
    /// not finite, [`Error::Singular`] where there are fewer examples than dimensions and no regularisation.
    ///
    /// # Example
    /// ```
    /// use limpid::{Error, Seed};
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, Projection, TrakQueries};
    /// use ndarray::array;
    ///
    /// let [ours, other] = [0, 1].map(|seed| GramSpec::of_gradients(Projection::new(2, Seed(seed))));
    /// let mut moments = GramAccumulator::new(ours.clone())?;
    /// moments.update(&[array![[1.0, 0.0], [0.0, 1.0]]], None)?;
    /// assert!(TrakQueries::new(&moments, &ours, &array![[1.0, 2.0]], 0.0).is_ok());
    /// let refused = TrakQueries::new(&moments, &other, &array![[1.0, 2.0]], 0.0);
    /// assert_eq!(refused, Err(Error::Unsupported { what: "moments of another projection" }));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new<T: Scalar>(
        moments: &GramAccumulator,
        spec: &GramSpec,
        query_features: &ArrayRef2<T>,
        regularisation: f64,
    ) -> Result<Self> {
        check_regularisation(regularisation)?;
        spec.check_same(moments.spec())?;
        check_length("layers of the moments", moments.spec().dimensions.len(), 1)?;
        let sum = moments.sum(0)?;
        check_shape("query features", query_features, &[query_features.nrows(), sum.nrows()])?;
        check_finite("query features", query_features)?;
        Self::solve(sum.clone(), query_features.mapv(Scalar::as_f64), regularisation)
    }

    fn solve(mut sum: Array2<f64>, query: Array2<f64>, regularisation: f64) -> Result<Self> {
        sum.diag_mut().iter_mut().for_each(|x| *x += regularisation);
        let factor = Cholesky::new(&sum, "the sum of outer products of the features")?;
        Ok(Self { regularisation, solved: solve_rows(&factor, query)? })
    }
}

fn check_regularisation(regularisation: f64) -> Result<()> {
    check_each("regularisation", &[regularisation], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())
}

/// Turns every row of `right` into the solution of its system.
pub(super) fn solve_rows(factor: &Cholesky, mut right: Array2<f64>) -> Result<Array2<f64>> {
    for mut row in right.rows_mut() {
        let mut x = row.to_vec();
        factor.solve(&mut x)?;
        row.assign(&Array1::from(x));
    }
    Ok(right)
}

/// The margin of each example, and what TRAK needs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Margins {
    /// `f = log(p/(1 - p))`, `(b)`.
    pub margin: Array1<f64>,
    /// Its gradient by the logits, `(b, c)`: the cotangent that starts the backward pass.
    pub gradient: Array2<f64>,
    /// `1 - p`, `(b)`.
    pub weight: Array1<f64>,
}

impl Margins {
    /// The margins of `logits: (b, c)` for the classes that `labels` name.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a class that does not exist or fewer than two
    /// classes.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::Margins;
    /// use ndarray::array;
    ///
    /// let margins = Margins::of(&array![[2.0, 0.5]], &[0])?;
    /// // with two classes the margin is the difference of the logits
    /// assert!((margins.margin[0] - 1.5).abs() < 1e-15);
    /// assert_eq!(margins.gradient, array![[1.0, -1.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(logits: &ArrayRef2<T>, labels: &[usize]) -> Result<Self> {
        let (b, c) = logits.dim();
        check_length("labels", labels.len(), b)?;
        check_finite("logits", logits)?;
        check_each("classes", &[c as f64], ">= 2", |c: f64| c >= 2.0)?;
        let known: Vec<f64> = labels.iter().map(|&label| label as f64).collect();
        check_each("labels", &known, "below the number of classes", |label: f64| label < c as f64)?;
        let mut found = Self { margin: Array1::zeros(b), gradient: Array2::zeros((b, c)), weight: Array1::zeros(b) };
        for (row, &label) in labels.iter().enumerate() {
            let z = logits.index_axis(Axis(0), row).mapv(Scalar::as_f64);
            let others = || z.iter().enumerate().filter(move |(class, _)| *class != label);
            let largest = others().map(|(_, z)| *z).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = others().map(|(_, z)| libm::exp(z - largest)).sum();
            found.margin[row] = z[label] - largest - libm::log(sum);
            found.weight[row] = 1.0 / (1.0 + libm::exp(found.margin[row]));
            for (class, z) in others() {
                found.gradient[[row, class]] = -libm::exp(z - largest) / sum;
            }
            found.gradient[[row, label]] = 1.0;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::Projection;
    use crate::influence::testing::noise;
    use ndarray::{Slice, array};

    #[test]
    fn the_gradient_of_the_margin_is_a_derivative() {
        let (z, h) = (noise(4, 5, 7) * 3.0, 1e-5);
        let labels = [0, 4, 2, 2];
        let margins = Margins::of(&z, &labels).unwrap();
        for ((row, class), &g) in margins.gradient.indexed_iter() {
            let at = |step: f64| {
                let mut moved = z.clone();
                moved[[row, class]] += step;
                Margins::of(&moved, &labels).unwrap().margin[row]
            };
            assert!((g - (at(h) - at(-h)) / (2.0 * h)).abs() < 1e-8);
        }
        let sure = Margins::of(&array![[1000.0, 0.0]], &[0]).unwrap();
        assert_eq!((sure.margin[0], sure.weight[0]), (1000.0, 0.0));
    }

    #[test]
    fn too_few_examples_are_singular() {
        let (features, query, weights) = (noise(2, 3, 0), noise(1, 3, 1), array![0.5, 0.5]);
        let mut trak = Trak::new(1, 2, 0.0).unwrap();
        assert!(matches!(trak.add(&features, &query, &weights), Err(Error::Singular { .. })));
        assert_eq!((trak.scores(), trak.checkpoints()), (None, 0));
        assert!(Trak::new(1, 2, 0.1).unwrap().add(&features, &query, &weights).is_ok());
        assert!(Trak::new(1, 2, -0.1).is_err() && Trak::new(usize::MAX, 2, 0.0).is_err());
        assert!(Margins::of(&array![[1.0]], &[0]).is_err() && Margins::of(&array![[1.0, 2.0]], &[2]).is_err());
    }

    #[test]
    fn merged_checkpoints_are_those_of_one_run() {
        let add = |trak: &mut Trak, seed: u64| {
            let weights = noise(1, 6, seed + 2).mapv(f64::abs).remove_axis(Axis(0));
            trak.add(&noise(6, 3, seed), &noise(2, 3, seed + 1), &weights).unwrap();
        };
        let (mut one, mut other, mut all) =
            (Trak::new(2, 6, 0.1).unwrap(), Trak::new(2, 6, 0.1).unwrap(), Trak::new(2, 6, 0.1).unwrap());
        add(&mut one, 10);
        add(&mut other, 20);
        [10, 20].into_iter().for_each(|seed| add(&mut all, seed));
        one.merge(&other).unwrap();
        assert_eq!(one, all);
        assert!(
            one.merge(&Trak::new(2, 6, 0.2).unwrap()).is_err() && one.merge(&Trak::new(2, 5, 0.1).unwrap()).is_err()
        );
    }

    #[test]
    fn a_corpus_in_shards_has_the_scores_of_one_call() {
        let (q, n, cuts) = (3, 17, [(0, 6), (6, 7), (7, 17)]);
        let rows = |x: &Array2<f64>, (from, to)| x.slice_axis(Axis(0), Slice::from(from..to)).to_owned();
        let mut whole = Trak::new(q, n, 0.3).unwrap();
        // with moments of one call, and with moments of shards
        let mut traks = cuts.map(|(from, to)| [(); 2].map(|()| Trak::new(q, to - from, 0.3).unwrap()));
        for checkpoint in 0..2 {
            let (k, item) = (4 + checkpoint, 10 * checkpoint as u64);
            let (features, query) = (noise(n, k, item), noise(q, k, item + 1));
            let weights = noise(n, 1, item + 2).mapv(f64::abs).remove_axis(Axis(1));
            whole.add(&features, &query, &weights).unwrap();
            let spec = GramSpec { checkpoint: item, ..GramSpec::of_gradients(Projection::new(k, Seed(0))) };
            let [mut once, mut parts] = [(); 2].map(|()| GramAccumulator::new(spec.clone()).unwrap());
            once.update(slice::from_ref(&features), None).unwrap();
            cuts.iter().for_each(|&cut| parts.update(&[rows(&features, cut)], None).unwrap());
            let queries = [once, parts].map(|moments| TrakQueries::new(&moments, &spec, &query, 0.3).unwrap());
            for (traks, (from, to)) in traks.iter_mut().zip(cuts) {
                let weights = weights.slice_axis(Axis(0), Slice::from(from..to));
                for (trak, queries) in traks.iter_mut().zip(&queries) {
                    trak.add_shard(queries, &rows(&features, (from, to)), &weights).unwrap();
                }
            }
        }
        let expected = whole.scores().unwrap();
        for ([once, parts], (from, to)) in traks.iter().zip(cuts) {
            let expected = expected.slice_axis(Axis(1), Slice::from(from..to));
            assert_eq!(once.scores().unwrap(), expected);
            let error = parts.scores().unwrap() - expected;
            assert!(error.iter().all(|e| e.abs() < 1e-12));
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let spec = GramSpec::of_gradients(Projection::new(2, Seed(0)));
        let mut moments = GramAccumulator::new(spec.clone()).unwrap();
        let query = noise(1, 2, 0);
        assert!(matches!(TrakQueries::new(&moments, &spec, &query, 0.1), Err(Error::Empty { .. })));
        moments.update(&[noise(5, 2, 1)], None).unwrap();
        let later = GramSpec { checkpoint: 1, ..spec.clone() };
        let refused = Error::Unsupported { what: "moments of another checkpoint" };
        assert_eq!(TrakQueries::new(&moments, &later, &query, 0.1), Err(refused));
        assert!(matches!(TrakQueries::new(&moments, &spec, &noise(1, 3, 0), 0.1), Err(Error::Shape { .. })));
        assert!(matches!(TrakQueries::new(&moments, &spec, &query, -0.1), Err(Error::OutOfRange { .. })));
        let wide = GramSpec { dimensions: vec![2, 2], ..spec.clone() };
        let layers = GramAccumulator::new(wide.clone()).unwrap();
        assert!(matches!(TrakQueries::new(&layers, &wide, &query, 0.1), Err(Error::Shape { .. })));
        let queries = TrakQueries::new(&moments, &spec, &query, 0.1).unwrap();
        let mut trak = Trak::new(1, 3, 0.1).unwrap();
        let (features, weights) = (noise(3, 2, 2), array![0.1, 0.2, 0.3]);
        assert!(matches!(trak.add_shard(&queries, &noise(3, 1, 2), &weights), Err(Error::Shape { .. })));
        assert!(matches!(trak.add_shard(&queries, &noise(2, 2, 2), &weights), Err(Error::Shape { .. })));
        assert!(matches!(
            trak.add_shard(&queries, &features, &array![f64::NAN, 0.0, 0.0]),
            Err(Error::NotFinite { .. })
        ));
        assert_eq!(trak, Trak::new(1, 3, 0.1).unwrap());
        let other = Trak::new(1, 3, 0.2).unwrap().add_shard(&queries, &features, &weights);
        assert!(matches!(other, Err(Error::Unsupported { .. })));
        assert!(Trak::new(2, 3, 0.1).unwrap().add_shard(&queries, &features, &weights).is_err());
        assert!(trak.add_shard(&queries, &features, &weights).is_ok());
    }
}
