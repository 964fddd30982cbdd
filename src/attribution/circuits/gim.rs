//! GIM, gradient interaction modifications: a backward pass that does not believe in self-repair.
//!
//! ```text
//! softmax y = softmax z    g_z = p ⊙ (g_y - ⟨p, g_y⟩)    p = softmax(z/T), T = 2: a flatter softmax than the one that ran
//! normalisation            the divisor is a constant
//! product                  half of the gradient to each factor: attention values 1/2, queries and keys 1/4, gates 1/2
//! everything else          the derivative
//! ```
//!
//! When one of several large attention scores falls, the softmax moves its weight to the others, and the derivative by each
//! of them is small although together they matter. The flatter softmax of the backward pass sees them all. Halves at
//! products keep what interacts from being counted once for each factor.
//!
//! Inputs are explained by `(x - b) ⊙ gradient`, activations as in
//! [`attribution_patching()`](super::attribution_patching()) with [`Gim::gradient`].
//!
//! Source: Edin et al., "GIM: Improved Interpretability for Large Language Models" (arXiv 2505.17630), and the authors' code for
//! the factors.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use crate::attribution::network::{Network, Node, Op, Source, Trace};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Evaluations, Explained, Explainer, Target};
use crate::error::{check_each, check_finite};
use crate::{Error, Result, Scalar};

/// The modified gradient on the tape of a [`Network`], one run forth and back per row.
///
/// Every softmax node counts as attention: let a classifier end with its logits.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::circuits::Gim;
/// use limpid::attribution::network::{Op, Softmax};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::Explainer;
/// use ndarray::array;
///
/// let mut model = Network::new(2).then(Op::Softmax(Softmax::default()))?;
/// let found = Gim::default().attribute(&mut model, &array![[4.0, 0.0]], &Logit::of(0))?;
/// // p = σ(2), the derivative at half of the scores
/// let p = 1.0 / (1.0 + (-2.0_f64).exp());
/// assert!((found.values[[0, 0]] - 4.0 * p * (1.0 - p)).abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Gim<T> {
    /// What the input is compared with; zeros make input times gradient.
    pub baseline: Baseline<T>,
    /// Temperature of the softmax on the way back.
    pub temperature: f64,
    /// Rows of one run.
    pub batch: Batch,
}

impl<T> Default for Gim<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, temperature: 2.0, batch: Batch::Auto }
    }
}

impl<T: Scalar> Gim<T> {
    /// The modified gradient of the target by the value of a node, `None` for the input, at every row of `x: (b, n)`. Returns
    /// it, `(b, width)`, and the values of the target, `(b)`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`], and [`Error::OutOfRange`] for a node that does not exist and a temperature that is not
    /// positive.
    pub fn gradient(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        node: Option<usize>,
        target: &dyn Target<T>,
    ) -> Explained<(Array2<T>, Array1<T>), Error> {
        Probe::new(model, x, target)?;
        let positive = |temperature: f64| temperature > 0.0 && temperature.is_finite();
        check_each("temperature", &[self.temperature], "0 < temperature", positive)?;
        let (from, to) = (model.output(), node.map_or(Source::Input, Source::Node));
        let mut gradient = Array2::zeros((x.nrows(), model.width(to)?));
        let mut values = Array1::zeros(x.nrows());
        let (mut trace, size) = (Trace::default(), self.batch.rows(x.ncols())?);
        for start in (0..x.nrows()).step_by(size) {
            let part = Slice::from(start..(start + size).min(x.nrows()));
            model.run(&x.slice_axis(Axis(0), part), None, &mut trace)?;
            let mut seed = Array2::zeros(trace.value(from).raw_dim());
            for (row, (z, mut seed)) in trace.value(from).rows().into_iter().zip(seed.rows_mut()).enumerate() {
                let (z, mut cotangent) = (z.to_vec(), vec![T::zero(); z.len()]);
                values[start + row] = target.value(start + row, &z);
                target.cotangent(start + row, &z, &mut cotangent);
                seed.assign(&Array1::from(cotangent));
            }
            let found = model.pull_back(from, to, seed, |node, index, g| self.rule(&trace, node, index, g))?;
            gradient.slice_axis_mut(Axis(0), part).assign(&found);
        }
        check_finite("gradient", &gradient)?;
        check_finite("output", &values)?;
        Ok((gradient, values))
    }

    fn rule(&self, trace: &Trace<T>, node: &Node<T>, index: usize, g: Array2<T>) -> Result<Vec<Array2<T>>> {
        let (inputs, output) = (trace.inputs(&node.inputs), trace.value(Source::Node(index)));
        match &node.op {
            Op::Softmax(_) => {
                let temperature = T::of(self.temperature);
                let (flat, mut p) = (inputs[0].mapv(|z| z / temperature), Array2::zeros(output.raw_dim()));
                node.op.forward(&[&*flat], &mut p)?;
                node.op.vjp(&inputs, &p, g)
            }
            Op::Norm(norm) => Ok(vec![norm.vjp_with_fixed_scale(inputs[0], &g)]),
            Op::Multiply | Op::Scores(_) | Op::Mix(_) => node.op.vjp(&inputs, output, g * T::of(0.5)),
            op => op.vjp(&inputs, output, g),
        }
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for Gim<T> {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        let (mut values, output) = self.gradient(model, x, None, target)?;
        let baselines = self.baseline.rows(x)?;
        for (row, mut values) in values.rows_mut().into_iter().enumerate() {
            let ways = x.row(row).into_iter().zip(baselines.row(row));
            values.iter_mut().zip(ways).for_each(|(value, (&x, &b))| *value *= x - b);
        }
        let mut result = Attribution::new("gim", format!("{self:?}"), values, output);
        result.evaluations = Evaluations { forward: 0, gradient: x.nrows() as u64 };
        Ok(result)
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::gradient::InputXGradient;
    use crate::attribution::network::{Linear, Mix, Norm, NormKind, Scores, Softmax};
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn map(weight: Array2<f64>) -> Op<f64> {
        Op::Linear(Linear::from_weight(weight).unwrap())
    }

    /// One head over three tokens of one feature: queries 1, keys and values the tokens themselves.
    fn attention() -> (Network<f64>, [Source; 3]) {
        let mut model = Network::new(3);
        let query = model.node(map(Array2::eye(3)), &[Source::Input]).unwrap();
        let key = model.node(map(Array2::eye(3)), &[Source::Input]).unwrap();
        let value = model.node(map(Array2::eye(3)), &[Source::Input]).unwrap();
        let scores = model.node(Op::Scores(Scores::new(1, 3, 1.0, false).unwrap()), &[query, key]).unwrap();
        let weights = model.node(Op::Softmax(Softmax { part: Some(3) }), &[scores]).unwrap();
        model.node(Op::Mix(Mix::new(1, 3).unwrap()), &[weights, value]).unwrap();
        (model, [query, key, value])
    }

    #[test]
    fn attention_by_hand() {
        let (mut model, places) = attention();
        let x = [2.0, 1.0, -0.5];
        let gradient = places.map(|place| {
            let Source::Node(node) = place else { unreachable!("a place is a node") };
            Gim::default().gradient(&mut model, &array![x], Some(node), &Logit::of(0)).unwrap().0.row(0).to_owned()
        });
        let softmax = |t: f64| {
            let weights = x.map(|key| (x[0] * key / t).exp());
            weights.map(|weight| weight / weights.iter().sum::<f64>())
        };
        // output 0 is Σ_j a_j v_j for the query x_0; scores get half of p ⊙ (v - ⟨p, v⟩)
        let (a, p) = (softmax(1.0), softmax(2.0));
        let centre: f64 = p.iter().zip(x).map(|(p, v)| p * v).sum();
        let by_score = core::array::from_fn::<f64, 3, _>(|j| 0.5 * p[j] * (x[j] - centre));
        for j in 0..3 {
            assert!((gradient[2][j] - 0.5 * a[j]).abs() < 1e-14);
            assert!((gradient[1][j] - 0.5 * by_score[j] * x[0]).abs() < 1e-14);
        }
        let by_query: f64 = by_score.iter().zip(x).map(|(g, key)| 0.5 * g * key).sum();
        assert!((gradient[0][0] - by_query).abs() < 1e-14 && gradient[0][1] == 0.0);
    }

    #[test]
    fn scores_that_repair_each_other_are_seen() {
        // two keys with the same value, both far ahead of the third: the derivative by either is next to nothing
        let mut model = Network::new(3).then(Op::Softmax(Softmax::default())).unwrap();
        model = model.then(map(array![[1.0, 1.0, 0.0]])).unwrap();
        let x = array![[9.0, 9.0, 0.0]];
        let plain = InputXGradient.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        let found = Gim::default().attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        assert!(plain[[0, 0]] < 6e-4 && found[[0, 0]] > 20.0 * plain[[0, 0]]);
        assert_eq!(found[[0, 0]], found[[0, 1]]);
    }

    #[test]
    fn a_norm_divides_by_a_constant() {
        let x = array![[1.0, 3.0, -1.0]];
        let of = |kind| {
            let norm = Norm::new(kind, array![1.0, 2.0, 1.0], None, 0.0).unwrap();
            let mut model = Network::new(3).then(Op::Norm(norm)).unwrap();
            Gim::default().gradient(&mut model, &x, None, &Logit::of(1)).unwrap().0
        };
        // mean square 11/3; about the mean 1 it is 8/3
        let (rms, layer) = ((3.0_f64 / 11.0).sqrt(), (3.0_f64 / 8.0).sqrt());
        let expected = [array![[0.0, 2.0 * rms, 0.0]], array![[-2.0, 4.0, -2.0]] * (layer / 3.0)];
        for (kind, expected) in [NormKind::RootMeanSquare, NormKind::Layer].into_iter().zip(expected) {
            assert!((of(kind) - expected).iter().all(|error| error.abs() < 1e-14));
        }
    }

    #[test]
    fn without_interactions_it_is_the_gradient_in_any_batch() {
        let first = Network::new(2).linear(array![[1.0, -2.0], [0.3, 0.4]], None).unwrap();
        let mut model = first.activation(Activation::Gelu).unwrap().linear(array![[1.0, -0.7]], None).unwrap();
        let x = array![[0.5, 0.2], [1.0, -0.3], [0.0, 2.0]];
        let plain = InputXGradient.attribute(&mut model, &x, &Logit::of(0)).unwrap();
        for batch in [Batch::Auto, Batch::Rows(2)] {
            let found = Gim { batch, ..Gim::default() }.attribute(&mut model, &x, &Logit::of(0)).unwrap();
            assert_eq!((&found.values, &found.output_value), (&plain.values, &plain.output_value));
        }
        let cold = Gim { temperature: 0.0, ..Gim::default() }.attribute(&mut model, &x, &Logit::of(0)).unwrap_err();
        assert!(matches!(cold, Failure::Input(Error::OutOfRange { what: "temperature", .. })));
    }
}
