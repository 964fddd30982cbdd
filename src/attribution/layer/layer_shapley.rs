//! Layer Shapley values: the units of a layer share the output among themselves.
//!
//! ```text
//! φ_u = Σ_{S ∌ u} |S|! (M - |S| - 1)! / M! (v(S ∪ u) - v(S)),   v(S) = f(x with the layer's units of S, others replaced)
//! ```
//!
//! Any other summary of games does as well: permutations, KernelSHAP, Banzhaf and Owen values.
//!
//! Source: Ghorbani and Zou, "Neuron Shapley: Discovering the Responsible Neurons" (2020),
//! <https://arxiv.org/abs/2002.09815>, whose units are removed by their mean; for one input at a time here.

use alloc::format;
use core::fmt::Debug;

use ndarray::ArrayRef2;

use super::layer_game::{LayerGame, LayerRemoval};
use crate::Scalar;
use crate::attribution::perturbation::{RowGame, Summary, explain_rows};
use crate::attribution::{Attribution, Explained, Explainer, Layers, Target};

/// A summary of the game of a layer's units.
///
/// Every unit of a group carries the value of its group; `delta` counts every group once. Row `i` of the input is sampled with
/// the seed `seed.child(0, i)`.
///
/// # Example
/// ```
/// use limpid::attribution::layer::{LayerRemoval, LayerShapley};
/// use limpid::attribution::perturbation::ExactShapley;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // relu(h0 + h1 - 1) of the units (1, 2): worth 0 and 1 alone, 2 together
/// let model = Network::new(1).linear(array![[1.0], [2.0]], None)?;
/// let mut model = model.linear(array![[1.0, 1.0]], Some(array![-1.0]))?.activation(Activation::Relu)?;
/// let method = LayerShapley { removal: LayerRemoval::at(0), summary: ExactShapley::default() };
/// let found = method.attribute(&mut model, &array![[1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[0.5, 1.5]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>, S: serde::Deserialize<'de>")))]
pub struct LayerShapley<T, S> {
    /// Which units are players, and what stands in for absent ones.
    pub removal: LayerRemoval<T>,
    /// How the game is summed up.
    pub summary: S,
}

impl<T: Scalar, S: Summary<T> + Debug, M: Layers<T> + ?Sized> Explainer<T, M> for LayerShapley<T, S> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut game = LayerGame::new(model, x, target, &self.removal)?;
        let units = game.players().of_feature.len();
        explain_rows(&self.summary, format!("{self:?}"), &mut game, (x.nrows(), units))
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer_game::AbsentUnits;
    use super::super::testing::{c1, smooth, unchanged_by_batches};
    use super::*;
    use crate::Seed;
    use crate::attribution::perturbation::{Absent, Banzhaf, ExactShapley, Removal, Sampling, Shapley};
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Status};
    use alloc::vec;
    use ndarray::{Array2, array};

    #[test]
    fn the_layer_of_the_inputs_gives_the_values_of_features() {
        let background = array![[1.0, 0.0, 2.0], [0.0, 3.0, -1.0]];
        let x = array![[20.0, 50.0, 30.0], [1.0, 2.0, 3.0]];
        for groups in [None, Some(vec![0, 1, 0])] {
            let absent = AbsentUnits::Activations(Absent::Background(background.clone()));
            let removal = LayerRemoval { absent, groups: groups.clone(), ..LayerRemoval::at(0) };
            let inner = LayerShapley { removal, summary: ExactShapley::default() };
            let inner = inner.attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
            let removal = Removal { absent: Absent::Background(background.clone()), groups, ..Removal::default() };
            let outer = ExactShapley::default().by_removal(removal).attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
            assert_eq!((inner.values, inner.base_value), (outer.values, outer.base_value));
            assert_eq!(inner.evaluations.forward, outer.evaluations.forward + 2);
        }
    }

    #[test]
    fn values_add_up_to_the_difference_from_another_input() {
        let (mut model, x) = smooth();
        let other = x.mapv(|x| 0.5 - x);
        let absent = AbsentUnits::Inputs(Absent::Baseline(Baseline::Rows(other.clone())));
        let removal = LayerRemoval { absent, ..LayerRemoval::at(1) };
        let exact = LayerShapley { removal: removal.clone(), summary: ExactShapley::default() };
        let found = exact.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-13));
        let mut z = Array2::zeros((5, 2));
        crate::attribution::Forward::forward(&mut model, &other, &mut z).unwrap();
        assert!((found.base_value.unwrap() - z.column(1)).iter().all(|e| e.abs() < 1e-14));
        let sampling = Sampling { budget: 4000, exact: false, seed: Seed(3), ..Sampling::default() };
        let sampled = LayerShapley { removal, summary: Shapley { sampling, ..Shapley::default() } };
        let sampled = sampled.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        let errors = sampled.standard_error.unwrap();
        for ((at, value), error) in sampled.values.indexed_iter().zip(&errors) {
            assert!((value - found.values[at]).abs() < 5.0 * error + 1e-12, "{at:?}");
        }
        assert_eq!((sampled.status, sampled.seed), (Status::Finished, Some(Seed(3))));
    }

    #[test]
    fn batches_change_no_bit() {
        unchanged_by_batches(|batch| LayerShapley {
            removal: LayerRemoval { batch, ..LayerRemoval::at(3) },
            summary: Banzhaf::default(),
        });
    }
}
