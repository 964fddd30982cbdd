//! Any bytes as an archive of arrays, and as one array: refused with a kind, or arrays that can be read.

use limpid::formats::npz;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    match npz::read(bytes) {
        Ok(arrays) => assert!(arrays.values().all(|array| array.array::<f32>().is_ok())),
        Err(error) => assert!(error.format_kind().is_some(), "{error}"),
    }
    // without an archive around it no checksum stops a change
    match npz::read_array(bytes) {
        Ok(array) => {
            let elements = array.array::<f64>().expect("an array that was accepted");
            assert!(elements.shape() == array.shape() && elements.len() <= bytes.len());
        }
        Err(error) => assert!(error.format_kind().is_some(), "{error}"),
    }
}
