//! Loss and gradient of every variant, written by hand over whole matrices: the reference that fast paths must equal.
//!
//! ```text
//! G = ∂L/∂x'          ∂L/∂W_dec = fᵀ G              ∂L/∂b_dec = Σ_b G
//! ∂L/∂f = G W_decᵀ + penalty          ∂L/∂z = ∂L/∂f ⊙ act'(z) + terms of z
//! ∂L/∂W_enc = x̄ᵀ ∂L/∂z                ∂L/∂b_enc = Σ_b ∂L/∂z            x̄ = x - a b_dec
//! a = 1: ∂L/∂b_dec -= W_enc Σ_b ∂L/∂z            ∂L/∂W_skip = Gᵀ x
//!
//! jump_relu  ∂L/∂z = ∂L/∂f ⊙ [z > θ]      ∂L/∂θ = -(1/ε) Σ_b K((z - θ)/ε) (θ ∂L/∂f + ∂L/∂step),  K(u) = [|u| < 1/2]
//! gated      ∂L/∂m = ∂L/∂f ⊙ [π > 0] ⊙ [m > 0]      ∂L/∂u = ∂L/∂π + ∂L/∂m ⊙ exp(r_mag)
//! levels     x'_g = Σ_{i < prefix_g} f_i w_dec_i + b_dec: latent i gets the sum of G over the levels that hold it
//! ```
//!
//! Source: the papers named with [`Loss`] and [`Activation`].

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, Axis, Slice, Zip};

use super::activation::{Activation, magnitude, rectify, scores};
use super::aux::{auxiliary, centred_squares};
use super::loss::{Loss, ReconstructionLoss};
use super::model::Sae;
use super::penalty::penalty;
use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::math::reduce::column_sums;
use crate::{Dims, Error, Result, Scalar};

/// Gradient of a loss by the parameters of an [`Sae`], in their shapes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SaeGradient<T> {
    /// By the encoder, `(d_in, m)`.
    pub w_enc: Array2<T>,
    /// By the encoder bias (of the gate, if gated), `(m)`.
    pub b_enc: Array1<T>,
    /// By the decoder, `(m, d_out)`.
    pub w_dec: Array2<T>,
    /// By the decoder bias, `(d_out)`.
    pub b_dec: Array1<T>,
    /// By the skip path, `(d_out, d_in)`.
    pub w_skip: Option<Array2<T>>,
    /// By the thresholds, `(m)`; times the threshold it is the gradient by its logarithm.
    pub threshold: Option<Array1<T>>,
    /// By bias and log-scale of the size of gated latents, `(m)` each.
    pub magnitude: Option<ByMagnitude<T>>,
}

/// Gradients by bias and log-scale of the size of gated latents, `(m)` each.
pub type ByMagnitude<T> = (Array1<T>, Array1<T>);

/// Reconstruction, losses of the levels, what comes back through them, and the terms.
type Reconstructed<T> = (Array2<T>, Vec<T>, Through<T>, LossTerms<T>);

/// The terms of a loss, weighted as they enter it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LossTerms<T> {
    /// Reconstruction error, with all levels.
    pub reconstruction: T,
    /// Sparsity term.
    pub sparsity: T,
    /// Auxiliary term: of dead latents, or of the gate.
    pub auxiliary: T,
    /// Pre-activation term.
    pub pre_activation: T,
}

impl<T: Scalar> LossTerms<T> {
    /// The sum.
    #[must_use]
    pub fn total(&self) -> T {
        self.reconstruction + self.sparsity + self.auxiliary + self.pre_activation
    }
}

/// Everything that one evaluation of a loss gives.
#[derive(Debug, Clone, PartialEq)]
pub struct LossAndGradient<T> {
    /// Terms of the loss.
    pub terms: LossTerms<T>,
    /// Gradient of their sum.
    pub gradient: SaeGradient<T>,
    /// Features `(b, m)`.
    pub features: Array2<T>,
    /// Reconstruction `(b, d_out)` by all latents.
    pub reconstruction: Array2<T>,
    /// Mean number of features that are not 0.
    pub l0: T,
    /// Smallest positive feature; `None` where nothing is positive.
    pub min_positive: Option<T>,
    /// Losses of the levels of a Matryoshka autoencoder, without their weights.
    pub level_losses: Vec<T>,
}

/// Loss of `sae` on normalised inputs `x: (b, d_in)`, and its gradient.
///
/// `target: (b, d_out)` is what a transcoder predicts, `None` for the input itself; `dead: (m)` says which latents count as
/// dead for the auxiliary terms.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`], [`Error::Unsupported`];
/// [`Error::Singular`] for a fraction of variance of a target that does not vary.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::sae::{Activation, Loss, Sae, Sparsity, loss_and_gradient};
/// use ndarray::array;
///
/// let sae = Sae::<f64>::initialise(2, 4, Activation::Relu, Seed(0))?;
/// let loss = Loss { sparsity: Sparsity::l1(0.1), ..Loss::default() };
/// let step = loss_and_gradient(&sae, &loss, &array![[1.0, 0.5]], None, None)?;
/// assert_eq!(step.gradient.w_enc.dim(), (2, 4));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn loss_and_gradient<T: Scalar>(
    sae: &Sae<T>,
    loss: &Loss,
    x: &ArrayRef2<T>,
    target: Option<&ArrayRef2<T>>,
    dead: Option<&[bool]>,
) -> Result<LossAndGradient<T>> {
    check(sae, loss, x, target, dead)?;
    let pass = Pass::new(sae, loss, x, target.unwrap_or(x), dead)?;
    pass.backward()
}

fn check<T: Scalar>(
    sae: &Sae<T>,
    loss: &Loss,
    x: &ArrayRef2<T>,
    target: Option<&ArrayRef2<T>>,
    dead: Option<&[bool]>,
) -> Result<()> {
    sae.check_input(x)?;
    check_not_empty("x", x)?;
    loss.check(sae)?;
    let shape = [x.nrows(), sae.d_out()];
    match target {
        Some(target) => {
            check_shape("target", target, &shape)?;
            check_finite("target", target)?;
        }
        None => check_shape("x as the target", x, &shape)?,
    }
    match dead {
        Some(dead) if dead.len() != sae.latents() => {
            Err(Error::Shape { what: "dead", expected: Dims::new(&[sae.latents()]), got: Dims::new(&[dead.len()]) })
        }
        _ => Ok(()),
    }
}

/// The forward pass, kept for the backward pass.
struct Pass<'a, T> {
    sae: &'a Sae<T>,
    loss: &'a Loss,
    x: &'a ArrayRef2<T>,
    target: ArrayView2<'a, T>,
    dead: Option<&'a [bool]>,
    centred: Array2<T>,
    z: Array2<T>,
    scores: Array2<T>,
    features: Array2<T>,
    /// Factor of the sum of squares.
    scale: T,
}

/// Gradients that come through reconstructions.
struct Through<T> {
    by_features: Array2<T>,
    w_dec: Array2<T>,
    b_dec: Array1<T>,
    /// By the outputs of all levels together, `(b, d_out)`.
    by_output: Array2<T>,
}

impl<'a, T: Scalar> Pass<'a, T> {
    fn new(
        sae: &'a Sae<T>,
        loss: &'a Loss,
        x: &'a ArrayRef2<T>,
        target: &'a ArrayRef2<T>,
        dead: Option<&'a [bool]>,
    ) -> Result<Self> {
        let centred = sae.centred(x);
        let z = sae.pre_activations(&centred)?;
        let norms = sae.activation.needs_norms().then(|| sae.decoder_norms());
        let features = sae.activation.features(&z, &sae.b_enc, norms.as_ref(), true);
        let scale = match loss.reconstruction {
            ReconstructionLoss::Sum => T::of(1.0 / x.nrows() as f64),
            ReconstructionLoss::Mean => T::of(1.0 / target.len() as f64),
            ReconstructionLoss::Fvu => centred_squares(target).recip(),
        };
        if !scale.is_finite() {
            return Err(Error::Singular { what: "variance of the target" });
        }
        let scores = scores(&z, norms.as_ref());
        Ok(Self { sae, loss, x, target: target.view(), dead, centred, z, scores, features, scale })
    }

    fn backward(self) -> Result<LossAndGradient<T>> {
        let (reconstruction, level_losses, mut through, mut terms) = self.reconstruct()?;
        let active = self.active();
        let l0 = active.map_axis(Axis(1), |row| row.sum());
        let gate = self.z.mapv(rectify);
        let gated = matches!(self.sae.activation, Activation::Gated { .. });
        let penalty = penalty(self.sae, self.loss.sparsity, if gated { &gate } else { &self.features }, &l0)?;
        terms.sparsity = penalty.value;
        if let Some((by_norms, joint)) = &penalty.by_norms {
            self.sae.add_through_norms(by_norms, *joint, &mut through.w_dec);
        }
        let mut by_gate = Array2::zeros(self.z.raw_dim());
        if let Some(by_features) = penalty.by_features {
            *(if gated { &mut by_gate } else { &mut through.by_features }) += &by_features;
        }
        let (mut by_z, threshold, magnitude) = match &self.sae.activation {
            Activation::JumpRelu { threshold } => {
                let (by_z, by_threshold) =
                    self.through_jump(threshold, &through.by_features, penalty.by_steps.as_ref());
                (by_z, Some(by_threshold), None)
            }
            Activation::Gated { b_mag, r_mag } => {
                terms.auxiliary = self.add_gate_loss(&gate, &mut by_gate, &mut through)?;
                let (by_z, magnitude) = self.through_gate(b_mag, r_mag, &through.by_features, &by_gate);
                (by_z, None, Some(magnitude))
            }
            _ => (&through.by_features * &active, None, None),
        };
        let mut threshold = threshold;
        self.add_aux(&reconstruction, &mut by_z, &mut through, &mut terms)?;
        self.add_pre_activation(&mut by_z, &mut through, threshold.as_mut(), &mut terms);
        self.add_multi_top_k(&mut by_z, &mut through, &mut terms)?;
        let b_enc = column_sums(&by_z);
        let (by_encoded, through_mag) = self.by_projection(by_z, magnitude);
        let w_skip = self.sae.w_skip.as_ref().map(|_| product(&through.by_output.t(), self.x)).transpose()?;
        let mut b_dec = through.b_dec;
        if self.sae.apply_b_dec_to_input {
            let sums = column_sums(&by_encoded);
            b_dec -= &product(&self.sae.w_enc, &sums.view().insert_axis(Axis(1)))?.column(0);
        }
        let gradient = SaeGradient {
            w_enc: product(&self.centred.t(), &by_encoded)?,
            b_enc,
            w_dec: through.w_dec,
            b_dec,
            w_skip,
            threshold,
            magnitude: through_mag,
        };
        let positive = self.features.iter().copied().filter(|&f| f > T::zero());
        Ok(LossAndGradient {
            terms,
            gradient,
            min_positive: positive.reduce(T::min),
            l0: l0.sum() / T::of(self.x.nrows() as f64),
            features: self.features,
            reconstruction,
            level_losses,
        })
    }

    /// 1 where a latent is active, `(b, m)`: what lets a gradient pass.
    fn active(&self) -> Array2<T> {
        match &self.sae.activation {
            Activation::JumpRelu { threshold } => {
                let mut active = Array2::zeros(self.z.raw_dim());
                for (mut active, z) in active.rows_mut().into_iter().zip(self.z.rows()) {
                    Zip::from(&mut active).and(z).and(threshold).for_each(|a, &z, &t| *a = indicator(z > t));
                }
                active
            }
            _ => self.features.mapv(|f| indicator(f > T::zero())),
        }
    }

    fn by_output(&self, reconstruction: &Array2<T>) -> Array2<T> {
        (reconstruction - &self.target) * (T::of(2.0) * self.scale)
    }

    /// Reconstruction by all latents, losses of the levels, and what comes back through them.
    fn reconstruct(&self) -> Result<Reconstructed<T>> {
        let (m, whole) = (self.sae.latents(), [self.sae.latents()]);
        let prefixes = if self.sae.prefixes.is_empty() { &whole[..] } else { &self.sae.prefixes };
        let weight = |g: usize| T::of(self.loss.prefix_weights.get(g).copied().unwrap_or(1.0));
        let mut output = Array2::zeros(self.target.raw_dim()) + &self.sae.b_dec;
        if let Some(w_skip) = &self.sae.w_skip {
            add_product_into(self.x, &w_skip.t(), &mut output)?;
        }
        let run = |start: usize, end: usize| Slice::from(start..end);
        let (mut level_losses, mut by_levels) = (Vec::new(), Vec::new());
        let mut terms = LossTerms::default();
        let mut start = 0;
        for (g, &end) in prefixes.iter().enumerate() {
            let features = self.features.slice_axis(Axis(1), run(start, end));
            add_product_into(&features, &self.sae.w_dec.slice_axis(Axis(0), run(start, end)), &mut output)?;
            let error = &output - &self.target;
            let level = self.scale * error.iter().map(|&e| e * e).sum::<T>();
            terms.reconstruction += weight(g) * level;
            level_losses.push(level);
            by_levels.push(self.by_output(&output) * weight(g));
            start = end;
        }
        let mut by_features = Array2::zeros((self.x.nrows(), m));
        let mut by_w_dec = Array2::zeros(self.sae.w_dec.raw_dim());
        let mut by_output = Array2::zeros(output.raw_dim());
        for (g, by_level) in by_levels.iter().enumerate().rev() {
            by_output += by_level;
            let rows = run(if g == 0 { 0 } else { prefixes[g - 1] }, prefixes[g]);
            let (w_dec, features) = (self.sae.w_dec.slice_axis(Axis(0), rows), self.features.slice_axis(Axis(1), rows));
            by_features.slice_axis_mut(Axis(1), rows).assign(&product(&by_output, &w_dec.t())?);
            by_w_dec.slice_axis_mut(Axis(0), rows).assign(&product(&features.t(), &by_output)?);
        }
        let through = Through { by_features, w_dec: by_w_dec, b_dec: column_sums(&by_output), by_output };
        Ok((output, if self.sae.prefixes.is_empty() { Vec::new() } else { level_losses }, through, terms))
    }

    fn through_jump(
        &self,
        threshold: &Array1<T>,
        by_features: &Array2<T>,
        by_steps: Option<&Array1<T>>,
    ) -> (Array2<T>, Array1<T>) {
        let bandwidth = T::of(self.loss.straight_through.bandwidth);
        let half = T::of(0.5);
        let mut estimates = Array2::zeros(self.z.raw_dim());
        let mut by_z = Array2::zeros(self.z.raw_dim());
        for (b, (mut estimates, mut by_z)) in estimates.rows_mut().into_iter().zip(by_z.rows_mut()).enumerate() {
            let by_step = by_steps.map_or_else(T::zero, |by_steps| by_steps[b]);
            for (i, &t) in threshold.iter().enumerate() {
                let (z, g) = (self.z[[b, i]], by_features[[b, i]]);
                by_z[i] = if z > t { g } else { T::zero() };
                if ((z - t) / bandwidth).abs() < half {
                    estimates[i] = (t * g + by_step) / bandwidth;
                }
            }
        }
        if self.loss.straight_through.to_input {
            by_z += &estimates;
        }
        (by_z, column_sums(&estimates).mapv(|e| -e))
    }

    /// Adds the loss of the rectified gate to its gradients; returns its value.
    fn add_gate_loss(&self, gate: &Array2<T>, by_gate: &mut Array2<T>, through: &mut Through<T>) -> Result<T> {
        let output = product(gate, &self.sae.w_dec)? + &self.sae.b_dec;
        let error = &output - &self.target;
        let value = self.scale * error.iter().map(|&e| e * e).sum::<T>();
        let by_output = self.by_output(&output);
        *by_gate += &product(&by_output, &self.sae.w_dec.t())?;
        if !self.loss.gate.frozen_decoder {
            add_product_into(&gate.t(), &by_output, &mut through.w_dec)?;
            through.b_dec += &column_sums(&by_output);
        }
        Ok(value)
    }

    /// Gradients by the gate, and by the size and its log-scale before the sums over samples.
    fn through_gate(
        &self,
        b_mag: &Array1<T>,
        r_mag: &Array1<T>,
        by_features: &Array2<T>,
        by_gate: &Array2<T>,
    ) -> (Array2<T>, Array2<T>) {
        let mut by_size = magnitude(&self.z, &self.sae.b_enc, b_mag, r_mag);
        Zip::from(&mut by_size).and(&self.z).and(by_features).for_each(|size, &gate, &g| {
            *size = if gate > T::zero() && *size > T::zero() { g } else { T::zero() };
        });
        let mut by_z = by_gate.clone();
        by_z.zip_mut_with(&self.z, |g, &gate| *g = if gate > T::zero() { *g } else { T::zero() });
        (by_z, by_size)
    }

    /// Gradient by `x̄ W_enc`, and those by the parameters of the size.
    fn by_projection(&self, by_z: Array2<T>, by_size: Option<Array2<T>>) -> (Array2<T>, Option<ByMagnitude<T>>) {
        let (Activation::Gated { r_mag, .. }, Some(by_size)) = (&self.sae.activation, by_size) else {
            return (by_z, None);
        };
        let scale = r_mag.mapv(T::exp);
        let projection = &self.z - &self.sae.b_enc;
        let through_scale = &by_size * &scale;
        let by_r_mag = column_sums(&(&through_scale * &projection));
        (by_z + through_scale, Some((column_sums(&by_size), by_r_mag)))
    }

    fn add_aux(
        &self,
        reconstruction: &Array2<T>,
        by_z: &mut Array2<T>,
        through: &mut Through<T>,
        terms: &mut LossTerms<T>,
    ) -> Result<()> {
        let (Some(aux), Some(dead)) = (&self.loss.aux, self.dead) else { return Ok(()) };
        let residual = &self.target - reconstruction;
        if let Some(found) = auxiliary(self.sae, aux, &self.z, &self.scores, &residual, &self.target, dead)? {
            terms.auxiliary += found.value;
            *by_z += &found.by_z;
            through.w_dec += &found.by_w_dec;
        }
        Ok(())
    }

    fn add_pre_activation(
        &self,
        by_z: &mut Array2<T>,
        through: &mut Through<T>,
        by_threshold: Option<&mut Array1<T>>,
        terms: &mut LossTerms<T>,
    ) {
        let coefficient = self.loss.straight_through.pre_activation;
        let (Activation::JumpRelu { threshold }, Some(by_threshold)) = (&self.sae.activation, by_threshold) else {
            return;
        };
        if coefficient == 0.0 {
            return;
        }
        let c = T::of(coefficient / self.x.nrows() as f64);
        let norms = self.sae.decoder_norms();
        let mut by_norms = Array1::zeros(norms.raw_dim());
        for (mut by_z, z) in by_z.rows_mut().into_iter().zip(self.z.rows()) {
            for i in (0..threshold.len()).filter(|&i| self.dead.is_none_or(|dead| dead[i]) && threshold[i] > z[i]) {
                let missing = threshold[i] - z[i];
                terms.pre_activation += c * missing * norms[i];
                by_z[i] -= c * norms[i];
                by_threshold[i] += c * norms[i];
                by_norms[i] += c * missing;
            }
        }
        self.sae.add_through_norms(&by_norms, false, &mut through.w_dec);
    }

    fn add_multi_top_k(&self, by_z: &mut Array2<T>, through: &mut Through<T>, terms: &mut LossTerms<T>) -> Result<()> {
        let Activation::TopK { by_decoder_norm, .. } = self.sae.activation else { return Ok(()) };
        for &(k, weight) in &self.loss.multi_top_k {
            let wider = Activation::TopK { k, by_decoder_norm };
            let norms = by_decoder_norm.then(|| self.sae.decoder_norms());
            let features = wider.features(&self.z, &self.sae.b_enc, norms.as_ref(), true);
            let output = self.sae.decode_normalised(&features, Some(self.x))?;
            let error = &output - &self.target;
            terms.reconstruction += T::of(weight) * self.scale * error.iter().map(|&e| e * e).sum::<T>();
            let by_output = self.by_output(&output) * T::of(weight);
            add_product_into(&features.t(), &by_output, &mut through.w_dec)?;
            through.b_dec += &column_sums(&by_output);
            through.by_output += &by_output;
            let mut by_features = product(&by_output, &self.sae.w_dec.t())?;
            by_features.zip_mut_with(&features, |g, &f| *g *= indicator::<T>(f > T::zero()));
            *by_z += &by_features;
        }
        Ok(())
    }
}

fn indicator<T: Scalar>(holds: bool) -> T {
    if holds { T::one() } else { T::zero() }
}
