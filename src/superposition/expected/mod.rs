//! Exact expected loss and gradient over the data distribution, without sampling.
//!
//! For independent features that are 0 or uniform on `[0, 1]`: closed forms for the linear model of any size and for the
//! ReLU-output model with up to [`MAX_FEATURES`] features. With them training can be noiseless, optimality gaps provable
//! and phase diagrams exact.
//!
//! Source: derived from Elhage et al. (2022), "Demonstrating Superposition"; see [`moments`](self) of rectified linear
//! forms for the ReLU.

mod linear;
mod moments;
mod relu_output;

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1};

use super::model::{Architecture, Gradient, Reduction, ToyModel, check_importance};
use crate::error::{check_each, check_limit, check_shape};
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};
use moments::{MAX_VARIABLES, Moments};
use relu_output::Walk;

/// Most features of a ReLU-output model whose loss is summed over all sets of present features.
pub const MAX_FEATURES: usize = MAX_VARIABLES;

/// Most features of a linear model.
pub const MAX_LINEAR_FEATURES: usize = 1 << 12;

/// Vertices that one truncated evaluation visits at most.
const MAX_VERTICES: f64 = 2e9;

#[derive(Debug, Clone)]
struct Settings {
    probability: Array1<f64>,
    importance: Array1<f64>,
    scale: f64,
}

/// The expected loss of a data distribution, with the scratch that repeated evaluations share.
#[derive(Debug, Clone)]
pub struct ExpectedLoss {
    settings: Settings,
    slope: Array2<f64>,
    by_bias: Array1<f64>,
    present: Vec<usize>,
    moments: Moments,
}

/// A sum over small sets of present features only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truncated<T> {
    /// Loss over sets of at most the given size.
    pub loss: T,
    /// Upper bound of what larger sets add.
    pub remainder_bound: T,
}

impl ExpectedLoss {
    /// The loss for densities `probability: (n)` and `importance: (n)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for probabilities outside `[0, 1]` and importances below 0;
    /// [`Error::TooLarge`] for more than [`MAX_LINEAR_FEATURES`]; [`Error::Unsupported`] for [`Reduction::Sum`], which has no
    /// meaning without a batch.
    pub fn new<T: Scalar>(probability: &ArrayRef1<T>, importance: &ArrayRef1<T>, reduction: Reduction) -> Result<Self> {
        let n = probability.len();
        check_limit("features of an expected loss", n, MAX_LINEAR_FEATURES)?;
        check_importance(importance, n)?;
        check_each("probability", probability, "0 <= p <= 1", |p| p >= T::zero() && p <= T::one())?;
        let scale = match reduction {
            Reduction::Mean => 1.0 / n.max(1) as f64,
            Reduction::FeatureSum => 1.0,
            Reduction::Sum => return Err(Error::Unsupported { what: "a sum over the rows of an expected loss" }),
        };
        let settings =
            Settings { probability: probability.mapv(T::as_f64), importance: importance.mapv(T::as_f64), scale };
        Ok(Self {
            settings,
            slope: Array2::zeros((n, n)),
            by_bias: Array1::zeros(n),
            present: Vec::with_capacity(n),
            moments: Moments::zero(),
        })
    }

    /// Loss of `model` and its gradient.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`]; [`Error::TooLarge`] for a ReLU-output model with more than
    /// [`MAX_FEATURES`] features; [`Error::Unsupported`] for the other architectures.
    ///
    /// # Example
    /// ```
    /// use limpid::superposition::expected::ExpectedLoss;
    /// use limpid::superposition::{Architecture, Reduction, ToyModel};
    /// use ndarray::array;
    ///
    /// // two equally important features, each present in 10 % of the samples, as an antipodal pair: (1 + r) p²/6
    /// let model = ToyModel::new(Architecture::ReluOutput, array![[1.0, -1.0]], array![0.0, 0.0])?;
    /// let mut expected = ExpectedLoss::new(&array![0.1, 0.1], &array![1.0, 1.0], Reduction::FeatureSum)?;
    /// let (loss, _) = expected.loss_and_gradient(&model)?;
    /// assert!((loss - 0.1 * 0.1 / 3.0_f64).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn loss_and_gradient<T: Scalar>(&mut self, model: &ToyModel<T>) -> Result<(T, Gradient<T>)> {
        self.check(model)?;
        let (_, n) = model.weight.dim();
        if model.architecture == Architecture::ReluOutput {
            check_limit("features of an exact ReLU-output loss", n, MAX_FEATURES)?;
        }
        let loss = self.evaluate(model, n)?;
        let scale = self.settings.scale;
        let weight = model.weight.mapv(T::as_f64);
        // the Gram matrix depends on W on both sides
        let both = &self.slope + &self.slope.t();
        let gradient = Gradient {
            weight: product(&weight, &both)?.mapv(|g| T::of(g * scale)),
            decoder: None,
            bias: self.by_bias.mapv(|g| T::of(g * scale)),
        };
        Ok((T::of(loss * scale), gradient))
    }

    /// Loss of a ReLU-output `model` over sets of at most `max_active` present features, and a bound of the rest.
    ///
    /// # Errors
    /// As [`ExpectedLoss::loss_and_gradient`], with [`Error::TooLarge`] where `max_active` exceeds [`MAX_FEATURES`] or the
    /// number of sets is beyond reach.
    pub fn truncated<T: Scalar>(&mut self, model: &ToyModel<T>, max_active: usize) -> Result<Truncated<T>> {
        self.check(model)?;
        if model.architecture != Architecture::ReluOutput {
            return Err(Error::Unsupported { what: "truncation of a loss that is exact for any size" });
        }
        let (_, n) = model.weight.dim();
        let max_active = max_active.min(n);
        check_limit("present features of a truncated loss", max_active, MAX_FEATURES)?;
        let vertices = (0..=max_active).fold((0.0, 1.0), |(sum, sets): (f64, f64), k| {
            (sum + sets * n as f64, sets * 2.0 * (n - k) as f64 / (k + 1) as f64)
        });
        check_each("vertices of a truncated loss", &[vertices.0], "at most 2e9", |v: f64| v <= MAX_VERTICES)?;
        let loss = self.evaluate(model, max_active)? * self.settings.scale;
        Ok(Truncated {
            loss: T::of(loss),
            remainder_bound: T::of(self.remainder(model, max_active)? * self.settings.scale),
        })
    }

    fn check<T: Scalar>(&self, model: &ToyModel<T>) -> Result<()> {
        model.check()?;
        check_shape("weight", &model.weight, &[model.n_hidden(), self.settings.probability.len()])?;
        match model.architecture {
            Architecture::Linear | Architecture::ReluOutput => Ok(()),
            _ => Err(Error::Unsupported { what: "the expected loss of a model with a hidden nonlinearity" }),
        }
    }

    /// Loss summed over features; leaves the derivatives by Gram matrix and bias in the scratch.
    fn evaluate<T: Scalar>(&mut self, model: &ToyModel<T>, max_active: usize) -> Result<f64> {
        let weight = model.weight.mapv(T::as_f64);
        let (gram, bias) = (product(&weight.t(), &weight)?, model.bias.mapv(T::as_f64));
        let Self { settings, slope, by_bias, present, moments } = self;
        slope.fill(0.0);
        by_bias.fill(0.0);
        present.clear();
        if model.architecture == Architecture::Linear {
            // the slope is by the Gram matrix, as below
            return Ok(linear::linear(settings, &gram, &bias, slope, by_bias));
        }
        let (gram, bias) = (&gram, &bias);
        let mut walk = Walk { settings, gram, bias, max_active, slope, by_bias, present, moments, loss: 0.0 };
        walk.extend(0, 1.0);
        Ok(walk.loss)
    }

    /// `P(more than max_active present) · Σ_i I_i max(1, largest output)²`.
    fn remainder<T: Scalar>(&self, model: &ToyModel<T>, max_active: usize) -> Result<f64> {
        let p = &self.settings.probability;
        // distribution of the number of present features, cut at max_active; the rest is what falls off the end
        let mut count = alloc::vec![0.0; max_active + 1];
        count[0] = 1.0;
        let mut beyond = 0.0;
        for &p in p {
            beyond += count[max_active] * p;
            for k in (0..=max_active).rev() {
                count[k] = count[k] * (1.0 - p) + if k > 0 { count[k - 1] * p } else { 0.0 };
            }
        }
        let weight = model.weight.mapv(T::as_f64);
        let gram = product(&weight.t(), &weight)?;
        let worst =
            gram.rows().into_iter().zip(&model.bias).zip(&self.settings.importance).map(|((row, b), importance)| {
                let output = b.as_f64() + row.iter().map(|g| g.max(0.0)).sum::<f64>();
                importance * output.max(1.0) * output.max(1.0)
            });
        Ok(beyond * worst.sum::<f64>())
    }
}

/// Expected loss of `model` for densities `probability: (n)` and `importance: (n)`.
///
/// # Errors
/// As [`ExpectedLoss::new`] and [`ExpectedLoss::loss_and_gradient`].
pub fn expected_loss<T: Scalar>(
    model: &ToyModel<T>,
    probability: &ArrayRef1<T>,
    importance: &ArrayRef1<T>,
    reduction: Reduction,
) -> Result<T> {
    Ok(ExpectedLoss::new(probability, importance, reduction)?.loss_and_gradient(model)?.0)
}

/// Smallest expected loss that a linear model with `m` hidden dimensions can reach, summed over features of one density.
///
/// ```text
/// min L = (p/3 - p²/4) · (sum of the n - m smallest importances)
/// ```
///
/// # Errors
/// [`Error::OutOfRange`] for a probability outside `[0, 1]` or an importance below 0.
pub fn linear_optimum<T: Scalar>(m: usize, probability: T, importance: &ArrayRef1<T>) -> Result<T> {
    check_importance(importance, importance.len())?;
    check_each("probability", &[probability], "0 <= p <= 1", |p| p >= T::zero() && p <= T::one())?;
    let mut sorted: Vec<f64> = importance.iter().map(|i| i.as_f64()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let p = probability.as_f64();
    Ok(T::of((p / 3.0 - 0.25 * p * p) * sorted.iter().skip(m).sum::<f64>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::polytope::polygon;
    use ndarray::array;

    fn pentagon(p: f64) -> f64 {
        let model = ToyModel::new(Architecture::ReluOutput, polygon(5) * 1.1, Array1::from_elem(5, -0.2)).unwrap();
        expected_loss(&model, &Array1::from_elem(5, p), &Array1::ones(5), Reduction::FeatureSum).unwrap()
    }

    #[test]
    fn published_pentagon_values() {
        assert!((pentagon(0.1) - 0.026_361_391_806).abs() < 1e-12);
        assert!((pentagon(0.05) - 0.009_061_142_433).abs() < 1e-12);
    }

    #[test]
    fn one_feature_by_hand() {
        // W = 0, b = p/2: the loss is the variance
        let model = ToyModel::new(Architecture::ReluOutput, array![[0.0]], array![0.15]).unwrap();
        let loss = expected_loss(&model, &array![0.3], &array![1.0], Reduction::FeatureSum).unwrap();
        assert!((loss - (0.1 - 0.25 * 0.09_f64)).abs() < 1e-15);
    }

    #[test]
    fn truncation_brackets_the_exact_loss() {
        let model = ToyModel::new(Architecture::ReluOutput, polygon(5) * 1.1, Array1::from_elem(5, -0.2)).unwrap();
        let (p, importance) = (Array1::from_elem(5, 0.05), Array1::ones(5));
        let mut expected = ExpectedLoss::new(&p, &importance, Reduction::FeatureSum).unwrap();
        let (exact, _) = expected.loss_and_gradient(&model).unwrap();
        for k in 0..=5 {
            let part = expected.truncated(&model, k).unwrap();
            assert!(part.loss <= exact + 1e-15 && exact <= part.loss + part.remainder_bound + 1e-15, "{k}");
        }
    }

    #[test]
    fn the_linear_optimum_is_reached_by_the_most_important_features() {
        let importance = array![1.0, 0.5, 0.25_f64];
        let model =
            ToyModel::new(Architecture::Linear, array![[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], array![0.0, 0.0, 0.1]);
        let loss = expected_loss(&model.unwrap(), &Array1::from_elem(3, 0.2), &importance, Reduction::FeatureSum);
        assert!((loss.unwrap() - linear_optimum(2, 0.2, &importance).unwrap()).abs() < 1e-15);
    }

    #[test]
    fn what_has_no_closed_form_is_refused() {
        let one = array![1.0_f64];
        assert!(matches!(ExpectedLoss::new(&one, &one, Reduction::Sum), Err(Error::Unsupported { .. })));
        let model = ToyModel::new(Architecture::ReluHidden, array![[1.0]], array![0.0]).unwrap();
        assert!(matches!(expected_loss(&model, &one, &one, Reduction::Mean), Err(Error::Unsupported { .. })));
        let wide = ToyModel::new(Architecture::ReluOutput, Array2::ones((1, 15)), Array1::zeros(15)).unwrap();
        let ones = Array1::<f64>::ones(15);
        assert!(matches!(expected_loss(&wide, &ones, &ones, Reduction::Mean), Err(Error::TooLarge { .. })));
    }
}
