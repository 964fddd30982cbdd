//! Rows in which some features are present and the others come from elsewhere, and what a model says of them on average.
//!
//! ```text
//! v(S) = link( mean_r f(x on the features of S, background_r elsewhere) )
//! ```

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, CowArray, Ix2};

use super::coalitions::{Coalition, Coalitions};
use super::removal::{Absent, Link, Players};
use crate::attribution::{Batch, Explained};
use crate::error::{check_each, check_shape};
use crate::{Result, Scalar};

/// The rows of the game of one row of `x: (b, n)`.
pub(crate) struct Blend<'a, T: Scalar> {
    x: CowArray<'a, T, Ix2>,
    from: Cow<'a, Absent<T>>,
    link: Link,
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

impl<'a, T: Scalar> Blend<'a, T> {
    /// Of row 0 of `x`.
    pub(crate) fn new(
        x: CowArray<'a, T, Ix2>,
        from: Cow<'a, Absent<T>>,
        (groups, link): (Option<&[usize]>, Link),
        batch: Batch,
    ) -> Result<Self> {
        from.check(&x)?;
        let n = x.ncols();
        let players = Players::new(groups, n)?;
        let rows = batch.rows(n)?;
        let absent = match &*from {
            Absent::Baseline(_) => Array2::zeros((1, n)),
            // row-major, whatever the caller's layout is
            Absent::Background(rows) => Array2::from_shape_fn(rows.dim(), |at| rows[at]),
        };
        let workspace = Workspace {
            rows: Array2::zeros((rows, n)),
            owners: Vec::with_capacity(rows),
            values: vec![T::zero(); rows],
            sums: Vec::new(),
        };
        let mut blend = Self { x, from, link, players, row: 0, present: Vec::with_capacity(n), absent, workspace };
        blend.turn_to(0)?;
        Ok(blend)
    }

    /// Turns to another row of `x`.
    pub(crate) fn select(&mut self, row: usize) -> Result<()> {
        check_each("row", &[row as f64], "a row of x", |_: f64| row < self.x.nrows())?;
        self.turn_to(row)
    }

    fn turn_to(&mut self, row: usize) -> Result<()> {
        self.row = row;
        self.present.clear();
        self.present.extend(self.x.row(row));
        if let Absent::Baseline(baseline) = &*self.from {
            self.absent.row_mut(0).assign(&baseline.rows(&self.x)?.row(row));
        }
        Ok(())
    }

    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// The features of the players.
    pub(crate) fn players(&self) -> &Players {
        &self.players
    }

    /// Model rows of a coalition: all background rows are alike once nothing is taken from them.
    fn copies(&self, coalition: Coalition<'_>) -> usize {
        if coalition.size() == self.players.count { 1 } else { self.absent.nrows() }
    }

    /// Writes what the coalitions are worth into `out: (coalitions, 1)`; `run(rows, values)` asks the model.
    pub(crate) fn values<E>(
        &mut self,
        coalitions: &Coalitions,
        out: &mut ArrayRef2<T>,
        mut run: impl FnMut(&ArrayView2<'_, T>, &mut [T]) -> Explained<(), E>,
    ) -> Explained<(), E> {
        coalitions.check(self.players.count)?;
        check_shape("out", out, &[coalitions.len(), 1])?;
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
                    self.workspace.flush(&mut run)?;
                }
            }
        }
        self.workspace.flush(&mut run)?;
        for (index, (coalition, out)) in coalitions.iter().zip(out.iter_mut()).enumerate() {
            let mean = self.workspace.sums[index] / self.copies(coalition) as f64;
            *out = T::of(self.link.of(mean, index)?);
        }
        Ok(())
    }
}

impl<T: Scalar> Workspace<T> {
    /// Runs the model for the rows that have gathered.
    fn flush<E>(&mut self, run: &mut impl FnMut(&ArrayView2<'_, T>, &mut [T]) -> Explained<(), E>) -> Explained<(), E> {
        let filled = self.owners.len();
        if filled == 0 {
            return Ok(());
        }
        let (now, _) = self.rows.view().split_at(ndarray::Axis(0), filled);
        run(&now, &mut self.values[..filled])?;
        for (&owner, value) in self.owners.iter().zip(&self.values) {
            self.sums[owner] += value.as_f64();
        }
        self.owners.clear();
        Ok(())
    }
}
