//! Changes of form that leave the function as it is.
//!
//! ```text
//! fold_decoder_norm    w_enc_i, b_enc_i, θ_i, b_mag_i times ν_i, w_dec_i / ν_i: features become f ν, rows unit
//! fold_input_scale     trained on s x, afterwards fed with x:
//!   by encoder         W_enc s, W_dec / s, b_dec / s: features keep the trained size
//!   by bias            b_enc, b_dec, θ, b_mag / s: features become raw in size
//! gated to jump_relu   W_enc exp(r_mag), b_enc = b_mag, θ = max(0, b_mag - exp(r_mag) b_gate)
//! batch_top_k to jump_relu   one threshold for all; norms are folded first where the choice goes by them
//! ```
//!
//! Source: algebra; the two conventions of folding a scale are those of SAELens and of dictionary_learning.

use ndarray::{Array1, Axis};

use super::activation::Activation;
use super::model::Sae;
use super::normalisation::InputNormalisation;
use crate::error::check_each;
use crate::{Error, Result, Scalar};

/// Which parameters take up an input scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FoldScale {
    /// Encoder and decoder: features keep the size that they were trained with.
    Encoder,
    /// Biases and thresholds: features come out in raw size.
    Bias,
}

impl<T: Scalar> Sae<T> {
    /// The same function with unit dictionary vectors; a zero vector stays as it is.
    ///
    /// # Errors
    /// Those of [`Sae::check`]; [`Error::Unsupported`] where latents are chosen by plain scores, which folding would change,
    /// and for crosscoders and matching pursuit.
    pub fn fold_decoder_norm(&self) -> Result<Self> {
        self.check()?;
        let plain_choice = "folding of norms where the choice does not go by them";
        match self.activation {
            Activation::TopK { by_decoder_norm: false, .. }
            | Activation::BatchTopK { by_decoder_norm: false, .. }
            | Activation::GroupMax { .. } => return Err(Error::Unsupported { what: plain_choice }),
            Activation::MatchingPursuit { .. } => {
                return Err(Error::Unsupported { what: "folding of norms into matching pursuit" });
            }
            _ if self.layers > 1 => return Err(Error::Unsupported { what: "folding of norms of a crosscoder" }),
            _ => {}
        }
        let norms = self.decoder_norms().mapv(|n| if n > T::zero() { n } else { T::one() });
        let mut folded = self.clone();
        folded.w_enc *= &norms;
        folded.b_enc *= &norms;
        folded.w_dec /= &norms.view().insert_axis(Axis(1));
        match &mut folded.activation {
            Activation::JumpRelu { threshold } => *threshold *= &norms,
            Activation::Gated { b_mag, .. } => *b_mag *= &norms,
            _ => {}
        }
        Ok(folded)
    }

    /// The same function of raw inputs for an autoencoder that was trained on `scale` times them.
    ///
    /// # Errors
    /// Those of [`Sae::check`]; [`Error::OutOfRange`] for a scale that is not finite and above 0; [`Error::Unsupported`] for
    /// matching pursuit by [`FoldScale::Encoder`].
    pub fn fold_scale(&self, scale: T, convention: FoldScale) -> Result<Self> {
        self.check()?;
        check_each("scale", &[scale], "finite and > 0", |s: T| s > T::zero() && s.is_finite())?;
        let mut folded = self.clone();
        folded.b_dec /= scale;
        match convention {
            FoldScale::Encoder => {
                folded.w_enc *= scale;
                folded.w_dec /= scale;
                match &mut folded.activation {
                    // compared with products that contain the norms of the decoder
                    Activation::BatchTopK { threshold: Some(threshold), by_decoder_norm: true, .. } => {
                        *threshold /= scale;
                    }
                    Activation::MatchingPursuit { .. } => {
                        return Err(Error::Unsupported {
                            what: "folding of a scale into the decoder of matching pursuit",
                        });
                    }
                    _ => {}
                }
            }
            FoldScale::Bias => {
                folded.b_enc /= scale;
                match &mut folded.activation {
                    Activation::JumpRelu { threshold } => *threshold /= scale,
                    Activation::Gated { b_mag, .. } => *b_mag /= scale,
                    Activation::BatchTopK { threshold: Some(threshold), .. } => *threshold /= scale,
                    Activation::MatchingPursuit { residual_threshold, .. } => *residual_threshold /= scale,
                    _ => {}
                }
            }
        }
        Ok(folded)
    }

    /// [`Sae::fold_scale`] with the scale of its own normalisation, which is then gone.
    ///
    /// # Errors
    /// As [`Sae::fold_scale`]; [`Error::Unsupported`] for normalisations per sample, which no parameter can take up.
    pub fn fold_input_scale(&self, convention: FoldScale) -> Result<Self> {
        let scale = match self.normalisation {
            InputNormalisation::None => return Ok(self.clone()),
            InputNormalisation::Scale(scale) => scale,
            _ => return Err(Error::Unsupported { what: "folding of a normalisation per sample" }),
        };
        let mut folded = self.fold_scale(scale, convention)?;
        folded.normalisation = InputNormalisation::None;
        Ok(folded)
    }

    /// The same function as JumpReLU: for gated latents exactly; for batch top-k what it does at inference.
    ///
    /// # Errors
    /// Those of [`Sae::check`]; [`Error::Unsupported`] for batch top-k without a threshold, and for other activations.
    pub fn to_jump_relu(&self) -> Result<Self> {
        self.check()?;
        match &self.activation {
            Activation::JumpRelu { .. } => Ok(self.clone()),
            Activation::Gated { b_mag, r_mag } => {
                let scale = r_mag.mapv(T::exp);
                let threshold = (b_mag - &(&scale * &self.b_enc)).mapv(|t| t.max(T::zero()));
                let activation = Activation::JumpRelu { threshold };
                Ok(Self { w_enc: &self.w_enc * &scale, b_enc: b_mag.clone(), activation, ..self.clone() })
            }
            Activation::BatchTopK { threshold: Some(threshold), by_decoder_norm, .. } => {
                let base = if *by_decoder_norm { self.fold_decoder_norm()? } else { self.clone() };
                // features are rectified before they are compared
                let threshold = Array1::from_elem(self.latents(), threshold.max(T::zero()));
                Ok(Self { activation: Activation::JumpRelu { threshold }, ..base })
            }
            Activation::BatchTopK { threshold: None, .. } => {
                Err(Error::Unsupported { what: "batch top-k whose threshold was never set, as JumpReLU" })
            }
            _ => Err(Error::Unsupported { what: "this activation as JumpReLU" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn a_folded_scale_leaves_the_function_as_it_is() {
        let x = array![[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]];
        let by_norm = |threshold| Activation::BatchTopK { k: 2.0, by_decoder_norm: true, threshold: Some(threshold) };
        let pursuit = Activation::MatchingPursuit {
            residual_threshold: 0.1,
            max_iterations: None,
            stop_on_duplicate_support: true,
        };
        let kinds = vec![
            Activation::Relu,
            Activation::TopK { k: 2, by_decoder_norm: true },
            by_norm(0.5),
            Activation::JumpRelu { threshold: array![0.33, 0.4, 0.25, 0.5] },
            Activation::Gated { b_mag: array![0.1, 0.0, -0.05, 0.2], r_mag: array![0.2, -0.1, 0.0, 0.3] },
            pursuit.clone(),
        ];
        for kind in kinds {
            let w_dec = array![[0.6, 0.1, -0.2], [-0.3, 0.8, 0.5], [0.9, -0.4, 0.2], [0.0, -0.7, 0.7]];
            let b_enc = array![0.1, -0.2, 0.05, 0.0];
            let mut sae = Sae::new(w_dec.t().to_owned(), b_enc, w_dec, array![0.1, -0.1, 0.2], kind).unwrap();
            sae.normalisation = InputNormalisation::Scale(0.4);
            for convention in [FoldScale::Encoder, FoldScale::Bias] {
                if sae.activation == pursuit && convention == FoldScale::Encoder {
                    assert!(sae.fold_input_scale(convention).is_err());
                    continue;
                }
                let folded = sae.fold_input_scale(convention).unwrap();
                let difference = folded.reconstruct(&x).unwrap() - sae.reconstruct(&x).unwrap();
                assert!(difference.iter().all(|e: &f64| e.abs() < 1e-12), "{convention:?} {:?}", sae.activation);
            }
        }
    }
}
