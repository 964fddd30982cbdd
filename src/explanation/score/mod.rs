//! How well predicted activations agree with true ones.
//!
//! | question | where |
//! |---|---|
//! | six scores of one text | [`score`], [`Scores`] |
//! | many texts of a neuron: pooled, each alone, weighted by inverse probability | [`pooled`], [`SequenceMean`], [`inverse_probability`] |
//! | top, random, both, each quantile | [`SplitScores`], [`by_group`] |
//! | statistics that merge over shards | [`PairStats`], [`Statistic`] |
//! | how sure is the score: cluster bootstrap, jackknife, Fisher's interval | [`Bootstrap`], [`Jackknife`], [`fisher_interval`] |
//! | is it better than chance, is one explanation better than another | [`Permutation`], [`Bootstrap::difference`] |
//! | all neurons of a model in one call | [`score_many`], [`stats_many`], [`Permutation::many`] |
//! | what the model's output loses by the simulation | [`AblationDivergence`] |
//! | answers about whole texts: detection, fuzzing, intruders | [`Detection`], [`Fuzzing`], [`Intruder`], [`Classification`] |
//! | what an explanation tells about a text | [`token_losses`], [`InformationGain`], [`EmbeddingScore`] |
//! | texts with marked tokens, and texts on which a neuron is silent | [`Highlight`], [`Firings`] |
//!
//! ```text
//! t true, s simulated, n tokens
//! pearson              Σ (t - t̄)(s - s̄)/√(Σ (t - t̄)² Σ (s - s̄)²)
//! spearman             the same of mid-ranks
//! r2                   1 - Σ (t - s)²/Σ (t - t̄)²           against the mean
//! r2_about_zero        1 - Σ (t - s)²/Σ t²                 against 0
//! absolute_deviation   1 - Σ |t - s|/Σ |t|                 against 0
//! d2_absolute_error    1 - Σ |t - s|/Σ |t - median t|      against the median
//! ```
//!
//! A score is an [`Undefined`](super::Undefined) with its reason where it does not exist; a peer's convention that puts a
//! number there is asked for by name.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023),
//! <https://openaipublic.blob.core.windows.net/neuron-explainer/paper/index.html>, for scoring by simulation.

mod ablation;
mod batch;
mod bootstrap;
mod classification;
mod detection;
mod embedding;
mod fuzzing;
mod highlight;
mod intruder;
mod judge;
mod non_activating;
mod pair_stats;
mod permutation;
mod pooled;
mod scores;
mod split_scores;
mod surprisal;

pub use ablation::AblationDivergence;
pub use batch::{Batch, NeuronScores, Pool, ScoreTable, score_many, stats_many};
pub use bootstrap::{Bootstrap, Difference, Interval, Jackknife, fisher_interval};
pub use classification::{Answer, Classification, Confusion, PeerRates, classification_by_group, firing_weighted_mean};
pub use detection::{Detection, DetectionReport};
pub use embedding::{EmbeddingScore, example_embedding_score};
pub use fuzzing::{FalseMarks, Fuzzing};
pub use highlight::{Highlight, MarkRule, mean_nonzero_ceil};
pub use intruder::{Intruder, IntruderReport};
pub use judge::{Example, Group, IntruderJudge, TextJudge, Verdict, probability_of_yes, read_binary_list};
pub use non_activating::{Firings, NearLatent, NonActivating, neighbours_by_cosine};
pub use pair_stats::{MomentScores, PairStats, Statistic};
pub use permutation::{PValue, Permutation, Unit};
pub use pooled::{SequenceMean, inverse_probability, pooled};
pub use scores::{RankScores, Scores, Sequence, score};
pub use split_scores::{SplitScores, by_group};
pub use surprisal::{InformationGain, token_losses};
