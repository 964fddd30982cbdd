//! The hyperparameters of papers and libraries, as plain settings that can be changed further.
//!
//! Numbers that a source gives for its own scale (batch size, coefficients for its data) are those of the source; learning
//! rates that depend on the width follow its law.
//!
//! Source: named with each preset.

use alloc::vec;

use ndarray::Array1;

use super::resample::ResampleRule;
use super::schedule::{LearningRate, Shape, WarmUp};
use super::settings::{Adam, Resampling, SaeTraining};
use super::threshold::ThresholdRule;
use crate::sae::{
    Activation, AuxK, AuxNormalisation, DecoderLaw, Initialisation, Loss, ReconstructionLoss, Sae, Sparsity,
    StraightThrough,
};
use crate::{Result, Scalar, Seed};

/// A published way to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Preset {
    /// ReLU + L1, unit dictionary vectors, resampling (Bricken et al. 2023).
    Bricken2023,
    /// ReLU + L1 times decoder norm, free rows, gradient clipping (Circuits Updates, April 2024).
    April2024,
    /// Gated (Rajamanoharan et al., arXiv 2404.16014).
    Gated,
    /// TopK + AuxK (Gao et al., arXiv 2406.04093).
    TopK,
    /// BatchTopK + AuxK (Bussmann et al., arXiv 2412.06410).
    BatchTopK,
    /// JumpReLU with an L0 penalty (Rajamanoharan et al., arXiv 2407.14435).
    JumpRelu,
    /// JumpReLU with a tanh penalty and the pre-activation term (Circuits Updates, January 2025).
    JumpReluTanh,
    /// Matryoshka BatchTopK (Bussmann et al., arXiv 2503.17547), five nested dictionaries.
    Matryoshka,
}

/// What a preset sets up.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe<T> {
    /// The autoencoder before the first step.
    pub sae: Sae<T>,
    /// How it is trained.
    pub training: SaeTraining,
    /// Samples of one step in the source.
    pub batch: usize,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 8] = [
        Self::Bricken2023,
        Self::April2024,
        Self::Gated,
        Self::TopK,
        Self::BatchTopK,
        Self::JumpRelu,
        Self::JumpReluTanh,
        Self::Matryoshka,
    ];

    /// Name for command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bricken2023 => "bricken_2023",
            Self::April2024 => "april_2024",
            Self::Gated => "gated",
            Self::TopK => "top_k",
            Self::BatchTopK => "batch_top_k",
            Self::JumpRelu => "jump_relu",
            Self::JumpReluTanh => "jump_relu_tanh",
            Self::Matryoshka => "matryoshka",
        }
    }

    /// The recipe for inputs of width `d`, `m` latents, `k` active ones where the activation counts them, and `steps` steps.
    ///
    /// # Errors
    /// Those of [`Sae::initialise_with`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::train::{Preset, Trainer};
    ///
    /// let recipe = Preset::TopK.recipe::<f32>(64, 512, 16, 1000, Seed(0))?;
    /// let trainer = Trainer::new(recipe.sae, recipe.training)?;
    /// assert_eq!(trainer.sae().latents(), 512);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn recipe<T: Scalar>(self, d: usize, m: usize, k: usize, steps: usize, seed: Seed) -> Result<Recipe<T>> {
        let mut sae = Sae::initialise_with(d, m, self.activation(m, k), self.initialisation(d, m), seed)?;
        sae.apply_b_dec_to_input = !matches!(self, Self::April2024 | Self::JumpRelu | Self::JumpReluTanh);
        if self == Self::Matryoshka {
            sae.prefixes = [16, 8, 4, 2, 1].iter().map(|part| m / part).filter(|&width| width > 0).collect();
            sae.prefixes.dedup();
        }
        let batch = if self == Self::Bricken2023 { 8192 } else { 4096 };
        Ok(Recipe { sae, training: self.training(d, m, steps, seed), batch })
    }

    fn activation<T: Scalar>(self, m: usize, k: usize) -> Activation<T> {
        match self {
            Self::Bricken2023 | Self::April2024 => Activation::Relu,
            Self::Gated => Activation::Gated { b_mag: Array1::zeros(m), r_mag: Array1::zeros(m) },
            Self::TopK => Activation::TopK { k, by_decoder_norm: false },
            Self::BatchTopK | Self::Matryoshka => {
                Activation::BatchTopK { k: k as f64, by_decoder_norm: false, threshold: None }
            }
            Self::JumpRelu => Activation::JumpRelu { threshold: Array1::from_elem(m, T::of(0.001)) },
            Self::JumpReluTanh => Activation::JumpRelu { threshold: Array1::from_elem(m, T::of(0.1)) },
        }
    }

    fn initialisation(self, d: usize, m: usize) -> Initialisation {
        let unit = Initialisation::default();
        match self {
            Self::April2024 => Initialisation { decoder_norm: 0.1, ..unit },
            Self::JumpRelu => Initialisation { decoder: DecoderLaw::KaimingUniform, ..unit },
            Self::JumpReluTanh => {
                // rows of U(-1/√m, 1/√m) have about this length; the encoder is m/d times their transpose
                let (d, m) = (d as f64, m as f64);
                let decoder = DecoderLaw::KaimingUniform;
                Initialisation { decoder, decoder_norm: libm::sqrt(d / (3.0 * m)), encoder_scale: d.recip() * m }
            }
            _ => unit,
        }
    }

    fn training(self, d: usize, m: usize, steps: usize, seed: Seed) -> SaeTraining {
        let base = SaeTraining { steps, seed, ..SaeTraining::default() };
        let fifth = steps / 5;
        let decayed = |rate: f64, warm_up_steps: usize| LearningRate {
            base: rate,
            warm_up: WarmUp::FromFirstStep,
            warm_up_steps: warm_up_steps.min(steps / 10),
            shape: Shape::Constant,
            decay_steps: fifth,
        };
        let aux = AuxK { k: (d / 2).max(1), normalisation: AuxNormalisation::ResidualVariance, ..AuxK::default() };
        // learning rates of top-k autoencoders fall with the root of the width
        let by_width = 2e-4 / libm::sqrt(m as f64 / 16384.0);
        match self {
            Self::Bricken2023 => bricken(base, decayed(1e-4, 0), steps),
            Self::April2024 => SaeTraining {
                learning_rate: decayed(5e-5, 0),
                loss: Loss { sparsity: Sparsity::l1_by_decoder_norm(5.0), ..Loss::default() },
                sparsity_warm_up: steps / 20,
                unit_norm_decoder: false,
                clip_norm: Some(1.0),
                ..base
            },
            Self::Gated => SaeTraining {
                learning_rate: decayed(3e-4, 1000),
                adam: Adam { betas: (0.0, 0.999), ..Adam::default() },
                loss: Loss { sparsity: Sparsity::l1(0.1), ..Loss::default() },
                sparsity_warm_up: steps / 20,
                ..base
            },
            Self::TopK => SaeTraining {
                learning_rate: decayed(by_width, 1000),
                adam: Adam { epsilon: 6.25e-10, ..Adam::default() },
                loss: Loss { aux: Some(aux), ..Loss::default() },
                clip_norm: Some(1.0),
                ..base
            },
            Self::BatchTopK | Self::Matryoshka => SaeTraining {
                learning_rate: decayed(by_width, 1000),
                loss: Loss { aux: Some(aux), ..Loss::default() },
                clip_norm: Some(1.0),
                threshold: ThresholdRule::EmaFirstCopy { rate: 0.001 },
                ..base
            },
            Self::JumpRelu => jump_relu(base, decayed(7e-5, 1000)),
            Self::JumpReluTanh => jump_relu_tanh(base, decayed(2e-4, 0)),
        }
    }
}

fn bricken(base: SaeTraining, learning_rate: LearningRate, steps: usize) -> SaeTraining {
    let quarter = (steps / 8).max(1);
    SaeTraining {
        learning_rate: LearningRate { decay_steps: 0, ..learning_rate },
        loss: Loss { reconstruction: ReconstructionLoss::Mean, sparsity: Sparsity::l1(0.001), ..Loss::default() },
        resampling: Some(Resampling {
            rule: ResampleRule::Bricken2023,
            // a run of 200,000 steps: 25,000, 50,000, 75,000 and 100,000, dead over 12,500
            at: vec![quarter, 2 * quarter, 3 * quarter, 4 * quarter],
            window: quarter.div_ceil(2),
            inputs: 819_200.min(64 * steps.max(1)),
        }),
        ..base
    }
}

fn jump_relu(base: SaeTraining, learning_rate: LearningRate) -> SaeTraining {
    SaeTraining {
        learning_rate,
        adam: Adam { betas: (0.0, 0.999), ..Adam::default() },
        loss: Loss {
            sparsity: Sparsity::L0 { coefficient: 1e-3 },
            straight_through: StraightThrough { bandwidth: 0.001, ..StraightThrough::default() },
            ..Loss::default()
        },
        sparsity_warm_up: 10_000.min(base.steps / 10),
        ..base
    }
}

fn jump_relu_tanh(base: SaeTraining, learning_rate: LearningRate) -> SaeTraining {
    SaeTraining {
        learning_rate,
        loss: Loss {
            sparsity: Sparsity::Tanh { coefficient: 10.0, scale: 4.0 },
            straight_through: StraightThrough { bandwidth: 2.0, to_input: true, pre_activation: 3e-6 },
            ..Loss::default()
        },
        sparsity_warm_up: base.steps,
        unit_norm_decoder: false,
        clip_norm: Some(1.0),
        log_threshold: true,
        ..base
    }
}
