//! AttnLRP: relevance through attention.
//!
//! ```text
//! softmax y = softmax x       R_x = x ⊙ (R_y - y Σ R_y)
//! product O = A B             R_A = A ⊙ (R_O/(2 O + ε) Bᵀ),  R_B likewise
//! elementwise product         half to each factor
//! sum, linear                 in proportion, with ε
//! normalisation, activation   unchanged
//! ```
//!
//! Source: Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers" (arXiv 2402.05602).
//! Attention weights held constant: Ali et al., "XAI for Transformers" (arXiv 2202.07304).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::lrp::{Lrp, LrpRule, divided};
use crate::attribution::network::{Network, Op, Softmax};
use crate::attribution::{Attribution, Batch, Explained, Explainer, Target};
use crate::{Error, Result, Scalar};

/// Stabiliser of products and sums.
pub(super) const EPSILON: f64 = 1e-9;

/// What a softmax does with relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SoftmaxRule {
    /// The first-order expansion at the input.
    #[default]
    Expansion,
    /// Attention weights are constants: their relevance ends there.
    Constant,
}

/// Relevance propagation for transformers: [`Lrp`] with the epsilon rule in every linear layer.
///
/// # Example
/// ```
/// use limpid::attribution::network::{Network, Op, Source};
/// use limpid::attribution::rules::AttnLrp;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::Explainer;
/// use ndarray::array;
///
/// // x₁ x₂ as the product of two linear maps
/// let mut model = Network::new(2);
/// let maps = [array![[1.0, 0.0]], array![[0.0, 1.0]]].map(limpid::attribution::network::Linear::from_weight);
/// let mut nodes = Vec::new();
/// for map in maps {
///     nodes.push(model.node(Op::Linear(map?), &[Source::Input])?);
/// }
/// model.node(Op::Multiply, &nodes)?;
/// let found = AttnLrp::default().attribute(&mut model, &array![[2.0, 3.0]], &Logit::of(0))?;
/// assert!(found.values.iter().all(|r: &f64| (r - 3.0).abs() < 1e-6));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttnLrp {
    /// Stabiliser of linear layers.
    pub epsilon: f64,
    /// Softmax inside of the network.
    pub softmax: SoftmaxRule,
    /// Rows of one run.
    pub batch: Batch,
}

impl Default for AttnLrp {
    fn default() -> Self {
        Self { epsilon: EPSILON, softmax: SoftmaxRule::Expansion, batch: Batch::Auto }
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for AttnLrp {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        let default = LrpRule::Epsilon { epsilon: self.epsilon };
        let lrp = Lrp { rules: Vec::new(), default, softmax: self.softmax, batch: self.batch };
        let mut result = lrp.attribute(model, x, target)?;
        result.method = Cow::Borrowed("attn_lrp");
        Ok(result)
    }
}

pub(super) fn softmax<T: Scalar>(
    rule: SoftmaxRule,
    op: Softmax,
    x: &ArrayRef2<T>,
    y: &ArrayRef2<T>,
    relevance: &Array2<T>,
) -> Array2<T> {
    let mut out = relevance.clone();
    if rule == SoftmaxRule::Constant {
        out.fill(T::zero());
        return out;
    }
    let part = op.part.unwrap_or(x.ncols()).max(1);
    for ((x, y), mut out) in x.rows().into_iter().zip(y.rows()).zip(out.rows_mut()) {
        for (start, mut out) in (0..).step_by(part).zip(out.exact_chunks_mut(part)) {
            let sum = out.sum();
            for (offset, r) in out.iter_mut().enumerate() {
                let (x, y) = (x[start + offset], y[start + offset]);
                // a weight of 0, such as a masked one, neither has nor gets relevance
                *r = if y == T::zero() { T::zero() } else { x * (*r - y * sum) };
            }
        }
    }
    out
}

/// In proportion to what each input contributes: `R_i = a_i (Jᵀ R/(z + ε))_i`, a product counted half for each factor.
pub(super) fn proportional<T: Scalar>(
    op: &Op<T>,
    inputs: &[&ArrayRef2<T>],
    output: &ArrayRef2<T>,
    relevance: &ArrayRef2<T>,
    epsilon: T,
) -> Result<Vec<Array2<T>>> {
    let product = matches!(op, Op::Multiply | Op::Scores(_) | Op::Mix(_));
    let half = if product { T::of(0.5) } else { T::one() };
    let s = divided(relevance, output, epsilon).mapv_into(|s| half * s);
    let mut shares = op.vjp(inputs, output, s)?;
    for (share, input) in shares.iter_mut().zip(inputs) {
        share.zip_mut_with(input, |g, &a| *g *= a);
    }
    Ok(shares)
}
