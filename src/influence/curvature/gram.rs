//! Sums of outer products `Σ w x xᵀ`, lower triangle only, whole or in blocks along the diagonal.
//!
//! ```text
//! row r keeps the columns from the start of its block up to r:    C[r, ..] = Σ_t w_t x_tr x_t[start..=r]
//! ```
//!
//! Blocks of the whole size are the full matrix, blocks of size 1 its diagonal, and a range of rows the part of it that one
//! of several machines keeps.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2, Axis, Slice};

use super::sealed::{read_numbers, write_numbers};
use crate::error::{check_limit, check_shape};
use crate::math::gemm::product;
use crate::math::merge::Reader;
use crate::{Error, Result};

/// Rows of the triangle that are computed by one product.
const STRIP: usize = 128;

/// Most numbers that one sum keeps.
const MAX_ENTRIES: usize = 1 << 30;

/// Which part of a symmetric matrix is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gram {
    size: usize,
    /// Size of the blocks along the diagonal, at least 1.
    block: usize,
    rows: Range<usize>,
    entries: Vec<f64>,
}

impl Gram {
    pub(super) fn new(size: usize, block: usize, rows: Range<usize>) -> Result<Self> {
        if rows.start > rows.end || rows.end > size {
            let expected = "a range within the rows of the matrix";
            return Err(Error::OutOfRange { what: "rows", index: 0, value: rows.end as f64, expected });
        }
        let mut gram = Self { size, block: block.clamp(1, size.max(1)), rows, entries: Vec::new() };
        let count = gram.count().unwrap_or(usize::MAX);
        check_limit("entries of a covariance", count, MAX_ENTRIES)?;
        gram.entries = vec![0.0; count];
        Ok(gram)
    }

    /// The same part, without entries.
    pub(super) fn zero(&self) -> Self {
        Self { entries: vec![0.0; self.entries.len()], ..self.clone_shape() }
    }

    fn clone_shape(&self) -> Self {
        Self { size: self.size, block: self.block, rows: self.rows.clone(), entries: Vec::new() }
    }

    pub(super) fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    pub(super) fn block(&self) -> usize {
        self.block
    }

    pub(super) fn is_whole(&self) -> bool {
        self.rows == (0..self.size)
    }

    /// Numbers that are kept.
    pub(super) fn count(&self) -> Option<usize> {
        let triangle = |n: usize| n.checked_mul(n.checked_add(1)?).map(|twice| twice / 2);
        let before =
            |row: usize| triangle(self.block)?.checked_mul(row / self.block)?.checked_add(triangle(row % self.block)?);
        before(self.rows.end)?.checked_sub(before(self.rows.start)?)
    }

    /// Adds `Σ_t w_t x_t x_tᵀ` of `x: (t, size)`; `scaled` holds the rows times their weights.
    pub(super) fn add(&mut self, x: &ArrayRef2<f64>, scaled: &ArrayRef2<f64>) -> Result<()> {
        let mut at = 0;
        if self.block == 1 {
            for column in self.rows.clone() {
                let sum: f64 = x.column(column).iter().zip(scaled.column(column)).map(|(x, y)| x * y).sum();
                self.entries[at] += sum;
                at += 1;
            }
            return Ok(());
        }
        let mut row = self.rows.start;
        while row < self.rows.end {
            let start = row - row % self.block;
            let end = (row + STRIP).min(self.rows.end).min(start + self.block);
            let left = scaled.slice_axis(Axis(1), Slice::from(row..end));
            let strip = product(&left.t(), &x.slice_axis(Axis(1), Slice::from(start..end)))?;
            for (line, r) in strip.rows().into_iter().zip(row..end) {
                let kept = r - start + 1;
                self.entries[at..at + kept].iter_mut().zip(line).for_each(|(to, x)| *to += x);
                at += kept;
            }
            row = end;
        }
        Ok(())
    }

    /// Adds a sum that was made elsewhere, a whole symmetric matrix of which the lower triangle is read.
    pub(super) fn add_sum(&mut self, sum: &ArrayRef2<f64>) -> Result<()> {
        check_shape("sum of outer products", sum, &[self.size, self.size])?;
        let rows = self.rows.clone();
        let kept = rows.flat_map(|row| (row - row % self.block..=row).map(move |column| (row, column)));
        self.entries.iter_mut().zip(kept).for_each(|(to, place)| *to += sum[place]);
        Ok(())
    }

    /// Adds a sum of the same part.
    pub(super) fn merge(&mut self, other: &Self) {
        self.entries.iter_mut().zip(&other.entries).for_each(|(to, x)| *to += x);
    }

    pub(super) fn is_finite(&self) -> bool {
        self.entries.iter().all(|x| x.is_finite())
    }

    pub(super) fn same_part(&self, other: &Self) -> bool {
        (self.size, self.block, &self.rows) == (other.size, other.block, &other.rows)
    }

    /// The blocks along the diagonal, each symmetric and divided by `weight`; only of the whole.
    pub(super) fn blocks(&self, weight: f64) -> Vec<Array2<f64>> {
        let mut at = 0;
        let starts = (0..self.size).step_by(self.block);
        starts
            .map(|start| {
                let n = self.block.min(self.size - start);
                let mut out = Array2::zeros((n, n));
                for i in 0..n {
                    for j in 0..=i {
                        let value = self.entries[at] / weight;
                        (out[[i, j]], out[[j, i]]) = (value, value);
                        at += 1;
                    }
                }
                out
            })
            .collect()
    }

    /// Appends the rows that follow.
    pub(super) fn append(&mut self, other: &Self) -> Result<()> {
        if (self.size, self.block, self.rows.end) != (other.size, other.block, other.rows.start) {
            return Err(Error::Unsupported { what: "joining ranges of rows that do not follow each other" });
        }
        self.entries.extend(&other.entries);
        self.rows.end = other.rows.end;
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        [self.block, self.rows.start, self.rows.end].iter().for_each(|&n| out.extend((n as u64).to_le_bytes()));
        write_numbers(&self.entries, out);
    }

    pub(super) fn read(input: &mut Reader<'_>, size: usize) -> Result<Self> {
        let error = input.error("a part of a covariance");
        let mut number = || input.u64("a part of a covariance").and_then(|n| usize::try_from(n).map_err(|_| error));
        let (block, start, end) = (number()?, number()?, number()?);
        if block == 0 || block > size.max(1) || start > end || end > size {
            return Err(error);
        }
        let mut gram = Self { size, block, rows: start..end, entries: Vec::new() };
        gram.entries = read_numbers(input, gram.count())?;
        Ok(gram)
    }
}
