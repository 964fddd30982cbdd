//! Randomisation tests: an explanation of the model must change with the model, and with what is asked of it.
//!
//! ```text
//! parameters   similarity(A of the model, A of the model with stages 0..=k randomised), k = 0, 1, ..
//! logit        similarity(A for the class, A for another class)
//! ```
//!
//! A method whose attributions stay similar explains the input, not the model.
//!
//! Source: Adebayo et al., "Sanity Checks for Saliency Maps" (arXiv 1810.03292), for the parameters; Sixt, Granz and
//! Landgraf, "When Explanations Lie: Why Many Modified BP Attributions Fail" (arXiv 1912.09818), for the logit.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::similarity::Similarity;
use crate::attribution::target::{Class, Logit};
use crate::attribution::{Attribution, Evaluations, Explained, Explainer, Failure, Forward, Target};
use crate::error::{check_each, check_shape};
use crate::math::random::below;
use crate::{Result, Scalar, Seed};

/// Settings of the model parameter randomisation test.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{ParameterRandomisation, Similarity};
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, 1.0]], None)?;
/// let test = ParameterRandomisation { stages: 1, similarity: Similarity::Spearman, absolute: false };
/// let randomise = |model: &mut Network<f64>, _| {
///     *model = Network::new(2).linear(array![[-1.0, 2.0]], None)?;
///     Ok(())
/// };
/// let found = test.judge(&Saliency::default(), &mut model, &array![[1.0, 1.0]], &Logit::of(0), randomise)?;
/// assert_eq!(found.similarity[[0, 0]], Some(-1.0));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ParameterRandomisation {
    /// Number of stages, usually the layers from the top down.
    pub stages: usize,
    /// What similarity is.
    pub similarity: Similarity,
    /// Whether magnitudes are compared: a randomised model often has the same attributions with other signs.
    pub absolute: bool,
}

/// Similarity of `b` rows to themselves at every stage.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RandomisationReport {
    /// Similarity after each stage, `(stages, b)`; `None` where it is not defined.
    pub similarity: Array2<Option<f64>>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl ParameterRandomisation {
    /// Explains `x: (b, n)`, then again after each call of `randomise(model, stage)`, stages counted from 0.
    ///
    /// The model is left as the last call left it: give a copy. Whether stages add up (the usual, cascading test) or each
    /// stage alone is random is up to `randomise`.
    ///
    /// # Errors
    /// As [`Explainer::attribute`]; a failure of `randomise` is [`Failure::Model`] whose call is the stage.
    pub fn judge<T: Scalar, M: Forward<T> + ?Sized>(
        &self,
        explainer: &dyn Explainer<T, M>,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
        mut randomise: impl FnMut(&mut M, usize) -> Result<(), M::Error>,
    ) -> Explained<RandomisationReport, M::Error> {
        check_each("stages", &[self.stages as f64], ">= 1", |stages: f64| stages >= 1.0)?;
        let before = explainer.attribute(model, x, target)?;
        self.similarity.check(before.values.ncols())?;
        let mut evaluations = before.evaluations;
        let mut rows = Vec::new();
        for stage in 0..self.stages {
            randomise(model, stage).map_err(|error| Failure::Model { call: stage as u64, error })?;
            let after = explainer.attribute(model, x, target)?;
            evaluations = evaluations.plus(after.evaluations);
            rows.extend(compare(&before, &after, self.similarity, self.absolute)?);
        }
        let columns = before.values.nrows();
        let similarity = Array2::from_shape_fn((self.stages, columns), |(stage, row)| rows[stage * columns + row]);
        Ok(RandomisationReport { similarity, evaluations })
    }
}

/// Similarity of each row of two attributions.
fn compare<T: Scalar>(
    before: &Attribution<T>,
    after: &Attribution<T>,
    similarity: Similarity,
    absolute: bool,
) -> Result<Vec<Option<f64>>> {
    check_shape("attribution", &after.values, before.values.shape())?;
    let pairs = before.values.rows().into_iter().zip(after.values.rows());
    pairs
        .map(|(a, b)| if absolute { similarity.of(&a.mapv(T::abs), &b.mapv(T::abs)) } else { similarity.of(&a, &b) })
        .collect()
}

/// Classes that are not those of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherLogits {
    /// The other class of every row, `(b)`.
    pub classes: Vec<usize>,
    /// What they follow from.
    pub seed: Seed,
}

impl OtherLogits {
    /// Draws, for each of `rows` rows, one of the `outputs` classes that is not its own, all with the same chance.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two outputs and for classes that do not exist,
    /// [`Error::Shape`](crate::Error::Shape) for classes of another number of rows.
    pub fn draw(own: &Class, rows: usize, outputs: usize, seed: Seed) -> Result<Self> {
        own.check(rows, outputs)?;
        check_each("outputs", &[outputs as f64], ">= 2", |outputs: f64| outputs >= 2.0)?;
        let draw = |row: usize| {
            let drawn = below(&mut seed.stream(PURPOSE, row as u64), outputs - 1);
            if drawn < own.of(row) { drawn } else { drawn + 1 }
        };
        Ok(Self { classes: (0..rows).map(draw).collect(), seed })
    }
}

/// Purpose of the random stream.
const PURPOSE: u64 = 0x006f_7468_6572;

/// Random logit test: similarity, `(b)`, of the attributions of the logits of `own` classes and of other, random ones; `None` where it
/// is not defined.
///
/// # Errors
/// As [`Explainer::attribute`] and [`OtherLogits::draw`].
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Similarity, random_logit};
/// use limpid::attribution::gradient::Saliency;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, 1.0], [0.0, 1.0]], None)?;
/// let (x, saliency) = (array![[1.0, 1.0]], Saliency::default());
/// let found = random_logit(&saliency, &mut model, &x, &0.into(), Similarity::Spearman, Seed(0))?;
/// assert_eq!(found, [Some(-1.0)]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn random_logit<T: Scalar, M: Forward<T> + ?Sized>(
    explainer: &dyn Explainer<T, M>,
    model: &mut M,
    x: &ArrayRef2<T>,
    own: &Class,
    similarity: Similarity,
    seed: Seed,
) -> Explained<Vec<Option<f64>>, M::Error> {
    let others = OtherLogits::draw(own, x.nrows(), model.n_outputs(), seed)?;
    let for_own = explainer.attribute(model, x, &Logit(own.clone()))?;
    similarity.check(for_own.values.ncols())?;
    let for_other = explainer.attribute(model, x, &Logit(Class::PerRow(others.classes)))?;
    Ok(compare(&for_own, &for_other, similarity, false)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::Network;
    use crate::attribution::gradient::Saliency;
    use ndarray::array;

    #[test]
    fn stages_follow_the_model() {
        let linear = |weight| Network::<f64>::new(3).linear(weight, None).unwrap();
        let mut model = linear(array![[1.0, 2.0, 3.0]]);
        let stages = [array![[-1.0, -2.0, -3.0]], array![[0.0, 0.0, 0.0]]];
        let randomise = |model: &mut Network<f64>, stage: usize| {
            *model = linear(stages[stage].clone());
            Ok(())
        };
        let (x, saliency) = (array![[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]], Saliency { absolute: false });
        let mut judge = |similarity, absolute| {
            let test = ParameterRandomisation { stages: 2, similarity, absolute };
            test.judge(&saliency, &mut model, &x, &Logit::of(0), randomise).unwrap()
        };
        let found = judge(Similarity::Spearman, false);
        assert_eq!(found.similarity, array![[Some(-1.0); 2], [None; 2]]);
        assert_eq!(found.evaluations.gradient, 6);
        // the model is still zero
        assert_eq!(judge(Similarity::Cosine, true).similarity[[0, 0]], None);
    }

    #[test]
    fn failures_name_the_stage() {
        let mut model = Network::<f64>::new(1).linear(array![[1.0]], None).unwrap();
        let test = ParameterRandomisation { stages: 3, similarity: Similarity::Spearman, absolute: false };
        let fail = |_: &mut Network<f64>, stage| if stage == 1 { Err(Error::Empty { what: "w" }) } else { Ok(()) };
        let found = test.judge(&Saliency::default(), &mut model, &array![[1.0]], &Logit::of(0), fail);
        assert!(matches!(found, Err(Failure::Model { call: 1, .. })));
        let image = ParameterRandomisation { similarity: Similarity::Ssim { height: 2, width: 2 }, ..test };
        let found = image.judge(&Saliency::default(), &mut model, &array![[1.0]], &Logit::of(0), |_, _| Ok(()));
        assert!(matches!(found, Err(Failure::Input(Error::OutOfRange { .. }))));
    }

    #[test]
    fn another_class_is_another() {
        let own = Class::from(alloc::vec![0, 1, 2, 1, 0, 2]);
        for seed in 0..20 {
            let drawn = OtherLogits::draw(&own, 6, 3, Seed(seed)).unwrap();
            assert!(drawn.classes.iter().enumerate().all(|(row, &class)| class < 3 && class != own.of(row)));
        }
        assert!(OtherLogits::draw(&0.into(), 2, 1, Seed(0)).is_err());
        assert!(OtherLogits::draw(&3.into(), 2, 3, Seed(0)).is_err());
    }
}
