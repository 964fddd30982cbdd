//! Mean, variance, skewness and kurtosis of one neuron, the same to the bit in whichever order sequences come.
//!
//! ```text
//! S_p = Σ x^p          exact sums of the power sums of each sequence
//! μ   = S_1/n          M_2 = S_2 - μ S_1
//! M_3 = S_3 - 3 μ S_2 + 2 μ² S_1       M_4 = S_4 - 4 μ S_3 + 6 μ² S_2 - 3 μ³ S_1
//! ```
//!
//! Power sums lose the digits that `μ^p` and the spread do not share; with 106 bits at least the first 16 remain where the
//! mean is no more than about 10⁴ standard deviations away from 0.

use alloc::vec::Vec;

use super::row::Row;
use crate::math::double::Double;
use crate::math::exact_sum::ExactSum;
use crate::math::merge::{Bytes, Merge, Reader};
use crate::{Error, Result, Scalar};

/// Moments of the values of one neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronMoments {
    count: u64,
    skipped: u64,
    least: f64,
    largest: f64,
    /// `None` where only the range is kept.
    sums: Option<[ExactSum<5>; 4]>,
}

impl Default for NeuronMoments {
    fn default() -> Self {
        let sums = Some([ExactSum::default(); 4]);
        Self { count: 0, skipped: 0, least: f64::INFINITY, largest: f64::NEG_INFINITY, sums }
    }
}

/// Mean and sums of powers of the distance to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CentralMoments {
    /// Mean.
    pub mean: f64,
    /// `Σ (x - mean)²`.
    pub m2: f64,
    /// `Σ (x - mean)³`.
    pub m3: f64,
    /// `Σ (x - mean)⁴`.
    pub m4: f64,
}

impl NeuronMoments {
    /// Counts and range alone.
    pub(super) fn of_range() -> Self {
        Self { sums: None, ..Self::default() }
    }

    /// Whether powers are summed.
    pub(super) fn has_sums(&self) -> bool {
        self.sums.is_some()
    }

    /// Takes up the values of one sequence. Values that are not finite, or beyond `±1e60`, are counted in
    /// [`NeuronMoments::skipped`] and otherwise left out.
    ///
    /// The sequence is the unit: the result has the same bits in whichever order and grouping *sequences* come.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::NeuronMoments;
    ///
    /// let mut moments = NeuronMoments::default();
    /// moments.update([1.0, 2.0, f64::NAN]);
    /// moments.update([6.0]);
    /// assert_eq!((moments.mean(), moments.variance(), moments.skipped()), (Some(3.0), Some(14.0 / 3.0), 1));
    /// ```
    pub fn update<T: Scalar>(&mut self, values: impl IntoIterator<Item = T>) {
        let mut row = Row::default();
        values.into_iter().for_each(|value| {
            row.add(value.as_f64(), 0);
        });
        self.push(&row, row.power_sums());
    }

    /// Takes up a sequence with the power sums of its row.
    pub(super) fn push(&mut self, row: &Row, sums: [Double; 4]) {
        self.count = self.count.saturating_add(row.count);
        self.skipped = self.skipped.saturating_add(row.skipped);
        self.least = self.least.min(row.least.value);
        self.largest = self.largest.max(row.largest.value);
        if let Some(total) = self.sums.as_mut().filter(|_| row.active > 0.0) {
            total.iter_mut().zip(sums).for_each(|(sum, term)| sum.add_double(term));
        }
    }

    /// Values taken up.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Values that were left out.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Smallest value; `None` without values.
    #[must_use]
    pub fn least(&self) -> Option<f64> {
        (self.count > 0).then_some(self.least)
    }

    /// Largest value; `None` without values.
    #[must_use]
    pub fn largest(&self) -> Option<f64> {
        (self.count > 0).then_some(self.largest)
    }

    /// Central moments; `None` without values, and where they are not collected.
    #[must_use]
    pub fn central(&self) -> Option<CentralMoments> {
        if self.count == 0 {
            return None;
        }
        if self.least == self.largest {
            return Some(CentralMoments { mean: self.least, m2: 0.0, m3: 0.0, m4: 0.0 });
        }
        let [s1, s2, s3, s4] = self.sums?.map(|sum| sum.value());
        let mean = s1 / Double::from(self.count);
        let [two, three, four, six] = [2.0, 3.0, 4.0, 6.0].map(Double::from);
        let square = mean * mean;
        Some(CentralMoments {
            mean: mean.value(),
            m2: (s2 - mean * s1).value().max(0.0),
            m3: (s3 - three * mean * s2 + two * square * s1).value(),
            m4: (s4 - four * mean * s3 + six * square * s2 - three * square * mean * s1).value().max(0.0),
        })
    }

    /// Mean; `None` where there are no [central moments](NeuronMoments::central).
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        self.central().map(|central| central.mean)
    }

    /// Variance `M_2/n` of the values themselves; `None` where there are no [central moments](NeuronMoments::central).
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        self.central().map(|central| central.m2 / self.count as f64)
    }

    /// Skewness `√n M_3/M_2^(3/2)`; `None` also where all values are equal.
    #[must_use]
    pub fn skewness(&self) -> Option<f64> {
        let central = self.central().filter(|central| central.m2 > 0.0)?;
        Some(libm::sqrt(self.count as f64) * (central.m3 / central.m2) / libm::sqrt(central.m2))
    }

    /// Excess kurtosis `n M_4/M_2² - 3`, 0 for a normal distribution; `None` also where all values are equal.
    #[must_use]
    pub fn excess_kurtosis(&self) -> Option<f64> {
        let central = self.central().filter(|central| central.m2 > 0.0)?;
        Some(self.count as f64 * (central.m4 / central.m2) / central.m2 - 3.0)
    }
}

impl Merge for NeuronMoments {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if self.has_sums() != other.has_sums() {
            return Err(Error::Unsupported { what: "merging moments with a range alone" });
        }
        self.count = self.count.saturating_add(other.count);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.least = self.least.min(other.least);
        self.largest = self.largest.max(other.largest);
        let mut pairs = self.sums.iter_mut().flatten().zip(other.sums.iter().flatten());
        pairs.try_for_each(|(sum, other)| sum.merge(other))
    }
}

impl Bytes for NeuronMoments {
    fn write(&self, out: &mut Vec<u8>) {
        [self.count, self.skipped].iter().for_each(|count| out.extend(count.to_le_bytes()));
        [self.least, self.largest].iter().for_each(|x| out.extend(x.to_le_bytes()));
        out.push(u8::from(self.has_sums()));
        self.sums.iter().flatten().for_each(|sum| sum.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let (count, skipped) = (input.u64("a count")?, input.u64("a count")?);
        let error = input.error("the range of values");
        let (least, largest) = (input.f64("a least value")?, input.f64("a largest value")?);
        let fits = match count {
            0 => (least, largest) == (f64::INFINITY, f64::NEG_INFINITY),
            _ => least <= largest && least.is_finite() && largest.is_finite(),
        };
        if !fits {
            return Err(error);
        }
        let mut sums = match input.take(1, "whether there are sums")? {
            [0] => None,
            [1] => Some([ExactSum::default(); 4]),
            _ => return Err(error),
        };
        for sum in sums.iter_mut().flatten() {
            *sum = ExactSum::read(input)?;
        }
        Ok(Self { count, skipped, least, largest, sums })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::fill_normal;

    #[test]
    fn moments_are_those_of_the_definition_far_from_0() {
        for offset in [0.0, 3.0, 1e4] {
            let mut values = alloc::vec![0.0_f64; if cfg!(miri) { 64 } else { 640 }];
            fill_normal(&mut Seed(1).stream(0, 0), 1.0, &mut values);
            values.iter_mut().for_each(|x| *x += offset);
            let mut moments = NeuronMoments::default();
            values.chunks(37).for_each(|row| moments.update(row.iter().copied()));
            let n = values.len() as f64;
            let mean = values.iter().map(|x| x - offset).sum::<f64>() / n + offset;
            let power = |p| values.iter().map(|x| (x - mean).powi(p)).sum::<f64>();
            let central = moments.central().unwrap();
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
            assert!(close(central.mean, mean) && close(central.m2, power(2)), "{offset}");
            assert!(close(central.m3, power(3)) && close(central.m4, power(4)), "{offset}");
        }
    }

    #[test]
    fn any_order_of_sequences_gives_the_same_bits() {
        let rows: [&[f64]; 4] = [&[0.1, 0.2, 0.0], &[1e9], &[-0.7, f64::INFINITY], &[]];
        let mut whole = NeuronMoments::default();
        rows.iter().for_each(|row| whole.update(row.iter().copied()));
        let mut merged = NeuronMoments::default();
        for row in rows.iter().rev() {
            let mut part = NeuronMoments::default();
            part.update(row.iter().copied());
            part.merge(&merged).unwrap();
            merged = part;
        }
        assert_eq!(merged.to_bytes(), whole.to_bytes());
        assert_eq!(NeuronMoments::from_bytes(&whole.to_bytes()), Ok(whole));
    }

    #[test]
    fn equal_values_have_no_shape() {
        let mut moments = NeuronMoments::default();
        assert_eq!((moments.mean(), moments.variance(), moments.least()), (None, None, None));
        moments.update([0.1; 7]);
        assert_eq!((moments.mean(), moments.variance()), (Some(0.1), Some(0.0)));
        assert_eq!((moments.skewness(), moments.excess_kurtosis()), (None, None));
    }
}
