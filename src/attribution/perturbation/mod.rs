//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`], [`IncrementalGame`], [`Cached`] |
//! | a model as a game of its features | [`Masked`], [`Removal`], [`ByRemoval`] |
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
pub(crate) use removal::Players;
pub use removal::{Absent, Link, Removal};
pub use summary::{ByRemoval, GameAttribution, Summary};
