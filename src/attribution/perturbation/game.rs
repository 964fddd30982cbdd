//! Games: what a coalition of players is worth. Shapley values and their kin are defined on games alone.
//!
//! ```text
//! v: coalitions -> numbers      v(∅) nobody plays, v(N) all play
//! ```
//!
//! A player is whatever can be present or absent: a feature, a group of pixels, a token, a neuron, an edge. A game may
//! give several numbers per coalition, so that all outputs of one model run are explained together.

use core::convert::Infallible;

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use super::coalitions::Coalitions;
use crate::error::{check_each, check_finite, check_not_empty};
use crate::{Result, Scalar};

/// The worth of coalitions.
pub trait Game<T: Scalar> {
    /// What the game says when it cannot be played.
    type Error;

    /// Number of players.
    fn n_players(&self) -> usize;

    /// Numbers that one coalition is worth.
    fn n_values(&self) -> usize {
        1
    }

    /// Writes what each coalition is worth into all of `out: (coalitions, values)`.
    ///
    /// # Errors
    /// Whatever the game reports.
    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), Self::Error>;
}

impl<T: Scalar, G: Game<T> + ?Sized> Game<T> for &mut G {
    type Error = G::Error;

    fn n_players(&self) -> usize {
        (**self).n_players()
    }

    fn n_values(&self) -> usize {
        (**self).n_values()
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        (**self).values(coalitions, out)
    }
}

/// A closure as a game.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Coalitions, Game, GameFunction};
/// use ndarray::{Array2, ArrayRef2, array};
///
/// // a coalition is worth the square of its size
/// let mut square = GameFunction::new((3, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
///     for (coalition, value) in coalitions.iter().zip(out.iter_mut()) {
///         *value = (coalition.size() * coalition.size()) as f64;
///     }
///     Ok::<(), &str>(())
/// });
/// let mut coalitions = Coalitions::new(3);
/// coalitions.push([0, 2]).unwrap();
/// coalitions.push_full();
/// let mut out = Array2::zeros((2, 1));
/// square.values(&coalitions, &mut out)?;
/// assert_eq!(out, array![[4.0], [9.0]]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct GameFunction<F> {
    sizes: (usize, usize),
    values: F,
}

impl<F> GameFunction<F> {
    /// A game of `sizes = (players, values)`; `values(coalitions, out)` writes all of `out`.
    pub fn new<T: Scalar, E>(sizes: (usize, usize), values: F) -> Self
    where
        F: FnMut(&Coalitions, &mut ArrayRef2<T>) -> Result<(), E>,
    {
        Self { sizes, values }
    }
}

impl<T: Scalar, E, F> Game<T> for GameFunction<F>
where
    F: FnMut(&Coalitions, &mut ArrayRef2<T>) -> Result<(), E>,
{
    type Error = E;

    fn n_players(&self) -> usize {
        self.sizes.0
    }

    fn n_values(&self) -> usize {
        self.sizes.1
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), E> {
        (self.values)(coalitions, out)
    }
}

/// A game that is known in full: the worth of all `2^M` coalitions, player `i` present where bit `i` of the row is set.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Game, Table};
/// use ndarray::array;
///
/// // ∅, {0}, {1}, {0, 1}
/// let game = Table::new(array![[0.0], [1.0], [2.0], [5.0]])?;
/// assert_eq!(Game::<f64>::n_players(&game), 2);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table<T> {
    values: Array2<T>,
    n_players: usize,
}

impl<T: Scalar> Table<T> {
    /// The game of these `values: (2^M, values)`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where the number of rows is no power of two,
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn new(values: Array2<T>) -> Result<Self> {
        check_not_empty("game", &values)?;
        check_finite("game", &values)?;
        let rows = values.nrows();
        check_each("rows", &[rows as f64], "a power of two", |_: f64| rows.is_power_of_two())?;
        Ok(Self { values, n_players: rows.trailing_zeros() as usize })
    }

    /// The same with one number per coalition.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn single(values: Array1<T>) -> Result<Self> {
        Self::new(values.insert_axis(Axis(1)))
    }
}

impl<T: Scalar> Game<T> for Table<T> {
    type Error = Infallible;

    fn n_players(&self) -> usize {
        self.n_players
    }

    fn n_values(&self) -> usize {
        self.values.ncols()
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), Infallible> {
        for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
            if let Some(index) = coalition.index().filter(|&index| index < self.values.nrows()) {
                out.assign(&self.values.row(index));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn a_table_has_a_row_for_every_coalition() {
        assert!(matches!(Table::new(Array2::<f64>::zeros((3, 1))), Err(Error::OutOfRange { what: "rows", .. })));
        assert!(matches!(Table::new(Array2::<f64>::zeros((0, 1))), Err(Error::Empty { what: "game" })));
        assert!(matches!(Table::single(array![0.0, f64::NAN]), Err(Error::NotFinite { index: 1, .. })));
        let mut table = Table::single(array![0.0, 1.0, 2.0, 5.0]).unwrap();
        let mut coalitions = Coalitions::new(2);
        coalitions.push([1]).unwrap();
        let mut out = Array2::zeros((1, 1));
        table.values(&coalitions, &mut out).unwrap();
        assert_eq!((out[[0, 0]], table.n_players(), table.n_values()), (2.0, 2, 1));
    }
}
