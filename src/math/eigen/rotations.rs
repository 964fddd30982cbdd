//! Batches of plane rotations of the columns of a matrix.
//!
//! ```text
//! (z_i, z_{i+1}) ← (c z_i - s z_{i+1},  s z_i + c z_{i+1})
//! ```
//!
//! Rows do not see each other, so a few of them at a time go through a whole batch while they are in the first-level cache.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::math::par;
use crate::math::simd::{Simd, dispatch, level};

/// Rows that go through a batch together.
const ROWS: usize = 8;

/// Rotations of a batch.
const BATCH: usize = 1 << 15;

/// Rotates columns `column` and `column + 1`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    pub(super) column: usize,
    pub(super) c: f64,
    pub(super) s: f64,
}

/// The columns of a matrix, and rotations that wait for them.
pub(super) struct Columns {
    /// One part for each [`ROWS`] rows, column by column.
    parts: Vec<Vec<[f64; ROWS]>>,
    waiting: Vec<Rotation>,
}

impl Columns {
    pub(super) fn new(z: &ArrayRef2<f64>) -> Self {
        let mut parts = vec![vec![[0.0; ROWS]; z.ncols()]; z.nrows().div_ceil(ROWS)];
        for (at, row) in z.rows().into_iter().enumerate() {
            parts[at / ROWS].iter_mut().zip(row).for_each(|(column, z)| column[at % ROWS] = *z);
        }
        Self { parts, waiting: Vec::new() }
    }

    pub(super) fn rotate(&mut self, rotation: Rotation) {
        self.waiting.push(rotation);
        if self.waiting.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let waiting = &self.waiting;
        par::for_each_mut(&mut self.parts, |_, part| dispatch!(level(), simd => apply(simd, waiting, part)));
        self.waiting.clear();
    }

    pub(super) fn write(mut self, z: &mut ArrayRef2<f64>) {
        self.flush();
        for (at, mut row) in z.rows_mut().into_iter().enumerate() {
            row.iter_mut().zip(&self.parts[at / ROWS]).for_each(|(z, column)| *z = column[at % ROWS]);
        }
    }
}

/// A sweep goes from right to left, and hands its left column on in registers.
#[inline(always)]
fn apply<S: Simd>(_: S, rotations: &[Rotation], part: &mut [[f64; ROWS]]) {
    let (mut held, mut at) = ([0.0; ROWS], usize::MAX);
    for &Rotation { column, c, s } in rotations {
        if at != column + 1 {
            if at != usize::MAX {
                part[at] = held;
            }
            held = part[column + 1];
        }
        let left = part[column];
        let mut right = [0.0; ROWS];
        for lane in 0..ROWS {
            right[lane] = s * left[lane] + c * held[lane];
            held[lane] = c * left[lane] - s * held[lane];
        }
        part[column + 1] = right;
        at = column;
    }
    if at != usize::MAX {
        part[at] = held;
    }
}
