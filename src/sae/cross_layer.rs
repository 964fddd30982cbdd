//! Cross-layer transcoder: the latents of each layer write to all layers from their own on.
//!
//! ```text
//! f^l = act(x^l W_enc^l + b_enc^l)        y'^t = Σ_{l <= t} f^l W_dec^{l→t} + b_dec^t
//! L = Σ_t L_rec(y'^t, y^t) + Σ_l L_sparsity^l
//! ```
//!
//! Source: Ameisen et al., "Circuit Tracing" (2025),
//! <https://transformer-circuits.pub/2025/attribution-graphs/methods.html>.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis, Slice, Zip};

use super::activation::Activation;
use super::loss::{LayerNorms, Loss, ReconstructionLoss, Sparsity};
use super::model::Sae;
use crate::error::{check_finite, check_limit, check_not_empty, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::math::reduce::column_sums;
use crate::{Dims, Error, Result, Scalar};

/// A transcoder over layers of one width.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CrossLayerTranscoder<T> {
    /// One transcoder per layer: layer `l` of `n` has `d_out = (n - l) d`, its decoders to layers `l, l + 1, ...` side by
    /// side, and `layers = n - l`. Biases of the decoders are not used.
    pub layers: Vec<Sae<T>>,
    /// Output bias `(d)` of each layer.
    pub b_dec: Vec<Array1<T>>,
}

/// Gradient by the parameters of a [`CrossLayerTranscoder`], in their shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossLayerGradient<T> {
    /// By each encoder, `(d, m)`.
    pub w_enc: Vec<Array2<T>>,
    /// By each encoder bias, `(m)`.
    pub b_enc: Vec<Array1<T>>,
    /// By each decoder, `(m, (n - l) d)`.
    pub w_dec: Vec<Array2<T>>,
    /// By each output bias, `(d)`.
    pub b_dec: Vec<Array1<T>>,
}

/// Loss of a batch and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossLayerStep<T> {
    /// Reconstruction error of each layer.
    pub reconstruction: Vec<T>,
    /// Sparsity term of all layers.
    pub sparsity: T,
    /// Gradient of the sum of all terms.
    pub gradient: CrossLayerGradient<T>,
}

impl<T: Scalar> CrossLayerTranscoder<T> {
    /// Checks that the layers fit together.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], those of [`Sae::check`]; [`Error::Unsupported`] for activations other than ReLU
    /// and top-k, for normalisations, skip paths and pre-biases.
    pub fn check(&self) -> Result<()> {
        let count = self.layers.len();
        let Some(first) = self.layers.first() else { return Err(Error::Empty { what: "layers" }) };
        check_limit("layers", count, 1 << 16)?;
        if self.b_dec.len() != count {
            return Err(Error::Shape {
                what: "b_dec",
                expected: Dims::new(&[count]),
                got: Dims::new(&[self.b_dec.len()]),
            });
        }
        let d = first.d_in();
        for (l, (layer, b_dec)) in self.layers.iter().zip(&self.b_dec).enumerate() {
            layer.check()?;
            check_shape("w_dec", &layer.w_dec, &[layer.latents(), (count - l) * d])?;
            check_shape("w_enc", &layer.w_enc, &[d, layer.latents()])?;
            check_shape("b_dec", b_dec, &[d])?;
            check_finite("b_dec", b_dec)?;
            let plain = layer.w_skip.is_none() && !layer.apply_b_dec_to_input && layer.layers == count - l;
            if !plain || !matches!(layer.activation, Activation::Relu | Activation::TopK { .. }) {
                return Err(Error::Unsupported { what: "this layer of a cross-layer transcoder" });
            }
        }
        Ok(())
    }

    /// Features `(b, m)` of every layer for the inputs `x`, `(b, d)` per layer.
    ///
    /// # Errors
    /// Those of [`CrossLayerTranscoder::check`] and of [`Sae::encode`]; [`Error::Shape`] for another number of layers.
    pub fn encode(&self, x: &[Array2<T>]) -> Result<Vec<Array2<T>>> {
        self.check()?;
        self.check_count("x", x.len())?;
        self.layers.iter().zip(x).map(|(layer, x)| layer.encode(x)).collect()
    }

    /// Outputs `(b, d)` of every layer from the features of all.
    ///
    /// # Errors
    /// As [`CrossLayerTranscoder::encode`].
    pub fn decode(&self, features: &[Array2<T>]) -> Result<Vec<Array2<T>>> {
        self.check()?;
        self.check_count("features", features.len())?;
        let rows = features[0].nrows();
        let d = self.layers[0].d_in();
        let mut outputs: Vec<Array2<T>> = self.b_dec.iter().map(|b| Array2::zeros((rows, d)) + b).collect();
        for (l, (layer, f)) in self.layers.iter().zip(features).enumerate() {
            check_shape("features", f, &[rows, layer.latents()])?;
            for (t, output) in outputs.iter_mut().enumerate().skip(l) {
                add_product_into(f, &layer.w_dec.slice_axis(Axis(1), to(l, t, d)), output)?;
            }
        }
        Ok(outputs)
    }

    fn check_count(&self, what: &'static str, got: usize) -> Result<()> {
        let expected = self.layers.len();
        if got == expected {
            Ok(())
        } else {
            Err(Error::Shape { what, expected: Dims::new(&[expected]), got: Dims::new(&[got]) })
        }
    }

    /// Loss for inputs `x` and targets `y`, `(b, d)` per layer, and its gradient. Of `loss` the reconstruction (sum or
    /// mean) and an L1 penalty count, weighed by the norm of a latent's decoders where it says so.
    ///
    /// # Errors
    /// As [`CrossLayerTranscoder::encode`]; [`Error::Unsupported`] for other terms.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::{Activation, CrossLayerTranscoder, Loss, Sae};
    /// use ndarray::{Array1, Array2};
    ///
    /// let layer = |outputs: usize| {
    ///     let (w_enc, w_dec) = (Array2::ones((3, 4)), Array2::<f64>::ones((4, 3 * outputs)));
    ///     let mut sae = Sae::new(w_enc, Array1::zeros(4), w_dec, Array1::zeros(3 * outputs), Activation::Relu)?;
    ///     (sae.layers, sae.apply_b_dec_to_input) = (outputs, false);
    ///     Ok::<_, limpid::Error>(sae)
    /// };
    /// let transcoder = CrossLayerTranscoder { layers: vec![layer(2)?, layer(1)?], b_dec: vec![Array1::zeros(3); 2] };
    /// let (x, y) = (vec![Array2::ones((5, 3)); 2], vec![Array2::zeros((5, 3)); 2]);
    /// let step = transcoder.loss_and_gradient(&Loss::default(), &x, &y)?;
    /// assert_eq!(step.gradient.w_dec[0].dim(), (4, 6));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn loss_and_gradient(&self, loss: &Loss, x: &[Array2<T>], y: &[Array2<T>]) -> Result<CrossLayerStep<T>> {
        let features = self.encode(x)?;
        self.check_count("y", y.len())?;
        check_not_empty("x", &x[0])?;
        let (rows, d) = (x[0].nrows(), self.layers[0].d_in());
        let scale = match loss.reconstruction {
            ReconstructionLoss::Sum => T::of(1.0 / rows as f64),
            ReconstructionLoss::Mean => T::of(1.0 / (rows * d) as f64),
            ReconstructionLoss::Fvu => return Err(Error::Unsupported { what: "fvu of a cross-layer transcoder" }),
        };
        let outputs = self.decode(&features)?;
        let (mut reconstruction, mut by_outputs) = (Vec::new(), Vec::new());
        for (output, y) in outputs.iter().zip(y) {
            check_shape("y", y, output.shape())?;
            check_finite("y", y)?;
            let error = output - y;
            reconstruction.push(scale * error.iter().map(|&e| e * e).sum::<T>());
            by_outputs.push(error * (T::of(2.0) * scale));
        }
        let mut gradient =
            CrossLayerGradient { w_enc: Vec::new(), b_enc: Vec::new(), w_dec: Vec::new(), b_dec: Vec::new() };
        let mut sparsity = T::zero();
        for (l, (layer, f)) in self.layers.iter().zip(&features).enumerate() {
            let mut by_features = Array2::zeros(f.raw_dim());
            let mut by_w_dec = Array2::zeros(layer.w_dec.raw_dim());
            for (t, by_output) in by_outputs.iter().enumerate().skip(l) {
                let part = to(l, t, d);
                add_product_into(by_output, &layer.w_dec.slice_axis(Axis(1), part).t(), &mut by_features)?;
                by_w_dec.slice_axis_mut(Axis(1), part).assign(&product(&f.t(), by_output)?);
            }
            sparsity += penalise(layer, loss.sparsity, f, &mut by_features, &mut by_w_dec)?;
            by_features.zip_mut_with(f, |g, &f| *g = if f > T::zero() { *g } else { T::zero() });
            gradient.w_enc.push(product(&x[l].t(), &by_features)?);
            gradient.b_enc.push(column_sums(&by_features));
            gradient.w_dec.push(by_w_dec);
        }
        gradient.b_dec = by_outputs.iter().map(|by_output| column_sums(by_output)).collect();
        Ok(CrossLayerStep { reconstruction, sparsity, gradient })
    }
}

/// Columns of the decoder of layer `l` that write to layer `t`.
fn to(l: usize, t: usize, d: usize) -> Slice {
    Slice::from((t - l) * d..(t - l + 1) * d)
}

/// Adds an L1 penalty to the gradients of one layer; returns its value.
fn penalise<T: Scalar>(
    layer: &Sae<T>,
    sparsity: Sparsity,
    f: &ArrayRef2<T>,
    by_features: &mut Array2<T>,
    by_w_dec: &mut Array2<T>,
) -> Result<T> {
    let (coefficient, decoder_norm) = match sparsity {
        Sparsity::None => return Ok(T::zero()),
        Sparsity::Lp { coefficient, p: 1.0, root: false, decoder_norm } => (coefficient, decoder_norm),
        _ => return Err(Error::Unsupported { what: "this penalty of a cross-layer transcoder" }),
    };
    let c = T::of(coefficient / f.nrows() as f64);
    let norms = match decoder_norm {
        None => Array1::ones(layer.latents()),
        Some(LayerNorms::Sum) => layer.decoder_norms(),
        Some(LayerNorms::Joint) => layer.w_dec.rows().into_iter().map(|row| crate::math::reduce::norm(&row)).collect(),
    };
    let sums = column_sums(f);
    if let Some(layers) = decoder_norm {
        layer.add_through_norms(&sums.mapv(|s| c * s), layers == LayerNorms::Joint, by_w_dec);
    }
    for mut row in by_features.rows_mut() {
        Zip::from(&mut row).and(&norms).for_each(|g, &norm| *g += c * norm);
    }
    Ok(c * sums.dot(&norms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::fill_normal;
    use alloc::vec;

    fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(8).stream(0, item), 0.6, x.as_slice_mut().unwrap());
        x
    }

    fn transcoder() -> CrossLayerTranscoder<f64> {
        let layer = |l: usize| {
            let (w_enc, w_dec) = (noise(3, 5, l as u64), noise(5, 3 * (3 - l), 10 + l as u64));
            let b_enc = noise(1, 5, 20 + l as u64).row(0).to_owned();
            let mut sae = Sae::new(w_enc, b_enc, w_dec, Array1::zeros(3 * (3 - l)), Activation::Relu).unwrap();
            (sae.layers, sae.apply_b_dec_to_input) = (3 - l, false);
            sae
        };
        let b_dec = (0..3).map(|l| noise(1, 3, 30 + l).row(0).to_owned()).collect();
        CrossLayerTranscoder { layers: (0..3).map(layer).collect(), b_dec }
    }

    fn data(item: u64) -> Vec<Array2<f64>> {
        (0..3).map(|l| noise(7, 3, item + l)).collect()
    }

    fn total(transcoder: &CrossLayerTranscoder<f64>, loss: &Loss) -> f64 {
        let step = transcoder.loss_and_gradient(loss, &data(40), &data(50)).unwrap();
        step.reconstruction.iter().sum::<f64>() + step.sparsity
    }

    #[test]
    fn gradients_are_slopes() {
        for norms in [None, Some(LayerNorms::Sum), Some(LayerNorms::Joint)] {
            let sparsity = Sparsity::Lp { coefficient: 0.2, p: 1.0, root: false, decoder_norm: norms };
            let loss = Loss { sparsity, ..Loss::default() };
            let base = transcoder();
            let g = base.loss_and_gradient(&loss, &data(40), &data(50)).unwrap().gradient;
            let slope = |shift: &dyn Fn(&mut CrossLayerTranscoder<f64>, f64)| {
                let at = |by: f64| {
                    let mut moved = base.clone();
                    shift(&mut moved, by);
                    total(&moved, &loss)
                };
                (at(1e-6) - at(-1e-6)) / 2e-6
            };
            for l in 0..3 {
                for i in 0..5 {
                    assert!((slope(&|t, by| t.layers[l].w_enc[[1, i]] += by) - g.w_enc[l][[1, i]]).abs() < 1e-7);
                    assert!((slope(&|t, by| t.layers[l].b_enc[i] += by) - g.b_enc[l][i]).abs() < 1e-7);
                    let last = 3 * (3 - l) - 1;
                    assert!((slope(&|t, by| t.layers[l].w_dec[[i, last]] += by) - g.w_dec[l][[i, last]]).abs() < 1e-7);
                }
                assert!((slope(&|t, by| t.b_dec[l][2] += by) - g.b_dec[l][2]).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn one_layer_is_a_transcoder() {
        let mut whole = transcoder();
        whole.layers = vec![whole.layers.pop().unwrap()];
        whole.b_dec = vec![whole.b_dec.pop().unwrap()];
        let x = noise(4, 3, 60);
        let mut single = whole.layers[0].clone();
        single.b_dec.assign(&whole.b_dec[0]);
        let output = whole.decode(&whole.encode(core::slice::from_ref(&x)).unwrap()).unwrap().remove(0);
        assert!((output - single.reconstruct(&x).unwrap()).iter().all(|e| e.abs() < 1e-14));
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let mut wrong = transcoder();
        wrong.layers.swap(0, 1);
        assert!(matches!(wrong.check(), Err(Error::Shape { what: "w_dec", .. })));
        assert!(transcoder().encode(&data(1)[..2]).is_err());
    }
}
