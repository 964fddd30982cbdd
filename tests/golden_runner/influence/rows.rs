//! Rows of layers as golden cases give them.

use limpid::Scalar;
use limpid::influence::{Bias, Examples, LayerRows};
use ndarray::Array2;
use serde_json::Value;

use crate::golden_runner::case::Given;

/// The rows of one layer.
pub struct Rows<T> {
    a: Array2<T>,
    g: Array2<T>,
    sequence: Vec<usize>,
    examples: usize,
    bias: Bias,
    mask: Option<Vec<bool>>,
    weight: Option<Vec<T>>,
}

impl<T: Scalar> Rows<T> {
    /// Reads one object.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let given = Given::new(value.as_object().ok_or("rows that are not an object")?);
        let mask = given.has("mask").then(|| given.counts("mask")).transpose()?;
        let weight = given.has("weight").then(|| given.array::<T, ndarray::Ix1>("weight")).transpose()?;
        let rows = Self {
            a: given.array("a")?,
            g: given.array("g")?,
            sequence: given.counts("sequence")?,
            examples: given.count("examples")?,
            bias: if given.flag("bias")? { Bias::Homogeneous } else { Bias::None },
            mask: mask.map(|mask| mask.into_iter().map(|kept| kept != 0).collect()),
            weight: weight.map(|weight| weight.to_vec()),
        };
        given.done().map(|()| rows)
    }

    /// The list of layers at `key`.
    pub fn layers(given: &Given<'_>, key: &str) -> Result<Vec<Self>, String> {
        given.list(key)?.iter().map(Self::parse).collect()
    }

    /// The list of layers at `key`, or at `otherwise` where there is none.
    pub fn layers_or(given: &Given<'_>, key: &str, otherwise: &str) -> Result<Vec<Self>, String> {
        Self::layers(given, if given.has(key) { key } else { otherwise })
    }

    /// As the library wants them.
    pub fn view(&self) -> Result<LayerRows<'_, T>, String> {
        let examples = Examples::Index { example: &self.sequence, n: self.examples };
        let mut rows = text(LayerRows::new(&self.a, &self.g, examples))?.with_bias(self.bias);
        if let Some(mask) = &self.mask {
            rows = text(rows.with_mask(mask))?;
        }
        if let Some(weight) = &self.weight {
            rows = text(rows.with_weight(weight))?;
        }
        Ok(rows)
    }

    /// All layers as the library wants them.
    pub fn views(layers: &[Self]) -> Result<Vec<LayerRows<'_, T>>, String> {
        layers.iter().map(Self::view).collect()
    }
}

/// An error of the library in words.
pub fn text<V, E: std::fmt::Display>(result: Result<V, E>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}
