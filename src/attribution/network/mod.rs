//! A small reference network: a tape of operations that can be run, differentiated, cut at any layer, and walked backwards
//! with other rules than the derivative.
//!
//! Every call of an operation is a node of its own, so that nothing goes wrong where an operation is used twice. Values are
//! rows: a node turns `(b, inputs)` into `(b, outputs)`; operations that see images or tokens know how a row is laid out.
//!
//! It serves the rule methods, tests, and users whose model is small. A large model enters through the traits of
//! [`model`](super::model).

mod activation;
mod attention;
mod conv2d;
mod embedding;
mod linear;
mod max_pool2d;
mod norm;
mod op;
mod softmax;
mod trace;

pub use activation::ReluRule;
pub use attention::{Mix, Scores};
pub use conv2d::Conv2d;
pub use embedding::Embedding;
pub use linear::Linear;
pub use max_pool2d::MaxPool2d;
pub use norm::{Norm, NormKind};
pub use op::{Op, Operation};
pub use softmax::Softmax;
pub use trace::Trace;

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::model::{Cotangent, Differentiable, Forward, Layers};
use crate::error::{check_limit, check_not_empty, check_shape};
use crate::math::pointwise::Activation;
use crate::{Error, Result, Scalar};

/// Most values of a row that an operation takes or gives.
pub const MAX_WIDTH: usize = 1 << 26;

/// Where an operation takes its input from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The input of the network.
    Input,
    /// The output of a node, counted from 0 in the order of adding.
    Node(usize),
}

/// One call of an operation.
#[derive(Debug, Clone)]
pub struct Node<T> {
    /// What is computed.
    pub op: Op<T>,
    /// From what.
    pub inputs: Vec<Source>,
    /// Values per row of the result.
    pub width: usize,
}

/// A tape of operations; the last one gives the outputs. Layer `i` is the output of node `i`.
///
/// # Example
/// ```
/// use limpid::attribution::network::{Network, Op, Source};
/// use limpid::attribution::{Explainer, Forward};
/// use limpid::math::pointwise::Activation;
/// use ndarray::{Array2, array};
///
/// // a chain
/// let mut model = Network::new(2).linear(array![[1.0, -1.0]], Some(array![0.5]))?.activation(Activation::Relu)?;
/// let mut z = Array2::zeros((1, 1));
/// model.forward(&array![[2.0, 1.0]], &mut z)?;
/// assert_eq!(z, array![[1.5]]);
///
/// // a residual connection: x + relu(x)
/// let mut model = Network::new(1);
/// let relu = model.node(Op::Activation(Activation::Relu), &[Source::Input])?;
/// model.node(Op::Add, &[Source::Input, relu])?;
/// model.forward(&array![[3.0]], &mut z)?;
/// assert_eq!(z, array![[6.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Network<T> {
    n_inputs: usize,
    nodes: Vec<Node<T>>,
    relu_rule: ReluRule,
    /// Values of the last run, whose memory the next one takes over.
    trace: Trace<T>,
}

impl<T: Scalar> Network<T> {
    /// A network without operations: it gives its `n_inputs` inputs back.
    #[must_use]
    pub fn new(n_inputs: usize) -> Self {
        Self { n_inputs, nodes: Vec::new(), relu_rule: ReluRule::Derivative, trace: Trace::default() }
    }

    /// Adds an operation on the results of earlier ones.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a node that does not exist, [`Error::Shape`] where the operation does not fit its inputs,
    /// [`Error::TooLarge`] above [`MAX_WIDTH`].
    pub fn node(&mut self, op: Op<T>, inputs: &[Source]) -> Result<Source> {
        let widths = inputs.iter().map(|&source| self.width(source)).collect::<Result<Vec<usize>>>()?;
        let width = op.width(&widths)?;
        for &width in widths.iter().chain([&width]) {
            check_limit("values of a row", width, MAX_WIDTH)?;
        }
        self.nodes.push(Node { op, inputs: inputs.to_vec(), width });
        Ok(Source::Node(self.nodes.len() - 1))
    }

    /// Adds an operation on the result of the last one.
    ///
    /// # Errors
    /// [`Error::Shape`] where the operation does not fit.
    pub fn then(mut self, op: Op<T>) -> Result<Self> {
        let last = self.output();
        self.node(op, &[last])?;
        Ok(self)
    }

    /// Adds `x Wᵀ + b`; `weight: (o, i)`, `bias: (o)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`].
    pub fn linear(self, weight: Array2<T>, bias: Option<Array1<T>>) -> Result<Self> {
        self.then(Op::Linear(Linear::new(weight, bias)?))
    }

    /// Adds an activation function.
    ///
    /// # Errors
    /// None today.
    pub fn activation(self, activation: Activation) -> Result<Self> {
        self.then(Op::Activation(activation))
    }

    /// The same network whose ReLUs pass back what the rule says: gradient methods on it become guided ones.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::Network;
    /// use limpid::attribution::layer::{Neuron, NeuronGradient};
    /// use limpid::attribution::network::ReluRule;
    /// use limpid::math::pointwise::Activation;
    /// use ndarray::array;
    ///
    /// // guided backpropagation from a hidden unit
    /// let model = Network::new(2).activation(Activation::Relu)?.linear(array![[1.0, -1.0]], None)?;
    /// let mut guided = model.with_relu_rule(ReluRule::Guided);
    /// let found = NeuronGradient::of(1, Neuron::Unit(0)).attribute(&mut guided, &array![[3.0, 4.0]])?;
    /// assert_eq!(found.values, array![[1.0, 0.0]]);
    /// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
    /// ```
    #[must_use]
    pub fn with_relu_rule(mut self, rule: ReluRule) -> Self {
        self.relu_rule = rule;
        self
    }

    /// Sets the rule for ReLUs and gives back the one before.
    pub(crate) fn set_relu_rule(&mut self, rule: ReluRule) -> ReluRule {
        core::mem::replace(&mut self.relu_rule, rule)
    }

    /// Where the outputs come from.
    #[must_use]
    pub fn output(&self) -> Source {
        self.nodes.len().checked_sub(1).map_or(Source::Input, Source::Node)
    }

    /// The operations in the order of running.
    #[must_use]
    pub fn nodes(&self) -> &[Node<T>] {
        &self.nodes
    }

    /// The same network with another operation at a node, which must have the same shapes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a node that does not exist, [`Error::Shape`].
    pub fn replaced(mut self, node: usize, op: Op<T>) -> Result<Self> {
        let width = self.width(Source::Node(node))?;
        let widths =
            self.nodes[node].inputs.iter().map(|&source| self.width(source)).collect::<Result<Vec<usize>>>()?;
        check_shape("operation", &Array2::<u8>::zeros((0, op.width(&widths)?)), &[0, width])?;
        self.nodes[node].op = op;
        Ok(self)
    }

    /// Values per row of a source.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a node that does not exist.
    pub fn width(&self, source: Source) -> Result<usize> {
        match source {
            Source::Input => Ok(self.n_inputs),
            Source::Node(node) => self.nodes.get(node).map(|node| node.width).ok_or(Error::OutOfRange {
                what: "node",
                index: 0,
                value: node as f64,
                expected: "an earlier node of the network",
            }),
        }
    }

    /// Runs `x: (b, n)` and keeps the value of every node.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], and what the operations report.
    pub fn trace(&self, x: &ArrayRef2<T>) -> Result<Trace<T>> {
        let mut trace = Trace::default();
        self.run(x, None, &mut trace)?;
        Ok(trace)
    }

    /// As [`Network::trace`] with the value of a node replaced, in the memory of an earlier trace.
    pub(crate) fn run(
        &self,
        x: &ArrayRef2<T>,
        with: Option<(usize, &ArrayRef2<T>)>,
        trace: &mut Trace<T>,
    ) -> Result<()> {
        check_not_empty("x", x)?;
        check_shape("x", x, &[x.nrows(), self.n_inputs])?;
        if let Some((node, h)) = with {
            check_shape("h", h, &[x.nrows(), self.width(Source::Node(node))?])?;
        }
        trace.prepare(x, &self.nodes);
        let needed = self.needed(with.map(|(node, _)| node));
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some((_, h)) = with.filter(|&(replaced, _)| replaced == index) {
                trace.value_mut(index).assign(h);
            } else if needed[index] {
                let (inputs, out) = trace.split(index, &node.inputs);
                node.op.forward(&inputs, out)?;
            }
        }
        Ok(())
    }

    /// Which nodes the output depends on once the value of `replaced` is given.
    fn needed(&self, replaced: Option<usize>) -> Vec<bool> {
        let mut needed = alloc::vec![replaced.is_none(); self.nodes.len()];
        if let (Some(replaced), Some(last)) = (replaced, needed.last_mut()) {
            *last = true;
            for index in (0..self.nodes.len()).rev().filter(|&index| index != replaced) {
                if needed[index] {
                    for source in &self.nodes[index].inputs {
                        if let Source::Node(input) = *source {
                            needed[input] = true;
                        }
                    }
                }
            }
        }
        needed
    }

    /// Walks from node `from` back to `to`, `seed: (b, width of from)` being what `from` starts with. `rule(node, index, seed)`
    /// turns what a node has into what each of its inputs gets; a source used twice gets the sum.
    pub(crate) fn pull_back(
        &self,
        from: Source,
        to: Source,
        seed: Array2<T>,
        mut rule: impl FnMut(&Node<T>, usize, Array2<T>) -> Result<Vec<Array2<T>>>,
    ) -> Result<Array2<T>> {
        let rows = seed.nrows();
        let stop = match to {
            Source::Input => 0,
            Source::Node(node) => node + 1,
        };
        let Source::Node(last) = from else { return Ok(seed) };
        let (mut shares, mut input): (Vec<Option<Array2<T>>>, Option<Array2<T>>) = (alloc::vec![None; last + 1], None);
        shares[last] = Some(seed);
        for index in (stop..=last).rev() {
            let Some(share) = shares[index].take() else { continue };
            let node = &self.nodes[index];
            for (source, given) in node.inputs.iter().zip(rule(node, index, share)?) {
                let slot = match *source {
                    Source::Input => &mut input,
                    Source::Node(node) => &mut shares[node],
                };
                match slot {
                    None => *slot = Some(given),
                    Some(sum) => *sum += &given,
                }
            }
        }
        let found = match to {
            Source::Input => input,
            Source::Node(node) => shares.get_mut(node).and_then(Option::take),
        };
        let width = self.width(to)?;
        Ok(found.unwrap_or_else(|| Array2::zeros((rows, width))))
    }

    /// The gradient by `to` of `Σ seed ⊙ from`, at the values of `trace`, by the network's rule for ReLUs.
    pub(crate) fn gradient(&self, trace: &Trace<T>, from: Source, to: Source, seed: Array2<T>) -> Result<Array2<T>> {
        self.pull_back(from, to, seed, |node, index, by_output| match node.op {
            Op::Activation(Activation::Relu) => {
                Ok(alloc::vec![self.relu_rule.vjp(trace.value(node.inputs[0]), by_output)])
            }
            _ => node.op.vjp(&trace.inputs(&node.inputs), trace.value(Source::Node(index)), by_output),
        })
    }
}

impl<T: Scalar> Forward<T> for Network<T> {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    fn n_outputs(&self) -> usize {
        self.nodes.last().map_or(self.n_inputs, |node| node.width)
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        self.with_trace(|network, trace| {
            network.run(x, None, trace)?;
            assign(out, trace.value(network.output()))
        })
    }
}

impl<T: Scalar> Differentiable<T> for Network<T> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        self.with_trace(|network, trace| {
            network.run(x, None, trace)?;
            network.differentiate(trace, Source::Input, cotangent, out, gradient)
        })
    }
}

impl<T: Scalar> Layers<T> for Network<T> {
    fn n_layers(&self) -> usize {
        self.nodes.len()
    }

    fn layer_width(&self, layer: usize) -> Option<usize> {
        self.nodes.get(layer).map(|node| node.width)
    }

    fn layer(&mut self, layer: usize, x: &ArrayRef2<T>, h: &mut ArrayRef2<T>) -> Result<()> {
        self.width(Source::Node(layer))?;
        self.with_trace(|network, trace| {
            network.run(x, None, trace)?;
            assign(h, trace.value(Source::Node(layer)))
        })
    }

    fn forward_with(&mut self, layer: usize, x: &ArrayRef2<T>, h: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        self.with_trace(|network, trace| {
            network.run(x, Some((layer, h)), trace)?;
            assign(out, trace.value(network.output()))
        })
    }

    fn vjp_with(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        h: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        self.with_trace(|network, trace| {
            network.run(x, Some((layer, h)), trace)?;
            network.differentiate(trace, Source::Node(layer), cotangent, out, gradient)
        })
    }

    fn vjp_to(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        h: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        self.width(Source::Node(layer))?;
        self.with_trace(|network, trace| {
            network.run(x, None, trace)?;
            assign(h, trace.value(Source::Node(layer)))?;
            let mut seed = Array2::zeros(h.raw_dim());
            cotangent(h, &mut seed);
            assign(gradient, &network.gradient(trace, Source::Node(layer), Source::Input, seed)?)
        })
    }
}

impl<T: Scalar> Network<T> {
    /// Lends the kept trace, so that its memory is used again.
    fn with_trace<V>(&mut self, work: impl FnOnce(&Self, &mut Trace<T>) -> V) -> V {
        let mut trace = core::mem::take(&mut self.trace);
        let value = work(self, &mut trace);
        self.trace = trace;
        value
    }

    fn differentiate(
        &self,
        trace: &Trace<T>,
        to: Source,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        assign(out, trace.value(self.output()))?;
        let mut seed = Array2::zeros(out.raw_dim());
        cotangent(out, &mut seed);
        assign(gradient, &self.gradient(trace, self.output(), to, seed)?)
    }
}

/// Copies into a buffer of the caller, whose shape is not taken on trust.
fn assign<T: Scalar>(to: &mut ArrayRef2<T>, from: &ArrayRef2<T>) -> Result<()> {
    check_shape("out", to, from.shape())?;
    to.assign(from);
    Ok(())
}
