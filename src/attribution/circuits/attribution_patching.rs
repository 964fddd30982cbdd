//! Attribution patching: the first-order estimate of what replacing an activation does to a metric.
//!
//! ```text
//! score = (a_source - a_start) ⊙ ∂m/∂a at the starting run        ≈ m(patched) - m(start)
//! noising    starts from the clean run and takes values of the corrupted one
//! denoising  starts from the corrupted run and takes values of the clean one
//! ```
//!
//! A positive score says that the patch raises the metric. Two forward passes and one backward pass score every unit; the
//! estimate is bad where the metric bends between the two values, as in saturated attention.
//!
//! Source: Nanda, "Attribution Patching: Activation Patching At Industrial Scale" (2023); Kramár et al., "AtP*"
//! (arXiv 2403.00745) on where it fails.

use alloc::vec;
use alloc::vec::Vec;
use ndarray::{Array, Array1, Array2, ArrayRef, ArrayRef1, Axis, Dimension, Ix3};

use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::{Dims, Error, Result, Scalar};

/// Which run is patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PatchDirection {
    /// The clean run, with values of the corrupted one: what is needed.
    #[default]
    Noising,
    /// The corrupted run, with values of the clean one: what suffices.
    Denoising,
}

/// Scores of single activations, and their sums.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeScores<T, D: Dimension> {
    /// Estimated change of the metric of each example, in the shape of the activations: `(b, m)` or `(b, t, m)`.
    pub score: Array<T, D>,
}

/// Scores of every activation.
///
/// `clean`, `corrupted`, `gradient`: `(b, m)` or `(b, t, m)`; `gradient` is that of each example's metric at the run that is
/// patched: the clean one for noising, the corrupted one for denoising.
///
/// # Errors
/// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`], also for a score that overflows.
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{PatchDirection, attribution_patching};
/// use ndarray::array;
///
/// let (clean, corrupted) = (array![[1.0, 2.0], [0.0, 0.0]], array![[0.0, 2.0], [1.0, 4.0]]);
/// let gradient = array![[3.0, 5.0], [1.0, -1.0]];
/// let scores = attribution_patching(&clean, &corrupted, &gradient, PatchDirection::Noising)?;
/// assert_eq!(scores.score, array![[-3.0, 0.0], [1.0, -4.0]]);
/// assert_eq!(scores.units(), array![-1.0, -2.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn attribution_patching<T: Scalar, D: Dimension>(
    clean: &ArrayRef<T, D>,
    corrupted: &ArrayRef<T, D>,
    gradient: &ArrayRef<T, D>,
    direction: PatchDirection,
) -> Result<NodeScores<T, D>> {
    if clean.ndim() < 2 {
        return Err(Error::Shape { what: "clean", expected: Dims::new(&[1, 1]), got: Dims::new(clean.shape()) });
    }
    check_not_empty("clean", clean)?;
    check_finite("clean", clean)?;
    for (what, x) in [("corrupted", corrupted), ("gradient", gradient)] {
        check_shape(what, x, clean.shape())?;
        check_finite(what, x)?;
    }
    let (source, start) = match direction {
        PatchDirection::Noising => (corrupted, clean),
        PatchDirection::Denoising => (clean, corrupted),
    };
    let mut score = source.to_owned();
    score.zip_mut_with(start, |score, &start| *score -= start);
    score.zip_mut_with(gradient, |score, &gradient| *score *= gradient);
    check_finite("score", &score)?;
    Ok(NodeScores { score })
}

impl<T: Scalar, D: Dimension> NodeScores<T, D> {
    /// Score of every unit, `(m)`: mean over examples of the sum over positions.
    #[must_use]
    pub fn units(&self) -> Array1<T> {
        let sums = self.sums(self.width(), |_, unit| unit);
        self.means(&sums)
    }

    /// Score of groups of units, `(groups)`: mean over examples of the sum over positions and units.
    ///
    /// `group: (m)` holds the group of every unit, from 0 and without gaps.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for a group number that cannot be, [`Error::Empty`] for a group that has no
    /// unit.
    pub fn groups(&self, group: &[usize]) -> Result<Array1<T>> {
        let count = count_groups(group, self.width())?;
        Ok(self.means(&self.sums(count, |_, unit| group[unit])))
    }

    /// Score of heads that lie side by side in equal parts of the units, `(heads)`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the units can be cut into so many equal parts.
    pub fn heads(&self, heads: usize) -> Result<Array1<T>> {
        Ok(self.means(&self.sums(heads, self.head_of(heads)?)))
    }

    /// Score of nodes that are groups of units, for every example and position: the shape of the scores with groups along the
    /// last axis. [`GradDrop`](super::GradDrop) takes magnitudes of these.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub fn nodes(&self, group: &[usize]) -> Result<Array<T, D>> {
        let count = count_groups(group, self.width())?;
        let mut shape = self.score.raw_dim();
        let last = shape.ndim() - 1;
        shape[last] = count;
        let rows: usize = shape.slice()[..last].iter().product();
        let sums = self.sums(rows * count, |row, unit| row * count + group[unit]);
        let mut nodes = Array::zeros(shape);
        nodes.iter_mut().zip(sums).for_each(|(node, sum)| *node = T::of(sum));
        Ok(nodes)
    }

    fn width(&self) -> usize {
        self.score.shape().last().copied().unwrap_or(0)
    }

    fn head_of(&self, heads: usize) -> Result<impl Fn(usize, usize) -> usize> {
        let width = self.width();
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(Error::Shape { what: "heads", expected: Dims::new(&[width]), got: Dims::new(&[heads]) });
        }
        Ok(move |_, unit| unit / (width / heads))
    }

    /// Sums in double precision, where `cell(row, unit)` says which of `count` sums a score goes to.
    fn sums(&self, count: usize, cell: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        let mut sums = vec![0.0; count];
        for (row, scores) in self.score.rows().into_iter().enumerate() {
            scores.iter().enumerate().for_each(|(unit, score)| sums[cell(row, unit)] += score.as_f64());
        }
        sums
    }

    fn means(&self, sums: &[f64]) -> Array1<T> {
        let examples = self.score.len_of(Axis(0)) as f64;
        sums.iter().map(|sum| T::of(sum / examples)).collect()
    }
}

impl<T: Scalar> NodeScores<T, Ix3> {
    /// Score of every position, `(t)`: mean over examples of the sum over units.
    #[must_use]
    pub fn positions(&self) -> Array1<T> {
        let positions = self.score.dim().1;
        self.means(&self.sums(positions, |row, _| row % positions))
    }

    /// Score of every head at every position, `(t, heads)`, for heads as in [`Self::heads`]: mean over examples.
    ///
    /// # Errors
    /// As [`Self::heads`].
    pub fn positions_and_heads(&self, heads: usize) -> Result<Array2<T>> {
        let (positions, head_of) = (self.score.dim().1, self.head_of(heads)?);
        let scores =
            self.means(&self.sums(positions * heads, |row, unit| row % positions * heads + head_of(row, unit)));
        Ok(Array2::from_shape_fn((positions, heads), |(p, head)| scores[p * heads + head]))
    }
}

/// Number of groups, each of which must have a unit.
pub(super) fn count_groups(group: &[usize], units: usize) -> Result<usize> {
    check_shape("group", &Array1::from(group.to_vec()) as &ArrayRef1<usize>, &[units])?;
    let numbers: Vec<f64> = group.iter().map(|&group| group as f64).collect();
    check_each("group", &numbers, "a number below that of the units", |group| group < units as f64)?;
    let count = group.iter().max().map_or(0, |&largest| largest + 1);
    let mut used = vec![false; count];
    group.iter().for_each(|&group| used[group] = true);
    if used.contains(&false) { Err(Error::Empty { what: "group" }) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn scores() -> NodeScores<f64, Ix3> {
        // two examples, two positions, four units
        NodeScores { score: Array3::from_shape_fn((2, 2, 4), |(b, t, m)| (100 * b + 10 * t + m) as f64) }
    }

    #[test]
    fn denoising_takes_the_other_difference() {
        let (clean, corrupted, gradient) = (array![[1.0, 2.0]], array![[4.0, 0.0]], array![[2.0, 0.5]]);
        let score = |direction| attribution_patching(&clean, &corrupted, &gradient, direction).unwrap().score;
        assert_eq!(score(PatchDirection::Noising), array![[6.0, -1.0]]);
        assert_eq!(score(PatchDirection::Denoising), array![[-6.0, 1.0]]);
    }

    #[test]
    fn sums_by_hand() {
        assert_eq!(scores().units(), array![110.0, 112.0, 114.0, 116.0]);
        assert_eq!(scores().heads(2).unwrap(), array![222.0, 230.0]);
        assert_eq!(scores().groups(&[1, 0, 1, 1]).unwrap(), array![112.0, 340.0]);
        let nodes = scores().nodes(&[1, 0, 1, 1]).unwrap();
        assert_eq!(nodes, array![[[1.0, 5.0], [11.0, 35.0]], [[101.0, 305.0], [111.0, 335.0]]]);
        assert_eq!(scores().positions(), array![206.0, 246.0]);
        assert_eq!(scores().positions_and_heads(2).unwrap(), array![[101.0, 105.0], [121.0, 125.0]]);
    }

    #[test]
    fn single_precision_sums_do_not_lose_small_scores() {
        let mut score = Array2::from_elem((1, 3), 0.5_f32);
        score[[0, 0]] = 2e7;
        let scores = NodeScores { score };
        assert_eq!(scores.groups(&[0, 0, 0]).unwrap(), array![2e7 + 1.0]);
    }

    #[test]
    fn a_linear_metric_is_estimated_exactly() {
        let metric = |a: &Array2<f64>| a.dot(&array![2.0, -1.0, 0.5]);
        let (clean, corrupted) = (array![[1.0, 2.0, 3.0]], array![[0.0, -1.0, 5.0]]);
        let gradient = array![[2.0, -1.0, 0.5]];
        let scores = attribution_patching(&clean, &corrupted, &gradient, PatchDirection::Noising).unwrap();
        assert_eq!(scores.score.sum(), (metric(&corrupted) - metric(&clean))[0]);
    }

    #[test]
    fn bad_input_is_named() {
        let x = array![[1.0_f32, 2.0]];
        let patch = |a: &Array2<f32>, b: &Array2<f32>| attribution_patching(&x, a, b, PatchDirection::Noising);
        assert!(matches!(patch(&array![[1.0]], &x), Err(Error::Shape { what: "corrupted", .. })));
        assert!(matches!(patch(&x, &array![[f32::NAN, 0.0]]), Err(Error::NotFinite { what: "gradient", index: 0 })));
        let huge = array![[f32::MAX, 0.0]];
        assert!(matches!(patch(&(-&huge), &huge), Err(Error::NotFinite { what: "score", .. })));
        let flat = array![1.0];
        let error = attribution_patching(&flat, &flat, &flat, PatchDirection::Noising).unwrap_err();
        assert!(matches!(error, Error::Shape { what: "clean", .. }));
        assert!(matches!(scores().heads(3), Err(Error::Shape { what: "heads", .. })));
        assert!(matches!(scores().groups(&[0, 0, 0]), Err(Error::Shape { what: "group", .. })));
        assert!(matches!(scores().groups(&[0, 0, 0, 9]), Err(Error::OutOfRange { what: "group", index: 3, .. })));
        assert!(matches!(scores().groups(&[0, 0, 0, 2]), Err(Error::Empty { what: "group" })));
    }
}
