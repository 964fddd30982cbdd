//! What an autoencoder is trained towards, as data.
//!
//! ```text
//! L = L_rec(x') + L_sparsity + L_aux + L_pre_activation
//! ```
//!
//! Every term is optional but the first; none depends on which paper it came from. `mean_b` is the mean over samples.
//!
//! Source: Bricken et al. (2023) for L1; Conerly et al., "Circuits Updates, April 2024" for the decoder norm; Karvonen et al.
//! (arXiv 2408.00113) for p-annealing; Rajamanoharan et al. (arXiv 2407.14435) for L0; Conerly et al., "Circuits Updates,
//! January 2025" for tanh and the pre-activation term; Gao et al. (arXiv 2406.04093) for AuxK and multi-top-k.

use alloc::vec::Vec;

use super::activation::Activation;
use super::model::Sae;
use crate::error::check_each;
use crate::{Error, Result, Scalar};

/// How squared errors become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReconstructionLoss {
    /// Sum over the width, mean over samples.
    #[default]
    Sum,
    /// Mean over width and samples.
    Mean,
    /// Fraction of variance unexplained: sum of squares over the sum of squares of the target around its batch mean.
    Fvu,
}

/// Which norm a decoder penalty of a crosscoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LayerNorms {
    /// The sum of the norms over layers.
    #[default]
    Sum,
    /// The norm of all layers together.
    Joint,
}

/// The term that keeps features sparse. `ν_i` is the norm of dictionary vector `i`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Sparsity {
    /// None: the activation sees to it.
    #[default]
    None,
    /// `c mean_b Σ_i (f_i ν_i)^p`, or the `p`-th root of the sum; for the gated activation `max(z, 0)` in place of `f`.
    Lp {
        /// Coefficient `c`.
        coefficient: f64,
        /// Power `p`; 1 for the usual penalty.
        p: f64,
        /// Whether the root is taken.
        root: bool,
        /// Whether features are weighed by `ν_i`, and how it counts several layers; `None` for weight 1.
        decoder_norm: Option<LayerNorms>,
    },
    /// `c mean_b L0`, JumpReLU only.
    L0 {
        /// Coefficient `c`.
        coefficient: f64,
    },
    /// `c (mean_b L0 / target - 1)²`, JumpReLU only.
    TargetL0 {
        /// Coefficient `c`.
        coefficient: f64,
        /// Wanted number of active latents.
        target: f64,
    },
    /// `c mean_b 2/target (L0_b - target)²`, JumpReLU only.
    QuadraticL0 {
        /// Coefficient `c`.
        coefficient: f64,
        /// Wanted number of active latents.
        target: f64,
    },
    /// `c mean_b Σ_i tanh(s f_i ν_i)`.
    Tanh {
        /// Coefficient `c`.
        coefficient: f64,
        /// Scale `s`.
        scale: f64,
    },
}

impl Sparsity {
    /// `c mean_b Σ f`.
    #[must_use]
    pub fn l1(coefficient: f64) -> Self {
        Self::Lp { coefficient, p: 1.0, root: false, decoder_norm: None }
    }

    /// `c mean_b Σ f_i ν_i`.
    #[must_use]
    pub fn l1_by_decoder_norm(coefficient: f64) -> Self {
        Self::Lp { coefficient, p: 1.0, root: false, decoder_norm: Some(LayerNorms::Sum) }
    }
}

/// What the error of dead latents is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AuxNormalisation {
    /// Nothing.
    #[default]
    None,
    /// The variance of the residual, `mean_b ‖r - mean r‖²`.
    ResidualVariance,
    /// The variance of the target.
    DataVariance,
}

/// AuxK: dead latents try to reconstruct the residual.
///
/// ```text
/// L_aux = c s mean_b ‖g W_dec - r‖² / D,  r = target - x' held constant,  g the k dead latents of largest score
/// ```
///
/// No bias is added to `g W_dec`, and the gradient reaches the encoder: two libraries are wrong in one or the other.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AuxK {
    /// Dead latents per sample.
    pub k: usize,
    /// Coefficient `c`.
    pub coefficient: f64,
    /// Divisor `D`.
    pub normalisation: AuxNormalisation,
    /// Whether `g` is rectified.
    pub rectify: bool,
    /// Whether `s = min(dead/k, 1)`, else 1.
    pub scale_by_dead: bool,
}

impl Default for AuxK {
    fn default() -> Self {
        Self {
            k: 512,
            coefficient: 1.0 / 32.0,
            normalisation: AuxNormalisation::ResidualVariance,
            rectify: true,
            scale_by_dead: false,
        }
    }
}

/// Auxiliary term of the gated activation: the reconstruction error of the rectified gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GateLoss {
    /// Whether decoder and decoder bias of this term are held constant, as in the paper.
    pub frozen_decoder: bool,
}

impl Default for GateLoss {
    fn default() -> Self {
        Self { frozen_decoder: true }
    }
}

/// The straight-through estimator of JumpReLU.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StraightThrough {
    /// Width `ε` of the rectangle around the threshold.
    pub bandwidth: f64,
    /// Whether pre-activations get the estimate, too, with the opposite sign.
    pub to_input: bool,
    /// Coefficient of `mean_b Σ max(θ - z, 0) ν` over dead latents, or all where nothing is known of dead ones; 0 for none.
    pub pre_activation: f64,
}

impl Default for StraightThrough {
    fn default() -> Self {
        Self { bandwidth: 0.001, to_input: false, pre_activation: 0.0 }
    }
}

/// All settings of a loss.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Loss {
    /// How errors are summed.
    pub reconstruction: ReconstructionLoss,
    /// The sparsity term.
    pub sparsity: Sparsity,
    /// The term of dead latents.
    pub aux: Option<AuxK>,
    /// The term of the gate; used by the gated activation only.
    pub gate: GateLoss,
    /// The estimator; used by JumpReLU only.
    pub straight_through: StraightThrough,
    /// Weights of the levels of a Matryoshka autoencoder, one per prefix; empty for 1 each.
    pub prefix_weights: Vec<f64>,
    /// Further top-k reconstructions `(k, weight)` that are added to the loss of a top-k autoencoder.
    pub multi_top_k: Vec<(usize, f64)>,
}

impl Loss {
    /// Checks the settings against the autoencoder that they are for.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for numbers, [`Error::Unsupported`] for terms that the activation has no meaning for.
    pub fn check<T: Scalar>(&self, sae: &Sae<T>) -> Result<()> {
        let not_negative = |what, x: f64| check_each(what, &[x], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite());
        let positive = |what, x: f64| check_each(what, &[x], "finite and > 0", |x: f64| x > 0.0 && x.is_finite());
        let jump_relu = matches!(sae.activation, Activation::JumpRelu { .. });
        match self.sparsity {
            Sparsity::None => {}
            Sparsity::Lp { coefficient, p, .. } => {
                not_negative("coefficient", coefficient)?;
                positive("p", p)?;
            }
            Sparsity::Tanh { coefficient, scale } => {
                not_negative("coefficient", coefficient)?;
                positive("scale", scale)?;
            }
            Sparsity::L0 { .. } | Sparsity::TargetL0 { .. } | Sparsity::QuadraticL0 { .. } if !jump_relu => {
                return Err(Error::Unsupported { what: "a penalty of L0 without thresholds" });
            }
            Sparsity::L0 { coefficient } => not_negative("coefficient", coefficient)?,
            Sparsity::TargetL0 { coefficient, target } | Sparsity::QuadraticL0 { coefficient, target } => {
                not_negative("coefficient", coefficient)?;
                positive("target", target)?;
            }
        }
        if let Some(aux) = self.aux {
            not_negative("coefficient of the auxiliary loss", aux.coefficient)?;
            positive("k of the auxiliary loss", aux.k as f64)?;
            if matches!(sae.activation, Activation::Gated { .. } | Activation::MatchingPursuit { .. }) {
                return Err(Error::Unsupported { what: "AuxK with this activation" });
            }
        }
        if jump_relu {
            positive("bandwidth", self.straight_through.bandwidth)?;
            not_negative("coefficient of the pre-activation loss", self.straight_through.pre_activation)?;
        }
        check_each("weights of the prefixes", &self.prefix_weights, "finite and >= 0", |w| w >= 0.0 && w.is_finite())?;
        if !self.prefix_weights.is_empty() && self.prefix_weights.len() != sae.prefixes.len() {
            return Err(Error::Unsupported { what: "weights that are not one per prefix" });
        }
        for &(k, weight) in &self.multi_top_k {
            check_each("k of multi-top-k", &[k as f64], "1 <= k <= latents", |k: f64| {
                k >= 1.0 && k <= sae.latents() as f64
            })?;
            not_negative("weight of multi-top-k", weight)?;
        }
        if !self.multi_top_k.is_empty() && !matches!(sae.activation, Activation::TopK { .. }) {
            return Err(Error::Unsupported { what: "multi-top-k with another activation" });
        }
        if matches!(sae.activation, Activation::MatchingPursuit { .. }) {
            return Err(Error::Unsupported { what: "training of matching pursuit" });
        }
        Ok(())
    }
}
