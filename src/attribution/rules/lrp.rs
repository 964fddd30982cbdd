//! Layer-wise relevance propagation: the output's value, shared out backwards.
//!
//! ```text
//! R_i = a_i Σ_j W'_ij R_j/(z_j + ε s_j)        z = a W' + b',  s_j = 1 for z_j >= 0, else -1
//! epsilon        W' = W, b' = b                   gamma     W' = W + γ W⁺
//! alpha1_beta0   W' = W⁺                          z⁺        the same without bias
//! alpha-beta     R_i = Σ_j (α (a_i W_ij)⁺/z_j⁺ - β (a_i W_ij)⁻/z_j⁻) R_j,  α - β = 1
//! box            R_i = Σ_j (x_i W_ij - l W_ij⁺ - h W_ij⁻)/z_j R_j            for inputs in [l, h]
//! w²             R_i = Σ_j W_ij²/Σ_i W_ij² R_j    flat      R_i = Σ_j R_j/(inputs of j)
//! ```
//!
//! Activations and normalisations pass relevance on unchanged, a sum shares it in proportion, a maximum gives all to its
//! winner; products and softmax follow [`AttnLrp`](super::AttnLrp). Biases and `ε` absorb some: [`Lrp::audit`] says how much
//! and where.
//!
//! Source: Bach et al., "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation"
//! (PLOS ONE 2015); Montavon et al., "Layer-Wise Relevance Propagation: An Overview" (2019), section 10.2, for the rules.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice, Zip};

use super::attn_lrp::{self, SoftmaxRule};
use crate::attribution::network::{Network, Node, Op, Source, Trace};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Evaluations, Explained, Explainer, Target};
use crate::error::check_each;
use crate::{Dims, Error, Result, Scalar};

/// Rule of a linear layer or convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LrpRule {
    /// All weights as they are; `epsilon > 0` absorbs weak and contradictory relevance.
    Epsilon {
        /// Added to the size of the denominator.
        epsilon: f64,
    },
    /// Positive weights strengthened.
    Gamma {
        /// Share that is added to positive weights.
        gamma: f64,
        /// Added to the size of the denominator.
        epsilon: f64,
        /// Whether the bias is left out.
        zero_bias: bool,
    },
    /// Positive weights alone. With `zero_bias` it is the z⁺ rule.
    Alpha1Beta0 {
        /// Added to the size of the denominator.
        epsilon: f64,
        /// Whether the bias is left out.
        zero_bias: bool,
    },
    /// Positive contributions times `alpha`, less negative ones times `beta`; `alpha - beta = 1`.
    AlphaBeta {
        /// Weight of positive contributions.
        alpha: f64,
        /// Weight of negative contributions.
        beta: f64,
        /// Added to the size of the denominators.
        epsilon: f64,
    },
    /// For the first layer of inputs that lie in `[low, high]`.
    Box {
        /// Smallest input.
        low: f64,
        /// Largest input.
        high: f64,
        /// Added to the size of the denominator.
        epsilon: f64,
    },
    /// By squared weights, whatever the inputs are.
    WSquare,
    /// To all inputs alike.
    Flat,
    /// Unchanged; inputs and outputs must be as many.
    Identity,
}

impl Default for LrpRule {
    fn default() -> Self {
        Self::Epsilon { epsilon: 1e-9 }
    }
}

impl LrpRule {
    fn check(&self) -> Result<()> {
        let (numbers, expected): (Vec<f64>, _) = match *self {
            Self::Epsilon { epsilon } | Self::Alpha1Beta0 { epsilon, .. } => (vec![epsilon], ">= 0"),
            Self::Gamma { gamma, epsilon, .. } => (vec![gamma, epsilon], ">= 0"),
            Self::AlphaBeta { alpha, beta, epsilon } => {
                check_each("alpha - beta", &[alpha - beta], "1", |one: f64| (one - 1.0).abs() < 1e-9)?;
                (vec![alpha, beta, epsilon], ">= 0")
            }
            Self::Box { low, high, epsilon } => (vec![high - low, epsilon], ">= 0"),
            Self::WSquare | Self::Flat | Self::Identity => return Ok(()),
        };
        check_each("rule", &numbers, expected, |x: f64| x >= 0.0 && x.is_finite())
    }
}

/// Layer-wise relevance propagation on the tape of a [`Network`].
///
/// The relevance that starts is the output times the gradient of the target: for a logit its value.
///
/// # Example
/// ```
/// use limpid::attribution::rules::Lrp;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::{Array2, array};
///
/// let first = Network::new(3).linear(Array2::from_elem((3, 3), 2.0), None)?.activation(Activation::Relu)?;
/// let mut model = first.linear(array![[3.0, 3.0, 3.0]], None)?;
/// let found = Lrp::default().attribute(&mut model, &array![[1.0, 2.0, 3.0]], &Logit::of(0))?;
/// assert!((&found.values - &array![[18.0, 36.0, 54.0]]).iter().all(|d: &f64| d.abs() < 1e-6));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lrp {
    /// One entry per node of the network; `None`, and nodes beyond the list, take `default`. Only linear layers and
    /// convolutions look at it.
    pub rules: Vec<Option<LrpRule>>,
    /// Rule of all other nodes.
    pub default: LrpRule,
    /// Softmax inside of the network.
    pub softmax: SoftmaxRule,
    /// Rows of one run.
    pub batch: Batch,
}

/// What one node did with relevance, summed over all rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Audit {
    /// Number of the node.
    pub node: usize,
    /// Name of its operation.
    pub op: &'static str,
    /// Relevance that it was given.
    pub received: f64,
    /// Relevance that it gave to its inputs.
    pub passed: f64,
}

impl Audit {
    /// What stayed in the node: shares of biases and of `ε`, or a rule that does not conserve.
    #[must_use]
    pub fn absorbed(&self) -> f64 {
        self.received - self.passed
    }
}

impl Lrp {
    /// As [`Explainer::attribute`], with the account of every node, last node first.
    ///
    /// # Errors
    /// As [`Explainer::attribute`].
    pub fn audit<T: Scalar>(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<(Attribution<T>, Vec<Audit>), Error> {
        Probe::new(model, x, target)?;
        self.check(model)?;
        let (mut values, mut output) = (Array2::zeros(x.raw_dim()), Array1::zeros(x.nrows()));
        let (mut start_sum, mut trace) = (Array1::zeros(x.nrows()), Trace::default());
        let (mut audits, size): (Vec<Audit>, _) = (Vec::new(), self.batch.rows(x.ncols())?);
        for start in (0..x.nrows()).step_by(size) {
            let range = Slice::from(start..(start + size).min(x.nrows()));
            model.run(&x.slice_axis(Axis(0), range), None, &mut trace)?;
            let seed = seed(trace.value(model.output()), (start, target), (&mut output, &mut start_sum));
            let mut books = Vec::new();
            let found = model.pull_back(model.output(), Source::Input, seed, |node, index, relevance| {
                let received = total(&relevance);
                let shares = self.share(node, index, &trace, relevance)?;
                books.push(Audit { node: index, op: node.op.name(), received, passed: shares.iter().map(total).sum() });
                Ok(shares)
            })?;
            values.slice_axis_mut(Axis(0), range).assign(&found);
            add_books(&mut audits, books);
        }
        let mut result = Attribution::new("lrp", format!("{self:?}"), values, output);
        let sums = result.values.rows().into_iter().zip(&start_sum);
        result.delta = Some(sums.map(|(row, &start)| crate::math::reduce::sum(&row) - start).collect());
        result.evaluations = Evaluations { forward: 0, gradient: x.nrows() as u64 };
        Ok((result, audits))
    }

    fn check<T: Scalar>(&self, model: &Network<T>) -> Result<()> {
        if self.rules.len() > model.nodes().len() {
            let (expected, got) = (Dims::new(&[model.nodes().len()]), Dims::new(&[self.rules.len()]));
            return Err(Error::Shape { what: "rules", expected, got });
        }
        self.default.check()?;
        self.rules.iter().flatten().try_for_each(LrpRule::check)
    }

    /// Relevance of the inputs of a node from that of its output.
    fn share<T: Scalar>(
        &self,
        node: &Node<T>,
        index: usize,
        trace: &Trace<T>,
        relevance: Array2<T>,
    ) -> Result<Vec<Array2<T>>> {
        let (inputs, output) = (trace.inputs(&node.inputs), trace.value(Source::Node(index)));
        match &node.op {
            Op::Activation(_) | Op::Norm(_) => Ok(vec![relevance]),
            Op::Linear(_) | Op::Conv2d(_) => {
                let rule = self.rules.get(index).copied().flatten().unwrap_or(self.default);
                affine(rule, &node.op, (inputs[0], output), relevance).map(|share| vec![share])
            }
            // a maximum selects, which is linear once the winner is known
            Op::MaxPool2d(_) | Op::Embedding(_) => node.op.vjp(&inputs, output, relevance),
            Op::Softmax(softmax) => Ok(vec![attn_lrp::softmax(self.softmax, *softmax, inputs[0], output, &relevance)]),
            _ => attn_lrp::proportional(&node.op, &inputs, output, &relevance, T::of(attn_lrp::EPSILON)),
        }
    }
}

/// The relevance that starts: outputs times the gradient of the target.
fn seed<T: Scalar>(
    outputs: &Array2<T>,
    (start, target): (usize, &dyn Target<T>),
    (value, sum): (&mut Array1<T>, &mut Array1<T>),
) -> Array2<T> {
    let mut seed = Array2::zeros(outputs.raw_dim());
    for (offset, (z, mut seed)) in outputs.rows().into_iter().zip(seed.rows_mut()).enumerate() {
        let (z, mut gradient) = (z.to_vec(), vec![T::zero(); z.len()]);
        target.cotangent(start + offset, &z, &mut gradient);
        seed.iter_mut().zip(z.iter().zip(&gradient)).for_each(|(seed, (&z, &g))| *seed = z * g);
        (value[start + offset], sum[start + offset]) = (target.value(start + offset, &z), seed.sum());
    }
    seed
}

fn total<T: Scalar>(x: &Array2<T>) -> f64 {
    x.iter().map(|x| x.as_f64()).sum()
}

fn add_books(audits: &mut Vec<Audit>, books: Vec<Audit>) {
    if audits.is_empty() {
        *audits = books;
        return;
    }
    for (sum, book) in audits.iter_mut().zip(books) {
        sum.received += book.received;
        sum.passed += book.passed;
    }
}

/// `r/(z + ε s)`, and 0 where nothing is to be shared out among nothing.
pub(super) fn divided<T: Scalar>(relevance: &ArrayRef2<T>, z: &ArrayRef2<T>, epsilon: T) -> Array2<T> {
    let mut out = relevance.to_owned();
    out.zip_mut_with(z, |r, &z| {
        let stable = z + if z >= T::zero() { epsilon } else { -epsilon };
        *r = if stable == T::zero() { T::zero() } else { *r / stable };
    });
    out
}

/// The share of a linear layer or convolution with input `a` and output `z`.
fn affine<T: Scalar>(
    rule: LrpRule,
    op: &Op<T>,
    (a, z): (&ArrayRef2<T>, &ArrayRef2<T>),
    relevance: Array2<T>,
) -> Result<Array2<T>> {
    let (zero, none) = (T::zero(), |_: T| T::zero());
    let bias = |zero_bias: bool| move |b: T| if zero_bias { T::zero() } else { b };
    match rule {
        LrpRule::Epsilon { epsilon } => {
            let s = divided(&relevance, z, T::of(epsilon));
            Ok(times(&pull(op, a, s)?, a))
        }
        LrpRule::Gamma { gamma, epsilon, zero_bias } => {
            let gamma = T::of(gamma);
            with_weights(&op.mapped(|w| w + gamma * w.max(zero), bias(zero_bias)), a, &relevance, epsilon)
        }
        LrpRule::Alpha1Beta0 { epsilon, zero_bias } => {
            with_weights(&op.mapped(|w| w.max(zero), bias(zero_bias)), a, &relevance, epsilon)
        }
        LrpRule::WSquare => with_weights(&op.mapped(|w| w * w, none), &Array2::ones(a.raw_dim()), &relevance, 0.0),
        LrpRule::Flat => with_weights(&op.mapped(|_| T::one(), none), &Array2::ones(a.raw_dim()), &relevance, 0.0),
        LrpRule::AlphaBeta { alpha, beta, epsilon } => alpha_beta(op, a, &relevance, [alpha, -beta], epsilon),
        LrpRule::Box { low, high, epsilon } => boxed(op, a, &relevance, [low, high], epsilon),
        LrpRule::Identity if relevance.dim() == a.dim() => Ok(relevance),
        LrpRule::Identity => {
            let (expected, got) = (Dims::new(a.shape()), Dims::new(relevance.shape()));
            Err(Error::Shape { what: "layer with the identity rule", expected, got })
        }
    }
}

/// The transpose of a linear operation.
fn pull<T: Scalar>(op: &Op<T>, a: &ArrayRef2<T>, s: Array2<T>) -> Result<Array2<T>> {
    let output = Array2::zeros((0, 0));
    op.vjp(&[a], &output, s)?.pop().ok_or(Error::Empty { what: "gradient" })
}

fn times<T: Scalar>(x: &Array2<T>, y: &ArrayRef2<T>) -> Array2<T> {
    let mut out = x.clone();
    out.zip_mut_with(y, |x, &y| *x *= y);
    out
}

/// The generic rule with the weights of `op` as they are.
fn with_weights<T: Scalar>(op: &Op<T>, a: &ArrayRef2<T>, relevance: &Array2<T>, epsilon: f64) -> Result<Array2<T>> {
    let mut z = Array2::zeros(relevance.raw_dim());
    op.forward(&[a], &mut z)?;
    Ok(times(&pull(op, a, divided(relevance, &z, T::of(epsilon)))?, a))
}

/// Positive and negative contributions apart: `a⁺ W⁺ + a⁻ W⁻ (+ b⁺)` and `a⁺ W⁻ + a⁻ W⁺ (+ b⁻)`.
fn alpha_beta<T: Scalar>(
    op: &Op<T>,
    a: &ArrayRef2<T>,
    relevance: &Array2<T>,
    factors: [f64; 2],
    epsilon: f64,
) -> Result<Array2<T>> {
    let (up, down) = (|x: T| x.max(T::zero()), |x: T| x.min(T::zero()));
    let (positive, negative) = (a.mapv(up), a.mapv(down));
    let none = |_: T| T::zero();
    let sides = [[op.mapped(up, up), op.mapped(down, none)], [op.mapped(down, down), op.mapped(up, none)]];
    let mut out = Array2::zeros(a.raw_dim());
    for (factor, [first, second]) in factors.into_iter().zip(&sides) {
        let mut z = [Array2::zeros(relevance.raw_dim()), Array2::zeros(relevance.raw_dim())];
        first.forward(&[&positive], &mut z[0])?;
        second.forward(&[&negative], &mut z[1])?;
        let [z, rest] = z;
        let s = divided(relevance, &(z + rest), T::of(epsilon)).mapv_into(|s| T::of(factor) * s);
        out += &times(&pull(first, a, s.clone())?, &positive);
        out += &times(&pull(second, a, s)?, &negative);
    }
    Ok(out)
}

/// `x W - l W⁺ - h W⁻` in place of `a W`.
fn boxed<T: Scalar>(
    op: &Op<T>,
    x: &ArrayRef2<T>,
    relevance: &Array2<T>,
    ends: [f64; 2],
    epsilon: f64,
) -> Result<Array2<T>> {
    let none = |_: T| T::zero();
    let ends = ends.map(|end| Array2::from_elem(x.raw_dim(), T::of(-end)));
    let whole = (op.mapped(|w| w, none), x.to_owned());
    let [low, high] = ends;
    let parts = [whole, (op.mapped(|w| w.max(T::zero()), none), low), (op.mapped(|w| w.min(T::zero()), none), high)];
    let mut z = Array2::zeros(relevance.raw_dim());
    for (op, input) in &parts {
        let mut part = Array2::zeros(relevance.raw_dim());
        op.forward(&[input], &mut part)?;
        z += &part;
    }
    let s = divided(relevance, &z, T::of(epsilon));
    let mut out = Array2::zeros(x.raw_dim());
    for (op, input) in &parts {
        Zip::from(&mut out).and(&pull(op, x, s.clone())?).and(input).for_each(|out, &g, &x| *out += g * x);
    }
    Ok(out)
}

impl<T: Scalar> Explainer<T, Network<T>> for Lrp {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        self.audit(model, x, target).map(|(result, _)| result)
    }
}
