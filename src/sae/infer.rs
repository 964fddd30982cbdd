//! Running an autoencoder: encode, decode, reconstruct, and what it misses.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis};

use super::activation::Activation;
use super::matching_pursuit;
use super::model::Sae;
use crate::error::{check_finite, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::{Dims, Error, Result, Scalar};

/// A reconstruction beside what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconstruction<T> {
    /// Features `(b, m)`.
    pub features: Array2<T>,
    /// Reconstruction `(b, d_out)` in the units of the input.
    pub reconstruction: Array2<T>,
    /// Input minus reconstruction, `(b, d_out)`.
    pub error: Array2<T>,
}

impl<T: Scalar> Sae<T> {
    /// Features `(b, m)` of `x: (b, d_in)`.
    ///
    /// All weights are checked at every call, which is nothing for a large batch and most of the time for one sample:
    /// [`PreparedSae`](super::PreparedSae) checks once, and [`CompactSae`](super::CompactSae) is made for single samples.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], and those of [`Sae::check`] and of the normalisation.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::{Activation, Sae};
    /// use ndarray::array;
    ///
    /// let (w_enc, w_dec) = (array![[1.0, -1.0]], array![[1.0], [-1.0]]);
    /// let sae = Sae::new(w_enc, array![0.0, 0.0], w_dec, array![0.0], Activation::Relu)?;
    /// assert_eq!(sae.encode(&array![[2.0], [-3.0]])?, array![[2.0, 0.0], [0.0, 3.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn encode(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        self.check_input(x)?;
        let (x, _) = self.normalisation.apply(x)?;
        self.encode_normalised(&x, false)
    }

    /// Features `(b, latents.len())` of some latents only; which latents are active is decided among all of them, as by
    /// [`Sae::encode`].
    ///
    /// # Errors
    /// As [`Sae::encode`], and [`Error::OutOfRange`] for a latent that does not exist.
    pub fn encode_subset(&self, x: &ArrayRef2<T>, latents: &[usize]) -> Result<Array2<T>> {
        let m = self.latents();
        for (index, &latent) in latents.iter().enumerate() {
            if latent >= m {
                return Err(Error::OutOfRange { what: "latents", index, value: latent as f64, expected: "below m" });
            }
        }
        if !matches!(self.activation, Activation::Relu | Activation::JumpRelu { .. } | Activation::Gated { .. }) {
            return Ok(self.encode(x)?.select(Axis(1), latents));
        }
        self.check_input(x)?;
        let (x, _) = self.normalisation.apply(x)?;
        // these latents do not compete: the others need not be computed
        let part = Self {
            w_enc: self.w_enc.select(Axis(1), latents),
            b_enc: self.b_enc.select(Axis(0), latents),
            w_dec: self.w_dec.select(Axis(0), latents),
            activation: self.activation.select(latents),
            prefixes: Vec::new(),
            ..self.clone()
        };
        if latents.is_empty() { Ok(Array2::zeros((x.nrows(), 0))) } else { part.encode_normalised(&x, false) }
    }

    /// `f W_dec + b_dec`, `(b, d_out)`, from `features: (b, m)`, before any normalisation is undone.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`]; [`Error::Unsupported`] for a skip transcoder, whose output also needs the
    /// input (see [`Sae::reconstruct`]).
    pub fn decode(&self, features: &ArrayRef2<T>) -> Result<Array2<T>> {
        if self.w_skip.is_some() {
            return Err(Error::Unsupported { what: "decoding of a skip transcoder without its input" });
        }
        self.check()?;
        check_shape("features", features, &[features.nrows(), self.latents()])?;
        check_finite("features", features)?;
        self.decode_normalised(features, None)
    }

    /// Reconstruction `(b, d_out)` of `x: (b, d_in)`, in the units of the input.
    ///
    /// # Errors
    /// As [`Sae::encode`].
    pub fn reconstruct(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        Ok(self.run(x)?.1)
    }

    /// Features, reconstruction, and what is missing from the input: adding the error to a reconstruction of edited
    /// features changes the model by the edit alone.
    ///
    /// # Errors
    /// As [`Sae::encode`], and [`Error::Shape`] for a transcoder, which does not reconstruct its input.
    pub fn with_error(&self, x: &ArrayRef2<T>) -> Result<Reconstruction<T>> {
        if self.d_in() != self.d_out() {
            let (expected, got) = (Dims::new(&[self.d_in()]), Dims::new(&[self.d_out()]));
            return Err(Error::Shape { what: "reconstruction", expected, got });
        }
        let (features, reconstruction) = self.run(x)?;
        let error = &x.view() - &reconstruction;
        Ok(Reconstruction { features, reconstruction, error })
    }

    fn run(&self, x: &ArrayRef2<T>) -> Result<(Array2<T>, Array2<T>)> {
        self.check_input(x)?;
        let (x, restore) = self.normalisation.apply(x)?;
        let features = self.encode_normalised(&x, false)?;
        let mut reconstruction = self.decode_normalised(&features, Some(&x))?;
        restore.undo(&mut reconstruction);
        Ok((features, reconstruction))
    }

    /// `x - a b_dec`.
    pub(super) fn centred(&self, x: &ArrayRef2<T>) -> Array2<T> {
        if self.apply_b_dec_to_input { &x.view() - &self.b_dec } else { x.to_owned() }
    }

    /// `z: (b, m)` from the centred input.
    pub(super) fn pre_activations(&self, centred: &ArrayRef2<T>) -> Result<Array2<T>> {
        Ok(product(centred, &self.w_enc)? + &self.b_enc)
    }

    pub(super) fn encode_normalised(&self, x: &ArrayRef2<T>, training: bool) -> Result<Array2<T>> {
        if let Activation::MatchingPursuit { .. } = self.activation {
            return matching_pursuit::encode(self, x);
        }
        let z = self.pre_activations(&self.centred(x))?;
        let norms = self.activation.needs_norms().then(|| self.decoder_norms());
        Ok(self.activation.features(&z, &self.b_enc, norms.as_ref(), training))
    }

    pub(super) fn decode_normalised(&self, features: &ArrayRef2<T>, x: Option<&ArrayRef2<T>>) -> Result<Array2<T>> {
        let mut out = product(features, &self.w_dec)?;
        if let (Some(w_skip), Some(x)) = (&self.w_skip, x) {
            add_product_into(x, &w_skip.t(), &mut out)?;
        }
        if self.adds_b_dec() {
            out += &self.b_dec;
        }
        Ok(out)
    }

    /// Matching pursuit adds its bias back only where it took it away.
    fn adds_b_dec(&self) -> bool {
        self.apply_b_dec_to_input || !matches!(self.activation, Activation::MatchingPursuit { .. })
    }
}

impl<T: Scalar> Activation<T> {
    /// The activation of some latents, for kinds whose latents do not compete.
    fn select(&self, latents: &[usize]) -> Self {
        match self {
            Self::JumpRelu { threshold } => Self::JumpRelu { threshold: threshold.select(Axis(0), latents) },
            Self::Gated { b_mag, r_mag } => {
                Self::Gated { b_mag: b_mag.select(Axis(0), latents), r_mag: r_mag.select(Axis(0), latents) }
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sae::InputNormalisation;
    use ndarray::{Array1, array};

    fn sae(activation: Activation<f64>) -> Sae<f64> {
        let w_enc = array![[0.5, -0.3, 0.8, 0.1], [0.2, 0.7, -0.4, -0.6], [-0.1, 0.4, 0.3, 0.9]];
        let w_dec = array![[0.6, 0.1, -0.2], [-0.3, 0.8, 0.5], [0.9, -0.4, 0.2], [0.0, -0.7, 0.7]];
        Sae::new(w_enc, array![0.1, -0.2, 0.05, 0.0], w_dec, array![0.1, -0.1, 0.2], activation).unwrap()
    }

    fn x() -> Array2<f64> {
        array![[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]]
    }

    #[test]
    fn a_subset_is_what_all_of_it_holds() {
        let kinds = [
            Activation::Relu,
            Activation::TopK { k: 2, by_decoder_norm: true },
            Activation::JumpRelu { threshold: array![0.35, 0.4, 0.25, 0.5] },
            Activation::Gated { b_mag: array![0.1, 0.0, -0.05, 0.2], r_mag: array![0.2, -0.1, 0.0, 0.3] },
            Activation::BatchTopK { k: 1.0, by_decoder_norm: false, threshold: None },
        ];
        for kind in kinds {
            let sae = sae(kind);
            let whole = sae.encode(&x()).unwrap();
            for latents in [vec![2, 0], vec![], vec![3, 3, 1]] {
                assert_eq!(sae.encode_subset(&x(), &latents).unwrap(), whole.select(Axis(1), &latents));
            }
            assert!(matches!(sae.encode_subset(&x(), &[4]), Err(Error::OutOfRange { index: 0, .. })));
        }
    }

    #[test]
    fn the_error_completes_the_reconstruction() {
        let mut sae = sae(Activation::Relu);
        sae.normalisation = InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: true };
        let run = sae.with_error(&x()).unwrap();
        assert!((&run.reconstruction + &run.error - x()).iter().all(|e| e.abs() < 1e-15));
        assert_eq!(run.features, sae.encode(&x()).unwrap());
    }

    #[test]
    fn values_by_hand() {
        let sae = sae(Activation::Relu);
        let expected = array![[0.29, 0.0, 1.47, 1.95], [0.74, 0.32, 0.0, 0.0]];
        assert!((sae.encode(&x()).unwrap() - expected).iter().all(|e| e.abs() < 1e-12));
        let expected = array![[1.597, -2.024, 1.801], [0.448, 0.23, 0.212]];
        assert!((sae.reconstruct(&x()).unwrap() - expected).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn bad_input_is_named() {
        let sae = sae(Activation::Relu);
        assert!(matches!(sae.encode(&array![[1.0]]), Err(Error::Shape { what: "x", .. })));
        assert!(matches!(sae.encode(&array![[1.0, f64::NAN, 0.0]]), Err(Error::NotFinite { what: "x", index: 1 })));
        let mut skip = sae.clone();
        skip.w_skip = Some(Array2::zeros((3, 3)));
        assert!(matches!(skip.decode(&Array2::zeros((1, 4))), Err(Error::Unsupported { .. })));
        skip.b_enc = Array1::zeros(3);
        assert!(matches!(skip.encode(&x()), Err(Error::Shape { what: "b_enc", .. })));
    }
}
