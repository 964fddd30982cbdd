//! Any bytes as a safetensors file: refused with a kind, or tensors that can be read and written again.

use limpid::formats::{Tensor, safetensors};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let tensors = match safetensors::read(bytes) {
        Ok(tensors) => tensors,
        Err(error) => {
            assert!(error.format_kind().is_some(), "{error}");
            return;
        }
    };
    assert!(tensors.values().all(|tensor| tensor.array::<f32>().is_ok()));
    let list: Vec<(&str, Tensor<'_>)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let written = safetensors::write(&list, &[("key", "text")]).expect("tensors that were just read");
    assert_eq!(safetensors::read(&written).as_ref(), Ok(&tensors));
}
