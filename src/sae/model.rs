//! The sparse autoencoder itself: parameters, encoding and decoding.
//!
//! ```text
//! f = relu((x - b_dec) W_enc + b_enc)        x' = f W_dec + b_dec
//! ```
//!
//! Source: Bricken et al., "Towards Monosemanticity" (2023), with the pre-encoder bias tied to the decoder bias.

use ndarray::{Array1, Array2, ArrayRef2};

use crate::error::{check_finite, check_limit, check_not_empty, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::math::random::fill_normal;
use crate::{Result, Scalar, Seed};

const PURPOSE: u64 = 0x5341_4520;
const MAX_PARAMETERS: usize = 1 << 31;

/// Parameters of a sparse autoencoder.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sae<T> {
    /// Encoder `(d, m)`, a vector per column.
    pub w_enc: Array2<T>,
    /// Encoder bias `(m)`.
    pub b_enc: Array1<T>,
    /// Decoder `(m, d)`, a dictionary vector per row.
    pub w_dec: Array2<T>,
    /// Decoder bias `(d)`.
    pub b_dec: Array1<T>,
    /// Whether the decoder bias is subtracted from the input.
    pub apply_b_dec_to_input: bool,
}

/// Gradient of a loss by the parameters of an [`Sae`], in their shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct SaeGradient<T> {
    /// By the encoder, `(d, m)`.
    pub w_enc: Array2<T>,
    /// By the encoder bias, `(m)`.
    pub b_enc: Array1<T>,
    /// By the decoder, `(m, d)`.
    pub w_dec: Array2<T>,
    /// By the decoder bias, `(d)`.
    pub b_dec: Array1<T>,
}

impl<T: Scalar> Sae<T> {
    /// Random unit dictionary vectors, the encoder their transpose, biases 0; the decoder bias is subtracted from inputs.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::Error::TooLarge) for an absurd size, [`Error::Empty`](crate::Error::Empty) for none.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::Sae;
    ///
    /// let sae = Sae::<f32>::initialise(16, 64, Seed(0))?;
    /// assert_eq!((sae.w_enc.dim(), sae.w_dec.dim()), ((16, 64), (64, 16)));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn initialise(d: usize, m: usize, seed: Seed) -> Result<Self> {
        check_limit("width x latents", d.saturating_mul(m), MAX_PARAMETERS)?;
        let mut w_dec = Array2::zeros((m, d));
        check_not_empty("w_dec", &w_dec)?;
        for (i, mut row) in w_dec.rows_mut().into_iter().enumerate() {
            if let Some(row) = row.as_slice_mut() {
                fill_normal(&mut seed.stream(PURPOSE, i as u64), T::one(), row);
            }
        }
        super::decoder_norm::normalise_rows(&mut w_dec);
        let w_enc = w_dec.t().as_standard_layout().into_owned();
        Ok(Self { w_enc, b_enc: Array1::zeros(m), w_dec, b_dec: Array1::zeros(d), apply_b_dec_to_input: true })
    }

    /// Width `d` of the data.
    #[must_use]
    pub fn width(&self) -> usize {
        self.w_dec.ncols()
    }

    /// Number of latents `m`.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.w_dec.nrows()
    }

    /// Features `(b, m)` of `x: (b, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn encode(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.check_input(x)?;
        let mut features = Array2::zeros((x.nrows(), self.latents()));
        self.encode_into(&self.centred(x), &mut features)?;
        Ok(features)
    }

    /// Reconstruction `(b, d)` from `features: (b, m)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn decode(&self, features: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.check()?;
        check_shape("features", features, &[features.nrows(), self.latents()])?;
        check_finite("features", features)?;
        Ok(product(features, &self.w_dec)? + &self.b_dec)
    }

    /// Reconstruction `(b, d)` of `x: (b, d)`.
    ///
    /// # Errors
    /// As [`Sae::encode`].
    pub fn reconstruct(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.decode(&self.encode(x)?)
    }

    /// The input of the encoder.
    pub(super) fn centred(&self, x: &ArrayRef2<T>) -> Array2<T> {
        if self.apply_b_dec_to_input { &x.view() - &self.b_dec } else { x.to_owned() }
    }

    pub(super) fn encode_into(&self, centred: &ArrayRef2<T>, features: &mut Array2<T>) -> Result<()> {
        features.assign(&self.b_enc);
        add_product_into(centred, &self.w_enc, features)?;
        features.mapv_inplace(|f| if f <= T::zero() { T::zero() } else { f });
        Ok(())
    }

    pub(super) fn check_input(&self, x: &ArrayRef2<T>) -> Result<()> {
        self.check()?;
        check_shape("x", x, &[x.nrows(), self.width()])?;
        check_finite("x", x)
    }

    /// Checks shapes and values of the parameters.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
    /// [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn check(&self) -> Result<()> {
        check_not_empty("w_dec", &self.w_dec)?;
        let (m, d) = self.w_dec.dim();
        check_shape("w_enc", &self.w_enc, &[d, m])?;
        check_shape("b_enc", &self.b_enc, &[m])?;
        check_shape("b_dec", &self.b_dec, &[d])?;
        check_finite("w_enc", &self.w_enc)?;
        check_finite("b_enc", &self.b_enc)?;
        check_finite("w_dec", &self.w_dec)?;
        check_finite("b_dec", &self.b_dec)
    }
}

impl<T: Scalar> SaeGradient<T> {
    pub(super) fn zeros(sae: &Sae<T>) -> Self {
        Self {
            w_enc: Array2::zeros(sae.w_enc.raw_dim()),
            b_enc: Array1::zeros(sae.b_enc.raw_dim()),
            w_dec: Array2::zeros(sae.w_dec.raw_dim()),
            b_dec: Array1::zeros(sae.b_dec.raw_dim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn a_latent_by_hand() {
        let sae = Sae {
            w_enc: array![[1.0], [0.0]],
            b_enc: array![-0.5],
            w_dec: array![[2.0, 1.0]],
            b_dec: array![0.5, 0.0],
            apply_b_dec_to_input: true,
        };
        let x = array![[2.0, 7.0], [0.0, 7.0]];
        assert_eq!(sae.encode(&x).unwrap(), array![[1.0], [0.0]]);
        assert_eq!(sae.reconstruct(&x).unwrap(), array![[2.5, 1.0], [0.5, 0.0]]);
    }

    #[test]
    fn bad_input_is_named() {
        let sae = Sae::<f64>::initialise(2, 3, Seed(0)).unwrap();
        assert!(matches!(sae.encode(&array![[1.0]]), Err(Error::Shape { what: "x", .. })));
        assert!(matches!(sae.encode(&array![[1.0, f64::NAN]]), Err(Error::NotFinite { what: "x", index: 1 })));
        assert!(matches!(Sae::<f32>::initialise(usize::MAX, 3, Seed(0)), Err(Error::TooLarge { .. })));
    }
}
