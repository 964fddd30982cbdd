//! What `config.json` says of a BERT.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// The sizes that `config.json` states.
#[derive(Debug, Clone)]
pub struct Config {
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub neurons: usize,
    pub positions: usize,
    pub epsilon: f64,
    pub activation: Activation,
}

/// The function between the two MLP matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)` with the exact error function.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    Relu,
}

impl Config {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// A file that is missing or not JSON, another architecture, a size that is missing or senseless.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| Error::at(path, e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| Error::at(path, format!("not JSON: {e}")))?;
        check_architecture(&json).and_then(|()| Self::of(&json)).map_err(|says| Error::at(path, says))
    }

    fn of(json: &Value) -> std::result::Result<Self, String> {
        let size = |key: &str| match json[key].as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if (1..=1 << 20).contains(&n) => Ok(n),
            _ => Err(format!("{key} is missing or not between 1 and 2^20")),
        };
        let (hidden, heads) = (size("hidden_size")?, size("num_attention_heads")?);
        if hidden % heads != 0 {
            return Err(format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}"));
        }
        Ok(Self {
            vocab: size("vocab_size")?,
            hidden,
            layers: size("num_hidden_layers")?,
            heads,
            neurons: size("intermediate_size")?,
            positions: size("max_position_embeddings")?,
            epsilon: json["layer_norm_eps"].as_f64().unwrap_or(1e-12),
            activation: activation(json)?,
        })
    }
}

/// Refuses what would run but give other numbers than the model's own.
fn check_architecture(json: &Value) -> std::result::Result<(), String> {
    match json["model_type"].as_str() {
        Some("bert") => {}
        Some(kind) => return Err(format!("model_type is \"{kind}\", only \"bert\" is understood")),
        None => return Err("model_type is missing, only \"bert\" is understood".to_owned()),
    }
    match json["position_embedding_type"].as_str() {
        None | Some("absolute") => {}
        Some(kind) => {
            return Err(format!("position_embedding_type \"{kind}\" is not supported, only \"absolute\""));
        }
    }
    if json["is_decoder"] == true {
        return Err("is_decoder is true: only encoders are understood".to_owned());
    }
    Ok(())
}

fn activation(json: &Value) -> std::result::Result<Activation, String> {
    match json["hidden_act"].as_str().unwrap_or("gelu") {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(format!("hidden_act \"{other}\" is not supported")),
    }
}
