//! Statistics of all neurons over a corpus: mergeable, independent of order, in memory that does not grow with the corpus.
//!
//! | statistic | type |
//! |---|---|
//! | all of the below, of all neurons at once, from dense or sparse activations | [`Collector`], [`NeuronStats`] |
//! | places of the largest values, smallest values, largest magnitudes | [`TopActivations`] |
//! | random places, chosen by hash | [`HashSample`] |
//! | mean, variance, skewness, kurtosis | [`NeuronMoments`] |
//! | how often each power of two is taken | [`LogHistogram`] |
//! | quantiles to a known relative error | [`QuantileSketch`] |
//! | mean activation by token | [`TokenTable`] with [`TokenCounts`] |
//!
//! Each can be merged with another of its kind and written as bytes; parts merged in any order are one pass over the whole,
//! bit for bit. A collector knows the parts of the corpus it has seen, and refuses one that comes twice. Values that are
//! not finite are counted and never ranked.
//!
//! Places are kept as document and position, not as texts: the few records that are looked at are cheap to compute again,
//! and all of them would take fifty times the memory.

mod batch;
mod collector;
mod dense;
mod hash_sample;
mod lanes;
mod log_histogram;
mod moments;
mod neuron;
mod quantile_sketch;
mod row;
mod settings;
mod sparse;
mod tally;
mod token_table;
mod top_activations;

pub use batch::Batch;
pub use collector::Collector;
pub use hash_sample::HashSample;
pub use log_histogram::LogHistogram;
pub use moments::{CentralMoments, NeuronMoments};
pub use neuron::NeuronStats;
pub use quantile_sketch::QuantileSketch;
pub use settings::CollectSettings;
pub use sparse::SparseActivation;
pub use token_table::{TokenCounts, TokenTable};
pub use top_activations::{Hit, TopActivations};
