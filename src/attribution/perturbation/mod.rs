//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`], [`IncrementalGame`], [`Cached`] |
//! | a model as a game of its features | [`Masked`], [`Removal`], [`ByRemoval`] |
//! | Shapley values from all coalitions | [`ExactShapley`] |
//! | from permutations | [`Shapley`] |
//! | from a regression, or its closed form | [`KernelShap`], [`UnbiasedKernelShap`] |

mod cached;
mod coalitions;
mod exact_shapley;
mod game;
mod incremental;
mod kernel;
mod kernel_shap;
mod masked;
mod orthogonal;
mod play;
mod removal;
mod sampling;
mod shapley;
mod summary;
mod unbiased_kernel_shap;

pub use cached::Cached;
pub use coalitions::{Coalition, Coalitions};
pub use exact_shapley::ExactShapley;
pub use game::{Game, GameFunction, Table};
pub use incremental::{IncrementalGame, OneFlip};
pub use kernel_shap::KernelShap;
pub use masked::Masked;
pub use removal::{Absent, Link, Removal};
pub use sampling::Sampling;
pub use shapley::{Shapley, Walks};
pub use summary::{ByRemoval, GameAttribution, Summary};
pub use unbiased_kernel_shap::UnbiasedKernelShap;
