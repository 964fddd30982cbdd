//! Products between the gradients of examples, formed or not.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayView1, Axis, Slice};

use super::{Block, LayerRows};
use crate::error::check_length;
use crate::math::gemm::product;
use crate::math::reduce::dot;
use crate::{Result, Scalar};

impl<T: Scalar> LayerRows<'_, T> {
    /// `⟨G_i, G_j⟩` of all pairs of examples, `(n_examples, n_examples of other)`.
    ///
    /// ```text
    /// ⟨G_i, G_j⟩ = Σ_{t of i} Σ_{s of j} (ã_t · ã_s)(g_t · g_s)
    /// ```
    ///
    /// By this double sum, or from the gradients themselves where that costs less.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the layers differ.
    pub fn gram(&self, other: &LayerRows<'_, T>) -> Result<Array2<f64>> {
        check_length("columns of the other a", other.d_in(), self.d_in())?;
        check_length("columns of the other g", other.d_out(), self.d_out())?;
        let (rows, others) = (self.live.len() as f64, other.live.len() as f64);
        let (d, d_out) = (self.d_in() as f64, self.d_out() as f64);
        let ghost = rows * others * (d + d_out);
        let formed = (self.n_examples() as f64 * other.n_examples() as f64 + rows + others) * d * d_out;
        let mut out = Array2::zeros((self.n_examples(), other.n_examples()));
        for left in self.blocks::<f64>() {
            for right in other.blocks::<f64>() {
                let part = if ghost <= formed { ghost_gram(&left, &right)? } else { formed_gram(&left, &right)? };
                let rows = Slice::from(left.first..left.first + left.n_examples());
                let columns = Slice::from(right.first..right.first + right.n_examples());
                out.slice_axis_mut(Axis(0), rows).slice_axis_mut(Axis(1), columns).assign(&part);
            }
        }
        Ok(out)
    }

    /// `‖G_e‖_F²` of every example, `(n_examples)`.
    ///
    /// # Errors
    /// None for valid rows.
    pub fn squared_norms(&self) -> Result<Array1<f64>> {
        let mut out = Vec::with_capacity(self.n_examples());
        for block in self.blocks::<f64>() {
            for example in 0..block.n_examples() {
                let rows = Slice::from(block.rows_of(example));
                let (a, g) = (block.a.slice_axis(Axis(0), rows), block.g.slice_axis(Axis(0), rows));
                let ghost = a.nrows() * (a.ncols() + g.ncols()) <= a.ncols() * g.ncols();
                let sum = if ghost {
                    (product(&a, &a.t())? * product(&g, &g.t())?).sum()
                } else {
                    product(&g.t(), &a)?.iter().map(|x| x * x).sum()
                };
                out.push(sum);
            }
        }
        Ok(Array1::from(out))
    }

    /// `Σ_t ‖ã_t‖ ‖g_t‖` of every example, a bound of the nuclear norm of its gradient.
    pub(crate) fn row_products(&self) -> Array1<f64> {
        let square = |row: ArrayView1<'_, T>| row.iter().map(|x| x.as_f64() * x.as_f64()).sum::<f64>();
        let product = |&row: &usize| {
            let a = square(self.a.row(row)) + self.bias.columns() as f64;
            libm::sqrt(a) * libm::sqrt(square(self.g.row(row)))
        };
        (0..self.n_examples()).map(|example| self.live_rows(example).iter().map(product).sum()).collect()
    }
}

/// The double sum over rows.
fn ghost_gram(left: &Block<f64>, right: &Block<f64>) -> Result<Array2<f64>> {
    let pairs = product(&left.a, &right.a.t())? * product(&left.g, &right.g.t())?;
    if left.one_row_each() && right.one_row_each() {
        return Ok(pairs);
    }
    Ok(Array2::from_shape_fn((left.n_examples(), right.n_examples()), |(i, j)| {
        let columns = Slice::from(right.rows_of(j));
        let rows = left.rows_of(i).map(|row| pairs.row(row));
        rows.map(|row| row.slice_axis(Axis(0), columns).iter().sum::<f64>()).sum()
    }))
}

/// The gradients of the examples themselves, some at a time.
fn formed_gram(left: &Block<f64>, right: &Block<f64>) -> Result<Array2<f64>> {
    let mut out = Array2::zeros((left.n_examples(), right.n_examples()));
    for (j, mut column) in out.columns_mut().into_iter().enumerate() {
        let v = right.gradient(j)?;
        let gv = product(&left.g, &v)?;
        for (i, to) in column.iter_mut().enumerate() {
            *to = left.rows_of(i).try_fold(0.0, |sum, row| Ok(sum + dot(&gv.row(row), &left.a.row(row))?))?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::Examples;
    use crate::influence::rows::tests::naive;
    use crate::influence::testing::noise;

    #[test]
    fn both_ways_to_the_gram_matrix_agree() {
        let (a, g) = (noise(40, 6, 3), noise(40, 2, 4));
        let rows = LayerRows::new(&a, &g, Examples::Offsets(&[0, 0, 13, 30, 40])).unwrap();
        let (left, each) = (rows.block::<f64>(0..4), LayerRows::new(&a, &g, Examples::EachRow).unwrap());
        let right = each.block::<f64>(0..40);
        let (ghost, formed) = (ghost_gram(&left, &right).unwrap(), formed_gram(&left, &right).unwrap());
        assert!((&ghost - &formed).iter().all(|x| x.abs() < 1e-12));
        let exact = Array2::from_shape_fn((4, 40), |(i, j)| (naive(&rows, i) * naive(&each, j)).sum());
        assert!((rows.gram(&each).unwrap() - exact).iter().all(|x| x.abs() < 1e-12));
        let other = LayerRows::new(&g, &g, Examples::EachRow).unwrap();
        assert!(matches!(rows.gram(&other), Err(Error::Shape { .. })));
    }
}
