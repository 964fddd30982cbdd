//! What the simulators that learn from records have in common.

use crate::error::check_each;
use crate::explanation::ActivationRecord;
use crate::{Result, Scalar};

/// What is predicted for a token that training has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Unseen {
    /// 0.
    #[default]
    Zero,
    /// The mean over all tokens of training, 0 without any.
    GlobalMean,
}

/// Largest magnitude of an activation, so that sums of any number of them are finite.
const MAX_ACTIVATION: f64 = 1e70;

/// A sum of activations and their number.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Mean {
    sum: f64,
    pub(super) count: u64,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    pub(super) fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Unseen {
    pub(super) fn value(self, all: &Mean) -> f64 {
        match self {
            Self::Zero => 0.0,
            Self::GlobalMean => all.value().unwrap_or(0.0),
        }
    }
}

/// Checks that every record is whole and has activations that can be summed.
pub(super) fn check_records<T: Scalar>(records: &[ActivationRecord<T>]) -> Result<()> {
    let summable = |x: T| x.as_f64().abs() <= MAX_ACTIVATION;
    records.iter().try_for_each(|record| {
        record.check()?;
        check_each("activations", &record.activations, "-1e70 <= x <= 1e70", summable)
    })
}
