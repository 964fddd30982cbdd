//! Training of sparse autoencoders: steps, schedules, dead latents, resampling, checkpoints.

mod adam;
mod resample;
mod schedule;
mod settings;
mod threshold;
mod trainer;

pub use adam::{Moments, Pair};
pub use resample::{ResampleRule, draw_inputs, resample, resample_probabilities};
pub use schedule::{
    KAnnealing, LearningRate, PAnnealing, Rounding, Shape, WarmUp, continued_coefficient, sparsity_factor,
};
pub use settings::{Adam, Resampling, SaeTraining};
pub use threshold::{ThresholdRule, ThresholdTracker};
pub use trainer::{SaeStep, Trainer};
