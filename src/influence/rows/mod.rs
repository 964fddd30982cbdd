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

mod block;
mod gram;
mod tokens;

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView2};

use crate::error::{check_each, check_finite, check_length, check_limit, check_shape};
use crate::math::gemm::{add_product_into, product};
use crate::math::reduce::dot;
use crate::{Error, Result, Scalar};

pub(crate) use block::{Block, gradient_of};
pub use tokens::TokenColumns;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::testing::noise;
    use ndarray::array;

    /// The definition.
    pub(super) fn naive(rows: &LayerRows<'_, f64>, example: usize) -> Array2<f64> {
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
