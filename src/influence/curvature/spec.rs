//! What a curvature belongs to: the layer, and where its gradients come from.

use crate::error::check_limit;
use crate::influence::{Bias, LayerRows};
use crate::math::merge::Reader;
use crate::{Dims, Error, Result, Scalar};

use alloc::vec::Vec;

/// Largest number of inputs or outputs of a layer.
const MAX_WIDTH: usize = 1 << 24;

/// Whose labels the gradients of a curvature have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fisher {
    /// The true labels. Cheap and deterministic, but biased: it vanishes where the model fits its data.
    #[default]
    Empirical,
    /// Labels drawn from the model's own predictions: unbiased, with the noise of the draw.
    Sampled,
    /// All labels, each with its probability as weight: no noise.
    True,
}

/// What one unit of a curvature is the mean over.
///
/// Kronecker factors are means over rows. For rows that do not depend on each other the curvature of an example is the
/// number of its rows times as large, so the same absolute damping means something else in either unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Unit {
    /// Mean over examples of the squared gradients of whole examples.
    #[default]
    PerSequence,
    /// Mean over rows.
    PerToken,
}

/// A layer, and the kind of gradients that its statistics are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerSpec {
    /// Number of the layer; statistics of different layers are never mixed.
    pub layer: u64,
    /// Columns of a gradient, the bias included.
    pub d_in: usize,
    /// Rows of a gradient.
    pub d_out: usize,
    /// Whether the last column belongs to a bias.
    pub bias: Bias,
    /// Whose labels the gradients have.
    pub fisher: Fisher,
}

impl LayerSpec {
    /// The layer that these rows come from, with [`Fisher::Empirical`].
    #[must_use]
    pub fn of<T: Scalar>(layer: u64, rows: &LayerRows<'_, T>) -> Self {
        Self { layer, d_in: rows.d_in(), d_out: rows.d_out(), bias: rows.bias(), fisher: Fisher::Empirical }
    }

    /// The same layer with gradients of another kind.
    #[must_use]
    pub fn with_fisher(self, fisher: Fisher) -> Self {
        Self { fisher, ..self }
    }

    /// Checks that the widths are possible.
    pub(super) fn check(&self) -> Result<()> {
        check_limit("inputs of the layer", self.d_in, MAX_WIDTH)?;
        check_limit("outputs of the layer", self.d_out, MAX_WIDTH)
    }

    /// Checks that rows come from this layer.
    pub(crate) fn check_rows<T: Scalar>(&self, rows: &LayerRows<'_, T>) -> Result<()> {
        let (expected, got) = ([self.d_out, self.d_in], [rows.d_out(), rows.d_in()]);
        if expected != got {
            let (expected, got) = (Dims::new(&expected), Dims::new(&got));
            return Err(Error::Shape { what: "gradients of the rows", expected, got });
        }
        if self.bias != rows.bias() {
            return Err(Error::Unsupported {
                what: "rows with a bias where the layer has none, or the other way round",
            });
        }
        Ok(())
    }

    /// Checks that another state is of the same layer and kind.
    pub(super) fn check_same(&self, other: &Self) -> Result<()> {
        if self == other {
            return Ok(());
        }
        Err(Error::Unsupported { what: "merging statistics of different layers or kinds of gradients" })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let bias = u64::from(self.bias == Bias::Homogeneous);
        let fisher = match self.fisher {
            Fisher::Empirical => 0_u64,
            Fisher::Sampled => 1,
            Fisher::True => 2,
        };
        [self.layer, self.d_in as u64, self.d_out as u64, bias, fisher]
            .iter()
            .for_each(|number| out.extend(number.to_le_bytes()));
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a layer");
        let layer = input.u64("a layer")?;
        let mut width = || input.u64("a width").map(|width| usize::try_from(width).unwrap_or(usize::MAX));
        let (d_in, d_out) = (width()?, width()?);
        let bias = match input.u64("a bias")? {
            0 => Bias::None,
            1 => Bias::Homogeneous,
            _ => return Err(error),
        };
        let fisher = match input.u64("a kind of Fisher matrix")? {
            0 => Fisher::Empirical,
            1 => Fisher::Sampled,
            2 => Fisher::True,
            _ => return Err(error),
        };
        let spec = Self { layer, d_in, d_out, bias, fisher };
        spec.check().map_err(|_| error)?;
        Ok(spec)
    }
}
