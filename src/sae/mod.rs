//! Sparse autoencoders: dictionaries that take superposed features apart again.
//!
//! Letters: `b` samples, `d` width of the data, `m` latents. `w_enc: (d, m)` has an encoder vector per column,
//! `w_dec: (m, d)` a dictionary vector per row.

pub mod decoder_norm;
pub mod model;
pub mod relu_l1;
pub mod train;

pub use model::{Sae, SaeGradient};
pub use relu_l1::{ReconstructionLoss, ReluL1, relu_l1};
pub use train::{SaeProgress, SaeTrained, SaeTraining, train_sae};
