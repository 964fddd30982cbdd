//! Sums with one fixed order: lanes within a block, then blocks in pairs.
//!
//! ```text
//! block    elements in rows of 4 vectors, each lane summed on its own, then the 4 vectors in pairs, then the lanes in pairs
//! total    block sums added like the digits of a binary counter: pairs of blocks, pairs of pairs, ...
//! ```
//!
//! The order depends on the number of elements alone, so the result is the same for every layout, machine and thread
//! count. The error grows with the logarithm of the length, not with the length.
//!
//! Source: Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14(4), 1993, section 3 (pairwise
//! summation), <https://doi.org/10.1137/0914050>.

use ndarray::{Array1, ArrayRef1, ArrayRef2, ArrayView2, Axis};

use super::simd::{Simd, SimdBase, Vector, dispatch, level, load_part};
use crate::error::check_shape;
use crate::{Result, Scalar};

/// Vectors that are summed side by side.
const SIDE: usize = 4;

/// Elements of one block: the most that one lane chain should hold, and a buffer that fits anywhere.
const BLOCK: usize = 512;

/// Rows that [`column_sums`] adds one after another.
const ROWS: usize = 32;

/// `Σ x_i` of `x: (n)`; 0 without elements.
///
/// # Example
/// ```
/// use limpid::math::reduce::sum;
/// use ndarray::Array1;
///
/// // one element after another, a sum of single floats would stall at 16,777,216
/// assert_eq!(sum(&Array1::<f32>::ones(20_000_000)), 20_000_000.0);
/// ```
#[must_use]
pub fn sum<T: Scalar>(x: &ArrayRef1<T>) -> T {
    blocked(x.len(), |at| {
        let mut buffer = [T::zero(); BLOCK];
        let x = block(x, at, &mut buffer);
        dispatch!(level(), simd => lanes(simd, x, x, #[inline(always)] |x, _| x))
    })
}

/// `Σ a_i b_i` of `a, b: (n)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the lengths differ.
pub fn dot<T: Scalar>(a: &ArrayRef1<T>, b: &ArrayRef1<T>) -> Result<T> {
    check_shape("b", b, &[a.len()])?;
    Ok(blocked(a.len(), |at| {
        let mut buffers = [[T::zero(); BLOCK]; 2];
        let [left, right] = &mut buffers;
        let (a, b) = (block(a, at, left), block(b, at, right));
        dispatch!(level(), simd => lanes(simd, a, b, #[inline(always)] |a, b| a * b))
    }))
}

/// Euclidean length `√(Σ x_i²)` of `x: (n)`, without overflow or underflow on the way; NaN where an element is NaN.
#[must_use]
pub fn norm<T: Scalar>(x: &ArrayRef1<T>) -> T {
    let square = blocked(x.len(), |at| {
        let mut buffer = [T::zero(); BLOCK];
        let x = block(x, at, &mut buffer);
        dispatch!(level(), simd => lanes(simd, x, x, #[inline(always)] |a, b| a * b))
    });
    // squares between these bounds have lost nothing to overflow or to subnormal numbers
    if square.is_nan() || square.is_finite() && square > T::min_positive_value() / T::epsilon() {
        return square.sqrt();
    }
    let largest = x.iter().fold(T::zero(), |largest, v| largest.max(v.abs()));
    if largest <= T::zero() || largest.is_infinite() {
        return largest;
    }
    largest * norm(&x.mapv(|v| v / largest))
}

/// Sums over the rows of `x: (b, n)`, `(n)`: rows in pairs of blocks, as [`sum`] does with elements.
#[must_use]
pub fn column_sums<T: Scalar>(x: &ArrayRef2<T>) -> Array1<T> {
    fn add<T: Scalar>(x: ArrayView2<'_, T>, out: &mut Array1<T>) {
        let rows = x.nrows();
        if rows <= ROWS {
            x.rows().into_iter().for_each(|row| *out += &row);
            return;
        }
        // a cut at a power of two, so that the first half does not depend on how many rows follow
        let half = ROWS * (rows.div_ceil(ROWS).next_power_of_two() / 2);
        let (first, rest) = x.split_at(Axis(0), half);
        add(first, out);
        let mut other = Array1::zeros(out.raw_dim());
        add(rest, &mut other);
        *out += &other;
    }
    let mut out = Array1::zeros(x.ncols());
    add(x.view(), &mut out);
    out
}

/// The elements of one block, copied to `buffer` where they do not lie side by side.
fn block<'a, T: Scalar>(x: &'a ArrayRef1<T>, at: usize, buffer: &'a mut [T; BLOCK]) -> &'a [T] {
    let count = BLOCK.min(x.len() - at);
    if let Some(x) = x.as_slice() {
        return &x[at..at + count];
    }
    buffer.iter_mut().zip(x.iter().skip(at)).for_each(|(to, &from)| *to = from);
    &buffer[..count]
}

/// Adds the results of `sum_block` for blocks that start at 0, [`BLOCK`], ...: equal numbers of blocks in pairs.
fn blocked<T: Scalar>(len: usize, sum_block: impl Fn(usize) -> T) -> T {
    let mut waiting = [T::zero(); usize::BITS as usize];
    let mut blocks = 0_usize;
    for at in (0..len).step_by(BLOCK) {
        let mut sum = sum_block(at);
        for waiting in waiting.iter().take(blocks.trailing_ones() as usize) {
            sum = *waiting + sum;
        }
        waiting[blocks.trailing_ones() as usize] = sum;
        blocks += 1;
    }
    let present = (0..usize::BITS as usize).filter(|&digit| blocks >> digit & 1 == 1);
    present.map(|digit| waiting[digit]).reduce(|small, large| large + small).unwrap_or_else(T::zero)
}

/// Sum of `term` over one block.
#[inline(always)]
fn lanes<T: Scalar, S: Simd>(
    simd: S,
    a: &[T],
    b: &[T],
    term: impl Fn(Vector<T, S>, Vector<T, S>) -> Vector<T, S>,
) -> T {
    let mut sums = [Vector::<T, S>::splat(simd, T::zero()); SIDE];
    for (a, b) in a.chunks(SIDE * T::LANES).zip(b.chunks(SIDE * T::LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.chunks(T::LANES).zip(b.chunks(T::LANES))) {
            *sum += term(load_part::<T, S>(simd, a), load_part::<T, S>(simd, b));
        }
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).reduce_sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed, math::random::fill_normal};
    use ndarray::{Array2, Slice, array};

    fn noise(len: usize) -> Array1<f64> {
        let mut x = Array1::zeros(len);
        fill_normal(&mut Seed(9).stream(0, len as u64), 1.0, x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn sums_equal_the_plain_ones_at_every_length() {
        for len in [0, 1, 7, 8, 63, 64, 65, 511, 512, 513, 1024, 1025, 5000] {
            let (a, b) = (noise(len), noise(len + 1));
            let b = b.slice_axis(Axis(0), Slice::new(1, None, 1));
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot(&a, &b).unwrap() - plain).abs() < 1e-11, "{len}");
            assert!((sum(&a) - a.iter().sum::<f64>()).abs() < 1e-11, "{len}");
            assert!((norm(&a) - a.iter().map(|x| x * x).sum::<f64>().sqrt()).abs() < 1e-11, "{len}");
        }
    }

    #[test]
    fn the_layout_does_not_change_a_bit() {
        let x = noise(3000);
        let mut spread = Array2::zeros((3000, 2));
        spread.column_mut(1).assign(&x);
        assert_eq!(sum(&spread.column(1)).to_bits(), sum(&x).to_bits());
        assert_eq!(dot(&spread.column(1), &x).unwrap().to_bits(), dot(&x, &x).unwrap().to_bits());
    }

    #[test]
    fn the_error_does_not_grow_with_the_length() {
        let len = if cfg!(miri) { 3000 } else { 3_000_000 };
        let x = Array1::from_elem(len, 0.1_f32);
        let exact = len as f64 * f64::from(0.1_f32);
        assert!((f64::from(sum(&x)) / exact - 1.0).abs() < 3e-7);
        let columns = column_sums(&x.to_shape((len / 3, 3)).unwrap());
        assert!(columns.iter().all(|&c| (f64::from(c) / exact * 3.0 - 1.0).abs() < 2e-6));
    }

    #[test]
    fn lengths_keep_their_digits_at_every_scale() {
        for scale in [1e-200_f64, 1e-30, 1.0, 1e200] {
            assert!((norm(&array![3.0 * scale, -4.0 * scale]) / scale - 5.0).abs() < 1e-14, "{scale}");
        }
        assert!((norm(&array![3e30_f32, 4e30]) / 5e30 - 1.0).abs() < 1e-6);
        assert_eq!(norm(&array![0.0, 0.0]), 0.0);
        assert_eq!(norm(&array![1.0, f64::INFINITY]), f64::INFINITY);
        assert!(norm(&array![f64::INFINITY, f64::NAN, 1.0]).is_nan());
    }

    #[test]
    fn columns_are_summed_one_by_one() {
        let x = Array2::from_shape_fn((100, 3), |(row, column)| (row * (column + 1)) as f64);
        assert_eq!(column_sums(&x), array![4950.0, 9900.0, 14850.0]);
        assert_eq!(column_sums(&Array2::<f32>::zeros((0, 2))), array![0.0, 0.0]);
    }

    #[test]
    fn lengths_that_differ_are_named() {
        assert!(matches!(dot(&array![1.0], &array![1.0, 2.0]), Err(Error::Shape { what: "b", .. })));
    }
}
