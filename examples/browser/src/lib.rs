//! What the page can call. Each part is plain Rust that is tested on the host; this file only passes on.
//!
//! Errors become exceptions of JavaScript with the message of the crate.

pub mod codes;
pub mod encoder;
pub mod features;
pub mod toy;
pub mod words;

use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::*;

use encoder::Encoder;
use features::Session;
use toy::Toy;
use words::Classifier;

/// What went wrong, in words.
pub type Trouble = Box<dyn core::error::Error>;

fn thrown(trouble: impl core::fmt::Display) -> JsError {
    JsError::new(&trouble.to_string())
}

/// A toy model that is trained a few steps at a time.
#[wasm_bindgen(js_name = Toy)]
pub struct JsToy(Toy);

#[wasm_bindgen(js_class = Toy)]
impl JsToy {
    /// `features` sparse features through `hidden` dimensions; importance falls by `decay` from one to the next.
    #[wasm_bindgen(constructor)]
    pub fn new(features: usize, hidden: usize, decay: f32, density: f32, seed: u32) -> Result<Self, JsError> {
        Toy::new((features, hidden), decay, density, u64::from(seed)).map(Self).map_err(thrown)
    }

    /// From now on a feature is present in this share of the samples.
    #[wasm_bindgen(js_name = setDensity)]
    pub fn set_density(&mut self, density: f32) -> Result<(), JsError> {
        self.0.set_density(density).map_err(thrown)
    }

    /// Moves every vector a little at random, so that those that were given up can come back.
    pub fn shake(&mut self) {
        self.0.shake();
    }

    /// Trains, and gives the mean loss of these steps as a share of what a model without weights has.
    pub fn advance(&mut self, steps: usize) -> Result<f64, JsError> {
        self.0.advance(steps).map_err(thrown)
    }

    /// Steps done.
    #[wasm_bindgen(getter)]
    pub fn step(&self) -> usize {
        self.0.step()
    }

    /// Feature after feature, its place in the hidden dimensions.
    pub fn vectors(&self) -> Vec<f32> {
        self.0.vectors()
    }

    /// Share of a dimension that each feature has.
    pub fn dimensionality(&self) -> Result<Vec<f32>, JsError> {
        self.0.dimensionality().map_err(thrown)
    }
}

/// Dropped files: an autoencoder, activations, a vocabulary.
#[wasm_bindgen(js_name = Session)]
#[derive(Default)]
pub struct JsSession(Session);

#[wasm_bindgen(js_class = Session)]
impl JsSession {
    /// Nothing was dropped yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a file and says in words what it is. A file that cannot be used changes nothing.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<String, JsError> {
        self.0.add(name, bytes).map_err(thrown)
    }

    /// What is there and what is missing, as the JSON of a `Status`.
    pub fn status(&self) -> String {
        self.0.status()
    }

    /// The autoencoder, for the program that encodes on a graphics device; one that only the processor computes is an error.
    #[wasm_bindgen(unchecked_return_type = "Autoencoder")]
    pub fn autoencoder(&self) -> Result<Array, JsError> {
        let (settings, arrays) = self.0.parts().map_err(thrown)?;
        let arrays = arrays.iter().map(|array| Float32Array::from(&array[..]).into());
        Ok(core::iter::once(JsValue::from(settings)).chain(arrays).collect())
    }

    /// Begins a pass over the activations, and gives the number of their rows.
    pub fn start(&mut self) -> Result<usize, JsError> {
        self.0.start().map_err(thrown)
    }

    /// The rows that come next, one after the other; none in the end.
    pub fn rows(&self) -> Result<Vec<f32>, JsError> {
        self.0.rows().map_err(thrown)
    }

    /// Active features of such rows.
    #[wasm_bindgen(unchecked_return_type = "Codes")]
    pub fn encode(&self, x: Vec<f32>) -> Result<Array, JsError> {
        self.0.encode(x).map(|codes| codes::for_js(&codes)).map_err(thrown)
    }

    /// Takes up the `Codes` of the rows that come next, from wherever they were encoded.
    pub fn take(&mut self, counts: &[u32], latents: &[u32], values: &[f32]) -> Result<(), JsError> {
        self.0.take(counts, latents, values).map_err(thrown)
    }

    /// A page on the features, once all rows were taken up.
    pub fn page(&mut self) -> Result<String, JsError> {
        self.0.page().map_err(thrown)
    }
}

/// A made-up autoencoder as files `[name, bytes]`, to try the page with.
#[wasm_bindgen(js_name = exampleFiles)]
pub fn example_files() -> Result<Array, JsError> {
    let files = features::example().map_err(thrown)?;
    Ok(files.into_iter().map(|(name, bytes)| Array::of2(&name.into(), &js_sys::Uint8Array::from(&bytes[..]))).collect())
}

/// A small classifier of sentences, trained on sentences that it makes itself.
#[wasm_bindgen(js_name = Classifier)]
pub struct JsClassifier(Classifier);

#[wasm_bindgen(js_class = Classifier)]
impl JsClassifier {
    /// An untrained one.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u32) -> Result<Self, JsError> {
        Classifier::new(u64::from(seed)).map(Self).map_err(thrown)
    }

    /// Trains; gives the share of the training that is done.
    pub fn train(&mut self, steps: usize) -> Result<f64, JsError> {
        self.0.train(steps).map_err(thrown)
    }

    /// Share of sentences that it has never seen and judges rightly.
    pub fn accuracy(&mut self) -> Result<f64, JsError> {
        self.0.accuracy().map_err(thrown)
    }

    /// Why a text is praise, by `integrated_gradients`, `input_x_gradient` or `leave_one_out`: the JSON of an `Explained`.
    pub fn explain(&mut self, text: &str, method: &str) -> Result<String, JsError> {
        self.0.explain(text, method).map_err(thrown)
    }
}

/// A TopK autoencoder that encodes batches, to measure it by.
#[wasm_bindgen(js_name = Encoder)]
pub struct JsEncoder(Encoder);

#[wasm_bindgen(js_class = Encoder)]
impl JsEncoder {
    /// Random weights of `width` inputs and `latents` latents of which `k` are active, and a batch of `rows` samples.
    #[wasm_bindgen(constructor)]
    pub fn new(width: usize, latents: usize, k: usize, rows: usize) -> Result<Self, JsError> {
        Encoder::new((width, latents), k, rows).map(Self).map_err(thrown)
    }

    /// Encodes the batch `times` times; gives the sum of the active features of the last time.
    pub fn encode(&self, times: usize) -> Result<f64, JsError> {
        self.0.encode(times).map_err(thrown)
    }

    /// Encoder `(width, latents)`, row by row.
    #[wasm_bindgen(getter)]
    pub fn weights(&self) -> Vec<f32> {
        self.0.weights()
    }

    /// The batch `(rows, width)`, row by row.
    #[wasm_bindgen(getter)]
    pub fn batch(&self) -> Vec<f32> {
        self.0.batch()
    }
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Settings as JSON; encoder `(width, latents)` and its bias, decoder `(latents, width)` and its bias, row by row; thresholds. */
export type Autoencoder = [settings: string, encoder: Float32Array, encoderBias: Float32Array, decoder: Float32Array, decoderBias: Float32Array, thresholds: Float32Array];
/** The JSON of `Session.status`. */
export interface Status {
  /** Whether an autoencoder and activations are there. */
  ready: boolean;
  /** Lines on what was taken up. */
  have: string[];
  /** What has to be dropped before a page can be made. */
  missing: string[];
}
/** The JSON of `Classifier.explain`. */
export interface Explained {
  tokens: { text: string; known: boolean; value: number | null }[];
  /** Probability that the text is praise. */
  probability: number;
  /** Difference of the logits for the text, and for a text without words. */
  output: number;
  base: number;
  /** Sum of the values less `output - base`, of methods that promise 0. */
  delta: number | null;
  /** Passes through the model. */
  evaluations: number;
  /** Words beyond the longest text that the model reads. */
  cut: number;
}
"#;
