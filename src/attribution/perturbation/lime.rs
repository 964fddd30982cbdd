//! LIME: a linear model of what the output does when groups of features are removed at random, near the input.
//!
//! ```text
//! z ~ random masks,  y = f(x where z, baseline elsewhere),  w = similarity(x, masked x)
//! A_i = β_i of the weighted regression  y ≈ b + z·β
//! ```
//!
//! The default is the text explainer of the authors' package: masks with a uniform number of removed words, the cosine of
//! masks with width 0.25 (distances there are a hundredfold, and the width 25), a ridge of strength 1, 5000 samples.
//! [`Lime::of_features`] is Captum's `Lime`.
//!
//! A lasso shrinks: with independent masks of probability 1/2 and equal weights every coefficient loses `4α`.
//!
//! Source: Ribeiro, Singh & Guestrin, "Why Should I Trust You?: Explaining the Predictions of Any Classifier" (arXiv
//! 1602.04938), section 3.

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use super::cached::Cached;
use super::coalitions::Coalitions;
use super::game::Game;
use super::mask_sampling::MaskSampling;
use super::masked::Masked;
use super::removal::{Absent, Removal};
use super::similarity::{Distance, Products, Similarity};
use super::surrogate::{Regression, Surrogate};
use crate::attribution::{Attribution, Explained, Explainer, Forward, Status, Target};
use crate::error::{check_each, check_finite, check_limit, check_shape};
use crate::{Error, Result, Scalar, Seed};

/// Purpose of the seed of each row.
const PURPOSE: u64 = 0x6c69_6d65;

/// Most samples of a run, which are kept.
const MAX_SAMPLES: usize = 1 << 26;

/// Most fits to resampled samples.
const MAX_REPLICATES: usize = 1 << 16;

/// Samples before the standard error is first compared with a tolerance.
const FIRST_SAMPLES: usize = 64;

/// Coalitions that are played at once.
const ROUND: usize = 512;

/// A local linear surrogate.
///
/// Standard errors come from fits to resampled samples; with a `tolerance` samples are doubled until the largest standard
/// error is below it. Masks that come up again are not run again.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::Lime;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, -4.0, 1.0]], Some(array![0.5]))?;
/// let found = Lime { samples: 500, ..Lime::default() }.explain(&mut model, &array![[1.0, 1.0, 1.0]], &Logit::of(0))?;
/// assert!((found.attribution.values[[0, 0]] - 3.0_f64).abs() < 0.1);
/// assert!((found.intercept[0] - 0.5).abs() < 0.1 && found.r_squared[0].unwrap() > 0.99);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Lime<T> {
    /// How features are removed, and which together.
    pub removal: Removal<T>,
    /// How much a masked input counts.
    pub similarity: Similarity,
    /// How the surrogate is fitted.
    pub regression: Regression,
    /// How masks are drawn.
    pub sampling: MaskSampling,
    /// Masks; with a `tolerance` at most so many.
    pub samples: usize,
    /// Largest standard error at which sampling stops.
    pub tolerance: Option<f64>,
    /// Fits to resampled samples behind the standard errors; below 2 there are none.
    pub replicates: usize,
    /// Where masks and resampling come from.
    pub seed: Seed,
}

impl<T> Default for Lime<T> {
    fn default() -> Self {
        Self {
            removal: Removal::default(),
            similarity: Similarity::Exponential { distance: Distance::CosineOfMasks, width: 0.25 },
            regression: Regression::Ridge { alpha: 1.0 },
            sampling: MaskSampling::UniformSize,
            samples: 5000,
            tolerance: None,
            replicates: 50,
            seed: Seed(0),
        }
    }
}

impl<T> Lime<T> {
    /// Masks of independent halves, the cosine of features with width 1, a lasso of strength 0.01, 50 samples.
    #[must_use]
    pub fn of_features() -> Self {
        Self {
            similarity: Similarity::Exponential { distance: Distance::Cosine, width: 1.0 },
            regression: Regression::Lasso { alpha: 0.01 },
            sampling: MaskSampling::Bernoulli,
            samples: 50,
            ..Self::default()
        }
    }
}

/// A surrogate for each row.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LimeExplanation<T> {
    /// The coefficients; every feature of a group carries that of its group.
    pub attribution: Attribution<T>,
    /// What each surrogate says of the baseline, `(b)`.
    pub intercept: Array1<T>,
    /// Share of the weighted variance of each row's samples that its surrogate explains; `None` where nothing varies.
    pub r_squared: Vec<Option<T>>,
    /// Weights of each row's samples.
    pub weights: Vec<Array1<T>>,
}

/// Masks with their worth and weight.
struct Samples {
    masks: Coalitions,
    values: Vec<f64>,
    weights: Vec<f64>,
}

/// What was found for one row.
struct Found {
    surrogate: Surrogate,
    errors: Option<Vec<f64>>,
    status: Status,
    weights: Vec<f64>,
    output: f64,
}

impl<T: Scalar> Lime<T> {
    /// The surrogates of every row of `x: (b, n)`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`]; [`Error::Singular`] where all weights vanish or the regression has no solution,
    /// [`Error::Unsupported`] for a kernel of features with a background of several rows.
    pub fn explain<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<LimeExplanation<T>, M::Error> {
        check_each("samples", &[self.samples as f64], ">= 1", |samples: f64| samples >= 1.0)?;
        check_limit("samples", self.samples, MAX_SAMPLES)?;
        check_limit("replicates", self.replicates, MAX_REPLICATES)?;
        if let Some(tolerance) = self.tolerance {
            check_each("tolerance", &[tolerance], "> 0", |tolerance: f64| tolerance > 0.0)?;
            check_each("replicates", &[self.replicates as f64], ">= 2 with a tolerance", |count: f64| count >= 2.0)?;
        }
        let mut found = self.of_rows(model, x, target, |row, game| self.row(row, x, game))?;
        found.attribution.seed = (self.sampling != MaskSampling::All).then_some(self.seed);
        Ok(found)
    }

    /// The surrogates from given masks, the same for all rows; `weights: (samples)` replace the similarity.
    ///
    /// `sampling`, `samples` and `tolerance` play no part, and there are no standard errors.
    ///
    /// # Errors
    /// As [`Lime::explain`]; [`Error::Shape`] for masks of another number of groups.
    pub fn explain_samples<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        masks: &Coalitions,
        weights: Option<&ArrayRef1<T>>,
    ) -> Explained<LimeExplanation<T>, M::Error> {
        if let Some(weights) = weights {
            check_shape("weights", weights, &[masks.len()])?;
            check_finite("weights", weights)?;
        }
        self.of_rows(model, x, target, |row, game| {
            let mut samples = Samples::new(masks.n_players());
            self.extend(&mut samples, masks, (row, x), game)?;
            if let Some(weights) = weights {
                samples.weights = weights.iter().map(|weight| weight.as_f64()).collect();
            }
            let surrogate = self.regression.fit(&samples.masks, &samples.values, &samples.weights)?;
            let output = whole(game)?;
            Ok(Found { surrogate, errors: None, status: Status::Finished, weights: samples.weights, output })
        })
    }

    /// Runs `explain` on the game of every row, and gathers what it finds.
    fn of_rows<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        mut explain: impl FnMut(usize, &mut Masked<'_, T, M>) -> Explained<Found, M::Error>,
    ) -> Explained<LimeExplanation<T>, M::Error> {
        self.similarity.check()?;
        self.regression.check()?;
        let background = matches!(&self.removal.absent, Absent::Background(rows) if rows.nrows() > 1);
        if background && self.similarity.is_of_features() {
            return Err(Error::Unsupported { what: "the distance from a background of several rows" }.into());
        }
        let mut game = Masked::new(model, x, target, &self.removal)?;
        let (mut values, mut errors) = (Array2::zeros(x.raw_dim()), Array2::zeros(x.raw_dim()));
        let (mut intercept, mut output) = (Array1::zeros(x.nrows()), Array1::zeros(x.nrows()));
        let (mut r_squared, mut weights) = (Vec::with_capacity(x.nrows()), Vec::with_capacity(x.nrows()));
        let (mut status, mut all_errors) = (Status::Exact, true);
        for row in 0..x.nrows() {
            game.select(row)?;
            let found = explain(row, &mut game)?;
            let players = &game.players().of_feature;
            for (feature, &player) in players.iter().enumerate() {
                values[[row, feature]] = T::of(found.surrogate.coefficients[player]);
                errors[[row, feature]] = found.errors.as_ref().map_or(T::zero(), |errors| T::of(errors[player]));
            }
            (intercept[row], output[row]) = (T::of(found.surrogate.intercept), T::of(found.output));
            r_squared.push(found.surrogate.r_squared.map(T::of));
            weights.push(found.weights.iter().map(|&weight| T::of(weight)).collect());
            status = status.and(found.status);
            all_errors &= found.errors.is_some();
        }
        let mut attribution = Attribution::new("lime", format!("{self:?}"), values, output);
        attribution.standard_error = all_errors.then_some(errors);
        (attribution.evaluations, attribution.status) = (game.evaluations(), status);
        Ok(LimeExplanation { attribution, intercept, r_squared, weights })
    }

    /// One row, with masks of its own.
    fn row<M: Forward<T> + ?Sized>(
        &self,
        row: usize,
        x: &ArrayRef2<T>,
        game: &mut Masked<'_, T, M>,
    ) -> Explained<Found, M::Error> {
        let (n, seed) = (game.n_players(), self.seed.child(PURPOSE, row as u64));
        let all = self.sampling.count(n, self.samples)?;
        let mut target = if self.tolerance.is_some() { FIRST_SAMPLES.min(all) } else { all };
        let (mut samples, mut cached) = (Samples::new(n), Cached::new(game, all.saturating_add(1)));
        let output = whole(&mut cached)?;
        loop {
            while samples.values.len() < target {
                let start = samples.values.len();
                let masks = self.sampling.masks(n, start..target.min(start + ROUND), seed)?;
                self.extend(&mut samples, &masks, (row, x), &mut cached)?;
            }
            let data = (&samples.values[..], &samples.weights[..]);
            let drawn = self.sampling != MaskSampling::All && self.replicates > 1;
            let errors =
                if drawn { self.regression.bootstrap(&samples.masks, data, self.replicates, seed) } else { None };
            let largest =
                errors.as_ref().map(|errors| errors.iter().fold(0.0_f64, |largest, error| largest.max(*error)));
            let reached = self.tolerance.zip(largest).is_some_and(|(tolerance, largest)| largest <= tolerance);
            if !reached && target < all {
                target = target.saturating_mul(2).min(all);
                continue;
            }
            let status = match (self.sampling, self.tolerance) {
                (MaskSampling::All, _) => Status::Exact,
                (_, None) => Status::Finished,
                (_, Some(_)) if reached => Status::Converged,
                _ => Status::Partial,
            };
            let surrogate = self.regression.fit(&samples.masks, data.0, data.1)?;
            return Ok(Found { surrogate, errors, status, weights: samples.weights, output });
        }
    }

    /// Plays the masks of a row, and adds them to the samples.
    fn extend<E>(
        &self,
        samples: &mut Samples,
        masks: &Coalitions,
        (row, x): (usize, &ArrayRef2<T>),
        game: &mut impl Game<T, Error = crate::attribution::Failure<E>>,
    ) -> Explained<(), E> {
        let players = super::removal::Players::new(self.removal.groups.as_deref(), x.ncols())?;
        masks.check(players.count)?;
        let products = match &self.removal.absent {
            _ if !self.similarity.is_of_features() => None,
            Absent::Baseline(baseline) => Some(Products::new(&players, &x.row(row), baseline.rows(x)?.row(row))),
            Absent::Background(rows) => Some(Products::new(&players, &x.row(row), rows.row(0))),
        };
        let mut chunk = Coalitions::new(players.count);
        let mut values = Array2::zeros((0, 1));
        for start in (0..masks.len()).step_by(ROUND) {
            chunk.clear();
            let here = start..masks.len().min(start + ROUND);
            here.clone().for_each(|sample| chunk.push_words(masks.row(sample).words()));
            if values.nrows() != chunk.len() {
                values = Array2::zeros((chunk.len(), 1));
            }
            game.values(&chunk, &mut values)?;
            for (mask, value) in chunk.iter().zip(&values) {
                samples.masks.push_words(mask.words());
                samples.values.push(value.as_f64());
                samples.weights.push(self.similarity.of(mask, products.as_ref()));
            }
        }
        Ok(())
    }
}

impl Samples {
    fn new(players: usize) -> Self {
        Self { masks: Coalitions::new(players), values: Vec::new(), weights: Vec::new() }
    }
}

/// What all together are worth.
fn whole<T: Scalar, G: Game<T>>(game: &mut G) -> Result<f64, G::Error> {
    let (mut all, mut value) = (Coalitions::new(game.n_players()), Array2::zeros((1, 1)));
    all.push_full();
    game.values(&all, &mut value)?;
    Ok(value[[0, 0]].as_f64())
}

impl<T: Scalar, M: Forward<T> + ?Sized> Explainer<T, M> for Lime<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        self.explain(model, x, target).map(|found| found.attribution)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, failed_input, is_batch_invariant};
    use super::*;
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Failure};
    use alloc::vec;
    use approx::assert_relative_eq;
    use ndarray::array;

    /// The limit of infinitely many samples, by all masks.
    fn limit(groups: Option<Vec<usize>>, base: f64, width: f64, alpha: f64) -> Array2<f64> {
        let baseline = Baseline::Row(Array1::from_elem(3, base));
        let method = Lime {
            removal: Removal { absent: baseline.into(), groups, ..Removal::default() },
            similarity: Similarity::Exponential { distance: Distance::Cosine, width },
            regression: Regression::Lasso { alpha },
            sampling: MaskSampling::All,
            ..Lime::default()
        };
        let found = method.attribute(&mut c1(), &array![[20.0, 50.0, 30.0]], &Logit::of(0)).unwrap();
        assert_eq!((found.status, found.standard_error.is_none(), found.seed), (Status::Exact, true, None));
        found.values
    }

    #[test]
    fn limits_of_many_samples() {
        let close = |found: Array2<f64>, expected: [f64; 3], epsilon: f64| {
            assert_relative_eq!(found, ndarray::arr2(&[expected]), epsilon = epsilon);
        };
        close(limit(None, 0.0, 10.0, 1.0), [73.504_03, 193.500_15, 113.501_93], 1e-5);
        let pairs = || Some(vec![0, 0, 1]);
        close(limit(pairs(), 0.0, 10.0, 1.0), [271.001_1, 271.001_1, 111.004_2], 1e-4);
        close(limit(pairs(), 4.0, 10.0, 1.0), [244.000_7, 244.000_7, 100.000_7], 1e-4);
        close(limit(None, 0.0, 1.0, 0.01), [78.088_515, 197.879_223, 117.995_650], 1e-5);
    }

    #[test]
    fn samples_approach_the_limit_at_the_rate_they_say() {
        let x = array![[20.0, 50.0, 30.0]];
        let method = |tolerance: Option<f64>, samples: usize| Lime { tolerance, samples, ..Lime::of_features() };
        let expected = [78.088_515, 197.879_223, 117.995_650];
        let found = method(None, 4000).explain(&mut c1(), &x, &Logit::of(0)).unwrap();
        let error = found.attribution.standard_error.unwrap();
        for i in 0..3 {
            let off = (found.attribution.values[[0, i]] - expected[i]).abs();
            assert!(error[[0, i]] < 1.0 && off < 5.0 * error[[0, i]], "{off} {}", error[[0, i]]);
        }
        // eight masks exist, and no more are run
        assert_eq!((found.attribution.evaluations.forward, found.weights[0].len()), (8, 4000));
        assert!(found.r_squared[0].unwrap() > 0.9 && found.attribution.output_value[0] == 392.0);
        let early = method(Some(2.0), 4000).explain(&mut c1(), &x, &Logit::of(0)).unwrap();
        assert_eq!(early.attribution.status, Status::Converged);
        assert!(early.weights[0].len() < 4000);
        let late = method(Some(1e-9), 100).explain(&mut c1(), &x, &Logit::of(0)).unwrap();
        assert_eq!((late.attribution.status, late.weights[0].len()), (Status::Partial, 100));
    }

    #[test]
    fn results_do_not_depend_on_the_batch() {
        let removal = |batch| Removal { batch, ..Removal::default() };
        is_batch_invariant(|batch| Lime { removal: removal(batch), samples: 40, ..Lime::default() });
        is_batch_invariant(|batch| Lime { removal: removal(batch), ..Lime::of_features() });
    }

    #[test]
    fn bad_settings_are_named() {
        let failed = |method: Lime<f64>| failed_input(&method);
        assert!(matches!(failed(Lime { samples: 0, ..Lime::default() }), Error::OutOfRange { what: "samples", .. }));
        let similarity = Similarity::Exponential { distance: Distance::Cosine, width: 0.0 };
        assert!(matches!(failed(Lime { similarity, ..Lime::default() }), Error::OutOfRange { what: "width", .. }));
        let narrow = Similarity::Exponential { distance: Distance::Euclidean, width: 1e-3 };
        let given = Lime { similarity: narrow, sampling: MaskSampling::Bernoulli, samples: 2, ..Lime::default() };
        assert!(matches!(failed(given), Error::Singular { .. }));
        let absent = Absent::Background(Array2::zeros((2, 3)));
        let removal = Removal { absent, ..Removal::default() };
        assert!(matches!(failed(Lime { removal, ..Lime::of_features() }), Error::Unsupported { .. }));
        assert!(matches!(
            failed(Lime { tolerance: Some(0.1), replicates: 0, ..Lime::default() }),
            Error::OutOfRange { what: "replicates", .. }
        ));
        let endless = Lime { replicates: usize::MAX, ..Lime::default() };
        assert!(matches!(failed(endless), Error::TooLarge { what: "replicates", .. }));
        let masks = Coalitions::new(2);
        let found = Lime::default().explain_samples(&mut c1(), &array![[1.0, 1.0, 1.0]], &Logit::of(0), &masks, None);
        assert!(matches!(found, Err(Failure::Input(_))));
    }
}
