//! Eigenvalues of a tridiagonal matrix by QL with implicit shifts; the rotations are left to the batch that applies them.

use alloc::vec::Vec;

use ndarray::Array2;

use super::rotations::{Columns, Rotation};
use crate::{Error, Result};

/// Iterations that are allowed per eigenvalue, all together.
const ITERATIONS: usize = 50;

/// Eigenvalues of the matrix with diagonal `d` and off-diagonal `e`, and `vectors` times its eigenvectors.
pub(super) fn solve(mut d: Vec<f64>, mut e: Vec<f64>, vectors: Array2<f64>) -> Result<(Vec<f64>, Array2<f64>)> {
    let n = d.len();
    e.push(0.0);
    let mut columns = Columns::new(&vectors);
    let mut left = ITERATIONS * n;
    for first in 0..n {
        loop {
            let last = block_end(&d, &e, first);
            if last == first {
                break;
            }
            let Some(rest) = left.checked_sub(1) else {
                return Err(Error::NoConvergence { iterations: ITERATIONS * n, residual: e[first].abs() });
            };
            left = rest;
            sweep(&mut d, &mut e, first, last, &mut columns);
        }
    }
    let mut vectors = vectors;
    columns.write(&mut vectors);
    Ok((d, vectors))
}

/// The last row of the block that starts at `first` and that no negligible entry cuts.
fn block_end(d: &[f64], e: &[f64], first: usize) -> usize {
    let negligible =
        |&m: &usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs()) || e[m].abs() < f64::MIN_POSITIVE;
    (first..d.len() - 1).find(negligible).unwrap_or(d.len() - 1)
}

/// One implicit QL step on rows `first..=last`, shifted towards the eigenvalue of the upper corner.
fn sweep(d: &mut [f64], e: &mut [f64], first: usize, last: usize, columns: &mut Columns) {
    let ratio = (d[first + 1] - d[first]) / (2.0 * e[first]);
    let shift = e[first] / (ratio + libm::copysign(libm::hypot(ratio, 1.0), ratio));
    let mut g = d[last] - d[first] + shift;
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for i in (first..last).rev() {
        let (f, b) = (s * e[i], c * e[i]);
        let r = length(f, g);
        e[i + 1] = r;
        if r == 0.0 {
            // an entry vanished on the way: the block falls apart here
            d[i + 1] -= p;
            e[last] = 0.0;
            return;
        }
        (s, c) = (f / r, g / r);
        g = d[i + 1] - p;
        let t = (d[i] - g) * s + 2.0 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
        columns.rotate(Rotation { column: i, c, s });
    }
    d[first] -= p;
    e[first] = g;
    e[last] = 0.0;
}

/// `√(f² + g²)`; entries are at most 1 or so, and only tiny ones need the careful way.
fn length(f: f64, g: f64) -> f64 {
    let square = f * f + g * g;
    if square > 1e-280 && square < 1e280 { libm::sqrt(square) } else { libm::hypot(f, g) }
}
