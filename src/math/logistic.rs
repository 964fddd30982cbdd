//! Logistic regression with an L2 penalty: a linear probe for two classes.
//!
//! ```text
//! z = x·w + v        min ½ ‖w‖² + C Σ_b log(1 + e^(-s_b z_b)),   s_b = 1 for the first class, -1 for the second
//! ```
//!
//! The intercept `v` is not penalised. Newton steps, their linear system solved by conjugate gradients, so that the cost of
//! a step is that of a few passes over the rows; everything is computed in double precision from a fixed start.
//!
//! Source: Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", JMLR 9 (2008),
//! sections 2 and 3, here with a line search.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use super::gemm::product;
use super::pointwise::sigmoid;
use super::reduce::{dot, sum};
use crate::error::{check_each, check_not_empty, check_shape};
use crate::{Dims, Error, Result, Scalar};

/// Largest magnitude of an input, so that squares stay finite.
const MAX_VALUE: f64 = 1e70;

/// How a probe is fitted. The default is the usual one: `C = 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogisticRegression {
    /// Weight `C` of the data against the penalty.
    pub c: f64,
    /// Most Newton steps.
    pub max_iterations: usize,
    /// Largest entry of the gradient at the end, relative to what single rows contribute to it.
    pub tolerance: f64,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self { c: 1.0, max_iterations: 1000, tolerance: 1e-12 }
    }
}

/// A fitted probe.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Logistic {
    /// Weights `(n)`.
    pub weights: Array1<f64>,
    /// Intercept `v`.
    pub intercept: f64,
    /// Newton steps taken.
    pub iterations: usize,
}

impl LogisticRegression {
    /// Fits a probe to `x: (b, n)`; `labels: (b)` are true for the first class.
    ///
    /// # Errors
    /// [`Error::Empty`] for no rows or rows of one class only, [`Error::Shape`], [`Error::OutOfRange`] for values beyond
    /// `±1e70` and bad settings, [`Error::NoConvergence`].
    ///
    /// # Example
    /// ```
    /// use limpid::math::logistic::LogisticRegression;
    /// use ndarray::array;
    ///
    /// let (x, labels) = (array![[-1.0], [1.0]], [false, true]);
    /// let probe = LogisticRegression::default().fit(&x, &labels)?;
    /// // w = σ(-w) + σ(-w)
    /// assert!((probe.weights[0] - 0.674_831_7).abs() < 1e-7 && probe.intercept.abs() < 1e-12);
    /// assert_eq!(probe.accuracy(&x, &labels)?, 1.0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn fit<T: Scalar>(&self, x: &ArrayRef2<T>, labels: &[bool]) -> Result<Logistic> {
        self.check()?;
        check_not_empty("x", x)?;
        check_rows(x, labels)?;
        if labels.iter().all(|&label| label) || labels.iter().all(|&label| !label) {
            return Err(Error::Empty { what: "rows of one of the classes" });
        }
        let x = x.mapv(Scalar::as_f64);
        let problem = Problem { scale: scales(&x, self.c), x, labels, c: self.c };
        problem.minimise(self.max_iterations, self.tolerance)
    }

    fn check(&self) -> Result<()> {
        check_each("c", &[self.c], "finite and > 0", |c: f64| c > 0.0 && c <= MAX_VALUE)?;
        check_each("tolerance", &[self.tolerance], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())
    }
}

impl Logistic {
    /// `z = x·w + v`, `(b)`, of `x: (b, n)`; above 0 for the first class.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for values beyond `±1e70`.
    pub fn decision<T: Scalar>(&self, x: &ArrayRef2<T>) -> Result<Array1<f64>> {
        check_shape("x", x, &[x.nrows(), self.weights.len()])?;
        check_values(x)?;
        Ok(times(&x.mapv(Scalar::as_f64), &self.weights)? + self.intercept)
    }

    /// Share of the rows of `x: (b, n)` whose class the probe tells.
    ///
    /// # Errors
    /// As [`Logistic::decision`], and [`Error::Empty`] for no rows.
    pub fn accuracy<T: Scalar>(&self, x: &ArrayRef2<T>, labels: &[bool]) -> Result<f64> {
        check_rows(x, labels)?;
        let told = self.decision(x)?.iter().zip(labels).filter(|&(&z, &label)| (z > 0.0) == label).count();
        if labels.is_empty() { Err(Error::Empty { what: "labels" }) } else { Ok(told as f64 / labels.len() as f64) }
    }
}

fn check_rows<T: Scalar>(x: &ArrayRef2<T>, labels: &[bool]) -> Result<()> {
    if labels.len() != x.nrows() {
        let (expected, got) = (Dims::new(&[x.nrows()]), Dims::new(&[labels.len()]));
        return Err(Error::Shape { what: "labels", expected, got });
    }
    check_values(x)
}

fn check_values<T: Scalar>(x: &ArrayRef2<T>) -> Result<()> {
    check_each("x", x, "-1e70 <= x <= 1e70", |x: T| x.as_f64().abs() <= MAX_VALUE)
}

fn times(x: &Array2<f64>, w: &ArrayRef1<f64>) -> Result<Array1<f64>> {
    Ok(product(x, &w.view().insert_axis(Axis(1)))?.remove_axis(Axis(1)))
}

/// `C Σ_b |x_bj|` for each weight, and `C b` for the intercept: what an entry of the gradient is made of.
fn scales(x: &Array2<f64>, c: f64) -> Array1<f64> {
    let mut scales: Array1<f64> = x.columns().into_iter().map(|column| c * sum(&column.mapv(f64::abs))).collect();
    let _ = scales.append(Axis(0), Array1::from_elem(1, c * x.nrows() as f64).view());
    scales
}

/// The function to be minimised over `θ = (w, v)`.
struct Problem<'a> {
    x: Array2<f64>,
    labels: &'a [bool],
    c: f64,
    scale: Array1<f64>,
}

/// The function at one point.
struct Point {
    theta: Array1<f64>,
    value: f64,
    gradient: Array1<f64>,
    /// `σ(z) (1 - σ(z))` of every row.
    curvature: Array1<f64>,
}

impl Problem<'_> {
    fn minimise(&self, max_iterations: usize, tolerance: f64) -> Result<Logistic> {
        let mut point = self.at(Array1::zeros(self.x.ncols() + 1))?;
        for iterations in 0..=max_iterations {
            let residual = self.residual(&point);
            if residual <= tolerance {
                return Ok(point.into_probe(iterations));
            }
            let step = self.step(&point, residual.min(0.1))?;
            let slope = dot(&step, &point.gradient)?;
            // a step that promises less than a rounding error of the value itself is the last one
            let exhausted = slope.abs() <= 8.0 * f64::EPSILON * point.value.abs();
            match self.search(&point, &step, slope)? {
                Some(next) if iterations < max_iterations => point = next,
                _ if exhausted => return Ok(point.into_probe(iterations)),
                _ => return Err(Error::NoConvergence { iterations, residual }),
            }
        }
        Err(Error::NoConvergence { iterations: max_iterations, residual: self.residual(&point) })
    }

    fn at(&self, theta: Array1<f64>) -> Result<Point> {
        let n = self.x.ncols();
        let (w, v) = theta.view().split_at(Axis(0), n);
        let z = times(&self.x, &w)? + v[0];
        let sign = |label: bool| if label { 1.0 } else { -1.0 };
        let losses: Array1<f64> = z.iter().zip(self.labels).map(|(&z, &label)| softplus(-sign(label) * z)).collect();
        let slopes: Array1<f64> =
            z.iter().zip(self.labels).map(|(&z, &label)| -sign(label) * sigmoid(-sign(label) * z)).collect();
        let curvature = z.mapv(|z| sigmoid(z) * sigmoid(-z));
        let value = 0.5 * dot(&w, &w)? + self.c * sum(&losses);
        let gradient = self.back(&slopes, &theta)?;
        Ok(Point { theta, value, gradient, curvature })
    }

    /// `C (xᵀ s, Σ s) + (w, 0)`.
    fn back(&self, s: &Array1<f64>, theta: &Array1<f64>) -> Result<Array1<f64>> {
        let n = self.x.ncols();
        let mut out = theta.clone();
        out[n] = self.c * sum(s);
        let by_w = product(&self.x.t(), &s.view().insert_axis(Axis(1)))?;
        out.iter_mut().zip(&by_w).for_each(|(out, &g)| *out += self.c * g);
        Ok(out)
    }

    fn residual(&self, point: &Point) -> f64 {
        let scaled = point.gradient.iter().zip(&self.scale).zip(&point.theta);
        // a column of zeros has a gradient of its weight alone, which starts and stays at 0
        let share = |((&g, &scale), &theta): ((&f64, &f64), &f64)| {
            let scale = scale + theta.abs();
            if scale > 0.0 { g.abs() / scale } else { g.abs() }
        };
        scaled.map(share).fold(0.0, f64::max)
    }

    /// A direction of descent: the Newton step, solved to the share `enough` of where it starts.
    fn step(&self, point: &Point, enough: f64) -> Result<Array1<f64>> {
        let n = self.x.ncols();
        let diagonal = self.diagonal(point);
        let mut step = Array1::zeros(n + 1);
        let mut rest = point.gradient.mapv(|g| -g);
        let mut scaled = &rest / &diagonal;
        let mut direction = scaled.clone();
        let mut energy = dot(&rest, &scaled)?;
        let start = energy;
        for _ in 0..(2 * n + 10).min(500) {
            let (w, v) = direction.view().split_at(Axis(0), n);
            let curved = (times(&self.x, &w)? + v[0]) * &point.curvature;
            let mut image = self.back(&curved, &direction)?;
            // where no row can still be told, the intercept would have no curvature at all
            image[n] += direction[n] * f64::MIN_POSITIVE;
            let bend = dot(&direction, &image)?;
            if bend.is_nan() || bend <= 0.0 {
                break;
            }
            let length = energy / bend;
            step.scaled_add(length, &direction);
            rest.scaled_add(-length, &image);
            scaled = &rest / &diagonal;
            let next = dot(&rest, &scaled)?;
            if next.is_nan() || next <= (enough * enough).max(1e-26) * start {
                break;
            }
            direction = &scaled + &(direction * (next / energy));
            energy = next;
        }
        // nothing learnt about the curvature: plain descent
        Ok(if step.iter().any(|s| *s != 0.0) { step } else { -&point.gradient / &diagonal })
    }

    /// Diagonal of the matrix of second derivatives.
    fn diagonal(&self, point: &Point) -> Array1<f64> {
        let mut diagonal = Array1::ones(self.x.ncols() + 1);
        for (entry, column) in diagonal.iter_mut().zip(self.x.columns()) {
            let terms: Array1<f64> = column.iter().zip(&point.curvature).map(|(&x, &c)| x * x * c).collect();
            *entry += self.c * sum(&terms);
        }
        diagonal[self.x.ncols()] = (self.c * sum(&point.curvature)).max(f64::MIN_POSITIVE);
        diagonal
    }

    /// The first of the whole step, its half, its quarter, ... that lowers the value as its slope promises.
    fn search(&self, point: &Point, step: &Array1<f64>, slope: f64) -> Result<Option<Point>> {
        let mut length = 1.0;
        for _ in 0..60 {
            let next = self.at(&point.theta + &(step * length))?;
            let lower = next.value < point.value && next.value <= point.value + 1e-4 * length * slope;
            // close to the end the value is all rounding, and only the gradient still tells
            let level = next.value <= point.value * (1.0 + 4.0 * f64::EPSILON);
            if lower || level && self.residual(&next) < 0.5 * self.residual(point) {
                return Ok(Some(next));
            }
            length *= 0.5;
        }
        Ok(None)
    }
}

impl Point {
    fn into_probe(self, iterations: usize) -> Logistic {
        let n = self.theta.len() - 1;
        let (weights, intercept) = self.theta.view().split_at(Axis(0), n);
        Logistic { weights: weights.to_owned(), intercept: intercept[0], iterations }
    }
}

/// `log(1 + e^x)`.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn data(b: usize, n: usize, offset: f64) -> (Array2<f64>, Vec<bool>) {
        let value = |(i, j): (usize, usize)| {
            let (i, j) = (i as f64, j as f64);
            libm::sin(1.3 * i + 0.7 * j * j + 0.2 * i * j) * (j + 1.0) + offset
        };
        (Array2::from_shape_fn((b, n), value), (0..b).map(|i| (i * i + i / 3) % 5 < 2).collect())
    }

    /// Numbers of scikit-learn 1.9.1, `newton-cholesky` with tolerance 1e-12.
    #[test]
    fn the_minimum_is_that_of_another_implementation() {
        let (x, labels) = data(12, 2, 0.0);
        let probe = LogisticRegression::default().fit(&x, &labels).unwrap();
        let expected = array![-0.226_094_349_285_655_9, 0.123_569_778_042_123_6];
        assert!((probe.weights.clone() - expected).iter().all(|e| e.abs() < 1e-11), "{probe:?}");
        assert!((probe.intercept - 0.017_946_335_015_343_356).abs() < 1e-11);
        assert_eq!(probe.accuracy(&x, &labels).unwrap(), 7.0 / 12.0);
        if cfg!(miri) {
            return;
        }
        let (x, labels) = data(40, 5, 3.0);
        let probe = LogisticRegression::default().fit(&x, &labels).unwrap();
        let expected = array![
            -0.126_910_445_220_705_46,
            0.052_467_554_609_353_64,
            -0.053_544_143_700_316_97,
            0.068_271_760_799_029_05,
            0.017_788_596_042_012_74
        ];
        assert!((probe.weights.clone() - expected).iter().all(|e| e.abs() < 1e-10), "{probe:?}");
        assert!((probe.intercept - 0.123_805_696_421_842_23).abs() < 1e-9 && probe.iterations < 12);
    }

    #[test]
    fn classes_that_can_be_told_apart_stay_finite() {
        let scales: &[f64] = if cfg!(miri) { &[1e-30] } else { &[1e-30, 1e-3, 1.0, 1e4, 1e12] };
        for &scale in scales {
            let x = array![[-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [3.0, 0.0]].mapv(|x: f64| x * scale);
            let probe = LogisticRegression::default().fit(&x, &[false, false, true, true]).unwrap();
            assert!(probe.weights.iter().all(|w| w.is_finite()) && probe.weights[1] == 0.0, "{scale} {probe:?}");
            let accuracy = probe.accuracy(&x, &[false, false, true, true]).unwrap();
            assert!(accuracy == 1.0, "{scale} {probe:?}");
        }
    }

    #[test]
    fn without_information_the_intercept_tells_the_shares() {
        let x = Array2::<f32>::zeros((4, 1));
        let probe = LogisticRegression::default().fit(&x, &[true, true, true, false]).unwrap();
        assert!((probe.intercept - libm::log(3.0)).abs() < 1e-9 && probe.weights[0] == 0.0);
    }

    #[test]
    fn bad_input_is_named() {
        let (fit, x) = (LogisticRegression::default(), array![[1.0], [2.0]]);
        assert!(matches!(fit.fit(&x, &[true]), Err(Error::Shape { what: "labels", .. })));
        assert!(matches!(fit.fit(&x, &[true, true]), Err(Error::Empty { .. })));
        assert!(matches!(fit.fit(&array![[f64::NAN], [0.0]], &[true, false]), Err(Error::OutOfRange { .. })));
        let bad = LogisticRegression { c: 0.0, ..fit };
        assert!(matches!(bad.fit(&x, &[true, false]), Err(Error::OutOfRange { what: "c", .. })));
        let short = LogisticRegression { max_iterations: 0, ..fit };
        assert!(matches!(short.fit(&x, &[true, false]), Err(Error::NoConvergence { iterations: 0, .. })));
        let probe = fit.fit(&x, &[true, false]).unwrap();
        assert!(probe.decision(&array![[1.0, 2.0]]).is_err());
        assert!(probe.accuracy(&Array2::<f64>::zeros((0, 1)), &[]).is_err());
    }
}
