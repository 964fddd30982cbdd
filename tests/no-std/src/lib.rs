//! Calls the crate as a microcontroller or a web page would: with `core` and `alloc` only.
#![no_std]
#![forbid(unsafe_code)]

use core::ops::ControlFlow;

use limpid::formats::{Files, Hint, load};
use limpid::sae::train::{SaeTraining, Trainer};
use limpid::sae::{Activation, CompactSae, Precision, Sae};
use limpid::superposition::geometry::{feature_dimensionality, feature_norms};
use limpid::superposition::{Architecture, FeatureDistribution, Problem, ToyModel, Training, train};
use limpid::{Result, Seed};
use ndarray::{Array1, Array2};

/// Output of a small model for one row of ones.
///
/// # Errors
/// Those of the model.
pub fn infer(weight: Array2<f32>) -> Result<f32> {
    let n = weight.ncols();
    let model = ToyModel::new(Architecture::ReluOutput, weight, Array1::zeros(n))?;
    Ok(model.forward(&Array2::ones((1, n)))?.output.sum())
}

/// Trains five features into two dimensions and measures how they share them.
///
/// # Errors
/// Those of the training.
pub fn learn(steps: usize) -> Result<f32> {
    let problem = Problem::new(2, Array1::ones(5), FeatureDistribution::uniform(5, 0.1)?);
    let settings = Training { steps, batch: 64, seed: Seed(1), ..Training::default() };
    let trained = train(&[problem], &settings, |_| ControlFlow::Continue(()))?;
    let Some(best) = trained.first() else { return Ok(0.0) };
    let shares = feature_dimensionality(&best.model.weight)?;
    Ok(shares.sum() + feature_norms(&best.model.weight)?.sum())
}

/// Trains a small autoencoder, and runs it in 8 and 16 bits on one sample.
///
/// # Errors
/// Those of training and of the sample.
pub fn squeeze(x: &Array2<f32>) -> Result<f32> {
    let sae = Sae::initialise(x.ncols(), 32, Activation::TopK { k: 4, by_decoder_norm: false }, Seed(2))?;
    let mut trainer = Trainer::new(sae, SaeTraining { steps: 10, ..SaeTraining::default() })?;
    let loss = trainer.step(x, None)?.terms.total();
    let compact = CompactSae::new(&trainer.sae(), Precision::F16, true)?;
    let mut scratch = compact.scratch();
    let Some(first) = x.as_slice().and_then(|x| x.get(..trainer.sae().d_in())) else { return Ok(loss) };
    let active = compact.encode_into(first, &mut scratch)?;
    Ok(loss + active.iter().map(|&(_, feature)| feature).sum::<f32>())
}

/// Loads a saved autoencoder from memory and encodes a row of ones with it.
///
/// # Errors
/// Those of the files.
pub fn encode(weights: &[u8]) -> Result<f32> {
    let files: Files<'_> = [("params.npz", weights)].into_iter().collect();
    let sae = load::<f32>(&files, &Hint::default())?.sae;
    Ok(sae.encode(&Array2::ones((1, sae.d_in())))?.sum())
}
