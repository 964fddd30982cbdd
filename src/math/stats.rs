//! Mean, variance, skewness and kurtosis of columns, in one pass and mergeable.
//!
//! ```text
//! M_p = Σ (x - mean)^p           δ = mean_b - mean_a,  n = n_a + n_b
//! mean = mean_a + δ n_b/n        M_2 = M_2a + M_2b + δ² n_a n_b/n
//! M_3  = M_3a + M_3b + δ³ n_a n_b (n_a - n_b)/n² + 3 δ (n_a M_2b - n_b M_2a)/n
//! M_4  = M_4a + M_4b + δ⁴ n_a n_b (n_a² - n_a n_b + n_b²)/n³ + 6 δ² (n_a² M_2b + n_b² M_2a)/n² + 4 δ (n_a M_3b - n_b M_3a)/n
//! ```
//!
//! Source: Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
//! moments", Sandia report SAND2008-6212 (2008), equations 1.3 to 1.6.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef2, ArrayView2, Axis};

use super::merge::{Bytes, Merge, Reader};
use crate::error::{check_each, check_limit, check_shape};
use crate::{Dims, Error, Result, Scalar};

/// Rows whose moments are taken around their own mean before they are merged.
const ROWS: usize = 256;

/// Largest magnitude of a value: fourth powers of 2⁶⁴ such values still have a finite sum.
const MAX_VALUE: f64 = 1e70;

/// Most columns.
const MAX_COLUMNS: usize = 1 << 26;

/// Moments of every column of all rows seen so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    count: u64,
    columns: Vec<Column>,
}

/// Moments of one column.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Column {
    mean: f64,
    /// `M_2`, `M_3`, `M_4`.
    central: [f64; 3],
}

impl Moments {
    /// No rows yet, `n` columns.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for an absurd number of columns.
    pub fn new(n: usize) -> Result<Self> {
        check_limit("columns", n, MAX_COLUMNS)?;
        Ok(Self { count: 0, columns: alloc::vec![Column::default(); n] })
    }

    /// Takes up the rows of `x: (b, n)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for NaN and values beyond `±1e70`; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::math::stats::Moments;
    /// use ndarray::array;
    ///
    /// let mut moments = Moments::new(2)?;
    /// moments.update(&array![[1.0_f32, 0.0], [3.0, 0.0]])?;
    /// assert_eq!(moments.mean().unwrap(), array![2.0, 0.0]);
    /// assert_eq!(moments.variance().unwrap(), array![1.0, 0.0]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update<T: Scalar>(&mut self, x: &ArrayRef2<T>) -> Result<()> {
        check_shape("x", x, &[x.nrows(), self.columns.len()])?;
        check_each("x", x, "-1e70 <= x <= 1e70", |x| x.as_f64().abs() <= MAX_VALUE)?;
        for rows in x.axis_chunks_iter(Axis(0), ROWS) {
            let count = rows.nrows() as u64;
            for (column, part) in self.columns.iter_mut().zip(moments_of(rows)) {
                column.merge(&part, self.count as f64, count as f64);
            }
            self.count += count;
        }
        Ok(())
    }

    /// Number of rows seen.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Number of columns.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// Mean `(n)`; `None` before the first row.
    #[must_use]
    pub fn mean(&self) -> Option<Array1<f64>> {
        self.of_columns(|column, _| column.mean)
    }

    /// Variance `M_2/count`, `(n)`, of the rows themselves; `None` before the first row.
    #[must_use]
    pub fn variance(&self) -> Option<Array1<f64>> {
        self.of_columns(|column, count| column.central[0] / count)
    }

    /// Variance `M_2/(count - 1)`, `(n)`, of what the rows are a sample of; `None` for fewer than two rows.
    #[must_use]
    pub fn sample_variance(&self) -> Option<Array1<f64>> {
        if self.count < 2 { None } else { self.of_columns(|column, count| column.central[0] / (count - 1.0)) }
    }

    /// Skewness `√count M_3 / M_2^(3/2)` of each column; `None` for a column that does not vary.
    #[must_use]
    pub fn skewness(&self) -> Vec<Option<f64>> {
        self.shapes(|[m2, m3, _], count| num_traits::Float::sqrt(count) * (m3 / m2) / num_traits::Float::sqrt(m2))
    }

    /// Kurtosis `count M_4 / M_2²` of each column, 3 for a normal one; `None` for a column that does not vary.
    #[must_use]
    pub fn kurtosis(&self) -> Vec<Option<f64>> {
        self.shapes(|[m2, _, m4], count| count * (m4 / m2) / m2)
    }

    fn of_columns(&self, f: impl Fn(&Column, f64) -> f64) -> Option<Array1<f64>> {
        (self.count > 0).then(|| self.columns.iter().map(|column| f(column, self.count as f64)).collect())
    }

    fn shapes(&self, f: impl Fn([f64; 3], f64) -> f64) -> Vec<Option<f64>> {
        let shape = |column: &Column| (column.central[0] > 0.0).then(|| f(column.central, self.count as f64));
        self.columns.iter().map(shape).collect()
    }
}

impl Merge for Moments {
    fn merge(&mut self, other: &Self) -> Result<()> {
        let (expected, got) = (self.columns.len(), other.columns.len());
        if expected != got {
            return Err(Error::Shape { what: "columns", expected: Dims::new(&[expected]), got: Dims::new(&[got]) });
        }
        let Some(count) = self.count.checked_add(other.count) else {
            return Err(Error::Unsupported { what: "more than 2^64 rows" });
        };
        for (column, part) in self.columns.iter_mut().zip(&other.columns) {
            column.merge(part, self.count as f64, other.count as f64);
        }
        self.count = count;
        Ok(())
    }
}

/// Moments of the columns of few rows, each around its own mean; row after row, as they lie in memory.
fn moments_of<T: Scalar>(rows: ArrayView2<'_, T>) -> Vec<Column> {
    let mut columns = alloc::vec![Column::default(); rows.ncols()];
    let count = rows.nrows() as f64;
    // values that do not vary have exactly their own mean after a second look
    for _ in 0..2 {
        let mut sums = alloc::vec![0.0; rows.ncols()];
        for row in rows.rows() {
            sums.iter_mut().zip(&columns).zip(row).for_each(|((sum, column), x)| *sum += x.as_f64() - column.mean);
        }
        columns.iter_mut().zip(sums).for_each(|(column, sum)| column.mean += sum / count);
    }
    for row in rows.rows() {
        for (column, x) in columns.iter_mut().zip(row) {
            let distance = x.as_f64() - column.mean;
            let square = distance * distance;
            let [m2, m3, m4] = column.central;
            column.central = [m2 + square, m3 + square * distance, m4 + square * square];
        }
    }
    columns
}

impl Column {
    /// Merges moments of `b` values into those of `a` values.
    fn merge(&mut self, other: &Self, a: f64, b: f64) {
        if b == 0.0 {
            return;
        }
        if a == 0.0 {
            *self = *other;
            return;
        }
        let (share_a, share_b) = (a / (a + b), b / (a + b));
        let shift = other.mean - self.mean;
        let ([a2, a3, a4], [b2, b3, b4]) = (self.central, other.central);
        let square = shift * shift;
        let both = square * a * share_b;
        self.central = [
            a2 + b2 + both,
            a3 + b3 + shift * both * (share_a - share_b) + 3.0 * shift * (share_a * b2 - share_b * a2),
            a4 + b4
                + square * both * (share_a * share_a - share_a * share_b + share_b * share_b)
                + 6.0 * square * (share_a * share_a * b2 + share_b * share_b * a2)
                + 4.0 * shift * (share_a * b3 - share_b * a3),
        ];
        self.mean += shift * share_b;
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limpmom1";

impl Bytes for Moments {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(self.count.to_le_bytes());
        out.extend((self.columns.len() as u64).to_le_bytes());
        for column in &self.columns {
            out.extend(column.mean.to_le_bytes());
            column.central.iter().for_each(|moment| out.extend(moment.to_le_bytes()));
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("moments");
        if input.take(MAGIC.len(), "moments")? != MAGIC {
            return Err(error);
        }
        let count = input.u64("a number of rows")?;
        let columns = input.count(32, "a number of columns")?;
        let columns = (0..columns).map(|_| Column::read(input)).collect::<Result<Vec<_>>>()?;
        Ok(Self { count, columns })
    }
}

impl Column {
    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let mut number = |least: f64| {
            let error = input.error("a finite moment, an even one not negative");
            input.f64("a moment").and_then(|x| if x >= least && x.is_finite() { Ok(x) } else { Err(error) })
        };
        Ok(Self { mean: number(f64::MIN)?, central: [number(0.0)?, number(f64::MIN)?, number(0.0)?] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seed, math::random::fill_normal};
    use ndarray::{Array2, Slice, array};

    fn noise(rows: usize, columns: usize) -> Array2<f64> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(4).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
        x.mapv(|x: f64| 3.0 + x + 0.2 * x * x)
    }

    fn of(x: &ArrayRef2<f64>) -> Moments {
        let mut moments = Moments::new(x.ncols()).unwrap();
        moments.update(x).unwrap();
        moments
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{a} {b}");
    }

    #[test]
    fn all_moments_are_those_of_the_definition() {
        let x = noise(if cfg!(miri) { 300 } else { 1000 }, 3);
        let moments = of(&x);
        for (j, column) in x.columns().into_iter().enumerate() {
            let count = column.len() as f64;
            let mean = column.sum() / count;
            let central = |power: i32| column.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / count;
            close(moments.mean().unwrap()[j], mean);
            close(moments.variance().unwrap()[j], central(2));
            close(moments.sample_variance().unwrap()[j], central(2) * count / (count - 1.0));
            close(moments.skewness()[j].unwrap(), central(3) / central(2).powf(1.5));
            close(moments.kurtosis()[j].unwrap(), central(4) / (central(2) * central(2)));
        }
    }

    #[test]
    fn shards_merge_to_the_single_pass() {
        let rows = if cfg!(miri) { 60 } else { 700 };
        let x = noise(rows, 2);
        let whole = of(&x);
        let mut merged = Moments::new(2).unwrap();
        for (start, end) in [(0, 1), (1, rows / 3), (rows / 3, rows / 3), (rows / 3, rows)] {
            merged.merge(&of(&x.slice_axis(Axis(0), Slice::from(start..end)))).unwrap();
        }
        assert_eq!(merged.count(), whole.count());
        for j in 0..2 {
            close(merged.mean().unwrap()[j], whole.mean().unwrap()[j]);
            close(merged.kurtosis()[j].unwrap(), whole.kurtosis()[j].unwrap());
            close(merged.skewness()[j].unwrap(), whole.skewness()[j].unwrap());
        }
    }

    #[test]
    fn a_large_offset_costs_no_digits() {
        let x = array![[1e9 + 4.0], [1e9 + 7.0], [1e9 + 13.0], [1e9 + 16.0]];
        assert_eq!(of(&x).sample_variance().unwrap(), array![30.0]);
    }

    #[test]
    fn what_is_undefined_is_none() {
        let empty = Moments::new(2).unwrap();
        assert!(empty.mean().is_none() && empty.variance().is_none() && empty.sample_variance().is_none());
        let still = of(&Array2::from_elem((7, 1), 0.1));
        assert_eq!((still.mean(), still.variance()), (Some(array![0.1]), Some(array![0.0])));
        assert_eq!((still.skewness(), still.kurtosis()), (alloc::vec![None], alloc::vec![None]));
    }

    #[test]
    fn bad_rows_change_nothing() {
        let mut moments = of(&array![[1.0, 2.0]]);
        let before = moments.clone();
        assert!(matches!(moments.update(&array![[1.0]]), Err(Error::Shape { .. })));
        assert!(matches!(moments.update(&array![[1.0, f64::NAN]]), Err(Error::OutOfRange { what: "x", index: 1, .. })));
        assert!(moments.merge(&Moments::new(3).unwrap()).is_err());
        assert_eq!(moments, before);
        assert_eq!(Moments::from_bytes(&before.to_bytes()).unwrap(), before);
        assert!(Moments::new(usize::MAX).is_err());
    }
}
