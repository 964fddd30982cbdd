//! Covariances of what enters a layer and of the gradients at its output: the two factors of K-FAC.
//!
//! ```text
//! A = Σ w_t ã_t ã_tᵀ / Σ w_t     (d, d)          S = Σ w_t g_t g_tᵀ / Σ w_t     (d_out, d_out)
//! ```
//!
//! Uncentred, means over live rows, summed in double precision whatever the rows are made of: sums of single precision
//! alone give a graded covariance eigenvalues below zero. A masked row contributes neither its 1 nor to the count.
//!
//! Source: Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature" (2015),
//! <https://arxiv.org/abs/1503.05671>. Embeddings (inputs one-hot) have a diagonal `A` of token
//! frequencies, [`TokenColumns`](crate::influence::TokenColumns).

use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2, Axis};

use super::gram::Gram;
use super::sealed::{self, Counts, Kind};
use super::spec::LayerSpec;
use crate::influence::LayerRows;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result, Scalar};

/// Which part of a covariance is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Structure {
    /// All of it.
    #[default]
    Full,
    /// The diagonal: exact for one-hot inputs, where it holds the frequencies of the tokens.
    Diagonal,
    /// Blocks of this size along the diagonal, for layers that are too wide.
    Blocks(usize),
}

impl Structure {
    fn block(self, size: usize) -> usize {
        match self {
            Self::Full => size,
            Self::Diagonal => 1,
            Self::Blocks(block) => block,
        }
    }
}

/// What of the two factors is kept, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CovarianceSettings {
    /// Part of `A`.
    pub activation: Structure,
    /// Part of `S`.
    pub gradient: Structure,
    /// Rows of `A` that this accumulator keeps, for matrices that are spread over machines; all without.
    pub activation_rows: Option<Range<usize>>,
    /// Rows of `S`.
    pub gradient_rows: Option<Range<usize>>,
}

/// Sums for the two factors of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct CovarianceAccumulator {
    spec: LayerSpec,
    counts: Counts,
    activation: Gram,
    gradient: Gram,
}

impl CovarianceAccumulator {
    /// Nothing seen yet; both factors are kept in full.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for impossible widths.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Bias, CovarianceAccumulator, Examples, LayerRows, LayerSpec};
    /// use ndarray::array;
    ///
    /// let a = array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
    /// let g = array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]];
    /// let rows = LayerRows::new(&a, &g, Examples::Offsets(&[0, 2, 4]))?.with_bias(Bias::Homogeneous);
    /// let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, &rows))?;
    /// covariance.update(&rows)?;
    /// assert_eq!(covariance.activation()?, array![[1.5, 0.25, 1.0], [0.25, 1.75, 0.75], [1.0, 0.75, 1.0]]);
    /// assert_eq!(covariance.gradient()?, array![[0.75, -0.25], [-0.25, 1.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(spec: LayerSpec) -> Result<Self> {
        Self::with_settings(spec, &CovarianceSettings::default())
    }

    /// Nothing seen yet.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::OutOfRange`] for rows that do not exist.
    pub fn with_settings(spec: LayerSpec, settings: &CovarianceSettings) -> Result<Self> {
        spec.check()?;
        let part = |size: usize, structure: Structure, rows: &Option<Range<usize>>| {
            Gram::new(size, structure.block(size), rows.clone().unwrap_or(0..size))
        };
        let activation = part(spec.d_in, settings.activation, &settings.activation_rows)?;
        let gradient = part(spec.d_out, settings.gradient, &settings.gradient_rows)?;
        Ok(Self { spec, counts: Counts::default(), activation, gradient })
    }

    /// Takes up rows. Two calls give the same floats as merging two accumulators of one call each.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Unsupported`] where the rows are of another layer, [`Error::OutOfRange`] where a sum
    /// is beyond double precision; nothing is changed then.
    pub fn update<T: Scalar>(&mut self, rows: &LayerRows<'_, T>) -> Result<()> {
        self.spec.check_rows(rows)?;
        let (mut activation, mut gradient) = (self.activation.zero(), self.gradient.zero());
        let mut counts = counts_of(rows);
        for block in rows.blocks::<f64>() {
            if rows.is_weighted() {
                let weights: Vec<f64> = block.rows.iter().map(|&row| rows.row_weight(row)).collect();
                counts.row_weight += weights.iter().sum::<f64>();
                activation.add(&block.a, &scaled(&block.a, &weights))?;
                gradient.add(&block.g, &scaled(&block.g, &weights))?;
            } else {
                counts.row_weight += block.rows.len() as f64;
                activation.add(&block.a, &block.a)?;
                gradient.add(&block.g, &block.g)?;
            }
        }
        if !(activation.is_finite() && gradient.is_finite()) {
            return Err(too_large());
        }
        self.add(counts, &activation, &gradient)
    }

    /// Takes up rows whose sums `Σ w ã ãᵀ: (d, d)` and `Σ w g gᵀ: (d_out, d_out)` were made elsewhere, as on another device.
    ///
    /// # Errors
    /// As [`Self::update`], and [`Error::Shape`].
    pub fn update_by_sums<T: Scalar>(
        &mut self,
        rows: &LayerRows<'_, T>,
        of_activation: &ArrayRef2<f64>,
        of_gradient: &ArrayRef2<f64>,
    ) -> Result<()> {
        self.spec.check_rows(rows)?;
        let (mut activation, mut gradient) = (self.activation.zero(), self.gradient.zero());
        activation.add_sum(of_activation)?;
        gradient.add_sum(of_gradient)?;
        if !(activation.is_finite() && gradient.is_finite()) {
            return Err(too_large());
        }
        let mut counts = counts_of(rows);
        let live = (0..rows.n_examples()).flat_map(|example| rows.live_rows(example));
        counts.row_weight = live.map(|&row| rows.row_weight(row)).sum();
        self.add(counts, &activation, &gradient)
    }

    /// The layer and its kind of gradients.
    #[must_use]
    pub fn spec(&self) -> &LayerSpec {
        &self.spec
    }

    /// Live rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.rows
    }

    /// Examples.
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.counts.examples
    }

    /// Sum of the weights of the live rows, their number where none had a weight.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.counts.row_weight
    }

    /// `A: (d, d)`, zero outside of the parts that are kept.
    ///
    /// # Errors
    /// [`Error::Empty`] before the first row of a weight above 0, [`Error::Unsupported`] where only some rows are kept.
    pub fn activation(&self) -> Result<Array2<f64>> {
        Ok(assemble(&self.blocks(&self.activation)?, self.spec.d_in))
    }

    /// `S: (d_out, d_out)`.
    ///
    /// # Errors
    /// As [`Self::activation`].
    pub fn gradient(&self) -> Result<Array2<f64>> {
        Ok(assemble(&self.blocks(&self.gradient)?, self.spec.d_out))
    }

    /// Joins accumulators of the same data that keep ranges of rows of the factors, in the order of the rows.
    ///
    /// # Errors
    /// [`Error::Empty`] without parts, [`Error::Unsupported`] where the parts do not follow each other or have seen
    /// different data.
    pub fn join(parts: &[Self]) -> Result<Self> {
        let Some((first, rest)) = parts.split_first() else { return Err(Error::Empty { what: "parts" }) };
        let mut whole = first.clone();
        for part in rest {
            whole.spec.check_same(&part.spec)?;
            if whole.counts != part.counts {
                return Err(Error::Unsupported { what: "joining parts that have seen different rows" });
            }
            if part.activation.rows() != whole.activation.rows() {
                whole.activation.append(&part.activation)?;
            }
            if part.gradient.rows() != whole.gradient.rows() {
                whole.gradient.append(&part.gradient)?;
            }
        }
        Ok(whole)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Blocks of `A` and of `S` along the diagonal, with their sizes.
    pub(super) fn factor_blocks(&self) -> Result<[(usize, Vec<Array2<f64>>); 2]> {
        let activation = (self.activation.block(), self.blocks(&self.activation)?);
        Ok([activation, (self.gradient.block(), self.blocks(&self.gradient)?)])
    }

    fn blocks(&self, gram: &Gram) -> Result<Vec<Array2<f64>>> {
        if !gram.is_whole() {
            return Err(Error::Unsupported { what: "the factor of a part of its rows: join the parts first" });
        }
        if self.counts.row_weight <= 0.0 {
            return Err(Error::Empty { what: "rows of the covariance" });
        }
        Ok(gram.blocks(self.counts.row_weight))
    }

    fn add(&mut self, counts: Counts, activation: &Gram, gradient: &Gram) -> Result<()> {
        self.counts = self.counts.plus(counts)?;
        self.activation.merge(activation);
        self.gradient.merge(gradient);
        Ok(())
    }
}

impl Merge for CovarianceAccumulator {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.spec.check_same(&other.spec)?;
        if !(self.activation.same_part(&other.activation) && self.gradient.same_part(&other.gradient)) {
            return Err(Error::Unsupported { what: "merging different parts of a covariance" });
        }
        self.add(other.counts, &other.activation, &other.gradient)
    }
}

impl Bytes for CovarianceAccumulator {
    fn write(&self, out: &mut Vec<u8>) {
        sealed::write(Kind::Covariance, out, |out| {
            self.spec.write(out);
            self.counts.write(out);
            self.activation.write(out);
            self.gradient.write(out);
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        sealed::read(Kind::Covariance, input, |input| {
            let spec = LayerSpec::read(input)?;
            let counts = Counts::read(input)?;
            let activation = Gram::read(input, spec.d_in)?;
            Ok(Self { spec, counts, activation, gradient: Gram::read(input, spec.d_out)? })
        })
    }
}

/// Counts of rows and examples; the weight of the rows is left at 0.
fn counts_of<T: Scalar>(rows: &LayerRows<'_, T>) -> Counts {
    let counts = Counts { rows: rows.n_live() as u64, examples: rows.n_examples() as u64, ..Counts::default() };
    Counts { example_weight: rows.example_weights().iter().sum(), ..counts }
}

/// The error that a sum does not fit into double precision.
pub(super) fn too_large() -> Error {
    let expected = "rows whose squares have a finite sum";
    Error::OutOfRange { what: "rows", index: 0, value: f64::INFINITY, expected }
}

fn scaled(x: &Array2<f64>, weights: &[f64]) -> Array2<f64> {
    let mut scaled = x.clone();
    scaled.rows_mut().into_iter().zip(weights).for_each(|(mut row, w)| row.mapv_inplace(|x| x * w));
    scaled
}

/// The matrix with these blocks along its diagonal.
pub(super) fn assemble(blocks: &[Array2<f64>], size: usize) -> Array2<f64> {
    let mut out = Array2::zeros((size, size));
    let mut start = 0;
    for block in blocks {
        let range = ndarray::Slice::from(start..start + block.nrows());
        out.slice_axis_mut(Axis(0), range).slice_axis_mut(Axis(1), range).assign(block);
        start += block.nrows();
    }
    out
}
