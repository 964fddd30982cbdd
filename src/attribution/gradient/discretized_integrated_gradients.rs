//! Discretized integrated gradients: a sum over given points, which can be embeddings of real words.
//!
//! ```text
//! A = Σ_k ∇f(p_k) ⊙ (p_{k+1} - p_k)        p_0 = b, .., p_{s-1} = x
//! ```
//!
//! The path of a word runs through its neighbours in the table of embeddings. Seen from the word, each next anchor is one of
//! the nearest neighbours of the last anchor, and is then made monotone: a coordinate that does not lie between the path so
//! far and the baseline is replaced by the path's own, moved by `1/s` of the rest of its way.
//!
//! Source: Sanyal and Ren, "Discretized Integrated Gradients for Explaining Language Models" (EMNLP 2021, arXiv
//! 2108.13654); the sum is that of Inseq.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array1, Array2, Array3, ArrayRef1, ArrayRef2, ArrayView1, Axis};

use super::paths::check_end;
use super::walk::{Walk, copy};
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Batch, Differentiable, Explained, Explainer, Status, Target};
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::quadrature::MAX_NODES;
use crate::math::select::top_k;
use crate::{Error, Result, Scalar};

/// The left sum along given points, `steps - 1` evaluations with gradient per row.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::DiscretizedIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -1.0]], None)?;
/// // one row, three points
/// let method = DiscretizedIntegratedGradients::new(array![[[0.0, 0.0], [2.0, 0.5], [2.0, 2.0]]]);
/// let found = method.attribute(&mut model, &array![[2.0, 2.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[6.0, -2.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct DiscretizedIntegratedGradients<T> {
    /// The points of every row, `(b, steps, n)`, from the baseline to the row itself.
    pub paths: Array3<T>,
    /// Whether the sum is multiplied by `x - b` once more, as Inseq's option of this name does. The values are then no
    /// integral, and have no `delta`.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> DiscretizedIntegratedGradients<T> {
    /// Along these points.
    pub fn new(paths: Array3<T>) -> Self {
        Self { paths, multiply_by_inputs: false, batch: Batch::Auto }
    }
}

/// Says how many points there are and not their numbers: settings are recorded with every result.
impl<T> fmt::Debug for DiscretizedIntegratedGradients<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscretizedIntegratedGradients")
            .field("steps", &self.paths.dim().1)
            .field("multiply_by_inputs", &self.multiply_by_inputs)
            .field("batch", &self.batch)
            .finish()
    }
}

impl<T: Scalar> DiscretizedIntegratedGradients<T> {
    fn check(&self, x: &ArrayRef2<T>) -> Result<()> {
        check_not_empty("paths", &self.paths)?;
        let steps = self.paths.dim().1;
        check_shape("paths", &self.paths, &[x.nrows(), steps, x.ncols()])?;
        check_finite("paths", &self.paths)?;
        check_each("steps", &[steps as f64], ">= 2", |steps: f64| steps >= 2.0)?;
        check_end(self.paths.index_axis(Axis(1), steps - 1), x)
    }

    fn point(&self, row: usize, step: usize) -> ArrayView1<'_, T> {
        self.paths.index_axis(Axis(0), row).index_axis_move(Axis(0), step)
    }
}

impl<T: Scalar, M: Differentiable<T> + ?Sized> Explainer<T, M> for DiscretizedIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let mut probe = Probe::new(model, x, target)?;
        self.check(x)?;
        let last = self.paths.dim().1 - 1;
        let mut walk = Walk::new(self.batch, x.ncols())?;
        let output = walk.outputs(&mut probe, x)?;
        let base = walk.outputs(&mut probe, &self.paths.index_axis(Axis(1), 0))?;
        let mut sums = Array2::<f64>::zeros(x.raw_dim());
        walk.gradients(
            &mut probe,
            (0..x.nrows()).flat_map(|row| (0..last).map(move |step| (row, step))),
            |(row, _)| row,
            |(row, step), point| copy(point, self.point(row, step)),
            |(row, step), _, gradient| {
                let steps = self.point(row, step + 1).into_iter().zip(self.point(row, step));
                let terms = sums.row_mut(row).into_iter().zip(gradient).zip(steps);
                terms.for_each(|((sum, g), (&next, &here))| *sum += g.as_f64() * (next - here).as_f64());
            },
        )?;
        let mut values = sums.mapv(T::of);
        if self.multiply_by_inputs {
            let baseline = self.paths.index_axis(Axis(1), 0);
            ndarray::Zip::from(&mut values).and(x).and(&baseline).for_each(|value, &x, &b| *value *= x - b);
        }
        let mut result = Attribution::new("discretized_integrated_gradients", format!("{self:?}"), values, output);
        result.status = Status::Finished;
        Ok(probe.account(result.against(base, !self.multiply_by_inputs)))
    }
}

/// How the next anchor is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AnchorStrategy {
    /// The neighbour that is closest to its own monotone version.
    #[default]
    Greedy,
    /// The neighbour with the most coordinates that are monotone as they are.
    MaxCount,
}

/// How the path of a word is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WordPath {
    /// Points of the path, both ends included.
    pub steps: usize,
    /// How the next anchor is chosen.
    pub strategy: AnchorStrategy,
    /// How many neighbours of the last anchor are looked at.
    pub neighbours: usize,
    /// Words that stay where they are, such as separators: their path has no length. They are never anchors.
    pub special: Vec<usize>,
}

impl Default for WordPath {
    fn default() -> Self {
        Self { steps: 30, strategy: AnchorStrategy::Greedy, neighbours: 50, special: Vec::new() }
    }
}

impl WordPath {
    /// The path `(steps, d)` from the word `baseline` to `word`, both rows of `table: (v, d)`.
    ///
    /// Where all neighbours were visited, the path goes on straight.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], [`Error::OutOfRange`] for a word that is not in the table, for fewer than two
    /// steps and for no neighbours, [`Error::TooLarge`] for more than 16384 steps.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::gradient::WordPath;
    /// use ndarray::array;
    ///
    /// let table = array![[0.0, 0.0], [2.0, 1.0], [3.0, 4.0], [9.0, 9.0]];
    /// let path = WordPath { steps: 3, ..WordPath::default() }.between(&table, 0, 2)?;
    /// // through the word in between
    /// assert_eq!(path, array![[0.0, 0.0], [2.0, 1.0], [3.0, 4.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn between<T: Scalar>(&self, table: &ArrayRef2<T>, baseline: usize, word: usize) -> Result<Array2<T>> {
        self.check(table)?;
        self.path(table, baseline, word)
    }

    /// The paths `(b, steps, t d)` of sentences, `words: (b)` lists of `t` words, whose points are their words' embeddings side
    /// by side.
    ///
    /// # Errors
    /// As [`WordPath::between`], and [`Error::Shape`] for sentences of different lengths.
    pub fn of_sentences<T: Scalar>(
        &self,
        table: &ArrayRef2<T>,
        baseline: usize,
        words: &[Vec<usize>],
    ) -> Result<Array3<T>> {
        self.check(table)?;
        let tokens = words.first().map_or(0, Vec::len);
        if tokens == 0 {
            return Err(Error::Empty { what: "words" });
        }
        let mut paths = Array3::zeros((words.len(), self.steps, tokens * table.ncols()));
        for (sentence, mut points) in words.iter().zip(paths.outer_iter_mut()) {
            check_shape("words", &Array1::from_elem(sentence.len(), 0_u8), &[tokens])?;
            for (&word, mut part) in sentence.iter().zip(points.axis_chunks_iter_mut(Axis(1), table.ncols())) {
                part.assign(&self.path(table, baseline, word)?);
            }
        }
        Ok(paths)
    }

    fn check<T: Scalar>(&self, table: &ArrayRef2<T>) -> Result<()> {
        check_not_empty("table", table)?;
        check_finite("table", table)?;
        check_each("steps", &[self.steps as f64], ">= 2", |steps: f64| steps >= 2.0)?;
        check_limit("steps", self.steps, MAX_NODES)?;
        check_each("neighbours", &[self.neighbours as f64], ">= 1", |count: f64| count >= 1.0)
    }

    fn path<T: Scalar>(&self, table: &ArrayRef2<T>, baseline: usize, word: usize) -> Result<Array2<T>> {
        let known = |word: f64| word < table.nrows() as f64;
        check_each("word", &[baseline as f64, word as f64], "a row of the table", known)?;
        let mut path = Array2::zeros((self.steps, table.ncols()));
        if self.special.contains(&word) {
            path.rows_mut().into_iter().for_each(|mut point| point.assign(&table.row(word)));
            return Ok(path);
        }
        let end = table.row(baseline);
        path.row_mut(0).assign(&end);
        let (mut here, mut visited) = (table.row(word).to_owned(), alloc::vec![baseline, word]);
        path.row_mut(self.steps - 1).assign(&here);
        for step in (1..self.steps - 1).rev() {
            let anchor = self.next(table, &here, end, &visited);
            here = match anchor {
                Some(anchor) => monotone(table.row(anchor), here.view(), end, self.steps),
                None => monotone(here.view(), here.view(), end, step + 1),
            };
            visited.extend(anchor);
            path.row_mut(step).assign(&here);
        }
        Ok(path)
    }

    /// The next anchor; of equally good ones the nearer, of equally near ones the first in the table.
    fn next<T: Scalar>(
        &self,
        table: &ArrayRef2<T>,
        here: &ArrayRef1<T>,
        end: ArrayView1<'_, T>,
        visited: &[usize],
    ) -> Option<usize> {
        let last = *visited.last()?;
        let mut nearness: Vec<T> = table.rows().into_iter().map(|row| -distance(row, table.row(last))).collect();
        // not a neighbour of itself
        nearness[last] = T::neg_infinity();
        let near = top_k(&nearness, self.neighbours.min(table.nrows() - 1));
        let open = near.into_iter().filter(|word| !visited.contains(word) && !self.special.contains(word));
        let score = |word: usize| match self.strategy {
            AnchorStrategy::Greedy => {
                -distance(table.row(word), monotone(table.row(word), here.view(), end, self.steps).view())
            }
            AnchorStrategy::MaxCount => {
                let coordinates = table.row(word).into_iter().zip(here).zip(end);
                T::of(coordinates.filter(|((anchor, here), end)| between(**anchor, **here, **end)).count() as f64)
            }
        };
        let scored = open.map(|word| (word, score(word)));
        scored.reduce(|best, other| if other.1 > best.1 { other } else { best }).map(|(word, _)| word)
    }
}

/// Squared distance.
fn distance<T: Scalar>(a: ArrayView1<'_, T>, b: ArrayView1<'_, T>) -> T {
    a.iter().zip(b).map(|(&a, &b)| (a - b) * (a - b)).sum()
}

/// Whether `x` lies between the others, or on one of them.
fn between<T: Scalar>(x: T, here: T, end: T) -> bool {
    (here <= x && x <= end) || (end <= x && x <= here)
}

/// `anchor` with all coordinates between `here` and `end`: those that are not become `here`, moved by `1/steps` of its way.
fn monotone<T: Scalar>(
    anchor: ArrayView1<'_, T>,
    here: ArrayView1<'_, T>,
    end: ArrayView1<'_, T>,
    steps: usize,
) -> Array1<T> {
    let share = T::of(1.0 / steps as f64);
    let moved = |here: T, end: T| here - (here - end) * share;
    let inside = |anchor: T, here: T, end: T| anchor != here && between(anchor, here, end);
    let coordinates = anchor.into_iter().zip(here).zip(end);
    coordinates
        .map(|((&anchor, &here), &end)| if inside(anchor, here, end) { anchor } else { moved(here, end) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::gradient::IntegratedGradients;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use crate::math::quadrature::Rule;
    use ndarray::array;

    #[test]
    fn even_points_are_the_left_rule() {
        let mut model = Network::<f64>::new(2).linear(array![[1.0, -2.0]], None).unwrap();
        model = model.activation(Activation::Tanh).unwrap();
        let x = array![[0.5, 0.2], [1.0, -0.3]];
        let paths = Array3::from_shape_fn((2, 9, 2), |(row, step, i)| x[[row, i]] * step as f64 / 8.0);
        let left = IntegratedGradients { rule: Rule::Left, steps: 8, ..Default::default() };
        let left = left.attribute(&mut model, &x, &Logit::of(0)).unwrap();
        let mut found = |batch, multiply_by_inputs| {
            let method = DiscretizedIntegratedGradients {
                batch,
                multiply_by_inputs,
                ..DiscretizedIntegratedGradients::new(paths.clone())
            };
            method.attribute(&mut model, &x, &Logit::of(0)).unwrap()
        };
        let whole = found(Batch::Auto, false);
        assert!((&whole.values - &left.values).iter().all(|error| error.abs() < 1e-15));
        assert!((whole.delta.as_ref().unwrap() - left.delta.unwrap()).iter().all(|error| error.abs() < 1e-15));
        assert_eq!(found(Batch::Rows(1), false).values, whole.values);
        let again = found(Batch::Rows(3), true);
        assert_eq!((again.values, again.delta), (&whole.values * &x, None));
    }

    #[test]
    fn a_path_is_monotone_and_takes_each_word_once() {
        let table = Array2::from_shape_fn((40, 3), |(word, i)| {
            f64::from(u8::try_from((word * 7 + i * 13 + word * word * 3) % 17).unwrap())
        });
        for strategy in [AnchorStrategy::Greedy, AnchorStrategy::MaxCount] {
            let path =
                WordPath { steps: 8, strategy, neighbours: 10, special: Vec::new() }.between(&table, 3, 20).unwrap();
            assert_eq!((path.row(0), path.row(7)), (table.row(3), table.row(20)));
            for points in path.axis_windows(Axis(0), 2) {
                for (i, (&here, &next)) in points.row(0).iter().zip(points.row(1)).enumerate() {
                    assert!(between(here, next, table[[3, i]]), "{strategy:?} {path}");
                }
            }
        }
    }

    #[test]
    fn the_strategies_differ_as_they_say() {
        // from (8, 8) to (0, 0): word 2 is off in both coordinates by a little, word 3 in one by a lot
        let table = array![[0.0, 0.0], [8.0, 8.0], [8.5, 8.5], [20.0, 4.0]];
        let path = |strategy| {
            WordPath { steps: 4, strategy, neighbours: 50, special: Vec::new() }.between(&table, 0, 1).unwrap()
        };
        assert_eq!(path(AnchorStrategy::Greedy).row(2), array![6.0, 6.0]);
        assert_eq!(path(AnchorStrategy::MaxCount).row(2), array![6.0, 4.0]);
        // nothing is left but the straight way
        let table = array![[0.0], [8.0]];
        let path = WordPath { steps: 5, ..WordPath::default() }.between(&table, 0, 1).unwrap();
        assert_eq!(path, array![[0.0], [2.0], [4.0], [6.0], [8.0]]);
    }

    #[test]
    fn special_words_stay() {
        let table = array![[0.0, 0.0], [2.0, 1.0], [3.0, 4.0], [9.0, 9.0]];
        let paths = WordPath { steps: 3, special: alloc::vec![3], ..WordPath::default() };
        let found = paths.of_sentences(&table, 0, &[alloc::vec![2, 3], alloc::vec![3, 1]]).unwrap();
        assert_eq!(found.index_axis(Axis(0), 0).row(0), array![0.0, 0.0, 9.0, 9.0]);
        assert_eq!(found.index_axis(Axis(0), 1).row(2), array![9.0, 9.0, 2.0, 1.0]);
        let wrong = paths.of_sentences(&table, 0, &[alloc::vec![2, 3], alloc::vec![3]]);
        assert!(matches!(wrong, Err(Error::Shape { what: "words", .. })));
        assert!(matches!(paths.between(&table, 0, 4), Err(Error::OutOfRange { what: "word", index: 1, .. })));
    }

    #[test]
    fn a_path_must_end_at_the_input() {
        let mut model = Network::<f64>::new(1).linear(array![[1.0]], None).unwrap();
        let mut explain =
            |paths| DiscretizedIntegratedGradients::new(paths).attribute(&mut model, &array![[1.0]], &Logit::of(0));
        assert!(matches!(explain(array![[[0.0], [0.5]]]), Err(Failure::Input(Error::OutOfRange { .. }))));
        assert!(matches!(explain(array![[[1.0]]]), Err(Failure::Input(Error::OutOfRange { what: "steps", .. }))));
        assert!(matches!(explain(array![[[0.0, 0.0], [1.0, 1.0]]]), Err(Failure::Input(Error::Shape { .. }))));
    }
}
