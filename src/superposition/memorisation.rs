//! Exact memorisation: a ReLU-output model with two hidden dimensions and zero training loss.
//!
//! ```text
//! h_t = r (cos θt, sin θt),  θ = 2π/T        r = 1 for T <= 4,  r² = 1/(1 - cos θ) for T >= 5
//! W = Σ_t h_t x_tᵀ        b_i = -x_ti cos θ/(1 - cos θ) for the point t that holds feature i; 0 for T <= 4 or no point
//! ```
//!
//! Exact for unit-length, non-negative points with disjoint supports: the hidden vectors form a regular polygon, and the
//! bias cuts off all neighbours.
//!
//! Source: the geometry of Henighan et al., "Superposition, Memorization, and Double Descent" (2023); the closed form
//! follows from asking that `h_t · h_s` pass the bias only for `s = t`.

use ndarray::{Array1, Array2, ArrayRef2};

use super::geometry::polytope::polygon;
use super::model::{Architecture, ToyModel};
use crate::error::{check_each, check_not_empty};
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// A model that stores its training points exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct Memorisation<T> {
    /// Radius of the polygon of hidden vectors.
    pub radius: T,
    /// Hidden vectors `(t, 2)`.
    pub hidden: Array2<T>,
    /// The model.
    pub model: ToyModel<T>,
}

/// The exact memorisation of `points: (t, n)`.
///
/// # Errors
/// [`Error::Empty`]; [`Error::OutOfRange`] for a negative entry or a point whose length is not 1 (to 1e-6), with the index
/// of the entry or point; [`Error::Unsupported`] where two points share a feature.
///
/// # Example
/// ```
/// use limpid::superposition::memorisation::memorise;
/// use ndarray::Array2;
///
/// let points = Array2::<f64>::eye(5);
/// let stored = memorise(&points)?;
/// let error = (&stored.model.forward(&points)?.output - &points).mapv(f64::abs).sum();
/// assert!(error < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn memorise<T: Scalar>(points: &ArrayRef2<T>) -> Result<Memorisation<T>> {
    check_points(points)?;
    let count = points.nrows();
    let cos = libm::cos(core::f64::consts::TAU / count as f64);
    let (radius, push) = if count <= 4 { (1.0, 0.0) } else { (libm::sqrt(1.0 / (1.0 - cos)), cos / (1.0 - cos)) };
    let hidden = polygon::<T>(count).reversed_axes().mapv(|x| x * T::of(radius));
    let weight = product(&hidden.t(), points)?;
    let bias: Array1<T> = points.columns().into_iter().map(|column| -T::of(push) * column.sum()).collect();
    let model = ToyModel::new(Architecture::ReluOutput, weight, bias)?;
    Ok(Memorisation { radius: T::of(radius), hidden, model })
}

fn check_points<T: Scalar>(points: &ArrayRef2<T>) -> Result<()> {
    check_not_empty("points", points)?;
    check_each("points", points, "finite and >= 0", |x| x >= T::zero() && x.is_finite())?;
    let lengths: Array1<T> = points.rows().into_iter().map(|x| x.iter().map(|&v| v * v).sum::<T>().sqrt()).collect();
    check_each("length of a point", &lengths, "1", |x| (x - T::one()).abs() <= T::of(1e-6))?;
    let shared = |column: ndarray::ArrayView1<'_, T>| column.iter().filter(|&&x| x > T::zero()).count() > 1;
    if points.columns().into_iter().any(shared) {
        return Err(Error::Unsupported { what: "exact memorisation of points that share a feature" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::data_dimensionality;
    use ndarray::array;

    #[test]
    fn every_count_is_stored_exactly() {
        for count in 1..40 {
            let points = Array2::<f64>::eye(count);
            let stored = memorise(&points).unwrap();
            let output = stored.model.forward(&points).unwrap().output;
            assert!((&output - &points).iter().all(|x| x.abs() < 1e-9), "{count}");
            if count >= 3 {
                let share = data_dimensionality(&stored.hidden).unwrap();
                assert!(share.iter().all(|d| (d - 2.0 / count as f64).abs() < 1e-9));
            }
        }
    }

    #[test]
    fn points_that_cannot_be_stored_are_refused() {
        assert!(matches!(memorise(&array![[0.5, 0.5]]), Err(Error::OutOfRange { what: "length of a point", .. })));
        assert!(matches!(memorise(&array![[1.0], [1.0]]), Err(Error::Unsupported { .. })));
        assert!(matches!(memorise(&array![[-1.0]]), Err(Error::OutOfRange { what: "points", .. })));
    }
}
