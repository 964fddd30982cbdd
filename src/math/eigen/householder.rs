//! Reduction of a symmetric matrix to tridiagonal form by blocks of Householder reflectors.
//!
//! ```text
//! H_j = I - τ v vᵀ                        v_1 = 1, H_j x = β e_1
//! A ← A - V Wᵀ - W Vᵀ                     after each panel, one product
//! P = H_1 H_2 ... = Π (I - V T Vᵀ)        T upper triangular, one per panel
//! ```

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayView2, ArrayViewMut2, Axis, Slice};

use crate::Result;
use crate::math::gemm::product;
use crate::math::reduce::norm;

/// Reflectors that are applied together.
const PANEL: usize = 32;

/// Diagonal, off-diagonal and the matrix `P` with `A = P T Pᵀ`.
pub(super) fn tridiagonalise(mut a: Array2<f64>) -> Result<(Vec<f64>, Vec<f64>, Array2<f64>)> {
    let n = a.nrows();
    let (mut off, mut reflectors) = (vec![0.0; n.saturating_sub(1)], Reflectors::new(n));
    let mut start = 0;
    while start + 1 < n {
        let panel = start..(start + PANEL).min(n - 1);
        reduce_panel(&mut a, panel.clone(), &mut off, &mut reflectors)?;
        start = panel.end;
    }
    let q = reflectors.accumulate()?;
    Ok((a.diag().to_vec(), off, q))
}

/// All reflectors: column `j` of `v` is zero down to row `j`, then starts with 1.
struct Reflectors {
    v: Array2<f64>,
    tau: Vec<f64>,
}

/// Reduces the columns of `panel`, and updates what is right of and below them.
fn reduce_panel(a: &mut Array2<f64>, panel: Range<usize>, off: &mut [f64], reflectors: &mut Reflectors) -> Result<()> {
    let n = a.nrows();
    let mut w = Array2::zeros((n, panel.len()));
    for (k, j) in panel.clone().enumerate() {
        let below = j + 1;
        update_column(a, j, &reflectors.v, &w, panel.start..j);
        let mut x = a.column(j).slice_axis(Axis(0), Slice::from(below..)).to_owned();
        let (tau, beta) = reflector(&mut x);
        (off[j], reflectors.tau[j]) = (beta, tau);
        reflectors.v.column_mut(j).slice_axis_mut(Axis(0), Slice::from(below..)).assign(&x);
        let rest = window(a.view(), below..n, below..n);
        let earlier = (window(reflectors.v.view(), below..n, panel.start..j), window(w.view(), below..n, 0..k));
        let column = symmetric_step(&x, tau, rest, earlier)?;
        w.column_mut(k).slice_axis_mut(Axis(0), Slice::from(below..)).assign(&column);
    }
    let end = panel.end;
    let (v, w) = (window(reflectors.v.view(), end..n, panel), w.slice_axis(Axis(0), Slice::from(end..)));
    // A -= V Wᵀ + W Vᵀ as one product
    let left = ndarray::concatenate(Axis(1), &[v, w]).unwrap_or_default();
    let right = ndarray::concatenate(Axis(1), &[w, v]).unwrap_or_default();
    let change = product(&left, &right.t())?;
    window_mut(a, end..n, end..n).zip_mut_with(&change, |a, change| *a -= change);
    Ok(())
}

/// Brings column `j` (from the diagonal on) up to date with the reflectors `done` of its panel.
fn update_column(a: &mut Array2<f64>, j: usize, v: &ArrayRef2<f64>, w: &ArrayRef2<f64>, done: Range<usize>) {
    for row in j..a.nrows() {
        let mut change = 0.0;
        for (k, c) in done.clone().enumerate() {
            change += v[[row, c]] * w[[j, k]] + w[[row, k]] * v[[j, c]];
        }
        a[[row, j]] -= change;
    }
}

/// Turns `x` into the vector `v` of its reflector; returns `τ` and `β`.
fn reflector(x: &mut Array1<f64>) -> (f64, f64) {
    let Some(&first) = x.first() else { return (0.0, 0.0) };
    let rest = norm(&x.slice_axis(Axis(0), Slice::from(1..)));
    if rest <= f64::MIN_POSITIVE / f64::EPSILON {
        x.fill(0.0);
        x[0] = 1.0;
        return (0.0, first);
    }
    let beta = -libm::copysign(libm::hypot(first, rest), first);
    let scale = first - beta;
    x.mapv_inplace(|x| x / scale);
    x[0] = 1.0;
    ((beta - first) / beta, beta)
}

/// The vector `w` with `H A H = A - v wᵀ - w vᵀ`, where `A` is `rest` less the `earlier` pairs `V`, `W` of the panel.
fn symmetric_step(
    v: &ArrayRef1<f64>,
    tau: f64,
    rest: ArrayView2<'_, f64>,
    earlier: (ArrayView2<'_, f64>, ArrayView2<'_, f64>),
) -> Result<Array1<f64>> {
    let row = v.view().insert_axis(Axis(0));
    let mut p = product(&row, &rest)?;
    let (before_v, before_w) = earlier;
    if before_v.ncols() > 0 {
        p -= &product(&product(&row, &before_w)?, &before_v.t())?;
        p -= &product(&product(&row, &before_v)?, &before_w.t())?;
    }
    let mut p = p.index_axis_move(Axis(0), 0);
    p *= tau;
    let along = 0.5 * tau * p.dot(v);
    p.zip_mut_with(v, |p, v| *p -= along * v);
    Ok(p)
}

impl Reflectors {
    fn new(n: usize) -> Self {
        Self { v: Array2::zeros((n, n.saturating_sub(1))), tau: vec![0.0; n.saturating_sub(1)] }
    }

    /// The product of all reflectors.
    fn accumulate(&self) -> Result<Array2<f64>> {
        let n = self.v.nrows();
        let mut q = Array2::eye(n);
        let mut starts: Vec<usize> = (0..self.tau.len()).step_by(PANEL).collect();
        starts.reverse();
        for start in starts {
            let panel = start..(start + PANEL).min(self.tau.len());
            let v = window(self.v.view(), start + 1..n, panel.clone());
            let t = triangle(v, &self.tau[panel]);
            let mut rest = window_mut(&mut q, start + 1..n, start + 1..n);
            let change = product(&v, &product(&t, &product(&v.t(), &rest)?)?)?;
            rest.zip_mut_with(&change, |q, change| *q -= change);
        }
        Ok(q)
    }
}

/// `T` with `H_1 ... H_k = I - V T Vᵀ`.
fn triangle(v: ArrayView2<'_, f64>, tau: &[f64]) -> Array2<f64> {
    let k = tau.len();
    let mut t = Array2::<f64>::zeros((k, k));
    let overlaps = v.t().dot(&v);
    for j in 0..k {
        t[[j, j]] = tau[j];
        for i in 0..j {
            let sum: f64 = (i..j).map(|l| t[[i, l]] * overlaps[[l, j]]).sum();
            t[[i, j]] = -tau[j] * sum;
        }
    }
    t
}

fn window(a: ArrayView2<'_, f64>, rows: Range<usize>, columns: Range<usize>) -> ArrayView2<'_, f64> {
    a.slice_axis_move(Axis(0), Slice::from(rows)).slice_axis_move(Axis(1), Slice::from(columns))
}

fn window_mut(a: &mut Array2<f64>, rows: Range<usize>, columns: Range<usize>) -> ArrayViewMut2<'_, f64> {
    a.slice_axis_mut(Axis(0), Slice::from(rows)).slice_axis_move(Axis(1), Slice::from(columns))
}
