//! Saved sparse autoencoders.

mod bytes;
mod circuit_tracer;
mod crc32;
mod crosscoder;
mod detect;
mod dictionary_learning;
#[cfg(feature = "std")]
pub mod disk;
mod files;
mod gemma_scope;
mod json;
mod llama_scope;
mod loaded;
pub mod npz;
mod openai;
mod pickle;
mod saelens;
mod saelens_write;
pub mod safetensors;
mod settings;
mod sparsify;
mod tensor;
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
