//! Random projections whose entries are functions of their place: never stored, the same for every shard and thread.
//!
//! ```text
//! y = Pᵀ x / √k,   P: (rows, k),  P_rc = ±1 or N(0, 1), a function of (seed, layer, side, r, c) alone
//! ‖y‖² = ‖x‖² up to a relative error of about √(2/k)
//! ```
//!
//! Row `r` of a narrower projection is the beginning of row `r` of a wider one. A gradient `G` of a layer is projected as a
//! whole (every entry has its own row of `P`), or from both sides, `P_outᵀ G P_in`, which needs two small projections and
//! never forms `G`: `Σ_t (P_outᵀ g_t)(P_inᵀ ã_t)ᵀ`.
//!
//! Source: Johnson and Lindenstrauss (1984); Achlioptas, "Database-friendly random projections", JCSS 66(4), 2003, for signs;
//! Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent" (arXiv 2002.08484), for the
//! projection of both factors.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis, Slice};
use rand::Rng;

use super::layers::{MAX_VALUES, check_layers, dim};
use crate::error::{check_each, check_limit};
use crate::influence::LayerRows;
use crate::math::gemm::{add_product_into, product};
use crate::math::par::for_each_chunk_mut;
use crate::math::random::fill_normal;
use crate::{Result, Scalar, Seed};

/// Purpose of the random streams; the side and the layer stand above it.
const PURPOSE: u64 = 0x6a6c;

/// Rows of a projection that are made at a time.
const ROWS: usize = 512;

/// Numbers of gradients that are held at a time.
const HELD: usize = 1 << 22;

/// How the entries are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Entries {
    /// 1 or -1: one random bit each, and the smaller variance.
    #[default]
    Rademacher,
    /// Standard normal.
    Normal,
}

/// What a projection is applied to; each has entries of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A whole gradient, row-major.
    Whole,
    /// Inputs `ã` of a layer.
    Input,
    /// Gradients `g` at the outputs of a layer.
    Output,
}

impl Side {
    /// Purpose of the streams of a layer's side.
    pub(crate) fn purpose(self, layer: usize) -> u64 {
        let kind = match self {
            Self::Whole => 0,
            Self::Input => 1,
            Self::Output => 2,
        };
        PURPOSE | kind << 16 | (layer as u64) << 24
    }
}

/// A random projection to `k` dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Projection {
    /// Seed.
    pub seed: Seed,
    /// How the entries are drawn.
    pub entries: Entries,
    /// Dimensions `k` of the result.
    pub k: usize,
}

impl Projection {
    /// A projection by signs.
    #[must_use]
    pub fn new(k: usize, seed: Seed) -> Self {
        Self { seed, entries: Entries::Rademacher, k }
    }

    /// Rows `first..first + count` of `P/√k` for one layer and side, `(count, k)`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for `k` of 0, [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ numbers.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{Projection, Side};
    ///
    /// let projection = Projection::new(16, Seed(3));
    /// let all = projection.rows(0, Side::Whole, 0, 10)?;
    /// assert_eq!(projection.rows(0, Side::Whole, 7, 1)?.row(0), all.row(7));
    /// assert!(all.iter().all(|entry| entry.abs() == 0.25));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn rows(&self, layer: usize, side: Side, first: usize, count: usize) -> Result<Array2<f64>> {
        check_each("k", &[self.k as f64], ">= 1", |k: f64| k >= 1.0)?;
        check_limit("entries of a projection", self.k.saturating_mul(count), MAX_VALUES)?;
        let mut values = vec![0.0; count * self.k];
        for_each_chunk_mut(&mut values, self.k, |row, values| self.fill(layer, side, (first + row) as u64, values));
        Ok(Array2::from_shape_fn((count, self.k), |(row, column)| values[row * self.k + column]))
    }

    fn fill(&self, layer: usize, side: Side, row: u64, out: &mut [f64]) {
        let (mut stream, scale) = (self.seed.stream(side.purpose(layer), row), 1.0 / libm::sqrt(self.k as f64));
        match self.entries {
            Entries::Normal => fill_normal(&mut stream, scale, out),
            Entries::Rademacher => {
                for values in out.chunks_mut(32) {
                    let bits = stream.next_u32();
                    values
                        .iter_mut()
                        .enumerate()
                        .for_each(|(bit, x)| *x = if bits >> bit & 1 == 1 { scale } else { -scale });
                }
            }
        }
    }

    /// Whole gradients of all layers projected to one vector for each example, `(n, k)`: the features of TRAK.
    ///
    /// # Errors
    /// As [`Projection::rows`], [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape).
    pub fn gradients<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
        let n = check_layers("layers", layers)?;
        check_limit("numbers of all features", n.saturating_mul(self.k), MAX_VALUES)?;
        check_limit("parameters", dim(layers), MAX_VALUES)?;
        let mut out = Array2::zeros((n, self.k));
        for (number, layer) in layers.iter().enumerate() {
            let size = layer.d_out() * layer.d_in();
            let together = (HELD / size.max(1)).max(1);
            for first in (0..n).step_by(together) {
                let held = (first + together).min(n);
                let gradients = flat(layer, first, held)?;
                let mut to = out.slice_axis_mut(Axis(0), Slice::from(first..held));
                for start in (0..size).step_by(ROWS) {
                    let columns = Slice::from(start..(start + ROWS).min(size));
                    let entries = self.rows(number, Side::Whole, start, ROWS.min(size - start))?;
                    add_product_into(&gradients.slice_axis(Axis(1), columns), &entries, &mut to)?;
                }
            }
        }
        Ok(out)
    }

    /// Gradients of one layer projected from both sides to `k × k` and laid out as a row, `(n, k²)`.
    ///
    /// # Errors
    /// As [`Projection::rows`].
    pub fn two_sided<T: Scalar>(&self, number: usize, layer: &LayerRows<'_, T>) -> Result<Array2<f64>> {
        let input = self.rows(number, Side::Input, 0, layer.d_in())?;
        let output = self.rows(number, Side::Output, 0, layer.d_out())?;
        project_sides(layer, &input, &output)
    }
}

/// Gradients of some examples as rows.
fn flat<T: Scalar>(layer: &LayerRows<'_, T>, first: usize, end: usize) -> Result<Array2<f64>> {
    let mut out = Array2::zeros((end - first, layer.d_out() * layer.d_in()));
    let block = layer.block::<f64>(first..end);
    for (example, mut row) in out.rows_mut().into_iter().enumerate() {
        row.iter_mut().zip(&block.gradient(example)?).for_each(|(to, &from)| *to = from);
    }
    Ok(out)
}

/// `vec(outputᵀ G_e input)` of every example, `(n, k_out k_in)`, with `input: (d, k_in)` and `output: (d_out, k_out)`;
/// gradients are never formed.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge) beyond 2²⁸ numbers.
///
/// # Example
/// ```
/// use limpid::influence::estimators::project_sides;
/// use limpid::influence::{Examples, LayerRows};
/// use ndarray::array;
///
/// let (a, g) = (array![[1.0, 2.0]], array![[3.0]]);
/// let layer = LayerRows::new(&a, &g, Examples::EachRow)?;
/// assert_eq!(project_sides(&layer, &array![[1.0], [1.0]], &array![[2.0]])?, array![[18.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn project_sides<T: Scalar>(
    layer: &LayerRows<'_, T>,
    input: &ArrayRef2<f64>,
    output: &ArrayRef2<f64>,
) -> Result<Array2<f64>> {
    let size = input.ncols().saturating_mul(output.ncols());
    check_limit("numbers of all features", size.saturating_mul(layer.n_examples()), MAX_VALUES)?;
    let mut out = Array2::zeros((layer.n_examples(), size));
    for block in layer.blocks::<f64>() {
        let (a, g) = (product(&block.a, input)?, product(&block.g, output)?);
        for example in 0..block.n_examples() {
            let rows = Slice::from(block.rows_of(example));
            let small = product(&g.slice_axis(Axis(0), rows).t(), &a.slice_axis(Axis(0), rows))?;
            let mut to = out.row_mut(block.first + example);
            to.iter_mut().zip(&small).for_each(|(to, &from)| *to = from);
        }
    }
    Ok(out)
}

/// Feature matrices side by side, `(n, Σ k)`.
pub(super) fn side_by_side(parts: &[Array2<f64>], n: usize) -> Result<Array2<f64>> {
    let width = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.ncols()));
    check_limit("numbers of all features", width.saturating_mul(n), MAX_VALUES)?;
    let mut out = Array2::zeros((n, width));
    let mut start = 0;
    for part in parts {
        out.slice_axis_mut(Axis(1), Slice::from(start..start + part.ncols())).assign(part);
        start += part.ncols();
    }
    Ok(out)
}

/// Two-sided features of all layers, one matrix each.
pub(super) fn two_sided_layers<T: Scalar>(
    projection: &Projection,
    layers: &[LayerRows<'_, T>],
) -> Result<Vec<Array2<f64>>> {
    check_layers("layers", layers)?;
    layers.iter().enumerate().map(|(number, layer)| projection.two_sided(number, layer)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::estimators::gradients;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::{Bias, Examples};
    use ndarray::array;

    #[test]
    fn any_part_is_the_same_as_in_the_whole() {
        for entries in [Entries::Rademacher, Entries::Normal] {
            let wide = Projection { seed: Seed(5), entries, k: 70 };
            let all = wide.rows(2, Side::Input, 0, 20).unwrap();
            let part = wide.rows(2, Side::Input, 13, 4).unwrap();
            assert_eq!(part, all.slice_axis(Axis(0), Slice::from(13..17)));
            let narrow = Projection { k: 40, ..wide }.rows(2, Side::Input, 0, 20).unwrap();
            let scale = libm::sqrt(70.0 / 40.0);
            assert!(narrow.indexed_iter().all(|(at, x)| (x - scale * all[at]).abs() < 1e-15));
            assert_ne!(all, wide.rows(3, Side::Input, 0, 20).unwrap());
            assert_ne!(all, wide.rows(2, Side::Output, 0, 20).unwrap());
        }
    }

    #[test]
    fn signs_are_pinned() {
        let row = Projection::new(16, Seed(1)).rows(0, Side::Whole, 0, 1).unwrap();
        let bits: Vec<u8> = row.iter().map(|x| u8::from(*x > 0.0)).collect();
        assert_eq!(bits, PINNED);
    }

    const PINNED: [u8; 16] = [0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0];

    #[test]
    fn products_survive_a_projection() {
        let (x, y) = (noise_layers(12, 1), noise_layers(12, 1));
        let (x, y) = (layers(&x), layers(&y));
        let k = if cfg!(miri) { 64 } else { 4096 };
        let projection = Projection::new(k, Seed(2));
        let found = product(&projection.gradients(&x).unwrap(), &projection.gradients(&y).unwrap().t()).unwrap();
        let (gx, gy) = (gradients(&x).unwrap(), gradients(&y).unwrap());
        let exact = gx.dot(&gy.t());
        let length = |g: &Array2<f64>, i: usize| libm::sqrt(g.row(i).dot(&g.row(i)));
        for ((i, j), x) in found.indexed_iter() {
            assert!((x - exact[[i, j]]).abs() < 6.0 / libm::sqrt(k as f64) * length(&gx, i) * length(&gy, j));
        }
    }

    #[test]
    fn two_sides_are_the_projected_gradient() {
        let (a, g) = (array![[1.0, 2.0], [0.0, 1.0]], array![[1.0, 0.0], [1.0, 1.0]]);
        let layer = LayerRows::new(&a, &g, Examples::Offsets(&[0, 2])).unwrap().with_bias(Bias::Homogeneous);
        let (input, output) = (array![[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]], array![[1.0], [-2.0]]);
        let expected = output.t().dot(&layer.gradient(0).unwrap()).dot(&input);
        assert_eq!(
            project_sides(&layer, &input, &output).unwrap().into_raw_vec_and_offset().0,
            expected.into_raw_vec_and_offset().0
        );
        assert!(matches!(project_sides(&layer, &output, &output), Err(Error::Shape { .. })));
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(Projection::new(0, Seed(0)).rows(0, Side::Whole, 0, 1), Err(Error::OutOfRange { .. })));
        assert!(matches!(Projection::new(usize::MAX, Seed(0)).rows(0, Side::Whole, 0, 2), Err(Error::TooLarge { .. })));
    }
}
