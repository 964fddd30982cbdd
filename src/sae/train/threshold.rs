//! The inference threshold of batch top-k, followed during training.
//!
//! ```text
//! ema_from_zero    t starts at 0,     t ← (1 - r) t + r m;        a batch without positive features changes nothing
//! ema_first_copy   t starts unset, the first m is copied, then the same;   such a batch counts as m = 0
//! mean_of_minima   t = mean of all m so far
//! ```
//!
//! `m` is the smallest positive feature of a batch.
//!
//! Source: Bussmann et al. (arXiv 2412.06410) for the mean; the running averages are those of SAELens and of
//! dictionary_learning.

/// How the threshold follows the batches.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ThresholdRule {
    /// Running average that starts at 0.
    EmaFromZero {
        /// Weight of a new batch.
        rate: f64,
    },
    /// Running average that starts with the first batch.
    EmaFirstCopy {
        /// Weight of a new batch.
        rate: f64,
    },
    /// Mean of all batches.
    MeanOfMinima,
}

impl Default for ThresholdRule {
    fn default() -> Self {
        Self::EmaFirstCopy { rate: 0.01 }
    }
}

/// A threshold in the making.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ThresholdTracker {
    value: Option<f64>,
    batches: u64,
}

impl ThresholdTracker {
    pub(super) fn from_parts(value: Option<f64>, batches: u64) -> Self {
        Self { value, batches }
    }

    /// Batches that counted.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// The threshold so far; `None` before the first batch that counts.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// Takes up the smallest positive feature of a batch.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::train::{ThresholdRule, ThresholdTracker};
    ///
    /// let mut threshold = ThresholdTracker::default();
    /// threshold.update(ThresholdRule::MeanOfMinima, Some(0.2));
    /// threshold.update(ThresholdRule::MeanOfMinima, Some(0.4));
    /// assert!((threshold.value().unwrap() - 0.3).abs() < 1e-15);
    /// ```
    pub fn update(&mut self, rule: ThresholdRule, min_positive: Option<f64>) {
        let average = |rate: f64, old: f64, new: f64| (1.0 - rate) * old + rate * new;
        match (rule, min_positive) {
            (ThresholdRule::EmaFromZero { rate }, Some(new)) => {
                self.value = Some(average(rate, self.value.unwrap_or(0.0), new));
            }
            (ThresholdRule::EmaFromZero { .. }, None) => self.value = Some(self.value.unwrap_or(0.0)),
            (ThresholdRule::EmaFirstCopy { rate }, new) => {
                let new = new.unwrap_or(0.0);
                self.value = Some(self.value.map_or(new, |old| average(rate, old, new)));
            }
            (ThresholdRule::MeanOfMinima, Some(new)) => {
                let old = self.value.unwrap_or(0.0);
                self.value = Some(old + (new - old) / (self.batches + 1) as f64);
            }
            (ThresholdRule::MeanOfMinima, None) => return,
        }
        self.batches += 1;
    }
}
