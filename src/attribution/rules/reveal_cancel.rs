//! DeepLIFT with the RevealCancel rule: what raises the input of an activation and what lowers it have multipliers of their own.
//!
//! ```text
//! z = z_r + Δ⁺ + Δ⁻         Δ⁺ what raised it, Δ⁻ what lowered it
//! Δy⁺ = ½ (φ(z_r + Δ⁺) - φ(z_r)) + ½ (φ(z_r + Δ⁻ + Δ⁺) - φ(z_r + Δ⁻))          m⁺ = Δy⁺/Δ⁺
//! Δy⁻ = ½ (φ(z_r + Δ⁻) - φ(z_r)) + ½ (φ(z_r + Δ⁺ + Δ⁻) - φ(z_r + Δ⁺))          m⁻ = Δy⁻/Δ⁻
//! linear   Δy⁺ sums the terms w_i Δx_i that are positive, Δy⁻ the others; a term hands on the multiplier of its sum,
//!          one with Δx_i = 0 the mean of both
//! ```
//!
//! The two shares are Shapley values of a game of two players, the positive and the negative part. So what cancels at one
//! place is not lost: of `min(x₁, x₂) = x₁ - relu(x₁ - x₂)` both inputs get half, where [`DeepLift`](super::DeepLift) gives all
//! to the smaller. Every other operation follows the rules of [`DeepLift`](super::DeepLift), with the multiplier of the part
//! that its result's difference belongs to. Slopes are [`secant`]s, so nothing is divided by a difference near 0.
//!
//! Source: Shrikumar et al., "Learning Important Features Through Propagating Activation Differences" (arXiv 1704.02685),
//! its RevealCancel rule.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis, Slice, Zip, concatenate};

use super::deep_lift::{Pair, Pairs};
use super::secant::secant;
use crate::attribution::network::{Network, Node, Op, Source};
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Target};
use crate::math::pointwise::Activation;
use crate::{Error, Result, Scalar};

/// DeepLIFT on the tape of a [`Network`], activations by RevealCancel.
///
/// # Example
/// ```
/// use limpid::attribution::network::{Linear, Op, Source};
/// use limpid::attribution::rules::{DeepLift, RevealCancel};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // the smaller of two inputs, as x₁ - relu(x₁ - x₂)
/// let mut model = Network::new(2);
/// let difference = model.node(Op::Linear(Linear::from_weight(array![[1.0, -1.0]])?), &[Source::Input])?;
/// let excess = model.node(Op::Activation(Activation::Relu), &[difference])?;
/// let minus = model.node(Op::Linear(Linear::from_weight(array![[-1.0]])?), &[excess])?;
/// let first = model.node(Op::Linear(Linear::from_weight(array![[1.0, 0.0]])?), &[Source::Input])?;
/// model.node(Op::Add, &[first, minus])?;
/// let x = array![[2.0, 1.0]];
/// let found = RevealCancel::default().attribute(&mut model, &x, &Logit::of(0))?;
/// assert_eq!(found.values, array![[0.5, 0.5]]);
/// assert_eq!(DeepLift::default().attribute(&mut model, &x, &Logit::of(0))?.values, array![[0.0, 1.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RevealCancel<T> {
    /// What the input is compared with.
    pub baseline: Baseline<T>,
    /// Whether activations of convolutions follow RevealCancel as well; otherwise the rescale rule, which the paper
    /// takes there.
    pub convolutions: bool,
    /// Rows of one run.
    pub batch: Batch,
}

impl<T> Default for RevealCancel<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, convolutions: false, batch: Batch::Auto }
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for RevealCancel<T> {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        let pairs = Pairs { network: model, baseline: &self.baseline, batch: self.batch, to: Source::Input };
        let method = ("reveal_cancel", format!("{self:?}"));
        pairs.attribute(method, x, target, |network, pair, start| {
            let split = Split::new(network, pair, self.convolutions)?;
            let seed = doubled(&pair.seed(network, (start, target))?);
            let found = network
                .pull_back(network.output(), Source::Input, seed, |node, index, m| split.rule(node, index, &m))?;
            let differences = pair.differences(Source::Input);
            Ok(by_sign(&differences, halves(&found)) * differences)
        })
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

/// The positive and the negative part of the difference of every node.
struct Split<'a, T> {
    network: &'a Network<T>,
    pair: &'a Pair<'a, T>,
    convolutions: bool,
    parts: Vec<[Array2<T>; 2]>,
}

impl<'a, T: Scalar> Split<'a, T> {
    fn new(network: &'a Network<T>, pair: &'a Pair<'a, T>, convolutions: bool) -> Result<Self> {
        let mut split = Split { network, pair, convolutions, parts: Vec::new() };
        for (index, node) in network.nodes().iter().enumerate() {
            let parts = split.parts_of(node, index)?;
            split.parts.push(parts);
        }
        Ok(split)
    }

    /// The parts of a source that were found before.
    fn parts(&self, source: Source) -> [Array2<T>; 2] {
        match source {
            Source::Input => signed(&self.pair.differences(source)),
            Source::Node(node) => self.parts[node].clone(),
        }
    }

    fn parts_of(&self, node: &Node<T>, index: usize) -> Result<[Array2<T>; 2]> {
        let here = self.pair.differences(Source::Node(index));
        match &node.op {
            Op::Linear(_) | Op::Conv2d(_) => {
                let [up, down] = weights(&node.op);
                let [raised, lowered] = signed(&self.pair.differences(node.inputs[0]));
                let apply = |op: &Op<T>, x: &Array2<T>| {
                    let mut out = Array2::zeros(here.raw_dim());
                    op.forward(&[&**x], &mut out).map(|()| out)
                };
                let positive = apply(&up, &raised)? + apply(&down, &lowered)?;
                Ok([positive, apply(&up, &lowered)? + apply(&down, &raised)?])
            }
            Op::Add => {
                let mut sums = [Array2::zeros(here.raw_dim()), Array2::zeros(here.raw_dim())];
                for &source in &node.inputs {
                    let parts = signed(&self.pair.differences(source));
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += &part);
                }
                Ok(sums)
            }
            Op::Shift(_) | Op::Activation(Activation::Identity) => Ok(self.parts(node.inputs[0])),
            Op::Activation(activation) => {
                let (parts, slopes) = (self.parts(node.inputs[0]), self.slopes(node, *activation));
                let [[raised, lowered], [up, down]] = [parts, slopes];
                Ok([raised * up, lowered * down])
            }
            _ => Ok(signed(&here)),
        }
    }

    /// Multipliers of the two parts of an activation's input.
    fn slopes(&self, node: &Node<T>, activation: Activation) -> [Array2<T>; 2] {
        let source = node.inputs[0];
        let [mut up, mut down] = self.parts(source);
        let (rescale, half) = (!self.convolutions && self.of_convolution(source), T::of(0.5));
        for (row, (mut up, mut down)) in up.rows_mut().into_iter().zip(down.rows_mut()).enumerate() {
            Zip::from(&mut up).and(&mut down).and(self.pair.reference_row(source, row)).for_each(|up, down, &start| {
                let (raised, lowered) = (start + *up, start + *down);
                let end = raised + *down;
                let slope = |to, from| secant(activation, to, from);
                (*up, *down) = if rescale {
                    (slope(end, start), slope(end, start))
                } else {
                    let raise = half * (slope(raised, start) + slope(end, lowered));
                    (raise, half * (slope(lowered, start) + slope(end, raised)))
                };
            });
        }
        [up, down]
    }

    /// Whether a value is a convolution's, up to a constant.
    fn of_convolution(&self, source: Source) -> bool {
        let Source::Node(node) = source else { return false };
        let node = &self.network.nodes()[node];
        match node.op {
            Op::Conv2d(_) => true,
            Op::Shift(_) => self.of_convolution(node.inputs[0]),
            _ => false,
        }
    }

    /// Multipliers of the inputs of a node, of the positive parts above those of the negative ones.
    fn rule(&self, node: &Node<T>, index: usize, m: &Array2<T>) -> Result<Vec<Array2<T>>> {
        let source = Source::Node(index);
        match &node.op {
            Op::Linear(_) | Op::Conv2d(_) => {
                let (x, y) = (self.pair.trace.value(node.inputs[0]), self.pair.trace.value(source));
                let [up, down] = weights(&node.op);
                let pull =
                    |op: &Op<T>, m: ArrayView2<'_, T>| Ok::<_, Error>(op.vjp(&[&**x], y, m.to_owned())?.swap_remove(0));
                let [high, low] = halves(m);
                let raised = pull(&up, high)? + pull(&down, low)?;
                let lowered = pull(&up, low)? + pull(&down, high)?;
                let differences = self.pair.differences(node.inputs[0]);
                Ok(vec![doubled(&by_sign(&differences, [raised.view(), lowered.view()]))])
            }
            Op::Add => {
                let share = |&source: &Source| doubled(&by_sign(&self.pair.differences(source), halves(m)));
                Ok(node.inputs.iter().map(share).collect())
            }
            Op::Shift(_) | Op::Activation(Activation::Identity) => Ok(vec![m.clone()]),
            Op::Activation(activation) => {
                let [up, down] = self.slopes(node, *activation);
                Ok(vec![m * &stacked(&up, &down)])
            }
            _ => {
                let m = by_sign(&self.pair.differences(source), halves(m));
                Ok(self.pair.rule(node, index, m)?.iter().map(doubled).collect())
            }
        }
    }
}

/// A linear map with its positive weights only, and with its negative ones only, both without bias.
fn weights<T: Scalar>(op: &Op<T>) -> [Op<T>; 2] {
    let zero = T::zero();
    [op.mapped(|w| w.max(zero), |_| zero), op.mapped(|w| w.min(zero), |_| zero)]
}

/// Positive and negative part.
fn signed<T: Scalar>(x: &Array2<T>) -> [Array2<T>; 2] {
    [x.mapv(|x| x.max(T::zero())), x.mapv(|x| x.min(T::zero()))]
}

/// The first where the difference is positive, the second where it is negative, the mean where it is 0.
fn by_sign<T: Scalar>(differences: &Array2<T>, [high, low]: [ArrayView2<'_, T>; 2]) -> Array2<T> {
    let mut chosen = high.to_owned();
    Zip::from(&mut chosen).and(&low).and(differences).for_each(|chosen, &low, &difference| {
        if difference == T::zero() {
            *chosen = T::of(0.5) * (*chosen + low);
        } else if difference < T::zero() {
            *chosen = low;
        }
    });
    chosen
}

fn stacked<T: Scalar>(above: &Array2<T>, below: &Array2<T>) -> Array2<T> {
    concatenate(Axis(0), &[above.view(), below.view()]).expect("two matrices of one width")
}

fn doubled<T: Scalar>(x: &Array2<T>) -> Array2<T> {
    stacked(x, x)
}

fn halves<T: Scalar>(x: &Array2<T>) -> [ArrayView2<'_, T>; 2] {
    let half = x.nrows() / 2;
    [x.slice_axis(Axis(0), Slice::from(..half)), x.slice_axis(Axis(0), Slice::from(half..))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::network::{Conv2d, Linear, MaxPool2d, Softmax};
    use crate::attribution::rules::DeepLift;
    use crate::attribution::target::{Logit, Probability};
    use ndarray::{Array4, array};

    fn linear(weight: Array2<f64>) -> Op<f64> {
        Op::Linear(Linear::from_weight(weight).unwrap())
    }

    /// `min(x₁, x₂)` as `x₁ - relu(x₁ - x₂)`.
    fn minimum() -> Network<f64> {
        let mut model = Network::new(2);
        let difference = model.node(linear(array![[1.0, -1.0]]), &[Source::Input]).unwrap();
        let excess = model.node(Op::Activation(Activation::Relu), &[difference]).unwrap();
        let minus = model.node(linear(array![[-1.0]]), &[excess]).unwrap();
        let first = model.node(linear(array![[1.0, 0.0]]), &[Source::Input]).unwrap();
        model.node(Op::Add, &[first, minus]).unwrap();
        model
    }

    #[test]
    fn both_inputs_of_a_minimum_get_half() {
        let x = array![[2.0, 1.0], [1.0, 2.0], [2.0, 2.0], [0.0, 5.0]];
        let found = RevealCancel::default().attribute(&mut minimum(), &x, &Logit::of(0)).unwrap();
        assert_eq!(found.values, array![[0.5, 0.5], [0.5, 0.5], [1.0, 1.0], [0.0, 0.0]]);
        assert_eq!(found.delta, Some(array![0.0, 0.0, 0.0, 0.0]));
        let rescale = DeepLift::default().attribute(&mut minimum(), &x, &Logit::of(0)).unwrap();
        assert_eq!(rescale.values, array![[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn a_conjunction_by_hand() {
        // relu(x₁ + x₂ - 1) with a third input that works against it: z_r = -1, Δ⁺ = 2, Δ⁻ = -½
        let first = Network::new(3).linear(array![[1.0, 1.0, -0.5]], Some(array![-1.0])).unwrap();
        let mut model = first.activation(Activation::Relu).unwrap();
        let found = RevealCancel::default().attribute(&mut model, &array![[1.0, 1.0, 1.0]], &Logit::of(0)).unwrap();
        // Δy⁺ = ½ (1 - 0) + ½ (½ - 0) = ¾, shared by two; Δy⁻ = ½ (0 - 0) + ½ (½ - 1) = -¼
        assert_eq!(found.values, array![[0.375, 0.375, -0.25]]);
        assert_eq!((found.output_value[0], found.delta), (0.5, Some(array![0.0])));
    }

    #[test]
    fn terms_of_one_sign_are_rescaled() {
        let model = || -> Network<f64> {
            let first = Network::new(2).linear(array![[1.0, 2.0], [0.5, 0.1]], Some(array![-1.0, 0.3])).unwrap();
            first.activation(Activation::Tanh).unwrap().linear(array![[1.0, 3.0]], None).unwrap()
        };
        let x = array![[0.7, 1.1], [2.0, 0.0]];
        let found = RevealCancel::default().attribute(&mut model(), &x, &Logit::of(0)).unwrap().values;
        let rescale = DeepLift::default().attribute(&mut model(), &x, &Logit::of(0)).unwrap().values;
        assert!((found - rescale).iter().all(|error: &f64| error.abs() < 1e-14));
    }

    /// Convolution, pooling, a residual connection, a product and a softmax.
    fn everything() -> Network<f64> {
        let kernel = Array4::from_shape_fn((2, 1, 2, 2), |(o, _, y, x)| [0.5, -1.0, 0.3, 0.8][(o + 2 * y + 3 * x) % 4]);
        let mut model = Network::new(16);
        let conv = Conv2d::new(kernel, Some(array![0.1, -0.2]), [1, 1], [0, 0], [1, 4, 4]).unwrap();
        let conv = model.node(Op::Conv2d(conv), &[Source::Input]).unwrap();
        let relu = model.node(Op::Activation(Activation::Relu), &[conv]).unwrap();
        let pool = MaxPool2d::new([2, 2], [1, 1], [2, 3, 3]).unwrap();
        let pool = model.node(Op::MaxPool2d(pool), &[relu]).unwrap();
        let weight = Array2::from_shape_fn((8, 8), |(i, j)| ((i * 3 + j * 5) % 7) as f64 / 3.5 - 0.8);
        let hidden = model.node(linear(weight.clone()), &[pool]).unwrap();
        let bent = model.node(Op::Activation(Activation::Gelu), &[hidden]).unwrap();
        let sum = model.node(Op::Add, &[pool, bent]).unwrap();
        let bent = model.node(Op::Activation(Activation::Tanh), &[sum]).unwrap();
        let product = model.node(Op::Multiply, &[bent, hidden]).unwrap();
        let last = model.node(linear(weight), &[product]).unwrap();
        let last = model.node(Op::Activation(Activation::Relu), &[last]).unwrap();
        model.node(Op::Softmax(Softmax::default()), &[last]).unwrap();
        model
    }

    #[test]
    fn it_is_complete_through_all_operations_in_any_batch() {
        let x = Array2::from_shape_fn((3, 16), |(row, i)| ((row * 5 + i * 7) % 11) as f64 / 5.0 - 1.0);
        for convolutions in [false, true] {
            let run = |batch, baseline: Baseline<f64>| {
                let method = RevealCancel { convolutions, batch, baseline };
                method.attribute(&mut everything(), &x, &Probability::of(2)).unwrap()
            };
            let found = run(Batch::Auto, Baseline::Zeros);
            assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-12));
            assert_eq!(run(Batch::Rows(2), Baseline::Zeros).values, found.values);
            let from = x.mapv(|x| 0.3 - x);
            assert!(run(Batch::Auto, from.into()).delta.unwrap().iter().all(|delta| delta.abs() < 1e-12));
        }
    }

    #[test]
    fn convolutions_keep_the_rescale_rule_unless_asked() {
        let conv = Conv2d::new(Array4::from_elem((1, 1, 1, 2), 1.0), None, [1, 1], [0, 0], [1, 1, 2]).unwrap();
        let model = || Network::new(2).then(Op::Conv2d(conv.clone())).unwrap().activation(Activation::Relu).unwrap();
        let run = |convolutions| {
            let method = RevealCancel { convolutions, ..RevealCancel::default() };
            method.attribute(&mut model(), &array![[3.0, -1.0]], &Logit::of(0)).unwrap().values
        };
        assert_eq!(run(false), array![[3.0, -1.0]]);
        // Δ⁺ = 3, Δ⁻ = -1: 5/2 and -1/2
        assert_eq!(run(true), array![[2.5, -0.5]]);
    }
}
