//! Guided backpropagation and deconvolution: gradients with another rule at every ReLU.
//!
//! ```text
//! derivative       g 1[z > 0]
//! deconvolution    max(g, 0)
//! guided           max(g, 0) 1[z > 0]
//! ```
//!
//! All other operations pass back their derivative. Both need the operations of the model and so run on the reference
//! [`Network`]; with [`Network::with_relu_rule`] any method on it becomes a guided one. They show what
//! a unit looks for rather than why the output is what it is.
//!
//! Source: Springenberg et al., "Striving for Simplicity" (arXiv 1412.6806); Zeiler and Fergus, "Visualizing
//! and Understanding Convolutional Networks" (arXiv 1311.2901).

use alloc::format;

use ndarray::ArrayRef2;

use super::one_pass::one_pass;
use crate::attribution::network::ReluRule;
use crate::attribution::{Attribution, Explained, Explainer, Network, Target};
use crate::{Error, Scalar};

/// Guided backpropagation.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::{Deconvolution, GuidedBackprop};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let model = Network::new(3).activation(Activation::Relu)?;
/// let mut model = model.linear(array![[1.0, -1.0, 1.0]], None)?;
/// let x = array![[2.0, 2.0, -2.0]];
/// let found = GuidedBackprop.attribute(&mut model, &x, &Logit::of(0))?;
/// assert_eq!(found.values, array![[1.0, 0.0, 0.0]]);
/// let found = Deconvolution.attribute(&mut model, &x, &Logit::of(0))?;
/// assert_eq!(found.values, array![[1.0, 0.0, 1.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuidedBackprop;

/// Deconvolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deconvolution;

impl<T: Scalar> Explainer<T, Network<T>> for GuidedBackprop {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        ruled(("guided_backprop", ReluRule::Guided), model, x, target)
    }

    fn is_per_row(&self) -> bool {
        false
    }

    fn gives_slopes(&self) -> bool {
        true
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for Deconvolution {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        ruled(("deconvolution", ReluRule::Deconvolution), model, x, target)
    }

    fn is_per_row(&self) -> bool {
        false
    }

    fn gives_slopes(&self) -> bool {
        true
    }
}

fn ruled<T: Scalar>(
    (method, rule): (&'static str, ReluRule),
    model: &mut Network<T>,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
) -> Explained<Attribution<T>, Error> {
    let own = model.set_relu_rule(rule);
    let found = one_pass((method, format!("{rule:?}")), model, x, target, |_| {});
    model.set_relu_rule(own);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Layers;
    use crate::attribution::gradient::Saliency;
    use crate::attribution::layer::testing::{c6, smooth};
    use crate::attribution::target::Logit;
    use ndarray::{Array2, array};

    fn explain(method: &impl Explainer<f64, Network<f64>>) -> Array2<f64> {
        let (mut model, image) = c6();
        let found = method.attribute(&mut model, &image, &Logit::of(0)).unwrap();
        assert_eq!((found.output_value[0], found.evaluations.gradient), (54.0, 1));
        found.values.into_shape_with_order((4, 4)).unwrap()
    }

    #[test]
    fn an_image_by_hand() {
        let guided = array![[0.0, 1.0, 1.0, 1.0], [1.0, 3.0, 3.0, 2.0], [1.0, 3.0, 3.0, 2.0], [1.0, 2.0, 2.0, 1.0]];
        assert_eq!(explain(&GuidedBackprop), guided);
        let open = array![[2.0, 3.0, 3.0, 1.0], [3.0, 5.0, 5.0, 2.0], [3.0, 5.0, 5.0, 2.0], [1.0, 2.0, 2.0, 1.0]];
        assert_eq!(explain(&Deconvolution), open);
        let plain = array![[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]];
        assert_eq!(explain(&Saliency { absolute: false }), plain);
    }

    #[test]
    fn without_a_relu_it_is_the_gradient() {
        let (mut model, x) = smooth();
        let plain = Saliency { absolute: false }.attribute(&mut model, &x, &Logit::of(1)).unwrap().values;
        assert_eq!(GuidedBackprop.attribute(&mut model, &x, &Logit::of(1)).unwrap().values, plain);
        assert_eq!(Deconvolution.attribute(&mut model, &x, &Logit::of(1)).unwrap().values, plain);
    }

    #[test]
    fn the_network_keeps_its_own_rule() {
        let (mut model, image) = c6();
        let before = Saliency { absolute: false }.attribute(&mut model, &image, &Logit::of(0)).unwrap();
        GuidedBackprop.attribute(&mut model, &image, &Logit::of(0)).unwrap();
        assert!(GuidedBackprop.attribute(&mut model, &array![[1.0]], &Logit::of(0)).is_err());
        assert_eq!(Saliency { absolute: false }.attribute(&mut model, &image, &Logit::of(0)).unwrap(), before);
    }

    #[test]
    fn bad_input_is_named() {
        let (mut model, _) = c6();
        let found = GuidedBackprop.attribute(&mut model, &array![[1.0]], &Logit::of(0));
        assert!(matches!(found, Err(crate::attribution::Failure::Input(Error::Shape { what: "x", .. }))));
        let mut ruled = model.with_relu_rule(ReluRule::Guided);
        let (mut h, mut gradient) = (Array2::zeros((1, 8)), Array2::zeros((1, 16)));
        assert!(ruled.vjp_to(9, &Array2::zeros((1, 16)), &mut |_, _| {}, &mut h, &mut gradient).is_err());
    }
}
