//! What every summary of a game gives back, and how a summary of games becomes a method for models.
//!
//! Source: the three choices (removal, behaviour, summary) of Covert, Lundberg and Lee, "Explaining by Removing: A Unified
//! Framework for Model Explanation", JMLR 22 (2021), <https://arxiv.org/abs/2011.14878>, section 3.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

use ndarray::{Array1, Array2, ArrayRef2};

use super::game::Game;
use super::masked::Masked;
use super::removal::{Players, Removal};
use crate::attribution::{Attribution, Evaluations, Explained, Explainer, Failure, Forward, Status, Target};
use crate::math::student::two_sided_quantile;
use crate::{Result, Scalar, Seed};

/// What each player of a game is given.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct GameAttribution<T> {
    /// The attribution, `(players, values)`.
    pub values: Array2<T>,
    /// Standard error of each number, of methods that sample enough to tell.
    pub standard_error: Option<Array2<T>>,
    /// Independent units (permutations, pairs or blocks of them) behind the standard errors; 0 where there are none.
    pub units: u64,
    /// Worth of nobody, `(values)`.
    pub base: Array1<T>,
    /// Worth of all, `(values)`.
    pub full: Array1<T>,
    /// Coalitions that the game was asked for.
    pub evaluations: u64,
    /// How the method ended.
    pub status: Status,
    /// Name of the method that was used.
    pub method: Cow<'static, str>,
    /// Seed of methods that sample.
    pub seed: Option<Seed>,
}

impl<T: Scalar> GameAttribution<T> {
    /// Confidence intervals of all values, low and high ends `(players, values)`, with Student's quantiles; `None` without
    /// standard errors.
    ///
    /// They rest on the spread of the units. A player that rarely matters, as a small party in a vote, needs so many of them
    /// that it has mattered some ten times; with fewer the interval is too narrow.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a level outside `0 <= level < 1`.
    pub fn interval(&self, level: f64) -> Result<Option<(Array2<T>, Array2<T>)>> {
        let Some(error) = self.standard_error.as_ref().filter(|_| self.units > 1) else {
            return Ok(None);
        };
        let reach = error * T::of(two_sided_quantile(level, (self.units - 1) as f64)?);
        Ok(Some((&self.values - &reach, &self.values + &reach)))
    }

    /// Efficiency: sum of the values less `full - base`, `(values)`; rounding alone for Shapley values.
    #[must_use]
    pub fn delta(&self) -> Array1<T> {
        let columns = self.values.columns().into_iter().zip(self.full.iter().zip(&self.base));
        columns.map(|(column, (&full, &base))| crate::math::reduce::sum(&column) - (full - base)).collect()
    }
}

/// A way to sum up a game by one number per player.
pub trait Summary<T: Scalar> {
    /// Sums up a game.
    ///
    /// # Errors
    /// [`Failure::Input`] for settings out of range, [`Failure::Model`] with the game's own error,
    /// [`Failure::NotFinite`] where the game gives NaN or infinity.
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error>;

    /// The seed, of methods that sample.
    fn seed(&self) -> Option<Seed> {
        None
    }

    /// The same with another seed; methods that do not sample stay as they are.
    #[must_use]
    fn with_seed(&self, seed: Seed) -> Self;

    /// Whether the values always add up to `v(N) - v(∅)`.
    fn is_efficient(&self) -> bool {
        true
    }

    /// As a method for models whose features are taken away by `removal`.
    fn by_removal(self, removal: Removal<T>) -> ByRemoval<T, Self>
    where
        Self: Sized,
    {
        ByRemoval { removal, summary: self }
    }
}

/// A summary of the game of a model's features, as an [`Explainer`].
///
/// Every feature of a group carries the value of its group; `delta` counts every group once. Row `i` of the input is
/// sampled with the seed `seed.child(0, i)`.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{ExactShapley, Removal, Summary};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Baseline, Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let removal = Removal { absent: Baseline::from(array![1.0, 0.0]).into(), ..Removal::default() };
/// let method = ExactShapley::default().by_removal(removal);
/// let found = method.attribute(&mut model, &array![[2.0, 1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[3.0, -4.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>, S: serde::Deserialize<'de>")))]
pub struct ByRemoval<T, S> {
    /// How features are taken away.
    pub removal: Removal<T>,
    /// How the game is summed up.
    pub summary: S,
}

impl<T: Scalar, S: Summary<T> + Debug, M: Forward<T> + ?Sized> Explainer<T, M> for ByRemoval<T, S> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut game = Masked::new(model, x, target, &self.removal)?;
        explain_rows(&self.summary, format!("{self:?}"), &mut game, x.dim())
    }
}

/// The games of the rows of an input, one at a time.
pub(crate) trait RowGame<T: Scalar, E>: Game<T, Error = Failure<E>> {
    /// Turns to the game of another row.
    fn select(&mut self, row: usize) -> Result<()>;

    /// The columns of the players.
    fn players(&self) -> &Players;

    /// Model rows so far.
    fn evaluations(&self) -> Evaluations;
}

/// Sums up the game of each of `shape: (rows, columns)`; every column of a group carries the value of its group.
pub(crate) fn explain_rows<T: Scalar, E, S: Summary<T>, G: RowGame<T, E>>(
    summary: &S,
    options: String,
    game: &mut G,
    shape: (usize, usize),
) -> Explained<Attribution<T>, E> {
    let mut result = Attribution::new("", options, Array2::zeros(shape), Array1::zeros(shape.0));
    let (mut base, mut delta) = (Array1::zeros(shape.0), Array1::zeros(shape.0));
    let mut errors = Array2::zeros(shape);
    let mut all_errors = true;
    for row in 0..shape.0 {
        game.select(row)?;
        let seed = summary.seed().map(|seed| seed.child(0, row as u64));
        let found = match seed {
            Some(seed) => summary.with_seed(seed).of(game),
            None => summary.of(game),
        };
        let found = found.map_err(flatten)?;
        let players = game.players();
        result.values.row_mut(row).iter_mut().zip(players.spread(found.values.column(0))).for_each(|(a, b)| *a = b);
        match &found.standard_error {
            Some(error) => {
                errors.row_mut(row).iter_mut().zip(players.spread(error.column(0))).for_each(|(a, b)| *a = b);
            }
            None => all_errors = false,
        }
        (base[row], result.output_value[row], delta[row]) = (found.base[0], found.full[0], found.delta()[0]);
        result.status = result.status.and(found.status);
        result.method = found.method;
    }
    result.evaluations = game.evaluations();
    result.base_value = Some(base);
    result.delta = summary.is_efficient().then_some(delta);
    result.standard_error = all_errors.then_some(errors);
    result.seed = summary.seed();
    Ok(result)
}

/// A failed game of a model is a failed model.
pub(crate) fn flatten<E>(failure: Failure<Failure<E>>) -> Failure<E> {
    match failure {
        Failure::Model { error, .. } => error,
        Failure::Input(error) => Failure::Input(error),
        Failure::NotFinite { what, call, row, column } => Failure::NotFinite { what, call, row, column },
    }
}
