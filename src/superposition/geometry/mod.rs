//! How features are laid out in the hidden space: norms, shares of dimensions, overlaps, polytopes.

pub mod canonical;
pub mod dimensionality;
pub mod interference;
pub mod norms;
pub mod polysemanticity;
pub mod polytope;
pub mod tegum;

pub use canonical::{align, canonical_2d};
pub use dimensionality::{
    capacity, data_dimensionality, dimensions_per_feature, feature_dimensionality, features_per_dimension,
};
pub use interference::{Interference, coherence, interference, superposition_per_feature};
pub use norms::{feature_norms, frobenius_squared, represented_features};
pub use polysemanticity::{Polysemanticity, polysemanticity, rescale_neurons};
pub use tegum::{Polytope, TegumFactor, tegum_factors};

use ndarray::{Array2, ArrayRef2};

use crate::error::{check_finite, check_limit, check_not_empty};
use crate::math::gemm::product;
use crate::{Result, Scalar};

/// Largest number of features whose pairwise overlaps are held in memory at once.
pub const MAX_GRAM: usize = 1 << 14;

/// Checks a weight matrix `w: (m, n)` that pairwise overlaps are computed of.
fn check_weight<T: Scalar>(w: &ArrayRef2<T>) -> Result<()> {
    check_not_empty("w", w)?;
    check_finite("w", w)
}

/// `Wᵀ W: (n, n)`.
fn gram<T: Scalar>(w: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_weight(w)?;
    check_limit("features of a Gram matrix", w.ncols(), MAX_GRAM)?;
    product(&w.t(), w)
}
