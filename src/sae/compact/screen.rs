//! Certified screening: an encoder in 8 bits that says which latents cannot matter.
//!
//! ```text
//! ŵ = s_w q_w,  x̂ = s_x q_x       q: whole numbers in -127..=127, s: largest magnitude / 127, one per row
//! |x·w - x̂·ŵ| = |(x - x̂)·ŵ + x·(w - ŵ)| ≤ ‖x - x̂‖ ‖ŵ‖ + ‖x‖ ‖w - ŵ‖
//! ```
//!
//! The products of whole numbers are exact. What single precision adds where the exact product is computed in any order is
//! bounded by `γ ‖x‖ ‖w‖` with `γ = (d + 8) 2⁻²³`, and belongs to the bound. A latent whose upper bound stays below what
//! would make it active is left out; all others are computed exactly, so the active latents and their values are those of
//! a full computation, at a quarter of the memory traffic.
//!
//! Source: the bound is the inequality of Cauchy and Schwarz; for `γ`: Higham, "Accuracy and Stability of Numerical
//! Algorithms", section 3.1.

use alloc::vec;
use alloc::vec::Vec;

use super::rows::Rows;
use super::steps::{scale, step};
use crate::Result;
use crate::error::check_limit;
use crate::math::simd::{Simd, dispatch, level};

/// Widest row whose products fit 32 bits.
const WIDEST: usize = 1 << 17;

/// Makes rounded norms upper bounds, in double precision and after rounding to single.
const UP: f64 = 1.0 + 1e-6;

/// The encoder in 8 bits, with what bounds its errors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Screen {
    width: usize,
    steps: Vec<i8>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    scale: f32,
    /// `‖ŵ‖`.
    norm: f32,
    /// `‖w - ŵ‖ + γ ‖w‖`.
    error: f32,
}

/// A sample in 8 bits.
#[derive(Debug, Clone)]
pub(super) struct Rounded {
    steps: Vec<i16>,
    scale: f64,
    /// `‖x‖`.
    norm: f64,
    /// `‖x - x̂‖`.
    error: f64,
}

/// What is known of a pre-activation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bounds {
    pub(super) lower: f32,
    pub(super) upper: f32,
}

fn norm(x: impl Iterator<Item = f64>) -> f64 {
    libm::sqrt(x.map(|x| x * x).sum())
}

impl Screen {
    pub(super) fn new(encoder: &Rows) -> Result<Self> {
        let width = encoder.width();
        check_limit("d_in of a screened encoder", width, WIDEST)?;
        let mut steps = Vec::with_capacity(encoder.len() * width);
        let mut rows = Vec::with_capacity(encoder.len());
        let mut buffer = encoder.buffer();
        let gamma = (width as f64 + 8.0) * f64::from(f32::EPSILON);
        for i in 0..encoder.len() {
            let w = encoder.row(i, &mut buffer);
            let scale = scale(w);
            steps.extend(w.iter().map(|&w| step(w, scale)));
            let rounded = &steps[i * width..];
            let back = |q: i8| f64::from(q) * f64::from(scale);
            let error = norm(w.iter().zip(rounded).map(|(&w, &q)| f64::from(w) - back(q)));
            let whole = norm(w.iter().map(|&w| f64::from(w)));
            rows.push(Row {
                scale,
                norm: up(norm(rounded.iter().map(|&q| back(q)))),
                error: up(error + gamma * whole),
            });
        }
        Ok(Self { width, steps, rows })
    }

    pub(super) fn bytes(&self) -> usize {
        self.steps.len() + size_of_val(&self.rows[..])
    }

    pub(super) fn scratch(&self) -> Rounded {
        Rounded { steps: vec![0; self.width], scale: 0.0, norm: 0.0, error: 0.0 }
    }

    /// Bounds of all pre-activations of `x`.
    pub(super) fn bounds(&self, x: &[f32], bias: &[f32], rounded: &mut Rounded, bounds: &mut [Bounds]) {
        rounded.round(x);
        dispatch!(level(), simd => self.fill(simd, rounded, bias, bounds));
    }

    #[inline(always)]
    fn fill<S: Simd>(&self, _: S, x: &Rounded, bias: &[f32], bounds: &mut [Bounds]) {
        let all = self.steps.chunks_exact(self.width).zip(&self.rows).zip(bias).zip(bounds);
        for (((steps, row), &bias), slot) in all {
            let product = f64::from(dot(steps, &x.steps)) * x.scale * f64::from(row.scale);
            let error = (x.error * f64::from(row.norm) + x.norm * f64::from(row.error)) * UP;
            let (z, bias) = (product + f64::from(bias), f64::from(bias));
            // the sum with the bias is rounded too, and so are the bounds
            let slack = error + (z.abs() + bias.abs() + error) * 4.0 * f64::from(f32::EPSILON);
            *slot = Bounds { lower: single(z - slack), upper: single(z + slack) };
        }
    }
}

impl Rounded {
    fn round(&mut self, x: &[f32]) {
        let scale = scale(x);
        self.steps.iter_mut().zip(x).for_each(|(q, &x)| *q = i16::from(step(x, scale)));
        self.scale = f64::from(scale);
        self.norm = norm(x.iter().map(|&x| f64::from(x))) * UP;
        let missed = |(&x, &q): (&f32, &i16)| f64::from(x) - f64::from(q) * f64::from(scale);
        self.error = norm(x.iter().zip(&self.steps).map(missed)) * UP;
    }
}

#[inline(always)]
fn dot(a: &[i8], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

fn up(x: f64) -> f32 {
    single(x * UP + f64::from(f32::MIN_POSITIVE))
}

#[expect(clippy::cast_possible_truncation, reason = "rounding is what is meant")]
#[inline(always)]
fn single(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::fill_normal;
    use crate::sae::compact::rows::Precision;
    use ndarray::Array2;

    #[test]
    fn no_product_leaves_its_bounds() {
        let (d, m) = (70, 200);
        for (seed, spread) in [(0, 1.0), (1, 1e-3), (2, 1e6)] {
            let mut w = Array2::<f32>::zeros((m, d));
            fill_normal(&mut Seed(seed).stream(0, 0), spread, w.as_slice_mut().unwrap());
            // a row of zeros, a row with one large weight, a row below all steps
            w.row_mut(0).fill(0.0);
            w[[1, 3]] = 1e4 * spread;
            w.row_mut(2).fill(1e-42);
            let screen = Screen::new(&Rows::new("w", &w, Precision::F32).unwrap()).unwrap();
            let bias: Vec<f32> = (0..m).map(|i| (i as f32 - 100.0) * 0.01).collect();
            let (mut x, mut rounded, mut bounds) = (vec![0.0_f32; d], screen.scratch(), vec![Bounds::default(); m]);
            for item in 1..40 {
                fill_normal(&mut Seed(seed).stream(0, item), if item == 39 { 0.0 } else { 2.0 }, &mut x);
                screen.bounds(&x, &bias, &mut rounded, &mut bounds);
                for (i, (row, Bounds { lower, upper })) in w.rows().into_iter().zip(&bounds).enumerate() {
                    let z = row.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>() + bias[i];
                    assert!(*lower <= z && z <= *upper, "{lower} {z} {upper}");
                }
            }
        }
    }

    #[test]
    fn bounds_are_narrow_enough_to_be_of_use() {
        let (d, m) = (512, 64);
        let mut w = Array2::<f32>::zeros((m, d));
        fill_normal(&mut Seed(9).stream(0, 0), 0.05, w.as_slice_mut().unwrap());
        let screen = Screen::new(&Rows::new("w", &w, Precision::F32).unwrap()).unwrap();
        let (mut x, mut rounded, mut bounds) = (vec![0.0_f32; d], screen.scratch(), vec![Bounds::default(); m]);
        fill_normal(&mut Seed(9).stream(0, 1), 1.0, &mut x);
        screen.bounds(&x, &vec![0.0; m], &mut rounded, &mut bounds);
        // pre-activations have a deviation of 0.05 √512 = 1.13
        assert!(bounds.iter().all(|b| b.upper - b.lower < 0.9));
    }
}
