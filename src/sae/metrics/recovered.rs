//! Loss recovered: how much of what a layer does for a model survives in its reconstruction.
//!
//! ```text
//! loss recovered = (zero - sae)/(zero - clean)        KL recovered = (zero - sae)/zero
//! ```
//!
//! `clean` is the loss of the untouched model, `sae` that with the reconstruction in place, `zero` that with the layer
//! ablated. The divergence from the untouched model is 0 without a change, so KL recovered is the same with `clean = 0`.
//! Losses are averaged over tokens before the ratio is taken.
//!
//! Source: Bricken et al. (2023); Karvonen et al., "SAEBench" (arXiv 2503.09532), "core".

use alloc::vec::Vec;

use crate::error::check_each;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result};

/// Losses of a model under three conditions, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Losses {
    /// Untouched.
    pub clean: f64,
    /// With the reconstruction in place of the activations.
    pub sae: f64,
    /// With zeros, or the mean, in place of the activations.
    pub zero: f64,
}

impl Losses {
    /// `(zero - sae)/(zero - clean)`: 1 where nothing is lost, below 0 where the reconstruction is worse than nothing;
    /// `None` where the ablation does no harm, so that there is nothing to recover.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for losses beyond `±1e150`, NaN among them.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::metrics::recovered::Losses;
    ///
    /// let losses = Losses { clean: 3.0, sae: 3.2, zero: 8.0 };
    /// assert!((losses.recovered()?.unwrap() - 0.96).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn recovered(&self) -> Result<Option<f64>> {
        self.check()?;
        let harm = self.zero - self.clean;
        Ok((harm != 0.0).then(|| (self.zero - self.sae) / harm))
    }

    fn check(&self) -> Result<()> {
        let losses = [self.clean, self.sae, self.zero];
        check_each("losses", &losses, "-1e150 <= loss <= 1e150", |loss: f64| loss.abs() <= MAX_LOSS)
    }

    fn values(&self) -> [f64; 3] {
        [self.clean, self.sae, self.zero]
    }
}

/// Largest magnitude of a loss.
const MAX_LOSS: f64 = 1e150;

/// `(zero - sae)/zero` of divergences from the untouched model; `None` where the ablation changes nothing.
///
/// # Errors
/// As [`Losses::recovered`].
pub fn kl_recovered(sae: f64, zero: f64) -> Result<Option<f64>> {
    Losses { clean: 0.0, sae, zero }.recovered()
}

/// Mean losses over tokens of any number of batches.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeanLosses {
    tokens: u64,
    sums: [f64; 3],
}

impl MeanLosses {
    /// Takes up the mean losses of a batch of `tokens` tokens.
    ///
    /// # Errors
    /// As [`Losses::recovered`], and [`Error::Unsupported`] past 2⁶⁴ tokens; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::metrics::recovered::{Losses, MeanLosses};
    ///
    /// let mut mean = MeanLosses::default();
    /// mean.update(&Losses { clean: 1.0, sae: 2.0, zero: 5.0 }, 300)?;
    /// mean.update(&Losses { clean: 1.0, sae: 4.0, zero: 5.0 }, 100)?;
    /// assert_eq!(mean.mean().unwrap().recovered()?, Some(0.625));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update(&mut self, losses: &Losses, tokens: u64) -> Result<()> {
        losses.check()?;
        self.merge(&Self { tokens, sums: losses.values().map(|loss| loss * tokens as f64) })
    }

    /// Tokens seen so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Mean losses per token; `None` before the first.
    #[must_use]
    pub fn mean(&self) -> Option<Losses> {
        let [clean, sae, zero] = self.sums.map(|sum| sum / self.tokens as f64);
        (self.tokens > 0).then_some(Losses { clean, sae, zero })
    }
}

impl Merge for MeanLosses {
    fn merge(&mut self, other: &Self) -> Result<()> {
        let tokens = self.tokens.checked_add(other.tokens);
        self.tokens = tokens.ok_or(Error::Unsupported { what: "more than 2^64 tokens" })?;
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, other)| *sum += other);
        Ok(())
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limplos1";

impl Bytes for MeanLosses {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(self.tokens.to_le_bytes());
        self.sums.iter().for_each(|sum| out.extend(sum.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("mean losses");
        if input.take(MAGIC.len(), "mean losses")? != MAGIC {
            return Err(error);
        }
        let tokens = input.u64("a number of tokens")?;
        let mut sums = [0.0; 3];
        for sum in &mut sums {
            let error = input.error("a sum that so many tokens can have");
            *sum = input.f64("a sum")?;
            // a little more than the bound, for the rounding of the sum
            if sum.is_nan() || sum.abs() > 1.01 * MAX_LOSS * tokens as f64 {
                return Err(error);
            }
        }
        Ok(Self { tokens, sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ablation_without_harm_leaves_nothing_to_recover() {
        assert_eq!(Losses { clean: 2.0, sae: 2.0, zero: 2.0 }.recovered(), Ok(None));
        assert_eq!(kl_recovered(0.0, 0.0), Ok(None));
        assert!((kl_recovered(0.4, 2.5).unwrap().unwrap() - 0.84).abs() < 1e-15);
        assert!(matches!(kl_recovered(f64::NAN, 1.0), Err(Error::OutOfRange { what: "losses", index: 1, .. })));
    }

    #[test]
    fn batches_merge_and_bytes_come_back() {
        let mut mean = MeanLosses::default();
        assert_eq!(mean.mean(), None);
        mean.update(&Losses { clean: 1.0, sae: 1.5, zero: 3.0 }, 3).unwrap();
        mean.merge(&mean.clone()).unwrap();
        assert_eq!(mean.mean(), Some(Losses { clean: 1.0, sae: 1.5, zero: 3.0 }));
        let bytes = mean.to_bytes();
        assert_eq!(MeanLosses::from_bytes(&bytes), Ok(mean));
        assert!((0..bytes.len()).all(|end| MeanLosses::from_bytes(&bytes[..end]).is_err()));
        let before = mean;
        assert!(mean.update(&Losses { clean: 1.0, sae: 1.0, zero: 1.0 }, u64::MAX).is_err());
        assert!(mean.update(&Losses { clean: f64::INFINITY, sae: 1.0, zero: 1.0 }, 1).is_err());
        assert_eq!(mean, before);
    }
}
