//! Attribution by perturbation: what changes when parts of the input are taken away.
//!
//! | what | where |
//! |---|---|
//! | games, and coalitions of their players | [`Game`], [`Coalitions`] |
//! | a model as a game of its features | [`Masked`], [`Removal`] |

mod coalitions;
mod game;
mod masked;
mod removal;

pub use coalitions::{Coalition, Coalitions};
pub use game::{Game, GameFunction, Table};
pub use masked::Masked;
pub use removal::{Absent, Link, Removal};
