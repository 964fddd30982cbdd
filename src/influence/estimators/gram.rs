//! Second moments of projected gradients: the matrices that `LoGra`, TRAK and `TrackStar` invert, from a corpus in shards.
//!
//! ```text
//! M_l = Σ_e w_e φ_le φ_leᵀ    (k_l, k_l)        mean_l = M_l / Σ_e w_e        φ_le: (k_l) of example e in layer l
//! ```
//!
//! | estimator | features `φ` of a shard | moments to an estimator | takes |
//! |---|---|---|---|
//! | LoGra | [`LoGraProjection::features`](super::LoGraProjection::features) | [`LoGra::of_moments`](super::LoGra::of_moments) | the mean |
//! | TRAK | [`Projection::gradients`](super::Projection::gradients), one matrix for all layers | [`TrakQueries::new`](super::TrakQueries::new) | the sum |
//! | TrackStar | [`TrackStar::features`](super::TrackStar::features) | [`TrackStar::whitening`](super::TrackStar::whitening) | the means of examples and of queries |
//!
//! Sums are made in double precision whatever the features are made of. They know what the gradients were projected on:
//! moments of another projection are refused, since their sum would mean nothing. Keep the moments of shards in
//! [`Shards`](crate::math::merge::Shards), which detects a shard that comes twice.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView1, Axis};

use super::gram_spec::GramSpec;
use crate::error::{check_each, check_finite, check_length, check_shape};
use crate::influence::curvature::sealed::{self, Kind, read_numbers, write_numbers};
use crate::math::gemm::product;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result, Scalar};

/// Sums of outer products of projected gradients, layer by layer.
#[derive(Debug, Clone, PartialEq)]
pub struct GramAccumulator {
    spec: GramSpec,
    examples: u64,
    weight: f64,
    /// One for each layer; none before the first call.
    sums: Vec<Array2<f64>>,
}

impl GramAccumulator {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::TooLarge`] beyond 16,384 dimensions of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, Projection};
    ///
    /// let moments = GramAccumulator::new(GramSpec::of_gradients(Projection::new(64, Seed(1))))?;
    /// assert_eq!(moments.examples(), 0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(spec: GramSpec) -> Result<Self> {
        spec.check()?;
        Ok(Self { spec, examples: 0, weight: 0.0, sums: Vec::new() })
    }

    /// Takes up examples: `features[l]: (examples, k_l)` of each layer, and weights of the examples, 1 without. Two calls
    /// give the same floats as merging two accumulators of one call each.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a negative weight and where a sum is beyond double
    /// precision; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, ProjectionId};
    /// use limpid::math::merge::Merge;
    /// use ndarray::array;
    ///
    /// // features that were made elsewhere: the caller says what they are
    /// let spec = GramSpec { projection: ProjectionId::Digest(7), checkpoint: 0, dimensions: vec![2] };
    /// let shard = |features, weights: Option<&[f64]>| -> limpid::Result<GramAccumulator> {
    ///     let mut moments = GramAccumulator::new(spec.clone())?;
    ///     moments.update(&[features], weights)?;
    ///     Ok(moments)
    /// };
    /// let mut moments = shard(array![[1.0, 2.0]], None)?;
    /// moments.merge(&shard(array![[3.0, 0.0], [1.0, 1.0]], Some(&[1.0, 2.0]))?)?;
    /// assert_eq!(moments.sum(0)?, &array![[12.0, 4.0], [4.0, 6.0]]);
    /// assert_eq!(moments.mean(0)?, array![[3.0, 1.0], [1.0, 1.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update<T: Scalar>(&mut self, features: &[Array2<T>], weights: Option<&[f64]>) -> Result<()> {
        self.update_by(features, weights, |features| outer(&features.mapv(Scalar::as_f64), weights))
    }

    /// As [`Self::update`], without a copy in double precision.
    pub(super) fn update_double(&mut self, features: &[Array2<f64>], weights: Option<&[f64]>) -> Result<()> {
        self.update_by(features, weights, |features| outer(features, weights))
    }

    fn update_by<T: Scalar>(
        &mut self,
        features: &[Array2<T>],
        weights: Option<&[f64]>,
        outer: impl Fn(&Array2<T>) -> Result<Array2<f64>>,
    ) -> Result<()> {
        check_length("layers of the features", features.len(), self.spec.dimensions.len())?;
        let n = features.first().map_or(0, Array2::nrows);
        for (features, &k) in features.iter().zip(&self.spec.dimensions) {
            check_shape("features", features, &[n, k])?;
            check_finite("features", features)?;
        }
        if let Some(weights) = weights {
            check_length("weights", weights.len(), n)?;
            check_each("weights", weights, "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        }
        let weight = weights.map_or(n as f64, |weights| weights.iter().sum());
        let parts = features.iter().map(outer).collect::<Result<Vec<_>>>()?;
        self.add(n as u64, weight, Cow::Owned(parts))
    }

    /// Which moments these are.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, Projection};
    ///
    /// let spec = GramSpec::of_gradients(Projection::new(64, Seed(1)));
    /// assert_eq!(GramAccumulator::new(spec.clone())?.spec(), &spec);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn spec(&self) -> &GramSpec {
        &self.spec
    }

    /// Examples.
    ///
    /// # Example
    /// ```
    /// # use limpid::influence::estimators::{GramAccumulator, GramSpec, ProjectionId};
    /// # let spec = GramSpec { projection: ProjectionId::Digest(7), checkpoint: 0, dimensions: vec![1] };
    /// let mut moments = GramAccumulator::new(spec)?;
    /// moments.update(&[ndarray::array![[1.0], [2.0]]], Some(&[0.5, 1.5]))?;
    /// assert_eq!(moments.examples(), 2);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Sum of the weights of the examples, their number where none had a weight.
    ///
    /// # Example
    /// ```
    /// # use limpid::influence::estimators::{GramAccumulator, GramSpec, ProjectionId};
    /// # let spec = GramSpec { projection: ProjectionId::Digest(7), checkpoint: 0, dimensions: vec![1] };
    /// let mut moments = GramAccumulator::new(spec)?;
    /// moments.update(&[ndarray::array![[1.0], [2.0]]], Some(&[0.5, 1.5]))?;
    /// assert_eq!(moments.weight(), 2.0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// `Σ_e w_e φ_e φ_eᵀ: (k, k)` of a layer.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first call of [`Self::update`], [`Error::OutOfRange`] for a layer that does not exist.
    ///
    /// # Example
    /// ```
    /// # use limpid::influence::estimators::{GramAccumulator, GramSpec, ProjectionId};
    /// # let spec = GramSpec { projection: ProjectionId::Digest(7), checkpoint: 0, dimensions: vec![1] };
    /// let mut moments = GramAccumulator::new(spec)?;
    /// moments.update(&[ndarray::array![[1.0], [2.0]]], Some(&[0.5, 1.5]))?;
    /// assert_eq!(moments.sum(0)?[[0, 0]], 6.5);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn sum(&self, layer: usize) -> Result<&Array2<f64>> {
        if layer < self.spec.dimensions.len() {
            return self.sums.get(layer).ok_or(Error::Empty { what: "examples of the moments" });
        }
        Err(Error::OutOfRange { what: "layer", index: 0, value: layer as f64, expected: "a layer of the moments" })
    }

    /// The same by the weight of the examples.
    ///
    /// # Errors
    /// As [`Self::sum`], and [`Error::Empty`] before the first example of a weight above 0.
    ///
    /// # Example
    /// ```
    /// # use limpid::influence::estimators::{GramAccumulator, GramSpec, ProjectionId};
    /// # let spec = GramSpec { projection: ProjectionId::Digest(7), checkpoint: 0, dimensions: vec![1] };
    /// let mut moments = GramAccumulator::new(spec)?;
    /// moments.update(&[ndarray::array![[1.0], [2.0]]], Some(&[0.5, 1.5]))?;
    /// assert_eq!(moments.mean(0)?[[0, 0]], 3.25);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn mean(&self, layer: usize) -> Result<Array2<f64>> {
        let sum = self.sum(layer)?;
        if self.weight <= 0.0 {
            return Err(Error::Empty { what: "examples of positive weight" });
        }
        Ok(sum.mapv(|x| x / self.weight))
    }

    /// The means of all layers.
    pub(super) fn means(&self) -> Result<Vec<Array2<f64>>> {
        (0..self.spec.dimensions.len()).map(|layer| self.mean(layer)).collect()
    }

    /// The sums of all layers; none before the first call of [`Self::update`].
    pub(super) fn into_sums(self) -> Vec<Array2<f64>> {
        self.sums
    }

    fn add(&mut self, examples: u64, weight: f64, parts: Cow<'_, [Array2<f64>]>) -> Result<()> {
        let full = Error::Unsupported { what: "more than 2^64 examples" };
        let examples = self.examples.checked_add(examples).ok_or(full)?;
        let weight = self.weight + weight;
        let fits = if self.sums.is_empty() {
            parts.iter().flatten().all(|x| x.is_finite())
        } else {
            self.sums.iter().flatten().zip(parts.iter().flatten()).all(|(sum, x)| (sum + x).is_finite())
        };
        if !(fits && weight.is_finite()) {
            let expected = "features whose squares have a finite sum";
            return Err(Error::OutOfRange { what: "features", index: 0, value: f64::INFINITY, expected });
        }
        (self.examples, self.weight) = (examples, weight);
        if self.sums.is_empty() {
            self.sums = parts.into_owned();
        } else {
            self.sums.iter_mut().zip(parts.iter()).for_each(|(sum, part)| *sum += part);
        }
        Ok(())
    }
}

impl Merge for GramAccumulator {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.spec.check_same(&other.spec)?;
        self.add(other.examples, other.weight, Cow::Borrowed(&other.sums))
    }
}

impl Bytes for GramAccumulator {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::Gram, out, |out| {
            self.spec.write(out);
            out.extend(self.examples.to_le_bytes());
            out.extend(self.weight.to_le_bytes());
            out.extend((self.sums.len() as u64).to_le_bytes());
            self.sums.iter().for_each(|sum| write_sum(sum, out));
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::Gram, input, |input| {
            let spec = GramSpec::read(input)?;
            let error = input.error("a number of examples and a weight that is not negative");
            let (examples, weight) = (input.u64("a number of examples")?, input.f64("a weight")?);
            let layers = input.count(8, "a number of sums")?;
            let empty = layers == 0 && examples == 0 && weight.to_bits() == 0;
            if !(weight >= 0.0 && weight.is_finite() && (empty || layers == spec.dimensions.len())) {
                return Err(error);
            }
            let sizes = spec.dimensions.iter().take(layers);
            let sums = sizes.map(|&k| read_sum(input, k)).collect::<Result<_>>()?;
            Ok(Self { spec, examples, weight, sums })
        })
    }
}

/// `Σ_e w_e φ_e φ_eᵀ` of `features: (n, k)`.
fn outer(features: &Array2<f64>, weights: Option<&[f64]>) -> Result<Array2<f64>> {
    let Some(weights) = weights else { return product(&features.t(), features) };
    let weights = ArrayView1::from(weights).insert_axis(Axis(1));
    product(&(features * &weights).t(), features)
}

/// `w_e / Σ_e w_e`: as weights of [`GramAccumulator::update`] they make its sums means.
pub(super) fn shares(weights: &[f64]) -> Result<Vec<f64>> {
    let total: f64 = weights.iter().sum();
    check_each("sum of the weights", &[total], "> 0", |x: f64| x > 0.0)?;
    Ok(weights.iter().map(|weight| weight / total).collect())
}

/// Mean of the diagonal.
pub(super) fn mean_eigenvalue(gram: &Array2<f64>) -> f64 {
    gram.diag().sum() / gram.nrows().max(1) as f64
}

/// Rounding makes sums with weights a little asymmetric; all others are written as their lower triangle.
fn is_symmetric(sum: &Array2<f64>) -> bool {
    sum.indexed_iter().all(|((row, column), x)| column >= row || *x == sum[[column, row]])
}

fn triangle(k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..k).flat_map(|row| (0..=row).map(move |column| (row, column)))
}

fn write_sum(sum: &Array2<f64>, out: &mut Vec<u8>) {
    let symmetric = is_symmetric(sum);
    out.extend(u64::from(!symmetric).to_le_bytes());
    let numbers: Vec<f64> =
        if symmetric { triangle(sum.nrows()).map(|place| sum[place]).collect() } else { sum.iter().copied().collect() };
    write_numbers(&numbers, out);
}

fn read_sum(input: &mut Reader<'_>, k: usize) -> Result<Array2<f64>> {
    let error = input.error("a sum of outer products");
    let sum = match input.u64("a form of the sum")? {
        0 => {
            let numbers = read_numbers(input, Some(k * (k + 1) / 2))?;
            let mut sum = Array2::zeros((k, k));
            triangle(k).zip(numbers).for_each(|((i, j), x)| (sum[[i, j]], sum[[j, i]]) = (x, x));
            sum
        }
        1 => {
            let numbers = read_numbers(input, Some(k * k))?;
            Array2::from_shape_vec((k, k), numbers).ok().filter(|sum| !is_symmetric(sum)).ok_or(error)?
        }
        _ => return Err(error),
    };
    if sum.diag().iter().all(|x| *x >= 0.0) { Ok(sum) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::{Entries, Projection, ProjectionId};
    use crate::influence::testing::noise;
    use crate::math::gemm::DEPTH;
    use crate::math::merge::Shards;
    use ndarray::{Slice, array};

    fn spec(dimensions: &[usize]) -> GramSpec {
        GramSpec { dimensions: dimensions.to_vec(), ..GramSpec::of_gradients(Projection::new(3, Seed(4))) }
    }

    fn moments(spec: &GramSpec, features: &[Array2<f64>], weights: Option<&[f64]>) -> GramAccumulator {
        let mut moments = GramAccumulator::new(spec.clone()).unwrap();
        moments.update(features, weights).unwrap();
        moments
    }

    fn part(features: &[Array2<f64>], from: usize, to: usize) -> Vec<Array2<f64>> {
        features.iter().map(|x| x.slice_axis(Axis(0), Slice::from(from..to)).to_owned()).collect()
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        let (features, spec) = ([noise(7, 3, 0), noise(7, 2, 1)], spec(&[3, 2]));
        let weights = [1.0, 0.0, 2.5, 0.3, 1.0, 4.0, 0.1];
        let found = moments(&spec, &features, Some(&weights));
        for (layer, features) in features.iter().enumerate() {
            let naive = Array2::from_shape_fn((features.ncols(), features.ncols()), |(i, j)| {
                (0..7).map(|e| weights[e] * features[[e, i]] * features[[e, j]]).sum::<f64>()
            });
            assert!((found.sum(layer).unwrap() - &naive).iter().all(|e| e.abs() < 1e-13));
            assert!((found.mean(layer).unwrap() * found.weight() - naive).iter().all(|e| e.abs() < 1e-13));
        }
        let single: Vec<Array2<f32>> = features.iter().map(|x| x.mapv(f32::of)).collect();
        let mut other = GramAccumulator::new(spec).unwrap();
        other.update(&single, Some(&weights)).unwrap();
        assert!((other.sum(1).unwrap() - found.sum(1).unwrap()).iter().all(|e| e.abs() < 1e-5));
    }

    #[test]
    fn two_calls_are_two_merged_accumulators_and_close_to_one_pass() {
        let features = [noise(40, 5, 0), noise(40, 1, 1)];
        let (spec, weights) = (spec(&[5, 1]), noise(1, 40, 2).mapv(f64::abs).into_raw_vec_and_offset().0);
        for weights in [None, Some(&weights[..])] {
            let [first, second] = [(0, 13), (13, 40)]
                .map(|(from, to)| moments(&spec, &part(&features, from, to), weights.map(|w| &w[from..to])));
            let mut calls = first.clone();
            calls.update(&part(&features, 13, 40), weights.map(|w| &w[13..])).unwrap();
            let mut merged = first.clone();
            merged.merge(&second).unwrap();
            assert_eq!(calls, merged);
            let all = moments(&spec, &features, weights);
            assert_eq!((all.examples(), all.weight().round()), (merged.examples(), merged.weight().round()));
            let close = |layer| (all.sum(layer).unwrap() - merged.sum(layer).unwrap()).iter().all(|e| e.abs() < 1e-12);
            assert!(close(0) && close(1));
            let mut from_nothing = GramAccumulator::new(spec.clone()).unwrap();
            from_nothing.merge(&first).unwrap();
            first.clone().merge(&GramAccumulator::new(spec.clone()).unwrap()).unwrap();
            assert_eq!(from_nothing, first);
        }
    }

    #[test]
    fn shards_of_whole_blocks_merge_to_the_bits_of_one_pass() {
        let (features, spec) = ([noise(3 * DEPTH - 100, 2, 0)], spec(&[2]));
        let mut merged = GramAccumulator::new(spec.clone()).unwrap();
        for from in [0, DEPTH, 2 * DEPTH] {
            let to = (from + DEPTH).min(features[0].nrows());
            merged.merge(&moments(&spec, &part(&features, from, to), None)).unwrap();
        }
        assert_eq!(merged, moments(&spec, &features, None));
    }

    #[test]
    fn a_shard_that_comes_twice_is_detected() {
        let (features, spec) = ([noise(4, 2, 0)], spec(&[2]));
        let mut seen = Shards::default();
        seen.insert(3, moments(&spec, &features, None)).unwrap();
        assert_eq!(seen.insert(3, moments(&spec, &features, None)), Err(Error::DuplicateShard { shard: 3 }));
        assert_eq!(Shards::from_bytes(&seen.to_bytes()).as_ref(), Ok(&seen));
    }

    #[test]
    fn moments_of_something_else_are_refused() {
        let ours = spec(&[2]);
        let mut found = moments(&ours, &[noise(4, 2, 0)], None);
        let before = found.clone();
        let projection = Projection::new(3, Seed(4));
        let others = [
            GramSpec { projection: ProjectionId::Whole(Projection::new(3, Seed(5))), ..ours.clone() },
            GramSpec { projection: ProjectionId::BothSides(projection), ..ours.clone() },
            GramSpec {
                projection: ProjectionId::Whole(Projection { entries: Entries::Normal, ..projection }),
                ..ours.clone()
            },
            GramSpec { projection: ProjectionId::Digest(4), ..ours.clone() },
            GramSpec { checkpoint: 1, ..ours.clone() },
        ];
        for other in others {
            let refused = found.merge(&GramAccumulator::new(other).unwrap());
            assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        }
        for dimensions in [&[3][..], &[2, 2]] {
            let other = GramAccumulator::new(spec(dimensions)).unwrap();
            assert!(matches!(found.merge(&other), Err(Error::Shape { .. })));
        }
        assert_eq!(found, before);
    }

    #[test]
    fn bad_input_is_named_and_changes_nothing() {
        let mut found = moments(&spec(&[2]), &[array![[1e150, 0.0]]], None);
        let before = found.clone();
        assert!(matches!(found.update(&[noise(3, 1, 0)], None), Err(Error::Shape { .. })));
        assert!(matches!(found.update(&[noise(3, 2, 0), noise(3, 2, 0)], None), Err(Error::Shape { .. })));
        assert!(matches!(found.update(&[noise(3, 2, 0)], Some(&[1.0])), Err(Error::Shape { .. })));
        assert!(matches!(found.update(&[array![[0.0, f64::NAN]]], None), Err(Error::NotFinite { index: 1, .. })));
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(found.update(&[noise(1, 2, 0)], Some(&[weight])), Err(Error::OutOfRange { .. })));
        }
        assert!(matches!(found.update(&[array![[1e200, 0.0]]], None), Err(Error::OutOfRange { .. })));
        let large = moments(&spec(&[2]), &[array![[1.3e154, 0.0]]], None);
        let mut twice = large.clone();
        assert!(matches!(twice.merge(&large), Err(Error::OutOfRange { .. })) && twice == large);
        assert_eq!(found, before);
        assert!(matches!(GramAccumulator::new(spec(&[])), Err(Error::Empty { .. })));
        assert!(matches!(GramAccumulator::new(spec(&[usize::MAX])), Err(Error::TooLarge { .. })));
        assert!(matches!(found.sum(1), Err(Error::OutOfRange { .. })));
        assert!(matches!(GramAccumulator::new(spec(&[2])).unwrap().sum(0), Err(Error::Empty { .. })));
        assert!(matches!(moments(&spec(&[2]), &[noise(0, 2, 0)], None).mean(0), Err(Error::Empty { .. })));
    }

    #[test]
    fn bytes_come_back_and_bad_ones_are_refused() {
        let features = [noise(9, 3, 0), noise(9, 1, 1)];
        let weights: Vec<f64> = (0..9).map(|e| 0.1 * f64::from(e)).collect();
        let normal = Projection { entries: Entries::Normal, ..Projection::new(3, Seed(u64::MAX)) };
        let ids = [ProjectionId::Digest(9), ProjectionId::BothSides(normal), ProjectionId::Whole(normal)];
        for (projection, weights) in ids.into_iter().zip([None, Some(&weights[..]), Some(&[1.0; 9][..])]) {
            let spec = GramSpec { projection, checkpoint: 7, dimensions: vec![3, 1] };
            let found = moments(&spec, &features, weights);
            let bytes = found.to_bytes();
            assert_eq!(GramAccumulator::from_bytes(&bytes).as_ref(), Ok(&found));
            let empty = GramAccumulator::new(spec).unwrap();
            assert_eq!(GramAccumulator::from_bytes(&empty.to_bytes()), Ok(empty));
            for end in 0..bytes.len() {
                assert!(matches!(GramAccumulator::from_bytes(&bytes[..end]), Err(Error::Parse { .. })), "{end}");
            }
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                assert!(matches!(GramAccumulator::from_bytes(&other), Err(Error::Parse { .. })), "{at}");
            }
        }
    }

    /// Bytes of a body in its frame.
    fn framed(kind: Kind, words: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        sealed::write(kind, &mut out, |out| words.iter().for_each(|word| out.extend(word.to_le_bytes())));
        out
    }

    #[test]
    fn bodies_that_hold_something_else_are_refused() {
        let half = 0.5_f64.to_bits();
        let sum = |form: u64, numbers: &[u64]| {
            let head = [2, 9, 0, 1, 2, 4, half, 1, form, numbers.len() as u64];
            GramAccumulator::from_bytes(&framed(Kind::Gram, &[&head, numbers].concat()))
        };
        assert_eq!(sum(0, &[half, 0, half]).unwrap().sum(0).unwrap(), array![[0.5, 0.0], [0.0, 0.5]]);
        assert!(sum(1, &[half, 0, half, half]).is_ok());
        // another form, a square that is a triangle, too few numbers, a negative square, no number
        let bad = [sum(2, &[half, 0, half]), sum(1, &[half, 0, 0, half]), sum(1, &[half, 0, half])];
        assert!(bad.iter().all(|read| matches!(read, Err(Error::Parse { .. }))));
        let bad = [sum(0, &[(-0.5_f64).to_bits(), 0, half]), sum(0, &[f64::NAN.to_bits(), 0, half])];
        assert!(bad.iter().all(|read| matches!(read, Err(Error::Parse { .. }))));
        // another kind of projection or entries, no layers, sums of no examples, too many layers, a wide one
        let bodies: [&[u64]; 7] = [
            &[3, 9, 0, 1, 2, 0, 0, 0],
            &[0, 9, 2, 3, 0, 1, 2, 0, 0, 0],
            &[2, 9, 0, 0, 0, 0, 0],
            &[2, 9, 0, 1, 2, 4, half, 0],
            &[2, 9, 0, u64::MAX, 2, 0, 0, 0],
            &[2, 9, 0, 1, 1 << 40, 0, 0, 0],
            &[2, 9, 0, 1, 2, 4, (-0.5_f64).to_bits(), 1],
        ];
        for words in bodies {
            let read = GramAccumulator::from_bytes(&framed(Kind::Gram, words));
            assert!(matches!(read, Err(Error::Parse { .. })), "{words:?}");
        }
        let foreign = framed(Kind::Basis, &[2, 9, 0, 1, 2, 0, 0, 0]);
        assert!(matches!(GramAccumulator::from_bytes(&foreign), Err(Error::Parse { .. })));
        let mut future = framed(Kind::Gram, &[2, 9, 0, 1, 2, 0, 0, 0]);
        assert!(GramAccumulator::from_bytes(&future).is_ok());
        future[8] = 2;
        let what = "version 1; later versions need a later release";
        assert_eq!(GramAccumulator::from_bytes(&future), Err(Error::Parse { what, offset: 8 }));
    }
}
