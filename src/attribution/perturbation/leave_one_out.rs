//! Leave one out: what the output loses without each token of a text.
//!
//! ```text
//! A_t = f(x) - f(x with token t replaced)
//! ```
//!
//! A row holds its tokens one after the other, each as `width` numbers: an identifier (`width` 1) or an embedding.
//!
//! Source: Li, Monroe & Jurafsky, "Understanding Neural Networks through Representation Erasure" (arXiv 1612.08220).

use alloc::format;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::attribution::sweep::Sweep;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Forward, Target};
use crate::error::check_each;
use crate::{Dims, Error, Result, Scalar};

/// The output's loss without each token, one value per token: `(b, t)`. It costs `1 + t` rows for a text of `t` tokens.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::LeaveOneOut;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// // two tokens of two numbers, and a mask token
/// let mut model = Network::new(4).linear(array![[1.0, 2.0, 3.0, 4.0]], None)?;
/// let method = LeaveOneOut::with_mask(&array![0.5, 0.0], 2)?;
/// let found = method.attribute(&mut model, &array![[1.0, 1.0, 1.0, 1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[2.5, 5.5]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LeaveOneOut<T> {
    /// Numbers of a token.
    pub width: usize,
    /// What removed tokens become.
    pub baseline: Baseline<T>,
    /// Rows of a model call.
    pub batch: Batch,
}

impl<T> Default for LeaveOneOut<T> {
    fn default() -> Self {
        Self { width: 1, baseline: Baseline::Zeros, batch: Batch::Auto }
    }
}

impl<T: Scalar> LeaveOneOut<T> {
    /// Removed tokens become `token: (width)`, in texts of `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::Empty`] for a token without numbers.
    pub fn with_mask(token: &ArrayRef1<T>, tokens: usize) -> Result<Self> {
        crate::error::check_not_empty("token", token)?;
        let baseline = (0..tokens).flat_map(|_| token.iter().copied()).collect::<Array1<T>>();
        Ok(Self { width: token.len(), baseline: Baseline::Row(baseline), batch: Batch::Auto })
    }
}

/// Number of tokens of `width` numbers in a row of `n`.
pub(crate) fn tokens(n: usize, width: usize) -> Result<usize> {
    check_each("width", &[width as f64], ">= 1", |width: f64| width >= 1.0)?;
    if n.is_multiple_of(width) {
        return Ok(n / width);
    }
    Err(Error::Shape { what: "tokens", expected: Dims::new(&[n / width, width]), got: Dims::new(&[n]) })
}

impl<T: Scalar, M: Forward<T> + ?Sized> Explainer<T, M> for LeaveOneOut<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut sweep = Sweep::new(model, x, target, self.batch)?;
        let ((rows, n), width) = (x.dim(), self.width);
        let (tokens, baseline) = (tokens(n, width)?, self.baseline.rows(x)?);
        let output = sweep.unchanged()?;
        let mut values = Array2::zeros((rows, tokens));
        sweep.run(
            (0..rows).flat_map(|row| (0..tokens).map(move |token| (row, token))),
            |row, token, changed| {
                let features = token * width..(token + 1) * width;
                let baseline = baseline.row(row);
                features.for_each(|feature| changed[feature] = baseline[feature]);
            },
            |row, token, value, _| values[[row, token]] = output[row] - value,
        )?;
        let mut result = Attribution::new("leave_one_out", format!("{self:?}"), values, output);
        result.evaluations = sweep.evaluations();
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{failed_input, is_batch_invariant};
    use super::*;
    use crate::attribution::Network;
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn tokens_of_a_sigmoid() {
        let net = Network::<f64>::new(4).linear(array![[2.0, -1.0, 0.5, 1.0]], Some(array![-0.5])).unwrap();
        let mut model = net.activation(Activation::Sigmoid).unwrap();
        let x = array![[1.0, 1.0, 1.0, 1.0]];
        let found = LeaveOneOut::default().attribute(&mut model, &x, &Logit::of(0)).unwrap();
        let expected = array![[0.380_797_08, -0.071_777_05, 0.063_222_60, 0.149_738_50]];
        assert_relative_eq!(found.values, expected, epsilon = 1e-8);
        assert_eq!(found.evaluations.forward, 5);
    }

    #[test]
    fn results_do_not_depend_on_the_batch() {
        is_batch_invariant(|batch| LeaveOneOut { width: 2, batch, ..LeaveOneOut::default() });
    }

    #[test]
    fn tokens_must_fit() {
        let failed = |width: usize| failed_input(&LeaveOneOut { width, ..LeaveOneOut::default() });
        assert!(matches!(failed(0), Error::OutOfRange { what: "width", .. }));
        assert!(matches!(failed(2), Error::Shape { what: "tokens", .. }));
        assert!(LeaveOneOut::<f64>::with_mask(&array![], 3).is_err());
    }
}
