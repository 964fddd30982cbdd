//! SmoothGrad and its relatives: an attribution averaged over noisy copies of the input.
//!
//! ```text
//! A_s = attribution of x + ε_s         ε_s ~ N(0, σ²)
//! SmoothGrad          mean A_s         SmoothGradSquared   mean A_s²         VarGrad   variance of A_s
//! ```
//!
//! Every value comes with its standard error, and sampling can stop at a tolerance. Variances are summed around the mean:
//! the difference of `mean A²` and `(mean A)²` would cancel, and can come out negative.
//!
//! Source: Smilkov et al., "SmoothGrad: removing noise by adding noise" (arXiv 1706.03825); the squared form:
//! Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural Networks" (arXiv 1806.10758); VarGrad: Adebayo et
//! al., "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter Values" (arXiv 1810.03307).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use ndarray::{Array2, ArrayRef2, ArrayRef3, Axis};

use super::walk::{Walk, copy};
use crate::attribution::estimate::{Estimates, Statistic};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Evaluations, Explained, Explainer, Forward, Target};
use crate::error::{check_each, check_finite, check_shape};
use crate::math::random::fill_normal;
use crate::{Result, Scalar, Seed};

/// What is read off the attributions of noisy inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NoiseKind {
    /// Their mean.
    #[default]
    SmoothGrad,
    /// The mean of their squares.
    SmoothGradSquared,
    /// Their variance, divided by `samples - 1`: an estimate without bias.
    VarGrad,
    /// Their variance divided by `samples`, as Captum's `vargrad`.
    VarGradPopulation,
}

/// The standard deviation of the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Deviation {
    /// This share of the largest less the smallest value of the row, which is 0 for a row of equal values.
    Relative(f64),
    /// This number.
    Absolute(f64),
}

/// Averages any other method over noisy inputs.
///
/// The noise of sample `s` of row `r` depends on the seed, `r` and `s` alone. With a tolerance, a row is looked at after every
/// 16 samples, and left alone once its largest standard error is at most the tolerance times its largest value.
///
/// Where the model fails, the number of its call counts from the start of one run of the inner method.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::{Saliency, SmoothGrad};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let smooth = SmoothGrad::of(Saliency { absolute: false });
/// let found = smooth.attribute(&mut model, &array![[2.0, 0.5]], &Logit::of(0))?;
/// // the gradient of a linear model is the same everywhere
/// assert_eq!(found.values, array![[3.0, -4.0]]);
/// assert_eq!(found.standard_error.unwrap(), array![[0.0, 0.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SmoothGrad<E> {
    /// The method that is averaged.
    pub inner: E,
    /// What is read off.
    pub kind: NoiseKind,
    /// How strong the noise is.
    pub deviation: Deviation,
    /// Samples of a row, at most.
    pub samples: usize,
    /// When to stop earlier.
    pub tolerance: Option<f64>,
    /// Where the noise comes from.
    pub seed: Seed,
    /// Rows that the inner method is given at once.
    pub batch: Batch,
}

impl<E> SmoothGrad<E> {
    /// With the paper's 50 samples and a deviation of 15 % of the range of a row, of the 10 to 20 % that it recommends.
    pub fn of(inner: E) -> Self {
        Self {
            inner,
            kind: NoiseKind::SmoothGrad,
            deviation: Deviation::Relative(0.15),
            samples: 50,
            tolerance: None,
            seed: Seed(0),
            batch: Batch::Auto,
        }
    }
}

impl<E: Default> Default for SmoothGrad<E> {
    fn default() -> Self {
        Self::of(E::default())
    }
}

/// Purpose of the noise's random streams.
const PURPOSE: u64 = 0x736d_6f6f;

/// The target of rows that were handed over repeatedly.
struct Repeated<'a, T> {
    target: &'a dyn Target<T>,
    rows: usize,
    examples: &'a [usize],
}

impl<T: Scalar> Target<T> for Repeated<'_, T> {
    fn check(&self, _rows: usize, outputs: usize) -> Result<()> {
        self.target.check(self.rows, outputs)
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        self.target.value(self.examples[row], z)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        self.target.cotangent(self.examples[row], z, gradient);
    }
}

impl<E: Debug> SmoothGrad<E> {
    /// The same with given noise: `noise: (samples, b, n)` takes the place of the random numbers, and `samples`, `tolerance` and
    /// `deviation` play no part.
    ///
    /// # Errors
    /// As [`Explainer::attribute`], and [`Error::Shape`](crate::Error::Shape) or
    /// [`Error::NotFinite`](crate::Error::NotFinite) for the noise.
    pub fn attribute_with<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        noise: &ArrayRef3<T>,
    ) -> Explained<Attribution<T>, M::Error>
    where
        E: Explainer<T, M>,
    {
        let samples = noise.dim().0;
        check_shape("noise", noise, &[samples, x.nrows(), x.ncols()])?;
        check_finite("noise", noise)?;
        let estimates = Estimates::new(x.dim(), self.statistic(), samples, None)?;
        self.run(model, x, target, estimates, |row, sample, out| copy(out, noise.index_axis(Axis(0), sample).row(row)))
    }

    fn statistic(&self) -> Statistic {
        match self.kind {
            NoiseKind::SmoothGrad | NoiseKind::SmoothGradSquared => Statistic::Mean,
            NoiseKind::VarGrad => Statistic::Variance,
            NoiseKind::VarGradPopulation => Statistic::PopulationVariance,
        }
    }

    fn name(&self) -> &'static str {
        match self.kind {
            NoiseKind::SmoothGrad => "smooth_grad",
            NoiseKind::SmoothGradSquared => "smooth_grad_squared",
            NoiseKind::VarGrad | NoiseKind::VarGradPopulation => "var_grad",
        }
    }

    fn run<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        mut estimates: Estimates,
        mut noise: impl FnMut(usize, usize, &mut [T]),
    ) -> Explained<Attribution<T>, M::Error>
    where
        E: Explainer<T, M>,
    {
        let mut probe = Probe::new(model, x, target)?;
        let output = Walk::new(self.batch, x.ncols())?.outputs(&mut probe, x)?;
        let mut result = Attribution::new(self.name(), String::new(), Array2::zeros((0, 0)), output);
        result.evaluations = probe.evaluations();
        let rows = self.batch.rows(x.ncols())?;
        while !estimates.round().is_empty() {
            let all: Vec<usize> = (0..x.nrows()).collect();
            let examples = if self.inner.is_per_row() { &all[..] } else { estimates.active() };
            let items: Vec<_> =
                estimates.round().flat_map(|sample| examples.iter().map(move |&row| (sample, row))).collect();
            for chunk in items.chunks(if self.inner.is_per_row() { x.nrows() } else { rows }) {
                let found = self.explain(model, x, target, chunk, &mut noise)?;
                self.take_up(&mut estimates, chunk, found, &mut result)?;
            }
            estimates.settle();
        }
        result.values = estimates.values();
        result.standard_error = estimates.standard_errors();
        result.status = estimates.status();
        result.options = format!("{self:?}");
        Ok(result)
    }

    /// The inner method on some noisy rows.
    fn explain<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        chunk: &[(usize, usize)],
        noise: &mut impl FnMut(usize, usize, &mut [T]),
    ) -> Explained<Attribution<T>, M::Error>
    where
        E: Explainer<T, M>,
    {
        let mut noisy = Array2::zeros((chunk.len(), x.ncols()));
        for (&(sample, row), mut to) in chunk.iter().zip(noisy.rows_mut()) {
            noise(row, sample, to.as_slice_mut().expect("a row of a new matrix"));
            to += &x.row(row);
        }
        let examples: Vec<usize> = chunk.iter().map(|&(_, row)| row).collect();
        self.inner.attribute(model, &noisy, &Repeated { target, rows: x.nrows(), examples: &examples })
    }

    fn take_up<T: Scalar>(
        &self,
        estimates: &mut Estimates,
        chunk: &[(usize, usize)],
        mut found: Attribution<T>,
        result: &mut Attribution<T>,
    ) -> Result<()> {
        let Evaluations { forward, gradient } = found.evaluations;
        result.evaluations.forward += forward;
        result.evaluations.gradient += gradient;
        result.exact_gradients &= found.exact_gradients;
        if self.kind == NoiseKind::SmoothGradSquared {
            found.values.mapv_inplace(|value| value * value);
        }
        for (&(_, row), values) in chunk.iter().zip(found.values.rows()) {
            if estimates.active().binary_search(&row).is_ok() {
                estimates.push(row, &values.to_vec())?;
            }
        }
        Ok(())
    }
}

/// The standard deviation of every row.
fn deviations<T: Scalar>(deviation: Deviation, x: &ArrayRef2<T>) -> Result<Vec<T>> {
    let (Deviation::Relative(size) | Deviation::Absolute(size)) = deviation;
    check_each("deviation", &[size], ">= 0", |size: f64| size >= 0.0 && size.is_finite())?;
    let range = |row: ndarray::ArrayView1<'_, T>| {
        let most = row.iter().fold(T::neg_infinity(), |most, &x| most.max(x));
        most - row.iter().fold(T::infinity(), |least, &x| least.min(x))
    };
    Ok(match deviation {
        Deviation::Absolute(size) => alloc::vec![T::of(size); x.nrows()],
        Deviation::Relative(share) => x.rows().into_iter().map(|row| T::of(share) * range(row)).collect(),
    })
}

impl<T: Scalar, M: Forward<T> + ?Sized, E: Explainer<T, M> + Debug> Explainer<T, M> for SmoothGrad<E> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let estimates = Estimates::new(x.dim(), self.statistic(), self.samples, self.tolerance)?;
        let deviations = deviations(self.deviation, x)?;
        let mut result = self.run(model, x, target, estimates, |row, sample, out| {
            let stream = &mut self.seed.child(PURPOSE, row as u64).stream(PURPOSE, sample as u64);
            fill_normal(stream, deviations[row], out);
        })?;
        result.seed = Some(self.seed);
        Ok(result)
    }

    fn is_per_row(&self) -> bool {
        // the noise of a row follows from its number
        true
    }

    fn gives_slopes(&self) -> bool {
        self.inner.gives_slopes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::{IntegratedGradients, Saliency};
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Failure, Network, Status};
    use crate::math::pointwise::Activation;
    use ndarray::{Array3, array};

    fn square() -> Network<f64> {
        use crate::attribution::network::{Op, Source};
        let mut model = Network::new(1);
        model.node(Op::Multiply, &[Source::Input, Source::Input]).unwrap();
        model
    }

    fn saliency() -> SmoothGrad<Saliency> {
        SmoothGrad::of(Saliency { absolute: false })
    }

    #[test]
    fn given_noise_by_hand() {
        // the gradient of x² at 1 + ε is 2 + 2 ε
        let noise = Array3::from_shape_vec((4, 1, 1), alloc::vec![-1.5, -0.5, 0.5, 1.5]).unwrap();
        let of = |kind| {
            let method = SmoothGrad { kind, ..saliency() };
            method.attribute_with(&mut square(), &array![[1.0]], &Logit::of(0), &noise).unwrap()
        };
        let mean = of(NoiseKind::SmoothGrad);
        assert_eq!((mean.values[[0, 0]], mean.output_value[0]), (2.0, 1.0));
        assert!((mean.standard_error.unwrap()[[0, 0]] - (20.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!(of(NoiseKind::SmoothGradSquared).values[[0, 0]], 9.0);
        assert_eq!(of(NoiseKind::VarGradPopulation).values[[0, 0]], 5.0);
        assert!((of(NoiseKind::VarGrad).values[[0, 0]] - 20.0 / 3.0).abs() < 1e-14);
    }

    #[test]
    fn a_variance_far_from_zero_does_not_cancel() {
        let noise = Array3::from_shape_fn((4, 1, 1), |(s, _, _)| 1e-6 * s as f64);
        let method = SmoothGrad { kind: NoiseKind::VarGradPopulation, ..saliency() };
        let found = method.attribute_with(&mut square(), &array![[1e4]], &Logit::of(0), &noise).unwrap();
        assert!((found.values[[0, 0]] / 5e-12 - 1.0).abs() < 1e-4);
    }

    fn tanh() -> Network<f64> {
        Network::new(2).linear(array![[1.0, -2.0]], None).unwrap().activation(Activation::Tanh).unwrap()
    }

    #[test]
    fn calls_of_any_size_give_the_same_floats() {
        let x = array![[0.3, 0.1], [2.0, 0.9], [0.0, 1.0]];
        let explain = |batch, tolerance| {
            let method = SmoothGrad { batch, tolerance, samples: 100, seed: Seed(3), ..saliency() };
            method.attribute(&mut tanh(), &x, &Logit::of(0)).unwrap()
        };
        for tolerance in [None, Some(0.05)] {
            let whole = explain(Batch::Auto, tolerance);
            for rows in [1, 3] {
                let found = explain(Batch::Rows(rows), tolerance);
                assert_eq!((&found.values, &found.standard_error), (&whole.values, &whole.standard_error));
                assert_eq!((found.evaluations, found.status), (whole.evaluations, whole.status));
            }
        }
    }

    #[test]
    fn a_baseline_of_each_row_stays_with_its_row() {
        let x = array![[0.3, 0.1], [2.0, 0.9]];
        let explain = |baseline: Baseline<f64>| {
            let method =
                SmoothGrad { samples: 3, ..SmoothGrad::of(IntegratedGradients { baseline, ..Default::default() }) };
            method.attribute(&mut tanh(), &x, &Logit::of(0)).unwrap().values
        };
        assert_eq!(explain(array![[0.1, 0.2], [0.1, 0.2]].into()), explain(array![0.1, 0.2].into()));
    }

    #[test]
    fn it_stops_at_the_tolerance_or_at_the_budget() {
        let explain = |tolerance, samples| {
            let method = SmoothGrad { tolerance: Some(tolerance), samples, ..saliency() };
            method.attribute(&mut tanh(), &array![[0.3, 0.1]], &Logit::of(0)).unwrap()
        };
        let found = explain(0.02, 100_000);
        let error = found.standard_error.unwrap()[[0, 1]] / found.values[[0, 1]].abs();
        assert!(found.status == Status::Converged && error <= 0.02 && found.evaluations.gradient < 5000);
        assert_eq!(explain(1e-9, 20).status, Status::Partial);
    }

    #[test]
    fn bad_settings_are_named() {
        let explain = |method: SmoothGrad<Saliency>| method.attribute(&mut tanh(), &array![[0.3, 0.1]], &Logit::of(0));
        let out = |what: &str, method| matches!(explain(method), Err(Failure::Input(crate::Error::OutOfRange { what: w, .. })) if w == what);
        assert!(out("samples", SmoothGrad { samples: 0, ..saliency() }));
        assert!(out("tolerance", SmoothGrad { tolerance: Some(f64::NAN), ..saliency() }));
        assert!(out("deviation", SmoothGrad { deviation: Deviation::Absolute(-1.0), ..saliency() }));
    }
}
