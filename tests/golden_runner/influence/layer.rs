//! Rows of layers, strategies and dampings as golden files write them.

use limpid::Scalar;
use limpid::influence::{Bias, Curvature, Damping, Examples, LayerRows, Spectral, Strategy};
use ndarray::Array2;
use serde_json::Value;

use crate::golden_runner::case::Given;

/// The rows of one layer.
pub struct Layer<T> {
    a: Array2<T>,
    g: Array2<T>,
    example: Vec<usize>,
    examples: usize,
    bias: Bias,
    mask: Option<Vec<bool>>,
    weight: Option<Vec<T>>,
}

impl<T: Scalar> Layer<T> {
    pub fn read(given: &Given<'_>) -> Result<Self, String> {
        let mask =
            if given.has("mask") { Some(given.counts("mask")?.iter().map(|&live| live > 0).collect()) } else { None };
        let weight = if given.has("weight") { Some(given.tensor::<T>("weight")?.into_iter().collect()) } else { None };
        let bias = if given.flag("bias")? { Bias::Homogeneous } else { Bias::None };
        let (a, g) = (given.array("a")?, given.array("g")?);
        let (example, examples) = (given.counts("sequence")?, given.count("examples")?);
        given.done()?;
        Ok(Self { a, g, example, examples, bias, mask, weight })
    }

    pub fn rows(&self) -> Result<LayerRows<'_, T>, String> {
        let examples = Examples::Index { example: &self.example, n: self.examples };
        let mut rows = LayerRows::new(&self.a, &self.g, examples).map_err(|e| e.to_string())?.with_bias(self.bias);
        if let Some(mask) = &self.mask {
            rows = rows.with_mask(mask).map_err(|e| e.to_string())?;
        }
        if let Some(weight) = &self.weight {
            rows = rows.with_weight(weight).map_err(|e| e.to_string())?;
        }
        Ok(rows)
    }
}

/// The layers at `key`.
pub fn layers<T: Scalar>(given: &Given<'_>, key: &str) -> Result<Vec<Layer<T>>, String> {
    let read =
        |value: &Value| Layer::read(&Given::new(value.as_object().ok_or(format!("{key}: a layer is no object"))?));
    given.list(key)?.iter().map(read).collect()
}

/// The rows of layers.
pub fn rows<T: Scalar>(layers: &[Layer<T>]) -> Result<Vec<LayerRows<'_, T>>, String> {
    layers.iter().map(Layer::rows).collect()
}

/// The damping of a case.
pub fn damping(given: &Given<'_>) -> Result<Damping, String> {
    let damping = given.nested("damping")?;
    let value = if damping.has("absolute") {
        Damping::Absolute(damping.number("absolute")?)
    } else {
        Damping::RelativeMean(damping.number("relative_mean")?)
    };
    damping.done().map(|()| value)
}

/// The curvature that a case asks for, fitted on `fit` or on `train`, and the inverse of it.
pub fn curvature<T: Scalar>(given: &Given<'_>) -> Result<(Curvature, Spectral), String> {
    let strategy = match given.text("strategy")? {
        "identity" => Strategy::Identity,
        "diagonal" => Strategy::Diagonal,
        "kfac" => Strategy::Kfac,
        "ekfac" => Strategy::Ekfac,
        other => return Err(format!("unknown strategy {other}")),
    };
    let layers = layers::<T>(given, if given.has("fit") { "fit" } else { "train" })?;
    let curvature = Curvature::fit(strategy, &rows(&layers)?).map_err(|e| e.to_string())?;
    Ok((curvature, Spectral::DampedInverse(damping(given)?)))
}
