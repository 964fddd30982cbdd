//! Tapes of the reference network, made of any operation.

use std::sync::Arc;

use limpid::attribution::network::{
    Conv2d, Embedding, Linear, MaxPool2d, Mix, Network, Norm, NormKind, Op, Operation, ReluRule, Scores, Softmax,
    Source as From,
};
use limpid::math::pointwise::Activation;
use limpid::{Error, Scalar};
use ndarray::{Array2, Array4, ArrayRef2};

use crate::model::MAX_VALUES;
use crate::source::Source;

impl Source<'_> {
    fn op<T: Scalar>(&mut self, width: usize) -> Result<Op<T>, Error> {
        Ok(match self.below(13) {
            0 | 1 => {
                let outputs = self.length();
                Op::Linear(Linear::new(self.values(outputs, width), self.flag().then(|| self.row(outputs)))?)
            }
            2 => {
                let (input, outputs) = (self.image(width), 1 + self.below(3));
                let (kernel, stride, padding) =
                    (self.sides(), [self.count(), self.count()], [self.side(), self.side()]);
                let weight =
                    Array4::from_shape_simple_fn((outputs, input[0].min(40), kernel[0], kernel[1]), || self.ordinary());
                Op::Conv2d(Conv2d::new(weight, self.flag().then(|| self.row(outputs)), stride, padding, input)?)
            }
            3 => {
                let (kernel, stride) = ([self.count(), self.side()], [self.side(), self.count()]);
                Op::MaxPool2d(MaxPool2d::new(kernel, stride, self.image(width))?)
            }
            4 => {
                let kind = self.pick(&[NormKind::Layer, NormKind::RootMeanSquare]);
                let part = self.part(width);
                let beta = self.flag().then(|| self.row(part));
                Op::Norm(Norm::new(kind, self.row(part), beta, T::of(self.setting()))?)
            }
            5 => Op::Softmax(Softmax { part: self.flag().then(|| self.part(width)) }),
            6 => {
                let (words, d) = (self.length(), self.below(4));
                Op::Embedding(Embedding::new(self.values(words, d))?)
            }
            7 => Op::Scores(Scores::new(self.side(), self.side(), T::of(self.setting()), self.flag())?),
            8 => Op::Mix(Mix::new(self.side(), self.side())?),
            9 => Op::Add,
            10 => Op::Multiply,
            11 => Op::Shift(self.row(width)),
            12 => Op::Custom(Arc::new(Odd { width: self.near(width), gradients: self.below(3), linear: self.flag() })),
            _ => Op::Activation(self.pick(&Activation::ALL)),
        })
    }

    fn part(&mut self, width: usize) -> usize {
        let parts = 1 + self.below(3);
        if self.byte() > 230 { self.count() } else { width / parts }
    }

    fn side(&mut self) -> usize {
        if self.byte() > 240 { self.count() } else { 1 + self.below(3) }
    }

    fn sides(&mut self) -> [usize; 2] {
        [self.below(4), self.below(4)]
    }

    /// A layout that mostly holds `width` values.
    pub fn image(&mut self, width: usize) -> [usize; 3] {
        let (channels, height) = (1 + self.below(3), 1 + self.below(4));
        let rest = if self.byte() > 240 { self.count() } else { width / (channels * height) };
        [channels, height, rest]
    }

    /// A tape of a few operations on `n` inputs: a chain in most cases, attention now and then.
    pub fn network<T: Scalar>(&mut self, n: usize) -> Network<T> {
        let mut network = Network::new(n);
        if self.byte() > 200 {
            let _ = attention(self, &mut network);
        }
        for _ in 0..self.below(7) {
            let last = network.output();
            let Ok(op) = network.width(last).and_then(|width| self.op(width)) else { continue };
            let pair = matches!(op, Op::Scores(_) | Op::Mix(_) | Op::Add | Op::Multiply);
            let mut inputs = vec![last; if pair { 2 } else { 1 }];
            if pair || self.byte() > 240 {
                inputs[0] = self.from(network.nodes().len());
            }
            let mut longer = network.clone();
            if longer.node(op, &inputs).is_ok_and(|node| longer.width(node).is_ok_and(|width| width <= MAX_VALUES)) {
                network = longer;
            }
        }
        network.with_relu_rule(self.pick(&[ReluRule::Derivative, ReluRule::Guided, ReluRule::Deconvolution]))
    }

    pub fn from(&mut self, nodes: usize) -> From {
        match self.index(nodes + 1) {
            0 => From::Input,
            node => From::Node(node - 1),
        }
    }
}

/// Queries, keys and values of the input itself, mixed; what does not fit is left out.
fn attention<T: Scalar>(source: &mut Source<'_>, network: &mut Network<T>) -> Result<(), Error> {
    let (heads, tokens) = (source.side(), source.side());
    let scores = network.node(
        Op::Scores(Scores::new(heads, tokens, T::of(source.setting()), source.flag())?),
        &[From::Input, From::Input],
    )?;
    let weights = network.node(Op::Softmax(Softmax { part: Some(tokens) }), &[scores])?;
    let mixed = network.node(Op::Mix(Mix::new(heads, tokens)?), &[weights, From::Input])?;
    network.node(Op::Add, &[From::Input, mixed])?;
    Ok(())
}

/// An operation that does not keep its word.
#[derive(Debug)]
struct Odd {
    width: usize,
    gradients: usize,
    linear: bool,
}

impl<T: Scalar> Operation<T> for Odd {
    fn width(&self, _inputs: &[usize]) -> Result<usize, Error> {
        Ok(self.width)
    }

    fn forward(&self, inputs: &[&ArrayRef2<T>], out: &mut ArrayRef2<T>) -> Result<(), Error> {
        out.fill(inputs.first().and_then(|x| x.first()).copied().unwrap_or(T::one()));
        Ok(())
    }

    fn vjp(&self, inputs: &[&ArrayRef2<T>], _: &ArrayRef2<T>, g: &ArrayRef2<T>) -> Result<Vec<Array2<T>>, Error> {
        let fitting = inputs.iter().map(|x| Array2::ones(x.raw_dim()));
        Ok(if self.gradients == 1 { vec![g.to_owned()] } else { fitting.skip(self.gradients / 2).collect() })
    }

    fn linear(&self) -> bool {
        self.linear
    }
}
