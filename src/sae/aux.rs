//! The auxiliary term: dead latents fit what is left of the target; see [`AuxK`].

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Zip};

use super::activation::rectify;
use super::loss::{AuxK, AuxNormalisation};
use super::model::Sae;
use crate::math::gemm::product;
use crate::math::reduce::column_sums;
use crate::math::select::top_k;
use crate::{Result, Scalar};

/// The term and its gradients.
pub(super) struct Auxiliary<T> {
    pub(super) value: T,
    /// By the pre-activations, `(b, m)`.
    pub(super) by_z: Array2<T>,
    /// By the decoder, `(m, d_out)`.
    pub(super) by_w_dec: Array2<T>,
}

/// The term for pre-activations `z: (b, m)`, `scores: (b, m)` to choose by, and the `residual: (b, d_out)` of a `target` of
/// the same shape; `None` without dead latents or where the divisor vanishes.
pub(super) fn auxiliary<T: Scalar>(
    sae: &Sae<T>,
    aux: &AuxK,
    z: &ArrayRef2<T>,
    scores: &ArrayRef2<T>,
    residual: &ArrayRef2<T>,
    target: &ArrayRef2<T>,
    dead: &[bool],
) -> Result<Option<Auxiliary<T>>> {
    let latents: Vec<usize> = (0..dead.len()).filter(|&i| dead[i]).collect();
    let divisor = match aux.normalisation {
        AuxNormalisation::None => T::one(),
        AuxNormalisation::ResidualVariance => variance(residual),
        AuxNormalisation::DataVariance => variance(target),
    };
    if latents.is_empty() || divisor <= T::zero() {
        return Ok(None);
    }
    let k = aux.k.min(latents.len());
    let share = if aux.scale_by_dead { (latents.len() as f64 / aux.k as f64).min(1.0) } else { 1.0 };
    let scale = T::of(aux.coefficient * share / z.nrows() as f64) / divisor;
    let mut features = Array2::zeros(z.raw_dim());
    let mut mask = Array2::<T>::zeros(z.raw_dim());
    for (row, scores) in scores.rows().into_iter().enumerate() {
        let values: Vec<T> = latents.iter().map(|&i| scores[i]).collect();
        for i in top_k(&values, k).into_iter().map(|chosen| latents[chosen]) {
            let value = z[[row, i]];
            features[[row, i]] = if aux.rectify { rectify(value) } else { value };
            mask[[row, i]] = if aux.rectify && value <= T::zero() { T::zero() } else { T::one() };
        }
    }
    let error = product(&features, &sae.w_dec)? - residual;
    let value = scale * error.iter().map(|&e| e * e).sum::<T>();
    let by_output = error * (T::of(2.0) * scale);
    let mut by_z = product(&by_output, &sae.w_dec.t())?;
    Zip::from(&mut by_z).and(&mask).for_each(|g, &mask| *g *= mask);
    Ok(Some(Auxiliary { value, by_z, by_w_dec: product(&features.t(), &by_output)? }))
}

/// `mean_b ‖y - mean y‖²`.
pub(crate) fn variance<T: Scalar>(y: &ArrayRef2<T>) -> T {
    centred_squares(y) / T::of(y.nrows() as f64)
}

/// `Σ_b ‖y - mean y‖²`.
pub(super) fn centred_squares<T: Scalar>(y: &ArrayRef2<T>) -> T {
    let mean = column_sums(y) / T::of(y.nrows() as f64);
    (&y.view() - &mean).iter().map(|&v| v * v).sum()
}
