//! Saved sparse autoencoders: every published format in, SAELens 6 out.
//!
//! [`load`] takes the [`Files`] of one model and gives a [`LoadedSae`]; [`detect`] tells the [`Format`]; a [`Hint`] answers
//! what files leave open. [`save_saelens`] makes the files of a folder. The containers [`safetensors`], [`npz`] and [`torch`]
//! can be read on their own. All of this takes bytes and gives values; `disk` reads and writes folders, and `activations`
//! reads the files that autoencoders are trained on.
//!
//! [`attribution`] holds results of attribution as JSON. What is known of neurons: [`neuron_record`] and
//! [`scored_simulation`] as JSON in and out, caches of [`delphi`] in, [`neuronpedia`] out.
//!
//! | format | files | encoder | decoder | normalisation of inputs |
//! |---|---|---|---|---|
//! | SAELens 3 to 6 | `sae_weights.safetensors`, `cfg.json` | `(d_in, m)` | `(m, d_out)` | none, per sample, or by an external scale |
//! | Gemma Scope 1, 2 | `params.npz`, `params.safetensors` | `(d_in, m)` | `(m, d_out)` | none |
//! | dictionary_learning | `ae.pt`, `config.json` | `(m, d_in)`, some classes `(d_in, m)` | `(d_in, m)`, or `(m, d_in)` | none, in checkpoints a factor |
//! | sparsify | `sae.safetensors`, `cfg.json` | `(m, d_in)` | `(m, d_out)` | none |
//! | OpenAI | one `.pt` | `(m, d_in)` | `(d_in, m)` | layer norm with top-k |
//! | Llama Scope | `checkpoints/final.safetensors`, `hyperparams.json` | `(m, d_in)` | `(d_out, m)` | a scale |
//! | circuit-tracer | `layer_l.safetensors`; `W_enc_l`, `W_dec_l` | `(m, d_in)` | `(m, d_out)`, `(m, layers, d_out)` | none |
//! | crosscoders | `cc_weights.pt`, `cfg.json` | `(layers, d, m)` | `(m, layers, d)` | none |
//!
//! The orientation of a matrix follows from the format and the name of the tensor, never from its shape: with
//! `d_in = m` shapes say nothing. A shape that contradicts is an error.
//!
//! # Hostile files
//! Every length is compared with the bytes that are there before anything is allocated for it, pickles are read as data,
//! checksums are verified, and nesting is bounded. What is wrong with a file, an error says by its
//! [`FormatKind`].

#[cfg(feature = "std")]
pub mod activations;
pub mod attribution;
pub mod base64;
mod bytes;
mod circuit_tracer;
mod crosscoder;
pub mod delphi;
mod detect;
mod dictionary_learning;
#[cfg(feature = "std")]
pub mod disk;
mod files;
mod gemma_scope;
mod json;
mod llama_scope;
mod loaded;
pub mod neuron_record;
pub mod neuronpedia;
pub mod npz;
mod openai;
mod pickle;
mod record_json;
mod saelens;
mod saelens_write;
pub mod safetensors;
pub mod scored_simulation;
mod settings;
mod sparsify;
mod tensor;
#[cfg(test)]
mod testing;
pub mod torch;
mod weights;
mod zip;

pub use detect::{Format, detect, load};
pub use files::{Files, Hint};
pub use loaded::{Axis, LoadedSae, StoredTensor};
pub use saelens_write::{SaveSettings, save_saelens};
pub use tensor::{Dtype, Tensor, Tensors};

use crate::{Error, FormatKind};

/// The error of a file that is not what its format requires.
fn fail(kind: FormatKind, what: &'static str, offset: usize) -> Error {
    Error::Format { kind, what, offset }
}
