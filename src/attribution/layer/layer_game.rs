//! The units of a layer as players: present with their activation for the input, absent with another.
//!
//! ```text
//! v(S) = link( mean_r f(x with the layer's units h_u for u in S, background_r elsewhere) )
//! ```
//!
//! Every summary of games so explains inner units: Shapley and Banzhaf values, interactions, ablation. Whatever else later
//! layers read, such as residual connections around the layer, stays that of the input.
//!
//! Source: see [`Removal`](crate::attribution::perturbation::Removal); for units as players, Ghorbani and Zou, "Neuron
//! Shapley: Discovering the Responsible Neurons" (2020), <https://arxiv.org/abs/2002.09815>.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis};

use super::walk::activations;
use crate::attribution::baseline::check_background;
use crate::attribution::perturbation::{Absent, Blend, Coalitions, Game, Link, Players, RowGame};
use crate::attribution::probe::Probe;
use crate::attribution::{Baseline, Batch, Evaluations, Explained, Failure, Layers, Target};
use crate::{Result, Scalar};

/// Which units of which layer are taken away, and what stands in for them.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LayerRemoval<T> {
    /// The layer.
    pub layer: usize,
    /// Where the activations of absent units come from.
    pub absent: AbsentUnits<T>,
    /// The player of every unit, `(units)`, each of `0..M` at least once; `None`: every unit is a player.
    pub groups: Option<Vec<usize>>,
    /// Applied to the mean over the background rows.
    pub link: Link,
    /// Rows of one model call.
    pub batch: Batch,
}

/// Where the activations of absent units come from.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum AbsentUnits<T> {
    /// They are given: rows of `units` numbers.
    Activations(Absent<T>),
    /// They are what the layer holds for these inputs: rows of `n` numbers.
    Inputs(Absent<T>),
}

impl<T> LayerRemoval<T> {
    /// Single units of `layer`, zero where they are absent.
    #[must_use]
    pub fn at(layer: usize) -> Self {
        let absent = AbsentUnits::Activations(Absent::Baseline(Baseline::Zeros));
        Self { layer, absent, groups: None, link: Link::Identity, batch: Batch::Auto }
    }
}

impl<T> Default for LayerRemoval<T> {
    fn default() -> Self {
        Self::at(0)
    }
}

/// The game of the units of a layer for one row of `x: (b, n)`; [`LayerGame::select`] turns to another row.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::layer::{LayerGame, LayerRemoval};
/// use limpid::attribution::perturbation::Interactions;
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // relu(h0 + h1 - 1) of the units (1, 2)
/// let model = Network::new(1).linear(array![[1.0], [2.0]], None)?;
/// let mut model = model.linear(array![[1.0, 1.0]], Some(array![-1.0]))?.activation(Activation::Relu)?;
/// let (x, target, removal) = (array![[1.0]], Logit::of(0), LayerRemoval::at(0));
/// let mut game = LayerGame::new(&mut model, &x, &target, &removal)?;
/// let found = Interactions::default().of(&mut game).unwrap();
/// assert_eq!(found.values.index_axis(ndarray::Axis(2), 0), array![[0.0, 0.5], [0.5, 1.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub struct LayerGame<'a, T: Scalar, M: ?Sized> {
    probe: Probe<'a, T, M>,
    x: &'a ArrayRef2<T>,
    layer: usize,
    blend: Blend<'a, T>,
    /// The row of the input, as often as a model call has rows.
    repeated: Array2<T>,
}

impl<T: Scalar, M: ?Sized> core::fmt::Debug for LayerGame<'_, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut fields = f.debug_struct("LayerGame");
        fields.field("layer", &self.layer).field("row", &self.blend.row()).finish_non_exhaustive()
    }
}

impl<'a, T: Scalar, M: Layers<T> + ?Sized> LayerGame<'a, T, M> {
    /// The game of row 0 of `x: (b, n)` for `target`; the activations of all rows are read at once.
    ///
    /// # Errors
    /// [`Failure::Input`] where the model, input, target and removal do not fit each other; the model's own failures.
    pub fn new(
        model: &'a mut M,
        x: &'a ArrayRef2<T>,
        target: &'a dyn Target<T>,
        removal: &'a LayerRemoval<T>,
    ) -> Explained<Self, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        let units = probe.layer_width(removal.layer)?;
        let rows = removal.batch.rows(x.ncols().max(units))?;
        let layer = removal.layer;
        let mut read = |x: &ArrayRef2<T>| activations(&mut probe, layer, &x.as_standard_layout(), rows);
        let absent = match &removal.absent {
            AbsentUnits::Activations(absent) => Cow::Borrowed(absent),
            AbsentUnits::Inputs(Absent::Background(rows)) => {
                check_background("background", rows, x.ncols())?;
                Cow::Owned(Absent::Background(read(rows)?))
            }
            AbsentUnits::Inputs(Absent::Baseline(Baseline::Rows(rows))) => {
                Baseline::Rows(rows.view().to_owned()).rows(x)?;
                Cow::Owned(Absent::Baseline(Baseline::Rows(read(rows)?)))
            }
            AbsentUnits::Inputs(Absent::Baseline(shared)) => {
                let (first, _) = x.view().split_at(Axis(0), 1);
                let h = read(&shared.of(&first)?)?;
                Cow::Owned(Absent::Baseline(Baseline::Row(h.row(0).to_owned())))
            }
        };
        let h = read(x)?;
        let players = (removal.groups.as_deref(), removal.link);
        let blend = Blend::new(h.into(), absent, players, Batch::Rows(rows))?;
        let mut game = Self { probe, x, layer, blend, repeated: Array2::zeros((rows, x.ncols())) };
        game.select(0)?;
        Ok(game)
    }

    /// Turns to another row of `x`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where there is none.
    pub fn select(&mut self, row: usize) -> Result<()> {
        self.blend.select(row)?;
        self.repeated.rows_mut().into_iter().for_each(|mut slot| slot.assign(&self.x.row(row)));
        Ok(())
    }

    /// Model rows so far.
    #[must_use]
    pub fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Game<T> for LayerGame<'_, T, M> {
    type Error = Failure<M::Error>;

    fn n_players(&self) -> usize {
        self.blend.players().count
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> core::result::Result<(), Self::Error> {
        let (probe, layer, row) = (&mut self.probe, self.layer, self.blend.row());
        let repeated = self.repeated.view();
        self.blend.values(coalitions, out, |h, values| {
            let (x, _) = repeated.split_at(Axis(0), h.nrows());
            probe.values_with(layer, (&x, h), |_| row, values)
        })
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> RowGame<T, M::Error> for LayerGame<'_, T, M> {
    fn select(&mut self, row: usize) -> Result<()> {
        LayerGame::select(self, row)
    }

    fn players(&self) -> &Players {
        self.blend.players()
    }

    fn evaluations(&self) -> Evaluations {
        self.probe.evaluations()
    }
}
