//! How a transformer moves information: attention, residual streams, patching.
//!
//! Most of it works on tensors that the caller took out of a model, patching on the model itself; two more letters: `l` layers, `h` heads.
//!
//! | question | methods |
//! |---|---|
//! | where does attention look? | [`RawAttention`], [`Fusion`], [`Mixing`] |
//! | which tokens does a position hold, through all layers? | [`attention_rollout`], [`attention_flow`] |
//! | and by what is done with them? | [`ValueZeroing`], [`AttentionBlock`] (ALTI), then [`rollout()`] |
//! | through which blocks did it come? | [`information_flow_routes`] |
//! | which components wrote a logit? | [`direct_logit()`], [`direct_logit_neurons`], [`project_heads`] |
//! | what would the model say after each layer? | [`logit_lens()`] |
//! | which activations make the difference between two inputs? | [`ActivationPatching`]; estimated, [`AttributionPatching`] or [`attribution_patching()`] |
//! | and where attention is saturated, or effects cancel? (AtP*) | [`QkFix`], [`GradDrop`] |
//! | which paths do? | [`PathPatching`] |
//! | which edges do? | [`EdgeAttribution`] at the points of [`EdgeGradients`] (EAP, EAP-IG) or of a [`GradPath`] (EAP-GP), then [`Pruning`] |
//! | which tokens and activations matter, where attention repairs itself? | [`Gim`] |
//!
//! The norm before a sum is read is a [`ResidualNorm`], the way from the residual stream to logits a [`Readout`].

pub mod activation_patching;
pub mod alti;
pub mod attention;
pub mod attribution_patching;
pub mod direct_logit;
pub mod eap_ig;
pub mod edge_attribution;
pub mod flow;
pub mod gim;
pub mod grad_drop;
pub mod grad_path;
pub mod heads;
pub mod information_flow;
pub mod layer_attribution_patching;
pub mod logit_lens;
mod max_flow;
pub mod norm;
pub mod path_patching;
pub mod pruning;
pub mod qk_fix;
pub mod readout;
pub mod rollout;
pub mod value_zeroing;

pub use activation_patching::{ActivationPatching, PatchEffects};
pub use alti::{AttentionBlock, alti};
pub use attention::{Fusion, Mixing, RawAttention};
pub use attribution_patching::{NodeScores, PatchDirection, attribution_patching};
pub use direct_logit::{DirectLogit, direct_logit, direct_logit_neurons};
pub use eap_ig::{EdgeGradients, GradientPass, interpolate};
pub use edge_attribution::{Edge, EdgeAttribution, EdgeBatch, SourceDifferences};
pub use flow::{attention_flow, attention_flow_of, flow, normalised_flow};
pub use gim::Gim;
pub use grad_drop::GradDrop;
pub use grad_path::{GradPath, GradPathPoints};
pub use heads::project_heads;
pub use information_flow::{
    AttentionEdges, Carrier, LayerEdges, MlpEdges, RouteEdge, Routes, attention_edges, information_flow_routes,
    mlp_edges,
};
pub use layer_attribution_patching::{AttributionPatching, LayerScores};
pub use logit_lens::{LogitLens, logit_lens};
pub use norm::ResidualNorm;
pub use path_patching::PathPatching;
pub use pruning::{Circuit, Keep, Pruning, Search};
pub use qk_fix::{AttentionRun, QkEffects, QkFix};
pub use readout::Readout;
pub use rollout::{attention_rollout, rollout};
pub use value_zeroing::{Distance, ValueZeroing};

/// Most tokens of a table of tokens by tokens.
pub const MAX_TOKENS: usize = 1 << 16;
