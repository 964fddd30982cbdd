//! Any bytes as an archive of arrays, and as one array: refused with a kind, or arrays that can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limpid::formats::npz;

fuzz_target!(|bytes: &[u8]| {
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
});
