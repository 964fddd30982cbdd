//! Values and gradients of the sparsity terms.

use ndarray::{Array1, Array2, ArrayRef2, Zip};

use super::loss::{LayerNorms, Sparsity};
use super::model::Sae;
use crate::math::reduce::{column_sums, norm};
use crate::{Result, Scalar};

/// A sparsity term and its gradients.
pub(super) struct Penalty<T> {
    pub(super) value: T,
    /// By the features, `(b, m)`; `None` where they have none.
    pub(super) by_features: Option<Array2<T>>,
    /// By the norms of the decoder, `(m)`, and whether those are joint over layers.
    pub(super) by_norms: Option<(Array1<T>, bool)>,
    /// By the steps `[z > θ]`: one number per sample, `(b)`.
    pub(super) by_steps: Option<Array1<T>>,
}

/// The term for features `f: (b, m)`, with `l0: (b)` active latents per sample.
pub(super) fn penalty<T: Scalar>(
    sae: &Sae<T>,
    sparsity: Sparsity,
    f: &ArrayRef2<T>,
    l0: &Array1<T>,
) -> Result<Penalty<T>> {
    let rows = T::of(f.nrows() as f64);
    let steps =
        |value: T, by_steps: Array1<T>| Penalty { value, by_features: None, by_norms: None, by_steps: Some(by_steps) };
    let mean_l0 = l0.sum() / rows;
    let (two, four) = (T::of(2.0), T::of(4.0));
    Ok(match sparsity {
        Sparsity::None => Penalty { value: T::zero(), by_features: None, by_norms: None, by_steps: None },
        Sparsity::Lp { coefficient, p, root, decoder_norm } => {
            let norms = decoder_norm.map(|layers| (norms(sae, layers), layers == LayerNorms::Joint));
            lp(T::of(coefficient), p, root, f, norms)
        }
        Sparsity::L0 { coefficient } => {
            let c = T::of(coefficient);
            steps(c * mean_l0, Array1::from_elem(f.nrows(), c / rows))
        }
        Sparsity::TargetL0 { coefficient, target } => {
            let (c, target) = (T::of(coefficient), T::of(target));
            let excess = mean_l0 / target - T::one();
            steps(c * excess * excess, Array1::from_elem(f.nrows(), two * c * excess / (target * rows)))
        }
        Sparsity::QuadraticL0 { coefficient, target } => {
            let (c, target) = (T::of(coefficient), T::of(target));
            let value = l0.iter().map(|&l| (l - target) * (l - target)).sum::<T>() * two * c / (target * rows);
            steps(value, l0.mapv(|l| four * c * (l - target) / (target * rows)))
        }
        Sparsity::Tanh { coefficient, scale } => tanh(T::of(coefficient), T::of(scale), f, norms(sae, LayerNorms::Sum)),
    })
}

fn norms<T: Scalar>(sae: &Sae<T>, layers: LayerNorms) -> Array1<T> {
    match layers {
        LayerNorms::Sum => sae.decoder_norms(),
        LayerNorms::Joint => sae.w_dec.rows().into_iter().map(|row| norm(&row)).collect(),
    }
}

/// `c mean_b Σ h^p` or its root, `h = f ν`; features of 0 and silent rows add neither value nor gradient.
fn lp<T: Scalar>(c: T, p: f64, root: bool, f: &ArrayRef2<T>, norms: Option<(Array1<T>, bool)>) -> Penalty<T> {
    let rows = T::of(f.nrows() as f64);
    let h = norms.as_ref().map_or_else(|| f.to_owned(), |(norms, _)| &f.view() * norms);
    let power = T::of(p);
    let mut by_h = Array2::zeros(f.raw_dim());
    let mut value = T::zero();
    for (h, mut by_h) in h.rows().into_iter().zip(by_h.rows_mut()) {
        let total: T = h.iter().filter(|&&h| h > T::zero()).map(|&h| if p == 1.0 { h } else { h.powf(power) }).sum();
        if total <= T::zero() {
            continue;
        }
        let (row_value, outer) = if root {
            (total.powf(power.recip()), total.powf(power.recip() - T::one()) / power)
        } else {
            (total, T::one())
        };
        value += row_value;
        by_h.zip_mut_with(&h, |slope, &h| {
            if h > T::zero() {
                let inner = if p == 1.0 { T::one() } else { power * h.powf(power - T::one()) };
                *slope = c / rows * outer * inner;
            }
        });
    }
    weigh(c * value / rows, by_h, f, norms)
}

/// `c mean_b Σ tanh(s f ν)`.
fn tanh<T: Scalar>(c: T, scale: T, f: &ArrayRef2<T>, norms: Array1<T>) -> Penalty<T> {
    let rows = T::of(f.nrows() as f64);
    let tanh = (&f.view() * &norms).mapv(|h| (scale * h).tanh());
    let value = c * tanh.sum() / rows;
    weigh(value, tanh.mapv(|t| c / rows * scale * (T::one() - t * t)), f, Some((norms, false)))
}

/// From the gradient by `h = f ν` to those by `f` and by `ν`.
fn weigh<T: Scalar>(value: T, by_h: Array2<T>, f: &ArrayRef2<T>, norms: Option<(Array1<T>, bool)>) -> Penalty<T> {
    let Some((norms, joint)) = norms else {
        return Penalty { value, by_features: Some(by_h), by_norms: None, by_steps: None };
    };
    let mut by_norms = by_h.clone();
    Zip::from(&mut by_norms).and(f).for_each(|slope, &f| *slope *= f);
    let by_norms = column_sums(&by_norms);
    Penalty { value, by_features: Some(by_h * &norms), by_norms: Some((by_norms, joint)), by_steps: None }
}
