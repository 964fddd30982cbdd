//! Attribution by rules of its own for every operation: these methods walk the tape of a [`Network`](super::Network).
//!
//! | method | what travels backwards |
//! |---|---|
//! | [`DeepLift`], [`DeepLiftShap`] | multipliers: secants between input and baseline in place of derivatives |
//! | [`RevealCancel`] | the same, one for what raised an activation's input and one for what lowered it |
//! | [`Lrp`] | relevance, shared out among the inputs of every operation |
//! | [`AttnLrp`] | the same with rules for attention: softmax, products, normalisation |
//!
//! Because every call of an operation is a node, operations that are used twice and residual connections need no care.

mod attn_lrp;
mod composite;
mod deep_lift;
mod deep_lift_shap;
mod lrp;
mod reveal_cancel;
mod secant;
mod straight_path;

pub use attn_lrp::{AttnLrp, SoftmaxRule};
pub use composite::{epsilon_alpha2_beta1, epsilon_gamma_box, epsilon_plus, epsilon_plus_flat};
pub use deep_lift::DeepLift;
pub use deep_lift_shap::DeepLiftShap;
pub use lrp::{Audit, Lrp, LrpRule};
pub use reveal_cancel::RevealCancel;
pub use secant::secant;
