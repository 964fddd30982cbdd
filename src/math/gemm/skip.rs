//! Products of rows with many zeros, which leave those out.
//!
//! Behind a rectifier half of all numbers are 0. A bit for each number of `A` says whether it is another, and a strip of `B`
//! that fits the nearest cache is read at those places only, for one row after the other. What is left out would have added
//! 0 to a sum: the floats are those of the dense route, the sign of a zero aside. An infinite or undefined number in `B` would
//! have made that 0 undefined, so such a `B` takes the dense route.

use core::ops::Range;

use super::kernel::{Output, VECTORS, add_vector, width};
use super::pack::Operand;
use super::{Block, DEPTH};
use crate::Scalar;
use crate::math::FOR_MUCH_DATA;
use crate::math::simd::{
    Registers, Simd, SimdBase, SimdFloat, SimdMask, Vector, dispatch, level, load_part, registers, registers_here,
    store_part,
};

/// Inner indices whose strip of `B` all rows read before the next.
const STRETCH: usize = 64;

/// Stretches of one block of inner indices.
const STRETCHES: usize = DEPTH / STRETCH;

/// Panels of `B` in the widest strip, and in the widest where registers hold 8 vectors.
const WIDEST: usize = 4;
const WIDE: usize = 3;

/// Largest share of numbers that are not 0 at which this is the faster way. Wide registers read the nearest cache at its
/// limit here, while the dense way reads it half as much.
const MOST_PRESENT: f64 = 0.8;
const MOST_PRESENT_WIDE: f64 = 0.55;

/// Fewest rows that are worth a look at all of `B`.
const LEAST_ROWS: usize = 48;

/// Fewest rows of a piece of work: each piece brings every strip into the nearest cache once more.
pub(super) const PIECE_ROWS: usize = 60;

/// Rows that are looked at before the choice.
const SAMPLE: usize = 16;

/// Numbers that the sums of `rows` rows take.
pub(super) const fn sums<T: Scalar>(rows: usize) -> usize {
    rows * WIDEST * width::<T>()
}

/// Words that say which numbers of `rows` rows are not 0.
pub(super) const fn words(rows: usize) -> usize {
    rows * STRETCHES
}

/// Whether so many numbers of `a` are 0 that this is the faster way; a few rows tell.
pub(super) fn pays<T: Scalar>(a: &Operand<'_, T>, rows: usize, depth: &Range<usize>, columns: usize) -> bool {
    if !FOR_MUCH_DATA || a.transposed() || rows < LEAST_ROWS || columns <= width::<T>() {
        return false;
    }
    let (mut present, mut seen) = (0, 0);
    for row in (0..rows).step_by(rows.div_ceil(SAMPLE)) {
        let here = a.line(row)[depth.clone()].iter().filter(|x| **x != T::zero()).count();
        // most matrices have no zeros at all: one row says so
        if here == depth.len() {
            return false;
        }
        (present, seen) = (present + here, seen + depth.len());
    }
    let most = if registers_here() == Registers::Wide { MOST_PRESENT_WIDE } else { MOST_PRESENT };
    present as f64 <= most * seen as f64
}

/// Rows of a block that start at row `first` of all of `C`.
pub(super) struct Rows<'a, 'm, T> {
    pub(super) block: &'a Block<'a, 'm, T>,
    pub(super) first: usize,
}

impl<T: Scalar> Rows<'_, '_, T> {
    /// Computes the rows `c: (rows, n)` at the columns, in buffers of [`sums`] and [`words`].
    pub(super) fn multiply(&self, c: &mut [T], sums: &mut [T], present: &mut [u64]) {
        let rows = c.len() / self.block.n;
        dispatch!(level(), simd => {
            for (row, present) in present.chunks_exact_mut(STRETCHES).take(rows).enumerate() {
                note(simd, self.line(row), present);
            }
            self.strips(simd, present, sums, c);
        });
    }

    fn line(&self, row: usize) -> &[T] {
        &self.block.a.line(self.first + row)[self.block.depth.clone()]
    }

    /// All strips, the widest that the registers hold first.
    #[inline(always)]
    fn strips<S: Simd>(&self, simd: S, present: &[u64], sums: &mut [T], c: &mut [T]) {
        let panels = self.block.columns.len().div_ceil(width::<T>());
        let mut panel = 0;
        while panels - panel >= WIDEST && registers::<S>() == Registers::Wide {
            self.strip::<S, WIDEST>(simd, present, panel, sums, c);
            panel += WIDEST;
        }
        while panels - panel >= WIDE && registers::<S>() != Registers::Few {
            self.strip::<S, WIDE>(simd, present, panel, sums, c);
            panel += WIDE;
        }
        while panels - panel >= 2 && registers::<S>() != Registers::Few {
            self.strip::<S, 2>(simd, present, panel, sums, c);
            panel += 2;
        }
        while panel < panels {
            self.strip::<S, 1>(simd, present, panel, sums, c);
            panel += 1;
        }
    }

    /// All rows at the columns of `P` panels.
    #[inline(always)]
    fn strip<S: Simd, const P: usize>(&self, simd: S, present: &[u64], panel: usize, sums: &mut [T], c: &mut [T]) {
        let Block { right: (right, stride), depth, columns, n, output, .. } = self.block;
        let wide = P * width::<T>();
        let first = columns.start + panel * width::<T>();
        let live = first..columns.end.min(first + wide);
        for start in (0..depth.len()).step_by(STRETCH) {
            let end = depth.len().min(start + STRETCH);
            let mut parts: [&[T]; P] = [&[]; P];
            for (p, part) in parts.iter_mut().enumerate() {
                let from = (panel + p) * stride;
                *part = &right[from + start * width::<T>()..from + end * width::<T>()];
            }
            let rows = c.chunks_exact_mut(*n).zip(sums.chunks_exact_mut(wide)).enumerate();
            for (row, (c, sums)) in rows {
                let mut total = [[Vector::<T, S>::splat(simd, T::zero()); VECTORS]; P];
                if start > 0 {
                    load(simd, sums, &mut total);
                }
                let word = present[row * STRETCHES + start / STRETCH];
                add_present::<T, S, P>(simd, parts, &self.line(row)[start..end], word, &mut total);
                if end < depth.len() {
                    store(&total, sums);
                } else {
                    give(simd, &total, &mut c[live.clone()], *output);
                }
            }
        }
    }
}

/// The bits of the numbers that are not 0, one word per stretch.
#[inline(always)]
fn note<T: Scalar, S: Simd>(simd: S, line: &[T], present: &mut [u64]) {
    let zero = Vector::<T, S>::splat(simd, T::zero());
    for (stretch, word) in line.chunks(STRETCH).zip(present) {
        let mut bits = 0;
        for lane in (0..stretch.len()).step_by(T::LANES) {
            let part = load_part::<T, S>(simd, &stretch[lane..stretch.len().min(lane + T::LANES)]);
            bits |= (!part.simd_eq(zero).to_bitmask() & (u64::MAX >> (64 - T::LANES))) << lane;
        }
        *word = bits;
    }
}

/// Adds the numbers of a stretch that are `present`, each times its line of the panels, to `total`.
#[inline(always)]
fn add_present<T: Scalar, S: Simd, const P: usize>(
    simd: S,
    panels: [&[T]; P],
    stretch: &[T],
    mut present: u64,
    total: &mut [[Vector<T, S>; VECTORS]; P],
) {
    // lengths that the compiler knows take the checks of bounds out of the loop
    let whole = stretch.len() == STRETCH && panels.iter().all(|panel| panel.len() == STRETCH * width::<T>());
    if whole {
        let stretch = &stretch[..STRETCH];
        let panels = panels.map(|panel| &panel[..STRETCH * width::<T>()]);
        while present != 0 {
            add_one(simd, panels, stretch, present.trailing_zeros() as usize % STRETCH, total);
            present &= present - 1;
        }
        return;
    }
    while present != 0 {
        add_one(simd, panels, stretch, present.trailing_zeros() as usize, total);
        present &= present - 1;
    }
}

/// Adds number `j` of a stretch.
#[inline(always)]
fn add_one<T: Scalar, S: Simd, const P: usize>(
    simd: S,
    panels: [&[T]; P],
    stretch: &[T],
    j: usize,
    total: &mut [[Vector<T, S>; VECTORS]; P],
) {
    let x = Vector::<T, S>::splat(simd, stretch[j]);
    for p in 0..P {
        let line = &panels[p][j * width::<T>()..(j + 1) * width::<T>()];
        for v in 0..VECTORS {
            let y = Vector::<T, S>::from_slice(simd, &line[v * T::LANES..(v + 1) * T::LANES]);
            total[p][v] = y.mul_add(x, total[p][v]);
        }
    }
}

/// Reads sums.
#[inline(always)]
fn load<T: Scalar, S: Simd, const P: usize>(simd: S, sums: &[T], total: &mut [[Vector<T, S>; VECTORS]; P]) {
    for (p, total) in total.iter_mut().enumerate() {
        for (v, total) in total.iter_mut().enumerate() {
            let at = (p * VECTORS + v) * T::LANES;
            *total = Vector::<T, S>::from_slice(simd, &sums[at..at + T::LANES]);
        }
    }
}

/// Writes sums.
#[inline(always)]
fn store<T: Scalar, S: Simd, const P: usize>(total: &[[Vector<T, S>; VECTORS]; P], sums: &mut [T]) {
    for (p, total) in total.iter().enumerate() {
        for (v, total) in total.iter().enumerate() {
            let at = (p * VECTORS + v) * T::LANES;
            total.store_slice(&mut sums[at..at + T::LANES]);
        }
    }
}

/// Gives the sums to `out`, which may have fewer columns.
#[inline(always)]
fn give<T: Scalar, S: Simd, const P: usize>(
    simd: S,
    total: &[[Vector<T, S>; VECTORS]; P],
    out: &mut [T],
    output: Output,
) {
    if output == Output::Store && out.len() == P * width::<T>() {
        return store(total, out);
    }
    for (&total, out) in total.as_flattened().iter().zip(out.chunks_mut(T::LANES)) {
        match output {
            Output::Store => store_part::<T, S>(total, out),
            Output::Add => add_vector::<T, S>(simd, total, out),
        }
    }
}
