//! A model as a game: its features, or groups of them, are present or absent.
//!
//! ```text
//! v(S) = link( mean_r f(x on the features of S, background_r elsewhere) )
//! ```
//!
//! Source: see [`Removal`].

use alloc::borrow::Cow;

use ndarray::ArrayRef2;

use super::blend::Blend;
use super::coalitions::Coalitions;
use super::game::Game;
use super::removal::{Players, Removal};
use super::summary::RowGame;
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Evaluations, Explained, Failure, Forward, Target};

/// The game of the features of one row of `x: (b, n)`; [`Masked::select`] turns to another row.
///
/// A coalition costs one model row for a baseline, and one for each background row.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::perturbation::{Coalitions, Game, Masked, Removal};
/// use limpid::attribution::target::Logit;
/// use ndarray::{Array2, array};
///
/// let mut model = Network::new(3).linear(array![[1.0, 2.0, 4.0]], None)?;
/// let (x, target) = (array![[1.0, 1.0, 1.0]], Logit::of(0));
/// let removal = Removal { groups: Some(vec![0, 1, 0]), ..Removal::default() };
/// let mut game = Masked::new(&mut model, &x, &target, &removal)?;
/// let mut coalitions = Coalitions::new(2);
/// coalitions.push([0])?;
/// let mut out = Array2::zeros((1, 1));
/// game.values(&coalitions, &mut out)?;
/// assert_eq!(out, array![[5.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub struct Masked<'a, T: Scalar, M: ?Sized> {
    probe: Probe<'a, T, M>,
    removal: &'a Removal<T>,
    blend: Blend<'a, T>,
}

impl<T: Scalar, M: ?Sized> core::fmt::Debug for Masked<'_, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut fields = f.debug_struct("Masked");
        fields.field("removal", self.removal).field("row", &self.blend.row()).finish_non_exhaustive()
    }
}

impl<'a, T: Scalar, M: Forward<T> + ?Sized> Masked<'a, T, M> {
    /// The game of row 0 of `x: (b, n)` for `target`.
    ///
    /// # Errors
    /// [`Failure::Input`] where the model, input, target and removal do not fit each other.
    pub fn new(
        model: &'a mut M,
        x: &'a ArrayRef2<T>,
        target: &'a dyn Target<T>,
        removal: &'a Removal<T>,
    ) -> Explained<Self, M::Error> {
        let probe = Probe::new(model, x, target)?;
        let players = (removal.groups.as_deref(), removal.link);
        let blend = Blend::new(x.view().into(), Cow::Borrowed(&removal.absent), players, removal.batch)?;
        Ok(Self { probe, removal, blend })
    }

    /// Turns to another row of `x`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where there is none.
    pub fn select(&mut self, row: usize) -> crate::Result<()> {
        self.blend.select(row)
    }

    /// Model rows so far.
    #[must_use]
    pub fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }

    /// The features of the players.
    pub(crate) fn players(&self) -> &Players {
        self.blend.players()
    }
}

impl<T: Scalar, M: Forward<T> + ?Sized> Game<T> for Masked<'_, T, M> {
    type Error = Failure<M::Error>;

    fn n_players(&self) -> usize {
        self.blend.players().count
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        let (probe, row) = (&mut self.probe, self.blend.row());
        self.blend.values(coalitions, out, |rows, values| probe.values(rows, |_| row, values))
    }
}

impl<T: Scalar, M: Forward<T> + ?Sized> RowGame<T, M::Error> for Masked<'_, T, M> {
    fn select(&mut self, row: usize) -> crate::Result<()> {
        self.blend.select(row)
    }

    fn players(&self) -> &Players {
        self.blend.players()
    }

    fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::{Absent, Link};
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Batch, Network};
    use ndarray::{Array2, array};

    fn values(removal: &Removal<f64>, row: usize) -> Explained<(Array2<f64>, u64), crate::Error> {
        let mut model = Network::new(3).linear(array![[1.0, 10.0, 100.0]], None)?;
        let (x, target) = (array![[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], Logit::of(0));
        let mut game = Masked::new(&mut model, &x, &target, removal)?;
        game.select(row)?;
        let mut coalitions = Coalitions::new(game.n_players());
        coalitions.push_empty();
        coalitions.push([1])?;
        coalitions.push_full();
        let mut out = Array2::zeros((3, 1));
        game.values(&coalitions, &mut out)?;
        Ok((out, game.evaluations().forward))
    }

    #[test]
    fn members_come_from_the_input_and_the_rest_from_the_background() {
        assert_eq!(values(&Removal::default(), 1).unwrap(), (array![[0.0], [20.0], [222.0]], 3));
        let background = array![[0.0, 0.0, 0.0], [4.0, 4.0, 4.0]];
        for batch in [Batch::Auto, Batch::Rows(1), Batch::Rows(2)] {
            let absent = Absent::Background(background.clone());
            let removal = Removal { absent, batch, ..Removal::default() };
            // all present: the two background rows give the same model row, which is run once
            assert_eq!(values(&removal, 0).unwrap(), (array![[222.0], [212.0], [111.0]], 5));
        }
        let absent = Absent::Baseline(Baseline::from(array![[3.0, 3.0, 3.0], [5.0, 5.0, 5.0]]));
        let removal = Removal { absent, groups: Some(vec![0, 1, 0]), ..Removal::default() };
        assert_eq!(values(&removal, 1).unwrap().0, array![[555.0], [525.0], [222.0]]);
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        let logit = Removal { link: Link::Logit, ..Removal::default() };
        assert!(matches!(values(&logit, 0), Err(Failure::Input(crate::Error::OutOfRange { index: 0, .. }))));
        assert!(matches!(values(&Removal::default(), 2), Err(Failure::Input(crate::Error::OutOfRange { .. }))));
        let absent = Absent::Background(Array2::zeros((0, 3)));
        let none = Removal { absent, ..Removal::default() };
        assert!(matches!(values(&none, 0), Err(Failure::Input(crate::Error::Empty { what: "background" }))));
        let absent = Absent::Background(Array2::zeros((2, 2)));
        let other = Removal { absent, ..Removal::default() };
        assert!(matches!(values(&other, 0), Err(Failure::Input(crate::Error::Shape { what: "background", .. }))));
    }
}
