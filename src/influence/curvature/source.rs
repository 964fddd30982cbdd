//! Attribution by approximate unrolling: what a segment of training did with an example, in the same eigenbasis.
//!
//! ```text
//! segment k of K steps with rate η and curvature C_k:    r_k = (1 - exp(-ηK C_k)) C_k⁻¹,   S_k = exp(-ηK C_k)
//! score(q, i) = Σ_k ⟨ r_k S_{k+1} ... S_last G_q,  G_i at segment k ⟩
//! ```
//!
//! The query is carried backwards through the segments once; each then has a preconditioned query of its own. As for all
//! scores there is no `1/N`. With all segments at the same checkpoint the sum collapses to damped influence.
//!
//! Source: Bae et al., "Training data attribution via approximate unrolled differentiation" (2024), section 3,
//! <https://arxiv.org/abs/2405.12186>.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::layer::LayerCurvature;
use super::spectral::Spectral;
use crate::Result;

/// A part of training with about constant curvature.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Curvature of the layer in this segment.
    pub curvature: &'a LayerCurvature,
    /// Learning rate.
    pub rate: f64,
    /// Steps.
    pub steps: u64,
}

/// The query gradient `v: (d_out, d)` at the end of training, as each segment must be asked with it, in their order.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::OutOfRange`](crate::Error::OutOfRange) for a rate that is negative or
/// not finite.
pub fn source_queries(segments: &[Segment<'_>], v: &ArrayRef2<f64>) -> Result<Vec<Array2<f64>>> {
    let mut carried = v.to_owned();
    let mut queries = Vec::with_capacity(segments.len());
    for segment in segments.iter().rev() {
        let Segment { curvature, rate, steps } = *segment;
        queries.push(curvature.preconditioner(&Spectral::Source { rate, steps })?.apply(&carried)?);
        carried = curvature.preconditioner(&Spectral::Decay { rate, steps })?.apply(&carried)?;
    }
    queries.reverse();
    Ok(queries)
}
