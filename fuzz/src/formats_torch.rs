//! Any bytes as a PyTorch file, and as the pickle inside of one: refused with a kind, or tensors that can be read.

use limpid::formats::torch;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    check(bytes);
    // with right checksums around it every change reaches the pickle
    check(&crate::archive::stored(&[("a/data.pkl", bytes), ("a/data/0", &[1; 240]), ("a/data/1", &[0; 40])]));
}

fn check(file: &[u8]) {
    match torch::read(file) {
        Ok(tensors) => {
            for tensor in tensors.values() {
                // strides may let elements share their place, which is refused when they are read
                if let Ok(array) = tensor.array::<f32>() {
                    assert!(array.shape() == tensor.shape() && array.len() <= file.len());
                }
            }
        }
        Err(error) => assert!(error.format_kind().is_some(), "{error}"),
    }
}
