//! The polytopes that toy models arrange features in, as unit vectors.
//!
//! | polytope | features | dimensions | D_i |
//! |---|---|---|---|
//! | polygon | k | 2 | 2/k |
//! | simplex | m + 1 | m | m/(m + 1) |
//! | cross-polytope (digons) | 2m | m | 1/2 |
//! | square antiprism | 8 | 3 | 3/8 |
//!
//! Source: Elhage et al. (2022), "Uniform Superposition".

use ndarray::Array2;

use crate::Scalar;

/// Vertices of a regular polygon as columns, `(2, k)`; the first is on the positive first axis.
#[must_use]
pub fn polygon<T: Scalar>(k: usize) -> Array2<T> {
    Array2::from_shape_fn((2, k), |(row, i)| {
        let angle = i as f64 * core::f64::consts::TAU / k as f64;
        T::of(if row == 0 { libm::cos(angle) } else { libm::sin(angle) })
    })
}

/// Vertices of a regular simplex as columns, `(m, m + 1)`: 1 pair, triangle, tetrahedron, ...
#[must_use]
pub fn simplex<T: Scalar>(m: usize) -> Array2<T> {
    // each vertex is unit, and all overlaps are -1/m: built axis by axis, like a Cholesky factor
    let mut vertices = Array2::<f64>::zeros((m, m + 1));
    for axis in 0..m {
        let used: f64 = (0..axis).map(|d| vertices[[d, axis]] * vertices[[d, axis]]).sum();
        vertices[[axis, axis]] = libm::sqrt(1.0 - used);
        for i in axis + 1..=m {
            let overlap: f64 = (0..axis).map(|d| vertices[[d, axis]] * vertices[[d, i]]).sum();
            vertices[[axis, i]] = (-1.0 / m as f64 - overlap) / vertices[[axis, axis]];
        }
    }
    vertices.mapv(T::of)
}

/// Plus and minus every axis as columns, `(m, 2m)`: digon, square, octahedron, ...
#[must_use]
pub fn cross_polytope<T: Scalar>(m: usize) -> Array2<T> {
    Array2::from_shape_fn((m, 2 * m), |(d, i)| match (d == i / 2, i % 2) {
        (true, 0) => T::one(),
        (true, _) => -T::one(),
        _ => T::zero(),
    })
}

/// The square antiprism whose vertices form a tight frame, `(3, 8)`: two squares at heights `±1/√3`, turned by 45°.
#[must_use]
pub fn square_antiprism<T: Scalar>() -> Array2<T> {
    let height = libm::sqrt(1.0 / 3.0);
    let radius = libm::sqrt(2.0 / 3.0);
    Array2::from_shape_fn((3, 8), |(row, i)| {
        let (top, turn) = (i < 4, (i % 4) as f64 + if i < 4 { 0.0 } else { 0.5 });
        let angle = turn * core::f64::consts::FRAC_PI_2;
        T::of(match row {
            0 => radius * libm::cos(angle),
            1 => radius * libm::sin(angle),
            _ if top => height,
            _ => -height,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::{coherence, feature_dimensionality, feature_norms};
    use alloc::vec::Vec;

    #[test]
    fn dimensionalities_are_those_of_the_table() {
        let cases: Vec<(Array2<f64>, f64)> = alloc::vec![
            (polygon(5), 0.4),
            (simplex(1), 0.5),
            (simplex(3), 0.75),
            (cross_polytope(3), 0.5),
            (square_antiprism(), 0.375),
        ];
        for (w, expected) in cases {
            assert!(feature_dimensionality(&w).unwrap().iter().all(|d| (d - expected).abs() < 1e-12));
            assert!(feature_norms(&w).unwrap().iter().all(|norm| (norm - 1.0).abs() < 1e-12));
        }
        assert!((coherence(&simplex::<f64>(4)).unwrap() - 0.25).abs() < 1e-12);
    }
}
