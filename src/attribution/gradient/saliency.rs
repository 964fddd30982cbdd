//! Saliency: how much the output moves with each input.
//!
//! ```text
//! A_i = |∂f/∂x_i|        or with its sign
//! ```
//!
//! Source: Simonyan et al., "Deep Inside Convolutional Networks" (arXiv 1312.6034).

use alloc::format;

use ndarray::ArrayRef2;

use super::one_pass::one_pass;
use crate::Scalar;
use crate::attribution::{Attribution, Differentiable, Explained, Explainer, Target};

/// The gradient of the target.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let found = Saliency::default().attribute(&mut model, &array![[1.0, 1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[3.0, 4.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Saliency {
    /// Whether the sign is dropped.
    pub absolute: bool,
}

impl Default for Saliency {
    fn default() -> Self {
        Self { absolute: true }
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for Saliency {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        one_pass(("saliency", format!("{self:?}")), model, x, target, |gradient| {
            if self.absolute {
                gradient.mapv_inplace(T::abs);
            }
        })
    }

    fn is_per_row(&self) -> bool {
        false
    }

    fn gives_slopes(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::{Array2, array};

    #[test]
    fn a_kink_has_no_slope() {
        // 1 - relu(1 - x), whose relu has the derivative 0 at x = 1
        let mut model = Network::<f64>::new(1).linear(array![[-1.0]], Some(array![1.0])).unwrap();
        model = model.activation(Activation::Relu).unwrap().linear(array![[-1.0]], Some(array![1.0])).unwrap();
        let x = array![[1.0], [2.0], [3.0], [0.0], [-1.0], [7.0]];
        let found = Saliency { absolute: false }.attribute(&mut model, &x, &Logit::of(0)).unwrap();
        assert_eq!(found.values.column(0), array![0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!((found.evaluations.gradient, found.output_value[1]), (6, 1.0));
    }

    #[test]
    fn bad_input_is_named() {
        let mut model = Network::<f64>::new(2).linear(array![[1.0, 1.0]], None).unwrap();
        let mut explain =
            |x: Array2<f64>, class: usize| Saliency::default().attribute(&mut model, &x, &Logit::of(class)).map(|_| ());
        assert!(matches!(explain(array![[1.0]], 0), Err(Failure::Input(crate::Error::Shape { what: "x", .. }))));
        assert!(matches!(explain(Array2::zeros((0, 2)), 0), Err(Failure::Input(crate::Error::Empty { .. }))));
        assert!(matches!(explain(array![[1.0, 1.0]], 1), Err(Failure::Input(crate::Error::OutOfRange { .. }))));
        let huge = array![[f64::MAX, f64::MAX]];
        assert!(matches!(explain(huge, 0), Err(Failure::NotFinite { what: "output", call: 0, row: 0, column: 0 })));
    }
}
