//! What many neurons do in one sequence, side by side: to the bit what a [`Row`] of each would hold.
//!
//! Values come in blocks of places. Their range is found first, in their own precision; only where that meets something that
//! is not finite are they looked at one by one. Where an extreme stands is left to be found when it is asked for: in a long
//! corpus hardly any is.

use super::row::{Extreme, LARGEST, Row, SMALLEST, coarse, power_sums};
use crate::Scalar;
use crate::math::double::Double;
use crate::math::simd::{Select, Simd, SimdBase, SimdMask, Vector};

/// Neurons that are worked on at once; all that is known of them stays in the cache.
pub(super) const LANES: usize = 64;

/// Most places that are worked on at once.
pub(super) const BLOCK: usize = 32;

/// Neurons whose sums stay in registers.
const GROUP: usize = 8;

/// One number of each neuron.
pub(super) type Lane<V> = [V; LANES];

/// The rows of [`LANES`] neurons; values come in ascending order of position.
#[derive(Debug, Clone)]
pub(super) struct Lanes<T> {
    /// Places seen, those that were skipped included.
    places: u64,
    skipped: Lane<u64>,
    least: Lane<T>,
    largest: Lane<T>,
    /// Whole numbers.
    active: Lane<f64>,
    pivot: Lane<f64>,
    powers: [Lane<f64>; 4],
    /// [`Row::power_sums`], high parts and low parts, once the sequence is finished.
    sums: [[Lane<f64>; 2]; 4],
}

impl<T: Scalar> Lanes<T> {
    pub(super) fn new() -> Self {
        let mut lanes = Self {
            places: 0,
            skipped: [0; LANES],
            least: [T::zero(); LANES],
            largest: [T::zero(); LANES],
            active: [0.0; LANES],
            pivot: [0.0; LANES],
            powers: [[0.0; LANES]; 4],
            sums: [[[0.0; LANES]; 2]; 4],
        };
        lanes.clear();
        lanes
    }

    /// Begins a new sequence.
    pub(super) fn clear(&mut self) {
        // in place: a new one would be made on the stack and copied
        self.places = 0;
        self.skipped.fill(0);
        self.least.fill(T::infinity());
        self.largest.fill(T::neg_infinity());
        self.active.fill(0.0);
        self.pivot.fill(0.0);
        self.powers.iter_mut().for_each(|powers| powers.fill(0.0));
    }

    /// Takes up at most [`BLOCK`] places, with or without the sums of powers, and says whether nothing was skipped.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&mut self, simd: S, block: &[Lane<T>], sums: bool) -> bool {
        self.places += block.len() as u64;
        let mut clean = true;
        // values of this block that are not 0
        let mut active = [T::zero(); LANES];
        for at in (0..LANES).step_by(T::LANES) {
            if !self.range(simd, block, at, &mut active) {
                clean = false;
                (at..at + T::LANES).for_each(|lane| active[lane] = self.range_of(block, lane));
            }
        }
        if sums {
            self.add_sums(block, &active);
        }
        clean
    }

    /// The sums of powers, given how many values of the block are not 0.
    #[inline(always)]
    fn add_sums(&mut self, block: &[Lane<T>], active: &Lane<T>) {
        for lane in 0..LANES {
            if active[lane] > T::zero() && self.active[lane] == 0.0 {
                let first = block.iter().map(|row| row[lane].as_f64()).find(|x| is_active(*x));
                self.pivot[lane] = first.map_or(0.0, coarse);
            }
            self.active[lane] += active[lane].as_f64();
        }
        let all = T::of(block.len() as f64);
        for at in (0..LANES).step_by(GROUP) {
            let active = &active[at..at + GROUP];
            if active.iter().all(|count| *count == all) {
                self.add_powers(block, at, |_| true);
            } else if active.iter().any(|count| *count > T::zero()) {
                self.add_powers(block, at, is_active);
            }
        }
    }

    /// Ranges of the lanes of one vector, and how many of their values are not 0; `false`, and nothing changed, where one is
    /// to be skipped.
    #[inline(always)]
    fn range<S: Simd>(&mut self, simd: S, block: &[Lane<T>], at: usize, active: &mut Lane<T>) -> bool {
        let splat = |x: T| Vector::<T, S>::splat(simd, x);
        let (smallest, limit) = (splat(smallest::<T>()), splat(T::of(LARGEST).min(T::max_value())));
        let (zero, one) = (splat(T::zero()), splat(T::one()));
        let mut least = Vector::<T, S>::from_slice(simd, &self.least[at..at + T::LANES]);
        let mut largest = Vector::<T, S>::from_slice(simd, &self.largest[at..at + T::LANES]);
        let (mut count, mut skipped) = (zero, zero);
        for row in block {
            let value = Vector::<T, S>::from_slice(simd, &row[at..at + T::LANES]);
            let size = value.abs();
            // false for NaN
            skipped = size.simd_le(limit).select(skipped, one);
            count += size.simd_ge(smallest).select(one, zero);
            least = least.min(value);
            largest = largest.max(value);
        }
        if skipped.simd_gt(zero).any_true() {
            return false;
        }
        least.store_slice(&mut self.least[at..at + T::LANES]);
        largest.store_slice(&mut self.largest[at..at + T::LANES]);
        count.store_slice(&mut active[at..at + T::LANES]);
        true
    }

    /// The same for one lane, and without what is to be skipped.
    fn range_of(&mut self, block: &[Lane<T>], lane: usize) -> T {
        let mut active = T::zero();
        for value in block.iter().map(|row| row[lane]) {
            if value.abs().as_f64() <= LARGEST {
                self.least[lane] = self.least[lane].min(value);
                self.largest[lane] = self.largest[lane].max(value);
                active += if is_active(value.as_f64()) { T::one() } else { T::zero() };
            } else {
                self.skipped[lane] += 1;
            }
        }
        active
    }

    /// The steps of [`Row::add`] for the sums of powers, with a choice of values where that has a branch.
    #[inline(always)]
    fn add_powers(&mut self, block: &[Lane<T>], at: usize, taken: impl Fn(f64) -> bool) {
        let mut pivot = [0.0; GROUP];
        pivot.copy_from_slice(&self.pivot[at..at + GROUP]);
        let mut sums = [[0.0; GROUP]; 4];
        for (sums, powers) in sums.iter_mut().zip(&self.powers) {
            sums.copy_from_slice(&powers[at..at + GROUP]);
        }
        let [p1, p2, p3, p4] = &mut sums;
        for row in block {
            let row = &row[at..at + GROUP];
            for lane in 0..GROUP {
                let value = row[lane].as_f64();
                // adding 0 leaves a sum as it is: none is ever -0
                let distance = if taken(value) { value - pivot[lane] } else { 0.0 };
                let square = distance * distance;
                p1[lane] += distance;
                p2[lane] += square;
                p3[lane] += square * distance;
                p4[lane] += square * square;
            }
        }
        for (sums, powers) in sums.iter().zip(&mut self.powers) {
            powers[at..at + GROUP].copy_from_slice(sums);
        }
    }

    /// Ends the sequence: works out the sums of powers.
    #[inline(always)]
    pub(super) fn finish(&mut self) {
        let ([p1, p2, p3, p4], [s1, s2, s3, s4]) = (&self.powers, &mut self.sums);
        for lane in 0..LANES {
            let powers = [p1[lane], p2[lane], p3[lane], p4[lane]];
            let [a, b, c, d] = power_sums(self.active[lane], self.pivot[lane], powers);
            (s1[0][lane], s1[1][lane]) = (a.high, a.low);
            (s2[0][lane], s2[1][lane]) = (b.high, b.low);
            (s3[0][lane], s3[1][lane]) = (c.high, c.low);
            (s4[0][lane], s4[1][lane]) = (d.high, d.low);
        }
    }

    /// [`Row::power_sums`] of one neuron in a finished sequence.
    pub(super) fn sums(&self, lane: usize) -> [Double; 4] {
        self.sums.each_ref().map(|[high, low]| Double { high: high[lane], low: low[lane] })
    }

    /// What one neuron did, but for the positions of its extremes.
    pub(super) fn row(&self, lane: usize) -> Row {
        // -0 becomes 0
        let extreme = |value: T| Extreme { value: value.as_f64() + 0.0, position: 0 };
        Row {
            count: self.places - self.skipped[lane],
            skipped: self.skipped[lane],
            least: extreme(self.least[lane]),
            largest: extreme(self.largest[lane]),
            active: self.active[lane],
            pivot: self.pivot[lane],
            powers: self.powers.each_ref().map(|powers| powers[lane]),
        }
    }
}

/// Whether a value counts in moments: neither skipped nor as good as 0.
#[inline(always)]
fn is_active(value: f64) -> bool {
    (SMALLEST..=LARGEST).contains(&value.abs())
}

/// The smallest magnitude that counts in moments.
fn smallest<T: Scalar>() -> T {
    T::of(SMALLEST).max(T::min_positive_value() * T::epsilon())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::Seed;
    use crate::math::random::{below, fill_normal};
    use crate::math::simd::{dispatch, level};

    fn same_as_rows<T: Scalar>(special: &[T], share: usize) {
        let (mut lanes, mut rows) = (Lanes::<T>::new(), [Row::default(); LANES]);
        let mut stream = Seed(4).stream(0, 0);
        let values: Vec<Lane<T>> = (0..70)
            .map(|_| {
                let mut values = [T::zero(); LANES];
                fill_normal(&mut stream, T::one(), &mut values);
                values.iter_mut().for_each(|x| *x = special.get(below(&mut stream, share)).copied().unwrap_or(*x));
                values
            })
            .collect();
        for block in values.chunks(BLOCK) {
            let clean = dispatch!(level(), simd => lanes.add(simd, block, true));
            assert_eq!(clean, block.iter().flatten().all(|x| x.as_f64().abs() <= LARGEST));
        }
        for (row, lane) in rows.iter_mut().zip(0..) {
            values.iter().zip(0..).for_each(|(values, position)| row.add(values[lane].as_f64(), position));
            row.locate(values.iter().zip(0..).map(|(values, position)| (values[lane].as_f64(), position)));
        }
        lanes.finish();
        rows.iter().enumerate().for_each(|(lane, row)| {
            let mut found = lanes.row(lane);
            found.locate(values.iter().zip(0..).map(|(values, position)| (values[lane].as_f64(), position)));
            assert_eq!(found, *row);
            let bits = |sums: [Double; 4]| sums.map(|sum| (sum.high.to_bits(), sum.low.to_bits()));
            assert_eq!(bits(lanes.sums(lane)), bits(row.power_sums()));
            assert!(lanes.row(lane).powers.iter().zip(row.powers).all(|(a, b)| a.to_bits() == b.to_bits()));
        });
    }

    #[test]
    fn side_by_side_is_one_by_one() {
        let special = [0.0, -0.0, f64::NAN, f64::INFINITY, 1e60, -1.1e60, 1e-61, -1e-60, 5.0, 5.0];
        same_as_rows(&special, 20);
        same_as_rows(&special, 400);
        same_as_rows(&[0.0_f32, -0.0, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-45, 7.0, 7.0], 20);
        same_as_rows(&[0.0_f32; 9], 10);
        same_as_rows::<f32>(&[], 1);
    }

    #[test]
    fn nothing_seen_is_an_empty_row() {
        let mut row = Lanes::<f32>::new().row(3);
        row.locate(core::iter::empty());
        assert_eq!(row, Row::default());
    }
}
