//! Gradients of a model's own predictions: the true Fisher matrix, exact or sampled.
//!
//! ```text
//! categorical, exact     for every class c a row with gradient p - e_c and weight p_c
//! categorical, sampled   y ~ p, gradient p - e_y
//! Gaussian               y = z + N(0, 1), gradient z - y ~ N(0, 1)
//! ```
//!
//! The exact form has no noise and costs one row per class; all other layers need one backward pass per class. It is right
//! where an example has one label. A sequence with a label per position would need a pseudo-example per position and
//! class: sample there, since labels drawn independently leave no cross terms on average.
//!
//! Source: Martens, "New insights and perspectives on the natural gradient method" (2020), section 5,
//! <https://arxiv.org/abs/1412.1193>; Kunstner, Balles and Hennig, "Limitations of the empirical Fisher approximation"
//! (2019), <https://arxiv.org/abs/1905.12558>.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis};

use crate::error::{check_finite, check_length, check_limit, check_shape};
use crate::influence::{Examples, LayerRows};
use crate::math::random::{fill_normal, uniform};
use crate::{Error, Result, Scalar, Seed};

/// Streams of labels.
const LABELS: u64 = 0x6669_7368;

/// Streams of Gaussian heads.
const GAUSSIAN: u64 = 0x6669_7367;

/// Most numbers that an expansion may have.
const MAX_NUMBERS: usize = 1 << 31;

/// Weighted rows whose curvature is the exact Fisher matrix of a softmax head.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueFisherRows<T> {
    /// Inputs, one copy per class, `(n c, d_in)`.
    pub a: Array2<T>,
    /// `p - e_c`, `(n c, c)`: row `i c + j` is class `j` of example `i`.
    pub g: Array2<T>,
    /// `p_c`, `(n c)`.
    pub weight: Vec<T>,
}

impl<T: Scalar> TrueFisherRows<T> {
    /// Expands the inputs `a: (n, d_in)` and outputs `logits: (n, c)` of a softmax head.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::TooLarge`].
    ///
    /// # Example
    /// ```
    /// use limpid::influence::TrueFisherRows;
    /// use ndarray::array;
    ///
    /// let fisher = TrueFisherRows::new(&array![[1.0_f64, 2.0]], &array![[0.0, 0.0]])?;
    /// assert_eq!(fisher.weight, [0.5, 0.5]);
    /// assert_eq!(fisher.g, array![[-0.5, 0.5], [0.5, -0.5]]);
    /// assert_eq!(fisher.rows()?.n_examples(), 2);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(a: &ArrayRef2<T>, logits: &ArrayRef2<T>) -> Result<Self> {
        let (n, classes) = logits.dim();
        check_shape("a", a, &[n, a.ncols()])?;
        check_finite("a", a)?;
        let numbers = n.saturating_mul(classes).saturating_mul(classes.saturating_add(a.ncols()));
        check_limit("numbers of the expansion", numbers, MAX_NUMBERS)?;
        let p = probabilities(logits)?;
        let of = |row: usize| (row / classes, row % classes);
        Ok(Self {
            a: Array2::from_shape_fn((n * classes, a.ncols()), |(row, j)| a[[of(row).0, j]]),
            g: Array2::from_shape_fn((n * classes, classes), |(row, j)| {
                let (example, class) = of(row);
                T::of(gradient(&p, example, class, j))
            }),
            weight: p.iter().map(|&p| T::of(p)).collect(),
        })
    }

    /// As rows of the layer: each is an example with its weight.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for too many of them.
    pub fn rows(&self) -> Result<LayerRows<'_, T>> {
        LayerRows::new(&self.a, &self.g, Examples::EachRow)?.with_weight(&self.weight)
    }
}

/// A label for every row of `logits: (n, c)`, drawn from its softmax; `first` is the number of the first row in the corpus,
/// so that the labels do not depend on how the corpus is cut.
///
/// # Errors
/// [`Error::NotFinite`], [`Error::Empty`] without classes.
pub fn sample_labels<T: Scalar>(logits: &ArrayRef2<T>, seed: Seed, first: u64) -> Result<Vec<usize>> {
    if logits.ncols() == 0 && logits.nrows() > 0 {
        return Err(Error::Empty { what: "classes" });
    }
    let p = probabilities(logits)?;
    let draw = |(row, p): (usize, ndarray::ArrayView1<'_, f64>)| {
        let mut left: f64 = uniform(&mut seed.stream(LABELS, first.wrapping_add(row as u64)));
        let likely = p.iter().position(|&p| {
            left -= p;
            left < 0.0 && p > 0.0
        });
        // rounding may leave a little: the last class that can occur
        likely.or_else(|| p.iter().rposition(|&p| p > 0.0)).unwrap_or(0)
    };
    Ok(p.axis_iter(Axis(0)).enumerate().map(draw).collect())
}

/// Gradient `p - e_y` of the cross-entropy by the `logits: (n, c)` at these labels.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a label that does not exist.
pub fn label_gradients<T: Scalar>(logits: &ArrayRef2<T>, labels: &[usize]) -> Result<Array2<T>> {
    check_length("labels", labels.len(), logits.nrows())?;
    if let Some(index) = labels.iter().position(|&label| label >= logits.ncols()) {
        let value = labels[index] as f64;
        return Err(Error::OutOfRange { what: "labels", index, value, expected: "a class" });
    }
    let p = probabilities(logits)?;
    Ok(Array2::from_shape_fn(p.raw_dim(), |(row, j)| T::of(gradient(&p, row, labels[row], j))))
}

/// Gradients of a Gaussian head of unit variance at sampled targets, `(n, c)`: normal numbers.
///
/// `first` is the number of the first row in the corpus.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn gaussian_gradients<T: Scalar>(n: usize, outputs: usize, seed: Seed, first: u64) -> Result<Array2<T>> {
    check_limit("numbers", n.saturating_mul(outputs), MAX_NUMBERS)?;
    let mut out = Array2::zeros((n, outputs));
    for (row, mut line) in out.rows_mut().into_iter().enumerate() {
        if let Some(line) = line.as_slice_mut() {
            fill_normal(&mut seed.stream(GAUSSIAN, first.wrapping_add(row as u64)), T::one(), line);
        }
    }
    Ok(out)
}

/// The exact Fisher rows of a Gaussian head of unit variance: one unit gradient per output, `(n c, c)`; with the inputs
/// repeated as by [`TrueFisherRows`] their sum over outputs is the Fisher matrix, so each weighs 1.
///
/// # Errors
/// [`Error::Shape`] never for inputs of any shape, [`Error::NotFinite`], [`Error::TooLarge`].
pub fn gaussian_fisher_inputs<T: Scalar>(a: &ArrayRef2<T>, outputs: usize) -> Result<(Array2<T>, Array2<T>)> {
    check_finite("a", a)?;
    let rows = a.nrows().saturating_mul(outputs);
    check_limit("numbers of the expansion", rows.saturating_mul(outputs.saturating_add(a.ncols())), MAX_NUMBERS)?;
    let inputs = Array2::from_shape_fn((rows, a.ncols()), |(row, j)| a[[row / outputs, j]]);
    let unit = |(row, j): (usize, usize)| if row % outputs == j { T::one() } else { T::zero() };
    Ok((inputs, Array2::from_shape_fn((rows, outputs), unit)))
}

/// `p_j - [j = class]`, without the loss of digits of `1 - p` where `p` is nearly 1.
fn gradient(p: &ArrayRef2<f64>, row: usize, class: usize, j: usize) -> f64 {
    if j != class {
        return p[[row, j]];
    }
    -p.row(row).iter().enumerate().filter(|(other, _)| *other != class).map(|(_, p)| p).sum::<f64>()
}

fn probabilities<T: Scalar>(logits: &ArrayRef2<T>) -> Result<Array2<f64>> {
    check_finite("logits", logits)?;
    let mut p = logits.mapv(|z| z.as_f64());
    for mut row in p.rows_mut() {
        let row: &mut ArrayRef1<f64> = &mut row;
        let largest = row.iter().fold(f64::MIN, |m, &z| m.max(z));
        row.mapv_inplace(|z| libm::exp(z - largest));
        let sum = row.sum();
        row.mapv_inplace(|p| p / sum);
    }
    Ok(p)
}
