//! The ReLU autoencoder with an L1 penalty: loss and gradient.
//!
//! ```text
//! L = R + λ mean_b Σ_i f_bi        R = mean_b ‖x - x'‖²  (or divided by the width d)
//! g = ∂R/∂x' = s (x' - x)          s = 2/b  or  2/(b d)
//! ∂L/∂W_dec = fᵀ g                 ∂L/∂f = g W_decᵀ + λ/b,  masked by f > 0
//! ∂L/∂W_enc = (x - b_dec)ᵀ ∂L/∂f   ∂L/∂b_dec = Σ_b g - W_enc Σ_b ∂L/∂f
//! ```
//!
//! Source: Bricken et al. (2023).

use ndarray::{Array2, ArrayRef2, Axis};

use super::model::{Sae, SaeGradient};
use crate::error::{check_each, check_not_empty};
use crate::math::gemm::{add_product_into, product, product_into};
use crate::math::reduce::column_sums;
use crate::{Result, Scalar};

/// How squared reconstruction errors become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReconstructionLoss {
    /// Sum over the width, mean over samples.
    #[default]
    Sum,
    /// Mean over width and samples.
    Mean,
}

/// Loss of a batch, term by term, with the gradient of their sum.
#[derive(Debug, Clone, PartialEq)]
pub struct ReluL1<T> {
    /// Reconstruction term.
    pub reconstruction_loss: T,
    /// Weighted sparsity term.
    pub sparsity_loss: T,
    /// Features `(b, m)`.
    pub features: Array2<T>,
    /// Reconstruction `(b, d)`.
    pub reconstruction: Array2<T>,
    /// Gradient of the sum of both terms.
    pub gradient: SaeGradient<T>,
}

/// Loss and gradient of `sae` on `x: (b, d)` with the L1 coefficient `l1`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a coefficient below 0.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::sae::{ReconstructionLoss, Sae, relu_l1};
/// use ndarray::array;
///
/// let sae = Sae::<f64>::initialise(2, 4, Seed(0))?;
/// let step = relu_l1(&sae, &array![[1.0, 0.5]], 0.1, ReconstructionLoss::Sum)?;
/// assert!(step.reconstruction_loss > 0.0 && step.sparsity_loss > 0.0);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn relu_l1<T: Scalar>(
    sae: &Sae<T>,
    x: &ArrayRef2<T>,
    l1: T,
    reconstruction: ReconstructionLoss,
) -> Result<ReluL1<T>> {
    sae.check_input(x)?;
    check_not_empty("x", x)?;
    check_each("l1", &[l1], "finite and >= 0", |l1| l1 >= T::zero() && l1.is_finite())?;
    let mut step = ReluL1 {
        reconstruction_loss: T::zero(),
        sparsity_loss: T::zero(),
        features: Array2::zeros((x.nrows(), sae.latents())),
        reconstruction: Array2::zeros(x.raw_dim()),
        gradient: SaeGradient::zeros(sae),
    };
    step.compute(sae, x, l1, reconstruction)?;
    Ok(step)
}

impl<T: Scalar> ReluL1<T> {
    /// Recomputes everything for a batch of the same size.
    pub(super) fn compute(
        &mut self,
        sae: &Sae<T>,
        x: &ArrayRef2<T>,
        l1: T,
        reconstruction: ReconstructionLoss,
    ) -> Result<()> {
        let rows = T::of(x.nrows() as f64);
        let terms = if reconstruction == ReconstructionLoss::Sum { rows } else { T::of(x.len() as f64) };
        let centred = sae.centred(x);
        sae.encode_into(&centred, &mut self.features)?;
        self.reconstruction.assign(&sae.b_dec);
        add_product_into(&self.features, &sae.w_dec, &mut self.reconstruction)?;
        let error = &self.reconstruction - &x.view();
        self.reconstruction_loss = error.iter().map(|&e| e * e).sum::<T>() / terms;
        self.sparsity_loss = l1 * self.features.sum() / rows;
        let by_output = error * (T::of(2.0) / terms);
        let gradient = &mut self.gradient;
        product_into(&self.features.t(), &by_output, &mut gradient.w_dec)?;
        let mut by_features = product(&by_output, &sae.w_dec.t())?;
        by_features.zip_mut_with(&self.features, |g, &f| *g = if f > T::zero() { *g + l1 / rows } else { T::zero() });
        product_into(&centred.t(), &by_features, &mut gradient.w_enc)?;
        gradient.b_enc = column_sums(&by_features);
        gradient.b_dec = column_sums(&by_output);
        if sae.apply_b_dec_to_input {
            let shift = product(&sae.w_enc, &gradient.b_enc.view().insert_axis(Axis(1)))?;
            gradient.b_dec -= &shift.column(0);
        }
        Ok(())
    }
}
