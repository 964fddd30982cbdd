//! Sequential integrated gradients: every token is moved on its own, from its baseline to its embedding, while the others stay.
//!
//! ```text
//! b⁽ʲ⁾ = x with token j replaced by its baseline
//! A_i = (x_i - b_i) ∫_0^1 ∂f/∂x_i (b⁽ʲ⁾ + α (x - b⁽ʲ⁾)) dα        i among the features of token j
//! ```
//!
//! The values of token `j` sum to `f(x) - f(b⁽ʲ⁾)`; there is no completeness over all tokens.
//!
//! Source: Enguehard, "Sequential Integrated Gradients: a simple but effective method for explaining language models"
//! (arXiv 2305.15853).

use alloc::format;

use ndarray::{Array2, ArrayRef2};

use super::integrated_gradients::scaled;
use super::walk::{Walk, copy};
use crate::attribution::baseline::BaselineRows;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::math::quadrature::Rule;
use crate::{Dims, Error, Result, Scalar};

/// Integrated gradients of one token at a time: `steps` evaluations with gradient per row and token.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::SequentialIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// // two tokens of two features
/// let mut model = Network::new(4).linear(array![[1.0, 2.0, -1.0, 0.0]], None)?;
/// let method = SequentialIntegratedGradients::new(2);
/// let found = method.attribute(&mut model, &array![[1.0, 1.0, 3.0, 5.0]], &Logit::of(0))?;
/// assert!((&found.values - array![[1.0, 2.0, -3.0, 0.0]]).iter().all(|error: &f64| error.abs() < 1e-12));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct SequentialIntegratedGradients<T> {
    /// Features of a token.
    pub width: usize,
    /// Where every token starts from, such as the embedding of a mask token.
    pub baseline: Baseline<T>,
    /// How each integral is approximated.
    pub rule: Rule,
    /// Points of the rule, for each token.
    pub steps: usize,
    /// Whether mean gradients are multiplied by `x - b`.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> SequentialIntegratedGradients<T> {
    /// For tokens of `width` features, from zeros, with 50 Gauss-Legendre points.
    #[must_use]
    pub fn new(width: usize) -> Self {
        let (baseline, rule, batch) = (Baseline::Zeros, Rule::GaussLegendre, Batch::Auto);
        Self { width, baseline, rule, steps: 50, multiply_by_inputs: true, batch }
    }

    fn tokens(&self, n: usize) -> Result<usize> {
        if self.width > 0 && n.is_multiple_of(self.width) {
            return Ok(n / self.width);
        }
        Err(Error::Shape { what: "tokens of a row", expected: Dims::new(&[self.width]), got: Dims::new(&[n]) })
    }
}

impl<T: Scalar> SequentialIntegratedGradients<T> {
    /// Writes `x` with token `token` on its way from its baseline.
    fn place(&self, token: usize, alpha: f64, row: usize, x: &ArrayRef2<T>, from: &BaselineRows<'_, T>, to: &mut [T]) {
        copy(to, x.row(row));
        let (start, baseline) = (token * self.width, from.row(row));
        for (i, to) in to.iter_mut().enumerate().skip(start).take(self.width) {
            *to = baseline[i] + T::of(alpha) * (*to - baseline[i]);
        }
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for SequentialIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let (tokens, baselines) = (self.tokens(x.ncols())?, self.baseline.rows(x)?);
        let nodes = self.rule.nodes::<f64>(self.steps)?;
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let output = walk.outputs(&mut probe, x)?;
        let mut means = Array2::<f64>::zeros(x.raw_dim());
        let steps = |row| (0..tokens).flat_map(move |token| (0..self.steps).map(move |step| (row, token, step)));
        walk.gradients(
            &mut probe,
            (0..x.nrows()).flat_map(steps),
            |(row, _, _)| row,
            |(row, token, step), point| self.place(token, nodes.points[step], row, x, &baselines, point),
            |(row, token, step), _, gradient| {
                let own = means.row_mut(row).into_iter().zip(gradient).skip(token * self.width).take(self.width);
                own.for_each(|(mean, g)| *mean += nodes.weights[step] * g.as_f64());
            },
        )?;
        let values = scaled(&means, x, &baselines, self.multiply_by_inputs);
        let mut result = Attribution::new("sequential_integrated_gradients", format!("{self:?}"), values, output);
        result.status = Status::Finished;
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::IntegratedGradients;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    #[test]
    fn each_token_is_integrated_gradients_with_the_others_kept() {
        let mut model = Network::<f64>::new(4).linear(array![[1.0, -2.0, 0.5, 1.5]], None).unwrap();
        model = model.activation(Activation::Tanh).unwrap();
        let x = array![[0.5, 0.2, -0.4, 0.9], [1.0, 1.0, 0.3, -0.2]];
        let explain = |batch| SequentialIntegratedGradients {
            batch,
            baseline: array![0.1, 0.0, 0.2, -0.1].into(),
            ..SequentialIntegratedGradients::new(2)
        };
        let found = explain(Batch::Auto).attribute(&mut model, &x, &Logit::of(0)).unwrap();
        for token in 0..2 {
            let mut baseline = x.clone();
            for i in 2 * token..2 * token + 2 {
                baseline.column_mut(i).fill([0.1, 0.0, 0.2, -0.1][i]);
            }
            let plain = IntegratedGradients { baseline: baseline.into(), ..Default::default() };
            let plain = plain.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
            for i in 2 * token..2 * token + 2 {
                assert!((&found.values.column(i) - &plain.column(i)).iter().all(|error| error.abs() < 1e-14));
            }
        }
        assert_eq!(found.evaluations.gradient, 2 * 2 * 50);
        for batch in [Batch::Rows(1), Batch::Rows(3)] {
            assert_eq!(explain(batch).attribute(&mut model, &x, &Logit::of(0)).unwrap().values, found.values);
        }
    }

    #[test]
    fn tokens_must_fill_the_row() {
        let mut model = Network::<f64>::new(3).linear(array![[1.0, 1.0, 1.0]], None).unwrap();
        let mut explain = |width| {
            SequentialIntegratedGradients::new(width).attribute(&mut model, &array![[1.0, 2.0, 3.0]], &Logit::of(0))
        };
        assert!(matches!(explain(2), Err(Failure::Input(Error::Shape { what: "tokens of a row", .. }))));
        assert!(matches!(explain(0), Err(Failure::Input(Error::Shape { .. }))));
    }
}
