//! What all sampled summaries share: a budget, a tolerance, and standard errors from independent units.
//!
//! ```text
//! unit u -> estimate e_u (unbiased)      value = mean e_u,   SE² = Σ (e_u - mean)² / (n (n - 1))
//! ```
//!
//! A unit is the smallest thing that is drawn independently: a permutation, an antithetic pair, a block. Its parts depend
//! on each other and are no evidence of their own. (One library counts both halves of a pair and does not divide by `n`.)
//!
//! Source: Owen, "Monte Carlo theory, methods and examples" (2013), <https://artowen.su.domains/mc/>, chapters 2 and 8.

use alloc::vec::Vec;

use ndarray::{ArrayView2, Axis};

use super::coalitions::Coalitions;
use super::game::Game;
use super::play::{Ends, Play, ROUND, matrix};
use super::summary::GameAttribution;
use crate::attribution::{Explained, Status};
use crate::error::check_each;
use crate::math::student::two_sided_quantile;
use crate::{Error, Result, Scalar, Seed};

/// Units from which a standard error is trusted to stop at a tolerance.
pub(crate) const ENOUGH_UNITS: u64 = 20;

/// How much is sampled, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sampling {
    /// Most coalitions that are asked for; for a model: per row, and times the rows of the background.
    pub budget: u64,
    /// Stops once the 95 % interval of no value reaches further than this to either side; `None`: uses up the budget.
    pub tolerance: Option<f64>,
    /// Whether all coalitions are asked for where that is within the budget: the result is exact then.
    pub exact: bool,
    /// Where the random numbers start.
    pub seed: Seed,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { budget: 2048, tolerance: None, exact: true, seed: Seed(0) }
    }
}

impl Sampling {
    pub(crate) fn check(&self) -> Result<()> {
        check_each("tolerance", &self.tolerance, "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())
    }

    /// Whether a game is small enough to ask for everything.
    pub(crate) fn all<T: Scalar, G: Game<T> + ?Sized>(&self, play: &Play<'_, T, G>) -> bool {
        self.exact && play.fits(self.budget)
    }

    /// Units that fit after what was asked for already.
    pub(crate) fn units(&self, used: u64, cost: u64) -> Result<u64> {
        let units = self.budget.saturating_sub(used) / cost.max(1);
        if units == 0 {
            let expected = "at least one unit of samples and the two end points";
            return Err(Error::OutOfRange { what: "budget", index: 0, value: self.budget as f64, expected });
        }
        Ok(units)
    }
}

/// Something that is drawn independently and gives an unbiased estimate.
pub(crate) trait Unit<T: Scalar> {
    /// Coalitions of a unit, always as many.
    fn cost(&self) -> usize;

    /// Draws unit number `unit`, the `slot`-th of its round, and appends its coalitions.
    fn draw(&mut self, unit: u64, slot: usize, coalitions: &mut Coalitions);

    /// Writes the estimate of the unit in `slot` into all of `estimate`, from the `worth` of its coalitions.
    fn estimate(&mut self, slot: usize, worth: ArrayView2<'_, T>, estimate: &mut [f64]);
}

/// Running mean and sum of squared distances of estimates.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    pub(crate) count: u64,
    pub(crate) mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Running {
    pub(crate) fn new(len: usize) -> Self {
        Self { count: 0, mean: alloc::vec![0.0; len], squares: alloc::vec![0.0; len] }
    }

    /// Takes up an estimate, by Welford's update.
    pub(crate) fn push(&mut self, estimate: &[f64]) {
        self.count += 1;
        let count = self.count as f64;
        for ((mean, squares), x) in self.mean.iter_mut().zip(&mut self.squares).zip(estimate) {
            let distance = x - *mean;
            *mean += distance / count;
            *squares += distance * (x - *mean);
        }
    }

    /// Standard errors of the means; `None` for fewer than two estimates.
    pub(crate) fn standard_errors(&self) -> Option<Vec<f64>> {
        let count = self.count as f64;
        let error = |squares: &f64| num_traits::Float::sqrt(squares.max(0.0) / (count * (count - 1.0)));
        (self.count > 1).then(|| self.squares.iter().map(error).collect())
    }

    /// Whether no 95 % interval reaches further than the tolerance.
    pub(crate) fn within(&self, tolerance: f64) -> Result<bool> {
        let Some(errors) = self.standard_errors().filter(|_| self.count >= ENOUGH_UNITS) else {
            return Ok(false);
        };
        let reach = two_sided_quantile(0.95, (self.count - 1) as f64)?;
        Ok(errors.iter().all(|error| reach * error <= tolerance))
    }
}

/// Draws units of a game until the tolerance is met or the budget is used up.
pub(crate) fn sample<T: Scalar, G: Game<T> + ?Sized>(
    play: &mut Play<'_, T, G>,
    sampling: &Sampling,
    unit: &mut impl Unit<T>,
    len: usize,
) -> Explained<(Running, Status), G::Error> {
    let cost = unit.cost();
    let total = sampling.units(play.evaluations, cost as u64)?;
    // the same rounds for every batch size, so that a run stops at the same place
    let round = (ROUND / cost.max(1)).max(1);
    let (mut running, mut estimate) = (Running::new(len), alloc::vec![0.0; len]);
    let mut coalitions = Coalitions::new(play.n);
    while running.count < total {
        let units = usize::try_from(total - running.count).unwrap_or(round).min(round);
        coalitions.clear();
        (0..units).for_each(|slot| unit.draw(running.count + slot as u64, slot, &mut coalitions));
        let worth = play.values(&coalitions)?;
        for (slot, worth) in worth.axis_chunks_iter(Axis(0), cost).enumerate() {
            unit.estimate(slot, worth, &mut estimate);
            running.push(&estimate);
        }
        if let Some(tolerance) = sampling.tolerance
            && running.within(tolerance)?
        {
            return Ok((running, Status::Converged));
        }
    }
    let status = if sampling.tolerance.is_some() { Status::Partial } else { Status::Finished };
    Ok((running, status))
}

/// The result of a sampled summary of one number per player.
pub(crate) fn sampled<T: Scalar, G: Game<T> + ?Sized>(
    play: &Play<'_, T, G>,
    method: &'static str,
    (running, status): &(Running, Status),
    ends: &Ends,
    seed: Seed,
) -> GameAttribution<T> {
    let mut result = play.result(method, &running.mean, ends);
    result.standard_error = running.standard_errors().map(|errors| matrix(&errors, (play.n, play.v)));
    result.units = running.count;
    result.status = *status;
    result.seed = Some(seed);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean() {
        let mut running = Running::new(1);
        assert!(running.standard_errors().is_none());
        [1.0, 3.0, 5.0, 7.0].iter().for_each(|x| running.push(&[*x]));
        // variance 20/3, over 4
        assert!((running.standard_errors().unwrap()[0] - libm::sqrt(5.0 / 3.0)).abs() < 1e-15);
        assert_eq!((running.mean[0], running.within(1e9).unwrap()), (4.0, false));
    }

    #[test]
    fn a_budget_must_hold_one_unit() {
        let sampling = Sampling { budget: 11, ..Sampling::default() };
        assert_eq!(sampling.units(2, 4).unwrap(), 2);
        assert!(matches!(sampling.units(2, 10), Err(Error::OutOfRange { what: "budget", .. })));
        assert!(Sampling { tolerance: Some(f64::NAN), ..sampling }.check().is_err());
    }
}
