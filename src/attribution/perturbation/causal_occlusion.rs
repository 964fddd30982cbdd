//! Occlusion of the tokens of a text for a causal model, which re-reads a text from the occluded token on and no further
//! back.
//!
//! ```text
//! A_t = f(x) - f(x with token t replaced)            the numbers of leave-one-out
//! cost in token-forwards:   T + Σ_t (T - t) = T + T (T + 1)/2      and not   T + T²
//! ```
//!
//! The last token is occluded first, so that the beginning that the model remembers is always that of the text itself.
//! Tokens of a group are occluded together, from the first of them on.
//!
//! Source: Li, Monroe & Jurafsky, "Understanding Neural Networks through Representation Erasure" (arXiv 1612.08220), for the
//! numbers; the cost is derived here.

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::ablation::losses;
use super::causal::{CausalGame, CausalModel};
use super::play::Play;
use super::summary::flatten;
use crate::Scalar;
use crate::attribution::{Attribution, Baseline, Evaluations, Explained, Target};

/// The output's loss without each token of a text, on a model that remembers beginnings.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{CausalModel, CausalOcclusion};
/// use limpid::attribution::target::Logit;
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
/// let found = CausalOcclusion::default().run(&mut Fading::default(), &array![[4.0, 2.0, 3.0]], &Logit::of(0)).unwrap();
/// assert_eq!(found.attribution.values, array![[1.0, 1.0, 3.0]]);
/// assert_eq!(found.token_forwards, 3 + 1 + 2 + 3);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct CausalOcclusion<T> {
    /// What occluded tokens become.
    pub baseline: Baseline<T>,
    /// The group of every token, `(t)`, each of `0..M` at least once; `None`: every token is occluded alone.
    pub groups: Option<Vec<usize>>,
    /// Last tokens after which the target reads the outputs, one position after the other.
    pub positions: usize,
}

impl<T> Default for CausalOcclusion<T> {
    fn default() -> Self {
        Self { baseline: Baseline::Zeros, groups: None, positions: 1 }
    }
}

/// What occlusion found, and what it cost.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct CausalAttribution<T> {
    /// One value per token, `(b, t)`; tokens of a group carry its value. Evaluations count runs of the model.
    pub attribution: Attribution<T>,
    /// Tokens that the model has read.
    pub token_forwards: u64,
}

impl<T: Scalar> CausalOcclusion<T> {
    /// Occludes the tokens of every row of `x: (b, t width)`.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for empty or non-finite texts and settings that do not fit
    /// them, [`Failure::Model`](crate::attribution::Failure::Model) with the model's own error,
    /// [`Failure::NotFinite`](crate::attribution::Failure::NotFinite) where the model gives NaN or infinity.
    pub fn run<M: CausalModel<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<CausalAttribution<T>, M::Error> {
        let mut game = CausalGame::with(model, x, (target, self.positions), (&self.baseline, self.groups.as_deref()))?;
        let mut values = Array2::zeros((x.nrows(), game.players().of_feature.len()));
        let mut output = Array1::zeros(x.nrows());
        for (row, mut values) in values.rows_mut().into_iter().enumerate() {
            game.select(row)?;
            let (full, lost) = losses(&mut Play::new(&mut game)?).map_err(flatten)?;
            output[row] = T::of(full[0]);
            let tokens = values.iter_mut().zip(&game.players().of_feature);
            tokens.for_each(|(value, &player)| *value = T::of(lost[player]));
        }
        let mut attribution = Attribution::new("causal_occlusion", format!("{self:?}"), values, output);
        attribution.evaluations = Evaluations { forward: game.runs(), gradient: 0 };
        Ok(CausalAttribution { attribution, token_forwards: game.token_forwards() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Recurrent;
    use super::*;
    use crate::attribution::perturbation::{FeatureAblation, Groups, LeaveOneOut};
    use crate::attribution::target::{LogProbability, SequenceLogProbability};
    use crate::attribution::{Explainer, Failure, Function};
    use alloc::vec;

    fn texts(t: usize) -> Array2<f64> {
        Array2::from_shape_fn((2, 2 * t), |(row, i)| libm::sin(1.3 * i as f64 + row as f64))
    }

    /// Reads every text from its start; the outputs after the last `positions` tokens.
    fn plain(t: usize, positions: usize) -> impl crate::attribution::Forward<f64, Error = &'static str> {
        Function::new((2 * t, 3 * positions), move |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
            for (x, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
                let text = Array2::from_shape_fn((t, 2), |(token, i)| x[2 * token + i]);
                let mut out = Array2::zeros((positions, 3));
                Recurrent::new(2, 3).extend(&text, &mut out)?;
                z.iter_mut().zip(&out).for_each(|(z, &out)| *z = out);
            }
            Ok(())
        })
    }

    #[test]
    fn equals_leave_one_out_for_half_the_tokens() {
        for t in [1, 2, 9, 70] {
            let (x, target) = (texts(t), LogProbability::of(2));
            let mut model = Recurrent::new(2, 3);
            let found = CausalOcclusion::default().run(&mut model, &x, &target).unwrap();
            let expected = LeaveOneOut { width: 2, ..LeaveOneOut::default() };
            let expected = expected.attribute(&mut plain(t, 1), &x, &target).unwrap();
            assert_eq!(found.attribution.values, expected.values);
            assert_eq!(found.attribution.output_value, expected.output_value);
            assert_eq!(found.token_forwards, 2 * (t + t * (t + 1) / 2) as u64);
            assert_eq!((found.token_forwards, found.attribution.evaluations.forward), (model.read, 2 + 2 * t as u64));
        }
    }

    #[test]
    fn groups_and_several_positions() {
        let (x, target) = (texts(6), SequenceLogProbability::of(vec![2, 0, 1]));
        let groups = vec![0, 1, 1, 2, 0, 3];
        let method = CausalOcclusion { groups: Some(groups.clone()), positions: 3, ..CausalOcclusion::default() };
        let found = method.run(&mut Recurrent::new(2, 3), &x, &target).unwrap();
        let wide = groups.iter().flat_map(|&group| [group; 2]).collect::<Vec<_>>();
        let expected = FeatureAblation { groups: Groups::from(wide), ..FeatureAblation::default() };
        let expected = expected.attribute(&mut plain(6, 3), &x, &target).unwrap().values;
        for ((row, token), &value) in found.attribution.values.indexed_iter() {
            assert_eq!(value, expected[[row, 2 * token]]);
        }
        // whole text, then from token 5, 3, 1 and 0 on
        assert_eq!(found.token_forwards, 2 * (6 + 1 + 3 + 5 + 6));
    }

    #[test]
    fn the_models_own_error_passes_through() {
        let mut model = Recurrent::new(2, 3);
        model.fail_at = Some(3);
        let failure = CausalOcclusion::default().run(&mut model, &texts(4), &LogProbability::of(0)).unwrap_err();
        assert_eq!(failure, Failure::Model { call: 2, error: "no memory" });
    }
}
