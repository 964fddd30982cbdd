//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`], [`IncrementalGame`], [`Cached`] |
//! | a model as a game of its features | [`Masked`], [`Removal`], [`ByRemoval`] |
//! | one part at a time | [`FeatureAblation`], [`Occlusion`], [`LeaveOneOut`], [`PermutationImportance`] |
//! | Shapley values from all coalitions | [`ExactShapley`] |

mod cached;
mod coalitions;
mod exact_shapley;
mod game;
mod incremental;
mod masked;
mod play;
mod removal;
mod summary;

pub use cached::Cached;
pub use coalitions::{Coalition, Coalitions};
pub use exact_shapley::ExactShapley;
pub use game::{Game, GameFunction, Table};
pub use incremental::{IncrementalGame, OneFlip};
pub use masked::Masked;
pub use removal::{Absent, Link, Removal};
pub use summary::{ByRemoval, GameAttribution, Summary};

mod feature_ablation;
mod groups;
mod leave_one_out;
mod lime;
mod occlusion;
mod permutation_importance;
mod sampling;
mod similarity;
mod surrogate;
mod sweep;
#[cfg(test)]
mod testing;

pub use feature_ablation::FeatureAblation;
pub use groups::Groups;
pub use leave_one_out::LeaveOneOut;
pub use lime::{Lime, LimeExplanation};
pub use occlusion::Occlusion;
pub use permutation_importance::PermutationImportance;
pub use sampling::Sampling;
pub use similarity::{Distance, Similarity};
pub use surrogate::{Regression, Surrogate};
