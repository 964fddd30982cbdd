//! What changes over the steps of a run: learning rate, sparsity coefficient, `k`, `p`.
//!
//! ```text
//! learning rate   warm-up to the base over W steps, then a shape over T - W - D steps, then linear to 0 over D steps
//! coefficient     c min(s/W, 1)
//! k               ⌊or round⌉ (from (1 - r) + to r),  r = min(s/over, 1)
//! p               from `from` to `to` in equal stairs at evenly spaced steps from `start` to `end`
//! c at a stair    c · mean(current penalties) / mean(penalties with the next p): the penalty does not jump
//! ```
//!
//! Steps count from 0.
//!
//! Source: Conerly et al., "Circuits Updates, April 2024"; Karvonen et al. (arXiv 2408.00113) for `p`.

use crate::error::check_each;
use crate::{Error, Result};

/// How a warm-up begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum WarmUp {
    /// `(s + 1)/W`: the first step already moves.
    #[default]
    FromFirstStep,
    /// `s/W`: the first step has the rate 0.
    FromZero,
}

/// What the learning rate does between warm-up and decay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Shape {
    /// Stays.
    #[default]
    Constant,
    /// Falls along half a cosine to this rate, from which the decay goes on.
    Cosine {
        /// Rate at the end.
        to: f64,
    },
    /// Several such cosines, each from the base.
    CosineRestarts {
        /// Rate at the end of each.
        to: f64,
        /// Their number.
        cycles: usize,
    },
}

/// The learning rate over the steps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LearningRate {
    /// Rate after the warm-up.
    pub base: f64,
    /// How the warm-up begins.
    pub warm_up: WarmUp,
    /// Steps of the warm-up.
    pub warm_up_steps: usize,
    /// Shape in between.
    pub shape: Shape,
    /// Steps of the linear decay to 0 at the end.
    pub decay_steps: usize,
}

impl LearningRate {
    /// The same rate at every step.
    #[must_use]
    pub fn constant(base: f64) -> Self {
        Self { base, warm_up: WarmUp::FromFirstStep, warm_up_steps: 0, shape: Shape::Constant, decay_steps: 0 }
    }

    /// Rate at `step` of `steps`.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::train::LearningRate;
    ///
    /// let rate = LearningRate { warm_up_steps: 2, decay_steps: 4, ..LearningRate::constant(0.1) };
    /// assert_eq!([0, 1, 5, 6].map(|step| rate.at(step, 8)), [0.05, 0.1, 0.1 * 0.75, 0.05]);
    /// ```
    #[must_use]
    pub fn at(&self, step: usize, steps: usize) -> f64 {
        let (s, warm_up) = (step as f64, self.warm_up_steps as f64);
        if step < self.warm_up_steps {
            let done = if self.warm_up == WarmUp::FromFirstStep { s + 1.0 } else { s };
            return self.base * done / warm_up;
        }
        let decay_from = steps.saturating_sub(self.decay_steps);
        if step >= decay_from && self.decay_steps > 0 {
            let left = steps.saturating_sub(step) as f64 / self.decay_steps as f64;
            return self.shape.last(self.base) * left;
        }
        let span = decay_from.saturating_sub(self.warm_up_steps);
        self.shape.at(self.base, step - self.warm_up_steps, span)
    }

    pub(super) fn check(&self) -> Result<()> {
        let to = self.shape.last(self.base);
        check_each("learning rate", &[self.base, to], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())
    }
}

impl Shape {
    /// Rate that a decay starts from.
    fn last(self, base: f64) -> f64 {
        match self {
            Self::Constant => base,
            Self::Cosine { to } | Self::CosineRestarts { to, .. } => to,
        }
    }

    fn at(self, base: f64, step: usize, span: usize) -> f64 {
        let cosine = |to: f64, step: usize, span: usize| {
            let turn = core::f64::consts::PI * step as f64 / span.max(1) as f64;
            to + (base - to) * (1.0 + libm::cos(turn)) * 0.5
        };
        match self {
            Self::Constant => base,
            Self::Cosine { to } => cosine(to, step.min(span), span),
            Self::CosineRestarts { to, cycles } => {
                let period = (span / cycles.max(1)).max(1);
                cosine(to, step % period, period)
            }
        }
    }
}

/// Factor of a sparsity coefficient that is warmed up over `warm_up_steps`; 1 without a warm-up.
#[must_use]
pub fn sparsity_factor(step: usize, warm_up_steps: usize) -> f64 {
    if warm_up_steps == 0 { 1.0 } else { (step as f64 / warm_up_steps as f64).min(1.0) }
}

/// How an annealed `k` becomes whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Rounding {
    /// Down.
    #[default]
    Floor,
    /// To the nearest, halves to the even number.
    Round,
}

/// `k` that falls (or rises) linearly over the first steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KAnnealing {
    /// First value.
    pub from: usize,
    /// Steps until the final `k` is reached.
    pub over: usize,
    /// How values in between become whole.
    pub rounding: Rounding,
}

impl KAnnealing {
    /// `k` at `step`, on the way to `to`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two counts")]
    #[must_use]
    pub fn at(&self, step: usize, to: usize) -> usize {
        let done = sparsity_factor(step, self.over);
        let k = self.from as f64 * (1.0 - done) + to as f64 * done;
        match self.rounding {
            Rounding::Floor => libm::floor(k) as usize,
            Rounding::Round => libm::rint(k) as usize,
        }
    }
}

/// The power of an Lp penalty, annealed in stairs.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PAnnealing {
    /// First power.
    pub from: f64,
    /// Last power.
    pub to: f64,
    /// Step of the first update, whose value is `from`.
    pub start: usize,
    /// Step of the last update, whose value is `to`.
    pub end: usize,
    /// Number of updates.
    pub updates: usize,
}

impl PAnnealing {
    /// Power used at `step`: what an update sets counts from the next step on.
    #[must_use]
    pub fn at(&self, step: usize) -> f64 {
        let done = (0..self.updates).take_while(|&update| self.update_step(update) < step).count();
        done.checked_sub(1).map_or(self.from, |update| self.value(update))
    }

    /// The power that comes after that of `step`, if another one comes.
    #[must_use]
    pub fn next(&self, step: usize) -> Option<f64> {
        let done = (0..self.updates).take_while(|&update| self.update_step(update) < step).count();
        (done < self.updates).then(|| self.value(done))
    }

    /// Whether `step` sets a new power.
    #[must_use]
    pub fn is_update(&self, step: usize) -> bool {
        (0..self.updates).any(|update| self.update_step(update) == step)
    }

    fn update_step(&self, update: usize) -> usize {
        let span = self.end.saturating_sub(self.start);
        if self.updates < 2 { self.start } else { self.start + span * update / (self.updates - 1) }
    }

    fn value(&self, update: usize) -> f64 {
        let share = if self.updates < 2 { 1.0 } else { update as f64 / (self.updates - 1) as f64 };
        self.from + (self.to - self.from) * share
    }
}

/// Coefficient of the next power, so that the penalty does not jump: `c mean(current)/mean(next)` over recent batches, each
/// a pair of penalties (without coefficient) by the current and the next power.
///
/// # Errors
/// [`Error::Empty`] without batches, [`Error::Singular`] where the next penalties are all 0.
pub fn continued_coefficient(coefficient: f64, penalties: &[(f64, f64)]) -> Result<f64> {
    if penalties.is_empty() {
        return Err(Error::Empty { what: "penalties" });
    }
    let (current, next) = penalties.iter().fold((0.0, 0.0), |(a, b), (current, next)| (a + current, b + next));
    let ratio = coefficient * (current / next);
    if ratio.is_finite() { Ok(ratio) } else { Err(Error::Singular { what: "ratio of penalties" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_begin_at_the_base_again() {
        let shape = Shape::CosineRestarts { to: 0.1, cycles: 2 };
        let rate = LearningRate { shape, ..LearningRate::constant(1.0) };
        assert_eq!([0, 5].map(|step| rate.at(step, 10)), [1.0, 1.0]);
        assert!(rate.at(4, 10) < 0.3);
    }

    #[test]
    fn nothing_divides_by_zero() {
        let rate = LearningRate { shape: Shape::Cosine { to: 0.0 }, decay_steps: 9, ..LearningRate::constant(1.0) };
        assert!((0..12).all(|step| rate.at(step, 5).is_finite()));
        assert_eq!(rate.at(9, 5), 0.0);
        assert_eq!(sparsity_factor(0, 0), 1.0);
        assert!(continued_coefficient(1.0, &[(0.0, 0.0)]).is_err() && continued_coefficient(1.0, &[]).is_err());
    }

    #[test]
    fn a_single_update_goes_to_the_end() {
        let p = PAnnealing { from: 1.0, to: 0.5, start: 3, end: 9, updates: 1 };
        assert_eq!([3, 4].map(|step| p.at(step)), [1.0, 0.5]);
        assert_eq!((p.next(3), p.next(4), p.is_update(3), p.is_update(9)), (Some(0.5), None, true, false));
    }
}
