//! BERT written out layer by layer, so that what the MLP neurons do can be taken out.
//!
//! Source: Devlin et al., "BERT" (2019); names of tensors as Hugging Face's `BertModel` writes them.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use serde_json::Value;

use crate::Result;

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
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = fs::read_to_string(path).map_err(|e| named(&e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| named(&e))?;
        let kind = json["model_type"].as_str().unwrap_or("none");
        if kind != "bert" {
            return Err(named(&format!("model_type is \"{kind}\", only \"bert\" is understood")).into());
        }
        let place = json["position_embedding_type"].as_str().unwrap_or("absolute");
        if place != "absolute" {
            return Err(
                named(&format!("position_embedding_type \"{place}\" is not supported, only \"absolute\"")).into()
            );
        }
        let size = |key: &str| match json[key].as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if (1..=1 << 20).contains(&n) => Ok(n),
            _ => Err(named(&format!("{key} is missing or not between 1 and 2^20"))),
        };
        let activation = match json["hidden_act"].as_str().unwrap_or("gelu") {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(named(&format!("hidden_act \"{other}\" is not supported")).into()),
        };
        let (hidden, heads) = (size("hidden_size")?, size("num_attention_heads")?);
        if hidden % heads != 0 {
            return Err(named(&format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}")).into());
        }
        Ok(Self {
            vocab: size("vocab_size")?,
            hidden,
            layers: size("num_hidden_layers")?,
            heads,
            neurons: size("intermediate_size")?,
            positions: size("max_position_embeddings")?,
            epsilon: json["layer_norm_eps"].as_f64().unwrap_or(1e-12),
            activation,
        })
    }
}

/// Weights by name; every shape is checked as it is taken.
struct Weights {
    tensors: HashMap<String, Tensor>,
    path: String,
}

impl Weights {
    fn read(path: &Path) -> Result<Self> {
        let named = |e: &dyn std::fmt::Display| one_line(&format!("{}: {e}", path.display()));
        fs::metadata(path).map_err(|e| named(&e))?;
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| named(&e))?;
        Ok(Self { tensors, path: path.display().to_string() })
    }

    fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let found = self.tensors.get(name).or_else(|| self.tensors.get(&format!("bert.{name}")));
        let tensor = found.ok_or_else(|| format!("{}: tensor {name} is missing", self.path))?;
        if tensor.dims() != shape {
            return Err(
                format!("{}: {name} has shape {:?}, config.json says {shape:?}", self.path, tensor.dims()).into()
            );
        }
        Ok(tensor.to_dtype(DType::F32)?)
    }

    fn linear(&self, name: &str, input: usize, output: usize) -> Result<Linear> {
        let weight = self.take(&format!("{name}.weight"), &[output, input])?;
        Ok(Linear { weight, bias: self.take(&format!("{name}.bias"), &[output])? })
    }

    fn norm(&self, name: &str, config: &Config) -> Result<Norm> {
        let weight = self.take(&format!("{name}.weight"), &[config.hidden])?;
        let bias = self.take(&format!("{name}.bias"), &[config.hidden])?;
        Ok(Norm { weight, bias, epsilon: config.epsilon })
    }
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, d) = x.dims3()?;
        let y = x.reshape((b * t, d))?.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?;
        Ok(y.reshape((b, t, ()))?)
    }
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + self.epsilon)?.sqrt()?;
        Ok(centred.broadcast_div(&deviation)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

impl Layer {
    fn read(weights: &Weights, config: &Config, index: usize) -> Result<Self> {
        let (d, n) = (config.hidden, config.neurons);
        let at = |rest: &str| format!("encoder.layer.{index}.{rest}");
        Ok(Self {
            query: weights.linear(&at("attention.self.query"), d, d)?,
            key: weights.linear(&at("attention.self.key"), d, d)?,
            value: weights.linear(&at("attention.self.value"), d, d)?,
            attended: weights.linear(&at("attention.output.dense"), d, d)?,
            attended_norm: weights.norm(&at("attention.output.LayerNorm"), config)?,
            up: weights.linear(&at("intermediate.dense"), d, n)?,
            down: weights.linear(&at("output.dense"), n, d)?,
            norm: weights.norm(&at("output.LayerNorm"), config)?,
        })
    }

    fn attention(&self, x: &Tensor, mask: &Tensor, heads: usize) -> Result<Tensor> {
        let (b, t, d) = x.dims3()?;
        let split =
            |y: Tensor| -> Result<Tensor> { Ok(y.reshape((b, t, heads, d / heads))?.transpose(1, 2)?.contiguous()?) };
        let (q, k, v) = (split(self.query.apply(x)?)?, split(self.key.apply(x)?)?, split(self.value.apply(x)?)?);
        let scores = (q.matmul(&k.t()?)? / ((d / heads) as f64).sqrt())?.broadcast_add(mask)?;
        let seen = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)?;
        self.attended.apply(&seen.transpose(1, 2)?.contiguous()?.reshape((b, t, d))?)
    }

    /// The MLP's activations, and what the layer hands on.
    fn forward(&self, x: &Tensor, mask: &Tensor, config: &Config) -> Result<(Tensor, Tensor)> {
        let x = self.attended_norm.apply(&(self.attention(x, mask, config.heads)? + x)?)?;
        let before = self.up.apply(&x)?;
        let neurons = match config.activation {
            Activation::Gelu => before.gelu_erf()?,
            Activation::GeluTanh => before.gelu()?,
            Activation::Relu => before.relu()?,
        };
        let out = self.norm.apply(&(self.down.apply(&neurons)? + &x)?)?;
        Ok((neurons, out))
    }
}

/// A BERT encoder in memory.
pub struct Bert {
    pub config: Config,
    words: Tensor,
    positions: Tensor,
    kind: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Reads `config.json` and `model.safetensors` of `folder`.
    ///
    /// # Errors
    /// A missing, damaged or foreign file, a missing tensor, a tensor of another shape.
    pub fn read(folder: &Path) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        let weights = Weights::read(&folder.join("model.safetensors"))?;
        let d = config.hidden;
        let kinds = weights.tensors.iter().find(|(name, _)| name.ends_with("token_type_embeddings.weight"));
        let kinds = kinds.and_then(|(_, tensor)| tensor.dims().first().copied()).filter(|&k| k > 0).unwrap_or(2);
        Ok(Self {
            words: weights.take("embeddings.word_embeddings.weight", &[config.vocab, d])?,
            positions: weights.take("embeddings.position_embeddings.weight", &[config.positions, d])?,
            kind: weights.take("embeddings.token_type_embeddings.weight", &[kinds, d])?.get(0)?,
            norm: weights.norm("embeddings.LayerNorm", &config)?,
            layers: (0..config.layers).map(|i| Layer::read(&weights, &config, i)).collect::<Result<_>>()?,
            config,
        })
    }

    /// Errs where the model has no such layer.
    ///
    /// # Errors
    /// A layer out of range.
    pub fn check_layer(&self, layer: usize) -> Result<()> {
        let layers = self.config.layers;
        if layer < layers {
            Ok(())
        } else {
            Err(format!("layer {layer} is out of range: the model has layers 0 to {}", layers - 1).into())
        }
    }

    /// Output weights `(d, neurons)` of a layer's MLP: column `i` is what neuron `i` writes.
    ///
    /// # Errors
    /// A layer out of range.
    pub fn output_weights(&self, layer: usize) -> Result<Vec<Vec<f32>>> {
        self.check_layer(layer)?;
        Ok(self.layers[layer].down.weight.to_vec2()?)
    }

    /// Runs layers `0..=last` on sequences of token ids; shorter ones are padded and masked.
    ///
    /// `see` gets the layer's number, its MLP activations `(b, t, neurons)` and its output `(b, t, d)`. Returns the
    /// embeddings `(b, t, d)`.
    ///
    /// # Errors
    /// No token, a sequence that is too long, an id outside the vocabulary, a layer out of range.
    pub fn forward(
        &self,
        batch: &[&[u32]],
        last: usize,
        mut see: impl FnMut(usize, &Tensor, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        self.check_layer(last)?;
        let (b, t) = (batch.len(), batch.iter().map(|s| s.len()).max().unwrap_or(0));
        if t == 0 || t > self.config.positions {
            return Err(format!("a sequence of {t} tokens: the model takes 1 to {}", self.config.positions).into());
        }
        let (mut ids, mut mask) = (vec![0_u32; b * t], vec![f32::MIN; b * t]);
        for (row, sequence) in batch.iter().enumerate() {
            if let Some(id) = sequence.iter().find(|&&id| id as usize >= self.config.vocab) {
                return Err(format!(
                    "token {id} is outside the vocabulary of {}: the tokenizer is another model's",
                    self.config.vocab
                )
                .into());
            }
            ids[row * t..row * t + sequence.len()].copy_from_slice(sequence);
            mask[row * t..row * t + sequence.len()].fill(0.0);
        }
        let mask = Tensor::from_vec(mask, (b, 1, 1, t), &Device::Cpu)?;
        let words = self.words.index_select(&Tensor::from_vec(ids, b * t, &Device::Cpu)?, 0)?.reshape((b, t, ()))?;
        let places = self.positions.narrow(0, 0, t)?;
        let start = self.norm.apply(&words.broadcast_add(&places)?.broadcast_add(&self.kind)?)?;
        let mut x = start.clone();
        for (index, layer) in self.layers.iter().take(last + 1).enumerate() {
            let (neurons, out) = layer.forward(&x, &mask, &self.config)?;
            see(index, &neurons, &out)?;
            x = out;
        }
        Ok(start)
    }
}

/// The first line of a message, without the backtrace that may follow.
pub(crate) fn one_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}
