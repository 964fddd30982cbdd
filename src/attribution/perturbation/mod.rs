//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`], [`IncrementalGame`], [`Cached`] |
//! | a model as a game of its features | [`Masked`], [`Removal`], [`ByRemoval`] |
//! | one part at a time | [`FeatureAblation`], [`Occlusion`], [`LeaveOneOut`], [`PermutationImportance`] |
//! | the same on a model that remembers beginnings | [`CausalOcclusion`], [`CausalGame`], [`CausalModel`] |
//! | Shapley values from all coalitions | [`ExactShapley`] |
//! | from permutations, or single contributions | [`Shapley`], [`NeymanShapley`] |
//! | from a regression, or its closed form | [`KernelShap`], [`UnbiasedKernelShap`] |
//! | for players in unions, or along a tree | [`Owen`], [`Partition`] |
//! | Banzhaf values | [`Banzhaf`] |
//! | tokens of a language model, by plausible others | [`Reagent`], [`TokenSampler`] |
//! | interactions of pairs | [`Interactions`], [`SvarmIq`], [`KaddShap`], [`AblationInteractions`] |
//! | a local linear surrogate | [`Lime`], [`Surrogate`] |
//! | linear and additive functions | [`linear_shap`], [`additive_shap`], [`ConditionalLinear`] |

mod ablation;
mod ablation_interactions;
mod banzhaf;
mod blend;
mod cached;
mod causal;
mod causal_occlusion;
mod coalitions;
mod exact_shapley;
mod feature_ablation;
mod game;
mod groups;
mod incremental;
mod interactions;
mod kadd_shap;
mod kernel;
mod kernel_fit;
mod kernel_shap;
mod leave_one_out;
mod lime;
mod linear;
mod mask_sampling;
mod masked;
mod neyman;
mod occlusion;
mod orthogonal;
mod owen;
mod pairs;
mod partition;
mod permutation_importance;
mod play;
mod reagent;
mod removal;
mod sampling;
mod shapley;
mod similarity;
mod summary;
mod surrogate;
mod svarm_iq;
#[cfg(test)]
mod testing;
mod unbiased_kernel_shap;

pub(super) use ablation::losses;
pub use ablation_interactions::{AblationInteractions, AblationPairs};
pub use banzhaf::{Banzhaf, BanzhafSamples};
pub(super) use blend::Blend;
pub use cached::Cached;
pub use causal::{CausalGame, CausalModel};
pub use causal_occlusion::{CausalAttribution, CausalOcclusion};
pub use coalitions::{Coalition, Coalitions};
pub use exact_shapley::ExactShapley;
pub use feature_ablation::FeatureAblation;
pub use game::{Game, GameFunction, Table};
pub use groups::Groups;
pub use incremental::{IncrementalGame, OneFlip};
pub use interactions::{InteractionIndex, InteractionValues, Interactions};
pub use kadd_shap::{KaddShap, KaddValues};
pub use kernel_shap::KernelShap;
pub use leave_one_out::LeaveOneOut;
pub use lime::{Lime, LimeExplanation};
pub use linear::{ConditionalLinear, additive_shap, linear_shap};
pub use mask_sampling::MaskSampling;
pub use masked::Masked;
pub use neyman::NeymanShapley;
pub use occlusion::Occlusion;
pub use owen::Owen;
pub use pairs::PairValues;
pub use partition::{Partition, PlayerTree};
pub use permutation_importance::PermutationImportance;
pub(super) use play::Play;
pub use reagent::{Reagent, ReagentAttribution, TokenSampler, UniformTokens};
pub(crate) use removal::Players;
pub use removal::{Absent, Link, Removal};
pub use sampling::Sampling;
pub use shapley::{Shapley, Walks};
pub use similarity::{Distance, Similarity};
pub use summary::{ByRemoval, GameAttribution, Summary};
pub(super) use summary::{RowGame, explain_rows, flatten};
pub use surrogate::{Regression, Surrogate};
pub use svarm_iq::SvarmIq;
pub use unbiased_kernel_shap::UnbiasedKernelShap;
