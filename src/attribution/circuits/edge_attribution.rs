//! Edge attribution patching: the first-order effect of corrupting one edge, from the output of a node `u` to the input of a
//! node `v`.
//!
//! ```text
//! score(u -> v) = 1/b Σ_examples Σ_positions ⟨a_u corrupted - a_u clean, ∂m/∂(input of v)⟩
//!               ≈ m(edge corrupted) - m(clean)
//! ```
//!
//! The differences of activations of a batch are kept once; each gradient is used up as the backward pass brings it, for all
//! nodes that come before its destination, so gradients are never stored. Scores are summed in double precision. Where the
//! gradients are taken, and with which weights, makes the variants: see [`EdgeGradients`](super::EdgeGradients).
//!
//! Source: Syed, Rager and Conmy, "Attribution Patching Outperforms Automated Circuit Discovery" (arXiv 2310.10348).

use alloc::vec;
use alloc::vec::Vec;
use ndarray::{Array1, Array2, Array3, ArrayRef3, ArrayView1, Axis};

use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::math::par;
use crate::math::reduce::dot;
use crate::{Dims, Error, Result, Scalar};

/// Largest number of pairs of sources and destinations.
pub const MAX_EDGES: usize = 1 << 28;

/// An edge of a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Edge {
    /// The node whose output it reads.
    pub from: usize,
    /// The node whose input it feeds.
    pub to: usize,
    /// Its score.
    pub score: f64,
}

/// Scores of edges over any number of batches.
///
/// Sources are numbered in the order in which the model computes them, so what comes before a destination is a number: the
/// first so many. Two accumulators over different batches [`merge`](Merge::merge).
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeAttribution {
    upstream: Vec<usize>,
    /// Sums over examples, `(sources, destinations)`.
    sums: Array2<f64>,
    examples: u64,
}

impl EdgeAttribution {
    /// No batch yet; `upstream[v]` is the number of sources that come before destination `v`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a destination with more sources than there are, [`Error::TooLarge`] above [`MAX_EDGES`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::{EdgeAttribution, SourceDifferences};
    /// use ndarray::array;
    ///
    /// // the embedding and one head; the head reads the first, the logits read both
    /// let mut scores = EdgeAttribution::new(2, &[1, 2])?;
    /// let mut differences = SourceDifferences::new();
    /// differences.push(&array![[[1.0, 1.0]]], &array![[[2.0, 1.0]]])?;
    /// differences.push(&array![[[0.0, 3.0]]], &array![[[0.0, 1.0]]])?;
    /// let mut batch = scores.batch(differences)?;
    /// batch.add_gradient(1, &array![[[0.5, 1.0]]], 1.0)?;
    /// batch.add_gradient(0, &array![[[2.0, 0.0]]], 1.0)?;
    /// assert_eq!(scores.scores().unwrap(), array![[2.0, 0.5], [0.0, -2.0]]);
    /// assert_eq!(scores.score(1, 0), None);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(sources: usize, upstream: &[usize]) -> Result<Self> {
        check_limit("edges", sources.saturating_mul(upstream.len()), MAX_EDGES)?;
        let counts: Vec<f64> = upstream.iter().map(|&count| count as f64).collect();
        check_each("upstream", &counts, "at most the number of sources", |count| count <= sources as f64)?;
        Ok(Self { upstream: upstream.to_vec(), sums: Array2::zeros((sources, upstream.len())), examples: 0 })
    }

    /// Begins a batch, whose examples count from here on; `differences` must hold all sources.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of sources, [`Error::Unsupported`] past 2⁶⁴ examples.
    pub fn batch<T: Scalar>(&mut self, differences: SourceDifferences<T>) -> Result<EdgeBatch<'_, T>> {
        let (expected, got) = (Dims::new(&[self.sums.nrows()]), Dims::new(&[differences.sources.len()]));
        if expected != got {
            return Err(Error::Shape { what: "differences", expected, got });
        }
        let examples = self.examples.checked_add(differences.shape.map_or(0, |shape| shape[0] as u64));
        self.examples = examples.ok_or(Error::Unsupported { what: "more than 2^64 examples" })?;
        Ok(EdgeBatch { scores: self, differences })
    }

    /// Examples seen so far.
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Mean score of an edge; `None` where the source does not come before the destination, or before the first example.
    #[must_use]
    pub fn score(&self, source: usize, destination: usize) -> Option<f64> {
        let is_edge = self.upstream.get(destination).is_some_and(|&upstream| source < upstream);
        (is_edge && self.examples > 0).then(|| self.sums[[source, destination]] / self.examples as f64)
    }

    /// Mean scores `(sources, destinations)`, 0 where there is no edge; `None` before the first example.
    #[must_use]
    pub fn scores(&self) -> Option<Array2<f64>> {
        (self.examples > 0).then(|| self.sums.mapv(|sum| sum / self.examples as f64))
    }

    /// All edges with their mean scores, for [`Pruning`](super::Pruning): by destination, then by source.
    ///
    /// `node[v]` is the node that destination `v` is an input of: the keys, queries and values of a head are three
    /// destinations of one node. Sources are nodes by their own number. `None` before the first example.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `node` has an entry for every destination.
    pub fn edges(&self, node: &[usize]) -> Result<Option<Vec<Edge>>> {
        if node.len() != self.upstream.len() {
            let (expected, got) = (Dims::new(&[self.upstream.len()]), Dims::new(&[node.len()]));
            return Err(Error::Shape { what: "node", expected, got });
        }
        let into = |(destination, &to): (usize, &usize)| {
            let edge = move |from| Some(Edge { from, to, score: self.score(from, destination)? });
            (0..self.upstream[destination]).map(edge)
        };
        Ok(if self.examples == 0 { None } else { node.iter().enumerate().flat_map(into).collect() })
    }
}

/// What corrupting the input changes in the output of every source, for one batch.
#[derive(Debug, Clone)]
pub struct SourceDifferences<T> {
    /// `(b, t d)` for every source.
    sources: Vec<Array2<T>>,
    /// `[b, t, d]`, once there is a source.
    shape: Option<[usize; 3]>,
}

impl<T: Scalar> Default for SourceDifferences<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> SourceDifferences<T> {
    /// No sources yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { sources: Vec::new(), shape: None }
    }

    /// Adds the next source, in the order in which the model computes them; `clean`, `corrupted`: `(b, t, d)`, the latter
    /// of the corrupted input, or a mean or 0 to ablate instead.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`], [`Error::NotFinite`].
    pub fn push(&mut self, clean: &ArrayRef3<T>, corrupted: &ArrayRef3<T>) -> Result<()> {
        let (b, t, d) = clean.dim();
        let shape = self.shape.unwrap_or([b, t, d]);
        check_not_empty("clean", clean)?;
        check_shape("clean", clean, &shape)?;
        check_shape("corrupted", corrupted, &shape)?;
        check_finite("clean", clean)?;
        check_finite("corrupted", corrupted)?;
        let difference = corrupted - clean;
        check_finite("difference", &difference)?;
        self.sources.push(by_example(difference));
        self.shape = Some(shape);
        Ok(())
    }
}

/// `(b, t, d)` as `(b, t d)`, row-major.
fn by_example<T: Scalar>(x: Array3<T>) -> Array2<T> {
    let (b, t, d) = x.dim();
    Array2::from_shape_vec((b, t * d), x.as_standard_layout().iter().copied().collect()).unwrap_or_default()
}

/// A batch whose gradients are being added.
#[derive(Debug)]
pub struct EdgeBatch<'a, T> {
    scores: &'a mut EdgeAttribution,
    differences: SourceDifferences<T>,
}

impl<T: Scalar> EdgeBatch<'_, T> {
    /// Adds `weight` times the gradient `(b, t, d)` of the examples' metrics, summed, by the input of a destination.
    ///
    /// The weights of the passes of one batch sum to 1: [`EdgeGradients::passes`](super::EdgeGradients::passes).
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], also for a score that overflows, [`Error::OutOfRange`] for a destination that
    /// does not exist or a weight that is not a number. Nothing is changed then.
    pub fn add_gradient(&mut self, destination: usize, gradient: &ArrayRef3<T>, weight: f64) -> Result<()> {
        let destinations = self.scores.upstream.len() as f64;
        check_each("destination", &[destination as f64], "a destination that exists", |v: f64| v < destinations)?;
        check_each("weight", &[weight], "a finite number", f64::is_finite)?;
        let Some(shape) = self.differences.shape else { return Ok(()) };
        check_shape("gradient", gradient, &shape)?;
        check_finite("gradient", gradient)?;
        let gradient = by_example(gradient.to_owned());
        let before = self.scores.upstream[destination];
        let mut sums = vec![0.0; before];
        let differences = &self.differences.sources;
        par::for_each_mut(&mut sums, |source, sum| {
            let examples = differences[source].rows().into_iter().zip(gradient.rows());
            *sum = weight * examples.map(|(difference, gradient)| inner(difference, gradient)).sum::<f64>();
        });
        let mut column = self.scores.sums.index_axis_mut(Axis(1), destination);
        let totals: Array1<f64> = column.iter().zip(sums).map(|(total, sum)| total + sum).collect();
        check_finite("score", &totals)?;
        column.iter_mut().zip(totals).for_each(|(old, new)| *old = new);
        Ok(())
    }
}

/// Dot product of one example.
fn inner<T: Scalar>(difference: ArrayView1<'_, T>, gradient: ArrayView1<'_, T>) -> f64 {
    // both rows have the same length
    dot(&difference, &gradient).map_or(f64::NAN, Scalar::as_f64)
}

impl Merge for EdgeAttribution {
    fn merge(&mut self, other: &Self) -> Result<()> {
        check_shape("other", &other.sums, self.sums.shape())?;
        if self.upstream != other.upstream {
            return Err(Error::Unsupported { what: "merging scores of different graphs" });
        }
        let examples = self.examples.checked_add(other.examples);
        let examples = examples.ok_or(Error::Unsupported { what: "more than 2^64 examples" })?;
        let sums = &self.sums + &other.sums;
        check_finite("score", &sums)?;
        (self.sums, self.examples) = (sums, examples);
        Ok(())
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limpeap1";

impl Bytes for EdgeAttribution {
    fn write(&self, out: &mut Vec<u8>) {
        let sizes = [self.examples, self.sums.nrows() as u64, self.upstream.len() as u64];
        out.extend(MAGIC);
        out.extend(
            sizes
                .iter()
                .chain(&self.upstream.iter().map(|&count| count as u64).collect::<Vec<_>>())
                .flat_map(|size| size.to_le_bytes()),
        );
        out.extend(self.sums.iter().flat_map(|sum| sum.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("edge scores");
        if input.take(MAGIC.len(), "edge scores")? != MAGIC {
            return Err(error);
        }
        let examples = input.u64("a number of examples")?;
        let (error, sources) = (input.error("a number of sources"), input.u64("a number of sources")?);
        let sources = usize::try_from(sources).ok().filter(|&sources| sources <= MAX_EDGES).ok_or(error)?;
        let destinations = input.count(8, "a number of destinations")?;
        let error = input.error("numbers of sources before each destination");
        let count = |count: u64| usize::try_from(count).map_err(|_| error);
        let upstream =
            (0..destinations).map(|_| count(input.u64("a number of sources")?)).collect::<Result<Vec<_>>>()?;
        let error = input.error("a sum for every edge");
        if sources.saturating_mul(destinations) > input.left() / 8 {
            return Err(error);
        }
        let mut read = Self::new(sources, &upstream).map_err(|_| error)?;
        for ((source, destination), sum) in read.sums.indexed_iter_mut() {
            let error = input.error("a finite sum, 0 without an edge or an example");
            *sum = input.f64("a sum")?;
            let may_differ = examples > 0 && source < upstream[destination];
            if !sum.is_finite() || *sum != 0.0 && !may_differ {
                return Err(error);
            }
        }
        Ok(Self { examples, ..read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seed, math::random::fill_normal};
    use ndarray::array;

    fn noise(seed: u64) -> Array3<f64> {
        let mut x = Array3::zeros((2, 3, 4));
        fill_normal(&mut Seed(seed).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
        x
    }

    const UPSTREAM: [usize; 4] = [1, 1, 2, 3];

    fn scored(seed: u64) -> EdgeAttribution {
        let mut scores = EdgeAttribution::new(3, &UPSTREAM).unwrap();
        let mut differences = SourceDifferences::new();
        (0..3).for_each(|u| differences.push(&noise(seed + u), &noise(seed + 10 + u)).unwrap());
        let mut batch = scores.batch(differences).unwrap();
        (0..4).rev().for_each(|v| batch.add_gradient(v, &noise(seed + 20 + v as u64), 1.0).unwrap());
        scores
    }

    #[test]
    fn streaming_equals_the_sum_over_everything() {
        let scores = scored(1);
        for (v, upstream) in UPSTREAM.into_iter().enumerate() {
            for u in 0..3 {
                let difference = noise(11 + u) - noise(1 + u);
                let naive = (difference * noise(21 + v as u64)).sum() / 2.0;
                let u = usize::try_from(u).unwrap();
                let score = scores.score(u, v);
                assert!(if u < upstream { (score.unwrap() - naive).abs() < 1e-13 } else { score.is_none() });
            }
        }
        let edges = scores.edges(&[1, 1, 2, 3]).unwrap().unwrap();
        assert_eq!(
            edges.iter().map(|edge| (edge.from, edge.to)).collect::<Vec<_>>(),
            [(0, 1), (0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
        );
        assert_eq!(Some(edges[6].score), scores.score(2, 3));
    }

    #[test]
    fn batches_merge_and_bytes_come_back() {
        let mut one = scored(1);
        one.merge(&scored(50)).unwrap();
        assert_eq!(one.examples(), 4);
        let mean = (scored(1).score(0, 2).unwrap() + scored(50).score(0, 2).unwrap()) / 2.0;
        assert!((one.score(0, 2).unwrap() - mean).abs() < 1e-15);
        let bytes = one.to_bytes();
        assert_eq!(EdgeAttribution::from_bytes(&bytes).unwrap(), one);
        assert!((0..bytes.len()).all(|end| EdgeAttribution::from_bytes(&bytes[..end]).is_err()));
        let other = EdgeAttribution::new(3, &[1, 1, 2, 2]).unwrap();
        assert!(matches!(one.merge(&other), Err(Error::Unsupported { .. })));
        assert!(matches!(one.merge(&EdgeAttribution::new(1, &[1]).unwrap()), Err(Error::Shape { .. })));
    }

    #[test]
    fn bytes_that_promise_too_much_are_refused() {
        let mut bytes = scored(1).to_bytes();
        bytes[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(EdgeAttribution::from_bytes(&bytes).is_err());
        let mut bytes = scored(1).to_bytes();
        bytes[32] = 9; // more sources before a destination than there are
        assert!(EdgeAttribution::from_bytes(&bytes).is_err());
        let mut bytes = scored(1).to_bytes();
        let last = bytes.len() - 8 * 4 * 2; // row of source 1, where destination 0 has no edge
        bytes[last..last + 8].copy_from_slice(&1.0_f64.to_le_bytes());
        assert!(EdgeAttribution::from_bytes(&bytes).is_err());
    }

    #[test]
    fn weights_and_batches_without_an_example() {
        let mut scores = EdgeAttribution::new(1, &[1]).unwrap();
        assert_eq!((scores.scores(), scores.edges(&[0]).unwrap(), scores.score(0, 0)), (None, None, None));
        let mut differences = SourceDifferences::<f32>::default();
        differences.push(&array![[[0.0]]], &array![[[2.0]]]).unwrap();
        let mut batch = scores.batch(differences).unwrap();
        batch.add_gradient(0, &array![[[4.0]]], 0.25).unwrap();
        batch.add_gradient(0, &array![[[8.0]]], 0.75).unwrap();
        assert_eq!(scores.score(0, 0), Some(14.0));
    }

    #[test]
    fn bad_input_is_named_and_changes_nothing() {
        assert!(matches!(EdgeAttribution::new(2, &[3]), Err(Error::OutOfRange { what: "upstream", .. })));
        assert!(matches!(EdgeAttribution::new(usize::MAX, &[1]), Err(Error::TooLarge { what: "edges", .. })));
        let mut scores = EdgeAttribution::new(1, &[1]).unwrap();
        let (x, huge) = (array![[[1.0_f32]]], array![[[f32::MAX]]]);
        assert!(matches!(scores.batch(SourceDifferences::<f32>::new()), Err(Error::Shape { what: "differences", .. })));
        let mut differences = SourceDifferences::new();
        assert!(matches!(differences.push(&-&huge, &huge), Err(Error::NotFinite { what: "difference", .. })));
        differences.push(&x, &huge).unwrap();
        assert!(matches!(differences.push(&Array3::zeros((1, 2, 1)), &x), Err(Error::Shape { what: "clean", .. })));
        let mut batch = scores.batch(differences).unwrap();
        assert!(matches!(batch.add_gradient(0, &huge, 1.0), Err(Error::NotFinite { what: "score", .. })));
        assert!(matches!(batch.add_gradient(1, &x, 1.0), Err(Error::OutOfRange { what: "destination", .. })));
        assert!(matches!(batch.add_gradient(0, &x, f64::NAN), Err(Error::OutOfRange { what: "weight", .. })));
        assert!(matches!(batch.add_gradient(0, &Array3::zeros((1, 1, 2)), 1.0), Err(Error::Shape { .. })));
        assert_eq!(scores.score(0, 0), Some(0.0));
    }
}
