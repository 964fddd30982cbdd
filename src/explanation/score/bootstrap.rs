//! How sure a score is, with whole texts as the unit: cluster bootstrap, jackknife, and the difference of two explanations.
//!
//! ```text
//! resample   as many texts as there are, with replacement; a text brings all its tokens
//! interval   bias-corrected and accelerated, from the pooled score of every resample; reaches √(n/(n - 1)) t_(n-1) for z,
//!            n texts, which keeps intervals of few texts from being too narrow
//! ```
//!
//! Tokens of one text depend on each other, so that an interval for independent tokens (Fisher's) is too narrow, often by
//! more than half. Scores of a resample follow from the statistics of its texts; the tokens are never touched again.
//!
//! Source: Field and Welsh, "Bootstrapping clustered data", JRSS B 69(3), 2007, for the cluster bootstrap;
//! Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69(4), 2015, for the reach.

use alloc::vec::Vec;

use super::pair_stats::{PairStats, Statistic};
use crate::explanation::{Defined, Undefined};
use crate::math::bootstrap::{self, JackknifeError, Resamples, bca_ends, standard_deviation};
use crate::math::correlation::{self, check_level, of_moments};
use crate::math::normal::quantile;
use crate::math::student::two_sided_quantile;
use crate::{Dims, Error, Result, Seed};

/// Share of a second moment below which a spread is computed again, without cancellation.
const RESOLUTION: f64 = 1e-9;

/// Settings of the cluster bootstrap. The default draws 1000 resamples for 95 %.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Bootstrap {
    /// Which score.
    pub statistic: Statistic,
    /// Number of resamples.
    pub resamples: usize,
    /// Chance of the interval to hold the true score.
    pub level: f64,
    /// Numbers of texts of the kinds that were chosen separately, such as `[5, 5]` for top and random: each kind is
    /// resampled on its own. Empty for one kind.
    pub strata: Vec<usize>,
    /// Seed of the resamples.
    pub seed: Seed,
}

impl Default for Bootstrap {
    fn default() -> Self {
        let (statistic, strata) = (Statistic::Pearson, Vec::new());
        Self { statistic, resamples: 1000, level: 0.95, strata, seed: Seed::default() }
    }
}

/// An interval that holds the true score with the chance that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Standard deviation of the resamples' scores; 0 for a single one.
    pub standard_error: f64,
    /// Resamples that have a score.
    pub resamples: usize,
    /// Resamples without one, such as those in which no text fires.
    pub undefined: usize,
}

/// Which of two explanations of the same neuron is better.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Difference {
    /// Score of the first less that of the second.
    pub difference: f64,
    /// Its interval; the first is better where it lies above 0.
    pub interval: Interval,
    /// Share of the resamples in which the first is better, ties counting a half.
    pub share_better: f64,
}

/// A score without each text in turn.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Jackknife {
    /// The score of all texts.
    pub score: Defined<f64>,
    /// The score without text `i`.
    pub leave_one_out: Vec<Defined<f64>>,
    /// How many of those are undefined.
    pub undefined: usize,
    /// Bias and standard error from those that are defined.
    pub error: Defined<JackknifeError>,
}

impl Bootstrap {
    /// Interval of the pooled score of texts with these statistics.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::TooLarge`] for the settings, [`Error::Shape`] where the strata are not as many
    /// texts. The interval is undefined where the score is.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::{Bootstrap, PairStats};
    /// use ndarray::Array1;
    ///
    /// let text = |i: usize| {
    ///     let truth: Array1<f64> = (0..16).map(|j| if (i + j) % 8 == 0 { 3.0 } else { 0.0 }).collect();
    ///     let noise: Array1<f64> = (0..16).map(|j| ((i * 7 + j * 5) % 11) as f64 / 4.0).collect();
    ///     PairStats::of(&truth, &(&truth + &noise))
    /// };
    /// let texts = (0..10).map(text).collect::<Result<Vec<_>, _>>()?;
    /// let interval = Bootstrap::default().interval(&texts)?.unwrap();
    /// assert!(interval.low > 0.5 && interval.high < 0.9);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn interval(&self, stats: &[PairStats]) -> Result<Defined<Interval>> {
        Ok(self.prepare(stats.len())?.interval(stats, &mut Workspace::default()))
    }

    /// Which of two explanations predicts the same texts better; both are resampled together.
    ///
    /// # Errors
    /// As [`Bootstrap::interval`], and [`Error::Unsupported`] where the true activations of the two are not the same.
    pub fn difference(&self, first: &[PairStats], second: &[PairStats]) -> Result<Defined<Difference>> {
        let same = |(a, b): (&PairStats, &PairStats)| {
            (a.count, a.mean_true, a.m2_true) == (b.count, b.mean_true, b.m2_true) || a.not_finite + b.not_finite > 0
        };
        if first.len() != second.len() || !first.iter().zip(second).all(same) {
            return Err(Error::Unsupported { what: "a difference of predictions of other texts" });
        }
        Ok(self.prepare(first.len())?.difference(first, second))
    }

    /// Draws the resamples that serve any number of neurons with so many texts.
    pub(super) fn prepare(&self, texts: usize) -> Result<Prepared> {
        check_level(self.level)?;
        let total = self.strata.iter().fold(0_usize, |sum, size| sum.saturating_add(*size));
        if !self.strata.is_empty() && total != texts {
            return Err(Error::Shape { what: "strata", expected: Dims::new(&[texts]), got: Dims::new(&[total]) });
        }
        let groups = if self.strata.is_empty() { &[texts][..] } else { &self.strata };
        let resamples = Resamples::draw(groups, self.resamples, self.seed)?;
        Ok(Prepared { statistic: self.statistic, resamples, z: reach(texts, groups.len(), self.level)? })
    }
}

/// Standard errors that an interval reaches to either side. Resamples of `n` texts vary by `√((n - 1)/n)` too little, and how
/// much they vary is itself known from `n` texts: Student's quantile, expanded by the root, makes up for both.
fn reach(texts: usize, groups: usize, level: f64) -> Result<f64> {
    let free = texts.saturating_sub(groups) as f64;
    if free < 1.0 {
        return Ok(quantile(0.5 * (1.0 + level)));
    }
    Ok(two_sided_quantile(level, free)? * num_traits::Float::sqrt(texts as f64 / free))
}

/// A bootstrap whose resamples are drawn.
pub(super) struct Prepared {
    statistic: Statistic,
    resamples: Resamples,
    z: f64,
}

/// Memory that is used again for the next neuron.
#[derive(Default)]
pub(super) struct Workspace {
    rows: Vec<[f64; 6]>,
    replicates: Vec<f64>,
    without: Vec<f64>,
    after: Vec<PairStats>,
}

impl Prepared {
    pub(super) fn interval(&self, stats: &[PairStats], work: &mut Workspace) -> Defined<Interval> {
        let whole = PairStats::pool(stats);
        let score = self.statistic.of(&whole)?;
        self.replicate(stats, &whole, &mut work.rows, &mut work.replicates);
        work.replicates.retain(|replicate| !replicate.is_nan());
        work.without.clear();
        let without = &mut work.without;
        each_left_out(stats, &mut work.after, |rest| without.extend(self.statistic.of(rest)));
        self.between(score, &mut work.replicates, &work.without)
    }

    fn between(&self, score: f64, replicates: &mut [f64], without: &[f64]) -> Defined<Interval> {
        let (low, high) = bca_ends(score, replicates, without, self.z).ok_or(Undefined::NoResample)?;
        let standard_error = standard_deviation(replicates).unwrap_or(0.0);
        let (resamples, all) = (replicates.len(), self.resamples.count());
        Ok(Interval { low, high, standard_error, resamples, undefined: all - resamples })
    }

    fn difference(&self, first: &[PairStats], second: &[PairStats]) -> Defined<Difference> {
        let wholes = [first, second].map(PairStats::pool);
        let difference = self.statistic.of(&wholes[0])? - self.statistic.of(&wholes[1])?;
        let (mut rows, mut after, mut both) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        let mut without = [Vec::new(), Vec::new()];
        for (i, stats) in [first, second].into_iter().enumerate() {
            self.replicate(stats, &wholes[i], &mut rows, &mut both[i]);
            each_left_out(stats, &mut after, |rest| without[i].push(self.statistic.of(rest).unwrap_or(f64::NAN)));
        }
        let subtract = |[a, b]: &[Vec<f64>; 2]| {
            a.iter().zip(b).map(|(a, b)| a - b).filter(|difference| !difference.is_nan()).collect::<Vec<f64>>()
        };
        let (mut replicates, without) = (subtract(&both), subtract(&without));
        let above = replicates.iter().map(|d| if *d > 0.0 { 1.0 } else { f64::from(u8::from(*d == 0.0)) * 0.5 });
        let share_better = above.sum::<f64>() / replicates.len() as f64;
        let interval = self.between(difference, &mut replicates, &without)?;
        Ok(Difference { difference, interval, share_better })
    }

    /// The score of every resample, NaN where it has none.
    fn replicate(&self, stats: &[PairStats], whole: &PairStats, rows: &mut Vec<[f64; 6]>, out: &mut Vec<f64>) {
        rows.clear();
        rows.extend(stats.iter().map(|part| columns(self.statistic, part, whole)));
        out.clear();
        let statistic = self.statistic;
        self.resamples.sums(
            rows,
            #[inline(always)]
            |_, sums| out.push(from_columns(statistic, sums)),
        );
        for (resample, value) in out.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
            *value = self.exactly(stats, resample).unwrap_or(f64::NAN);
        }
    }

    /// The score of one resample, part by part: where a spread cancels, or is 0 and must be exactly that.
    #[cold]
    fn exactly(&self, stats: &[PairStats], resample: usize) -> Defined<f64> {
        let weighted = stats.iter().enumerate().map(|(i, part)| part.times(self.resamples.weight(resample, i)));
        self.statistic.of(&PairStats::pool(&weighted.collect::<Vec<_>>()))
    }
}

/// Sums of one text that add up to those of a resample, around the means of all texts.
fn columns(statistic: Statistic, part: &PairStats, whole: &PairStats) -> [f64; 6] {
    let [tt, ss, ts] = part.moments_around(whole.mean_true, whole.mean_predicted);
    let t = part.weight * (part.mean_true - whole.mean_true);
    match statistic {
        Statistic::Pearson => [part.weight, t, part.weight * (part.mean_predicted - whole.mean_predicted), tt, ss, ts],
        Statistic::R2 => [part.weight, t, 0.0, tt, part.sum_square_error, 0.0],
        Statistic::R2AboutZero => [part.sum_square_error, part.sum_square_true(), 0.0, 0.0, 0.0, 0.0],
        Statistic::AbsoluteDeviation => [part.sum_absolute_error, part.sum_absolute_true, 0.0, 0.0, 0.0, 0.0],
    }
}

/// The score of such sums; NaN where they cannot tell.
#[inline(always)]
fn from_columns(statistic: Statistic, sums: [f64; 6]) -> f64 {
    let [a, b, c, d, e, f] = sums;
    match statistic {
        Statistic::Pearson => {
            let (of_true, of_predicted) = (d - b * b / a, e - c * c / a);
            let clear = of_true > RESOLUTION * d && of_predicted > RESOLUTION * e;
            if clear { of_moments(f - b * c / a, of_true, of_predicted).unwrap_or(f64::NAN) } else { f64::NAN }
        }
        Statistic::R2 => {
            let of_true = d - b * b / a;
            if of_true > RESOLUTION * d { 1.0 - e / of_true } else { f64::NAN }
        }
        Statistic::R2AboutZero | Statistic::AbsoluteDeviation => {
            if b > 0.0 {
                1.0 - a / b
            } else {
                f64::NAN
            }
        }
    }
}

/// Hands the statistics without each part in turn to `emit`; `after` is memory.
fn each_left_out(stats: &[PairStats], after: &mut Vec<PairStats>, mut emit: impl FnMut(&PairStats)) {
    after.clear();
    after.push(PairStats::default());
    for part in stats.iter().skip(1).rev() {
        after.push(PairStats::pool([part, &after[after.len() - 1]]));
    }
    let mut before = PairStats::default();
    for (part, after) in stats.iter().zip(after.iter().rev()) {
        emit(&PairStats::pool([&before, after]));
        before = PairStats::pool([&before, part]);
    }
}

impl Jackknife {
    /// The pooled `statistic` of texts with these statistics, without each of them in turn.
    ///
    /// Source: Quenouille, "Notes on bias in estimation", Biometrika 43(3/4), 1956; Tukey's standard error.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::{Jackknife, PairStats, Statistic};
    /// use ndarray::array;
    ///
    /// let texts = [
    ///     PairStats::of(&array![0.0, 2.0, 1.0], &array![0.0, 3.0, 3.0])?,
    ///     PairStats::of(&array![0.0, 5.0, 0.0], &array![1.0, 6.0, 0.0])?,
    /// ];
    /// let found = Jackknife::of(Statistic::Pearson, &texts);
    /// assert!((found.leave_one_out[1].unwrap() - 0.866_025).abs() < 1e-6);
    /// assert!((found.error.unwrap().standard_error - 0.060_902).abs() < 1e-6);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn of(statistic: Statistic, stats: &[PairStats]) -> Self {
        let score = statistic.of(&PairStats::pool(stats));
        let mut leave_one_out = Vec::with_capacity(stats.len());
        each_left_out(stats, &mut Vec::new(), |rest| leave_one_out.push(statistic.of(rest)));
        let defined: Vec<f64> = leave_one_out.iter().copied().filter_map(Result::ok).collect();
        let error = score.and_then(|score| bootstrap::jackknife(score, &defined).ok_or(Undefined::TooFew));
        Self { score, undefined: leave_one_out.len() - defined.len(), leave_one_out, error }
    }
}

/// Ends of Fisher's interval of a correlation over `n` tokens, for comparison with what others report: it takes the tokens
/// to be independent, which those of one text are not.
///
/// # Errors
/// [`Error::OutOfRange`] for a correlation outside `[-1, 1]` or a level outside `[0, 1)`. Undefined where `r` is, and for
/// `n <= 3`.
pub fn fisher_interval(r: Defined<f64>, n: u64, level: f64) -> Result<Defined<(f64, f64)>> {
    match r {
        Err(reason) => check_level(level).map(|()| Err(reason)),
        Ok(r) => Ok(correlation::fisher_interval(r, n, level)?.ok_or(Undefined::TooFew)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{fill_normal, uniform};
    use ndarray::{Array1, array};

    /// Texts of 8 tokens, most of them 0.
    fn texts(count: usize, item: u64, quality: f64) -> Vec<PairStats> {
        let text = |i: usize| {
            let mut stream = Seed(item).stream(1, i as u64);
            let truth: Array1<f64> = (0..8).map(|_| (uniform::<f64>(&mut stream) - 0.7).max(0.0) * 10.0).collect();
            let mut noise = Array1::zeros(8);
            fill_normal(&mut stream, 1.0, noise.as_slice_mut().unwrap());
            PairStats::of(&truth, &(&truth * quality + &noise)).unwrap()
        };
        (0..count).map(text).collect()
    }

    fn each(statistic: Statistic) -> Bootstrap {
        Bootstrap { statistic, resamples: 64, ..Bootstrap::default() }
    }

    #[test]
    fn sums_give_the_score_of_each_resample() {
        let mut stats = texts(9, 1, 1.0);
        stats.push(PairStats::default());
        stats.push(PairStats::of(&array![0.0, 0.0], &array![2.0, 2.0]).unwrap());
        let whole = PairStats::pool(&stats);
        for statistic in Statistic::ALL {
            let prepared = each(statistic).prepare(stats.len()).unwrap();
            let (mut rows, mut fast) = (Vec::new(), Vec::new());
            prepared.replicate(&stats, &whole, &mut rows, &mut fast);
            for (resample, value) in fast.iter().enumerate() {
                let exact = prepared.exactly(&stats, resample).unwrap();
                assert!((value - exact).abs() < 1e-9 * (1.0 + exact.abs()), "{statistic:?} {value} {exact}");
            }
        }
    }

    #[test]
    fn a_resample_that_does_not_fire_is_counted_and_no_zero() {
        let silent = PairStats::of(&array![0.0, 0.0], &array![0.1, 0.3]).unwrap();
        let loud = PairStats::of(&array![0.0, 4.0], &array![0.1, 3.0]).unwrap();
        for statistic in Statistic::ALL {
            let found = each(statistic).interval(&[loud, silent, silent]).unwrap().unwrap();
            // a chance of (2/3)³ to miss the one that fires
            assert!(found.undefined > 5 && found.resamples + found.undefined == 64, "{statistic:?} {found:?}");
            assert!(found.low <= found.high && found.low.is_finite());
        }
        let strata = Bootstrap { strata: alloc::vec![1, 2], ..each(Statistic::Pearson) };
        assert_eq!(strata.interval(&[loud, silent, silent]).unwrap().unwrap().undefined, 0);
        assert_eq!(each(Statistic::Pearson).interval(&[silent; 3]).unwrap(), Err(Undefined::ConstantTruth));
        assert_eq!(each(Statistic::Pearson).interval(&[]).unwrap(), Err(Undefined::Empty));
    }

    #[test]
    fn the_better_explanation_is_told() {
        let (good, bad) = (texts(12, 3, 2.0), texts(12, 3, 0.1));
        let found = each(Statistic::Pearson).difference(&good, &bad).unwrap().unwrap();
        assert!(found.difference > 0.0 && found.interval.low > 0.0 && found.share_better > 0.98, "{found:?}");
        let mirrored = each(Statistic::Pearson).difference(&bad, &good).unwrap().unwrap();
        assert_eq!(mirrored.difference, -found.difference);
        let same = each(Statistic::Pearson).difference(&good, &good).unwrap().unwrap();
        assert_eq!((same.difference, same.share_better, same.interval.low, same.interval.high), (0.0, 0.5, 0.0, 0.0));
        assert!(each(Statistic::Pearson).difference(&good, &texts(12, 4, 1.0)).is_err());
        assert!(each(Statistic::Pearson).difference(&good, &bad[1..]).is_err());
    }

    #[test]
    fn leaving_out_is_pooling_the_rest() {
        let stats = texts(5, 5, 1.0);
        let found = Jackknife::of(Statistic::R2, &stats);
        for (i, score) in found.leave_one_out.iter().enumerate() {
            let rest: Vec<PairStats> =
                stats.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, part)| *part).collect();
            assert!((score.unwrap() - Statistic::R2.of(&PairStats::pool(&rest)).unwrap()).abs() < 1e-12);
        }
        let one = Jackknife::of(Statistic::Pearson, &stats[..1]);
        assert_eq!((one.undefined, one.leave_one_out.as_slice()), (1, &[Err(Undefined::Empty)][..]));
        assert_eq!(one.error, Err(Undefined::TooFew));
        assert!(Jackknife::of(Statistic::Pearson, &[]).leave_one_out.is_empty());
    }

    #[test]
    fn settings_are_checked() {
        let stats = texts(3, 1, 1.0);
        for bad in [
            Bootstrap { level: 1.0, ..each(Statistic::R2) },
            Bootstrap { resamples: 0, ..each(Statistic::R2) },
            Bootstrap { strata: alloc::vec![2, 2], ..each(Statistic::R2) },
            Bootstrap { resamples: usize::MAX, ..each(Statistic::R2) },
        ] {
            assert!(bad.interval(&stats).is_err(), "{bad:?}");
        }
        assert_eq!(fisher_interval(Err(Undefined::Empty), 9, 0.95), Ok(Err(Undefined::Empty)));
        assert_eq!(fisher_interval(Ok(0.5), 3, 0.95), Ok(Err(Undefined::TooFew)));
        assert!(fisher_interval(Ok(2.0), 9, 0.95).is_err());
    }
}
