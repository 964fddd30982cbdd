//! Integrated gradients: the gradient averaged over the straight way from a baseline, times the way.
//!
//! ```text
//! A_i = (x_i - b_i) ∫_0^1 ∂f/∂x_i (b + α (x - b)) dα  ≈  (x_i - b_i) Σ_k w_k ∂f/∂x_i (b + α_k (x - b))
//! ```
//!
//! The exact integral is complete: its values sum to `f(x) - f(b)`. What the sum misses is reported as `delta`. A number of
//! steps says nothing about the error; [`AdaptiveIntegratedGradients`](super::AdaptiveIntegratedGradients) takes a
//! tolerance instead.
//!
//! Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365).

use alloc::format;

use ndarray::{Array2, ArrayRef2, Zip};

use super::walk::{Walk, add, straight};
use crate::Scalar;
use crate::attribution::baseline::BaselineRows;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::math::quadrature::Rule;

/// Integrated gradients by a fixed rule. One evaluation with gradient per row and step, two without per row.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::IntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[1.0, 0.5]], None)?.activation(Activation::Tanh)?;
/// let found = IntegratedGradients::default().attribute(&mut model, &array![[1.0, 2.0]], &Logit::of(0))?;
/// // both inputs moved the output by the same amount
/// assert!((found.values[[0, 0]] - 0.5 * 2.0_f64.tanh()).abs() < 1e-12);
/// assert!(found.delta.unwrap()[0].abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct IntegratedGradients<T> {
    /// Where the way starts.
    pub baseline: Baseline<T>,
    /// How the integral is approximated.
    pub rule: Rule,
    /// Points of the rule.
    pub steps: usize,
    /// Whether the mean gradient is multiplied by `x - b`; without it the values are a mean gradient and have no `delta`.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for IntegratedGradients<T> {
    fn default() -> Self {
        let (baseline, rule, batch) = (Baseline::Zeros, Rule::GaussLegendre, Batch::Auto);
        Self { baseline, rule, steps: 50, multiply_by_inputs: true, batch }
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for IntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let (baselines, nodes) = (self.baseline.rows(x)?, self.rule.nodes::<f64>(self.steps)?);
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let (output, base) = walk.ends(&mut probe, x, &baselines)?;
        let mut means = Array2::<f64>::zeros(x.raw_dim());
        walk.gradients(
            &mut probe,
            (0..x.nrows()).flat_map(|row| (0..self.steps).map(move |step| (row, step))),
            |(row, _)| row,
            |(row, step), point| straight(point, nodes.points[step], x.row(row), baselines.row(row)),
            |(row, step), _, gradient| add(means.row_mut(row), nodes.weights[step], gradient),
        )?;
        let values = scaled(&means, x, &baselines, self.multiply_by_inputs);
        let mut result = Attribution::new("integrated_gradients", format!("{self:?}"), values, output);
        result.status = Status::Finished;
        Ok(probe.account(result.against(base, self.multiply_by_inputs)))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

/// Mean gradients in the precision of the model, times the way from the baseline where that is asked for.
pub(super) fn scaled<T: Scalar>(
    means: &Array2<f64>,
    x: &ArrayRef2<T>,
    baselines: &BaselineRows<'_, T>,
    multiply: bool,
) -> Array2<T> {
    let mut values = Array2::zeros(x.raw_dim());
    for (row, (mut values, means)) in values.rows_mut().into_iter().zip(means.rows()).enumerate() {
        Zip::from(&mut values).and(&means).and(&x.row(row)).and(&baselines.row(row)).for_each(|value, mean, &x, &b| {
            *value = T::of(if multiply { (x - b).as_f64() * mean } else { *mean });
        });
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::network::{Op, Source};
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::{Array1, array};

    fn by(rule: Rule, steps: usize) -> IntegratedGradients<f64> {
        IntegratedGradients { rule, steps, ..IntegratedGradients::default() }
    }

    /// `relu(relu(x) - 1 - relu(y))` (`inside` false) or `relu(relu(x - 1) - relu(y))`, the same function for `x >= 0`.
    fn two_ways(inside: bool) -> Network<f64> {
        let (first, second) = if inside { (-1.0, 0.0) } else { (0.0, -1.0) };
        let net = Network::new(2).linear(array![[1.0, 0.0], [0.0, 1.0]], Some(array![first, 0.0])).unwrap();
        let net = net.activation(Activation::Relu).unwrap().linear(array![[1.0, -1.0]], Some(array![second]));
        net.unwrap().activation(Activation::Relu).unwrap()
    }

    #[test]
    fn two_implementations_of_one_function_agree() {
        for inside in [false, true] {
            let explain = |method: IntegratedGradients<f64>| {
                method.attribute(&mut two_ways(inside), &array![[3.0, 1.0]], &Logit::of(0)).unwrap()
            };
            let found = explain(by(Rule::GaussLegendre, 50));
            assert!((found.values[[0, 0]] - 1.5).abs() < 1e-12 && (found.values[[0, 1]] + 0.5).abs() < 1e-12);
            assert_eq!((found.evaluations.gradient, found.evaluations.forward), (50, 2));
            let biased = explain(by(Rule::CaptumTrapezoid, 50));
            assert!((biased.values[[0, 0]] - 1.47).abs() < 1e-12 && (biased.values[[0, 1]] + 0.49).abs() < 1e-12);
            let mean = explain(IntegratedGradients { multiply_by_inputs: false, ..by(Rule::Right, 50) });
            assert!((mean.values[[0, 0]] - 0.5).abs() < 0.02 && (mean.values[[0, 1]] + 0.5).abs() < 0.02);
            assert!(mean.delta.is_none() && mean.base_value == Some(array![0.0]));
        }
    }

    #[test]
    fn a_cubic_needs_two_points() {
        // x² y
        let mut model = Network::<f64>::new(2);
        let x = model
            .node(
                Op::Linear(crate::attribution::network::Linear::new(array![[1.0, 0.0]], None).unwrap()),
                &[Source::Input],
            )
            .unwrap();
        let y = model
            .node(
                Op::Linear(crate::attribution::network::Linear::new(array![[0.0, 1.0]], None).unwrap()),
                &[Source::Input],
            )
            .unwrap();
        let square = model.node(Op::Multiply, &[x, x]).unwrap();
        model.node(Op::Multiply, &[square, y]).unwrap();
        let found = by(Rule::GaussLegendre, 2).attribute(&mut model, &array![[2.0, 3.0]], &Logit::of(0)).unwrap();
        assert!((found.values[[0, 0]] - 8.0).abs() < 1e-13 && (found.values[[0, 1]] - 4.0).abs() < 1e-13);
    }

    #[test]
    fn the_biased_trapezoid_misses_one_step() {
        let mut model = Network::<f64>::new(2).linear(array![[1.0, 1.0]], None).unwrap();
        model = model.activation(Activation::Sigmoid).unwrap();
        let mut delta = |method: IntegratedGradients<f64>| {
            method.attribute(&mut model, &array![[8.0, 4.0]], &Logit::of(0)).unwrap().delta.unwrap()[0]
        };
        assert!((delta(by(Rule::CaptumTrapezoid, 50)) + 0.009_999_9).abs() < 1e-6);
        assert!((delta(by(Rule::Trapezoid, 50)) + 3.067_686_3e-8).abs() < 1e-13);
        assert!((delta(by(Rule::GaussLegendre, 20)) + 2.2e-12).abs() < 1e-13);
    }

    #[test]
    fn calls_of_any_size_give_the_same_floats() {
        let (mut model, x) = (two_ways(true), array![[3.0, 1.0], [0.3, 0.7], [1.7, -0.2]]);
        let mut explain = |batch| {
            let method = IntegratedGradients {
                batch,
                baseline: Array1::from(alloc::vec![0.1, -0.4]).into(),
                ..by(Rule::Left, 7)
            };
            let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap();
            (found.values, found.delta)
        };
        let whole = explain(Batch::Auto);
        assert_eq!(explain(Batch::Rows(1)), whole);
        assert_eq!(explain(Batch::Rows(3)), whole);
    }

    #[test]
    fn bad_settings_are_named() {
        let explain = |method: IntegratedGradients<f64>| {
            method.attribute(&mut two_ways(true), &array![[3.0, 1.0]], &Logit::of(0))
        };
        assert!(matches!(
            explain(by(Rule::Left, 0)),
            Err(Failure::Input(crate::Error::OutOfRange { what: "nodes", .. }))
        ));
        let baseline = IntegratedGradients { baseline: array![1.0].into(), ..IntegratedGradients::default() };
        assert!(matches!(explain(baseline), Err(Failure::Input(crate::Error::Shape { what: "baseline", .. }))));
        let batch = IntegratedGradients { batch: Batch::Rows(0), ..IntegratedGradients::default() };
        assert!(matches!(explain(batch), Err(Failure::Input(crate::Error::OutOfRange { what: "batch", .. }))));
    }
}
