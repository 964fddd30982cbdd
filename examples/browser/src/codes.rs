//! Active features as the programs of the page hand them out; both of them include this file.

use js_sys::{Array, Float32Array, Uint32Array};
use limpid::sae::Codes;
use wasm_bindgen::prelude::wasm_bindgen;

/// How many features are active in each row, and row after row their latents and values.
pub type Arrays = (Vec<u32>, Vec<u32>, Vec<f32>);

/// Takes codes apart.
#[must_use]
pub fn arrays(codes: &Codes<f32>) -> Arrays {
    let mut arrays = Arrays::default();
    for row in 0..codes.rows() {
        let before = arrays.1.len();
        for (latent, value) in codes.row(row) {
            arrays.1.push(latent as u32);
            arrays.2.push(value);
        }
        arrays.0.push((arrays.1.len() - before) as u32);
    }
    arrays
}

/// A `Codes` of JavaScript.
#[must_use]
pub fn for_js(codes: &Codes<f32>) -> Array {
    let (counts, latents, values) = arrays(codes);
    Array::of3(&Uint32Array::from(&counts[..]), &Uint32Array::from(&latents[..]), &Float32Array::from(&values[..]))
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** How many features are active in each row, and row after row their latents and values. */
export type Codes = [counts: Uint32Array, latents: Uint32Array, values: Float32Array];
"#;
