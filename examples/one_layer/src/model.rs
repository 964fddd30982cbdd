//! A transformer with one layer and without layer norms, so that what a neuron writes moves the logits linearly.
//!
//! ```text
//! e = E[tokens] + P          r = e + Σ_h softmax(Q_h K_hᵀ/√w, causal) V_h O_h
//! a = ReLU(r W_in + b_in)    logits = (r + a W_out + b_out) U + b_u
//! ```
//!
//! Letters: `b` windows, `t` tokens of each, `d` width, `m` neurons, `v` vocabulary.

use candle_core::{D, DType, Device, Tensor, Var};
use limpid::Seed;
use limpid::math::random::fill_normal;
use ndarray::{Array2, ArrayRef2};

use crate::causal::softmax;
use crate::{Error, Result};

/// Sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub vocabulary: usize,
    pub width: usize,
    pub heads: usize,
    pub neurons: usize,
    /// Most tokens that are read together.
    pub context: usize,
}

/// Number of weight tensors.
pub const WEIGHTS: usize = 12;

impl Shape {
    /// Names and shapes of all weights.
    pub fn weights(&self) -> [(&'static str, Vec<usize>); WEIGHTS] {
        let Self { vocabulary: v, width: d, neurons: m, context: t, .. } = *self;
        [
            ("embed", vec![v, d]),
            ("position", vec![t, d]),
            ("query", vec![d, d]),
            ("key", vec![d, d]),
            ("value", vec![d, d]),
            ("output", vec![d, d]),
            ("mlp_in", vec![d, m]),
            ("mlp_in_bias", vec![m]),
            ("mlp_out", vec![m, d]),
            ("mlp_out_bias", vec![d]),
            ("unembed", vec![d, v]),
            ("unembed_bias", vec![v]),
        ]
    }

    /// Whether these sizes make a model.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<()> {
        let Self { vocabulary, width, heads, neurons, context } = *self;
        if [vocabulary, width, heads, neurons, context].iter().any(|size| !(1..=8192).contains(size)) {
            return Err(Error("a size of the model is not between 1 and 8192".to_owned()));
        }
        if width % heads != 0 {
            return Err(Error(format!("width {width} is not a multiple of {heads} heads")));
        }
        Ok(())
    }
}

/// The model with its weights.
#[derive(Debug, Clone)]
pub struct Model {
    pub shape: Shape,
    /// In the order of [`Shape::weights`].
    pub weights: [Var; WEIGHTS],
}

impl Model {
    /// A model with random weights.
    ///
    /// # Errors
    /// Sizes that make no model.
    pub fn new(shape: Shape, seed: u64) -> Result<Self> {
        shape.check()?;
        let mut all = Vec::new();
        for (item, (name, dims)) in (0..).zip(shape.weights()) {
            let mut values = vec![0.0_f32; dims.iter().product()];
            let deviation = match name {
                "embed" | "position" => 0.3,
                name if name.ends_with("bias") => 0.0,
                // what is added to the residual stream starts small
                "output" | "mlp_out" => 0.5 / (dims[0] as f32).sqrt(),
                _ => 1.0 / (dims[0] as f32).sqrt(),
            };
            if deviation > 0.0 {
                fill_normal(&mut Seed(seed).stream(0x6d6f_6465, item), deviation, &mut values);
            }
            all.push(Tensor::from_vec(values, dims, &Device::Cpu)?);
        }
        Self::of(shape, &all)
    }

    /// A model with these weights, which have the right shapes.
    ///
    /// # Errors
    /// Another number of weights.
    pub fn of(shape: Shape, weights: &[Tensor]) -> Result<Self> {
        let weights: Vec<Var> = weights.iter().map(Var::from_tensor).collect::<candle_core::Result<_>>()?;
        let weights = weights.try_into().map_err(|_| Error("not the weights of a model".to_owned()))?;
        Ok(Self { shape, weights })
    }

    /// Weights that are no longer trained: no gradients are kept for them.
    pub fn frozen(&self) -> Frozen {
        Frozen { shape: self.shape, weights: self.weights.each_ref().map(|weight| weight.as_detached_tensor()) }
    }

    /// Weights that gradients are kept for.
    pub fn trained(&self) -> Frozen {
        Frozen { shape: self.shape, weights: self.weights.each_ref().map(|weight| weight.as_tensor().clone()) }
    }
}

/// The model as a function.
#[derive(Debug, Clone)]
pub struct Frozen {
    pub shape: Shape,
    weights: [Tensor; WEIGHTS],
}

impl Frozen {
    /// Tokens `(b, t)` as numbers of the embedding, `(b, t, d)`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        let (b, t) = tokens.dims2()?;
        let rows = self.weights[0].index_select(&tokens.flatten_all()?, 0)?;
        Ok(rows.reshape((b, t, self.shape.width))?)
    }

    /// What attention leaves in the residual stream, `(b t, d)`, of embeddings `(b, t, d)`.
    pub fn residual(&self, embedded: &Tensor) -> Result<Tensor> {
        let [_, position, query, key, value, output, ..] = &self.weights;
        let (b, t, d) = embedded.dims3()?;
        let (heads, each) = (self.shape.heads, d / self.shape.heads);
        let e = embedded.broadcast_add(&position.narrow(0, 0, t)?)?;
        let rows = e.reshape((b * t, d))?;
        let split = |weight: &Tensor| -> Result<Tensor> {
            Ok(rows.matmul(weight)?.reshape((b, t, heads, each))?.transpose(1, 2)?.contiguous()?)
        };
        let (q, k, v) = (split(query)?, split(key)?, split(value)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? / (each as f64).sqrt())?;
        let seen = softmax(&scores)?;
        let read = seen.matmul(&v)?.transpose(1, 2)?.contiguous()?.reshape((b * t, d))?;
        Ok((rows + read.matmul(output)?)?)
    }

    /// Activations of the neurons, `(b t, m)`, of the residual stream `(b t, d)`.
    pub fn neurons(&self, residual: &Tensor) -> Result<Tensor> {
        Ok(residual.matmul(&self.weights[6])?.broadcast_add(&self.weights[7])?.relu()?)
    }

    /// Logits `(b t, v)` of the residual stream `(b t, d)` and activations `(b t, m)`.
    pub fn logits(&self, residual: &Tensor, activations: &Tensor) -> Result<Tensor> {
        let [.., mlp_out, mlp_out_bias, unembed, unembed_bias] = &self.weights;
        let stream = (residual + activations.matmul(mlp_out)?)?.broadcast_add(mlp_out_bias)?;
        Ok(stream.matmul(unembed)?.broadcast_add(unembed_bias)?)
    }

    /// Residual stream `(b t, d)` and activations `(b t, m)` of tokens `(b, t)`.
    pub fn read(&self, tokens: &Tensor) -> Result<(Tensor, Tensor)> {
        let residual = self.residual(&self.embed(tokens)?)?;
        let activations = self.neurons(&residual)?;
        Ok((residual, activations))
    }

    /// Logits `(b t, v)` of tokens `(b, t)`.
    pub fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let (residual, activations) = self.read(tokens)?;
        self.logits(&residual, &activations)
    }

    /// The embedding of all tokens, `(v, d)`.
    pub fn embedding(&self) -> Result<Array2<f32>> {
        rows(&self.weights[0])
    }

    /// What one unit of each neuron adds to the logits, `(m, v)`.
    pub fn logit_effects(&self) -> Result<Array2<f32>> {
        rows(&self.weights[8].matmul(&self.weights[10])?)
    }
}

/// Windows of tokens as one tensor `(b, t)`.
pub fn windows<'a>(windows: impl IntoIterator<Item = &'a [u32]>, context: usize) -> Result<Tensor> {
    let all: Vec<u32> = windows.into_iter().flatten().copied().collect();
    Ok(Tensor::from_vec(all.clone(), (all.len() / context, context), &Device::Cpu)?)
}

/// Losses `(b t)` of logits `(b t, v)` at these next tokens, in nats.
pub fn losses(logits: &Tensor, next: &[u32]) -> Result<Tensor> {
    let next = Tensor::from_slice(next, (next.len(), 1), &Device::Cpu)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let total = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok((total - shifted.gather(&next, 1)?)?.squeeze(1)?)
}

/// A matrix of candle as one of ndarray.
pub fn rows(tensor: &Tensor) -> Result<Array2<f32>> {
    let shape = tensor.dims2()?;
    let values: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Array2::from_shape_vec(shape, values).map_err(|e| Error(e.to_string()))
}

/// A matrix of ndarray as one of candle.
pub fn tensor(rows: &ArrayRef2<f32>) -> Result<Tensor> {
    Ok(Tensor::from_vec(rows.iter().copied().collect::<Vec<f32>>(), rows.dim(), &Device::Cpu)?)
}
