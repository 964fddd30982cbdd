//! Guided backpropagation and deconvolution: gradients with another rule at every ReLU.
//!
//! ```text
//! derivative       g 1[z > 0]
//! deconvolution    max(g, 0)
//! guided           max(g, 0) 1[z > 0]
//! ```
//!
//! All other operations pass back their derivative. Both need the operations of the model and so run on the reference
//! [`Network`]. They show what a unit looks for rather than why the output is what it is.
//!
//! Source: Springenberg et al., "Striving for Simplicity" (arXiv 1412.6806), section 3.4; Zeiler and Fergus, "Visualizing
//! and Understanding Convolutional Networks" (arXiv 1311.2901), section 2.1.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::Saliency;
use crate::attribution::model::Cotangent;
use crate::attribution::network::{Node, Op, Source, Trace};
use crate::attribution::{Attribution, Differentiable, Explained, Explainer, Forward, Layers, Network, Target};
use crate::error::check_shape;
use crate::math::pointwise::Activation;
use crate::{Error, Result, Scalar};

/// What a ReLU with input `z` passes back of `g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReluRule {
    /// `max(g, 0)` where `z > 0`.
    Guided,
    /// `max(g, 0)`.
    Deconvolution,
}

/// A network whose ReLUs pass back what a [`ReluRule`] says: other methods on it become guided ones.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::gradient::{ReluRule, ReluRuled};
/// use limpid::attribution::layer::{Neuron, NeuronGradient};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // guided backpropagation from a hidden unit
/// let model = Network::new(2).activation(Activation::Relu)?.linear(array![[1.0, -1.0]], None)?;
/// let mut guided = ReluRuled::new(&model, ReluRule::Guided);
/// let found = NeuronGradient::of(1, Neuron::Unit(0)).attribute(&mut guided, &array![[3.0, 4.0]])?;
/// assert_eq!(found.values, array![[1.0, 0.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ReluRuled<'a, T> {
    network: &'a Network<T>,
    rule: ReluRule,
    trace: Trace<T>,
}

impl<'a, T: Scalar> ReluRuled<'a, T> {
    /// The network with the rule at every ReLU.
    #[must_use]
    pub fn new(network: &'a Network<T>, rule: ReluRule) -> Self {
        Self { network, rule, trace: Trace::default() }
    }

    /// What `from` passes back to `to`, starting with what the cotangent says of its value, which goes to `out`.
    fn pull_back(
        &self,
        (from, to): (Source, Source),
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        assign(out, self.trace.value(from))?;
        let mut seed = Array2::zeros(out.raw_dim());
        cotangent(out, &mut seed);
        let found =
            self.network.pull_back(from, to, seed, |node, index, given| self.rule.vjp(node, index, &self.trace, given));
        assign(gradient, &found?)
    }
}

impl ReluRule {
    fn vjp<T: Scalar>(
        self,
        node: &Node<T>,
        index: usize,
        trace: &Trace<T>,
        given: Array2<T>,
    ) -> Result<Vec<Array2<T>>> {
        let inputs = trace.inputs(&node.inputs);
        match (&node.op, &*inputs) {
            (Op::Activation(Activation::Relu), [z]) => {
                let mut given = given;
                given.zip_mut_with(z, |g, &z| {
                    let open = self == Self::Deconvolution || z > T::zero();
                    *g = if open { g.max(T::zero()) } else { T::zero() };
                });
                Ok(alloc::vec![given])
            }
            _ => node.op.vjp(&inputs, trace.value(Source::Node(index)), given),
        }
    }
}

/// Copies into a buffer of the caller, whose shape is not taken on trust.
fn assign<T: Scalar>(to: &mut ArrayRef2<T>, from: &ArrayRef2<T>) -> Result<()> {
    check_shape("out", to, from.shape())?;
    to.assign(from);
    Ok(())
}

impl<T: Scalar> Forward<T> for ReluRuled<'_, T> {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        self.network.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.network.n_outputs()
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        self.network.run(x, None, &mut self.trace)?;
        assign(out, self.trace.value(self.network.output()))
    }
}

impl<T: Scalar> Differentiable<T> for ReluRuled<'_, T> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        self.network.run(x, None, &mut self.trace)?;
        self.pull_back((self.network.output(), Source::Input), cotangent, out, gradient)
    }
}

impl<T: Scalar> Layers<T> for ReluRuled<'_, T> {
    fn n_layers(&self) -> usize {
        self.network.n_layers()
    }

    fn layer_width(&self, layer: usize) -> Option<usize> {
        self.network.layer_width(layer)
    }

    fn layer(&mut self, layer: usize, x: &ArrayRef2<T>, h: &mut ArrayRef2<T>) -> Result<()> {
        self.network.width(Source::Node(layer))?;
        self.network.run(x, None, &mut self.trace)?;
        assign(h, self.trace.value(Source::Node(layer)))
    }

    fn forward_with(&mut self, layer: usize, x: &ArrayRef2<T>, h: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        self.network.run(x, Some((layer, h)), &mut self.trace)?;
        assign(out, self.trace.value(self.network.output()))
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
        self.network.run(x, Some((layer, h)), &mut self.trace)?;
        self.pull_back((self.network.output(), Source::Node(layer)), cotangent, out, gradient)
    }

    fn vjp_to(
        &mut self,
        layer: usize,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        h: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<()> {
        self.network.width(Source::Node(layer))?;
        self.network.run(x, None, &mut self.trace)?;
        self.pull_back((Source::Node(layer), Source::Input), cotangent, h, gradient)
    }
}

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
}

fn ruled<T: Scalar>(
    (method, rule): (&'static str, ReluRule),
    model: &Network<T>,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
) -> Explained<Attribution<T>, Error> {
    let mut found = Saliency { absolute: false }.attribute(&mut ReluRuled::new(model, rule), x, target)?;
    (found.method, found.options) = (Cow::Borrowed(method), format!("{rule:?}"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::layer::testing::{c6, smooth};
    use crate::attribution::target::Logit;
    use ndarray::array;

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
    fn bad_input_is_named() {
        let (mut model, _) = c6();
        let found = GuidedBackprop.attribute(&mut model, &array![[1.0]], &Logit::of(0));
        assert!(matches!(found, Err(crate::attribution::Failure::Input(Error::Shape { what: "x", .. }))));
        let mut ruled = ReluRuled::new(&model, ReluRule::Guided);
        let (mut h, mut gradient) = (Array2::zeros((1, 8)), Array2::zeros((1, 16)));
        assert!(ruled.vjp_to(9, &Array2::zeros((1, 16)), &mut |_, _| {}, &mut h, &mut gradient).is_err());
    }
}
