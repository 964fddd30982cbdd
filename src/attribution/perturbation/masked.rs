//! A model as a game: its features, or groups of them, are present or absent.
//!
//! ```text
//! v(S) = link( mean_r f(x on the features of S, background_r elsewhere) )
//! ```
//!
//! Source: see [`Removal`].

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2};

use super::coalitions::{Coalition, Coalitions};
use super::game::Game;
use super::removal::{Absent, Players, Removal};
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Evaluations, Explained, Failure, Forward, Target};
use crate::error::check_each;

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
    x: ArrayView2<'a, T>,
    removal: &'a Removal<T>,
    players: Players,
    /// Row that is explained.
    row: usize,
    present: Vec<T>,
    /// Rows that absent features come from.
    absent: Array2<T>,
    workspace: Workspace<T>,
}

/// What one model call needs.
struct Workspace<T> {
    /// Masked rows, `(batch, n)`.
    rows: Array2<T>,
    /// Coalition of each of them.
    owners: Vec<usize>,
    values: Vec<T>,
    /// Sum over the background, for every coalition.
    sums: Vec<f64>,
}

impl<T: Scalar, M: ?Sized> core::fmt::Debug for Masked<'_, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Masked").field("removal", self.removal).field("row", &self.row).finish_non_exhaustive()
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
        removal.absent.check(x)?;
        let players = Players::new(removal.groups.as_deref(), x.ncols())?;
        let rows = removal.batch.rows(x.ncols())?;
        let absent = match &removal.absent {
            Absent::Baseline(_) => Array2::zeros((1, x.ncols())),
            // row-major, whatever the caller's layout is
            Absent::Background(rows) => Array2::from_shape_fn(rows.dim(), |at| rows[at]),
        };
        let workspace = Workspace {
            rows: Array2::zeros((rows, x.ncols())),
            owners: Vec::with_capacity(rows),
            values: vec![T::zero(); rows],
            sums: Vec::new(),
        };
        let present = Vec::with_capacity(x.ncols());
        let mut game = Self { probe, x: x.view(), removal, players, row: 0, present, absent, workspace };
        game.turn_to(0)?;
        Ok(game)
    }

    /// Turns to another row of `x`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where there is none.
    pub fn select(&mut self, row: usize) -> crate::Result<()> {
        check_each("row", &[row as f64], "a row of x", |_: f64| row < self.x.nrows())?;
        self.turn_to(row)
    }

    fn turn_to(&mut self, row: usize) -> crate::Result<()> {
        self.row = row;
        self.present.clear();
        self.present.extend(self.x.row(row));
        if let Absent::Baseline(baseline) = &self.removal.absent {
            self.absent.row_mut(0).assign(&baseline.rows(&self.x)?.row(row));
        }
        Ok(())
    }

    /// Model rows so far.
    #[must_use]
    pub fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }

    /// The features of the players.
    pub(crate) fn players(&self) -> &Players {
        &self.players
    }

    /// Model rows of a coalition: all background rows are alike once nothing is taken from them.
    fn copies(&self, coalition: Coalition<'_>) -> usize {
        if coalition.size() == self.players.count { 1 } else { self.absent.nrows() }
    }

    /// Runs the model for the masked rows that have gathered.
    fn run(&mut self) -> Explained<(), M::Error> {
        let Workspace { rows, owners, values, sums } = &mut self.workspace;
        let (filled, row) = (owners.len(), self.row);
        if filled == 0 {
            return Ok(());
        }
        let (now, _) = rows.view().split_at(ndarray::Axis(0), filled);
        self.probe.values(&now, |_| row, &mut values[..filled])?;
        for (&owner, value) in owners.iter().zip(values.iter()) {
            sums[owner] += value.as_f64();
        }
        owners.clear();
        Ok(())
    }
}

impl<T: Scalar, M: Forward<T> + ?Sized> Game<T> for Masked<'_, T, M> {
    type Error = Failure<M::Error>;

    fn n_players(&self) -> usize {
        self.players.count
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        coalitions.check(self.players.count)?;
        crate::error::check_shape("out", out, &[coalitions.len(), 1])?;
        self.workspace.sums.clear();
        self.workspace.sums.resize(coalitions.len(), 0.0);
        self.workspace.owners.clear();
        for (owner, coalition) in coalitions.iter().enumerate() {
            for copy in 0..self.copies(coalition) {
                let Workspace { rows, owners, .. } = &mut self.workspace;
                let (mut row, absent) = (rows.row_mut(owners.len()), self.absent.row(copy));
                if let (Some(row), Some(absent)) = (row.as_slice_mut(), absent.to_slice()) {
                    self.players.select(coalition.words(), &self.present, absent, row);
                }
                owners.push(owner);
                if owners.len() == rows.nrows() {
                    self.run()?;
                }
            }
        }
        self.run()?;
        for (index, (coalition, out)) in coalitions.iter().zip(out.iter_mut()).enumerate() {
            let mean = self.workspace.sums[index] / self.copies(coalition) as f64;
            *out = T::of(self.removal.link.of(mean, index)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::Link;
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Batch, Network};
    use ndarray::array;

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
