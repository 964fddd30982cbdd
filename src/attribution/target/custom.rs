//! A target of the caller's own.

use core::fmt;

use super::Target;
use crate::{Result, Scalar};

/// Two closures: `value(row, z)` and `cotangent(row, z, gradient)`, which writes all of its gradient by `z`.
///
/// # Example
/// ```
/// use limpid::attribution::target::{Custom, Target};
///
/// // the margin between two groups of outputs
/// let margin = Custom::new(
///     |_row, z: &[f64]| z[0] + z[1] - z[2],
///     |_row, _z: &[f64], gradient: &mut [f64]| gradient.copy_from_slice(&[1.0, 1.0, -1.0]),
/// );
/// assert_eq!(margin.value(0, &[1.0, 2.0, 4.0]), -1.0);
/// ```
#[derive(Clone, Copy)]
pub struct Custom<V, G> {
    value: V,
    cotangent: G,
}

impl<V, G> Custom<V, G> {
    /// From its value and its gradient by the outputs of a row.
    pub fn new<T: Scalar>(value: V, cotangent: G) -> Self
    where
        V: Fn(usize, &[T]) -> T,
        G: Fn(usize, &[T], &mut [T]),
    {
        Self { value, cotangent }
    }
}

impl<V, G> fmt::Debug for Custom<V, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

impl<T: Scalar, V: Fn(usize, &[T]) -> T, G: Fn(usize, &[T], &mut [T])> Target<T> for Custom<V, G> {
    fn check(&self, _rows: usize, _outputs: usize) -> Result<()> {
        Ok(())
    }

    fn value(&self, row: usize, z: &[T]) -> T {
        (self.value)(row, z)
    }

    fn cotangent(&self, row: usize, z: &[T], gradient: &mut [T]) {
        (self.cotangent)(row, z, gradient);
    }
}
