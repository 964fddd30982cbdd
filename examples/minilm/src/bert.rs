//! BERT written out layer by layer, so that what the MLP neurons do can be taken out.
//!
//! Source: Devlin et al., "BERT" (2019); names of tensors as Hugging Face's `BertModel` writes them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Tensor};
use ndarray::Array2;

use crate::config::{Activation, Config};
use crate::frozen::{linear, softmax};
use crate::{Error, Result};

/// Weights by name; every shape is checked as it is taken.
struct Weights {
    tensors: HashMap<String, Tensor>,
    path: PathBuf,
}

impl Weights {
    fn read(path: &Path) -> Result<Self> {
        fs::metadata(path).map_err(|e| Error::at(path, e))?;
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .map_err(|e| Error::at(path, format!("truncated or damaged: {e}")))?;
        Ok(Self { tensors, path: path.to_owned() })
    }

    /// Bare encoders leave the prefix out.
    fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name).or_else(|| self.tensors.get(&format!("bert.{name}")))
    }

    fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.find(name).ok_or_else(|| Error::at(&self.path, format!("tensor {name} is missing")))?;
        if tensor.dims() != shape {
            let says = format!("{name} has shape {:?}, config.json says {shape:?}", tensor.dims());
            return Err(Error::at(&self.path, says));
        }
        Ok(tensor.to_dtype(DType::F32)?)
    }

    fn linear(&self, name: &str, input: usize, output: usize) -> Result<Linear> {
        let weight = self.take(&format!("{name}.weight"), &[output, input])?;
        Ok(Linear { weight, bias: self.take(&format!("{name}.bias"), &[output])? })
    }

    fn norm(&self, name: &str, config: &Config) -> Result<Norm> {
        // files converted from TensorFlow have the older names
        let old = self.find(&format!("{name}.gamma")).is_some();
        let [weight, bias] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let weight = self.take(&format!("{name}.{weight}"), &[config.hidden])?;
        let bias = self.take(&format!("{name}.{bias}"), &[config.hidden])?;
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
        Ok(linear(&x.reshape((b * t, d))?, &self.weight, &self.bias)?.reshape((b, t, ()))?)
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
        let seen = softmax(&scores)?.matmul(&v)?;
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
    folder: PathBuf,
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
        // the number of segments is not in every config; a text is all of the first one
        let name = "embeddings.token_type_embeddings.weight";
        let kinds = weights.find(name).and_then(|t| t.dims().first().copied()).filter(|&k| k > 0).unwrap_or(2);
        Ok(Self {
            words: weights.take("embeddings.word_embeddings.weight", &[config.vocab, d])?,
            positions: weights.take("embeddings.position_embeddings.weight", &[config.positions, d])?,
            kind: weights.take(name, &[kinds, d])?.get(0)?,
            norm: weights.norm("embeddings.LayerNorm", &config)?,
            layers: (0..config.layers).map(|i| Layer::read(&weights, &config, i)).collect::<Result<_>>()?,
            folder: folder.to_owned(),
            config,
        })
    }

    /// Errs where the model has no such layer.
    ///
    /// # Errors
    /// A layer out of range.
    pub fn check_layer(&self, layer: usize) -> Result<()> {
        self.layer(layer).map(|_| ())
    }

    fn layer(&self, layer: usize) -> Result<&Layer> {
        let says = || format!("layer {layer} is out of range, layers are 0 to {}", self.layers.len() - 1);
        self.layers.get(layer).ok_or_else(|| Error::at(&self.folder, says()))
    }

    /// Output weights `(d, neurons)` of a layer's MLP: column `i` is what neuron `i` writes.
    ///
    /// # Errors
    /// A layer out of range.
    pub fn output_weights(&self, layer: usize) -> Result<Array2<f64>> {
        let weight = &self.layer(layer)?.down.weight;
        let values: Vec<f64> = weight.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        Array2::from_shape_vec(weight.dims2()?, values).map_err(|e| Error::at(&self.folder, e))
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
        let (start, mask) = self.embed(batch)?;
        let mut x = start.clone();
        for (index, layer) in self.layers.iter().take(last + 1).enumerate() {
            let (neurons, out) = layer.forward(&x, &mask, &self.config)?;
            see(index, &neurons, &out)?;
            x = out;
        }
        Ok(start)
    }

    /// Rows `(t, d)` of the table of word embeddings, to which [`Bert::encode`] adds everything else.
    ///
    /// # Errors
    /// As [`Bert::forward`].
    pub fn word_embeddings(&self, ids: &[u32]) -> Result<Tensor> {
        self.check_sequences(&[ids])?;
        Ok(self.words.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?)
    }

    /// The last layer's output `(b, t, d)` for sequences given as rows of word embeddings `(b, t, d)`, without padding.
    ///
    /// Gradients by `words` can be had.
    ///
    /// # Errors
    /// Sequences that are too long or of another width.
    pub fn encode(&self, words: &Tensor) -> Result<Tensor> {
        let (_, t, _) = words.dims3()?;
        let mask = Tensor::zeros((1, 1, 1, t), DType::F32, &Device::Cpu)?;
        let start = self.placed(words)?;
        self.layers.iter().try_fold(start, |x, layer| Ok(layer.forward(&x, &mask, &self.config)?.1))
    }

    /// Word embeddings `(b, t, d)` with positions and segment added, normalised.
    fn placed(&self, words: &Tensor) -> Result<Tensor> {
        let places = self.positions.narrow(0, 0, words.dim(1)?)?;
        self.norm.apply(&words.broadcast_add(&places)?.broadcast_add(&self.kind)?)
    }

    /// Length of the longest sequence.
    fn check_sequences(&self, batch: &[&[u32]]) -> Result<usize> {
        let t = batch.iter().map(|s| s.len()).max().unwrap_or(0);
        let Config { positions, vocab, .. } = self.config;
        if t == 0 || t > positions {
            return Err(Error::at(&self.folder, format!("a sequence of {t} tokens: the model takes 1 to {positions}")));
        }
        if let Some(id) = batch.iter().copied().flatten().find(|&&id| id as usize >= vocab) {
            let says = format!("token {id} is outside the vocabulary of {vocab}: tokenizer.json is another model's");
            return Err(Error::at(&self.folder, says));
        }
        Ok(t)
    }

    /// Embeddings `(b, t, d)` and what is added to attention scores `(b, 1, 1, t)`.
    fn embed(&self, batch: &[&[u32]]) -> Result<(Tensor, Tensor)> {
        let (b, t) = (batch.len(), self.check_sequences(batch)?);
        let (mut ids, mut mask) = (vec![0_u32; b * t], vec![f32::MIN; b * t]);
        for (row, sequence) in batch.iter().enumerate() {
            ids[row * t..row * t + sequence.len()].copy_from_slice(sequence);
            mask[row * t..row * t + sequence.len()].fill(0.0);
        }
        let mask = Tensor::from_vec(mask, (b, 1, 1, t), &Device::Cpu)?;
        let words = self.words.index_select(&Tensor::from_vec(ids, b * t, &Device::Cpu)?, 0)?.reshape((b, t, ()))?;
        Ok((self.placed(&words)?, mask))
    }
}

/// Each sequence's rows `(t, n)` of `x: (b, t, n)`, without the padding.
///
/// # Errors
/// More or longer sequences than `x` holds.
pub fn unpadded(x: &Tensor, sequences: &[&[u32]]) -> Result<Vec<Tensor>> {
    sequences.iter().enumerate().map(|(i, s)| Ok(x.get(i)?.narrow(0, 0, s.len())?)).collect()
}
