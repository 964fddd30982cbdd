//! What is measured on one matrix of output weights: neurons are the features, the residual stream the dimensions.

use limpid::Seed;
use limpid::math::random::fill_normal;
use limpid::superposition::geometry::{
    feature_dimensionality, feature_norms, features_per_dimension, interference, polysemanticity,
};
use ndarray::{Array1, Array2};

use crate::Result;

/// Share of the largest weight above which a weight counts; only the participation ratio, which needs none, is shown.
const THRESHOLD: f64 = 0.2;

/// Superposition of the columns of a matrix `(d, neurons)`.
pub(crate) struct Shape {
    pub(crate) per_dimension: f64,
    /// `D_i` of each neuron.
    pub(crate) dimensionality: Array1<f64>,
    pub(crate) norms: Array1<f64>,
    /// Dimensions that each neuron writes to, as a participation ratio.
    pub(crate) spread: Array1<f64>,
    /// The neuron whose direction is closest to each neuron's, and the cosine.
    pub(crate) closest: Vec<(usize, f64)>,
    /// Of every two neurons.
    pub(crate) cosines: Vec<f64>,
    /// Largest `|cos|` of two neurons.
    pub(crate) coherence: f64,
}

impl Shape {
    pub(crate) fn of(w: &Array2<f64>) -> Result<Self> {
        let (overlaps, norms) = (interference(w)?, feature_norms(w)?);
        let cosine = |i: usize, j: usize| if norms[j] > 0.0 { overlaps.normalized[[i, j]] / norms[j] } else { 0.0 };
        let n = w.ncols();
        let larger = |best: (usize, f64), next: (usize, f64)| if next.1.abs() > best.1.abs() { next } else { best };
        let closest = (0..n).map(|i| (0..n).map(|j| (j, cosine(i, j))).fold((i, 0.0), larger)).collect();
        let cosines = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|(i, j)| cosine(i, j)).collect();
        Ok(Self {
            per_dimension: features_per_dimension(w)?,
            dimensionality: feature_dimensionality(w)?,
            spread: polysemanticity(&w.t(), THRESHOLD)?.participation,
            coherence: overlaps.coherence,
            closest,
            cosines,
            norms,
        })
    }

    /// Numbers of neurons, the one with the least of a dimension to itself first.
    pub(crate) fn by_dimensionality(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.norms.len()).collect();
        order.sort_by(|&a, &b| self.dimensionality[a].total_cmp(&self.dimensionality[b]));
        order
    }

    pub(crate) fn root_mean_square_cosine(&self) -> f64 {
        (self.cosines.iter().map(|c| c * c).sum::<f64>() / self.cosines.len().max(1) as f64).sqrt()
    }
}

/// Gaussian columns with the norms of `w`'s: what the same neurons would share without having learned anything.
pub(crate) fn random_like(w: &Array2<f64>, norms: &Array1<f64>) -> Result<Array2<f64>> {
    let mut values = vec![0.0; w.len()];
    fill_normal(&mut Seed(0).stream(0, 0), 1.0, &mut values);
    let mut random = Array2::from_shape_fn(w.dim(), |(i, j)| values[i * w.ncols() + j]);
    let lengths = feature_norms(&random)?;
    for ((mut column, &norm), &length) in random.columns_mut().into_iter().zip(norms).zip(&lengths) {
        column.mapv_inplace(|x| x * norm / length.max(f64::MIN_POSITIVE));
    }
    Ok(random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_pair_shares_a_dimension_and_a_third_neuron_has_its_own() {
        let w = array![[1.0, -2.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]];
        let shape = Shape::of(&w).unwrap();
        assert_eq!(shape.closest, [(1, -1.0), (0, -1.0), (2, 0.0)]);
        assert_eq!((shape.cosines, shape.coherence), (vec![-1.0, 0.0, 0.0], 1.0));
        assert_eq!(shape.spread, array![1.0, 1.0, 2.0]);
        assert!((shape.dimensionality[2] - 1.0).abs() < 1e-12 && shape.dimensionality[0] < shape.dimensionality[1]);
        assert!((shape.per_dimension - 7.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn random_columns_keep_the_norms() {
        let w = array![[3.0, 0.0, 1.0], [4.0, 0.0, 0.0]];
        let norms = feature_norms(&w).unwrap();
        let random = feature_norms(&random_like(&w, &norms).unwrap()).unwrap();
        assert!(random.iter().zip(&norms).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
