//! Tegum factors: groups of features that overlap with each other and with nobody else.
//!
//! ```text
//! nodes  features with ‖W_i‖ > 1/2        edges  |W_i · W_j| > τ        factors  connected components
//! ```
//!
//! A tegum product packs polytopes into orthogonal subspaces; each component of the overlap graph is one factor, and its
//! size and dimensionality tell which polytope it is.
//!
//! Source: Elhage et al. (2022), "Uniform Superposition".

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use super::{feature_dimensionality, feature_norms, gram};
use crate::error::check_each;
use crate::{Result, Scalar};

/// The shape that the features of a factor form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Polytope {
    /// One feature with a dimension of its own.
    Dedicated,
    /// An antipodal pair: 2 features in 1 dimension.
    Digon,
    /// 3 in 2.
    Triangle,
    /// 4 in 3.
    Tetrahedron,
    /// 5 in 2.
    Pentagon,
    /// 8 in 3.
    SquareAntiprism,
    /// Something else.
    Other,
}

/// A group of overlapping features.
#[derive(Debug, Clone, PartialEq)]
pub struct TegumFactor<T> {
    /// Indices of the features, ascending.
    pub features: Vec<usize>,
    /// Dimensions that they take up, the sum of their dimensionalities.
    pub dimensions: T,
    /// The shape.
    pub polytope: Polytope,
}

/// Tegum factors of `w: (m, n)`, largest first. Features with a norm of at most 1/2 are left out; an overlap counts above
/// `threshold`, for which 0.1 does well on trained models.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold below 0.
///
/// # Example
/// ```
/// use limpid::superposition::geometry::{Polytope, tegum_factors};
/// use ndarray::array;
///
/// let factors = tegum_factors(&array![[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]], 0.1)?;
/// assert_eq!((factors[0].polytope, factors[1].polytope), (Polytope::Digon, Polytope::Dedicated));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tegum_factors<T: Scalar>(w: &ArrayRef2<T>, threshold: T) -> Result<Vec<TegumFactor<T>>> {
    check_each("threshold", &[threshold], "finite and >= 0", |x| x >= T::zero() && x.is_finite())?;
    let (gram, norms, share) = (gram(w)?, feature_norms(w)?, feature_dimensionality(w)?);
    let mut free: Vec<bool> = norms.iter().map(|&norm| norm > T::of(0.5)).collect();
    let mut factors = Vec::new();
    for start in 0..free.len() {
        if !core::mem::take(&mut free[start]) {
            continue;
        }
        let (mut features, mut next) = (vec![start], 0);
        while let Some(&i) = features.get(next) {
            next += 1;
            for j in 0..free.len() {
                if free[j] && gram[[i, j]].abs() > threshold {
                    free[j] = false;
                    features.push(j);
                }
            }
        }
        features.sort_unstable();
        let dimensions = features.iter().map(|&i| share[i]).sum();
        let polytope = classify(features.len(), dimensions);
        factors.push(TegumFactor { features, dimensions, polytope });
    }
    factors.sort_by_key(|factor| core::cmp::Reverse(factor.features.len()));
    Ok(factors)
}

fn classify<T: Scalar>(count: usize, dimensions: T) -> Polytope {
    let candidates = [
        (1, 1.0, Polytope::Dedicated),
        (2, 1.0, Polytope::Digon),
        (3, 2.0, Polytope::Triangle),
        (4, 3.0, Polytope::Tetrahedron),
        (5, 2.0, Polytope::Pentagon),
        (8, 3.0, Polytope::SquareAntiprism),
    ];
    let fits = |&&(features, size, _): &&(usize, f64, Polytope)| {
        features == count && (dimensions.as_f64() - size).abs() < 0.05 * size
    };
    candidates.iter().find(fits).map_or(Polytope::Other, |&(_, _, polytope)| polytope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::polytope::{polygon, simplex, square_antiprism};
    use ndarray::Array2;

    #[test]
    fn a_product_of_polytopes_is_taken_apart() {
        let mut w = Array2::<f64>::zeros((8, 18));
        let mut at = (0, 0);
        for part in [polygon(5), simplex(3), square_antiprism()] {
            let (m, n) = part.dim();
            part.indexed_iter().for_each(|((d, i), &x)| w[[at.0 + d, at.1 + i]] = x);
            at = (at.0 + m, at.1 + n);
        }
        w[[0, 17]] = 0.3;
        let found: Vec<Polytope> = tegum_factors(&w, 0.05).unwrap().iter().map(|factor| factor.polytope).collect();
        assert_eq!(found, [Polytope::SquareAntiprism, Polytope::Pentagon, Polytope::Tetrahedron]);
    }
}
