//! Stability: how far an explanation moves, measured by how far the input or the output has moved.
//!
//! ```text
//! local Lipschitz                     max_j |A(x_j) - A(x)|₂ / |x_j - x|₂
//! relative input stability            max_j |(A(x_j) - A(x))/A(x)|₂ / max(|(x_j - x)/x|₂, ε)
//! relative output stability           max_j |(A(x_j) - A(x))/A(x)|₂ / max(|z(x_j) - z(x)|₂, ε)
//! relative representation stability   max_j |(A(x_j) - A(x))/A(x)|₂ / max(|(h(x_j) - h(x))/h(x)|₂, ε)
//! ```
//!
//! over neighbours `x_j` with the same decision as `x`; `z` are all outputs of the model, `h` those of one of its layers, ratios
//! of vectors are taken element
//! by element, and a divisor whose magnitude is below `ε` counts as `ε`. Smaller is better.
//!
//! Source: Alvarez-Melis and Jaakkola, "On the Robustness of Interpretability Methods" (arXiv 1806.08049), for the first; Agarwal
//! et al., "Rethinking Stability for Attribution-based Explanations" (arXiv 2203.06877), for the others.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView1};

use super::decision::Decision;
use super::neighbourhood::Neighbourhood;
use crate::attribution::layer::walk::activations;
use crate::attribution::probe::Probe;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Attribution, Batch, Evaluations, Explained, Explainer, Forward, Layers, Target};
use crate::error::{check_each, check_shape};
use crate::{Scalar, Seed};

/// Settings of the stability metrics.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::Stability;
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -1.0], [0.0, 0.0]], None)?;
/// let found = Stability::default().judge(&Saliency::default(), &mut model, &array![[1.0, 2.0]], &Logit::of(0))?;
/// assert_eq!((found.local_lipschitz[0], found.relative_input[0]), (Some(0.0), Some(0.0)));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Stability<T> {
    /// Which inputs are tried.
    pub neighbourhood: Neighbourhood<T>,
    /// Whether neighbours with another decision are left out; a model that decides nothing keeps all.
    pub same_decision: bool,
    /// What the model decides.
    pub decision: Decision<T>,
    /// `ε`, the smallest divisor.
    pub floor: f64,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for Stability<T> {
    fn default() -> Self {
        Self {
            neighbourhood: Neighbourhood::default(),
            same_decision: true,
            decision: Decision::Largest,
            floor: 1e-6,
            batch: Batch::Auto,
        }
    }
}

/// Stability of `b` rows; `None` where every neighbour has another decision, or none has moved.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StabilityReport {
    /// Largest change of the explanation per change of the input.
    pub local_lipschitz: Vec<Option<f64>>,
    /// Largest relative change per relative change of the input.
    pub relative_input: Vec<Option<f64>>,
    /// Largest relative change per change of the outputs.
    pub relative_output: Vec<Option<f64>>,
    /// Largest relative change per relative change of a layer; `None` for all rows by [`Stability::judge`], which asks for none.
    pub relative_representation: Vec<Option<f64>>,
    /// Number of neighbours that counted.
    pub neighbours: Vec<usize>,
    /// Seed of neighbours that were drawn.
    pub seed: Option<Seed>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

/// Inputs with their outputs and explanations.
struct Point<'a, T> {
    x: &'a ArrayRef2<T>,
    outputs: Array2<T>,
    /// Activations of the layer that was asked for.
    hidden: Option<Array2<T>>,
    explained: Attribution<T>,
}

impl<T: Scalar> Stability<T> {
    /// Explains every row of `x: (b, n)` and its neighbours.
    ///
    /// # Errors
    /// As [`Explainer::attribute`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for an empty neighbourhood and a floor that
    /// is not positive.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<StabilityReport, M::Error> {
        self.judge_by(explainer, model, (x, target), |_, _, _| Ok(None))
    }

    /// As [`Stability::judge`], and the stability relative to the activation of `layer`.
    ///
    /// # Errors
    /// As [`Stability::judge`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for a layer that is not there.
    pub fn judge_with_layer<M: Layers<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        layer: usize,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<StabilityReport, M::Error> {
        self.judge_by(explainer, model, (x, target), |model, x, evaluations| {
            let mut probe = Probe::new(model, x, target)?;
            probe.layer_width(layer)?;
            let hidden = activations(&mut probe, layer, x, self.batch.rows(x.ncols())?)?;
            *evaluations = evaluations.plus(probe.evaluations());
            Ok(Some(hidden))
        })
    }

    /// `hidden` reads a layer, or none.
    fn judge_by<M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        (x, target): (&ArrayRef2<T>, &dyn Target<T>),
        hidden: impl Fn(&mut M, &ArrayRef2<T>, &mut Evaluations) -> Explained<Option<Array2<T>>, M::Error>,
    ) -> Explained<StabilityReport, M::Error> {
        check_each("floor", &[self.floor], "0 < floor", |floor: f64| floor > 0.0 && floor.is_finite())?;
        self.decision.check(model.n_outputs())?;
        let mut evaluations = Evaluations::default();
        let mut here = self.point(explainer, model, (x, target), &mut evaluations)?;
        here.hidden = hidden(&mut *model, x, &mut evaluations)?;
        self.neighbourhood.check(x)?;
        let mut largest = vec![[None; 4]; x.nrows()];
        let mut neighbours = vec![0; x.nrows()];
        for sample in 0..self.neighbourhood.samples() {
            let near = self.neighbourhood.neighbour(x, sample)?;
            let mut there = self.point(explainer, model, (&near, target), &mut evaluations)?;
            there.hidden = hidden(&mut *model, &near, &mut evaluations)?;
            check_shape("attribution", &there.explained.values, here.explained.values.shape())?;
            for (row, largest) in largest.iter_mut().enumerate() {
                if let Some(found) = self.compare(&here, &there, row) {
                    neighbours[row] += 1;
                    let both = |before: Option<f64>, found: Option<f64>| match (before, found) {
                        (Some(before), Some(found)) => Some(before.max(found)),
                        (before, found) => before.or(found),
                    };
                    largest.iter_mut().zip(found).for_each(|(largest, found)| *largest = both(*largest, found));
                }
            }
        }
        let part = |which: usize| largest.iter().map(|of_row| of_row[which]).collect();
        Ok(StabilityReport {
            local_lipschitz: part(0),
            relative_input: part(1),
            relative_output: part(2),
            relative_representation: part(3),
            neighbours,
            seed: self.neighbourhood.seed(),
            evaluations,
        })
    }

    fn point<'a, M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        (x, target): (&'a ArrayRef2<T>, &dyn Target<T>),
        evaluations: &mut Evaluations,
    ) -> Explained<Point<'a, T>, M::Error> {
        let mut copies = Sweep::new(model, x, target, self.batch)?;
        let mut outputs = Array2::zeros((x.nrows(), copies.n_outputs()));
        let take = |row: usize, (), _, z: &[T]| outputs.row_mut(row).assign(&ArrayView1::from(z));
        copies.run((0..x.nrows()).map(|row| (row, ())), |_, (), _| {}, take)?;
        let of_outputs = copies.evaluations();
        let explained = explainer.attribute(model, x, target)?;
        check_shape("attribution", &explained.values, &[x.nrows(), explained.values.ncols()])?;
        *evaluations = evaluations.plus(of_outputs).plus(explained.evaluations);
        Ok(Point { x, outputs, hidden: None, explained })
    }

    /// The ratios for one neighbour of one row; `None` where it does not count.
    fn compare(&self, here: &Point<'_, T>, there: &Point<'_, T>, row: usize) -> Option<[Option<f64>; 4]> {
        let decided = |point: &Point<'_, T>| self.decision.of(&point.outputs.row(row).to_vec());
        if self.same_decision && decided(here) != decided(there) {
            return None;
        }
        let [x, z] = [(here.x, there.x), (&here.outputs, &there.outputs)].map(|(a, b)| (a.row(row), b.row(row)));
        let a = (here.explained.values.row(row), there.explained.values.row(row));
        let moved = length(x, |_| 1.0);
        if moved == 0.0 {
            return None;
        }
        let divisor = |value: f64| value.abs().max(self.floor);
        let relative = length(a, divisor);
        let over = |by: f64| relative / by.max(self.floor);
        let hidden = here.hidden.as_ref().zip(there.hidden.as_ref());
        let by_hidden = hidden.map(|(h, near)| over(length((h.row(row), near.row(row)), divisor)));
        let by_output = over(length(z, |_| 1.0));
        Some([Some(length(a, |_| 1.0) / moved), Some(over(length(x, divisor))), Some(by_output), by_hidden])
    }
}

/// Length of `(there - here)/divisor(here)`.
fn length<T: Scalar>((here, there): (ArrayView1<'_, T>, ArrayView1<'_, T>), divisor: impl Fn(f64) -> f64) -> f64 {
    let ratio = |(here, there): (&T, &T)| (there.as_f64() - here.as_f64()) / divisor(here.as_f64());
    crate::math::reduce::norm(&here.iter().zip(&there).map(ratio).collect::<ndarray::Array1<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::gradient::Saliency;
    use crate::attribution::model::{Cotangent, Function};
    use crate::attribution::network::{Linear, Op};
    use crate::attribution::target::Logit;
    use crate::attribution::{Differentiable, Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::{Array3, array};

    /// `z = (x_0² + x_1², 1)`, whose gradient is `2x`.
    fn paraboloid() -> impl Differentiable<f64, Error = Error> {
        let value = |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            for (x, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
                z.assign(&array![x.dot(&x), 1.0]);
            }
        };
        let forward = move |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            value(x, z);
            Ok::<(), Error>(())
        };
        let vjp = move |x: &ArrayRef2<f64>, ct: Cotangent<'_, f64>, z: &mut ArrayRef2<f64>, g: &mut ArrayRef2<f64>| {
            value(x, z);
            let mut weights = Array2::zeros(z.raw_dim());
            ct(z, &mut weights);
            for (row, mut g) in g.rows_mut().into_iter().enumerate() {
                g.assign(&(&x.row(row) * (2.0 * weights[[row, 0]])));
            }
            Ok(())
        };
        Function::new((2, 2), forward).with_vjp(vjp)
    }

    fn judge(steps: Array3<f64>, x: &Array2<f64>) -> Explained<StabilityReport, Error> {
        let method = Stability { neighbourhood: Neighbourhood::Given(steps), ..Stability::default() };
        method.judge(&Saliency { absolute: false }, &mut paraboloid(), x, &Logit::of(0))
    }

    #[test]
    fn a_paraboloid_by_hand() {
        // A goes from (2, 4) to (3, 4), z_0 from 5 to 6.25
        let found = judge(array![[[0.5, 0.0]]], &array![[1.0, 2.0]]).unwrap();
        assert_eq!((found.local_lipschitz[0], found.relative_input[0]), (Some(2.0), Some(1.0)));
        assert_eq!((found.relative_output[0], found.neighbours[0]), (Some(0.5 / 1.25), 1));
        assert_eq!((found.evaluations.forward, found.evaluations.gradient), (2, 2));
    }

    #[test]
    fn a_representation_by_hand() {
        // h = relu(2 x), f = h_0² + h_1², A = 8 x: from (8, 16) to (12, 16); h from (2, 4) to (3, 4)
        let mut model = Network::new(2).linear(array![[2.0, 0.0], [0.0, 2.0]], None).unwrap();
        let hidden = model.node(Op::Activation(Activation::Relu), &[model.output()]).unwrap();
        let square = model.node(Op::Multiply, &[hidden, hidden]).unwrap();
        model.node(Op::Linear(Linear::from_weight(array![[1.0, 1.0]]).unwrap()), &[square]).unwrap();
        let steps = array![[[0.5, 0.0]], [[0.0, 0.0]]];
        let method = Stability { neighbourhood: Neighbourhood::Given(steps), ..Stability::default() };
        let (saliency, x) = (Saliency { absolute: false }, array![[1.0, 2.0]]);
        let found = method.judge_with_layer(&saliency, &mut model, 1, &x, &Logit::of(0)).unwrap();
        assert_eq!((found.relative_representation[0], found.relative_input[0]), (Some(1.0), Some(1.0)));
        assert_eq!((found.relative_output[0], found.neighbours[0]), (Some(0.5 / 5.0), 1));
        assert_eq!((found.evaluations.forward, found.evaluations.gradient), (6, 3));
        let found = method.judge_with_layer(&saliency, &mut model, 9, &x, &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(Error::OutOfRange { what: "layer", .. }))));
        let found = method.judge(&saliency, &mut model, &x, &Logit::of(0)).unwrap();
        assert_eq!(found.relative_representation, [None]);
    }

    #[test]
    fn another_decision_does_not_count() {
        // z_0 falls from 5 to 0.25, below z_1
        let steps = array![[[-1.0, -1.5]], [[0.0, 0.0]]];
        let found = judge(steps, &array![[1.0, 2.0]]).unwrap();
        assert_eq!((found.local_lipschitz[0], found.relative_output[0], found.neighbours[0]), (None, None, 0));
    }

    #[test]
    fn a_zero_divisor_is_the_floor() {
        let found = judge(array![[[1.0, 0.0]]], &array![[0.0, 2.0]]).unwrap();
        assert_eq!((found.local_lipschitz[0], found.relative_input[0]), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn the_floor_must_be_positive() {
        let method = Stability { floor: 0.0, ..Stability::default() };
        let found = method.judge(&Saliency::default(), &mut paraboloid(), &array![[1.0, 2.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(Error::OutOfRange { what: "floor", .. }))));
    }
}
