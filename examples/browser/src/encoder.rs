//! A batch through a TopK autoencoder: what `benches/peers/` measures.

use limpid::math::random::fill_normal;
use limpid::sae::{Activation, PreparedSae, Sae};
use limpid::{Result, Seed};
use ndarray::Array2;

/// An autoencoder and a batch.
#[derive(Debug)]
pub struct Encoder {
    sae: PreparedSae<f32>,
    batch: Array2<f32>,
}

impl Encoder {
    /// Sizes `(d, m)`, `k` active latents, `rows` samples.
    ///
    /// # Errors
    /// Those of [`Sae::initialise`].
    pub fn new((d, m): (usize, usize), k: usize, rows: usize) -> Result<Self> {
        let sae = Sae::initialise(d, m, Activation::TopK { k, by_decoder_norm: false }, Seed(1))?;
        let mut batch = vec![0.0; rows.saturating_mul(d)];
        fill_normal(&mut Seed(2).stream(0, 0), 1.0, &mut batch);
        let batch = Array2::from_shape_fn((rows, d), |(i, j)| batch[i * d + j]);
        Ok(Self { sae: PreparedSae::new(sae)?, batch })
    }

    /// Sum of the active features.
    ///
    /// # Errors
    /// Those of [`PreparedSae::encode_sparse`].
    pub fn encode(&self, times: usize) -> Result<f64> {
        let mut sum = 0.0;
        for _ in 0..times {
            let codes = self.sae.encode_sparse(&self.batch)?;
            sum = (0..self.batch.nrows()).flat_map(|row| codes.row(row)).map(|(_, feature)| f64::from(feature)).sum();
        }
        Ok(sum)
    }

    /// The encoder, row by row.
    #[must_use]
    pub fn weights(&self) -> Vec<f32> {
        self.sae.sae().w_enc.iter().copied().collect()
    }

    /// The batch, row by row.
    #[must_use]
    pub fn batch(&self) -> Vec<f32> {
        self.batch.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_whole_rows() {
        let encoder = Encoder::new((16, 64), 4, 5).unwrap();
        let whole: f64 = encoder.sae.encode(&encoder.batch).unwrap().iter().map(|&f| f64::from(f)).sum();
        assert!((encoder.encode(2).unwrap() - whole).abs() < 1e-5);
        assert_eq!((encoder.weights().len(), encoder.batch().len()), (16 * 64, 5 * 16));
    }
}
