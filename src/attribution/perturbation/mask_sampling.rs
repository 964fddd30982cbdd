//! Random masks of local surrogates.
//!
//! ```text
//! Bernoulli      every group stays with probability 1/2
//! uniform size   k of the M groups go, k uniform over 1..=M, all sets of k alike; the first mask keeps all
//! all            every one of the 2^M masks once: the limit of Bernoulli masks
//! ```
//!
//! Source: Ribeiro, Singh & Guestrin, "Why Should I Trust You?" (arXiv 1602.04938), section 3.3, for uniform sizes as in the
//! authors' package for text; Bernoulli masks are Captum's.

use alloc::vec::Vec;
use core::ops::Range;

use rand::Rng;

use super::coalitions::{Coalitions, Ones};
use crate::error::check_limit;
use crate::math::random::{Stream, below, choose};
use crate::{Result, Seed};

/// Most players whose masks are all enumerated.
const MAX_PLAYERS: usize = 20;

/// Purpose of the random streams of masks.
const MASKS: u64 = 0;

/// How masks are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MaskSampling {
    /// Every group stays with probability 1/2, independently.
    Bernoulli,
    /// A uniform number of groups is removed, at least one; the first sample is the input itself.
    UniformSize,
    /// All masks once, of at most 20 groups.
    All,
}

impl MaskSampling {
    /// Number of masks of `n` players where `samples` are asked for.
    pub(crate) fn count(self, n: usize, samples: usize) -> Result<usize> {
        if self != Self::All {
            return Ok(samples);
        }
        check_limit("players", n, MAX_PLAYERS)?;
        Ok(1 << n)
    }

    /// The masks of these numbers.
    pub(crate) fn masks(self, n: usize, numbers: Range<usize>, seed: Seed) -> Result<Coalitions> {
        let mut masks = Coalitions::new(n);
        let mut order: Vec<usize> = Vec::new();
        for number in numbers {
            let mut stream = seed.stream(MASKS, number as u64);
            match self {
                Self::All => masks.push(Ones(number as u64))?,
                Self::Bernoulli => masks.push(halves(&mut stream, n))?,
                Self::UniformSize if number == 0 => masks.push_full(),
                Self::UniformSize => {
                    let removed = 1 + below(&mut stream, n);
                    order.clear();
                    order.extend(0..n);
                    choose(&mut stream, removed, &mut order);
                    masks.push(order[removed..].iter().copied())?;
                }
            }
        }
        Ok(masks)
    }
}

/// A random half of `0..n`, independently.
fn halves(stream: &mut Stream, n: usize) -> impl Iterator<Item = usize> + '_ {
    let starts = (0..n).step_by(64);
    starts.flat_map(move |start| Ones(stream.next_u64()).map(move |bit| start + bit).take_while(move |&i| i < n))
}

#[cfg(test)]
mod tests {
    use super::super::coalitions::Coalition;
    use super::*;
    use alloc::vec;

    #[test]
    fn masks_have_the_law_they_claim() {
        let samples = 20_000;
        let sizes = |sampling: MaskSampling, n: usize| {
            let masks = sampling.masks(n, 1..samples + 1, Seed(3)).unwrap();
            let mut counts = vec![0.0; n + 1];
            masks.iter().map(Coalition::size).for_each(|size| counts[size] += 1.0 / samples as f64);
            (counts, masks)
        };
        let (counts, masks) = sizes(MaskSampling::UniformSize, 4);
        assert!(counts[..4].iter().all(|share| (share - 0.25).abs() < 0.02) && counts[4] == 0.0);
        for player in 0..4 {
            let share = masks.iter().filter(|mask| mask.contains(player)).count() as f64 / samples as f64;
            assert!((share - 0.375).abs() < 0.02, "{share}");
        }
        let (counts, _) = sizes(MaskSampling::Bernoulli, 4);
        let expected = [1.0, 4.0, 6.0, 4.0, 1.0].map(|ways| ways / 16.0);
        assert!(counts.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 0.02));
        let (counts, _) = sizes(MaskSampling::Bernoulli, 70);
        let mean: f64 = counts.iter().enumerate().map(|(size, share)| size as f64 * share).sum();
        assert!((mean - 35.0).abs() < 0.2);
    }

    #[test]
    fn every_mask_once() {
        let masks = MaskSampling::All.masks(3, 0..MaskSampling::All.count(3, 0).unwrap(), Seed(0)).unwrap();
        let indices: Vec<usize> = masks.iter().filter_map(Coalition::index).collect();
        assert_eq!(indices, (0..8).collect::<Vec<_>>());
        assert!(MaskSampling::All.count(21, 0).is_err());
        let first = MaskSampling::UniformSize.masks(3, 0..1, Seed(0)).unwrap();
        assert_eq!(first.row(0).size(), 3);
    }
}
