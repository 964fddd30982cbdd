//! Guided integrated gradients: the path moves the features first whose derivatives are smallest there.
//!
//! ```text
//! γ(0) = b, and in every step, until 1/steps of |x - b|₁ is gone:
//!     S = the share `fraction` of features that still have way to go, with the smallest |∂f/∂x_i (γ)|
//!     S moves towards x
//! A = Σ_k g_k ⊙ (γ_{k+1} - γ_k)      g_k = ∇f(γ_k), or (∇f(γ_k) + ∇f(γ_{k+1}))/2
//! ```
//!
//! A straight path collects large derivatives of features that matter little to the output, which is seen as noise. This path
//! puts off features with large derivatives. It is complete as every path is; what the sum misses is reported as `delta`, and
//! goes down with `1/steps` for the sum of the paper, with `1/steps²` for the default, which costs one more evaluation.
//! `band` keeps every feature near the straight path: after the share `α` of the way no feature is further than `α ± band`
//! on its own way.
//!
//! Source: Kapishnikov et al., "Guided Integrated Gradients: an Adaptive Path Method for Removing Noise" (arXiv 2106.09788);
//! the band is that of the authors' code.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};
use num_traits::ToPrimitive;

use super::walk::{Walk, copy};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::error::{check_each, check_limit};
use crate::math::quadrature::MAX_NODES;
use crate::{Result, Scalar};

/// Gradients along a path that avoids large ones: `steps + 1` evaluations with gradient per row.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::GuidedIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 0.5]], None)?.activation(Activation::Tanh)?;
/// let method = GuidedIntegratedGradients::default();
/// let found = method.attribute(&mut model, &array![[1.0, 2.0_f64]], &Logit::of(0))?;
/// // the second input has the smaller derivative, goes first, and takes what the function gains at its steepest
/// assert!(found.values[[0, 1]] > found.values[[0, 0]]);
/// assert!(found.delta.unwrap()[0].abs() < 1e-4);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct GuidedIntegratedGradients<T> {
    /// Where the path starts.
    pub baseline: Baseline<T>,
    /// Steps of the path, all of the same length in `|·|₁`.
    pub steps: usize,
    /// Share of the features that are moved together, `0 < fraction <= 1`; 1 is the straight path.
    pub fraction: f64,
    /// How far a feature may be ahead of the straight path or behind it, as a share of its way, `0 < band <= 1`; 1 is no
    /// bound.
    pub band: f64,
    /// Which sum approximates the integral.
    pub sum: PathSum,
    /// Rows of one model call.
    pub batch: Batch,
}

/// Which gradient a step of a path counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PathSum {
    /// The mean of those at both of its ends.
    #[default]
    Trapezoid,
    /// That at its start, as in the paper.
    Left,
}

impl<T> Default for GuidedIntegratedGradients<T> {
    fn default() -> Self {
        let (baseline, batch) = (Baseline::Zeros, Batch::Auto);
        Self { baseline, steps: 200, fraction: 0.25, band: 0.02, sum: PathSum::Trapezoid, batch }
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for GuidedIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        self.check()?;
        let baselines = self.baseline.rows(x)?;
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let way = |row: usize| x.row(row).into_iter().zip(baselines.row(row)).map(|(&x, &b)| (x - b).as_f64());
        let mut rows: Vec<Guided> = (0..x.nrows()).map(|row| Guided::new(way(row).collect())).collect();
        let [mut output, mut base] = [Array1::zeros(x.nrows()), Array1::zeros(x.nrows())];
        let mut here = Array2::from_shape_fn(x.dim(), |(row, i)| baselines.row(row)[i]);
        let last = if self.sum == PathSum::Left { self.steps } else { self.steps + 1 };
        for step in 0..last {
            walk.gradients(
                &mut probe,
                0..x.nrows(),
                |row| row,
                |row, point| copy(point, here.row(row)),
                |row, value, gradient| {
                    if step == 0 {
                        base[row] = value;
                    }
                    output[row] = value;
                    rows[row].take(gradient, self.sum);
                    if step < self.steps {
                        rows[row].advance(gradient, (step + 1, self));
                    }
                },
            )?;
            if step < self.steps {
                let end = step + 1 == self.steps;
                for (row, mut here) in here.rows_mut().into_iter().enumerate() {
                    let ends = x.row(row).into_iter().zip(baselines.row(row)).zip(&rows[row].done);
                    here.iter_mut().zip(ends).for_each(|(here, ((&x, &b), &done))| {
                        *here = if end { x } else { b + T::of(done) * (x - b) };
                    });
                }
            }
        }
        if self.sum == PathSum::Left {
            output = walk.outputs(&mut probe, x)?;
        }
        let values = Array2::from_shape_fn(x.dim(), |(row, i)| T::of(rows[row].sums[i]));
        let mut result = Attribution::new("guided_integrated_gradients", format!("{self:?}"), values, output);
        result.status = Status::Finished;
        Ok(probe.account(result.complete_to(base)))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

impl<T> GuidedIntegratedGradients<T> {
    fn check(&self) -> Result<()> {
        check_each("steps", &[self.steps as f64], ">= 1", |steps: f64| steps >= 1.0)?;
        check_limit("steps", self.steps, MAX_NODES)?;
        check_each("fraction and band", &[self.fraction, self.band], "0 < share <= 1", |share: f64| {
            share > 0.0 && share <= 1.0
        })
    }
}

/// One row on its way.
struct Guided {
    /// `x - b`.
    way: Vec<f64>,
    /// The share of its way that every feature is done with.
    done: Vec<f64>,
    /// What the last step added to that.
    moved: Vec<f64>,
    sums: Vec<f64>,
}

impl Guided {
    fn new(way: Vec<f64>) -> Self {
        let zeros = vec![0.0; way.len()];
        Self { way, done: zeros.clone(), moved: zeros.clone(), sums: zeros }
    }

    /// Counts the gradient at the end of the last step.
    fn take<T: Scalar>(&mut self, gradient: &[T], sum: PathSum) {
        if sum == PathSum::Trapezoid {
            self.count(gradient, 0.5);
        }
    }

    /// Adds a share of `gradient` times the last step.
    fn count<T: Scalar>(&mut self, gradient: &[T], share: f64) {
        let steps = self.moved.iter().zip(&self.way).zip(gradient);
        self.sums.iter_mut().zip(steps).for_each(|(sum, ((moved, way), g))| *sum += share * g.as_f64() * moved * way);
    }

    /// Goes on to the share `step/steps` of the way, and counts the gradient at the start of that step.
    fn advance<T: Scalar, U>(&mut self, gradient: &[T], (step, settings): (usize, &GuidedIntegratedGradients<U>)) {
        let start = self.done.clone();
        self.step(gradient, step as f64 / settings.steps as f64, (settings.fraction, settings.band));
        if step == settings.steps {
            self.done.fill(1.0);
        }
        self.moved
            .iter_mut()
            .zip(self.done.iter().zip(&start))
            .for_each(|(moved, (done, start))| *moved = done - start);
        self.count(gradient, if settings.sum == PathSum::Left { 1.0 } else { 0.5 });
    }

    /// Moves features, those with the smallest derivatives first, until the share `alpha` of the length is done.
    fn step<T: Scalar>(&mut self, gradient: &[T], alpha: f64, (fraction, band): (f64, f64)) {
        let (low, high) = ((alpha - band).max(0.0), (alpha + band).min(1.0));
        self.done.iter_mut().for_each(|done| *done = done.max(low));
        let total: f64 = self.way.iter().map(|way| way.abs()).sum();
        let done = |guided: &Self| guided.way.iter().zip(&guided.done).map(|(way, done)| way.abs() * done).sum::<f64>();
        let mut open: Vec<usize> = (0..self.way.len()).filter(|&i| self.way[i] != 0.0 && self.done[i] < high).collect();
        let size = |i: usize| gradient[i].as_f64().abs();
        open.sort_by(|&i, &j| size(i).total_cmp(&size(j)));
        let at_once = libm::ceil(fraction * self.way.len() as f64).to_usize().unwrap_or(1).max(1);
        let (mut rest, mut missing) = (&open[..], total * alpha - done(self));
        while missing > 0.0 && !rest.is_empty() {
            // equal derivatives go together, so that no order of the features decides
            let tie = size(rest[at_once.min(rest.len()) - 1]);
            let count = rest.partition_point(|&i| size(i) <= tie);
            let (group, others) = rest.split_at(count);
            let length: f64 = group.iter().map(|&i| self.way[i].abs() * (high - self.done[i])).sum();
            let share = if length > missing { missing / length } else { 1.0 };
            group.iter().for_each(|&i| self.done[i] += share * (high - self.done[i]));
            missing -= length;
            rest = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::IntegratedGradients;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn smooth() -> Network<f64> {
        let first = Network::new(3).linear(array![[1.0, -2.0, 0.5], [0.3, 0.4, -1.0]], None).unwrap();
        first.activation(Activation::Tanh).unwrap().linear(array![[1.0, -0.7]], None).unwrap()
    }

    #[test]
    fn the_small_derivative_goes_first_by_hand() {
        // f = relu(3 x + y - 1) from (0, 0) to (1, 1) in 2 steps, all derivatives 0 at the start, so both move to (½, ½);
        // there the derivatives are (3, 1), so y moves on alone, as far as x would have gone as well
        let first = Network::new(2).linear(array![[3.0, 1.0]], Some(array![-1.0])).unwrap();
        let mut model = first.activation(Activation::Relu).unwrap();
        let method = GuidedIntegratedGradients { steps: 2, fraction: 0.5, band: 1.0, ..Default::default() };
        let mut row = Guided::new(vec![1.0, 1.0]);
        row.step(&[0.0, 0.0], 0.5, (0.5, 1.0));
        assert_eq!(row.done, [0.5, 0.5]);
        row.step(&[3.0, 1.0], 0.625, (0.5, 1.0));
        assert_eq!(row.done, [0.5, 0.75]);
        row.step(&[3.0, 1.0], 0.875, (0.5, 1.0));
        assert_eq!(row.done, [0.75, 1.0]);
        // trapezoids: half of the derivative over the first step, all of it over the second
        let found = method.attribute(&mut model, &array![[1.0, 1.0]], &Logit::of(0)).unwrap();
        assert_eq!(found.values, array![[2.25, 0.75]]);
        assert_eq!((found.output_value[0], found.base_value.as_ref().unwrap()[0]), (3.0, 0.0));
        assert_eq!((found.delta, found.evaluations.gradient, found.evaluations.forward), (Some(array![0.0]), 3, 0));
        let left = GuidedIntegratedGradients { sum: PathSum::Left, ..method };
        let found = left.attribute(&mut model, &array![[1.0, 1.0]], &Logit::of(0)).unwrap();
        assert_eq!((found.values, found.evaluations.gradient), (array![[1.5, 0.5]], 2));
    }

    #[test]
    fn a_band_holds_every_feature_near_the_straight_path() {
        let mut row = Guided::new(vec![1.0, -4.0, 0.0, 2.0]);
        for step in 1..=20_u32 {
            let alpha = f64::from(step) / 20.0;
            row.step(&[0.1, 5.0, 0.0, 1.0], alpha, (0.25, 0.1));
            let length: f64 = row.way.iter().zip(&row.done).map(|(way, done)| way.abs() * done).sum();
            assert!((length - 7.0 * alpha).abs() < 1e-12, "{alpha}");
            assert!([0, 1, 3].iter().all(|&i| (row.done[i] - alpha).abs() < 0.1 + 1e-12), "{:?}", row.done);
        }
    }

    #[test]
    fn it_is_complete_to_the_order_of_its_sum() {
        let x = array![[0.7, -0.4, 1.2], [2.0, 1.0, 0.0]];
        let delta = |steps, sum, fraction| {
            let method = GuidedIntegratedGradients { steps, sum, fraction, ..Default::default() };
            let found = method.attribute(&mut smooth(), &x, &Logit::of(0)).unwrap();
            found.delta.unwrap().iter().fold(0.0, |most: f64, delta| most.max(delta.abs()))
        };
        assert!(delta(200, PathSum::Trapezoid, 0.25) < 2e-4 && delta(2000, PathSum::Trapezoid, 0.25) < 2e-6);
        assert!(delta(200, PathSum::Left, 0.25) < 3e-2 && delta(2000, PathSum::Left, 0.25) < 3e-3);
        assert!(delta(2000, PathSum::Trapezoid, 0.01) < 2e-6);
    }

    #[test]
    fn all_features_at_once_are_the_straight_path_in_any_batch() {
        let x = array![[0.7, -0.4, 1.2], [2.0, 1.0, 0.0]];
        let run = |batch| {
            let baseline = array![0.1, 0.2, 0.0].into();
            let method =
                GuidedIntegratedGradients { fraction: 1.0, steps: 1000, baseline, batch, ..Default::default() };
            method.attribute(&mut smooth(), &x, &Logit::of(0)).unwrap().values
        };
        let plain = IntegratedGradients { baseline: array![0.1, 0.2, 0.0].into(), ..Default::default() };
        let plain = plain.attribute(&mut smooth(), &x, &Logit::of(0)).unwrap().values;
        assert!((run(Batch::Auto) - plain).iter().all(|error| error.abs() < 1e-5));
        assert_eq!(run(Batch::Rows(1)), run(Batch::Auto));
    }

    #[test]
    fn bad_settings_are_named() {
        let run = |method: GuidedIntegratedGradients<f64>| {
            method.attribute(&mut smooth(), &array![[1.0, 1.0, 1.0]], &Logit::of(0)).map(|_| ()).unwrap_err()
        };
        let steps = run(GuidedIntegratedGradients { steps: 0, ..Default::default() });
        assert!(matches!(steps, Failure::Input(crate::Error::OutOfRange { what: "steps", .. })));
        for (fraction, band) in [(0.0, 0.5), (0.5, f64::NAN), (1.5, 0.5)] {
            let share = run(GuidedIntegratedGradients { fraction, band, ..Default::default() });
            assert!(matches!(share, Failure::Input(crate::Error::OutOfRange { what: "fraction and band", .. })));
        }
        let still = GuidedIntegratedGradients { baseline: array![1.0, 1.0, 1.0].into(), ..Default::default() };
        let found = still.attribute(&mut smooth(), &array![[1.0, 1.0, 1.0]], &Logit::of(0)).unwrap();
        assert_eq!((found.values, found.delta), (array![[0.0, 0.0, 0.0]], Some(array![0.0])));
    }
}
