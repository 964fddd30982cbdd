//! What all estimators do with the rows of several layers: gradients as one long vector, layer after layer, each row-major.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Slice};

use crate::error::{check_each, check_length, check_limit};
use crate::influence::{Damping, LayerRows};
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// Most numbers of one result.
pub(super) const MAX_VALUES: usize = 1 << 28;

/// Checks that there are layers and that all have the same examples; returns how many.
pub(super) fn check_layers<T: Scalar>(what: &'static str, layers: &[LayerRows<'_, T>]) -> Result<usize> {
    let n = layers.first().ok_or(Error::Empty { what })?.n_examples();
    layers.iter().try_for_each(|layer| check_length(what, layer.n_examples(), n))?;
    Ok(n)
}

/// Checks that `layers` have the shapes of `like`; returns how many examples they have.
pub(super) fn check_like<T: Scalar>(
    what: &'static str,
    layers: &[LayerRows<'_, T>],
    like: &[LayerRows<'_, T>],
) -> Result<usize> {
    check_length(what, layers.len(), like.len())?;
    for (layer, like) in layers.iter().zip(like) {
        check_length(what, layer.d_in(), like.d_in())?;
        check_length(what, layer.d_out(), like.d_out())?;
    }
    check_layers(what, layers)
}

/// Numbers of parameters of each layer.
pub(super) fn sizes<T: Scalar>(layers: &[LayerRows<'_, T>]) -> Vec<usize> {
    layers.iter().map(|layer| layer.d_out().saturating_mul(layer.d_in())).collect()
}

/// Number of parameters of all layers.
pub(super) fn dim<T: Scalar>(layers: &[LayerRows<'_, T>]) -> usize {
    sizes(layers).into_iter().fold(0, usize::saturating_add)
}

/// The part of `v` that belongs to each layer, as `(d_out, d)`.
pub(super) fn split<T: Scalar>(layers: &[LayerRows<'_, T>], v: &ArrayRef1<f64>) -> Result<Vec<Array2<f64>>> {
    check_length("a vector of all parameters", v.len(), dim(layers))?;
    let mut start = 0;
    layers
        .iter()
        .map(|layer| {
            let part = v.slice_axis(Axis(0), Slice::from(start..start + layer.d_out() * layer.d_in()));
            start += part.len();
            Array2::from_shape_vec((layer.d_out(), layer.d_in()), part.to_vec())
                .map_err(|_| Error::Unsupported { what: "a vector of another length" })
        })
        .collect()
}

/// `⟨v, v_e⟩` of every example, `(n)`.
pub(super) fn inner<T: Scalar>(layers: &[LayerRows<'_, T>], v: &ArrayRef1<f64>) -> Result<Array1<f64>> {
    let mut sum = Array1::zeros(check_layers("layers", layers)?);
    for (layer, part) in layers.iter().zip(split(layers, v)?) {
        sum += &layer.inner(&part)?;
    }
    Ok(sum)
}

/// `Σ_e c_e v_e`, written to `out`.
pub(super) fn weighted_sum<T: Scalar>(
    layers: &[LayerRows<'_, T>],
    c: &ArrayRef1<f64>,
    out: &mut ArrayRef1<f64>,
) -> Result<()> {
    let mut start = 0;
    for layer in layers {
        let sum = layer.weighted_sum(c)?;
        let mut to = out.slice_axis_mut(Axis(0), Slice::from(start..start + sum.len()));
        to.iter_mut().zip(&sum).for_each(|(to, &from)| *to = from);
        start += sum.len();
    }
    Ok(())
}

/// Gradients of all examples as the rows of a matrix, `(n, D)`.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::TooLarge`] beyond 2²⁸ numbers.
pub fn gradients<T: Scalar>(layers: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
    let n = check_layers("layers", layers)?;
    check_limit("numbers of all gradients", n.saturating_mul(dim(layers)), MAX_VALUES)?;
    let mut out = Array2::zeros((n, dim(layers)));
    let mut start = 0;
    for layer in layers {
        let size = layer.d_out() * layer.d_in();
        for block in layer.blocks::<f64>() {
            for example in 0..block.n_examples() {
                let mut row = out.row_mut(block.first + example);
                let mut to = row.slice_axis_mut(Axis(0), Slice::from(start..start + size));
                to.iter_mut().zip(&block.gradient(example)?).for_each(|(to, &from)| *to = from);
            }
        }
        start += size;
    }
    Ok(out)
}

/// `‖G_e‖²` of every example of one layer, `(n)`, by whichever of two ways costs less.
///
/// ```text
/// Σ_ts (ã_t · ã_s)(g_t · g_s)   or   Σ_ij G_ij²
/// ```
pub(super) fn squared_norms<T: Scalar>(layer: &LayerRows<'_, T>) -> Result<Array1<f64>> {
    let mut out = Array1::zeros(layer.n_examples());
    for block in layer.blocks::<f64>() {
        for example in 0..block.n_examples() {
            let rows = block.rows_of(example);
            let (d, d_out) = (layer.d_in(), layer.d_out());
            out[block.first + example] = if rows.len() * (d + d_out) <= d * d_out {
                let [a, g] = [&block.a, &block.g].map(|x| x.slice_axis(Axis(0), Slice::from(rows.clone())));
                (product(&a, &a.t())? * product(&g, &g.t())?).sum()
            } else {
                block.gradient(example)?.iter().map(|x| x * x).sum()
            };
        }
    }
    Ok(out)
}

/// `Σ_e w_e x_e / Σ_e w_e`; [`Error::Empty`] where all weights are 0.
pub(super) fn weighted_mean(x: &Array1<f64>, weights: &[f64]) -> Result<f64> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Err(Error::Empty { what: "examples of positive weight" });
    }
    Ok(x.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() / total)
}

/// Scores `⟨x_q, v_e⟩`, `(q, n)`, of solutions `x: (q, D)` such as preconditioned query gradients.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`].
pub fn solution_scores<T: Scalar>(solutions: &ArrayRef2<f64>, train: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
    let mut scores = Array2::zeros((solutions.nrows(), check_layers("train", train)?));
    for (solution, mut row) in solutions.rows().into_iter().zip(scores.rows_mut()) {
        row.assign(&inner(train, &solution)?);
    }
    Ok(scores)
}

/// The damping beside eigenvalues of this mean; more than 0.
pub(super) fn resolve(damping: Damping, mean: f64) -> Result<f64> {
    let resolved = match damping {
        Damping::Absolute(damping) => damping,
        Damping::RelativeMean(share) => share * mean,
        Damping::Factored(_) => return Err(Error::Unsupported { what: "factored damping without factors" }),
    };
    check_each("damping", &[resolved], "finite and > 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
    Ok(resolved)
}
