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
//! Source: Park et al., "TRAK: Attributing Model Behavior at Scale" (arXiv 2303.14186), section 3.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use super::layers::MAX_VALUES;
use crate::error::{check_each, check_finite, check_length, check_limit, check_shape};
use crate::math::gemm::product;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar};

/// Most dimensions `k`: the factor of the matrix takes the third power of it.
const MAX_DIMENSIONS: usize = 1 << 14;

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
        check_each("regularisation", &[regularisation], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
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
        let (q, n) = self.kernel.dim();
        let k = features.ncols();
        check_shape("features", features, &[n, k])?;
        check_shape("query features", query_features, &[q, k])?;
        check_shape("weights", weights, &[n])?;
        check_finite("features", features)?;
        check_finite("query features", query_features)?;
        check_finite("weights", weights)?;
        check_limit("dimensions", k, MAX_DIMENSIONS)?;
        let [features, query] = [features, query_features].map(|x| x.mapv(Scalar::as_f64));
        let mut gram = product(&features.t(), &features)?;
        gram.diag_mut().iter_mut().for_each(|x| *x += self.regularisation);
        let solved = solve_rows(&Cholesky::new(&gram, "the sum of outer products of the features")?, query)?;
        self.kernel += &product(&solved, &features.t())?;
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
    use crate::influence::testing::noise;
    use ndarray::array;

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
}
