//! Kernels of local surrogates: how much a masked input counts, by its distance from the original.
//!
//! ```text
//! w = exp(-D² / (2 width²))
//! euclidean        D = ‖x - x_z‖₂
//! cosine           D = 1 - cos(x, x_z)              0 <= D <= 2
//! cosine of masks  D = 1 - cos(1, z) = 1 - √(|z|/M)
//! ```
//!
//! The cosine with a vector of zeros is 0, so `D = 1` there.
//!
//! Source: Ribeiro, Singh & Guestrin, "Why Should I Trust You?" (arXiv 1602.04938), section 3.3.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{ArrayRef1, ArrayView1};

use super::coalitions::Coalition;
use super::removal::Players;
use crate::error::check_each;
use crate::{Result, Scalar};

/// How far a masked input lies from the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Distance {
    /// Euclidean distance of the features.
    Euclidean,
    /// Cosine distance of the features; a baseline of zeros and features of one sign keep it at most 1.
    Cosine,
    /// Cosine distance of the masks, which sees the number of groups left and nothing else.
    CosineOfMasks,
}

/// How much a sample counts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Similarity {
    /// All samples count alike.
    Uniform,
    /// The exponential kernel.
    Exponential {
        /// The distance.
        distance: Distance,
        /// Its width, in units of the distance.
        width: f64,
    },
}

/// Inner products of every player's features: input with itself, with the baseline, baseline with itself, and the square
/// of the difference.
pub(crate) struct Products {
    input: Vec<f64>,
    mixed: Vec<f64>,
    baseline: Vec<f64>,
    difference: Vec<f64>,
}

impl Products {
    pub(crate) fn new<T: Scalar>(players: &Players, x: &ArrayRef1<T>, baseline: ArrayView1<'_, T>) -> Self {
        let zeros = || vec![0.0; players.count];
        let mut sums = Self { input: zeros(), mixed: zeros(), baseline: zeros(), difference: zeros() };
        for (&player, (x, b)) in players.of_feature.iter().zip(x.iter().zip(&baseline)) {
            let (x, b) = (x.as_f64(), b.as_f64());
            sums.input[player] += x * x;
            sums.mixed[player] += x * b;
            sums.baseline[player] += b * b;
            sums.difference[player] += (x - b) * (x - b);
        }
        sums
    }

    /// The squared distance of the input masked by a coalition.
    fn euclidean_squared(&self, coalition: Coalition<'_>) -> f64 {
        let gone = self.difference.iter().enumerate().filter(|&(player, _)| !coalition.contains(player));
        gone.map(|(_, square)| square).sum()
    }

    fn cosine(&self, coalition: Coalition<'_>) -> f64 {
        let (mut inner, mut square, mut input) = (0.0, 0.0, 0.0);
        for player in 0..self.input.len() {
            let here = coalition.contains(player);
            input += self.input[player];
            inner += if here { self.input[player] } else { self.mixed[player] };
            square += if here { self.input[player] } else { self.baseline[player] };
        }
        if input > 0.0 && square > 0.0 {
            (inner / libm::sqrt(input) / libm::sqrt(square)).clamp(-1.0, 1.0)
        } else {
            0.0
        }
    }
}

impl Similarity {
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Uniform => Ok(()),
            Self::Exponential { width, .. } => {
                check_each("width", &[width], "> 0 and finite", |width: f64| width > 0.0 && width.is_finite())
            }
        }
    }

    /// Whether the features are looked at.
    pub(crate) fn is_of_features(self) -> bool {
        matches!(self, Self::Exponential { distance: Distance::Euclidean | Distance::Cosine, .. })
    }

    /// The weight of a coalition; `products` where the features are looked at.
    pub(crate) fn of(self, coalition: Coalition<'_>, products: Option<&Products>) -> f64 {
        let Self::Exponential { distance, width } = self else { return 1.0 };
        let squared = match (distance, products) {
            (Distance::Euclidean, Some(products)) => products.euclidean_squared(coalition),
            (Distance::Cosine, Some(products)) => square(1.0 - products.cosine(coalition)),
            _ => square(1.0 - libm::sqrt(coalition.size() as f64 / coalition.n_players().max(1) as f64)),
        };
        libm::exp(-squared / (2.0 * width * width))
    }
}

fn square(x: f64) -> f64 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::super::coalitions::Coalitions;
    use super::*;
    use ndarray::array;

    #[test]
    fn distances_of_a_small_input() {
        let players = Players::new(Some(&[0, 1, 1]), 3).unwrap();
        let products = Products::new(&players, &array![3.0, 0.0, 4.0], array![0.0, 1.0, 0.0].view());
        let mut coalitions = Coalitions::new(2);
        coalitions.push([0]).unwrap();
        coalitions.push_full();
        let of = |distance: Distance, row: usize| {
            let kernel = Similarity::Exponential { distance, width: 0.5 };
            -0.5 * libm::log(kernel.of(coalitions.row(row), Some(&products)))
        };
        // (3, 1, 0): difference (0, -1, 4), cosine 9/(5 √10)
        assert!((of(Distance::Euclidean, 0) - 17.0).abs() < 1e-12);
        assert!((of(Distance::Cosine, 0) - square(1.0 - 1.8 / libm::sqrt(10.0))).abs() < 1e-12);
        assert!((of(Distance::CosineOfMasks, 0) - square(1.0 - libm::sqrt(0.5))).abs() < 1e-12);
        for distance in [Distance::Euclidean, Distance::Cosine, Distance::CosineOfMasks] {
            assert!(of(distance, 1).abs() < 1e-30, "the input itself lies at 0");
        }
    }

    #[test]
    fn zeros_have_the_cosine_zero() {
        let players = Players::new(None, 2).unwrap();
        let products = Products::new(&players, &array![1.0, 2.0], array![0.0, 0.0].view());
        let mut nobody = Coalitions::new(2);
        nobody.push_empty();
        for distance in [Distance::Cosine, Distance::CosineOfMasks] {
            let kernel = Similarity::Exponential { distance, width: 1.0 };
            assert_eq!(kernel.of(nobody.row(0), Some(&products)), libm::exp(-0.5));
        }
    }
}
