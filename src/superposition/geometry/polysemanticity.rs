//! Polysemanticity of neurons: how many features each one answers to.
//!
//! ```text
//! count_k = #{i : |W_ki| > τ max_i |W_ki|}        participation_k = (Σ_i W_ki²)² / Σ_i W_ki⁴
//! ```
//!
//! Neurons are the rows of `W: (m, n)` where the hidden layer has a privileged basis. The rescaling
//! `W_k* → α W_k*, D_*k → D_*k / α` with `α = 1/max_i |W_ki|` leaves a ReLU network's function as it is.
//!
//! Source: Elhage et al. (2022), "Superposition in a Privileged Basis" and "Computing in Superposition".

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use super::check_weight;
use crate::error::{check_each, check_finite, check_shape};
use crate::{Result, Scalar};

/// What each neuron answers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Polysemanticity<T> {
    /// Features above the threshold, per neuron, `(m)`; 0 for an all-zero neuron.
    pub features_per_neuron: Vec<usize>,
    /// Participation ratio per neuron, `(m)`; 0 for an all-zero neuron.
    pub participation: Array1<T>,
    /// Neurons that answer to exactly one feature.
    pub monosemantic: usize,
}

/// Polysemanticity of the rows of `w: (m, n)`; a weight counts above `threshold` times the largest of its row.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold outside `[0, 1]`.
///
/// # Example
/// ```
/// use limpid::superposition::geometry::polysemanticity;
/// use ndarray::array;
///
/// let neurons = polysemanticity(&array![[1.0, 0.0], [1.0, -1.0]], 0.2)?;
/// assert_eq!((neurons.features_per_neuron, neurons.monosemantic), (vec![1, 2], 1));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn polysemanticity<T: Scalar>(w: &ArrayRef2<T>, threshold: T) -> Result<Polysemanticity<T>> {
    check_weight(w)?;
    check_each("threshold", &[threshold], "0 <= threshold <= 1", |x| x >= T::zero() && x <= T::one())?;
    let largest = largest_weights(w);
    let features_per_neuron: Vec<usize> = (w.rows().into_iter().zip(&largest))
        .map(|(row, &largest)| row.iter().filter(|x| x.abs() > threshold * largest).count())
        .collect();
    let participation = (w.rows().into_iter().zip(&largest))
        .map(|(row, &largest)| {
            if largest <= T::zero() {
                return T::zero();
            }
            let squares = || row.iter().map(|&x| (x / largest) * (x / largest));
            let total: T = squares().sum();
            total * total / squares().map(|x| x * x).sum::<T>()
        })
        .collect();
    let monosemantic = features_per_neuron.iter().filter(|&&count| count == 1).count();
    Ok(Polysemanticity { features_per_neuron, participation, monosemantic })
}

/// Rescales every hidden neuron so that its largest encoder weight is 1 in size: `(encoder, decoder)` of the same
/// function. `encoder: (m, n)`, `decoder: (n, m)`; an all-zero neuron stays as it is.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub fn rescale_neurons<T: Scalar>(encoder: &ArrayRef2<T>, decoder: &ArrayRef2<T>) -> Result<(Array2<T>, Array2<T>)> {
    check_weight(encoder)?;
    let (m, _) = encoder.dim();
    check_shape("decoder", decoder, &[decoder.nrows(), m])?;
    check_finite("decoder", decoder)?;
    let scale = largest_weights(encoder).mapv(|x| if x > T::zero() { x } else { T::one() });
    Ok((&encoder.view() / &scale.view().insert_axis(Axis(1)), &decoder.view() * &scale))
}

fn largest_weights<T: Scalar>(w: &ArrayRef2<T>) -> Array1<T> {
    w.map_axis(Axis(1), |row| row.iter().fold(T::zero(), |largest, x| largest.max(x.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn participation_counts_equal_weights() {
        let neurons = polysemanticity(&array![[2.0, -2.0, 2.0], [0.0, 0.0, 0.0]], 0.5).unwrap();
        assert_eq!(neurons.participation, array![3.0, 0.0]);
        assert_eq!(neurons.features_per_neuron, [3, 0]);
    }

    #[test]
    fn rescaling_keeps_the_function() {
        let (encoder, decoder) = (array![[0.5, -2.0], [0.0, 0.0]], array![[1.0, 3.0], [-1.0, 0.5]]);
        let (e, d) = rescale_neurons(&encoder, &decoder).unwrap();
        let apply = |e: &Array2<f64>, d: &Array2<f64>| d.dot(&e.dot(&array![0.3, -0.7]).mapv(|x| x.max(0.0)));
        assert_eq!(apply(&e, &d), apply(&encoder, &decoder));
        assert_eq!(e, array![[0.25, -1.0], [0.0, 0.0]]);
    }
}
