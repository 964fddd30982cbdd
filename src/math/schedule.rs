//! Learning-rate schedules: the factor that a base learning rate is multiplied with at each step.
//!
//! ```text
//! constant        1
//! linear          1 - t/T
//! quarter_cosine  cos(π/2 · t/(T - 1))
//! warmup_cosine   (t + 1)/w for t < w, then (1 + cos(π (t - w)/(T - w)))/2
//! linear_decay    1 until t = T - d, then (T - t)/d
//! ```
//!
//! `t` counts steps from 0, `T` is their number, `w` those of the warm-up, `d` those of the decay.
//!
//! Source: constant, linear and quarter cosine are those of the notebook to Elhage et al. (2022); its "cosine" is a
//! quarter wave, not the half wave of Loshchilov and Hutter (arXiv 1608.03983), which `WarmupCosine` is.

use crate::Scalar;

/// How the learning rate changes over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Schedule {
    /// The base learning rate throughout.
    #[default]
    Constant,
    /// Falls linearly and would reach 0 one step after the last.
    Linear,
    /// Falls along a quarter of a cosine and reaches 0 at the last step.
    QuarterCosine,
    /// Rises linearly over the first steps, then falls along half a cosine.
    WarmupCosine {
        /// Steps of the rise.
        warmup: usize,
    },
    /// Constant, then falls linearly over the last steps.
    LinearDecay {
        /// Steps of the fall.
        decay: usize,
    },
}

impl Schedule {
    /// Factor of the learning rate at `step` (from 0) of `steps`; 0 from `steps` on.
    ///
    /// # Example
    /// ```
    /// use limpid::math::schedule::Schedule;
    /// assert_eq!(Schedule::Linear.factor::<f64>(5, 10), 0.5);
    /// ```
    #[must_use]
    pub fn factor<T: Scalar>(self, step: usize, steps: usize) -> T {
        if step >= steps {
            return T::zero();
        }
        let (t, total) = (step as f64, steps as f64);
        T::of(match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - t / total,
            Self::QuarterCosine => libm::cos(core::f64::consts::FRAC_PI_2 * t / (total - 1.0).max(1.0)),
            Self::WarmupCosine { warmup } if step < warmup => (t + 1.0) / warmup as f64,
            Self::WarmupCosine { warmup } => {
                0.5 * (1.0 + libm::cos(core::f64::consts::PI * (step - warmup) as f64 / (steps - warmup) as f64))
            }
            Self::LinearDecay { decay } => ((total - t) / (decay.max(1) as f64)).min(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_starts_and_ends_where_it_should() {
        let at = |schedule: Schedule, step| schedule.factor::<f64>(step, 11);
        assert_eq!(at(Schedule::Constant, 10), 1.0);
        assert_eq!((at(Schedule::Linear, 0), at(Schedule::Linear, 10)), (1.0, 1.0 - 10.0 / 11.0));
        assert!((at(Schedule::QuarterCosine, 5) - 0.5_f64.sqrt()).abs() < 1e-15);
        assert!(at(Schedule::QuarterCosine, 10).abs() < 1e-15);
        let warm = Schedule::WarmupCosine { warmup: 4 };
        assert_eq!((at(warm, 0), at(warm, 3), at(warm, 4)), (0.25, 1.0, 1.0));
        let late = Schedule::LinearDecay { decay: 5 };
        assert_eq!((at(late, 6), at(late, 7), at(late, 10)), (1.0, 0.8, 0.2));
    }

    #[test]
    fn nothing_is_learnt_after_the_end_or_divided_by_zero() {
        assert_eq!(Schedule::Constant.factor::<f32>(3, 3), 0.0);
        assert_eq!(Schedule::QuarterCosine.factor::<f32>(0, 1), 1.0);
        assert_eq!(Schedule::LinearDecay { decay: 0 }.factor::<f32>(0, 2), 1.0);
        assert_eq!(Schedule::WarmupCosine { warmup: 9 }.factor::<f64>(1, 2), 2.0 / 9.0);
    }
}
