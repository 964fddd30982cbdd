//! What many neurons do in one sequence, side by side: to the bit what a [`Row`] of each would hold, in loops over neurons
//! instead of branches, so that vectors can do them.

use super::row::{Extreme, LARGEST, Row, SMALLEST, power_sums};

/// Neurons that are worked on at once; all that is known of them stays in the cache.
pub(super) const LANES: usize = 64;

/// One number of each neuron.
type Lane<V> = [V; LANES];

/// The rows of [`LANES`] neurons; values come in ascending order of position.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    /// Places seen, those that were skipped included.
    places: u64,
    count: Lane<u64>,
    least: Lane<f64>,
    least_at: Lane<u64>,
    largest: Lane<f64>,
    largest_at: Lane<u64>,
    /// Whole numbers.
    active: Lane<f64>,
    pivot: Lane<f64>,
    powers: [Lane<f64>; 4],
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            places: 0,
            count: [0; LANES],
            least: [f64::INFINITY; LANES],
            least_at: [0; LANES],
            largest: [f64::NEG_INFINITY; LANES],
            largest_at: [0; LANES],
            active: [0.0; LANES],
            pivot: [0.0; LANES],
            powers: [[0.0; LANES]; 4],
        }
    }

    /// Takes up one place of the sequence: the steps of [`Row::add`], with a choice of values where that has a branch.
    #[inline(always)]
    pub(super) fn add(&mut self, values: &Lane<f64>, position: u32) {
        self.places += 1;
        let position = u64::from(position);
        let [p1, p2, p3, p4] = &mut self.powers;
        for lane in 0..LANES {
            let (value, size) = (values[lane], values[lane].abs());
            // false for NaN
            let taken = size <= LARGEST;
            self.count[lane] += u64::from(taken);
            // -0 becomes 0; of equal values the first stays
            let plain = value + 0.0;
            let (less, more) = (taken & (plain < self.least[lane]), taken & (plain > self.largest[lane]));
            self.least[lane] = if less { plain } else { self.least[lane] };
            self.least_at[lane] = if less { position } else { self.least_at[lane] };
            self.largest[lane] = if more { plain } else { self.largest[lane] };
            self.largest_at[lane] = if more { position } else { self.largest_at[lane] };
            let active = taken & (size >= SMALLEST);
            let first = active & (self.active[lane] == 0.0);
            self.pivot[lane] = if first { value } else { self.pivot[lane] };
            self.active[lane] += if active { 1.0 } else { 0.0 };
            // adding 0 leaves a sum as it is: none is ever -0
            let distance = if active { value - self.pivot[lane] } else { 0.0 };
            let square = distance * distance;
            p1[lane] += distance;
            p2[lane] += square;
            p3[lane] += square * distance;
            p4[lane] += square * square;
        }
    }

    /// [`Row::power_sums`] of every neuron, high parts and low parts.
    #[inline(always)]
    pub(super) fn power_sums(&self) -> [[Lane<f64>; 2]; 4] {
        let mut out = [[[0.0; LANES]; 2]; 4];
        let [p1, p2, p3, p4] = &self.powers;
        for lane in 0..LANES {
            let powers = [p1[lane], p2[lane], p3[lane], p4[lane]];
            let [s1, s2, s3, s4] = power_sums(self.active[lane], self.pivot[lane], powers);
            for (out, sum) in out.iter_mut().zip([s1, s2, s3, s4]) {
                (out[0][lane], out[1][lane]) = (sum.high, sum.low);
            }
        }
        out
    }

    /// What one neuron did.
    pub(super) fn row(&self, lane: usize) -> Row {
        let extreme = |value, at: u64| Extreme { value, position: u32::try_from(at).unwrap_or(u32::MAX) };
        Row {
            count: self.count[lane],
            skipped: self.places - self.count[lane],
            least: extreme(self.least[lane], self.least_at[lane]),
            largest: extreme(self.largest[lane], self.largest_at[lane]),
            active: whole(self.active[lane]),
            pivot: self.pivot[lane],
            powers: self.powers.map(|power| power[lane]),
        }
    }
}

/// A count of places.
fn whole(count: f64) -> u64 {
    // a sequence is no longer than positions reach
    num_traits::ToPrimitive::to_u64(&count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{below, fill_normal};

    #[test]
    fn side_by_side_is_one_by_one() {
        let special = [0.0, -0.0, f64::NAN, f64::INFINITY, 1e60, -1.1e60, 1e-61, -1e-60, 5.0, 5.0];
        let (mut lanes, mut rows) = (Lanes::new(), [Row::default(); LANES]);
        let mut stream = Seed(4).stream(0, 0);
        for position in 0..40_u32 {
            let mut values = [0.0; LANES];
            fill_normal(&mut stream, 1.0, &mut values);
            values.iter_mut().for_each(|x| {
                if let Some(instead) = special.get(below(&mut stream, 20)) {
                    *x = *instead;
                }
            });
            lanes.add(&values, position + 7);
            rows.iter_mut().zip(values).for_each(|(row, value)| {
                row.add(value, position + 7);
            });
        }
        let sums = lanes.power_sums();
        rows.iter().enumerate().for_each(|(lane, row)| {
            assert_eq!(lanes.row(lane), *row);
            let found = sums.map(|[high, low]| (high[lane].to_bits(), low[lane].to_bits()));
            assert_eq!(found, row.power_sums().map(|sum| (sum.high.to_bits(), sum.low.to_bits())));
            assert!(lanes.row(lane).powers.iter().zip(row.powers).all(|(a, b)| a.to_bits() == b.to_bits()));
        });
        assert_eq!(Lanes::new().row(3), Row::default());
    }
}
