//! Expected gradients, also called gradient SHAP: integrated gradients averaged over baselines, one random point at a time.
//!
//! ```text
//! A = E [ (x' - b) ⊙ ∇f(b + α (x' - b)) ]        x' = x + ε,  ε ~ N(0, σ²),  b uniform among the baselines,  α ~ U[0, 1)
//! ```
//!
//! Without noise, the sum of the expected values is `f(x) - E f(b)`; `delta` says how far the estimate is from it.
//! Every value comes with its standard error `√(variance / samples)`, and sampling can stop at a tolerance.
//!
//! Source: Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and expected
//! gradients" (arXiv 1906.10670); the noise: `GradientShap` of Captum.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array1, Array2, Array3, ArrayRef2, ArrayView1, Axis, Slice};

use super::averaged::Averaged;
use super::walk::{Walk, copy};
use crate::attribution::baseline::check_background;
use crate::attribution::estimate::{Estimates, Statistic};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Differentiable, Explained, Explainer, Forward, Target};
use crate::error::{check_each, check_finite, check_shape};
use crate::math::random::{below, fill_normal, uniform};
use crate::{Result, Scalar, Seed};

/// Expected gradients over a set of baselines.
///
/// The random numbers of sample `s` of row `r` depend on the seed, `r` and `s` alone. With a tolerance, a row is looked at after
/// every 16 samples, and left alone once its largest standard error is at most the tolerance times its largest value.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::GradientShap;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let method = GradientShap { samples: 4000, ..GradientShap::new(array![[0.0, 0.0], [2.0, 0.0]]) };
/// let found = method.attribute(&mut model, &array![[2.0, 0.5]], &Logit::of(0))?;
/// // the first input is 2 or 0 away from its baseline, 1 on average
/// let (value, error) = (found.values[[0, 0]], found.standard_error.unwrap()[[0, 0]]);
/// assert!((value - 3.0_f64).abs() < 4.0 * error && error < 0.05);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct GradientShap<T> {
    /// Baselines `(k, n)` that all rows share.
    pub baselines: Array2<T>,
    /// Standard deviation of the noise that is added to the input.
    pub deviation: f64,
    /// Samples of a row, at most.
    pub samples: usize,
    /// When to stop earlier.
    pub tolerance: Option<f64>,
    /// Where the random numbers come from.
    pub seed: Seed,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> GradientShap<T> {
    /// With 200 samples and no noise.
    pub fn new(baselines: Array2<T>) -> Self {
        Self { baselines, deviation: 0.0, samples: 200, tolerance: None, seed: Seed(0), batch: Batch::Auto }
    }
}

/// Says how many baselines there are and not their numbers: settings are recorded with every result.
impl<T> fmt::Debug for GradientShap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GradientShap")
            .field("baselines", &self.baselines.nrows())
            .field("deviation", &self.deviation)
            .field("samples", &self.samples)
            .field("tolerance", &self.tolerance)
            .field("seed", &self.seed)
            .field("batch", &self.batch)
            .finish()
    }
}

/// Draws that take the place of random numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientShapDraws<T> {
    /// Which baseline, `(b, samples)`.
    pub baseline_index: Array2<usize>,
    /// Where between baseline and input, `(b, samples)`, in `[0, 1]`.
    pub alpha: Array2<T>,
    /// What is added to the input, `(b, samples, n)`.
    pub noise: Option<Array3<T>>,
}

impl<T: Scalar> GradientShapDraws<T> {
    fn check(&self, (b, n): (usize, usize), baselines: usize) -> Result<()> {
        let samples = self.alpha.ncols();
        check_shape("alpha", &self.alpha, &[b, samples])?;
        check_each("alpha", &self.alpha, "0 <= alpha <= 1", |alpha| alpha >= T::zero() && alpha <= T::one())?;
        check_shape("baseline_index", &self.baseline_index, &[b, samples])?;
        let index: Vec<f64> = self.baseline_index.iter().map(|&index| index as f64).collect();
        check_each("baseline_index", &index, "a row of the baselines", |index| index < baselines as f64)?;
        self.noise.as_ref().map_or(Ok(()), |noise| {
            check_shape("noise", noise, &[b, samples, n])?;
            check_finite("noise", noise)
        })
    }

    /// The noisy input of a sample.
    fn noisy(&self, (row, sample): (usize, usize), x: ArrayView1<'_, T>, to: &mut [T]) {
        copy(to, x);
        if let Some(noise) = &self.noise {
            let noise = noise.index_axis(Axis(0), row);
            to.iter_mut().zip(noise.row(sample)).for_each(|(to, &noise)| *to += noise);
        }
    }
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x6773_6861;

impl<T: Scalar> GradientShap<T> {
    /// The same with given draws; `samples`, `tolerance`, `deviation` and `seed` play no part. The result has the completeness
    /// of every sample against `f(x') - f(b)`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`], and [`Error::Shape`](crate::Error::Shape),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) or [`Error::NotFinite`](crate::Error::NotFinite) for the draws.
    pub fn attribute_with<M: Differentiable<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        draws: &GradientShapDraws<T>,
    ) -> Explained<Averaged<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let mut walk = self.walk(x)?;
        draws.check(x.dim(), self.baselines.nrows())?;
        let mut estimates = Estimates::new(x.dim(), Statistic::Mean, draws.alpha.ncols(), None)?;
        let (output, bases) = self.ends(&mut probe, &mut walk, x)?;
        let points = || (0..x.nrows()).flat_map(|row| (0..draws.alpha.ncols()).map(move |sample| (row, sample)));
        let mut deltas = Array2::zeros(draws.alpha.raw_dim());
        let base = |at: (usize, usize)| bases[[at.0, draws.baseline_index[at]]];
        if draws.noise.is_some() {
            let place = |at: (usize, usize), point: &mut [T]| draws.noisy(at, x.row(at.0), point);
            walk.values(&mut probe, points(), |at| at.0, place, |at, value| deltas[at] = base(at) - value)?;
        } else {
            points().for_each(|at| deltas[at] = base(at) - output[at.0]);
        }
        let place = |at: (usize, usize), point: &mut [T], way: &mut [T]| {
            draws.noisy(at, x.row(at.0), point);
            self.walk_back(draws.baseline_index[at], draws.alpha[at], point, way);
        };
        let mut pushed = Ok(());
        walk.along(
            &mut probe,
            points(),
            |at| at.0,
            place,
            |at, gradient, way| {
                let sample: Array1<T> = gradient.iter().zip(way).map(|(&g, &way)| g * way).collect();
                deltas[at] += crate::math::reduce::sum(&sample);
                push(&mut estimates, &mut pushed, at.0, &sample);
            },
        )?;
        pushed?;
        Ok(Averaged { attribution: self.result(&probe, &estimates, output, &bases), deltas })
    }

    fn walk(&self, x: &ArrayRef2<T>) -> Result<Walk<T>> {
        check_background("baselines", &self.baselines, x.ncols())?;
        check_each("deviation", &[self.deviation], ">= 0", |size: f64| size >= 0.0 && size.is_finite())?;
        Walk::new(self.batch, x.ncols())
    }

    /// Turns a noisy input into the point at `alpha` on the way to it, and writes that way.
    fn walk_back(&self, baseline: usize, alpha: T, point: &mut [T], way: &mut [T]) {
        for ((point, way), &b) in point.iter_mut().zip(way).zip(self.baselines.row(baseline)) {
            *way = *point - b;
            *point = b + alpha * *way;
        }
    }

    /// Values at the rows of `x`, `(b)`, and of every row's target at every baseline, `(b, k)`: each baseline is run once.
    fn ends<M: Forward<T> + ?Sized>(
        &self,
        probe: &mut Probe<'_, T, M>,
        walk: &mut Walk<T>,
        x: &ArrayRef2<T>,
    ) -> Explained<(Array1<T>, Array2<T>), M::Error> {
        let output = walk.outputs(probe, x)?;
        let mut bases = Array2::zeros((x.nrows(), self.baselines.nrows()));
        for start in (0..self.baselines.nrows()).step_by(walk.rows()) {
            let end = self.baselines.nrows().min(start.saturating_add(walk.rows()));
            let rows = self.baselines.slice_axis(Axis(0), Slice::from(start..end)).as_standard_layout().into_owned();
            let mut outputs = Array2::zeros((rows.nrows(), probe.n_outputs()));
            probe.outputs(&rows, &mut outputs)?;
            for ((row, index), base) in bases.indexed_iter_mut().filter(|((_, index), _)| (start..end).contains(index))
            {
                let outputs = outputs.row(index - start);
                *base = probe.value_of(row, outputs.as_slice().expect("a row of a new matrix"));
            }
        }
        Ok((output, bases))
    }

    fn result<M: Differentiable<T> + ?Sized>(
        &self,
        probe: &Probe<'_, T, M>,
        estimates: &Estimates,
        output: Array1<T>,
        bases: &Array2<T>,
    ) -> Attribution<T> {
        let mut result = Attribution::new("gradient_shap", format!("{self:?}"), estimates.values(), output);
        result.standard_error = estimates.standard_errors();
        result.status = estimates.status();
        let count = T::of(bases.ncols() as f64);
        probe
            .account(result)
            .complete_to(bases.rows().into_iter().map(|row| crate::math::reduce::sum(&row) / count).collect())
    }
}

/// Takes up a sample; the first error is kept.
fn push<T: Scalar>(estimates: &mut Estimates, pushed: &mut Result<()>, row: usize, sample: &Array1<T>) {
    if pushed.is_ok() {
        *pushed = estimates.push(row, sample.as_slice().expect("a new array"));
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for GradientShap<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let mut walk = self.walk(x)?;
        let mut estimates = Estimates::new(x.dim(), Statistic::Mean, self.samples, self.tolerance)?;
        let (output, bases) = self.ends(&mut probe, &mut walk, x)?;
        let place = |(row, sample): (usize, usize), point: &mut [T], way: &mut [T]| {
            let stream = &mut self.seed.child(PURPOSE, row as u64).stream(PURPOSE, sample as u64);
            let (baseline, alpha) = (below(stream, self.baselines.nrows()), uniform(stream));
            if self.deviation > 0.0 {
                fill_normal(stream, T::of(self.deviation), point);
            } else {
                point.fill(T::zero());
            }
            point.iter_mut().zip(x.row(row)).for_each(|(point, &x)| *point += x);
            self.walk_back(baseline, alpha, point, way);
        };
        let mut pushed = Ok(());
        while !estimates.round().is_empty() {
            let (round, active) = (estimates.round(), estimates.active().to_vec());
            let points = round.flat_map(|sample| active.iter().map(move |&row| (row, sample)));
            walk.along(
                &mut probe,
                points,
                |at| at.0,
                place,
                |(row, _), gradient, way| {
                    let sample = gradient.iter().zip(way).map(|(&g, &way)| g * way).collect();
                    push(&mut estimates, &mut pushed, row, &sample);
                },
            )?;
            core::mem::replace(&mut pushed, Ok(()))?;
            estimates.settle();
        }
        let mut result = self.result(&probe, &estimates, output, &bases);
        result.seed = Some(self.seed);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network, Status};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn tanh() -> Network<f64> {
        Network::new(2).linear(array![[1.0, -2.0]], None).unwrap().activation(Activation::Tanh).unwrap()
    }

    #[test]
    fn given_draws_by_hand() {
        // f = relu(x), from 0 at a quarter and from -2 at three quarters of the way to 2
        let mut model = Network::<f64>::new(1).activation(Activation::Relu).unwrap();
        let draws = GradientShapDraws { baseline_index: array![[0, 1]], alpha: array![[0.25, 0.75]], noise: None };
        let method = GradientShap::new(array![[0.0], [-2.0]]);
        let found = method.attribute_with(&mut model, &array![[2.0]], &Logit::of(0), &draws).unwrap();
        assert_eq!((found.attribution.values, found.deltas), (array![[3.0]], array![[0.0, 2.0]]));
        assert_eq!(found.attribution.base_value, Some(array![0.0]));
        assert_eq!(found.attribution.standard_error, Some(array![[1.0]]));
        let wrong = GradientShapDraws { baseline_index: array![[0, 2]], ..draws };
        let refused = method.attribute_with(&mut model, &array![[2.0]], &Logit::of(0), &wrong);
        assert!(matches!(
            refused,
            Err(Failure::Input(crate::Error::OutOfRange { what: "baseline_index", index: 1, .. }))
        ));
    }

    #[test]
    fn calls_of_any_size_give_the_same_floats() {
        let x = array![[0.3, 0.1], [2.0, 0.9], [0.0, 1.0]];
        let explain = |batch, tolerance| {
            let baselines = array![[0.0, 0.0], [1.0, -1.0], [0.5, 0.5]];
            let method = GradientShap { batch, tolerance, deviation: 0.1, ..GradientShap::new(baselines) };
            method.attribute(&mut tanh(), &x, &Logit::of(0)).unwrap()
        };
        for tolerance in [None, Some(0.2)] {
            let whole = explain(Batch::Auto, tolerance);
            for rows in [1, 3] {
                let found = explain(Batch::Rows(rows), tolerance);
                assert_eq!((&found.values, &found.standard_error), (&whole.values, &whole.standard_error));
                assert_eq!((found.evaluations, found.status), (whole.evaluations, whole.status));
            }
        }
    }

    #[test]
    fn standard_errors_cover_the_truth() {
        // the expectation of a linear map is known; 2 standard errors cover it in about 95 of 100 runs
        let mut model = Network::<f64>::new(1).linear(array![[2.0]], None).unwrap();
        let baselines = array![[0.0], [1.0], [4.0]];
        let covered = (0..100).filter(|&seed| {
            let method = GradientShap { seed: Seed(seed), samples: 50, ..GradientShap::new(baselines.clone()) };
            let found = method.attribute(&mut model, &array![[3.0]], &Logit::of(0)).unwrap();
            let truth = 2.0 * (3.0 - 5.0 / 3.0);
            (found.values[[0, 0]] - truth).abs() < 2.0 * found.standard_error.unwrap()[[0, 0]]
        });
        assert!((88..=100).contains(&covered.count()));
    }

    #[test]
    fn a_single_baseline_at_the_input_gives_nothing() {
        let method = GradientShap { tolerance: Some(1e-3), ..GradientShap::new(array![[0.3, 0.1]]) };
        let found = method.attribute(&mut tanh(), &array![[0.3, 0.1]], &Logit::of(0)).unwrap();
        assert_eq!((found.values, found.status), (array![[0.0, 0.0]], Status::Converged));
        let none = GradientShap::<f64>::new(Array2::zeros((0, 2)));
        let refused = none.attribute(&mut tanh(), &array![[0.3, 0.1]], &Logit::of(0));
        assert!(matches!(refused, Err(Failure::Input(crate::Error::Empty { what: "baselines" }))));
    }
}
