//! Sparse features: only the active latents of each sample, in ascending order.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::fused;
use super::model::Sae;
use crate::error::check_shape;
use crate::math::par;
use crate::{Dims, Error, Result, Scalar};

/// Features of samples in compressed rows: sample `b` has the entries `starts[b]..starts[b + 1]`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Codes<T> {
    latents: usize,
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<T>,
}

impl<T: Scalar> Codes<T> {
    /// No samples yet, of `latents` latents.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where indices would not fit into 32 bits.
    pub fn new(latents: usize) -> Result<Self> {
        crate::error::check_limit("latents", latents, u32::MAX as usize)?;
        Ok(Self { latents, starts: alloc::vec![0], indices: Vec::new(), values: Vec::new() })
    }

    /// The entries of `features: (b, m)` that are not 0.
    ///
    /// # Errors
    /// As [`Codes::new`].
    ///
    /// # Example
    /// ```
    /// use limpid::sae::Codes;
    /// use ndarray::array;
    ///
    /// let codes = Codes::from_dense(&array![[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]])?;
    /// assert_eq!(codes.row(1).collect::<Vec<_>>(), [(0, 1.0), (2, 3.0)]);
    /// assert_eq!(codes.to_dense(), array![[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn from_dense(features: &ArrayRef2<T>) -> Result<Self> {
        let mut codes = Self::new(features.ncols())?;
        for row in features.rows() {
            codes.push(row.iter().enumerate().filter(|(_, f)| **f != T::zero()).map(|(i, &f)| (i, f)))?;
        }
        Ok(codes)
    }

    /// Adds a sample with these latents and values; indices ascend.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an index that does not exist or does not ascend; nothing is added then.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (usize, T)>) -> Result<()> {
        let (start, mut next) = (self.indices.len(), 0);
        for (index, value) in entries {
            match u32::try_from(index) {
                Ok(short) if index >= next && index < self.latents => {
                    self.indices.push(short);
                    self.values.push(value);
                    next = index + 1;
                }
                _ => {
                    self.indices.truncate(start);
                    self.values.truncate(start);
                    let expected = "ascending and below the number of latents";
                    return Err(Error::OutOfRange { what: "latent", index: 0, value: index as f64, expected });
                }
            }
        }
        self.starts.push(self.indices.len());
        Ok(())
    }

    /// Number of samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of latents `m`.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.latents
    }

    /// Number of entries of all samples.
    #[must_use]
    pub fn active(&self) -> usize {
        self.indices.len()
    }

    /// Latents and values of one sample; none for a sample that does not exist.
    pub fn row(&self, sample: usize) -> impl Iterator<Item = (usize, T)> + '_ {
        let range = match self.starts.get(sample..sample.saturating_add(2)) {
            Some(&[start, end]) => start..end,
            _ => 0..0,
        };
        self.indices[range.clone()].iter().zip(&self.values[range]).map(|(&i, &v)| (i as usize, v))
    }

    /// All features `(b, m)`.
    #[must_use]
    pub fn to_dense(&self) -> Array2<T> {
        let mut dense = Array2::zeros((self.rows(), self.latents));
        for (sample, mut row) in dense.rows_mut().into_iter().enumerate() {
            self.row(sample).for_each(|(i, v)| row[i] = v);
        }
        dense
    }
}

impl<T: Scalar> Sae<T> {
    /// Active features of `x: (b, d_in)`: those of [`Sae::encode`] that are not 0, in memory that follows them.
    ///
    /// # Errors
    /// As [`Sae::encode`].
    pub fn encode_sparse(&self, x: &ArrayRef2<T>) -> Result<Codes<T>> {
        self.check_input(x)?;
        self.codes(x, &mut fused::Workspace::default())
    }

    /// [`Sae::encode_sparse`] of what was checked.
    pub(super) fn codes(&self, x: &ArrayRef2<T>, workspace: &mut fused::Workspace<T>) -> Result<Codes<T>> {
        let (x, _) = self.normalisation.apply(x)?;
        let dense = || Codes::from_dense(&self.encode_normalised(&x, false)?);
        fused::encode(self, &x, workspace).unwrap_or_else(dense)
    }

    /// As [`Sae::decode`], from active features: the cost grows with them, not with all latents.
    ///
    /// # Errors
    /// As [`Sae::decode`].
    pub fn decode_sparse(&self, codes: &Codes<T>) -> Result<Array2<T>> {
        self.check()?;
        self.decode_codes(codes)
    }

    /// [`Sae::decode_sparse`] by weights that were checked.
    pub(super) fn decode_codes(&self, codes: &Codes<T>) -> Result<Array2<T>> {
        if self.w_skip.is_some() {
            return Err(Error::Unsupported { what: "decoding of a skip transcoder without its input" });
        }
        if codes.latents != self.latents() {
            let (expected, got) = (Dims::new(&[self.latents()]), Dims::new(&[codes.latents]));
            return Err(Error::Shape { what: "codes", expected, got });
        }
        let d = self.d_out();
        let mut out = Array2::zeros((codes.rows(), d)) + &self.b_dec;
        check_shape("out", &out, &[codes.rows(), d])?;
        if let Some(flat) = out.as_slice_mut() {
            par::for_each_chunk_mut(flat, d, |sample, row| {
                let mut row = ndarray::ArrayViewMut1::from(row);
                codes.row(sample).for_each(|(i, v)| row.scaled_add(v, &self.w_dec.row(i)));
            });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::sae::Activation;
    use ndarray::array;

    #[test]
    fn sparse_and_dense_agree() {
        let sae = Sae::<f64>::initialise(6, 20, Activation::TopK { k: 3, by_decoder_norm: false }, Seed(3)).unwrap();
        let x = Array2::from_shape_fn((7, 6), |(i, j)| libm::sin((i * 6 + j) as f64));
        let codes = sae.encode_sparse(&x).unwrap();
        assert_eq!(codes.to_dense(), sae.encode(&x).unwrap());
        let difference = sae.decode_sparse(&codes).unwrap() - sae.reconstruct(&x).unwrap();
        assert!(difference.iter().all(|e| e.abs() < 1e-14));
        assert!(codes.active() <= 21 && codes.rows() == 7);
    }

    #[test]
    fn the_streamed_codes_are_those_of_whole_rows() {
        let (d, m) = (6, 300);
        let mut stream = Seed(4).stream(0, 0);
        let mut x = Array2::<f32>::zeros((11, d));
        crate::math::random::fill_normal(&mut stream, 1.0, x.as_slice_mut().unwrap());
        let batch = |threshold| Activation::BatchTopK { k: 2.5, by_decoder_norm: true, threshold };
        let kinds = [
            Activation::Relu,
            Activation::TopK { k: 3, by_decoder_norm: true },
            batch(None),
            batch(Some(0.4)),
            batch(Some(-0.4)),
            Activation::JumpRelu { threshold: ndarray::Array1::from_shape_fn(m, |i| 0.3 - i as f32 * 0.002) },
            Activation::GroupMax { k: 30 },
        ];
        for kind in kinds {
            let mut sae = Sae::<f32>::initialise(d, m, kind.clone(), Seed(3)).unwrap();
            sae.w_dec.row_mut(7).mapv_inplace(|w| w * 3.0);
            sae.b_enc = ndarray::Array1::from_shape_fn(m, |i| 0.001 * (i % 7) as f32);
            assert_eq!(sae.encode_sparse(&x).unwrap().to_dense(), sae.encode(&x).unwrap(), "{kind:?}");
            sae.w_dec.row_mut(9).fill(0.0);
            assert_eq!(sae.encode_sparse(&x).unwrap().to_dense(), sae.encode(&x).unwrap(), "{kind:?}");
        }
    }

    #[test]
    fn infinite_scores_end_the_search_of_batch_top_k() {
        let activation = Activation::BatchTopK { k: 2.0, by_decoder_norm: false, threshold: None };
        let mut sae = Sae::<f32>::initialise(6, 40, activation, Seed(3)).unwrap();
        sae.w_enc.fill(3e38);
        let x = Array2::from_elem((9, 6), 2.0);
        assert_eq!(sae.encode_sparse(&x).unwrap().to_dense(), sae.encode(&x).unwrap());
    }

    #[test]
    fn entries_that_do_not_ascend_are_refused_whole() {
        let mut codes = Codes::<f32>::new(3).unwrap();
        assert!(codes.push([(0, 1.0), (2, 1.0), (1, 1.0)]).is_err());
        assert!(codes.push([(3, 1.0)]).is_err());
        assert_eq!((codes.rows(), codes.active()), (0, 0));
        assert_eq!(codes.row(5).count(), 0);
        assert_eq!(codes.to_dense(), Array2::<f32>::zeros((0, 3)));
        assert_eq!(Codes::from_dense(&array![[0.0_f32, 0.0]]).unwrap().rows(), 1);
    }
}
