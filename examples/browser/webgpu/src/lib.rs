//! The encoder on a graphics device, for a page whose first program has read the files.
//!
//! An autoencoder comes as what `Session.autoencoder` of that program gives: its settings as JSON, its numbers as arrays.
//! Whatever fails, an activation that only the processor computes among it, is an exception with the message of the crate.

#[path = "../../src/codes.rs"]
pub mod codes;
pub mod parts;

use js_sys::Array;
use limpid::gpu::{GpuContext, GpuSae, GpuSettings};
use ndarray::Array2;
use wasm_bindgen::prelude::*;

fn thrown(trouble: impl core::fmt::Display) -> JsError {
    JsError::new(&trouble.to_string())
}

/// A graphics device.
#[wasm_bindgen]
pub struct Device(GpuContext);

#[wasm_bindgen]
impl Device {
    /// Opens the fastest one.
    pub async fn open() -> Result<Device, JsError> {
        // a page shares the device's memory with others
        let settings = GpuSettings { pool_bytes: 1 << 28, ..GpuSettings::default() };
        GpuContext::request(settings).await.map(Self).map_err(thrown)
    }

    /// Copies an `Autoencoder` to the device.
    pub fn load(
        &self,
        settings: &str,
        encoder: Vec<f32>,
        encoder_bias: Vec<f32>,
        decoder: Vec<f32>,
        decoder_bias: Vec<f32>,
        thresholds: Vec<f32>,
    ) -> Result<Encoder, JsError> {
        let sae = parts::sae(settings, [encoder, encoder_bias, decoder, decoder_bias, thresholds]).map_err(thrown)?;
        let width = sae.d_in();
        GpuSae::new(&self.0, &sae).map(|sae| Encoder { sae, width }).map_err(thrown)
    }

    /// Whether the device is gone; a new one can be opened.
    #[wasm_bindgen(getter)]
    pub fn lost(&self) -> bool {
        self.0.is_lost()
    }

    /// The browser's own words on the first fault.
    #[wasm_bindgen(getter)]
    pub fn message(&self) -> Option<String> {
        self.0.message()
    }

    /// Gives the device up.
    pub fn destroy(&self) {
        self.0.destroy();
    }
}

/// An autoencoder on a device.
#[wasm_bindgen]
pub struct Encoder {
    sae: GpuSae,
    width: usize,
}

#[wasm_bindgen]
impl Encoder {
    /// Active features of `x`, row after row.
    #[wasm_bindgen(unchecked_return_type = "Codes")]
    pub async fn encode(&self, x: Vec<f32>) -> Result<Array, JsError> {
        let x = Array2::from_shape_vec((x.len() / self.width, self.width), x)?;
        let features = self.sae.encode(&x).map_err(thrown)?;
        let codes = features.read(self.sae.context()).await.map_err(thrown)?;
        Ok(codes::for_js(&codes))
    }
}
