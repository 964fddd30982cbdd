//! Linear surrogates of games: weighted regression of what coalitions are worth on who is in them.
//!
//! ```text
//! y_s ≈ b + Σ_{i in S_s} β_i                          the intercept b is free and never penalised
//! ridge   minimise Σ_s w_s (y_s - b - z_s·β)² + α ‖β‖₂²
//! lasso   minimise 1/(2 Σ_s w_s) Σ_s w_s (y_s - b - z_s·β)² + α ‖β‖₁
//! R² = 1 - Σ w (y - ŷ)² / Σ w (y - ȳ)²
//! ```
//!
//! These are the objectives of scikit-learn's `Ridge` and `Lasso` with sample weights.
//!
//! Source: Hoerl & Kennard, "Ridge Regression" (1970); Tibshirani, "Regression Shrinkage and Selection via the Lasso"
//! (1996); standard errors by resampling: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::Array2;

use super::coalitions::Coalitions;
use crate::error::{check_each, check_limit};
use crate::math::lasso::lasso;
use crate::math::par;
use crate::math::random::below;
use crate::math::solve::Cholesky;
use crate::{Dims, Error, Result, Seed};

/// Most players of a surrogate: its Gram matrix has the square of it.
const MAX_PLAYERS: usize = 4096;

/// Purpose of the random streams that draw samples anew.
const RESAMPLING: u64 = 1;

/// How the surrogate is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Regression {
    /// Squares of coefficients are penalised; `alpha` is not divided by the number of samples.
    Ridge {
        /// Strength of the penalty.
        alpha: f64,
    },
    /// Magnitudes of coefficients are penalised, against the weighted mean of squared errors.
    Lasso {
        /// Strength of the penalty.
        alpha: f64,
    },
}

/// A fitted surrogate.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Surrogate {
    /// Coefficient of each player.
    pub coefficients: Vec<f64>,
    /// What the surrogate says of nobody.
    pub intercept: f64,
    /// Share of the weighted variance that it explains; `None` where the values do not vary.
    pub r_squared: Option<f64>,
}

/// Weighted second moments about the means.
struct Moments {
    weight: f64,
    /// Mean membership of each player.
    mean: Vec<f64>,
    mean_value: f64,
    gram: Array2<f64>,
    with_value: Vec<f64>,
    value: f64,
}

impl Regression {
    /// Fits to what the `samples` are worth, `values` and `weights: (samples)`.
    ///
    /// # Errors
    /// [`Error::Empty`] without samples or players, [`Error::Shape`], [`Error::OutOfRange`] for negative weights or
    /// penalties and for values that are not finite, [`Error::Singular`] where all weights vanish or a ridge of strength 0
    /// has no unique solution, [`Error::NoConvergence`], [`Error::TooLarge`] above 4096 players.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::perturbation::{Coalitions, Regression};
    ///
    /// let mut samples = Coalitions::new(2);
    /// for members in [vec![], vec![0], vec![1], vec![0, 1]] {
    ///     samples.push(members)?;
    /// }
    /// let found = Regression::Ridge { alpha: 0.0 }.fit(&samples, &[1.0, 3.0, 4.0, 6.0], &[1.0; 4])?;
    /// assert!((found.coefficients[0] - 2.0).abs() < 1e-14 && (found.coefficients[1] - 3.0).abs() < 1e-14);
    /// assert!((found.intercept - 1.0).abs() < 1e-14 && (found.r_squared.unwrap() - 1.0).abs() < 1e-14);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn fit(&self, samples: &Coalitions, values: &[f64], weights: &[f64]) -> Result<Surrogate> {
        self.check()?;
        if samples.is_empty() || samples.n_players() == 0 {
            return Err(Error::Empty { what: "samples" });
        }
        check_limit("players", samples.n_players(), MAX_PLAYERS)?;
        for (what, given) in [("values", values), ("weights", weights)] {
            if given.len() != samples.len() {
                let (expected, got) = (Dims::new(&[samples.len()]), Dims::new(&[given.len()]));
                return Err(Error::Shape { what, expected, got });
            }
        }
        check_each("values", values, "a finite number", f64::is_finite)?;
        check_each("weights", weights, ">= 0 and finite", |w: f64| w >= 0.0 && w.is_finite())?;
        self.solve(&Moments::new(samples, values, weights)?)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let (Self::Ridge { alpha } | Self::Lasso { alpha }) = *self;
        check_each("alpha", &[alpha], ">= 0 and finite", |alpha: f64| alpha >= 0.0 && alpha.is_finite())
    }

    fn solve(&self, moments: &Moments) -> Result<Surrogate> {
        let beta = match *self {
            Self::Ridge { alpha } => {
                let mut penalised = moments.gram.clone();
                penalised.diag_mut().iter_mut().for_each(|entry| *entry += alpha);
                let mut beta = moments.with_value.clone();
                Cholesky::new(&penalised, "gram matrix of the samples")?.solve(&mut beta)?;
                beta
            }
            Self::Lasso { alpha } => {
                let c: Vec<f64> = moments.with_value.iter().map(|c| c / moments.weight).collect();
                lasso(&(&moments.gram / moments.weight), &c, alpha)?
            }
        };
        let along: f64 = beta.iter().zip(&moments.mean).map(|(beta, mean)| beta * mean).sum();
        Ok(Surrogate {
            r_squared: (moments.value > 0.0).then(|| 1.0 - moments.residual(&beta) / moments.value),
            intercept: moments.mean_value - along,
            coefficients: beta,
        })
    }

    /// Standard errors of the coefficients: their deviation over fits to samples that are drawn anew with replacement.
    ///
    /// `None` where one of those fits does not exist.
    pub(crate) fn bootstrap(
        &self,
        samples: &Coalitions,
        (values, weights): (&[f64], &[f64]),
        replicates: usize,
        seed: Seed,
    ) -> Option<Vec<f64>> {
        let mut fits: Vec<Option<Vec<f64>>> = vec![None; replicates];
        par::for_each_mut(&mut fits, |replicate, fit| {
            let mut stream = seed.stream(RESAMPLING, replicate as u64);
            let mut drawn = vec![0.0; weights.len()];
            for _ in 0..weights.len() {
                let sample = below(&mut stream, weights.len());
                drawn[sample] += weights[sample];
            }
            *fit = self.fit(samples, values, &drawn).ok().map(|found| found.coefficients);
        });
        let fits = fits.into_iter().collect::<Option<Vec<_>>>().filter(|fits| fits.len() > 1)?;
        let count = fits.len() as f64;
        let deviation = |player: usize| {
            let mean = fits.iter().map(|fit| fit[player]).sum::<f64>() / count;
            let square: f64 = fits.iter().map(|fit| (fit[player] - mean) * (fit[player] - mean)).sum();
            libm::sqrt(square / (count - 1.0))
        };
        Some((0..samples.n_players()).map(deviation).collect())
    }
}

impl Moments {
    fn new(samples: &Coalitions, values: &[f64], weights: &[f64]) -> Result<Self> {
        let (n, weight) = (samples.n_players(), weights.iter().sum::<f64>());
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(Error::Singular { what: "the regression: the weights of the samples vanish" });
        }
        let mean_value = values.iter().zip(weights).map(|(value, weight)| weight * value).sum::<f64>() / weight;
        let (mut mean, mut with_value, mut value) = (vec![0.0; n], vec![0.0; n], 0.0);
        let (mut gram, mut members) = (Array2::<f64>::zeros((n, n)), Vec::with_capacity(n));
        for ((coalition, &y), &w) in samples.iter().zip(values).zip(weights).filter(|(_, w)| **w > 0.0) {
            let y = y - mean_value;
            value += w * y * y;
            members.clear();
            members.extend(coalition.members());
            for (at, &i) in members.iter().enumerate() {
                mean[i] += w;
                with_value[i] += w * y;
                let mut row = gram.row_mut(i);
                members[..=at].iter().for_each(|&j| row[j] += w);
            }
        }
        mean.iter_mut().for_each(|mean| *mean /= weight);
        for i in 0..n {
            for j in 0..=i {
                let raw = gram[[i, j]];
                let central = raw - weight * mean[i] * mean[j];
                // a player who never comes or never goes has no variance, whatever rounding left of it
                let kept = if i == j && central <= n as f64 * f64::EPSILON * raw { 0.0 } else { central };
                (gram[[i, j]], gram[[j, i]]) = (kept, kept);
            }
        }
        Ok(Self { weight, mean, mean_value, gram, with_value, value })
    }

    /// `Σ w (y - ŷ)²`.
    fn residual(&self, beta: &[f64]) -> f64 {
        let explained = |i: usize| self.gram.row(i).iter().zip(beta).map(|(q, beta)| q * beta).sum::<f64>();
        let terms = beta.iter().enumerate().map(|(i, beta)| beta * (explained(i) - 2.0 * self.with_value[i]));
        (self.value + terms.sum::<f64>()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cube() -> Coalitions {
        let mut samples = Coalitions::new(3);
        (0..8_usize).for_each(|index| samples.push((0..3).filter(|i| index >> i & 1 == 1)).unwrap());
        samples
    }

    #[test]
    fn a_penalty_shrinks() {
        // over a full cube every player has the variance 1/4 and is independent of the others
        let values: Vec<f64> = cube().iter().map(|c| c.members().map(|i| [3.0, -5.0, 0.25][i]).sum()).collect();
        let lasso = Regression::Lasso { alpha: 0.5 }.fit(&cube(), &values, &[2.0; 8]).unwrap();
        let expected = [1.0, -3.0, 0.0];
        assert!(lasso.coefficients.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-12));
        // the mean is met: -0.875 = b + (1 - 3)/2
        assert!((lasso.intercept - 0.125).abs() < 1e-12);
        // Σ w z² = 16/4, so a ridge of 4 halves
        let ridge = Regression::Ridge { alpha: 4.0 }.fit(&cube(), &values, &[2.0; 8]).unwrap();
        assert!((ridge.coefficients[0] - 1.5).abs() < 1e-12);
        let r_squared = 1.0 - 0.25;
        assert!((ridge.r_squared.unwrap() - r_squared).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_fitted_is_named() {
        let fit = |regression: Regression, values: &[f64], weights: &[f64]| regression.fit(&cube(), values, weights);
        let ridge = Regression::Ridge { alpha: 0.0 };
        assert!(matches!(fit(ridge, &[0.0; 8], &[0.0; 8]), Err(Error::Singular { .. })));
        let mut one = [0.0; 8];
        one[3] = 1.0;
        assert!(matches!(fit(ridge, &[0.0; 8], &one), Err(Error::Singular { .. })));
        assert!(matches!(fit(ridge, &[0.0; 7], &[1.0; 8]), Err(Error::Shape { what: "values", .. })));
        assert!(matches!(fit(ridge, &[0.0; 8], &[-1.0; 8]), Err(Error::OutOfRange { what: "weights", .. })));
        let negative = Regression::Lasso { alpha: -1.0 };
        assert!(matches!(fit(negative, &[0.0; 8], &[1.0; 8]), Err(Error::OutOfRange { what: "alpha", .. })));
        // constant values: nothing to explain, and nothing explained
        let lasso = fit(Regression::Lasso { alpha: 0.1 }, &[7.0; 8], &one).unwrap();
        assert_eq!((lasso.coefficients, lasso.intercept, lasso.r_squared), (vec![0.0; 3], 7.0, None));
    }
}
