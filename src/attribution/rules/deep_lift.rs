//! DeepLIFT with the rescale rule: contributions to the difference from a baseline, by multipliers in place of derivatives.
//!
//! ```text
//! A_i = (x_i - b_i) m_i          m of an input = Σ over its uses of the rule below applied to m of the output
//! linear, convolution, sum       the derivative
//! activation                     (φ(z) - φ(z_r))/(z - z_r)
//! product, attention products    the other factor, averaged over input and baseline
//! maximum                        what the maximum gained goes to the winner of the input, what it lost to the winner of the
//!                                baseline, divided by the change of the receiver; windows that overlap add up
//! softmax, normalisation, other  the derivative averaged over the straight path
//! ```
//!
//! Every rule hands on exactly what it is given, so the attributions add up to `f(x) - f(b)`.
//!
//! Source: Shrikumar et al., "Learning Important Features Through Propagating Activation Differences" (arXiv 1704.02685),
//! its linear and its rescale rule.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice};

use super::secant::multiply_by_secants;
use super::straight_path::average;
use crate::attribution::network::{MaxPool2d, Network, Node, Op, Source, Trace};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Evaluations, Explained, Explainer, Target};
use crate::{Error, Result, Scalar};

/// DeepLIFT on the tape of a [`Network`].
///
/// # Example
/// ```
/// use limpid::attribution::rules::DeepLift;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // 2 relu(x₁) + 2 relu(x₂ - 1.5)
/// let first = Network::new(2).linear(array![[1.0, 0.0], [0.0, 1.0]], Some(array![0.0, -1.5]))?;
/// let mut model = first.activation(Activation::Relu)?.linear(array![[2.0, 2.0]], None)?;
/// let found = DeepLift::default().attribute(&mut model, &array![[1.0, 2.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[2.0, 1.0]]);
/// assert_eq!(found.delta, Some(array![0.0]));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DeepLift<T> {
    /// What the input is compared with.
    pub baseline: Baseline<T>,
    /// The node whose value is explained instead of the input, `None` for the input.
    pub layer: Option<usize>,
    /// Rows of one run.
    pub batch: Batch,
}

impl<T> Default for DeepLift<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, layer: None, batch: Batch::Auto }
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for DeepLift<T> {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        let to = self.layer.map_or(Source::Input, Source::Node);
        let pairs = Pairs { network: model, baseline: &self.baseline, batch: self.batch, to };
        let method = ("deep_lift", format!("{self:?}"));
        pairs.attribute(method, x, target, |network, pair, start| pair.attribute(network, to, (start, target)))
    }
}

/// Rows and their baselines on a network, some at a time.
pub(super) struct Pairs<'a, T> {
    pub(super) network: &'a mut Network<T>,
    pub(super) baseline: &'a Baseline<T>,
    pub(super) batch: Batch,
    /// What is explained.
    pub(super) to: Source,
}

impl<T: Scalar> Pairs<'_, T> {
    /// Runs `x: (b, n)` and its baselines; `explain(network, pair, start)` gives the contributions of the rows from `start` on.
    pub(super) fn attribute(
        self,
        (method, options): (&'static str, String),
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        explain: impl Fn(&Network<T>, &Pair<'_, T>, usize) -> Result<Array2<T>>,
    ) -> Explained<Attribution<T>, Error> {
        let model = self.network;
        Probe::new(model, x, target)?;
        let (rows, shared) = (self.baseline.rows(x)?, !matches!(self.baseline, Baseline::Rows(_)));
        let mut values = Array2::zeros((x.nrows(), model.width(self.to)?));
        let (mut output, mut base) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        let one = |row: usize| rows.row(row).insert_axis(Axis(0)).to_owned();
        let mut reference = if shared { Some(model.trace(&one(0))?) } else { None };
        let (mut trace, size) = (Trace::default(), self.batch.rows(x.ncols())?);
        for start in (0..x.nrows()).step_by(size) {
            let range = start..(start + size).min(x.nrows());
            model.run(&x.slice_axis(Axis(0), Slice::from(range.clone())), None, &mut trace)?;
            if !shared {
                let chunk = Array2::from_shape_fn((range.len(), x.ncols()), |(row, i)| rows.row(start + row)[i]);
                reference = Some(model.trace(&chunk)?);
            }
            let Some(reference) = &reference else { continue };
            let pair = Pair { trace: &trace, reference, fixed: shared.then_some(0) };
            let found = explain(model, &pair, start)?;
            for (offset, row) in found.rows().into_iter().enumerate() {
                let at = start + offset;
                values.row_mut(at).assign(&row);
                (output[at], base[at]) = pair.ends(model, (offset, at, target));
            }
        }
        let mut result = Attribution::new(method, options, values, output).complete_to(base);
        let references = if shared { 1 } else { x.nrows() };
        result.evaluations = Evaluations { forward: references as u64, gradient: x.nrows() as u64 };
        Ok(result)
    }
}

/// A run and the run of its baseline.
pub(super) struct Pair<'a, T> {
    pub(super) trace: &'a Trace<T>,
    pub(super) reference: &'a Trace<T>,
    /// The row of the reference that serves all rows; otherwise each row has its own.
    pub(super) fixed: Option<usize>,
}

impl<T: Scalar> Pair<'_, T> {
    /// Contributions of the value of `to`, whose rows belong to the examples from `start` on.
    pub(super) fn attribute(
        &self,
        network: &Network<T>,
        to: Source,
        (start, target): (usize, &dyn Target<T>),
    ) -> Result<Array2<T>> {
        let seed = self.seed(network, (start, target))?;
        let found = network.pull_back(network.output(), to, seed, |node, index, m| self.rule(node, index, m))?;
        Ok(found * self.differences(to))
    }

    /// Multipliers of the outputs for the target.
    pub(super) fn seed(&self, network: &Network<T>, (start, target): (usize, &dyn Target<T>)) -> Result<Array2<T>> {
        let from = network.output();
        let outputs = self.trace.value(from);
        let mut seed = Array2::zeros(outputs.raw_dim());
        for (row, mut seed) in seed.rows_mut().into_iter().enumerate() {
            let [z, zr] = [outputs.row(row).to_vec(), self.reference_row(from, row).to_vec()];
            seed.assign(&Array1::from(target_multipliers(target, start + row, &z, &zr)?));
        }
        Ok(seed)
    }

    /// The value of a source less that of the baseline.
    pub(super) fn differences(&self, source: Source) -> Array2<T> {
        let mut differences = self.trace.value(source).clone();
        for (row, mut values) in differences.rows_mut().into_iter().enumerate() {
            values -= &self.reference_row(source, row);
        }
        differences
    }

    /// Values of the target for a row of the run, which belongs to `example`, and for its baseline.
    pub(super) fn ends(&self, network: &Network<T>, (row, example, target): (usize, usize, &dyn Target<T>)) -> (T, T) {
        let from = network.output();
        let value = |z: ndarray::ArrayView1<'_, T>| target.value(example, &z.to_vec());
        (value(self.trace.value(from).row(row)), value(self.reference_row(from, row)))
    }

    pub(super) fn reference_row(&self, source: Source, row: usize) -> ndarray::ArrayView1<'_, T> {
        self.reference.value(source).row(self.fixed.unwrap_or(row))
    }

    /// Multipliers of the inputs of a node from those of its output.
    pub(super) fn rule(&self, node: &Node<T>, index: usize, mut m: Array2<T>) -> Result<Vec<Array2<T>>> {
        let inputs = self.trace.inputs(&node.inputs);
        match &node.op {
            Op::Activation(activation) => {
                for (row, mut m) in m.rows_mut().into_iter().enumerate() {
                    let (a, b) = (inputs[0].row(row), self.reference_row(node.inputs[0], row));
                    match (m.as_slice_mut(), a.to_slice(), b.to_slice()) {
                        (Some(m), Some(a), Some(b)) => multiply_by_secants(*activation, m, a.iter().zip(b)),
                        _ => multiply_by_secants(*activation, &mut m, a.iter().zip(&b)),
                    }
                }
                Ok(alloc::vec![m])
            }
            Op::Multiply | Op::Scores(_) | Op::Mix(_) => {
                let half = T::of(0.5);
                let middle = |source: &Source| {
                    let mut middle = self.trace.value(*source).clone();
                    for (row, mut values) in middle.rows_mut().into_iter().enumerate() {
                        values.zip_mut_with(&self.reference_row(*source, row), |x, &r| *x = half * (*x + r));
                    }
                    middle
                };
                let middles: Vec<Array2<T>> = node.inputs.iter().map(middle).collect();
                let middles: Vec<&ArrayRef2<T>> = middles.iter().map(|middle| &**middle).collect();
                node.op.vjp(&middles, self.trace.value(Source::Node(index)), m)
            }
            Op::MaxPool2d(pool) => Ok(alloc::vec![self.pool(*pool, node.inputs[0], &m)]),
            Op::Embedding(_) => node.op.vjp(&inputs, self.trace.value(Source::Node(index)), m),
            op if op.linear() => op.vjp(&inputs, self.trace.value(Source::Node(index)), m),
            _ => self.straight(node, index, &m),
        }
    }

    fn pool(&self, pool: MaxPool2d, source: Source, m: &Array2<T>) -> Array2<T> {
        let x = self.trace.value(source);
        let mut found = Array2::zeros(x.raw_dim());
        for (row, mut found) in found.rows_mut().into_iter().enumerate() {
            let (x, r) = (x.row(row).to_vec(), self.reference_row(source, row).to_vec());
            for ((&m, own), other) in m.row(row).iter().zip(pool.winners(&x)).zip(pool.winners(&r)) {
                // the receiver changed at least as much as the maximum, so the share lies in [0, 1]
                let gained = x[own] - r[other];
                let receiver = if gained >= T::zero() { own } else { other };
                let change = x[receiver] - r[receiver];
                found[receiver] += m * if change == T::zero() { T::one() } else { gained / change };
            }
        }
        found
    }

    /// Any other operation: the derivative averaged over the straight path, row by row, over all inputs together.
    fn straight(&self, node: &Node<T>, index: usize, m: &Array2<T>) -> Result<Vec<Array2<T>>> {
        let widths: Vec<usize> = node.inputs.iter().map(|&source| self.trace.value(source).ncols()).collect();
        let mut found: Vec<Array2<T>> = widths.iter().map(|&width| Array2::zeros((m.nrows(), width))).collect();
        for row in 0..m.nrows() {
            let join =
                |value: &dyn Fn(Source) -> Vec<T>| node.inputs.iter().flat_map(|&s| value(s)).collect::<Vec<T>>();
            let to = join(&|source| self.trace.value(source).row(row).to_vec());
            let from = join(&|source| self.reference_row(source, row).to_vec());
            let here = Source::Node(index);
            let ends = self.trace.value(here).row(row).into_iter().zip(self.reference_row(here, row));
            let change = ends.zip(m.row(row)).map(|((y, yr), m)| m.as_f64() * (y.as_f64() - yr.as_f64())).sum();
            let by_output = m.slice_axis(Axis(0), Slice::from(row..=row)).to_owned();
            let slopes = average(&from, &to, change, |point, out| vjp_at(node, &widths, point, &by_output, out))?;
            let mut rest = &slopes[..];
            for (found, &width) in found.iter_mut().zip(&widths) {
                let (part, others) = rest.split_at(width);
                found.row_mut(row).iter_mut().zip(part).for_each(|(found, &slope)| *found = slope);
                rest = others;
            }
        }
        Ok(found)
    }
}

/// The gradient of one row at a point that joins all inputs.
fn vjp_at<T: Scalar>(
    node: &Node<T>,
    widths: &[usize],
    point: &[T],
    by_output: &Array2<T>,
    out: &mut [T],
) -> Result<()> {
    let (mut rest, mut inputs) = (point, Vec::with_capacity(widths.len()));
    for &width in widths {
        let (part, others) = rest.split_at(width);
        inputs.push(Array1::from(part.to_vec()).insert_axis(Axis(0)));
        rest = others;
    }
    let inputs: Vec<&ArrayRef2<T>> = inputs.iter().map(|input| &**input).collect();
    let mut output = Array2::zeros(by_output.raw_dim());
    node.op.forward(&inputs, &mut output)?;
    let gradients = node.op.vjp(&inputs, &output, by_output.clone())?;
    out.iter_mut().zip(gradients.iter().flatten()).for_each(|(out, &gradient)| *out = gradient);
    Ok(())
}

/// Multipliers of the outputs for the target: its gradient where that is constant, else averaged over the straight path.
fn target_multipliers<T: Scalar>(target: &dyn Target<T>, example: usize, z: &[T], zr: &[T]) -> Result<Vec<T>> {
    let gradient = |z: &[T]| {
        let mut out = alloc::vec![T::zero(); z.len()];
        target.cotangent(example, z, &mut out);
        out
    };
    let here = gradient(z);
    if here == gradient(zr) {
        return Ok(here);
    }
    let change = target.value(example, z).as_f64() - target.value(example, zr).as_f64();
    average(zr, z, change, |point, out| {
        target.cotangent(example, point, out);
        Ok(())
    })
}
