//! Counts of values between given edges, in one pass and mergeable.
//!
//! ```text
//! bin i = [e_i, e_{i+1}),   the last one closed: [e_{k-1}, e_k]
//! ```
//!
//! What lies outside is counted on its own side, never dropped.

use alloc::vec::Vec;

use super::merge::{Bytes, Merge, Reader};
use crate::error::{check_each, check_length, check_limit};
use crate::{Error, Result, Scalar};

/// Most edges.
const MAX_EDGES: usize = 1 << 24;

/// Counts per bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    edges: Vec<f64>,
    counts: Vec<u64>,
    below: u64,
    above: u64,
}

impl Histogram {
    /// No values yet; `edges` ascend strictly, or are all equal, where the last bin then holds that one value.
    ///
    /// # Errors
    /// [`Error::Empty`] for fewer than two edges, [`Error::OutOfRange`] for edges that do not ascend or are not finite,
    /// [`Error::TooLarge`] for an absurd number.
    ///
    /// # Example
    /// ```
    /// use limpid::math::histogram::Histogram;
    ///
    /// let mut histogram = Histogram::new(vec![0.0, 1.0, 2.0])?;
    /// histogram.update([0.0, 0.5, 1.0, 2.0, 2.5])?;
    /// assert_eq!((histogram.counts(), histogram.above()), (&[2, 2][..], 1));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(edges: Vec<f64>) -> Result<Self> {
        check_limit("edges", edges.len(), MAX_EDGES)?;
        check_edges(&edges)?;
        Ok(Self { counts: alloc::vec![0; edges.len() - 1], edges, below: 0, above: 0 })
    }

    /// `bins` equal bins from `low` to `high`.
    ///
    /// # Errors
    /// As [`Histogram::new`].
    pub fn equal(low: f64, high: f64, bins: usize) -> Result<Self> {
        check_limit("bins", bins, MAX_EDGES - 1)?;
        if bins == 0 {
            return Err(Error::Empty { what: "bins" });
        }
        let step = |i: usize| low + (high - low) * (i as f64 / bins as f64);
        // the last edge itself, whatever the rounding
        Self::new((0..bins).map(step).chain([high]).collect())
    }

    /// Counts that were made elsewhere, as on another device: one per bin, and those outside of the edges.
    ///
    /// # Errors
    /// As [`Histogram::new`], and [`Error::Shape`].
    ///
    /// # Example
    /// ```
    /// use limpid::math::histogram::Histogram;
    ///
    /// let mut histogram = Histogram::of_counts(vec![0.0, 1.0, 2.0], vec![2, 2], (0, 1))?;
    /// histogram.update([0.5])?;
    /// assert_eq!((histogram.counts(), histogram.above()), (&[3, 2][..], 1));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of_counts(edges: Vec<f64>, counts: Vec<u64>, (below, above): (u64, u64)) -> Result<Self> {
        let empty = Self::new(edges)?;
        check_length("counts", counts.len(), empty.counts.len())?;
        Ok(Self { counts, below, above, ..empty })
    }

    /// Takes up values.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for NaN; nothing is counted then.
    pub fn update<T: Scalar>(&mut self, values: impl IntoIterator<Item = T> + Clone) -> Result<()> {
        if let Some(index) = values.clone().into_iter().position(|value| value.is_nan()) {
            return Err(Error::NotFinite { what: "values", index });
        }
        for value in values {
            let count = self.place(value.as_f64());
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// The counter of `value`.
    fn place(&mut self, value: f64) -> &mut u64 {
        let not_above = self.edges.partition_point(|&edge| edge <= value);
        match (not_above, self.edges.last()) {
            (0, _) => &mut self.below,
            (_, Some(&last)) if value > last => &mut self.above,
            _ => {
                let last = self.counts.len() - 1;
                &mut self.counts[(not_above - 1).min(last)]
            }
        }
    }

    /// The edges, one more than there are bins.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Values per bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Values below the first edge.
    #[must_use]
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Values above the last edge.
    #[must_use]
    pub fn above(&self) -> u64 {
        self.above
    }

    /// Entropy `-Σ p log2 p` in bits of the bin of a value, among values inside the edges; `None` where there is none.
    #[must_use]
    pub fn entropy(&self) -> Option<f64> {
        let total = self.counts.iter().fold(0_u64, |total, &count| total.saturating_add(count));
        let term = |&count: &u64| {
            let p = count as f64 / total as f64;
            -p * libm::log2(p)
        };
        (total > 0).then(|| self.counts.iter().filter(|&&count| count > 0).map(term).sum::<f64>().max(0.0))
    }
}

fn check_edges(edges: &[f64]) -> Result<()> {
    let (Some(&first), Some(&last)) = (edges.first(), edges.get(1..).and_then(<[f64]>::last)) else {
        return Err(Error::Empty { what: "edges" });
    };
    let mut previous = f64::NEG_INFINITY;
    check_each("edges", edges, "finite, ascending", |edge: f64| {
        let ascends = edge > previous || first == last && edge == first;
        previous = edge;
        edge.is_finite() && ascends
    })
}

impl Merge for Histogram {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if self.edges != other.edges {
            return Err(Error::Unsupported { what: "merging histograms of different edges" });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count = count.saturating_add(*other));
        self.below = self.below.saturating_add(other.below);
        self.above = self.above.saturating_add(other.above);
        Ok(())
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limphis1";

impl Bytes for Histogram {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend((self.edges.len() as u64).to_le_bytes());
        self.edges.iter().for_each(|edge| out.extend(edge.to_le_bytes()));
        [self.below, self.above].iter().chain(&self.counts).for_each(|count| out.extend(count.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a histogram");
        if input.take(MAGIC.len(), "a histogram")? != MAGIC {
            return Err(error);
        }
        let edges = input.count(8, "a number of edges")?;
        let edges = (0..edges).map(|_| input.f64("an edge")).collect::<Result<Vec<_>>>()?;
        let mut histogram = Self::new(edges).map_err(|_| error)?;
        histogram.below = input.u64("a count")?;
        histogram.above = input.u64("a count")?;
        for count in &mut histogram.counts {
            *count = input.u64("a count")?;
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn bins_are_half_open_and_the_last_one_closed() {
        let mut histogram = Histogram::equal(0.0, 1.0, 4).unwrap();
        histogram.update([-0.1, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, f64::INFINITY]).unwrap();
        assert_eq!((histogram.below(), histogram.counts(), histogram.above()), (1, &[1, 1, 1, 3][..], 2));
        let entropy = 3.0 / 6.0 * libm::log2(6.0) + 0.5;
        assert!((histogram.entropy().unwrap() - entropy).abs() < 1e-15);
    }

    #[test]
    fn edges_that_coincide_hold_one_value() {
        let mut histogram = Histogram::equal(0.0, 0.0, 3).unwrap();
        histogram.update([0.0_f32, 0.0]).unwrap();
        assert_eq!((histogram.counts(), histogram.entropy()), (&[0, 0, 2][..], Some(0.0)));
    }

    #[test]
    fn shards_merge_and_bytes_come_back() {
        let mut whole = Histogram::new(vec![0.0, 1.0, 3.0]).unwrap();
        let mut part = whole.clone();
        assert_eq!(whole.entropy(), None);
        part.update([0.5, 2.0, 9.0]).unwrap();
        whole.update([-1.0, 3.0]).unwrap();
        whole.merge(&part).unwrap();
        assert_eq!((whole.below(), whole.counts(), whole.above()), (1, &[1, 2][..], 1));
        let bytes = whole.to_bytes();
        assert_eq!(Histogram::from_bytes(&bytes).unwrap(), whole);
        assert!((0..bytes.len()).all(|end| Histogram::from_bytes(&bytes[..end]).is_err()));
        assert!(whole.merge(&Histogram::equal(0.0, 1.0, 2).unwrap()).is_err());
    }

    #[test]
    fn bad_edges_and_values_are_refused() {
        for edges in
            [vec![], vec![1.0], vec![0.0, f64::NAN], vec![1.0, 0.0], vec![0.0, 0.0, 1.0], vec![0.0, f64::INFINITY]]
        {
            assert!(Histogram::new(edges).is_err());
        }
        assert!(Histogram::equal(0.0, 1.0, 0).is_err() && Histogram::equal(0.0, 1.0, usize::MAX).is_err());
        let mut histogram = Histogram::equal(0.0, 1.0, 1).unwrap();
        assert!(matches!(histogram.update([0.5, f64::NAN]), Err(Error::NotFinite { index: 1, .. })));
    }
}
