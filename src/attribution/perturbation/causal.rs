//! Causal models that keep what they computed for the beginning of a text, and the game of a text's tokens on them.
//!
//! ```text
//! v(S) = target after the tokens of S, with the baseline's tokens in place of all others
//! cost of going from one coalition to the next:   T - (first token in which they differ)   token-forwards
//! ```
//!
//! The coalitions of one call are played in lexicographic order of their texts, a walk through the tree of common
//! beginnings: every beginning is run once, however many coalitions share it. That is what
//! [`IncrementalGame`](super::IncrementalGame) gives to a game whose players come and go one by one, for a model that
//! pays for the tokens after the first change and not for the number of changes.
//!
//! Source: the cache of keys and values of causal attention, Pope et al., "Efficiently Scaling Transformer Inference"
//! (2022), <https://arxiv.org/abs/2211.05102>; the order is derived here.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis, Slice};

use super::coalitions::Coalitions;
use super::game::Game;
use super::leave_one_out::tokens;
use super::removal::Players;
use crate::attribution::{Baseline, Failure, Target};
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::{Error, Result, Scalar};

/// A model that reads a text from left to right and remembers what it has read.
///
/// What it says after a token must not depend on later tokens, nor on how a text was cut into pieces.
pub trait CausalModel<T: Scalar> {
    /// What the model says when it cannot run.
    type Error;

    /// Numbers of a token: 1 for a token's number, more for an embedding.
    fn width(&self) -> usize {
        1
    }

    /// Outputs after every token.
    fn n_outputs(&self) -> usize;

    /// Forgets all but the first `tokens` tokens, of which there are at least as many; 0 starts a new text.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn truncate(&mut self, tokens: usize) -> core::result::Result<(), Self::Error>;

    /// Reads `tokens: (k, width)`, and writes the outputs after the last `r <= k` of them into all of `out: (r, outputs)`.
    ///
    /// # Errors
    /// Whatever the model reports.
    fn extend(&mut self, tokens: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> core::result::Result<(), Self::Error>;
}

/// The game of the tokens of one text on a causal model.
///
/// The target reads the outputs after the last tokens of the text, one position after the other in a row.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{CausalGame, CausalModel, ExactShapley, Summary};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::Baseline;
/// use ndarray::{ArrayRef2, array};
///
/// /// `s_t = s_{t-1} / 2 + x_t`, which is what it says.
/// #[derive(Default)]
/// struct Fading(Vec<f64>);
///
/// impl CausalModel<f64> for Fading {
///     type Error = core::convert::Infallible;
///     fn n_outputs(&self) -> usize { 1 }
///     fn truncate(&mut self, tokens: usize) -> Result<(), Self::Error> { Ok(self.0.truncate(tokens)) }
///     fn extend(&mut self, tokens: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Self::Error> {
///         for x in tokens {
///             self.0.push(self.0.last().unwrap_or(&0.0) / 2.0 + x);
///         }
///         let last = &self.0[self.0.len() - out.len()..];
///         Ok(out.iter_mut().zip(last).for_each(|(out, s)| *out = *s))
///     }
/// }
///
/// let (mut model, x, target) = (Fading::default(), array![[4.0, 2.0, 1.0]], Logit::of(0));
/// let baseline = Baseline::Zeros;
/// let mut game = CausalGame::new(&mut model, &x, &target, &baseline)?;
/// let found = ExactShapley::default().of(&mut game).unwrap();
/// assert!(found.values.iter().all(|value| (value - 1.0_f64).abs() < 1e-12));
/// // the nodes of a tree of three levels, and not eight texts of three tokens
/// assert_eq!(game.token_forwards(), 2 + 4 + 8);
/// # Ok::<(), limpid::Error>(())
/// ```
pub struct CausalGame<'a, T: Scalar, M: ?Sized> {
    model: &'a mut M,
    target: &'a dyn Target<T>,
    x: ArrayView2<'a, T>,
    baseline: &'a Baseline<T>,
    players: Players,
    row: usize,
    /// The present and the absent tokens of the text, `(t, width)`.
    present: Array2<T>,
    absent: Array2<T>,
    /// The text that the model has read, a bit for every token, first token highest; `None` before the first.
    held: Option<Vec<u64>>,
    /// After the last tokens, `(positions, outputs)`.
    outputs: Array2<T>,
    token_forwards: u64,
    runs: u64,
}

impl<T: Scalar, M: ?Sized> core::fmt::Debug for CausalGame<'_, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut fields = f.debug_struct("CausalGame");
        fields.field("row", &self.row).field("token_forwards", &self.token_forwards).finish_non_exhaustive()
    }
}

impl<'a, T: Scalar, M: CausalModel<T> + ?Sized> CausalGame<'a, T, M> {
    /// The game of text 0 of `x: (b, t width)`, whose target reads the outputs after the last token; every token is a
    /// player.
    ///
    /// # Errors
    /// [`Error`] where the model, texts, target and baseline do not fit each other.
    pub fn new(
        model: &'a mut M,
        x: &'a ArrayRef2<T>,
        target: &'a dyn Target<T>,
        baseline: &'a Baseline<T>,
    ) -> Result<Self> {
        Self::with(model, x, (target, 1), (baseline, None))
    }

    /// The same where the target reads the outputs after the last `positions` tokens, and `groups: (t)` gives the player
    /// of every token.
    ///
    /// # Errors
    /// As [`CausalGame::new`]; [`Error::OutOfRange`] for no positions or more than there are tokens, and for groups that
    /// are not numbered without a gap.
    pub fn with(
        model: &'a mut M,
        x: &'a ArrayRef2<T>,
        (target, positions): (&'a dyn Target<T>, usize),
        (baseline, groups): (&'a Baseline<T>, Option<&[usize]>),
    ) -> Result<Self> {
        check_not_empty("x", x)?;
        check_finite("x", x)?;
        let (width, t) = (model.width(), tokens(x.ncols(), model.width())?);
        check_each("positions", &[positions as f64], "1 <= positions <= tokens", |_: f64| {
            (1..=t).contains(&positions)
        })?;
        target.check(x.nrows(), positions.saturating_mul(model.n_outputs()))?;
        baseline.rows(x)?;
        let players = Players::new(groups, t)?;
        let outputs = Array2::zeros((positions, model.n_outputs()));
        let (present, absent) = (Array2::zeros((t, width)), Array2::zeros((t, width)));
        let (held, token_forwards, runs) = (None, 0, 0);
        let x = x.view();
        let mut game =
            Self { model, target, x, baseline, players, row: 0, present, absent, held, outputs, token_forwards, runs };
        game.select(0)?;
        Ok(game)
    }

    /// Turns to another text.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where there is none.
    pub fn select(&mut self, row: usize) -> Result<()> {
        check_each("row", &[row as f64], "a row of x", |_: f64| row < self.x.nrows())?;
        (self.row, self.held) = (row, None);
        self.present.iter_mut().zip(self.x.row(row)).for_each(|(slot, &value)| *slot = value);
        let baseline = self.baseline.rows(&self.x)?;
        self.absent.iter_mut().zip(baseline.row(row)).for_each(|(slot, &value)| *slot = value);
        Ok(())
    }

    /// Tokens that the model has read so far.
    #[must_use]
    pub fn token_forwards(&self) -> u64 {
        self.token_forwards
    }

    /// Times that the model was run so far.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The tokens of the players.
    pub(crate) fn players(&self) -> &Players {
        &self.players
    }

    /// Makes the model read this text, from the first token in which it differs from the one it has read.
    fn read(&mut self, text: &[u64]) -> core::result::Result<(), Failure<M::Error>> {
        let t = self.present.nrows();
        // what fails leaves no text behind
        let start = self.held.take().map_or(0, |held| common(&held, text, t));
        if start < t {
            let call = self.runs;
            self.runs += 1;
            let failed = |error| Failure::Model { call, error };
            self.model.truncate(start).map_err(failed)?;
            let mut tokens = Array2::zeros((t - start, self.present.ncols()));
            for (token, mut row) in (start..t).zip(tokens.rows_mut()) {
                row.assign(&if is_set(text, token) { self.present.row(token) } else { self.absent.row(token) });
            }
            let known = self.outputs.nrows().saturating_sub(t - start);
            let mut out = self.outputs.slice_axis_mut(Axis(0), Slice::from(known..));
            self.model.extend(&tokens, &mut out).map_err(failed)?;
            self.token_forwards += (t - start) as u64;
            if let Err(Error::NotFinite { index, .. }) = check_finite("output", &self.outputs) {
                let columns = self.outputs.ncols().max(1);
                let (row, column) = (index / columns, index % columns);
                return Err(Failure::NotFinite { what: "output", call, row, column });
            }
        }
        self.held = Some(text.to_vec());
        Ok(())
    }
}

impl<T: Scalar, M: CausalModel<T> + ?Sized> Game<T> for CausalGame<'_, T, M> {
    type Error = Failure<M::Error>;

    fn n_players(&self) -> usize {
        self.players.count
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> core::result::Result<(), Self::Error> {
        coalitions.check(self.players.count)?;
        check_shape("out", out, &[coalitions.len(), 1])?;
        let t = self.players.of_feature.len();
        let mut texts: Vec<(Vec<u64>, usize)> = Vec::with_capacity(coalitions.len());
        for (row, coalition) in coalitions.iter().enumerate() {
            let mut text = vec![0; t.div_ceil(64)];
            for (token, &player) in self.players.of_feature.iter().enumerate() {
                text[token / 64] |= u64::from(coalition.contains(player)) << (63 - token % 64);
            }
            texts.push((text, row));
        }
        // the whole text first: it is the likeliest to be asked for again
        texts.sort_unstable_by(|a, b| b.cmp(a));
        for (text, row) in texts {
            self.read(&text)?;
            out[[row, 0]] = self.target.value(self.row, self.outputs.as_slice().unwrap_or_default());
        }
        Ok(())
    }
}

/// Whether a token of a text is present.
fn is_set(text: &[u64], token: usize) -> bool {
    text[token / 64] >> (63 - token % 64) & 1 == 1
}

/// Tokens of the common beginning of two texts of `t` tokens.
fn common(a: &[u64], b: &[u64], t: usize) -> usize {
    let differ = a.iter().zip(b).position(|(a, b)| a != b);
    differ.map_or(t, |word| word * 64 + (a[word] ^ b[word]).leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Recurrent;
    use super::*;
    use crate::attribution::Explained;
    use crate::attribution::perturbation::{ExactShapley, GameFunction, Shapley, Summary};
    use crate::attribution::target::{Logit, SequenceLogProbability};
    use ndarray::array;

    fn text() -> Array2<f64> {
        array![[0.3, -0.8, 1.2, 0.5, -0.4, 0.9, -1.1, 0.2, 0.7, 0.6]]
    }

    /// Worth of all coalitions, every text read from its start.
    fn naive(target: &dyn Target<f64>, positions: usize, groups: &[usize]) -> Array2<f64> {
        let players = groups.iter().max().unwrap() + 1;
        Array2::from_shape_fn((1 << players, 1), |(mask, _)| {
            let (mut model, x) = (Recurrent::new(2, 3), text());
            let kept = |token: usize| mask >> groups[token] & 1 == 1;
            let text = Array2::from_shape_fn((5, 2), |(t, i)| if kept(t) { x[[0, 2 * t + i]] } else { 0.1 });
            let mut out = Array2::zeros((positions, 3));
            model.extend(&text, &mut out).unwrap();
            target.value(0, out.as_slice().unwrap())
        })
    }

    fn shapley(summary: impl Summary<f64>, positions: usize, groups: &[usize]) -> (Array2<f64>, Array2<f64>, u64) {
        let sequence = SequenceLogProbability::of(vec![1, 2]);
        let target: &dyn Target<f64> = if positions == 1 { &Logit::of(1) } else { &sequence };
        let (mut model, x, baseline) =
            (Recurrent::new(2, 3), text(), Baseline::Row(ndarray::Array1::from_elem(10, 0.1)));
        let mut game = CausalGame::with(&mut model, &x, (target, positions), (&baseline, Some(groups))).unwrap();
        let found = summary.of(&mut game).unwrap().values;
        let forwards = game.token_forwards();
        assert_eq!(forwards, model.read);
        let worth = naive(target, positions, groups);
        let players = groups.iter().max().unwrap() + 1;
        let mut plain = GameFunction::new((players, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                *out = worth[[coalition.index().unwrap(), 0]];
            }
            Ok::<(), ()>(())
        });
        (found, summary.of(&mut plain).unwrap().values, forwards)
    }

    #[test]
    fn every_beginning_is_read_once() {
        for positions in [1, 2] {
            let (found, expected, forwards) = shapley(ExactShapley::default(), positions, &[0, 1, 2, 3, 4]);
            assert_eq!(found, expected);
            assert_eq!(forwards, 2 + 4 + 8 + 16 + 32);
            let (found, expected, _) = shapley(ExactShapley::default(), positions, &[2, 0, 1, 0, 2]);
            assert_eq!(found, expected);
            let (found, expected, _) = shapley(Shapley::default(), positions, &[0, 1, 2, 1, 0]);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (mut model, x, target) = (Recurrent::new(2, 3), text(), Logit::of(1));
        let mut failed = |positions, groups: Option<&[usize]>, x: &Array2<f64>| {
            CausalGame::with(&mut model, x, (&target, positions), (&Baseline::Zeros, groups)).unwrap_err()
        };
        assert!(matches!(failed(0, None, &x), Error::OutOfRange { what: "positions", .. }));
        assert!(matches!(failed(6, None, &x), Error::OutOfRange { what: "positions", .. }));
        assert!(matches!(failed(1, Some(&[0]), &x), Error::Shape { what: "groups", .. }));
        assert!(matches!(failed(1, None, &array![[1.0, 2.0, 3.0]]), Error::Shape { what: "tokens", .. }));
        assert!(matches!(failed(1, None, &array![[1.0, f64::NAN]]), Error::NotFinite { what: "x", .. }));
    }

    #[test]
    fn a_failed_run_leaves_nothing_behind() -> Explained<(), &'static str> {
        let (mut model, x, target) = (Recurrent::new(2, 3), text(), Logit::of(1));
        model.fail_at = Some(2);
        let baseline = Baseline::Zeros;
        let mut game = CausalGame::new(&mut model, &x, &target, &baseline)?;
        let mut coalitions = Coalitions::new(5);
        coalitions.push([0, 1, 2])?;
        let mut first = Array2::zeros((1, 1));
        game.values(&coalitions, &mut first)?;
        let mut other = Coalitions::new(5);
        other.push([0, 1, 2, 4])?;
        let failure = game.values(&other, &mut Array2::zeros((1, 1))).unwrap_err();
        assert_eq!(failure, Failure::Model { call: 1, error: "no memory" });
        let mut again = Array2::zeros((1, 1));
        game.values(&coalitions, &mut again)?;
        assert_eq!((again, game.token_forwards()), (first, 10));
        Ok(())
    }

    #[test]
    fn beginnings_reach_over_words() {
        let (mut a, mut b) = (vec![0_u64; 2], vec![0_u64; 2]);
        assert_eq!(common(&a, &b, 100), 100);
        b[1] = 1 << (63 - 6);
        assert_eq!(common(&a, &b, 100), 70);
        a[0] = 1 << 60;
        assert_eq!(common(&a, &b, 100), 3);
        assert!(is_set(&b, 70) && is_set(&a, 3) && !is_set(&a, 4));
    }
}
