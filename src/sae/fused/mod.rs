//! A training step whose cost follows the active latents: pre-activations are never stored, and neither are gradients.
//!
//! ```text
//! select    x̄ W_enc in tiles; each row keeps its best latents while the tiles pass by (and its best dead ones)
//! decode    x' = b_dec + Σ f_i w_dec_i,  G = ∂L/∂x',  ∂L/∂f_i = G · w_dec_i        per sample, over its active latents
//! latents   the samples of each latent, ascending: ∂L/∂w_dec_i = Σ f G,  ∂L/∂w_enc_i = Σ ∂L/∂z x̄,  then projection,
//!           Adam and renormalisation of the one row, which one thread owns
//! ```
//!
//! Sums run in an order that depends on neither threads nor tiles: the same bits for any number of threads, and the floats
//! of [`loss_and_gradient`](super::loss_and_gradient) up to rounding.
//!
//! Source: the division of work is that of Gao et al. (arXiv 2406.04093), section 3 and appendix on kernels.

mod candidates;
mod decode;
pub(super) mod dense;
mod latents;
mod rows;
mod select;

pub(crate) use rows::{add_rows, dot};

use alloc::sync::Arc;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use super::activation::Activation;
use super::aux::centred_squares;
use super::backward::LossTerms;
use super::codes::Codes;
use super::loss::{Loss, ReconstructionLoss, Sparsity};
use super::model::Sae;
use super::train::{Moments, SaeTraining};
use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::aligned::Aligned;
use crate::math::gemm::Packed;
use crate::math::optim::AdamStep;
use crate::{Error, Result, Scalar};

/// Inputs from which on packing the encoder pays.
const STREAMED_FROM: usize = 8;

/// Share of active latents above which whole matrices are faster.
const SPARSE_BELOW: f64 = 0.08;

/// Buffers that steps share; what they hold between steps changes no result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workspace<T> {
    packed: Aligned<T>,
    /// The encoder, where it does not change and was packed for good.
    encoder: Option<Arc<Packed<T>>>,
    by_output: Vec<T>,
    by_aux: Vec<T>,
    /// Features and gradients by pre-activations of the dense route, `(b, m)` each.
    features: Vec<T>,
    by_z: Vec<T>,
    /// About the lowest score that was chosen from the last batch.
    lowest: Option<T>,
}

impl<T: Scalar> Workspace<T> {
    /// For an autoencoder that does not change, whose encoder lies ready.
    pub(super) fn with_encoder(encoder: Arc<Packed<T>>) -> Self {
        Self { encoder: Some(encoder), ..Self::default() }
    }
}

impl<T> PartialEq for Workspace<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a step needs besides parameters and data.
#[derive(Debug)]
pub(super) struct Context<'a, T> {
    pub(super) loss: &'a Loss,
    pub(super) settings: &'a SaeTraining,
    pub(super) dead: Option<&'a [bool]>,
    pub(super) adam: AdamStep<T>,
}

/// What a step was like.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    pub(super) terms: LossTerms<T>,
    pub(super) l0: f64,
    pub(super) fired: Vec<bool>,
    pub(super) min_positive: Option<f64>,
}

/// Whether the sparse route computes this loss of this autoencoder, and can be expected to be faster; `l0` is that of the
/// step before.
pub(super) fn covers<T: Scalar>(sae: &Sae<T>, loss: &Loss, target: bool, l0: Option<f64>) -> bool {
    let sparse = |l0: f64| l0 <= SPARSE_BELOW * sae.latents() as f64;
    is_plain(sae, loss, target)
        && loss.multi_top_k.is_empty()
        && match &sae.activation {
            Activation::TopK { k, .. } => sparse(*k as f64),
            Activation::BatchTopK { k, .. } => sparse(*k),
            Activation::Relu => l0.is_some_and(sparse) && loss.aux.is_none(),
            Activation::JumpRelu { .. } => {
                l0.is_some_and(sparse) && loss.aux.is_none() && loss.straight_through.pre_activation == 0.0
            }
            _ => false,
        }
}

/// Whether an autoencoder of one dictionary and one layer predicts its own input, with a penalty that is a sum over features
/// or steps.
fn is_plain<T: Scalar>(sae: &Sae<T>, loss: &Loss, target: bool) -> bool {
    let penalty = match loss.sparsity {
        Sparsity::None | Sparsity::L0 { .. } | Sparsity::TargetL0 { .. } | Sparsity::QuadraticL0 { .. } => true,
        Sparsity::Lp { p, root, .. } => p == 1.0 && !root,
        Sparsity::Tanh { .. } => false,
    };
    penalty && sae.prefixes.is_empty() && sae.layers == 1 && sae.w_skip.is_none() && !target
}

/// One step on normalised inputs `x: (b, d)` in standard layout, which are also the target.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] for the batch; [`Error::Singular`] for a fraction of variance
/// without variance. Nothing is changed then, nor where the loss is not finite.
pub(super) fn step<T: Scalar>(
    sae: &mut Sae<T>,
    moments: &mut Moments<T>,
    context: &Context<'_, T>,
    x: &ArrayRef2<T>,
    workspace: &mut Workspace<T>,
) -> Result<Outcome<T>> {
    check_not_empty("x", x)?;
    check_shape("x", x, &[x.nrows(), sae.d_in()])?;
    check_finite("x", x)?;
    let scale = scale(context.loss, x)?;
    let centred = sae.centred(x);
    let mut selection = select::select(sae, context, &centred, workspace);
    let decoded = decode::decode(sae, context, x, scale, &mut selection, workspace);
    let mut terms = decoded.terms;
    if selection.has_aux() {
        terms.auxiliary = decode::decode_aux(sae, context, x, &decoded, &mut selection, workspace);
    }
    let fired = selection.fired(sae.latents());
    let rows = x.nrows() as f64;
    let outcome =
        Outcome { terms, l0: selection.active() as f64 / rows, fired, min_positive: selection.min_positive() };
    if outcome.terms.total().is_finite() {
        latents::update(sae, moments, context, &centred, &selection, workspace)?;
    }
    Ok(outcome)
}

/// Loss and gradient by whole rows, on normalised inputs `x: (b, d)` in standard layout; see [`dense::covers`].
///
/// # Errors
/// As [`step`], and those of [`Sae::check`].
pub(super) fn dense_pass<T: Scalar>(
    sae: &Sae<T>,
    loss: &Loss,
    x: &ArrayRef2<T>,
    workspace: &mut Workspace<T>,
) -> Result<dense::DensePass<T>> {
    sae.check_input(x)?;
    check_not_empty("x", x)?;
    dense::pass(sae, loss, x, scale(loss, x)?, workspace)
}

/// The features of normalised inputs `x: (b, d_in)`, without storing those that are not active; `None` where whole rows of
/// features have to be made, or are faster.
pub(super) fn encode<T: Scalar>(
    sae: &Sae<T>,
    x: &ArrayRef2<T>,
    workspace: &mut Workspace<T>,
) -> Option<Result<Codes<T>>> {
    let rows = (x.nrows() >= STREAMED_FROM).then(|| select::features(sae, &sae.centred(x), workspace))??;
    let fill = |codes: &mut Codes<T>| {
        rows.iter().try_for_each(|row| {
            let entries = row.latents.iter().zip(&row.features).map(|(&latent, &f)| (latent as usize, f));
            codes.push(entries.filter(|(_, f)| *f != T::zero()))
        })
    };
    Some(Codes::new(sae.latents()).and_then(|mut codes| fill(&mut codes).map(|()| codes)))
}

/// What a sum of squared errors is multiplied with to become the reconstruction loss.
///
/// # Errors
/// [`Error::Singular`] for a fraction of variance without variance.
pub(crate) fn scale<T: Scalar>(loss: &Loss, target: &ArrayRef2<T>) -> Result<T> {
    let scale = match loss.reconstruction {
        ReconstructionLoss::Sum => T::of(1.0 / target.nrows() as f64),
        ReconstructionLoss::Mean => T::of(1.0 / target.len() as f64),
        ReconstructionLoss::Fvu => centred_squares(target).recip(),
    };
    if scale.is_finite() { Ok(scale) } else { Err(Error::Singular { what: "variance of the target" }) }
}
