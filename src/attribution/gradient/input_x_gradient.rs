//! Input times gradient: the first-order estimate of what each input contributes.
//!
//! ```text
//! A_i = x_i ∂f/∂x_i
//! ```
//!
//! For networks of linear maps without biases and ReLU, the sum is the output itself; with biases it is not.
//!
//! Source: Shrikumar et al., "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences"
//! (arXiv 1605.01713).

use alloc::format;

use ndarray::{Array2, ArrayRef2};

use super::one_pass::one_pass;
use crate::Scalar;
use crate::attribution::{Attribution, Differentiable, Explained, Explainer, Target};

/// The gradient of the target times the input.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::InputXGradient;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let found = InputXGradient.attribute(&mut model, &array![[2.0, 0.5]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[6.0, -2.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InputXGradient;

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for InputXGradient {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let times_input = |gradient: &mut Array2<T>| gradient.zip_mut_with(x, |g, &x| *g *= x);
        one_pass(("input_x_gradient", format!("{self:?}")), model, x, target, times_input)
    }

    fn is_per_row(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Network;
    use crate::attribution::target::Logit;
    use crate::math::pointwise::Activation;
    use ndarray::array;

    #[test]
    fn without_biases_it_is_complete_and_with_them_it_is_not() {
        let net = |bias| {
            let net = Network::<f64>::new(2).linear(array![[1.0, 2.0], [-1.0, 1.0]], bias).unwrap();
            net.activation(Activation::Relu).unwrap().linear(array![[2.0, -3.0]], None).unwrap()
        };
        let explain = |bias| InputXGradient.attribute(&mut net(bias), &array![[1.0, 3.0]], &Logit::of(0)).unwrap();
        // 2 (x + 2y) - 3 (y - x) = 5x + y
        let plain = explain(None);
        assert_eq!((plain.values, plain.output_value), (array![[5.0, 3.0]], array![8.0]));
        let biased = explain(Some(array![1.0, 0.0]));
        assert_eq!((biased.values.sum(), biased.output_value), (8.0, array![10.0]));
    }
}
