//! Matching pursuit: features by greedy fitting of the residual, with the decoder alone.
//!
//! ```text
//! r = x - a b_dec;  repeat  i = argmax max(r · w_dec_i, 0),  v = max(r · w_dec_i, 0),  f_i += v,  r -= v w_dec_i
//! ```
//!
//! It ends after the most iterations, when the set of active latents did not change (if asked), or when `‖r‖` is below the
//! threshold (if above 0). Of equal products the lower index wins.
//!
//! Source: Mallat and Zhang, "Matching pursuits with time-frequency dictionaries", IEEE Trans. Signal Processing 41(12),
//! 1993; as an autoencoder Costa et al. (arXiv 2506.03093).

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis};

use super::activation::{Activation, rectify};
use super::model::Sae;
use crate::math::gemm::product;
use crate::math::reduce::norm;
use crate::math::select::top_k;
use crate::{Error, Result, Scalar};

/// Features `(b, m)` of normalised inputs `x: (b, d_in)`.
pub(super) fn encode<T: Scalar>(sae: &Sae<T>, x: &ArrayRef2<T>) -> Result<Array2<T>> {
    let Activation::MatchingPursuit { residual_threshold, max_iterations, stop_on_duplicate_support } = sae.activation
    else {
        return Err(Error::Unsupported { what: "matching pursuit with another activation" });
    };
    if sae.d_in() != sae.d_out() {
        return Err(Error::Unsupported { what: "matching pursuit of a transcoder" });
    }
    let mut features = Array2::zeros((x.nrows(), sae.latents()));
    for (mut features, mut residual) in features.rows_mut().into_iter().zip(sae.centred(x).rows_mut()) {
        for _ in 0..max_iterations.unwrap_or(sae.d_in()) {
            let Some((latent, value)) = best(sae, &residual)? else { break };
            let again = features[latent] > T::zero() || value <= T::zero();
            features[latent] += value;
            residual.scaled_add(-value, &sae.w_dec.row(latent));
            let small = residual_threshold > T::zero() && norm(&residual) < residual_threshold;
            if again && stop_on_duplicate_support || small {
                break;
            }
        }
    }
    Ok(features)
}

/// The latent with the largest product, and the product if positive, else 0.
fn best<T: Scalar>(sae: &Sae<T>, residual: &ArrayRef1<T>) -> Result<Option<(usize, T)>> {
    let products = product(&residual.view().insert_axis(Axis(0)), &sae.w_dec.t())?;
    let products = products.row(0).mapv(rectify).to_vec();
    Ok(top_k(&products, 1).first().map(|&latent| (latent, products[latent])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn an_example_by_hand() {
        let w_dec = array![[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]];
        let activation = Activation::MatchingPursuit {
            residual_threshold: 0.01,
            max_iterations: None,
            stop_on_duplicate_support: true,
        };
        let sae = Sae::new(w_dec.t().to_owned(), Array1::zeros(3), w_dec, Array1::zeros(3), activation).unwrap();
        let features = sae.encode(&array![[0.0, 0.0, 2.0], [3.0, 0.0, 0.5]]).unwrap();
        assert_eq!(features, array![[0.0, 0.0, 2.0], [3.0, 0.0, 0.5]]);
    }
}
