//! Rows of one layer: what entered it and the gradient at its output, for every position of every example.
//!
//! ```text
//! G_e = Σ_{rows t of e} g_t ã_tᵀ     (d_out, d)        ã_t = [a_t ; 1] with a bias, else a_t
//! ```
//!
//! This is all that the area ever sees of a model. `a_t` is the input of the layer, `g_t` the gradient of the example's loss
//! (the *sum* over its positions, not their mean) by the layer's output before the nonlinearity. The homogeneous 1 stands
//! last, so that the last column of `G_e` is the gradient by the bias. A convolution hands over its unfolded patches, an
//! expert of a mixture the positions that were routed to it. Examples own any number of rows, so padding never exists; a
//! row that must be left out all the same is masked, and then absent from everything, the 1 included.
//!
//! Source: Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature" (2015),
//! <https://arxiv.org/abs/1503.05671> (notation and homogeneous coordinate); Grosse et al., "Studying large language model
//! generalization with influence functions" (2023), <https://arxiv.org/abs/2308.03296>.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView2, Axis};

use crate::error::{check_each, check_finite, check_length, check_limit, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::math::reduce::dot;
use crate::{Error, Result, Scalar};

/// Rows that are worked on together: few enough for the cache, many enough for a product.
const ROWS: usize = 512;

/// Most examples of one set of rows.
const MAX_EXAMPLES: usize = 1 << 26;

/// Whether the layer adds a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Bias {
    /// No bias: gradients have the columns of `a`.
    #[default]
    None,
    /// A bias: a 1 is appended to every row of `a`, last.
    Homogeneous,
}

impl Bias {
    /// Columns that the bias adds.
    #[must_use]
    pub const fn columns(self) -> usize {
        match self {
            Self::None => 0,
            Self::Homogeneous => 1,
        }
    }
}

/// Which example each row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Examples<'a> {
    /// Every row is an example.
    EachRow,
    /// Example `e` owns the rows `offsets[e]..offsets[e + 1]`; the offsets start at 0 and end at the number of rows.
    Offsets(&'a [usize]),
    /// Row `t` belongs to example `example[t]`, in any order.
    Index {
        /// Example of every row, each below `n`.
        example: &'a [usize],
        /// Number of examples.
        n: usize,
    },
}

/// The rows of one layer, grouped by example.
#[derive(Debug, Clone)]
pub struct LayerRows<'a, T> {
    a: ArrayView2<'a, T>,
    g: ArrayView2<'a, T>,
    bias: Bias,
    mask: Option<&'a [bool]>,
    weight: Option<&'a [T]>,
    examples: Examples<'a>,
    /// Live rows, example by example.
    live: Vec<usize>,
    /// Example `e` owns `live[offsets[e]..offsets[e + 1]]`.
    offsets: Vec<usize>,
}

/// Some consecutive examples, their live rows gathered side by side.
#[derive(Debug, Clone)]
pub(crate) struct Block<U> {
    /// First example.
    pub(crate) first: usize,
    /// Inputs with the homogeneous 1, `(rows, d)`.
    pub(crate) a: Array2<U>,
    /// Gradients, `(rows, d_out)`.
    pub(crate) g: Array2<U>,
    /// Example `first + i` owns rows `starts[i]..starts[i + 1]`.
    pub(crate) starts: Vec<usize>,
    /// Where each row stands in the rows of the layer.
    pub(crate) rows: Vec<usize>,
}

impl<U: Scalar> Block<U> {
    /// Number of examples.
    pub(crate) fn n_examples(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether every example is exactly one row.
    pub(crate) fn one_row_each(&self) -> bool {
        self.starts.iter().enumerate().all(|(example, &start)| start == example)
    }

    /// Rows of example `first + index`.
    pub(crate) fn rows_of(&self, index: usize) -> Range<usize> {
        self.starts[index]..self.starts[index + 1]
    }

    /// `G_e` of example `first + index`.
    pub(crate) fn gradient(&self, index: usize) -> Result<Array2<U>> {
        let rows = ndarray::Slice::from(self.rows_of(index));
        product(&self.g.slice_axis(Axis(0), rows).t(), &self.a.slice_axis(Axis(0), rows))
    }
}

impl<'a, T: Scalar> LayerRows<'a, T> {
    /// The rows `a: (rows, d_in)` and `g: (rows, d_out)`, without bias, mask or weights.
    ///
    /// # Errors
    /// [`Error::Shape`] where the parts do not fit, [`Error::NotFinite`] with the row-major index of the first bad value
    /// (its row is the index divided by the number of columns), [`Error::OutOfRange`] for an offset or an example that
    /// does not exist, [`Error::TooLarge`] for absurdly many examples.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Bias, Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// // two sequences of two tokens, a layer from 2 to 2
    /// let a = array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
    /// let g = array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]];
    /// let rows = LayerRows::new(&a, &g, Examples::Offsets(&[0, 2, 4]))?.with_bias(Bias::Homogeneous);
    /// assert_eq!(rows.gradient(0)?, array![[1.0, 3.0, 2.0], [0.0, 1.0, 1.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(a: &'a ArrayRef2<T>, g: &'a ArrayRef2<T>, examples: Examples<'a>) -> Result<Self> {
        check_shape("g", g, &[a.nrows(), g.ncols()])?;
        check_finite("a", a)?;
        check_finite("g", g)?;
        check_examples(examples, a.nrows())?;
        let mut rows = Self {
            a: a.view(),
            g: g.view(),
            bias: Bias::None,
            mask: None,
            weight: None,
            examples,
            live: Vec::new(),
            offsets: Vec::new(),
        };
        rows.group();
        Ok(rows)
    }

    /// Appends the homogeneous 1, or not.
    #[must_use]
    pub fn with_bias(mut self, bias: Bias) -> Self {
        self.bias = bias;
        self
    }

    /// Leaves out the rows whose `mask: (rows)` is false. Examples that lose all their rows still count.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn with_mask(mut self, mask: &'a [bool]) -> Result<Self> {
        check_length("mask", mask.len(), self.a.nrows())?;
        self.mask = Some(mask);
        self.group();
        Ok(self)
    }

    /// Weights of the rows in every mean of a curvature, `weight: (rows)`, one value for all rows of an example.
    ///
    /// An example without rows has weight 1. Gradients themselves are not scaled.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for a weight that is negative, not finite, or differs from another one of
    /// its example.
    pub fn with_weight(mut self, weight: &'a [T]) -> Result<Self> {
        check_length("weight", weight.len(), self.a.nrows())?;
        check_each("weight", weight, "a finite number >= 0", |w| w >= T::zero() && w.is_finite())?;
        let mut of_example = vec![None; self.n_examples()];
        for (row, &w) in weight.iter().enumerate() {
            if *of_example[self.example_of(row)].get_or_insert(w) != w {
                let expected = "the same weight for all rows of an example";
                return Err(Error::OutOfRange { what: "weight", index: row, value: w.as_f64(), expected });
            }
        }
        self.weight = Some(weight);
        Ok(self)
    }

    /// Rows, masked ones included.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.a.nrows()
    }

    /// Rows that are not masked.
    #[must_use]
    pub fn n_live(&self) -> usize {
        self.live.len()
    }

    /// Examples, those without rows included.
    #[must_use]
    pub fn n_examples(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Columns of a gradient: those of `a`, and one for the bias.
    #[must_use]
    pub fn d_in(&self) -> usize {
        self.a.ncols() + self.bias.columns()
    }

    /// Rows of a gradient: outputs of the layer.
    #[must_use]
    pub fn d_out(&self) -> usize {
        self.g.ncols()
    }

    /// Whether a bias belongs to the layer.
    #[must_use]
    pub fn bias(&self) -> Bias {
        self.bias
    }

    /// The gradient `G_e: (d_out, d)` of an example.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an example that does not exist.
    pub fn gradient(&self, example: usize) -> Result<Array2<f64>> {
        if example >= self.n_examples() {
            let expected = "an example of these rows";
            return Err(Error::OutOfRange { what: "example", index: 0, value: example as f64, expected });
        }
        self.block(example..example + 1).gradient(0)
    }

    /// `⟨G_e, V⟩` of every example, `v: (d_out, d)`. Returns `(n_examples)`; no gradient is formed.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn inner(&self, v: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        let by_row = self.row_inner(v)?;
        Ok((0..self.n_examples()).map(|e| self.live_rows(e).iter().map(|&row| by_row[row]).sum()).collect())
    }

    /// `g_tᵀ V ã_t` of every row, `v: (d_out, d)`. Returns `(n_rows)`, 0 for a masked row.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn row_inner(&self, v: &ArrayRef2<f64>) -> Result<Array1<f64>> {
        check_shape("v", v, &[self.d_out(), self.d_in()])?;
        let mut out = Array1::zeros(self.n_rows());
        for block in self.blocks::<f64>() {
            let gv = product(&block.g, v)?;
            for (at, &row) in block.rows.iter().enumerate() {
                out[row] = dot(&gv.row(at), &block.a.row(at))?;
            }
        }
        Ok(out)
    }

    /// `Σ_e c_e G_e`, `c: (n_examples)`. Returns `(d_out, d)`; one product, no gradient is formed.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn weighted_sum(&self, c: &ArrayRef1<f64>) -> Result<Array2<f64>> {
        check_shape("c", c, &[self.n_examples()])?;
        let mut out = Array2::zeros((self.d_out(), self.d_in()));
        for mut block in self.blocks::<f64>() {
            for example in 0..block.n_examples() {
                for row in block.rows_of(example) {
                    block.g.row_mut(row).mapv_inplace(|g| g * c[block.first + example]);
                }
            }
            add_product_into(&block.g.t(), &block.a, &mut out)?;
        }
        Ok(out)
    }

    /// `⟨G_i, G_j⟩` of all pairs of examples, `(n_examples, n_examples of other)`.
    ///
    /// ```text
    /// ⟨G_i, G_j⟩ = Σ_{t of i} Σ_{s of j} (ã_t · ã_s)(g_t · g_s)
    /// ```
    ///
    /// By this double sum, or from the gradients themselves where that costs less.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layers differ.
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
                let rows = ndarray::Slice::from(left.first..left.first + left.n_examples());
                let columns = ndarray::Slice::from(right.first..right.first + right.n_examples());
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
                let rows = ndarray::Slice::from(block.rows_of(example));
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
        let square = |row: ndarray::ArrayView1<'_, T>| row.iter().map(|x| x.as_f64() * x.as_f64()).sum::<f64>();
        let product = |&row: &usize| {
            let a = square(self.a.row(row)) + self.bias.columns() as f64;
            libm::sqrt(a) * libm::sqrt(square(self.g.row(row)))
        };
        (0..self.n_examples()).map(|example| self.live_rows(example).iter().map(product).sum()).collect()
    }

    /// Weight of an example in means over examples.
    #[must_use]
    pub(crate) fn example_weights(&self) -> Vec<f64> {
        let mut weights = vec![1.0; self.n_examples()];
        if let Some(weight) = self.weight {
            weight.iter().enumerate().for_each(|(row, w)| weights[self.example_of(row)] = w.as_f64());
        }
        weights
    }

    /// Weight of a row in means over rows.
    #[must_use]
    pub(crate) fn row_weight(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |weight| weight[row].as_f64())
    }

    /// Whether weights were given.
    #[must_use]
    pub(crate) fn is_weighted(&self) -> bool {
        self.weight.is_some()
    }

    /// Live rows of an example.
    #[must_use]
    pub(crate) fn live_rows(&self, example: usize) -> &[usize] {
        &self.live[self.offsets[example]..self.offsets[example + 1]]
    }

    /// All examples in order, so many at a time that they have about [`ROWS`] live rows; a cut depends on the rows alone.
    pub(crate) fn blocks<U: Scalar>(&self) -> impl Iterator<Item = Block<U>> + '_ {
        self.blocks_of(ROWS)
    }

    /// As [`Self::blocks`], with about `rows` rows in each.
    pub(crate) fn blocks_of<U: Scalar>(&self, rows: usize) -> impl Iterator<Item = Block<U>> + '_ {
        self.cuts_of(rows).map(|examples| self.block(examples))
    }

    /// The ranges of examples that [`Self::blocks`] works through.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.cuts_of(ROWS)
    }

    fn cuts_of(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut first = 0;
        core::iter::from_fn(move || {
            let start = first;
            let n = self.n_examples();
            (start < n).then(|| {
                let most = self.offsets[start] + rows;
                let limit = n.min(start + rows);
                let fitting = self.offsets[start + 1..=limit].partition_point(|&end| end <= most);
                first = start + fitting.max(1);
                start..first
            })
        })
    }

    /// Gathers the live rows of these examples.
    pub(crate) fn block<U: Scalar>(&self, examples: Range<usize>) -> Block<U> {
        let rows = &self.live[self.offsets[examples.start]..self.offsets[examples.end]];
        let base = self.offsets[examples.start];
        let starts = self.offsets[examples.start..=examples.end].iter().map(|offset| offset - base).collect();
        self.copy(examples.start, rows.to_vec(), starts)
    }

    /// Gathers the live rows of some examples; they are numbered anew from 0.
    pub(crate) fn gather<U: Scalar>(&self, examples: &[usize]) -> Block<U> {
        let (mut rows, mut starts) = (Vec::new(), vec![0]);
        for &example in examples {
            rows.extend(self.live_rows(example));
            starts.push(rows.len());
        }
        self.copy(0, rows, starts)
    }

    fn copy<U: Scalar>(&self, first: usize, rows: Vec<usize>, starts: Vec<usize>) -> Block<U> {
        let (width, d) = (self.a.ncols(), self.d_in());
        let mut a = Array2::from_elem((rows.len(), d), U::one());
        let mut g = Array2::zeros((rows.len(), self.d_out()));
        for (at, &row) in rows.iter().enumerate() {
            let mut to = a.row_mut(at);
            to.iter_mut().take(width).zip(self.a.row(row)).for_each(|(to, from)| *to = U::of(from.as_f64()));
            g.row_mut(at).zip_mut_with(&self.g.row(row), |to, from| *to = U::of(from.as_f64()));
        }
        Block { first, a, g, starts, rows }
    }

    fn example_of(&self, row: usize) -> usize {
        match self.examples {
            Examples::EachRow => row,
            Examples::Offsets(offsets) => offsets.partition_point(|&start| start <= row) - 1,
            Examples::Index { example, .. } => example[row],
        }
    }

    /// Sorts the live rows by example; rows of an example keep their order.
    fn group(&mut self) {
        let n = match self.examples {
            Examples::EachRow => self.a.nrows(),
            Examples::Offsets(offsets) => offsets.len() - 1,
            Examples::Index { n, .. } => n,
        };
        let is_live = |row: &usize| self.mask.is_none_or(|mask| mask[*row]);
        let mut offsets = vec![0; n + 1];
        (0..self.a.nrows()).filter(is_live).for_each(|row| offsets[self.example_of(row) + 1] += 1);
        (0..n).for_each(|example| offsets[example + 1] += offsets[example]);
        let mut next = offsets.clone();
        let mut live = vec![0; offsets[n]];
        for row in (0..self.a.nrows()).filter(is_live) {
            let at = &mut next[self.example_of(row)];
            live[*at] = row;
            *at += 1;
        }
        (self.live, self.offsets) = (live, offsets);
    }
}

/// Checks that every row belongs to an example that exists.
fn check_examples(examples: Examples<'_>, rows: usize) -> Result<()> {
    match examples {
        Examples::EachRow => check_limit("examples", rows, MAX_EXAMPLES),
        Examples::Offsets(offsets) => {
            check_limit("examples", offsets.len(), MAX_EXAMPLES)?;
            if offsets.first() != Some(&0) {
                let value = offsets.first().map_or(f64::NAN, |&first| first as f64);
                return Err(Error::OutOfRange { what: "offsets", index: 0, value, expected: "a first offset of 0" });
            }
            if let Some(at) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
                let value = offsets[at + 1] as f64;
                return Err(Error::OutOfRange { what: "offsets", index: at + 1, value, expected: "ascending offsets" });
            }
            check_length("rows up to the last offset", offsets[offsets.len() - 1], rows)
        }
        Examples::Index { example, n } => {
            check_limit("examples", n, MAX_EXAMPLES)?;
            check_length("example", example.len(), rows)?;
            match example.iter().position(|&e| e >= n) {
                None => Ok(()),
                Some(index) => {
                    let value = example[index] as f64;
                    Err(Error::OutOfRange { what: "example", index, value, expected: "below the number of examples" })
                }
            }
        }
    }
}

/// The double sum over rows.
fn ghost_gram(left: &Block<f64>, right: &Block<f64>) -> Result<Array2<f64>> {
    let pairs = product(&left.a, &right.a.t())? * product(&left.g, &right.g.t())?;
    if left.one_row_each() && right.one_row_each() {
        return Ok(pairs);
    }
    Ok(Array2::from_shape_fn((left.n_examples(), right.n_examples()), |(i, j)| {
        let columns = ndarray::Slice::from(right.rows_of(j));
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
    use crate::{Seed, math::random::fill_normal};
    use ndarray::array;

    pub(crate) fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(17).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    }

    /// The definition.
    fn naive(rows: &LayerRows<'_, f64>, example: usize) -> Array2<f64> {
        let mut out = Array2::zeros((rows.d_out(), rows.d_in()));
        for &row in rows.live_rows(example) {
            for i in 0..rows.d_out() {
                for j in 0..rows.d_in() {
                    let a = if j < rows.a.ncols() { rows.a[[row, j]] } else { 1.0 };
                    out[[i, j]] += rows.g[[row, i]] * a;
                }
            }
        }
        out
    }

    #[test]
    fn products_equal_those_of_the_gradients() {
        let (a, g) = (noise(1300, 4, 0), noise(1300, 3, 1));
        let example: Vec<usize> = (0..1300).map(|row| (row * 7) % 601).collect();
        let mask: Vec<bool> = (0..1300).map(|row| row % 5 > 0).collect();
        let rows = LayerRows::new(&a, &g, Examples::Index { example: &example, n: 610 }).unwrap();
        let rows = rows.with_bias(Bias::Homogeneous).with_mask(&mask).unwrap();
        let gradients: Vec<_> = (0..610).map(|e| naive(&rows, e)).collect();
        let v = noise(3, 5, 2);
        let c: Array1<f64> = (0..610).map(|e| libm::sin(e as f64)).collect();
        let inner = rows.inner(&v).unwrap();
        let mut sum = Array2::zeros((3, 5));
        for (e, gradient) in gradients.iter().enumerate() {
            assert!((&rows.gradient(e).unwrap() - gradient).iter().all(|x| x.abs() < 1e-12));
            assert!((inner[e] - (gradient * &v).sum()).abs() < 1e-11);
            sum += &(gradient * c[e]);
        }
        assert!((rows.weighted_sum(&c).unwrap() - sum).iter().all(|x| x.abs() < 1e-10));
        assert!((rows.row_inner(&v).unwrap().sum() - inner.sum()).abs() < 1e-9);
        assert_eq!(rows.row_inner(&v).unwrap()[5], 0.0);
    }

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

    #[test]
    fn empty_shards_are_valid() {
        let (a, g) = (Array2::<f32>::zeros((0, 2)), Array2::zeros((0, 3)));
        for examples in [Examples::EachRow, Examples::Offsets(&[0]), Examples::Index { example: &[], n: 0 }] {
            let rows = LayerRows::new(&a, &g, examples).unwrap();
            assert_eq!((rows.n_examples(), rows.blocks::<f64>().count()), (0, 0));
            assert_eq!(rows.weighted_sum(&Array1::zeros(0)).unwrap(), Array2::zeros((3, 2)));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (a, g) = (array![[1.0, 2.0], [3.0, 4.0]], array![[1.0], [f64::NAN]]);
        let new = |examples| LayerRows::new(&a, &a, examples);
        assert_eq!(LayerRows::new(&a, &g, Examples::EachRow).unwrap_err(), Error::NotFinite { what: "g", index: 1 });
        for offsets in [&[][..], &[1, 2], &[0, 2, 1], &[0, 1], &[0, 5]] {
            assert!(new(Examples::Offsets(offsets)).is_err(), "{offsets:?}");
        }
        assert!(matches!(new(Examples::Index { example: &[0, 2], n: 2 }), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(new(Examples::Index { example: &[0, 0], n: usize::MAX }), Err(Error::TooLarge { .. })));
        let pair = new(Examples::Offsets(&[0, 2])).unwrap();
        assert!(pair.clone().with_weight(&[1.0, 2.0]).is_err() && pair.clone().with_weight(&[-1.0, -1.0]).is_err());
        assert!(pair.clone().with_mask(&[true]).is_err() && pair.gradient(1).is_err());
        assert_eq!(pair.with_weight(&[0.5, 0.5]).unwrap().example_weights(), [0.5]);
    }
}
