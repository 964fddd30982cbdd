//! Xavier (Glorot) scales of a tensor, with the fans that deep-learning frameworks count for more than two axes.
//!
//! ```text
//! fan_in = shape[1] Π rest,  fan_out = shape[0] Π rest        rest: the axes after the second
//! σ = √(2/(fan_in + fan_out)),  bound = √(6/(fan_in + fan_out))
//! ```
//!
//! An instance axis put first is counted as `fan_out`: the scale of each model then depends on how many are trained side
//! by side.
//!
//! Source: Glorot and Bengio (2010), equation 16.

use crate::error::check_limit;
use crate::{Error, Result};

/// Fans of a tensor and the scales that follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct XavierScale {
    /// Inputs of one output.
    pub fan_in: usize,
    /// Outputs of one input.
    pub fan_out: usize,
    /// Standard deviation of the normal law.
    pub normal_std: f64,
    /// Bound of the uniform law.
    pub uniform_bound: f64,
}

/// Sums of fans below this are exact in double precision, and fit into any address space.
const MAX_FANS: usize = usize::MAX >> 11;

/// Xavier scales for a tensor of this shape, gain 1.
///
/// # Errors
/// [`Error::Unsupported`] for fewer than two axes, [`Error::Empty`] where an axis is 0, [`Error::TooLarge`] where the fans
/// overflow.
///
/// # Example
/// ```
/// use limpid::superposition::initialisation::xavier_scale;
/// let scale = xavier_scale(&[10, 5, 2])?;
/// assert_eq!((scale.fan_in, scale.fan_out), (10, 20));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn xavier_scale(shape: &[usize]) -> Result<XavierScale> {
    let [first, second, rest @ ..] = shape else {
        return Err(Error::Unsupported { what: "the fans of fewer than two axes" });
    };
    let fan = |axis: usize| rest.iter().fold(axis, |product, &axis| product.saturating_mul(axis));
    let (fan_in, fan_out) = (fan(*second), fan(*first));
    if fan_in == 0 || fan_out == 0 {
        return Err(Error::Empty { what: "shape" });
    }
    check_limit("fans", fan_in.saturating_add(fan_out), MAX_FANS)?;
    let total = (fan_in + fan_out) as f64;
    Ok(XavierScale { fan_in, fan_out, normal_std: libm::sqrt(2.0 / total), uniform_bound: libm::sqrt(6.0 / total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_shapes_are_errors() {
        assert!(matches!(xavier_scale(&[3]), Err(Error::Unsupported { .. })));
        assert_eq!(xavier_scale(&[3, 0]), Err(Error::Empty { what: "shape" }));
        assert!(matches!(xavier_scale(&[usize::MAX, 3]), Err(Error::TooLarge { .. })));
    }
}
