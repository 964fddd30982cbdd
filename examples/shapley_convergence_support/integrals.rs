//! Integrated gradients by rule and to a tolerance: error against evaluations with gradient.

use limpid::Seed;
use limpid::attribution::gradient::{AdaptiveIntegratedGradients, IntegratedGradients};
use limpid::attribution::target::Logit;
use limpid::attribution::{Attribution, Explainer, Network};
use limpid::math::pointwise::Activation;
use limpid::math::quadrature::Rule;
use ndarray::Array2;

use super::Outcome;
use super::games::{perceptron, weights};
use crate::support::figure::Curve;

const INPUTS: usize = 16;
const ROWS: usize = 20;

/// The rules that Captum has: four sums and Gauss-Legendre.
pub const RULES: [(&str, Rule); 5] = [
    ("left", Rule::Left),
    ("right", Rule::Right),
    ("middle", Rule::Middle),
    ("trapezoid of Captum", Rule::CaptumTrapezoid),
    ("Gauss-Legendre", Rule::GaussLegendre),
];

/// A network and inputs, with their integrated gradients as exact as they come.
pub struct Integrals {
    pub name: &'static str,
    model: Network<f64>,
    x: Array2<f64>,
    exact: Array2<f64>,
}

impl Integrals {
    pub fn new(name: &'static str, activation: Activation, seed: Seed) -> Outcome<Self> {
        let mut model = perceptron(INPUTS, &[32, 32], activation, seed.child(4, 0))?;
        let x = weights(ROWS, INPUTS, 4.0, seed.child(5, 0));
        let best = AdaptiveIntegratedGradients {
            absolute_tolerance: 1e-11,
            relative_tolerance: 0.0,
            max_evaluations: 100_000,
            ..AdaptiveIntegratedGradients::default()
        };
        let exact = best.attribute(&mut model, &x, &Logit::of(0))?.values;
        Ok(Self { name, model, x, exact })
    }

    /// Evaluations per row, and the mean over rows of `Σ_i |A_i - exact|`.
    fn judge(&self, found: &Attribution<f64>) -> (f64, f64) {
        let error = (&found.values - &self.exact).mapv(f64::abs).sum() / ROWS as f64;
        (found.evaluations.gradient as f64 / ROWS as f64, error.max(1e-16))
    }

    /// A rule with growing numbers of steps.
    pub fn rule(&mut self, rule: Rule, steps: &[usize]) -> Outcome<Curve> {
        let run = |&steps: &usize| {
            let method = IntegratedGradients { steps, rule, ..IntegratedGradients::default() };
            let found = method.attribute(&mut self.model, &self.x, &Logit::of(0))?;
            Ok((found, steps))
        };
        let all: Vec<_> = steps.iter().map(run).collect::<Outcome<_>>()?;
        Ok(all.iter().map(|(found, steps)| (*steps as f64, self.judge(found).1)).collect())
    }

    /// Tolerances from coarse to fine.
    pub fn adaptive(&mut self, tolerances: &[f64]) -> Outcome<Curve> {
        let run = |&tolerance: &f64| {
            let method = AdaptiveIntegratedGradients {
                absolute_tolerance: tolerance,
                relative_tolerance: 0.0,
                ..AdaptiveIntegratedGradients::default()
            };
            Ok(method.attribute(&mut self.model, &self.x, &Logit::of(0))?)
        };
        let all: Vec<_> = tolerances.iter().map(run).collect::<Outcome<_>>()?;
        Ok(all.iter().map(|found| self.judge(found)).collect())
    }
}
