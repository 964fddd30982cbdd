//! What `LoGra` projects the gradients of each layer on: directions of the inputs, and directions of the gradients.
//!
//! ```text
//! φ_e = vec(P_outᵀ G_e P_in)        P_in: (d, k_in),  P_out: (d_out, k_out)
//! random: functions of a seed       principal: eigenvectors of the largest eigenvalues of A and of S
//! ```
//!
//! Source: Choe et al., "What is Your Data Worth to GPT? LLM-Scale Data Valuation with Influence Functions" (arXiv
//! 2405.13954).

use alloc::vec::Vec;
use core::cmp::Ordering;

use ndarray::{Array2, Axis};

use super::gram::GramAccumulator;
use super::gram_spec::{GramSpec, ProjectionId, digest, matrix_words};
use super::layers::check_layers;
use super::operator::example_weights;
use super::projection::{Projection, Side, project_sides};
use crate::error::{check_each, check_length, check_limit};
use crate::influence::{CovarianceAccumulator, EigenBasis, FactorBasis, LayerRows, LayerSpec};
use crate::{Error, Result, Scalar};

/// Most dimensions `k_out k_in` of a layer: the factor of its matrix takes the third power of it.
const MAX_DIMENSIONS: usize = 1 << 13;

/// What gradients are projected on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LoGraInit {
    /// Random directions on both sides, `k` each.
    Random(Projection),
    /// The `rank` first principal directions of the inputs and of the gradients, all where there are no more.
    PrincipalComponents {
        /// Directions on each side.
        rank: usize,
    },
}

/// What the gradients of every layer are projected on, from both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct LoGraProjection {
    id: ProjectionId,
    layers: Vec<Sides>,
}

/// Directions of one layer, in the columns.
#[derive(Debug, Clone, PartialEq)]
struct Sides {
    input: Array2<f64>,
    output: Array2<f64>,
}

impl LoGraProjection {
    /// Random directions, `k` on each side, for layers of these inputs, the bias included, and outputs.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::OutOfRange`] for `k` of 0,
    /// [`Error::TooLarge`] beyond 8192 dimensions `k²` of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{LoGraProjection, Projection};
    ///
    /// let projection = LoGraProjection::random(Projection::new(8, Seed(1)), &[(513, 512), (513, 10)])?;
    /// assert_eq!(projection.spec().dimensions, [64, 64]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn random(projection: Projection, widths: &[(usize, usize)]) -> Result<Self> {
        check_rank(projection.k)?;
        let sides = |(number, &(d_in, d_out)): (usize, &(usize, usize))| {
            let input = projection.rows(number, Side::Input, 0, d_in)?;
            Ok(Sides { input, output: projection.rows(number, Side::Output, 0, d_out)? })
        };
        Self::of(ProjectionId::BothSides(projection), widths.iter().enumerate().map(sides))
    }

    /// The eigenvectors of the `rank` largest eigenvalues of `A` and of `S` of each layer, all where there are no more.
    /// Covariances merge as moments do, so these too can come from a corpus in shards.
    ///
    /// # Errors
    /// [`Error::Empty`] without layers, [`Error::OutOfRange`] for a rank of
    /// 0, [`Error::TooLarge`] beyond 8192 dimensions of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::LoGraProjection;
    /// use limpid::influence::{CovarianceAccumulator, EigenBasis, Examples, LayerRows, LayerSpec};
    /// use limpid::math::merge::Merge;
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let rows = LayerRows::new(&a, &g, Examples::EachRow)?;
    /// let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, &rows))?;
    /// covariance.update(&rows)?;
    /// covariance.merge(&covariance.clone())?;
    /// let projection = LoGraProjection::principal(&[EigenBasis::new(&covariance)?], 1)?;
    /// // the second input is the larger one
    /// assert_eq!(projection.features(&[rows])?[0].mapv(f64::abs), array![[0.0], [2.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn principal(bases: &[EigenBasis], rank: usize) -> Result<Self> {
        let sides = |basis: &EigenBasis| {
            let rank = rank.min(basis.activation().size().max(basis.gradient().size()));
            check_rank(rank)?;
            Ok(Sides { input: largest(basis.activation(), rank), output: largest(basis.gradient(), rank) })
        };
        let mut found = Self::of(ProjectionId::Digest(0), bases.iter().map(sides))?;
        let words = found.layers.iter().flat_map(|layer| matrix_words(&layer.input).chain(matrix_words(&layer.output)));
        found.id = ProjectionId::Digest(digest(words));
        Ok(found)
    }

    fn of(id: ProjectionId, layers: impl Iterator<Item = Result<Sides>>) -> Result<Self> {
        let layers = layers.collect::<Result<Vec<_>>>()?;
        if layers.is_empty() { Err(Error::Empty { what: "layers of the projection" }) } else { Ok(Self { id, layers }) }
    }

    /// As `init` says, from all examples at once.
    pub(super) fn of_rows<T: Scalar>(train: &[LayerRows<'_, T>], init: LoGraInit) -> Result<Self> {
        let rank = match init {
            LoGraInit::Random(projection) => {
                let widths: Vec<_> = train.iter().map(|rows| (rows.d_in(), rows.d_out())).collect();
                return Self::random(projection, &widths);
            }
            LoGraInit::PrincipalComponents { rank } => rank,
        };
        let basis = |(number, rows): (usize, &LayerRows<'_, T>)| {
            // before the work
            check_rank(rank.min(rows.d_in().max(rows.d_out())))?;
            let mut covariance = CovarianceAccumulator::new(LayerSpec::of(number as u64, rows))?;
            covariance.update(rows)?;
            EigenBasis::new(&covariance)
        };
        Self::principal(&train.iter().enumerate().map(basis).collect::<Result<Vec<_>>>()?, rank)
    }

    /// Which moments belong to this projection, those of checkpoint 0. Random directions are told by their settings,
    /// others by a digest.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, GramSpec, LoGraProjection, Projection};
    ///
    /// let projection = LoGraProjection::random(Projection::new(2, Seed(1)), &[(3, 2)])?;
    /// let moments = GramAccumulator::new(GramSpec { checkpoint: 5, ..projection.spec() })?;
    /// assert_eq!(moments.spec().projection, projection.spec().projection);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    #[must_use]
    pub fn spec(&self) -> GramSpec {
        let dimensions = self.layers.iter().map(|layer| layer.input.ncols() * layer.output.ncols()).collect();
        GramSpec { projection: self.id, checkpoint: 0, dimensions }
    }

    /// Projected gradients of each layer, `(examples, k_out k_in)`: what is worth storing for a corpus.
    ///
    /// # Errors
    /// [`Error::Shape`] for other layers than those of the projection,
    /// [`Error::TooLarge`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{LoGraProjection, Projection};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let shard = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let projection = LoGraProjection::random(Projection::new(1, Seed(1)), &[(2, 1)])?;
    /// assert_eq!(projection.features(&shard)?[0].mapv(f64::abs), array![[1.0], [2.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn features<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Vec<Array2<f64>>> {
        check_length("layers", layers.len(), self.layers.len())?;
        check_layers("layers", layers)?;
        let both = layers.iter().zip(&self.layers);
        both.map(|(rows, sides)| project_sides(rows, &sides.input, &sides.output)).collect()
    }

    /// Adds the features of `layers`, with the weights of their examples, to `moments` of this projection.
    ///
    /// # Errors
    /// As [`LoGraProjection::features`] and [`GramAccumulator::update`], and
    /// [`Error::Unsupported`] for moments of another projection; nothing is added then.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, LoGraProjection, Projection};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let shard = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let projection = LoGraProjection::random(Projection::new(1, Seed(1)), &[(2, 1)])?;
    /// let mut moments = GramAccumulator::new(projection.spec())?;
    /// projection.accumulate(&shard, &mut moments)?;
    /// assert_eq!(moments.mean(0)?, array![[2.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn accumulate<T: Scalar>(&self, layers: &[LayerRows<'_, T>], moments: &mut GramAccumulator) -> Result<()> {
        self.spec().check_projection(moments.spec())?;
        moments.update_double(&self.features(layers)?, Some(&example_weights(layers)?))
    }
}

/// Checks that a layer with so many directions on each side is not too large.
fn check_rank(rank: usize) -> Result<()> {
    check_each("rank", &[rank as f64], ">= 1", |rank: f64| rank >= 1.0)?;
    check_dimensions(rank)
}

/// Checks the dimensions that `side` directions on either side make.
pub(super) fn check_dimensions(side: usize) -> Result<()> {
    check_limit("dimensions of a layer", side.saturating_mul(side), MAX_DIMENSIONS)
}

/// Eigenvectors of the `rank` largest eigenvalues, the largest first.
fn largest(factor: &FactorBasis, rank: usize) -> Array2<f64> {
    let values = factor.values();
    // eigenvalues ascend, but only within the blocks of a factor; of equal ones the last stands first
    let mut order: Vec<usize> = (0..factor.size()).rev().collect();
    order.sort_by(|&i, &j| values[j].partial_cmp(&values[i]).unwrap_or(Ordering::Equal));
    order.truncate(rank);
    factor.vectors().select(Axis(1), &order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::{CovarianceSettings, Structure};

    fn bases(seed: u64, structure: Structure) -> Vec<EigenBasis> {
        let data = noise_layers(12, seed);
        let settings = CovarianceSettings { activation: structure, ..CovarianceSettings::default() };
        let basis = |(number, rows): (usize, &LayerRows<'_, f64>)| {
            let spec = LayerSpec::of(number as u64, rows);
            let mut covariance = CovarianceAccumulator::with_settings(spec, &settings).unwrap();
            covariance.update(rows).unwrap();
            EigenBasis::new(&covariance).unwrap()
        };
        layers(&data).iter().enumerate().map(basis).collect()
    }

    #[test]
    fn the_largest_directions_are_found_in_all_blocks() {
        for structure in [Structure::Full, Structure::Blocks(2), Structure::Diagonal] {
            let bases = bases(1, structure);
            let projection = LoGraProjection::principal(&bases, 2).unwrap();
            for (basis, sides) in bases.iter().zip(&projection.layers) {
                let factor = basis.activation();
                let mut values = factor.values().to_vec();
                values.sort_by(|a, b| b.total_cmp(a));
                let matrix = factor.vectors().dot(&Array2::from_diag(factor.values())).dot(&factor.vectors().t());
                let kept = sides.input.t().dot(&matrix).dot(&sides.input);
                assert!((0..2).all(|i| (kept[[i, i]] - values[i]).abs() < 1e-12), "{structure:?}");
            }
        }
    }

    #[test]
    fn other_directions_have_another_name() {
        let full = bases(1, Structure::Full);
        let [first, second, other, fewer] = [(&full, 2), (&full, 2), (&bases(2, Structure::Full), 2), (&full, 1)]
            .map(|(bases, rank)| LoGraProjection::principal(bases, rank).unwrap().spec().projection);
        assert!(first == second && first != other && first != fewer);
    }

    #[test]
    fn bad_settings_are_named() {
        let random = |k| LoGraProjection::random(Projection::new(k, Seed(0)), &[(2, 2)]);
        assert!(matches!(random(0), Err(Error::OutOfRange { .. })));
        assert!(matches!(random(100), Err(Error::TooLarge { .. })));
        let none = LoGraProjection::random(Projection::new(2, Seed(0)), &[]);
        assert!(matches!(none, Err(Error::Empty { .. })));
        assert!(matches!(LoGraProjection::principal(&[], 1), Err(Error::Empty { .. })));
        assert!(LoGraProjection::principal(&bases(1, Structure::Full), 0).is_err());
    }
}
