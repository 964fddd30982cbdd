//! Shapley values of linear and additive functions in closed form, and of linear functions of dependent features.
//!
//! ```text
//! interventional   φ_i = w_i (x_i - μ_i)
//! additive         φ_i = f_i(x_i) - E f_i
//! dependent        φ of the game v(S) = wᵀ E[x | x_S],  x normal with mean μ and covariance Σ
//! ```
//!
//! Conditioning takes in one feature after the other, and one whose variance the others explain adds nothing: a singular
//! covariance needs no correction, and tied features share equally.
//!
//! Source: Strumbelj and Kononenko, "Explaining prediction models and individual predictions with feature contributions"
//! (2014), section 3; Aas, Jullum and Løland, "Explaining individual predictions when features are dependent" (2021),
//! <https://arxiv.org/abs/1903.10464>, section 3.1 for the normal distribution.

use alloc::vec::Vec;
use core::convert::Infallible;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use super::coalitions::Coalitions;
use super::game::Game;
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::{Error, Result, Scalar};

/// Share of a feature's variance below which the others explain it.
const EXPLAINED: f64 = 1e-10;

/// Most features of a covariance.
const MAX_FEATURES: usize = 1 << 14;

/// Shapley values of the linear function with these `weights: (n)` for the rows of `x: (b, n)`, where absent features are
/// drawn independently of the present ones from a distribution with this `mean: (n)`. Returns `(b, n)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`].
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::linear_shap;
/// use ndarray::array;
///
/// let values = linear_shap(&array![1.0, 2.0], &array![[3.0, 3.0]], &array![1.0, 0.0])?;
/// assert_eq!(values, array![[2.0, 6.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn linear_shap<T: Scalar>(weights: &ArrayRef1<T>, x: &ArrayRef2<T>, mean: &ArrayRef1<T>) -> Result<Array2<T>> {
    check_shape("weights", weights, &[x.ncols()])?;
    check_shape("mean", mean, &[x.ncols()])?;
    check_finite("weights", weights)?;
    check_finite("x", x)?;
    check_finite("mean", mean)?;
    Ok(Array2::from_shape_fn(x.dim(), |(row, feature)| weights[feature] * (x[[row, feature]] - mean[feature])))
}

/// Shapley values of a sum `Σ_i f_i(x_i)` from its terms `f_i(x_i)`, `terms: (b, n)`, and the terms of the rows that
/// absent features are drawn from, `background: (k, n)`. Returns `(b, n)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Empty`] for no background, [`Error::NotFinite`].
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::additive_shap;
/// use ndarray::array;
///
/// let values = additive_shap(&array![[4.0, 1.0]], &array![[0.0, 1.0], [2.0, 3.0]])?;
/// assert_eq!(values, array![[3.0, -1.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn additive_shap<T: Scalar>(terms: &ArrayRef2<T>, background: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_shape("background", background, &[background.nrows(), terms.ncols()])?;
    check_not_empty("background", background)?;
    check_finite("terms", terms)?;
    check_finite("background", background)?;
    let rows = background.nrows() as f64;
    let mean = |column: ndarray::ArrayView1<'_, T>| column.iter().map(|x| x.as_f64()).sum::<f64>() / rows;
    let means: Vec<f64> = background.columns().into_iter().map(mean).collect();
    Ok(Array2::from_shape_fn(terms.dim(), |(row, i)| T::of(terms[[row, i]].as_f64() - means[i])))
}

/// The game `v(S) = wᵀ E[x | x_S]` of a linear function of normal features; one number per row of `x`.
///
/// Any [`Summary`](super::Summary) of it is linear SHAP with dependent features: the conditioning is done once for all rows.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{ConditionalLinear, ExactShapley, Summary};
/// use ndarray::array;
///
/// // the function uses feature 0 alone, to which feature 1 is tied
/// let covariance = array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// let (weights, mean) = (array![1.0, 0.0, 0.0], array![0.0, 0.0, 0.0]);
/// let mut game = ConditionalLinear::new(&weights, &array![[1.0, 1.0, 1.0]], &mean, &covariance)?;
/// let found = ExactShapley::default().of(&mut game).unwrap();
/// assert!((found.values - array![[0.5], [0.5], [0.0]]).iter().all(|e: &f64| e.abs() < 1e-12));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionalLinear {
    weights: Array1<f64>,
    /// `x - μ`, `(b, n)`.
    distance: Array2<f64>,
    covariance: Array2<f64>,
    /// `wᵀ μ`.
    base: f64,
}

impl ConditionalLinear {
    /// The game of `weights: (n)` for `x: (b, n)` with `mean: (n)` and `covariance: (n, n)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfRange`] for a negative variance or a
    /// covariance that is not symmetric, [`Error::TooLarge`].
    pub fn new<T: Scalar>(
        weights: &ArrayRef1<T>,
        x: &ArrayRef2<T>,
        mean: &ArrayRef1<T>,
        covariance: &ArrayRef2<T>,
    ) -> Result<Self> {
        let n = x.ncols();
        check_limit("features", n, MAX_FEATURES)?;
        check_not_empty("x", x)?;
        check_finite("x", x)?;
        for (what, vector) in [("weights", weights), ("mean", mean)] {
            check_shape(what, vector, &[n])?;
            check_finite(what, vector)?;
        }
        check_shape("covariance", covariance, &[n, n])?;
        check_finite("covariance", covariance)?;
        check_each("variance", covariance.diag().iter(), ">= 0", |x| x >= T::zero())?;
        let covariance = covariance.mapv(Scalar::as_f64);
        check_symmetric(&covariance)?;
        let (weights, mean) = (weights.mapv(Scalar::as_f64), mean.mapv(Scalar::as_f64));
        let distance = x.mapv(Scalar::as_f64) - &mean;
        Ok(Self { base: weights.dot(&mean), weights, distance, covariance })
    }

    /// `a` with `wᵀ E[x | x_S] = wᵀ μ + aᵀ (x - μ)`.
    fn reading(&self, members: impl Iterator<Item = usize>) -> Array1<f64> {
        let n = self.weights.len();
        // rest: covariance given the members so far; known: E[x | members] = μ + known (x - μ)
        let (mut rest, mut known) = (self.covariance.clone(), Array2::<f64>::zeros((n, n)));
        for i in members {
            let variance = rest[[i, i]];
            if variance <= EXPLAINED * self.covariance[[i, i]] {
                // a feature that does not vary, or that the others explain, moves at most itself
                if self.covariance[[i, i]] == 0.0 {
                    known[[i, i]] = 1.0;
                }
                continue;
            }
            let gain = &rest.column(i) / variance;
            let mut surprise = -&known.row(i);
            surprise[i] += 1.0;
            let row = rest.row(i).to_owned();
            for (j, &gain) in gain.iter().enumerate() {
                known.row_mut(j).scaled_add(gain, &surprise);
                rest.row_mut(j).scaled_add(-gain, &row);
            }
        }
        self.weights.dot(&known)
    }
}

/// Checks that both halves are the same up to rounding of the single precision they may come from.
fn check_symmetric(covariance: &Array2<f64>) -> Result<()> {
    let largest = covariance.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for ((i, j), &x) in covariance.indexed_iter() {
        if (x - covariance[[j, i]]).abs() > 1e-5 * largest {
            let (index, expected) = (i * covariance.ncols() + j, "the same on both sides of the diagonal");
            return Err(Error::OutOfRange { what: "covariance", index, value: x, expected });
        }
    }
    Ok(())
}

impl<T: Scalar> Game<T> for ConditionalLinear {
    type Error = Infallible;

    fn n_players(&self) -> usize {
        self.weights.len()
    }

    fn n_values(&self) -> usize {
        self.distance.nrows()
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> core::result::Result<(), Infallible> {
        for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
            let worth = self.distance.dot(&self.reading(coalition.members()));
            out.iter_mut().zip(&worth).for_each(|(slot, worth)| *slot = T::of(self.base + worth));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::{ExactShapley, Summary};
    use ndarray::array;

    fn values(weights: &Array1<f64>, x: &Array2<f64>, mean: &Array1<f64>, covariance: &Array2<f64>) -> Array2<f64> {
        let mut game = ConditionalLinear::new(weights, x, mean, covariance).unwrap();
        ExactShapley::default().of(&mut game).unwrap().values
    }

    #[test]
    fn tied_features_share() {
        let p = 0.999_999;
        let tied = array![[1.0, p, 0.0], [p, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let found = values(&array![1.0, 0.0, 0.0], &Array2::ones((1, 3)), &Array1::zeros(3), &tied);
        assert!((found - array![[0.5], [0.5], [0.0]]).iter().all(|e| e.abs() < 1e-5));
        let mut tied = Array2::ones((4, 4));
        (0..3).for_each(|i| (tied[[i, 3]], tied[[3, i]]) = (0.0, 0.0));
        let game = ConditionalLinear::new(
            &array![0.0, 1.0, 0.0, 0.0],
            &Array2::from_elem((1, 4), 2.0),
            &Array1::ones(4),
            &tied,
        );
        let found = ExactShapley::default().of(&mut game.unwrap()).unwrap();
        let third = 1.0 / 3.0;
        assert!((found.values - array![[third], [third], [third], [0.0]]).iter().all(|e: &f64| e.abs() < 1e-12));
        assert_eq!(found.base[0], 1.0);
    }

    #[test]
    fn independent_features_are_the_closed_form() {
        let (weights, mean) = (array![1.0, -2.0, 0.5], array![0.3, 0.1, -1.0]);
        let x = array![[1.0, 2.0, 3.0], [-1.0, 0.5, 0.25]];
        let mut covariance = Array2::from_diag(&array![1.0, 4.0, 0.0]);
        let found = values(&weights, &x, &mean, &covariance);
        let expected = linear_shap(&weights, &x, &mean).unwrap();
        assert!((found.t().to_owned() - expected).iter().all(|e| e.abs() < 1e-13));
        covariance[[0, 1]] = 1.0;
        assert!(ConditionalLinear::new(&weights, &x, &mean, &covariance).is_err());
    }

    #[test]
    fn two_features_by_hand() {
        // v(0) = w0 d0 + w1 r d0, v(1) = w1 d1 + w0 r d1 for unit variances
        let (r, d) = (0.6, [1.0, -2.0]);
        let found = values(&array![2.0, 3.0], &array![d], &array![0.0, 0.0], &array![[1.0, r], [r, 1.0]]);
        let (first, second, both) = ((2.0 + 3.0 * r) * d[0], (3.0 + 2.0 * r) * d[1], 2.0 * d[0] + 3.0 * d[1]);
        assert!((found[[0, 0]] - 0.5 * (first + both - second)).abs() < 1e-13);
        assert!((found[[1, 0]] - 0.5 * (second + both - first)).abs() < 1e-13);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(
            linear_shap(&array![1.0], &array![[1.0, 2.0]], &array![0.0, 0.0]),
            Err(Error::Shape { what: "weights", .. })
        ));
        assert!(matches!(
            additive_shap(&array![[1.0]], &Array2::<f64>::zeros((0, 1))),
            Err(Error::Empty { what: "background" })
        ));
        let negative = array![[-1.0]];
        let game = ConditionalLinear::new(&array![1.0], &array![[1.0]], &array![0.0], &negative);
        assert!(matches!(game, Err(Error::OutOfRange { what: "variance", .. })));
    }
}
