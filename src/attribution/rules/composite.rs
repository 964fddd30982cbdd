//! Composites: a rule for each linear layer by its kind and place.
//!
//! | composite | first layer | convolutions | dense layers |
//! |---|---|---|---|
//! | [`epsilon_plus`] | as the others | z⁺ | epsilon |
//! | [`epsilon_plus_flat`] | flat | z⁺ | epsilon |
//! | [`epsilon_alpha2_beta1`] | as the others | alpha 2, beta 1 | epsilon |
//! | [`epsilon_gamma_box`] | box | gamma | epsilon |
//!
//! Source: Kohlbrenner et al., "Towards Best Practice in Explaining Neural Network Decisions with LRP" (arXiv 1910.09840).

use alloc::vec::Vec;

use super::lrp::LrpRule;
use crate::Scalar;
use crate::attribution::network::{Network, Op};

const EPSILON: f64 = 1e-6;

/// Epsilon in dense layers, z⁺ in convolutions.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::rules::{Lrp, LrpRule, epsilon_plus_flat};
/// use ndarray::array;
///
/// let model = Network::new(1).linear(array![[1.0]], None)?.linear(array![[2.0]], None)?;
/// let lrp = Lrp { rules: epsilon_plus_flat(&model), ..Lrp::default() };
/// assert_eq!(lrp.rules[0], Some(LrpRule::Flat));
/// # Ok::<(), limpid::Error>(())
/// ```
#[must_use]
pub fn epsilon_plus<T: Scalar>(network: &Network<T>) -> Vec<Option<LrpRule>> {
    composite(network, None, LrpRule::Alpha1Beta0 { epsilon: EPSILON, zero_bias: true })
}

/// As [`epsilon_plus`], flat in the first layer.
#[must_use]
pub fn epsilon_plus_flat<T: Scalar>(network: &Network<T>) -> Vec<Option<LrpRule>> {
    composite(network, Some(LrpRule::Flat), LrpRule::Alpha1Beta0 { epsilon: EPSILON, zero_bias: true })
}

/// Epsilon in dense layers, alpha 2 and beta 1 in convolutions.
#[must_use]
pub fn epsilon_alpha2_beta1<T: Scalar>(network: &Network<T>) -> Vec<Option<LrpRule>> {
    composite(network, None, LrpRule::AlphaBeta { alpha: 2.0, beta: 1.0, epsilon: EPSILON })
}

/// Box in the first layer, for inputs in `[low, high]`; gamma ¼ in convolutions, epsilon in dense layers.
#[must_use]
pub fn epsilon_gamma_box<T: Scalar>(network: &Network<T>, low: f64, high: f64) -> Vec<Option<LrpRule>> {
    let gamma = LrpRule::Gamma { gamma: 0.25, epsilon: EPSILON, zero_bias: false };
    composite(network, Some(LrpRule::Box { low, high, epsilon: EPSILON }), gamma)
}

fn composite<T: Scalar>(network: &Network<T>, first: Option<LrpRule>, convolution: LrpRule) -> Vec<Option<LrpRule>> {
    let mut first = first;
    let rule = |op: &Op<T>| match op {
        Op::Linear(_) => Some(first.take().unwrap_or(LrpRule::Epsilon { epsilon: EPSILON })),
        Op::Conv2d(_) => Some(first.take().unwrap_or(convolution)),
        _ => None,
    };
    network.nodes().iter().map(|node| &node.op).map(rule).collect()
}
