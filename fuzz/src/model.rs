//! Models that nobody should have to trust, and what they are asked about.

use limpid::attribution::model::{Cotangent, Differentiable, Forward, Layers};

use limpid::attribution::target::{
    Class, ContextInformation, ContrastLogitDifference, ContrastProbabilityDifference, CrossEntropy, Custom,
    DropoutDeviation, Entropy, InContextPvi, KlDivergence, LogProbability, Logit, Perplexity, Probability,
    SequenceLogProbability,
};
use limpid::attribution::{Baseline, Batch, Network, Target};
use limpid::math::quadrature::Rule;
use limpid::{Error, Scalar};
use ndarray::{Array1, Array2, Array3, ArrayRef2};

use crate::source::Source;

/// Most values of a row of any node, so that every call stays short.
pub const MAX_VALUES: usize = 1 << 10;

/// Rows that a model runs before it gives up: no method may need the end of a count that has none.
const MAX_ROWS: usize = 1500;

impl Source<'_> {
    /// A matrix of ordinary numbers in most cases: one odd number would stop nearly every run at the first check.
    pub fn values<T: Scalar>(&mut self, rows: usize, columns: usize) -> Array2<T> {
        if self.byte() > 245 {
            return self.matrix(rows, columns);
        }
        let rows = rows.min(MAX_VALUES / columns.max(1));
        Array2::from_shape_simple_fn((rows, columns.min(MAX_VALUES)), || self.ordinary())
    }

    pub fn row<T: Scalar>(&mut self, n: usize) -> Array1<T> {
        let n = n.min(MAX_VALUES);
        if self.byte() > 245 { self.vector(n) } else { Array1::from_shape_simple_fn(n, || self.ordinary()) }
    }

    pub fn stack<T: Scalar>(&mut self, [a, b, c]: [usize; 3]) -> Array3<T> {
        let odd = self.byte() > 245;
        let (a, b, c) = (self.near(a).min(12), self.near(b).min(12), self.near(c).min(12));
        Array3::from_shape_simple_fn((a, b, c), || if odd { self.number() } else { self.ordinary() })
    }

    pub fn ordinary<T: Scalar>(&mut self) -> T {
        T::of(f64::from(self.byte()) / 64.0 - 2.0)
    }

    /// A number of a setting that has a right range.
    pub fn setting(&mut self) -> f64 {
        if self.byte() > 230 { self.number() } else { f64::from(self.byte()) / 128.0 }
    }

    /// An index that is mostly below `n`.
    pub fn index(&mut self, n: usize) -> usize {
        if self.byte() > 240 { self.count() } else { self.below(n) }
    }

    pub fn indices(&mut self, length: usize, below: usize) -> Vec<usize> {
        (0..self.near(length)).map(|_| self.index(below)).collect()
    }

    pub fn groups(&mut self, n: usize) -> Option<Vec<usize>> {
        self.flag().then(|| {
            let groups = 1 + self.below(4);
            self.indices(n, groups)
        })
    }

    pub fn batch(&mut self) -> Batch {
        if self.flag() { Batch::Auto } else { Batch::Rows(self.count()) }
    }

    pub fn rule(&mut self) -> Rule {
        self.pick(&[Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid, Rule::CaptumTrapezoid])
    }

    pub fn baseline<T: Scalar>(&mut self, b: usize, n: usize) -> Baseline<T> {
        match self.below(4) {
            0 => Baseline::Row(self.row(n)),
            1 => Baseline::Rows(self.values(b, n)),
            _ => Baseline::Zeros,
        }
    }

    pub fn class(&mut self, b: usize, c: usize) -> Class {
        if self.flag() { Class::All(self.index(c)) } else { Class::PerRow(self.indices(b, c)) }
    }

    /// What is explained of `b` rows of `c` outputs.
    pub fn target<T: Scalar>(&mut self, b: usize, c: usize) -> Box<dyn Target<T>> {
        let target = self.class(b, c);
        match self.below(14) {
            0 => Box::new(Probability(target)),
            1 => Box::new(LogProbability(target)),
            2 => Box::new(CrossEntropy(target)),
            3 => Box::new(Perplexity(target)),
            4 => Box::new(Entropy),
            5 => {
                let reference = self.flag().then(|| self.values(b, c));
                Box::new(ContrastLogitDifference { target, contrast: self.class(b, c), reference })
            }
            6 => {
                let reference = self.flag().then(|| self.values(b, c));
                Box::new(ContrastProbabilityDifference { target, contrast: self.class(b, c), reference })
            }
            7 => Box::new(ContextInformation { target, reference: self.values(b, c) }),
            8 => Box::new(InContextPvi { target, reference: self.values(b, c) }),
            9 => {
                let reference = self.values(b, c);
                Box::new(KlDivergence {
                    top_k: self.count(),
                    top_p: self.setting(),
                    min_kept: self.count(),
                    ..KlDivergence::from(reference)
                })
            }
            10 => {
                let tokens = 1 + self.below(3);
                Box::new(SequenceLogProbability {
                    exponential: self.flag(),
                    ..SequenceLogProbability::of(self.indices(tokens, c))
                })
            }
            11 => match DropoutDeviation::new::<T>(target.clone(), &self.stack([b, 3, c])) {
                Ok(deviation) => Box::new(deviation),
                Err(_) => Box::new(Logit(target)),
            },
            12 => {
                let (value, slope) = (self.number::<T>(), self.number::<T>());
                Box::new(Custom::new(
                    move |_, z: &[T]| z.iter().fold(value, |sum, &z| sum + z * z),
                    move |_, z: &[T], gradient: &mut [T]| {
                        gradient.iter_mut().zip(z).for_each(|(g, &z)| *g = slope * z);
                    },
                ))
            }
            _ => Box::new(Logit(target)),
        }
    }
}

/// What went wrong in a [`Hostile`] model.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    Tired,
    Network,
}

impl std::convert::From<Error> for Refusal {
    fn from(_: Error) -> Self {
        Self::Network
    }
}

/// A network that may lie about its sizes, give odd numbers from some call on, and stops half-way.
#[derive(Debug)]
pub struct Hostile<T> {
    network: Network<T>,
    inputs: usize,
    outputs: usize,
    units: Option<usize>,
    rows: usize,
    odd: Option<(usize, T)>,
}

impl<T: Scalar> Hostile<T> {
    pub fn new(source: &mut Source<'_>, network: Network<T>) -> Self {
        let (inputs, outputs) = (source.near(network.n_inputs()), source.near(network.n_outputs()));
        let units = (source.byte() > 240).then(|| source.length());
        let rows = if source.byte() > 200 { usize::from(source.byte()) } else { MAX_ROWS };
        let odd = (source.byte() > 220).then(|| (usize::from(source.byte()), source.number()));
        Self { network, inputs, outputs, units, rows, odd }
    }

    /// Counts the rows of a call; now and then an output of it is replaced.
    fn call(
        &mut self,
        rows: usize,
        run: impl FnOnce(&mut Network<T>) -> Result<(), Error>,
    ) -> Result<Option<T>, Refusal> {
        self.rows = self.rows.checked_sub(rows.max(1)).ok_or(Refusal::Tired)?;
        run(&mut self.network)?;
        Ok(self.odd.filter(|&(left, _)| self.rows < left).map(|(_, value)| value))
    }
}

fn spoil<T: Scalar>(out: &mut ArrayRef2<T>, odd: Option<T>) {
    if let (Some(slot), Some(odd)) = (out.iter_mut().last(), odd) {
        *slot = odd;
    }
}

impl<T: Scalar> Forward<T> for Hostile<T> {
    type Error = Refusal;

    fn n_inputs(&self) -> usize {
        self.inputs
    }

    fn n_outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.forward(x, out))?;
        spoil(out, odd);
        Ok(())
    }
}

impl<T: Scalar> Differentiable<T> for Hostile<T> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.vjp(x, cotangent, out, gradient))?;
        spoil(gradient, odd);
        Ok(())
    }
}

impl<T: Scalar> Layers<T> for Hostile<T> {
    fn n_layers(&self) -> usize {
        self.network.n_layers()
    }

    fn layer_width(&self, layer: usize) -> Option<usize> {
        self.units.or_else(|| self.network.layer_width(layer))
    }

    fn layer(&mut self, layer: usize, x: &ArrayRef2<T>, h: &mut ArrayRef2<T>) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.layer(layer, x, h))?;
        spoil(h, odd);
        Ok(())
    }

    fn forward_with(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        h: &ArrayRef2<T>,
        out: &mut ArrayRef2<T>,
    ) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.forward_with(layer, x, h, out))?;
        spoil(out, odd);
        Ok(())
    }

    fn vjp_with(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        h: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.vjp_with(layer, x, h, cotangent, out, gradient))?;
        spoil(gradient, odd);
        Ok(())
    }

    fn vjp_to(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        h: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Refusal> {
        let odd = self.call(x.nrows(), |network| network.vjp_to(layer, x, cotangent, h, gradient))?;
        spoil(gradient, odd);
        Ok(())
    }
}
