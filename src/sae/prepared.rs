//! An autoencoder that runs again and again on batches: checked once, its encoder packed once.
//!
//! A call of [`Sae`] looks through all weights for numbers that are none, and brings the encoder into the order in which
//! products read it. For some dozen samples that takes a good part of the time. Here both are done when the autoencoder is
//! prepared, and what is computed is the same to the bit. It takes the memory of a second encoder.
//!
//! For single samples, or in less memory, see [`CompactSae`](super::CompactSae).

use alloc::sync::Arc;

use ndarray::{Array2, ArrayRef2};

use super::codes::Codes;
use super::fused::Workspace;
use super::model::Sae;
use crate::math::gemm::Packed;
use crate::{Result, Scalar};

/// An autoencoder that lies ready for encoding.
#[derive(Debug, Clone)]
pub struct PreparedSae<T> {
    sae: Sae<T>,
    encoder: Arc<Packed<T>>,
}

impl<T: Scalar> PreparedSae<T> {
    /// Checks and packs.
    ///
    /// # Errors
    /// Those of [`Sae::check`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::{Activation, PreparedSae, Sae};
    /// use ndarray::Array2;
    ///
    /// let sae = Sae::<f32>::initialise(16, 64, Activation::TopK { k: 4, by_decoder_norm: false }, Seed(0))?;
    /// let x = Array2::from_shape_fn((32, 16), |(row, i)| ((row * i) % 7) as f32 - 3.0);
    /// let ready = PreparedSae::new(sae)?;
    /// let codes = ready.encode_sparse(&x)?;
    /// assert_eq!(codes, ready.sae().encode_sparse(&x)?);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(sae: Sae<T>) -> Result<Self> {
        sae.check()?;
        let encoder = Arc::new(Packed::of_columns(sae.w_enc.t()));
        Ok(Self { sae, encoder })
    }

    /// The autoencoder.
    pub fn sae(&self) -> &Sae<T> {
        &self.sae
    }

    /// The autoencoder, to be changed.
    #[must_use]
    pub fn into_sae(self) -> Sae<T> {
        self.sae
    }

    /// [`Sae::encode`]: features `(b, m)` of `x: (b, d_in)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite) for `x`.
    pub fn encode(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.sae.check_batch(x)?;
        let (x, _) = self.sae.normalisation.apply(x)?;
        self.sae.encode_normalised(&x, false)
    }

    /// [`Sae::encode_sparse`]: the active features of `x: (b, d_in)`.
    ///
    /// # Errors
    /// As [`PreparedSae::encode`].
    pub fn encode_sparse(&self, x: &ArrayRef2<T>) -> Result<Codes<T>> {
        self.sae.check_batch(x)?;
        self.sae.codes(x, &mut Workspace::with_encoder(self.encoder.clone()))
    }

    /// [`Sae::decode_sparse`]: `(b, d_out)` from active features.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for codes of another autoencoder;
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a skip transcoder, whose output also needs the input.
    pub fn decode_sparse(&self, codes: &Codes<T>) -> Result<Array2<T>> {
        self.sae.decode_codes(codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::fill_normal;
    use crate::sae::{Activation, InputNormalisation};
    use crate::{Error, Seed};
    use ndarray::Array1;

    #[test]
    fn everything_is_as_without_preparation() {
        let (d, m) = (24, 200);
        let kinds = [
            Activation::Relu,
            Activation::TopK { k: 7, by_decoder_norm: false },
            Activation::TopK { k: 7, by_decoder_norm: true },
            Activation::BatchTopK { k: 5.5, by_decoder_norm: false, threshold: None },
            Activation::BatchTopK { k: 5.5, by_decoder_norm: true, threshold: Some(0.3) },
            Activation::JumpRelu { threshold: Array1::from_elem(m, 0.4) },
            Activation::Gated { b_mag: Array1::from_elem(m, 0.1), r_mag: Array1::from_elem(m, 0.2) },
        ];
        for activation in kinds {
            let mut sae = Sae::<f32>::initialise(d, m, activation, Seed(3)).unwrap();
            sae.normalisation = InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: false };
            let ready = PreparedSae::new(sae.clone()).unwrap();
            for rows in [0, 1, 9, 130] {
                let mut x = Array2::zeros((rows, d));
                fill_normal(&mut Seed(4).stream(0, rows as u64), 1.0, x.as_slice_mut().unwrap());
                assert_eq!(ready.encode(&x).unwrap(), sae.encode(&x).unwrap());
                let codes = ready.encode_sparse(&x).unwrap();
                assert_eq!(codes, sae.encode_sparse(&x).unwrap());
                assert_eq!(ready.decode_sparse(&codes).unwrap(), sae.decode_sparse(&codes).unwrap());
            }
            assert_eq!(ready.into_sae(), sae);
        }
    }

    #[test]
    fn bad_input_is_named() {
        let mut sae = Sae::<f64>::initialise(3, 5, Activation::Relu, Seed(0)).unwrap();
        let ready = PreparedSae::new(sae.clone()).unwrap();
        assert!(matches!(ready.encode_sparse(&Array2::zeros((9, 2))), Err(Error::Shape { what: "x", .. })));
        let x = Array2::from_elem((9, 3), f64::NAN);
        assert!(matches!(ready.encode(&x), Err(Error::NotFinite { what: "x", index: 0 })));
        assert!(matches!(ready.decode_sparse(&Codes::new(4).unwrap()), Err(Error::Shape { what: "codes", .. })));
        sae.w_enc[[1, 2]] = f64::INFINITY;
        assert!(matches!(PreparedSae::new(sae), Err(Error::NotFinite { what: "w_enc", index: 7 })));
    }
}
