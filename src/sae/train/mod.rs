//! Training of sparse autoencoders: steps, schedules, dead latents, resampling, checkpoints.

mod adam;
mod checkpoint;
mod preset;
mod resample;
mod run;
mod schedule;
mod settings;
mod share;
mod source;
mod threshold;
mod trainer;

pub use adam::{Moments, Pair};
pub use preset::{Preset, Recipe};
pub use resample::{ResampleRule, draw_inputs, resample, resample_probabilities};
pub use run::{Finish, train_sae};
pub use schedule::{
    KAnnealing, LearningRate, PAnnealing, Rounding, Shape, WarmUp, continued_coefficient, sparsity_factor,
};
pub use settings::{Adam, Resampling, SaeTraining};
pub use share::SaeShare;
pub use source::Shuffled;
pub use threshold::{ThresholdRule, ThresholdTracker};
pub use trainer::{SaeStep, Trainer};
