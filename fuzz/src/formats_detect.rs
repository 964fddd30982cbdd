//! Any files under the names that formats use: refused with a kind, or an autoencoder.
//!
//! Input: a byte for the hint, then per file its name (a byte), its length (u16, little-endian) and its bytes.

use limpid::formats::{Files, Format, Hint, detect, load};

/// The script that makes the seeds has the same list.
const NAMES: [&str; 20] = [
    "cfg.json",
    "config.json",
    "hyperparams.json",
    "sae_weights.safetensors",
    "sparsity.safetensors",
    "activation_scaler.json",
    "sae.safetensors",
    "params.npz",
    "params.safetensors",
    "ae.pt",
    "cc_weights.pt",
    "0.pt",
    "checkpoints/final.safetensors",
    "layer_0.safetensors",
    "W_enc_0.safetensors",
    "W_dec_0.safetensors",
    "W_enc_1.safetensors",
    "W_dec_1.safetensors",
    "params_layer_1.safetensors",
    "other.safetensors",
];

const FORMATS: [Option<Format>; 10] = [
    None,
    Some(Format::SaeLens),
    Some(Format::GemmaScope),
    Some(Format::GemmaScope2),
    Some(Format::DictionaryLearning),
    Some(Format::Sparsify),
    Some(Format::OpenAi),
    Some(Format::LlamaScope),
    Some(Format::CircuitTracer),
    Some(Format::Crosscoder),
];

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let mut files = Files::new();
    while let Some((&[name, low, high], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (file, after) = after.split_at(length);
        files.insert(NAMES[usize::from(name) % NAMES.len()], file);
        rest = after;
    }
    if let Err(error) = detect(&files) {
        assert!(error.format_kind().is_some(), "{error}");
    }
    let hint = Hint {
        format: FORMATS[usize::from(first) % FORMATS.len()],
        layer: (first & 0x20 != 0).then_some(usize::from(first >> 6)),
        batch_top_k: (first & 0x10 != 0).then_some(first & 0x40 != 0),
        input_scale: (first & 0x80 != 0).then_some(0.5),
    };
    match load::<f32>(&files, &hint) {
        Ok(loaded) => assert!(loaded.sae.check().is_ok()),
        Err(error) => assert!(error.format_kind().is_some(), "{error}"),
    }
}
