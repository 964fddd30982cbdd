//! Numbers for the tests of the area.

use ndarray::Array2;

use crate::Seed;
use crate::math::random::fill_normal;

/// Normal numbers.
pub(crate) fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut x = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(23).stream(1, item), 1.0, x.as_slice_mut().unwrap());
    x
}
