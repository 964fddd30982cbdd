//! Sparse autoencoders: dictionaries that take superposed features apart again.
//!
//! Letters: `b` samples, `d` width of the data (`d_in`, `d_out` where they differ), `m` latents, `k` active ones.
//! `w_enc: (d_in, m)` has an encoder vector per column, `w_dec: (m, d_out)` a dictionary vector per row.

pub mod activation;
pub(crate) mod aux;
pub mod backward;
pub mod bench;
pub mod codes;
pub mod compact;
pub mod convert;
pub mod cross_layer;
pub mod decoder_norm;
pub(crate) mod fused;
pub mod infer;
pub mod init;
pub mod loss;
mod matching_pursuit;
pub mod metrics;
pub mod model;
pub mod normalisation;
mod penalty;
pub mod prepared;
pub mod train;

pub use activation::Activation;
pub use backward::{LossAndGradient, LossTerms, SaeGradient, loss_and_gradient};
pub use codes::Codes;
pub use compact::{CompactSae, Precision};
pub use convert::FoldScale;
pub use cross_layer::{CrossLayerGradient, CrossLayerStep, CrossLayerTranscoder};
pub use infer::Reconstruction;
pub use init::{DecoderLaw, GeometricMedian, Initialisation, geometric_median};
pub use loss::{AuxK, AuxNormalisation, GateLoss, LayerNorms, Loss, ReconstructionLoss, Sparsity, StraightThrough};
pub use model::Sae;
pub use normalisation::{InputNormalisation, Restore, expected_average_scale, unit_mean_square_scale};
pub use prepared::PreparedSae;
