//! Where EAP-GP takes its gradients: on a path from the clean input that follows the model towards the corrupted outputs.
//!
//! ```text
//! z_0 = clean,   z_{j+1} = z_j - ∇D(z_j)/|∇D(z_j)|₂        D(z) = |f(z) - f(corrupted)|₂²,  f all outputs
//! score(u -> v) = ⟨a_u corrupted - a_u clean, 1/k Σ_{j=1..k} ∂m/∂(input of v) (z_j)⟩
//! ```
//!
//! A straight path may run through regions where the metric is flat, and finds nothing there. This one goes where the
//! outputs change. Give the points to the model as inputs, and the gradients to
//! [`EdgeBatch::add_gradient`](super::EdgeBatch::add_gradient) with weight `1/k` each; sign and order are those of
//! [`EdgeAttribution`](super::EdgeAttribution).
//!
//! The paper states the path for the activation of a node; one path of the inputs serves all edges here, as the straight path
//! of [`EdgeGradients::Inputs`](super::EdgeGradients::Inputs) does. The path need not end at the corrupted input, so scores
//! are not complete.
//!
//! Source: Zhang et al., "EAP-GP: Mitigating Saturation Effect in Gradient-based Automated Circuit Identification" (arXiv
//! 2502.06852), algorithm 1.

use alloc::vec;
use core::cell::RefCell;

use ndarray::{Array2, Array3, ArrayRef2, Axis, Slice};

use crate::attribution::probe::Probe;
use crate::attribution::{Batch, Differentiable, Evaluations, Explained, Target};
use crate::error::{check_each, check_finite, check_limit, check_shape};
use crate::math::quadrature::MAX_NODES;
use crate::math::reduce::norm;
use crate::{Result, Scalar};

/// The path: `steps` evaluations with gradient per row, one without.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::circuits::GradPath;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, 4.0]], None)?;
/// let found = GradPath { steps: 2, ..GradPath::default() }.run(&mut model, &array![[0.0, 0.0]], &array![[5.0, 5.0]])?;
/// // along the gradient, one unit a step
/// let expected = array![[[0.6, 0.8], [1.2, 1.6]]];
/// assert!((&found.points - &expected).iter().all(|error: &f64| error.abs() < 1e-12));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradPath {
    /// Points of the path, without the clean input.
    pub steps: usize,
    /// Length of a step in the space of the inputs; 1 in the paper.
    pub length: f64,
    /// Rows of one model call.
    pub batch: Batch,
}

impl Default for GradPath {
    fn default() -> Self {
        Self { steps: 5, length: 1.0, batch: Batch::Auto }
    }
}

/// Most numbers of a result.
const MAX_NUMBERS: usize = 1 << 30;

/// Points of the paths of `b` rows.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct GradPathPoints<T> {
    /// `(b, steps, n)`; where the gradient is 0 the path stays where it is.
    pub points: Array3<T>,
    /// `D` where each step starts, `(b, steps)`: the first is that of the clean input.
    pub distances: Array2<T>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
    /// Whether the model's gradients are exact.
    pub exact_gradients: bool,
}

/// `D`, for rows whose corrupted outputs are known.
struct OutputDistance<T> {
    reference: RefCell<Array2<T>>,
}

impl<T: Scalar> Target<T> for OutputDistance<T> {
    fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        check_shape("reference", &*self.reference.borrow(), &[rows, outputs])
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        let reference = self.reference.borrow();
        let squares = z.iter().zip(reference.row(row)).map(|(&z, &r)| (z - r).as_f64() * (z - r).as_f64());
        T::of(squares.sum())
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        let reference = self.reference.borrow();
        let differences = z.iter().zip(reference.row(row)).map(|(&z, &r)| z - r);
        gradient.iter_mut().zip(differences).for_each(|(slot, difference)| *slot = difference + difference);
    }
}

impl GradPath {
    /// Paths of pairs of rows of `clean` and `corrupted`, `(b, n)` each.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for inputs that are empty, not finite or of different shapes, for
    /// no steps, a length that is not positive, more than 2³⁰ numbers, and a path that leaves the finite numbers; the model's own failures.
    pub fn run<T: Scalar, M: Differentiable<T> + ?Sized>(
        self,
        model: &mut M,
        clean: &ArrayRef2<T>,
        corrupted: &ArrayRef2<T>,
    ) -> Explained<GradPathPoints<T>, M::Error> {
        check_each("steps", &[self.steps as f64], ">= 1", |steps: f64| steps >= 1.0)?;
        check_limit("steps", self.steps, MAX_NODES)?;
        check_each("length", &[self.length], "0 < length", |length: f64| length > 0.0 && length.is_finite())?;
        let (rows, n) = clean.dim();
        check_limit("numbers of the paths", rows.saturating_mul(n).saturating_mul(self.steps), MAX_NUMBERS)?;
        let target = OutputDistance { reference: RefCell::new(Array2::zeros((rows, model.n_outputs()))) };
        let mut probe = Probe::new(model, clean, &target)?;
        check_shape("corrupted", corrupted, clean.shape())?;
        check_finite("corrupted", corrupted)?;
        let size = self.batch.rows(n)?;
        let parts = || (0..rows).step_by(size).map(move |start| Slice::from(start..(start + size).min(rows)));
        for part in parts() {
            let x = corrupted.slice_axis(Axis(0), part).as_standard_layout().into_owned();
            let mut outputs = Array2::zeros((x.nrows(), probe.n_outputs()));
            probe.outputs(&x, &mut outputs)?;
            target.reference.borrow_mut().slice_axis_mut(Axis(0), part).assign(&outputs);
        }
        let mut here = clean.as_standard_layout().into_owned();
        let (mut points, mut distances) = (Array3::zeros((rows, self.steps, n)), Array2::zeros((rows, self.steps)));
        for step in 0..self.steps {
            for part in parts() {
                let mut here = here.slice_axis_mut(Axis(0), part);
                let (mut values, mut gradient) = (vec![T::zero(); here.nrows()], Array2::zeros(here.raw_dim()));
                let start = usize::try_from(part.start).unwrap_or(0);
                probe.gradients(&here, |row| start + row, &mut values, &mut gradient)?;
                for (row, (mut here, gradient)) in here.rows_mut().into_iter().zip(gradient.rows()).enumerate() {
                    distances[[start + row, step]] = values[row];
                    let length = norm(&gradient);
                    if length > T::zero() {
                        let share = T::of(self.length);
                        here.zip_mut_with(&gradient, |x, &g| *x -= share * (g / length));
                    }
                }
            }
            points.index_axis_mut(Axis(1), step).assign(&here);
            check_finite("points of the path", &here)?;
        }
        let (evaluations, exact_gradients) = (probe.evaluations(), probe.exact_gradients());
        Ok(GradPathPoints { points, distances, evaluations, exact_gradients })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn model() -> Network<f64> {
        let first = Network::new(3).linear(array![[1.0, -2.0, 0.5], [0.3, 0.4, -1.0]], Some(array![0.2, 0.0])).unwrap();
        first.activation(Activation::Tanh).unwrap().linear(array![[1.0, -0.7], [0.5, 2.0]], None).unwrap()
    }

    #[test]
    fn it_walks_towards_the_corrupted_outputs_in_any_batch() {
        let (clean, corrupted) =
            (array![[0.1, 0.2, -0.3], [1.0, 0.0, 0.4]], array![[0.9, -0.4, 0.3], [-1.0, 0.2, 0.0]]);
        let run = |batch| {
            let method = GradPath { steps: 20, length: 0.02, batch };
            method.run(&mut model(), &clean, &corrupted).unwrap()
        };
        let found = run(Batch::Auto);
        for (row, distances) in found.distances.rows().into_iter().enumerate() {
            assert!(distances.windows(2).into_iter().all(|pair| pair[1] < pair[0]), "{row} {distances}");
            let mut before = clean.row(row).to_owned();
            for point in found.points.index_axis(Axis(0), row).rows() {
                assert!((norm(&(&point - &before)) - 0.02).abs() < 1e-12);
                before.assign(&point);
            }
        }
        assert_eq!((found.evaluations.forward, found.evaluations.gradient, found.exact_gradients), (2, 40, true));
        assert_eq!(run(Batch::Rows(1)), found);
    }

    #[test]
    fn a_path_that_has_arrived_stays() {
        let x = array![[0.1, 0.2, -0.3]];
        let found = GradPath::default().run(&mut model(), &x, &x).unwrap();
        assert!(found.points.index_axis(Axis(0), 0).rows().into_iter().all(|point| point == x.row(0)));
        assert_eq!(found.distances, Array2::zeros((1, 5)));
    }

    #[test]
    fn bad_input_is_named() {
        let x = array![[0.1, 0.2, -0.3]];
        let run = |method: GradPath, other: &Array2<f64>| method.run(&mut model(), &x, other).unwrap_err();
        let steps = run(GradPath { steps: 0, ..GradPath::default() }, &x);
        assert!(matches!(steps, Failure::Input(crate::Error::OutOfRange { what: "steps", .. })));
        let length = run(GradPath { length: f64::NAN, ..GradPath::default() }, &x);
        assert!(matches!(length, Failure::Input(crate::Error::OutOfRange { what: "length", .. })));
        let shape = run(GradPath::default(), &array![[0.1, 0.2]]);
        assert!(matches!(shape, Failure::Input(crate::Error::Shape { what: "corrupted", .. })));
    }
}
