//! Calibration: a map from what an explanation predicts to what the neuron does.
//!
//! | map | `t ≈ f(s)` |
//! |---|---|
//! | [`Calibration::LeastSquares`] | a line, least squares |
//! | [`Calibration::NonNegative`] | the same with a slope of at least 0 |
//! | [`Calibration::VarianceMatched`] | a line that gives the predictions the mean and spread of the truth |
//! | [`Calibration::Percentile`] | sorted `s` to sorted `t`, straight in between |
//! | [`Calibration::Isotonic`] | the best increasing function |
//!
//! ```text
//! least squares     slope = Σ (s - s̄)(t - t̄)/Σ (s - s̄)²,   intercept = t̄ - slope s̄
//! variance matched  slope = sd(t)/sd(s),                   intercept = t̄ - slope s̄
//! all s equal       slope = 0,                             intercept = t̄
//! ```
//!
//! A map that is fitted on the texts that it is then scored on flatters the explanation: a least-squares line makes the explained
//! variance `r²` there, whatever the prediction. The types keep the two apart: a map is fitted on a [`CalibrationSet`], and
//! scores come from a [`ScoredSet`]; [`split`] puts every text into one of them.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), section on calibration, for the line
//! and the percentiles.

mod map;
mod sets;

pub use map::{Calibrated, Calibration, MappedDistribution};
pub use sets::{CalibrationSet, ScoredSet, split};
