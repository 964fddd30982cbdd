//! What one neuron does in one sequence: the piece that all statistics are made of.

use crate::math::double::Double;

/// Largest magnitude that is taken up: the fourth powers of 2⁶⁴ such values still have a finite sum.
pub(super) const LARGEST: f64 = 1e60;

/// Magnitudes below this have fourth powers that leave the range of doubles; in moments they count as 0.
pub(super) const SMALLEST: f64 = 1e-60;

/// A value and where in its sequence it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extreme {
    pub(super) value: f64,
    pub(super) position: u32,
}

/// One neuron in one sequence; values come in ascending order of position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Values taken up, zeros included.
    pub(super) count: u64,
    /// Values that are not finite, or beyond the limit.
    pub(super) skipped: u64,
    pub(super) least: Extreme,
    pub(super) largest: Extreme,
    /// Values that are not 0, a whole number.
    pub(super) active: f64,
    /// The first of them, cut by [`coarse`].
    pub(super) pivot: f64,
    /// Sums of powers 1 to 4 of their distance to the pivot.
    pub(super) powers: [f64; 4],
}

impl Default for Row {
    fn default() -> Self {
        let none = |value| Extreme { value, position: 0 };
        Self {
            count: 0,
            skipped: 0,
            least: none(f64::INFINITY),
            largest: none(f64::NEG_INFINITY),
            active: 0.0,
            pivot: 0.0,
            powers: [0.0; 4],
        }
    }
}

impl Row {
    /// Takes up a value.
    #[inline]
    pub(super) fn add(&mut self, value: f64, position: u32) {
        if value.is_nan() || value.abs() > LARGEST {
            self.skipped += 1;
            return;
        }
        self.count += 1;
        self.extend(value, position);
        if value.abs() >= SMALLEST {
            if self.active == 0.0 {
                self.pivot = coarse(value);
            }
            self.active += 1.0;
            let distance = value - self.pivot;
            let square = distance * distance;
            let [p1, p2, p3, p4] = self.powers;
            self.powers = [p1 + distance, p2 + square, p3 + square * distance, p4 + square * square];
        }
    }

    /// Takes up this many zeros, the first of them at `position`.
    pub(super) fn add_zeros(&mut self, count: u64, position: u32) {
        if count > 0 {
            self.count += count;
            self.extend(0.0, position);
        }
    }

    /// Of equal values the first stays.
    fn extend(&mut self, value: f64, position: u32) {
        // -0 becomes 0
        let new = Extreme { value: value + 0.0, position };
        let earlier = |old: Extreme| new.value == old.value && position < old.position;
        if new.value < self.least.value || earlier(self.least) {
            self.least = new;
        }
        if new.value > self.largest.value || earlier(self.largest) {
            self.largest = new;
        }
    }

    /// Finds where the extremes stand, given every value with its position.
    pub(super) fn locate(&mut self, values: impl Iterator<Item = (f64, u32)> + Clone) {
        for extreme in [&mut self.least, &mut self.largest] {
            let first = values.clone().find(|(value, _)| *value == extreme.value && value.abs() <= LARGEST);
            extreme.position = first.map_or(0, |(_, position)| position);
        }
    }

    /// The value of the largest magnitude, the first of equal ones.
    pub(super) fn strongest(&self) -> Extreme {
        let (low, high) = (self.least, self.largest);
        let key = |extreme: Extreme| (extreme.value.abs(), u32::MAX - extreme.position);
        if key(low) > key(high) { low } else { high }
    }

    /// Sums of the powers 1 to 4 of all values.
    pub(super) fn power_sums(&self) -> [Double; 4] {
        power_sums(self.active, self.pivot, self.powers)
    }
}

/// The first 13 binary digits of a number: so few that its powers up to the fourth, and small multiples of them, are exact.
#[inline(always)]
pub(super) fn coarse(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !((1 << 40) - 1))
}

/// Sums of the powers 1 to 4 of `n` values, from the sums of the powers of their distances to `c`, which is [`coarse`].
#[inline(always)]
pub(super) fn power_sums(n: f64, c: f64, [d1, d2, d3, d4]: [f64; 4]) -> [Double; 4] {
    let square = c * c;
    let cube = square * c;
    let product = Double::product;
    [
        product(n, c) + Double::from(d1),
        product(n, square) + product(2.0 * c, d1) + Double::from(d2),
        product(n, cube) + product(3.0 * square, d1) + product(3.0 * c, d2) + Double::from(d3),
        product(n, square * square)
            + (product(4.0 * cube, d1) + product(4.0 * c, d3))
            + product(6.0 * square, d2)
            + Double::from(d4),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_about_the_first_value_are_those_about_0() {
        let mut row = Row::default();
        [(2.0, 0), (0.0, 1), (-3.0, 2), (f64::NAN, 3), (5.0, 4)].into_iter().for_each(|(x, at)| {
            row.add(x, at);
        });
        assert_eq!(row.power_sums().map(Double::value), [4.0, 38.0, 106.0, 722.0]);
        assert_eq!((row.count, row.skipped, row.active), (4, 1, 3.0));
        assert_eq!((row.least.position, row.largest.position, row.strongest().position), (2, 4, 4));
    }

    #[test]
    fn zeros_in_bulk_are_zeros_one_by_one() {
        let (mut one, mut bulk) = (Row::default(), Row::default());
        [(-0.0, 3), (-2.0, 5), (0.0, 7)].into_iter().for_each(|(x, at)| {
            one.add(x, at);
        });
        bulk.add(-2.0, 5);
        bulk.add_zeros(2, 3);
        assert_eq!(one, bulk);
        assert_eq!(one.largest, Extreme { value: 0.0, position: 3 });
        // equal magnitudes: the first
        one.add(2.0, 9);
        assert_eq!(one.strongest().position, 5);
    }
}
