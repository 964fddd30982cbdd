//! Layer ablation: what the output loses when a unit of a layer, or a group of units, is replaced.
//!
//! ```text
//! A_u = f(x) - f(x with unit u of the layer replaced)        every unit of a group carries the whole of its group
//! ```
//!
//! Source: feature ablation (Zeiler & Fergus, arXiv 1311.2901, section 4.2) applied to a layer, as in Captum; zero ablation
//! and mean ablation of circuits are the baselines of zeros and of a mean activation.

use alloc::format;

use ndarray::{Array1, Array2, ArrayRef2};

use super::layer_game::{LayerGame, LayerRemoval};
use crate::Scalar;
use crate::attribution::perturbation::{Play, RowGame, flatten, losses};
use crate::attribution::{Attribution, Explained, Explainer, Layers, Target};

/// The output's loss without each unit of a layer: `M + 2` rows for an input and `M` groups of units.
///
/// # Example
/// ```
/// use limpid::attribution::layer::{LayerAblation, LayerRemoval};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(1).linear(array![[2.0], [3.0]], None)?;
/// let mut model = model.linear(array![[1.0, -1.0]], None)?;
/// let method = LayerAblation { removal: LayerRemoval::at(0) };
/// let found = method.attribute(&mut model, &array![[1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[2.0, -3.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LayerAblation<T> {
    /// Which units are replaced together, and by what.
    pub removal: LayerRemoval<T>,
}

impl<T> Default for LayerAblation<T> {
    fn default() -> Self {
        Self { removal: LayerRemoval::default() }
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for LayerAblation<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut game = LayerGame::new(model, x, target, &self.removal)?;
        let mut values = Array2::zeros((x.nrows(), game.players().of_feature.len()));
        let mut output = Array1::zeros(x.nrows());
        for (row, mut values) in values.rows_mut().into_iter().enumerate() {
            game.select(row)?;
            let (full, lost) = losses(&mut Play::new(&mut game)?).map_err(flatten)?;
            output[row] = T::of(full[0]);
            let units = values.iter_mut().zip(&game.players().of_feature);
            units.for_each(|(value, &player)| *value = T::of(lost[player]));
        }
        let mut result = Attribution::new("layer_ablation", format!("{self:?}"), values, output);
        result.evaluations = game.evaluations();
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::super::layer_game::AbsentUnits;
    use super::super::testing::{c1, smooth, unchanged_by_batches};
    use super::*;
    use crate::Error;
    use crate::attribution::circuits::{ActivationPatching, PatchDirection};
    use crate::attribution::perturbation::{Absent, FeatureAblation};
    use crate::attribution::target::Logit;
    use crate::attribution::{Baseline, Failure, Network};
    use alloc::vec;
    use ndarray::array;

    fn with(removal: LayerRemoval<f64>) -> LayerAblation<f64> {
        LayerAblation { removal }
    }

    #[test]
    fn units_and_groups_by_hand() {
        // s = 20: units 10, 21, 21, 21
        let x = array![[20.0, 0.0, 0.0]];
        let found = with(LayerRemoval::at(2)).attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
        assert_eq!((found.values, found.output_value[0]), (array![[10.0, 21.0, 21.0, 21.0]], 72.0));
        assert_eq!(found.evaluations.forward, 1 + 1 + 4);
        let groups = LayerRemoval { groups: Some(vec![1, 0, 0, 1]), ..LayerRemoval::at(2) };
        let found = with(groups).attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
        assert_eq!(found.values, array![[31.0, 42.0, 42.0, 31.0]]);
        // the layer of the inputs gives what feature ablation gives
        let inner = with(LayerRemoval::at(0)).attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
        let outer = FeatureAblation::default().attribute(&mut c1(), &x, &Logit::of(0)).unwrap();
        assert_eq!(inner.values, outer.values);
    }

    #[test]
    fn units_of_another_input_are_those_of_activation_patching() {
        let (mut model, x) = smooth();
        let other = x.mapv(|x| 0.5 - x);
        let absent = AbsentUnits::Inputs(Absent::Baseline(Baseline::Rows(other.clone())));
        let removal = LayerRemoval { absent, ..LayerRemoval::at(1) };
        let found = with(removal).attribute(&mut model, &x, &Logit::of(1)).unwrap().values;
        let patching = ActivationPatching::at(1, PatchDirection::Noising);
        let effect = patching.run(&mut model, &x, &other, &Logit::of(1)).unwrap().effect;
        assert!((found + effect).iter().all(|e: &f64| e.abs() < 1e-14));
        let row = array![0.1, -0.3, 0.4];
        let shared = AbsentUnits::Inputs(Absent::Baseline(Baseline::Row(row.clone())));
        let found = with(LayerRemoval { absent: shared, ..LayerRemoval::at(1) });
        let found = found.attribute(&mut model, &x, &Logit::of(1)).unwrap().values;
        let repeated = Array2::from_shape_fn(x.dim(), |(_, i)| row[i]);
        let effect = patching.run(&mut model, &x, &repeated, &Logit::of(1)).unwrap().effect;
        assert!((found + effect).iter().all(|e: &f64| e.abs() < 1e-14));
    }

    #[test]
    fn batches_change_no_bit() {
        unchanged_by_batches(|batch| with(LayerRemoval { batch, ..LayerRemoval::at(3) }));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let failed = |removal: LayerRemoval<f64>| {
            let method = with(removal);
            let failure =
                Explainer::<f64, Network<f64>>::attribute(&method, &mut c1(), &array![[1.0, 2.0, 3.0]], &Logit::of(0));
            match failure {
                Err(Failure::Input(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(failed(LayerRemoval::at(4)), Error::OutOfRange { what: "layer", .. }));
        let groups = LayerRemoval { groups: Some(vec![0, 1]), ..LayerRemoval::at(2) };
        assert!(matches!(failed(groups), Error::Shape { what: "groups", .. }));
        let short = AbsentUnits::Activations(Absent::Baseline(Baseline::Row(array![0.0])));
        assert!(matches!(failed(LayerRemoval { absent: short, ..LayerRemoval::at(2) }), Error::Shape { .. }));
        for rows in [Array2::zeros((2, 3)), Array2::zeros((1, 4))] {
            let absent = AbsentUnits::Inputs(Absent::Baseline(Baseline::Rows(rows)));
            assert!(matches!(
                failed(LayerRemoval { absent, ..LayerRemoval::at(2) }),
                Error::Shape { what: "baseline", .. }
            ));
        }
        let absent = AbsentUnits::Inputs(Absent::Background(Array2::zeros((0, 3))));
        assert!(matches!(failed(LayerRemoval { absent, ..LayerRemoval::at(2) }), Error::Empty { what: "background" }));
    }
}
