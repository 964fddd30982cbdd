//! Cosines between the vectors of encoder and decoder.
//!
//! ```text
//! encoder_decoder_i = cos(e_i, d_i)        nearest_i = max_{j ≠ i} cos(v_i, v_j)
//! ```
//!
//! A latent whose encoder and decoder disagree reads one direction and writes another; a latent with a near twin is one
//! of several that share a feature. All pairs are gone through in blocks: memory grows with `m`, not with `m²`.
//!
//! Source: Karvonen et al., "SAEBench" (arXiv 2503.09532), "core"; Bussmann et al., "Stitching SAEs of different sizes"
//! (2024), for the nearest decoder vector.

use alloc::vec::Vec;

use ndarray::{ArrayRef2, ArrayView1, Zip};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::math::directions::{Cosine, Neighbour, nearest_other, unit_rows};
use crate::math::reduce::dot;
use crate::{Result, Scalar};

/// Cosine between encoder and decoder vector of each latent, `(m)`; `w_enc: (d, m)`, `w_dec: (m, d)`. `None` where one of
/// them is zero.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape) (also for a transcoder, whose encoder and
/// decoder live in different spaces), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::sae::metrics::similarity::encoder_decoder;
/// use ndarray::array;
///
/// let (w_enc, w_dec) = (array![[1.0, 0.0], [0.0, 0.0]], array![[3.0, 4.0], [0.0, 1.0]]);
/// assert_eq!(encoder_decoder(&w_enc, &w_dec)?, [Some(0.6), None]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn encoder_decoder<T: Scalar>(w_enc: &ArrayRef2<T>, w_dec: &ArrayRef2<T>) -> Result<Vec<Option<T>>> {
    check_not_empty("w_dec", w_dec)?;
    let (m, d) = w_dec.dim();
    check_shape("w_enc", w_enc, &[d, m])?;
    check_finite("w_enc", w_enc)?;
    check_finite("w_dec", w_dec)?;
    let (encoder, decoder) = (unit_rows(&w_enc.t()), unit_rows(w_dec));
    let is_zero = |row: &ArrayView1<'_, T>| row.iter().all(|x| *x == T::zero());
    let mut cosines = Vec::with_capacity(m);
    Zip::from(encoder.rows()).and(decoder.rows()).for_each(|e, d| {
        let defined = !is_zero(&e) && !is_zero(&d);
        cosines.push(if defined { dot(&e, &d).ok() } else { None });
    });
    Ok(cosines)
}

/// The other decoder vector nearest to that of each latent, `(m)`; `w_dec: (m, d)`. `None` for a zero vector, and where
/// there is no other.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::sae::metrics::similarity::nearest_decoder;
/// use ndarray::array;
///
/// let found = nearest_decoder(&array![[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])?;
/// let found: Vec<_> = found.into_iter().flatten().map(|n| (n.index, n.cosine)).collect();
/// assert_eq!(found, [(2, 0.6), (2, 0.8), (1, 0.8)]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn nearest_decoder<T: Scalar>(w_dec: &ArrayRef2<T>) -> Result<Vec<Option<Neighbour<T>>>> {
    check_not_empty("w_dec", w_dec)?;
    check_finite("w_dec", w_dec)?;
    nearest_other(w_dec, Cosine::Signed)
}

/// As [`nearest_decoder`], for the encoder vectors: the columns of `w_enc: (d, m)`.
///
/// # Errors
/// As [`nearest_decoder`].
pub fn nearest_encoder<T: Scalar>(w_enc: &ArrayRef2<T>) -> Result<Vec<Option<Neighbour<T>>>> {
    check_not_empty("w_enc", w_enc)?;
    check_finite("w_enc", w_enc)?;
    nearest_other(&w_enc.t(), Cosine::Signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn columns_of_the_encoder_are_its_vectors() {
        let w_dec = array![[1.0, 0.0], [0.0, 2.0], [-3.0, 0.1], [0.0, 0.0]];
        let w_enc = w_dec.t().to_owned();
        assert_eq!(nearest_encoder(&w_enc).unwrap(), nearest_decoder(&w_dec).unwrap());
        let same = encoder_decoder(&w_enc, &w_dec).unwrap();
        assert_eq!(same[3], None);
        assert!(same[..3].iter().all(|c| (c.unwrap() - 1.0_f64).abs() < 1e-15));
    }

    #[test]
    fn bad_input_is_named() {
        let w_dec = array![[1.0, f64::NAN]];
        assert!(matches!(nearest_decoder(&w_dec), Err(Error::NotFinite { what: "w_dec", index: 1 })));
        assert!(matches!(nearest_encoder(&Array2::<f32>::zeros((3, 0))), Err(Error::Empty { what: "w_enc" })));
        assert!(matches!(encoder_decoder(&w_dec, &w_dec), Err(Error::Shape { what: "w_enc", .. })));
    }
}
