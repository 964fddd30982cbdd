//! What toy models are trained on: sparse feature distributions, fixed datasets, and data with a known dictionary.

mod dictionary;
mod features;
mod fixed;
mod sample;

pub use dictionary::{DictionaryData, DictionarySample};
pub use features::{FeatureDistribution, Joint, Value};
pub use fixed::FixedDataset;
