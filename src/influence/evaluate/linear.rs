//! Exact influence in linear models: least squares and logistic regression with a ridge.
//!
//! ```text
//! J(θ) = (1/N) Σ_i ℓ(x_i·θ, y_i) + (ridge/2) ‖θ‖²        H = (1/N) Σ_i ℓ''_i x_i x_iᵀ + ridge I,  g_i = ℓ'_i x_i
//! s(q, i) = g_qᵀ H⁻¹ g_i          > 0: without i the loss of q rises by about s/N
//! first order     θ_without_i - θ ≈ (1/N) H⁻¹ g_i
//! one step        the same / (1 - h_i),   leverage h_i = ℓ''_i x_iᵀ H⁻¹ x_i / N
//! ```
//!
//! The step with the leverage is Newton's from `θ` on the objective without `i` (which keeps `1/N` and the ridge): exact
//! for least squares, where influence functions alone fail at points of high leverage, and nearly so for logistic
//! regression.
//!
//! Source: Cook and Weisberg, "Residuals and Influence in Regression" (1982), for leverage; Koh and Liang (arXiv
//! 1703.04730), section 2 for scores; Pregibon, "Logistic Regression Diagnostics", Annals of Statistics 9(4), 1981, for the
//! one-step estimate.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::gemm::product;
use crate::math::logistic::softplus;
use crate::math::pointwise::sigmoid;
use crate::math::reduce::dot;
use crate::math::solve::Cholesky;
use crate::{Error, Result, Scalar};

/// Loss of one example as a function of the prediction `z = x·θ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LinearLoss {
    /// `½ (z - y)²`.
    Squared,
    /// `log(1 + e^(-y z))` with labels `y` of -1 and 1.
    Logistic,
}

impl LinearLoss {
    /// The loss.
    #[must_use]
    pub fn value(self, z: f64, y: f64) -> f64 {
        match self {
            Self::Squared => 0.5 * (z - y) * (z - y),
            Self::Logistic => softplus(-y * z),
        }
    }

    /// Its derivative by `z`.
    #[must_use]
    pub fn slope(self, z: f64, y: f64) -> f64 {
        match self {
            Self::Squared => z - y,
            Self::Logistic => -y * sigmoid(-y * z),
        }
    }

    /// Its second derivative by `z`.
    #[must_use]
    pub fn curvature(self, z: f64, y: f64) -> f64 {
        match self {
            Self::Squared => 1.0,
            Self::Logistic => sigmoid(y * z) * sigmoid(-y * z),
        }
    }

    fn check(self, what: &'static str, y: &ArrayRef1<f64>) -> Result<()> {
        match self {
            Self::Squared => check_finite(what, y),
            Self::Logistic => check_each(what, y, "-1 or 1", |y: f64| y.abs() == 1.0),
        }
    }
}

/// Influence of every example of a fitted linear model.
#[derive(Debug, Clone)]
pub struct LinearInfluence {
    loss: LinearLoss,
    theta: Array1<f64>,
    x: Array2<f64>,
    slope: Array1<f64>,
    leverage: Array1<f64>,
    /// `H⁻¹ x_i`, `(n, d)`.
    solved: Array2<f64>,
}

impl LinearInfluence {
    /// Influence in the model with parameters `theta: (d)`, the minimum of the objective for examples `x: (n, d)` with
    /// targets or labels `y: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for labels other than -1 and 1 and a
    /// negative ridge, [`Error::Singular`] where the data leave a direction undetermined and there is no ridge.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::evaluate::{LinearInfluence, LinearLoss};
    /// use ndarray::array;
    ///
    /// // a line through four points; the last column is the intercept
    /// let x = array![[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]];
    /// let fit = LinearInfluence::new(LinearLoss::Squared, &x, &array![1.0, 3.0, 2.0, 5.0], 0.0, &array![1.1, 1.1])?;
    /// assert!((fit.leverage()[0] - 0.7).abs() < 1e-12);
    /// // without the last point the line is y = x/2 + 3/2: its parameters change by -0.6 and 0.4
    /// let without = fit.one_step(3)?;
    /// assert!((without[0] + 0.6).abs() < 1e-12 && (without[1] - 0.4).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new<T: Scalar>(
        loss: LinearLoss,
        x: &ArrayRef2<T>,
        y: &ArrayRef1<T>,
        ridge: f64,
        theta: &ArrayRef1<T>,
    ) -> Result<Self> {
        let (n, d) = x.dim();
        check_not_empty("x", x)?;
        check_shape("theta", theta, &[d])?;
        check_finite("theta", theta)?;
        check_each("ridge", &[ridge], "finite and >= 0", |ridge: f64| ridge >= 0.0 && ridge.is_finite())?;
        let (x, theta) = (x.mapv(Scalar::as_f64), theta.mapv(Scalar::as_f64));
        let (z, y) = predictions(loss, &x, y, &theta, "y")?;
        let of = |f: fn(LinearLoss, f64, f64) -> f64| z.iter().zip(&y).map(|(&z, &y)| f(loss, z, y)).collect();
        let (slope, curvature): (Array1<f64>, Array1<f64>) = (of(LinearLoss::slope), of(LinearLoss::curvature));
        let weighted = &x * &(&curvature / n as f64).insert_axis(Axis(1));
        let mut hessian = product(&weighted.t(), &x)?;
        hessian.diag_mut().iter_mut().for_each(|entry| *entry += ridge);
        let factor = Cholesky::new(&hessian, "the Hessian")?;
        let mut solved = x.clone();
        for mut row in solved.rows_mut() {
            let mut solution = row.to_vec();
            factor.solve(&mut solution)?;
            row.assign(&Array1::from(solution));
        }
        let leverage =
            weighted.rows().into_iter().zip(solved.rows()).map(|(x, s)| dot(&x, &s)).collect::<Result<_>>()?;
        Ok(Self { loss, theta, x, slope, leverage, solved })
    }

    /// Slopes `ℓ'_i`, `(n)`: the residuals of least squares.
    #[must_use]
    pub fn slopes(&self) -> &Array1<f64> {
        &self.slope
    }

    /// Leverages `h_i`, `(n)`, from 0 to 1.
    #[must_use]
    pub fn leverage(&self) -> &Array1<f64> {
        &self.leverage
    }

    /// Change of the parameters without each example to first order, `(n, d)`.
    #[must_use]
    pub fn first_order(&self) -> Array2<f64> {
        &self.solved * &(&self.slope / self.slope.len() as f64).insert_axis(Axis(1))
    }

    /// Change of the parameters without one example, `(d)`: exact for least squares.
    ///
    /// # Errors
    /// [`Error::Singular`] where the other examples leave a direction undetermined, [`Error::OutOfRange`] for no such example.
    pub fn one_step(&self, example: usize) -> Result<Array1<f64>> {
        let n = self.slope.len();
        check_each("example", &[example as f64], "an example's index", |_: f64| example < n)?;
        let rest = 1.0 - self.leverage[example];
        if rest <= 64.0 * f64::EPSILON * n as f64 {
            return Err(Error::Singular { what: "the Hessian without the example" });
        }
        Ok(&self.solved.index_axis(Axis(0), example) * (self.slope[example] / (n as f64 * rest)))
    }

    /// Scores `s(q, i)`, `(q, n)`, of queries `x: (q, d)` with targets `y: (q)`; no minus sign, no `1/N`.
    ///
    /// # Errors
    /// As [`LinearInfluence::new`].
    pub fn scores<T: Scalar>(&self, x: &ArrayRef2<T>, y: &ArrayRef1<T>) -> Result<Array2<f64>> {
        let x = x.mapv(Scalar::as_f64);
        let (z, y) = predictions(self.loss, &x, y, &self.theta, "query y")?;
        let slope: Array1<f64> = z.iter().zip(&y).map(|(&z, &y)| self.loss.slope(z, y)).collect();
        let scores = product(&x, &self.solved.t())?;
        Ok(scores * slope.insert_axis(Axis(1)) * self.slope.view().insert_axis(Axis(0)))
    }

    /// Scores of the examples for themselves, `(n)`.
    #[must_use]
    pub fn self_scores(&self) -> Array1<f64> {
        let rows = self.x.rows().into_iter().zip(self.solved.rows()).zip(&self.slope);
        rows.map(|((x, solved), slope)| slope * slope * x.iter().zip(solved).map(|(a, b)| a * b).sum::<f64>()).collect()
    }

    /// Change of the loss of each query without each example, `(q, n)`, by [`LinearInfluence::one_step`].
    ///
    /// # Errors
    /// As [`LinearInfluence::new`] and [`LinearInfluence::one_step`].
    pub fn loss_change<T: Scalar>(&self, x: &ArrayRef2<T>, y: &ArrayRef1<T>) -> Result<Array2<f64>> {
        let x = x.mapv(Scalar::as_f64);
        let (z, y) = predictions(self.loss, &x, y, &self.theta, "query y")?;
        let mut change = Array2::zeros((x.nrows(), self.slope.len()));
        for (example, mut column) in change.columns_mut().into_iter().enumerate() {
            let step = self.one_step(example)?;
            for (query, change) in column.iter_mut().enumerate() {
                let moved = z[query] + dot(&x.index_axis(Axis(0), query), &step)?;
                *change = self.loss.value(moved, y[query]) - self.loss.value(z[query], y[query]);
            }
        }
        Ok(change)
    }
}

/// `x·θ` and the targets in double precision, both checked.
fn predictions<T: Scalar>(
    loss: LinearLoss,
    x: &Array2<f64>,
    y: &ArrayRef1<T>,
    theta: &Array1<f64>,
    what: &'static str,
) -> Result<(Array1<f64>, Array1<f64>)> {
    check_shape("x", x, &[x.nrows(), theta.len()])?;
    check_shape(what, y, &[x.nrows()])?;
    check_finite("x", x)?;
    let y = y.mapv(Scalar::as_f64);
    loss.check(what, &y)?;
    let z = product(x, &theta.view().insert_axis(Axis(1)))?.remove_axis(Axis(1));
    check_finite("x·theta", &z)?;
    Ok((z, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn line() -> LinearInfluence {
        let x = array![[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]];
        LinearInfluence::new(LinearLoss::Squared, &x, &array![1.0, 3.0, 2.0, 5.0], 0.0, &array![1.1, 1.1]).unwrap()
    }

    fn close<D: ndarray::Dimension>(found: &ndarray::Array<f64, D>, expected: &ndarray::Array<f64, D>) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found} {expected}");
    }

    #[test]
    fn a_line_through_four_points_in_rational_numbers() {
        let fit = line();
        close(fit.slopes(), &array![0.1, -0.8, 1.3, -0.6]);
        close(fit.leverage(), &array![0.7, 0.3, 0.3, 0.7]);
        close(&fit.first_order(), &array![[-0.03, 0.07], [0.08, -0.32], [0.13, 0.13], [-0.18, 0.12]]);
        close(&fit.self_scores(), &array![0.028, 0.768, 2.028, 1.008]);
        let (query, target) = (array![[4.0, 1.0]], array![6.0]);
        close(&fit.scores(&query, &target).unwrap(), &array![[0.1, 0.0, -1.3, 1.2]]);
        let change = fit.loss_change(&query, &target).unwrap();
        close(&change, &array![[0.0972_2222_2222_222, 0.0, -0.033_163_265_306_122_5, 3.0]]);
        close(&fit.one_step(1).unwrap(), &array![4.0 / 35.0, -16.0 / 35.0]);
    }

    #[test]
    fn slopes_and_curvatures_are_derivatives() {
        let h = 1e-5;
        for loss in [LinearLoss::Squared, LinearLoss::Logistic] {
            for z in [-30.0, -1.3, 0.0, 0.4, 8.0] {
                for y in [-1.0, 1.0] {
                    let slope = (loss.value(z + h, y) - loss.value(z - h, y)) / (2.0 * h);
                    let curvature = (loss.slope(z + h, y) - loss.slope(z - h, y)) / (2.0 * h);
                    assert!((loss.slope(z, y) - slope).abs() < 1e-8 && (loss.curvature(z, y) - curvature).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn what_is_not_determined_is_an_error() {
        let x = array![[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]];
        let fit =
            LinearInfluence::new(LinearLoss::Squared, &x, &array![1.0, 2.0, 4.0], 0.0, &array![1.0, 3.0]).unwrap();
        assert_eq!(fit.one_step(0), Err(Error::Singular { what: "the Hessian without the example" }));
        assert!(fit.one_step(1).is_ok() && matches!(fit.one_step(3), Err(Error::OutOfRange { .. })));
        let flat = array![[1.0, 1.0], [2.0, 2.0]];
        let (y, theta) = (array![1.0, -1.0], array![0.0, 0.0]);
        let new = |loss, ridge| LinearInfluence::new(loss, &flat, &y, ridge, &theta);
        assert!(matches!(new(LinearLoss::Squared, 0.0), Err(Error::Singular { .. })));
        assert!(matches!(new(LinearLoss::Squared, -1.0), Err(Error::OutOfRange { what: "ridge", .. })));
        assert!(new(LinearLoss::Logistic, 0.1).is_ok());
        let wrong = LinearInfluence::new(LinearLoss::Logistic, &flat, &array![1.0, 0.0], 0.1, &theta);
        assert!(matches!(wrong, Err(Error::OutOfRange { what: "y", index: 1, .. })));
    }
}
