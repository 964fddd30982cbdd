//! Second moments of projected gradients: the matrices that `LoGra`, TRAK and `TrackStar` invert, from a corpus in shards.
//!
//! ```text
//! M_l = Σ_e w_e φ_le φ_leᵀ    (k_l, k_l)        mean_l = M_l / Σ_e w_e        φ_le: (k_l) of example e in layer l
//! ```
//!
//! | estimator | features `φ` of a shard | moments to an estimator | takes |
//! |---|---|---|---|
//! | LoGra | [`LoGraProjection::features`](super::LoGraProjection::features) | [`LoGra::of_moments`](super::LoGra::of_moments) | the mean |
//! | TRAK | [`Projection::gradients`], one matrix for all layers | [`TrakQueries::new`](super::TrakQueries::new) | the sum |
//! | TrackStar | [`TrackStar::features`](super::TrackStar::features) | [`TrackStar::whitening`](super::TrackStar::whitening) | the means of examples and of queries |
//!
//! Sums are made in double precision whatever the features are made of. They know what the gradients were projected on:
//! moments of another projection are refused, since their sum would mean nothing. Keep the moments of shards in
//! [`Shards`](crate::math::merge::Shards), which detects a shard that comes twice.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView1, Axis};

use super::projection::{Entries, Projection};
use crate::error::{check_each, check_finite, check_length, check_limit, check_shape};
use crate::influence::curvature::sealed::{self, Kind, read_numbers, write_numbers};
use crate::math::crc32::crc32;
use crate::math::gemm::product;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result, Scalar, Seed};

/// Most dimensions of a layer: what inverts the matrix takes the third power of it.
const MAX_DIMENSIONS: usize = 1 << 14;

/// What gradients were projected on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ProjectionId {
    /// Whole gradients of all layers on random directions.
    Whole(Projection),
    /// Gradients of each layer from both sides on random directions.
    BothSides(Projection),
    /// Anything else: a digest of all that the features depend on, or a number of the caller's for features of its own.
    Digest(u64),
}

/// Which moments: only equal ones are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GramSpec {
    /// What the gradients were projected on.
    pub projection: ProjectionId,
    /// Number of the checkpoint or the training that the gradients come from.
    pub checkpoint: u64,
    /// Dimensions of the features of each layer; one number where all layers are projected together.
    pub dimensions: Vec<usize>,
}

impl GramSpec {
    /// Whole gradients of checkpoint 0, as [`Projection::gradients`] projects them.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramSpec, Projection};
    ///
    /// let third = GramSpec { checkpoint: 3, ..GramSpec::of_gradients(Projection::new(64, Seed(1))) };
    /// assert_eq!(third.dimensions, [64]);
    /// ```
    #[must_use]
    pub fn of_gradients(projection: Projection) -> Self {
        Self { projection: ProjectionId::Whole(projection), checkpoint: 0, dimensions: vec![projection.k] }
    }

    /// Features that nobody named: for sums that do not leave the function that makes them.
    pub(super) fn unnamed(dimensions: Vec<usize>) -> Self {
        Self { projection: ProjectionId::Digest(0), checkpoint: 0, dimensions }
    }

    fn check(&self) -> Result<()> {
        if self.dimensions.is_empty() {
            return Err(Error::Empty { what: "layers of the moments" });
        }
        self.dimensions.iter().try_for_each(|&k| check_limit("dimensions of a layer", k, MAX_DIMENSIONS))
    }

    /// Checks that features of `self` are projected as those of `other`, whatever checkpoint they come from.
    pub(super) fn check_projection(&self, other: &Self) -> Result<()> {
        if self.projection != other.projection {
            return Err(Error::Unsupported { what: "moments of another projection" });
        }
        check_length("layers of the moments", other.dimensions.len(), self.dimensions.len())?;
        let mut both = self.dimensions.iter().zip(&other.dimensions);
        both.try_for_each(|(&expected, &got)| check_length("dimensions of a layer", got, expected))
    }

    /// Checks that both are the same.
    pub(super) fn check_same(&self, other: &Self) -> Result<()> {
        self.check_projection(other)?;
        if self.checkpoint == other.checkpoint {
            return Ok(());
        }
        Err(Error::Unsupported { what: "moments of another checkpoint" })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let words = match self.projection {
            ProjectionId::Whole(projection) => [[0].as_slice(), &projection_words(projection)].concat(),
            ProjectionId::BothSides(projection) => [[1].as_slice(), &projection_words(projection)].concat(),
            ProjectionId::Digest(digest) => vec![2, digest],
        };
        let dimensions = self.dimensions.iter().map(|&k| k as u64);
        let all = words.into_iter().chain([self.checkpoint, self.dimensions.len() as u64]).chain(dimensions);
        all.for_each(|word| out.extend(word.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("which moments");
        let projection = match input.u64("a kind of projection")? {
            0 => ProjectionId::Whole(read_projection(input)?),
            1 => ProjectionId::BothSides(read_projection(input)?),
            2 => ProjectionId::Digest(input.u64("a digest")?),
            _ => return Err(error),
        };
        let checkpoint = input.u64("a checkpoint")?;
        let layers = input.count(8, "a number of layers")?;
        let dimensions = (0..layers).map(|_| read_size(input)).collect::<Result<_>>()?;
        let spec = Self { projection, checkpoint, dimensions };
        spec.check().map_err(|_| error)?;
        Ok(spec)
    }
}

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
    /// moments.update(&[ndarray::array![[1.0], [2.0]]], Some(&[0.5, 0.25]))?;
    /// assert_eq!((moments.examples(), moments.weight()), (2, 0.75));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Sum of the weights of the examples, their number where none had a weight; an example stands at [`Self::examples`].
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// `Σ_e w_e φ_e φ_eᵀ: (k, k)` of a layer; an example stands at [`Self::update`].
    ///
    /// # Errors
    /// [`Error::Empty`] before the first call of [`Self::update`], [`Error::OutOfRange`] for a layer that does not exist.
    pub fn sum(&self, layer: usize) -> Result<&Array2<f64>> {
        if layer < self.spec.dimensions.len() {
            return self.sums.get(layer).ok_or(Error::Empty { what: "examples of the moments" });
        }
        Err(Error::OutOfRange { what: "layer", index: 0, value: layer as f64, expected: "a layer of the moments" })
    }

    /// The same by the weight of the examples; an example stands at [`Self::update`].
    ///
    /// # Errors
    /// As [`Self::sum`], and [`Error::Empty`] before the first example of a weight above 0.
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

/// A digest of words: a checksum of their high halves beside one of their low halves.
pub(super) fn digest(words: impl IntoIterator<Item = u64>) -> u64 {
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for word in words {
        let bytes = word.to_le_bytes();
        low.extend_from_slice(&bytes[..4]);
        high.extend_from_slice(&bytes[4..]);
    }
    u64::from(crc32(&high)) << 32 | u64::from(crc32(&low))
}

/// A matrix as words of a digest.
pub(super) fn matrix_words(matrix: &Array2<f64>) -> impl Iterator<Item = u64> {
    [matrix.nrows() as u64, matrix.ncols() as u64].into_iter().chain(matrix.iter().map(|x| x.to_bits()))
}

/// A projection as words, of a digest or of bytes.
pub(super) fn projection_words(projection: Projection) -> [u64; 3] {
    let entries = match projection.entries {
        Entries::Rademacher => 0,
        Entries::Normal => 1,
    };
    [projection.seed.0, entries, projection.k as u64]
}

fn read_projection(input: &mut Reader<'_>) -> Result<Projection> {
    let seed = Seed(input.u64("a seed")?);
    let error = input.error("how the entries are drawn");
    let entries = match input.u64("how the entries are drawn")? {
        0 => Entries::Rademacher,
        1 => Entries::Normal,
        _ => return Err(error),
    };
    Ok(Projection { seed, entries, k: read_size(input)? })
}

fn read_size(input: &mut Reader<'_>) -> Result<usize> {
    let error = input.error("a number of dimensions");
    input.u64("a number of dimensions").and_then(|k| usize::try_from(k).map_err(|_| error))
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
