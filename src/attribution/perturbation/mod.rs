//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`], [`IncrementalGame`], [`Cached`] |
//! | a model as a game of its features | [`Masked`], [`Removal`], [`ByRemoval`] |
//! | Shapley values from all coalitions | [`ExactShapley`] |
//! | from permutations, or single contributions | [`Shapley`], [`NeymanShapley`] |
//! | from a regression, or its closed form | [`KernelShap`], [`UnbiasedKernelShap`] |
//! | for players in unions, or along a tree | [`Owen`], [`Partition`] |
//! | Banzhaf values | [`Banzhaf`] |
//! | interactions of pairs | [`Interactions`] |
//! | linear and additive functions | [`linear_shap`], [`additive_shap`], [`ConditionalLinear`] |

mod banzhaf;
mod cached;
mod coalitions;
mod exact_shapley;
mod game;
mod incremental;
mod interactions;
mod kernel;
mod kernel_shap;
mod linear;
mod masked;
mod neyman;
mod orthogonal;
mod owen;
mod partition;
mod play;
mod removal;
mod sampling;
mod shapley;
mod summary;
mod unbiased_kernel_shap;

pub use banzhaf::{Banzhaf, BanzhafSamples};
pub use cached::Cached;
pub use coalitions::{Coalition, Coalitions};
pub use exact_shapley::ExactShapley;
pub use game::{Game, GameFunction, Table};
pub use incremental::{IncrementalGame, OneFlip};
pub use interactions::{InteractionIndex, InteractionValues, Interactions};
pub use kernel_shap::KernelShap;
pub use linear::{ConditionalLinear, additive_shap, linear_shap};
pub use masked::Masked;
pub use neyman::NeymanShapley;
pub use owen::Owen;
pub use partition::{Partition, PlayerTree};
pub(crate) use removal::Players;
pub use removal::{Absent, Link, Removal};
pub use sampling::Sampling;
pub use shapley::{Shapley, Walks};
pub use summary::{ByRemoval, GameAttribution, Summary};
pub use unbiased_kernel_shap::UnbiasedKernelShap;
