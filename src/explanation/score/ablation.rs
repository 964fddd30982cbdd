//! Ablation score: how much of a neuron's effect on the model's output does its simulation keep?
//!
//! ```text
//! D(p, q) = ½ Σ_v p_v ln(2 p_v/(p_v + q_v)) + ½ Σ_v q_v ln(2 q_v/(p_v + q_v))     Jensen-Shannon divergence, nats
//! score   = 1 - mean_x D(simulated, original)/mean_x D(mean ablated, original)
//! ```
//!
//! The neuron is replaced by its calibrated simulation, and by its mean over the corpus. 1: the output is that of the neuron
//! itself; 0: as bad as its mean; negative: worse.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), section on ablation scoring; Lin,
//! "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1), 1991, for `D`.

use alloc::vec::Vec;

use ndarray::{ArrayRef2, ArrayView1};

use crate::error::{check_each, check_not_empty, check_shape};
use crate::explanation::{Defined, Undefined};
use crate::math::merge::Merge;
use crate::{Result, Scalar};

/// Ratio of difference and sum of two probabilities below which a series has more digits than the logarithms.
const NEAR: f64 = 0.05;

/// Divergences summed over positions; mergeable over shards of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AblationDivergence {
    positions: u64,
    simulated: f64,
    ablated: f64,
    /// Mean divergence that is no more than the rounding of the logits.
    nothing: f64,
}

impl AblationDivergence {
    /// Takes up next-token logits `(positions, vocabulary)` of the model itself, with the neuron replaced by its
    /// simulation, and with it replaced by its mean. A logit of `-∞` is a probability of 0.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty) for an empty vocabulary,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for NaN, `∞` and a position where no token is possible; nothing is
    /// changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::score::AblationDivergence;
    /// use ndarray::array;
    ///
    /// let original = array![[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]];
    /// let simulated = array![[1.8, 1.0, 0.0], [0.0, 0.2, 2.6]];
    /// let ablated = array![[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    /// let mut divergence = AblationDivergence::default();
    /// divergence.update(&original, &simulated, &ablated)?;
    /// assert!((divergence.score().unwrap() - 0.958_284_6).abs() < 1e-6);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update<T: Scalar>(
        &mut self,
        original: &ArrayRef2<T>,
        simulated: &ArrayRef2<T>,
        mean_ablated: &ArrayRef2<T>,
    ) -> Result<()> {
        for (what, logits) in [("original", original), ("simulated", simulated), ("mean_ablated", mean_ablated)] {
            check_shape(what, logits, original.shape())?;
            if logits.nrows() > 0 {
                check_not_empty(what, logits)?;
            }
            check_each(what, logits, "a number below infinity", |z| z < T::infinity())?;
            let largest = logits.rows().into_iter().map(largest).collect::<Vec<f64>>();
            check_each(what, &largest, "a position with a possible token", |largest: f64| largest > f64::NEG_INFINITY)?;
        }
        // single floats carry seven digits, and the divergence is of second order in what they lack
        let nothing = if T::epsilon().as_f64() > 1e-10 { 1e-6 } else { 1e-12 };
        self.nothing = self.nothing.max(nothing);
        for ((original, simulated), ablated) in
            original.rows().into_iter().zip(simulated.rows()).zip(mean_ablated.rows())
        {
            self.positions += 1;
            self.simulated += divergence(simulated, original);
            self.ablated += divergence(ablated, original);
        }
        Ok(())
    }

    /// Number of positions.
    #[must_use]
    pub fn positions(&self) -> u64 {
        self.positions
    }

    /// Mean divergence of the simulation from the original, nats.
    ///
    /// # Errors
    /// [`Undefined::Empty`] without positions.
    pub fn simulated(&self) -> Defined<f64> {
        self.mean(self.simulated)
    }

    /// Mean divergence of the mean ablation from the original, nats.
    ///
    /// # Errors
    /// [`Undefined::Empty`] without positions.
    pub fn ablated(&self) -> Defined<f64> {
        self.mean(self.ablated)
    }

    /// The score.
    ///
    /// # Errors
    /// [`Undefined::Empty`] without positions, [`Undefined::AllZero`] where the ablation changes nothing: at most 1e-12 on
    /// average, 1e-6 for logits in single precision.
    pub fn score(&self) -> Defined<f64> {
        let (simulated, ablated) = (self.simulated()?, self.ablated()?);
        if ablated > self.nothing { Ok(1.0 - simulated / ablated) } else { Err(Undefined::AllZero) }
    }

    fn mean(&self, sum: f64) -> Defined<f64> {
        if self.positions == 0 { Err(Undefined::Empty) } else { Ok(sum / self.positions as f64) }
    }
}

impl Merge for AblationDivergence {
    fn merge(&mut self, other: &Self) -> Result<()> {
        self.positions = self.positions.saturating_add(other.positions);
        self.simulated += other.simulated;
        self.ablated += other.ablated;
        self.nothing = self.nothing.max(other.nothing);
        Ok(())
    }
}

fn largest<T: Scalar>(logits: ArrayView1<'_, T>) -> f64 {
    logits.iter().fold(f64::NEG_INFINITY, |largest, z| largest.max(z.as_f64()))
}

/// Jensen-Shannon divergence of the softmax of two rows of logits.
fn divergence<T: Scalar>(a: ArrayView1<'_, T>, b: ArrayView1<'_, T>) -> f64 {
    let (of_a, of_b) = (Softmax::of(a), Softmax::of(b));
    a.iter().zip(b).map(|(a, b)| term(of_a.probability(a.as_f64()), of_b.probability(b.as_f64()))).sum()
}

/// What turns a logit into a probability.
struct Softmax {
    largest: f64,
    total: f64,
}

impl Softmax {
    fn of<T: Scalar>(logits: ArrayView1<'_, T>) -> Self {
        let largest = largest(logits);
        Self { largest, total: logits.iter().map(|z| libm::exp(z.as_f64() - largest)).sum() }
    }

    fn probability(&self, logit: f64) -> f64 {
        libm::exp(logit - self.largest) / self.total
    }
}

/// `½ p ln(2p/(p + q)) + ½ q ln(2q/(p + q))`: with `d = (q - p)/(p + q)` this is `(p + q)/4` times
/// `(1 - d) ln(1 - d) + (1 + d) ln(1 + d) = Σ_k d^2k/(k (2k - 1))`.
fn term(p: f64, q: f64) -> f64 {
    let sum = p + q;
    if sum <= 0.0 {
        return 0.0;
    }
    let d = (q - p) / sum;
    let s = d * d;
    if s < NEAR * NEAR {
        return 0.25
            * sum
            * s
            * (1.0 + s * (1.0 / 6.0 + s * (1.0 / 15.0 + s * (1.0 / 28.0 + s * (1.0 / 45.0 + s / 66.0)))));
    }
    let times_log = |x: f64, log: f64| if x <= 0.0 { 0.0 } else { x * log };
    0.25 * sum * (times_log(1.0 - d, libm::log1p(-d)) + times_log(1.0 + d, libm::log1p(d)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn of(a: &Array2<f64>, b: &Array2<f64>, c: &Array2<f64>) -> AblationDivergence {
        let mut found = AblationDivergence::default();
        found.update(a, b, c).unwrap();
        found
    }

    #[test]
    fn two_sure_tokens_are_a_bit_apart() {
        let (one, other) = (array![[0.0, f64::NEG_INFINITY]], array![[f64::NEG_INFINITY, 7.0]]);
        assert!((of(&one, &one, &other).ablated().unwrap() - core::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(of(&one, &one, &other).score(), Ok(1.0));
        assert_eq!(of(&one, &other, &other).score(), Ok(0.0));
        assert_eq!(of(&one, &other, &one).score(), Err(Undefined::AllZero));
        assert_eq!(AblationDivergence::default().score(), Err(Undefined::Empty));
    }

    #[test]
    fn series_and_logarithms_agree() {
        let plain = |p: f64, q: f64| {
            let log = |x: f64| libm::log(2.0 * x / (p + q));
            0.5 * (p * log(p) + q * log(q))
        };
        for d in [0.001, 0.049_999, 0.050_001, 0.3, 0.9] {
            let (p, q) = (0.5 * (1.0 - d), 0.5 * (1.0 + d));
            assert!((term(p, q) / plain(p, q) - 1.0).abs() < 1e-9, "{d}");
        }
        assert!((term(0.5, 0.5 + 1e-9) / 2.5e-19 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn shards_add_up_and_shifts_of_logits_do_not_matter() {
        let (a, b, c) = (
            array![[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]],
            array![[1.8, 1.0, 0.0], [0.0, 0.2, 2.6]],
            array![[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        );
        let whole = of(&a, &b, &c);
        let row = |x: &Array2<f64>, i: usize| x.row(i).to_owned().insert_axis(ndarray::Axis(0)) + 1000.0;
        let mut merged = of(&row(&a, 1), &row(&b, 1), &row(&c, 1));
        merged.merge(&of(&row(&a, 0), &row(&b, 0), &row(&c, 0))).unwrap();
        assert!((merged.score().unwrap() - whole.score().unwrap()).abs() < 1e-12 && merged.positions() == 2);
    }

    #[test]
    fn bad_logits_change_nothing() {
        let mut found = AblationDivergence::default();
        let good = array![[0.0, 1.0]];
        for bad in [
            array![[0.0, f64::NAN]],
            array![[0.0, f64::INFINITY]],
            array![[f64::NEG_INFINITY, f64::NEG_INFINITY]],
            array![[0.0, 1.0, 2.0]],
        ] {
            assert!(found.update(&good, &good, &bad).is_err(), "{bad}");
        }
        assert!(found.update(&Array2::<f64>::zeros((1, 0)), &Array2::zeros((1, 0)), &Array2::zeros((1, 0))).is_err());
        assert_eq!(found, AblationDivergence::default());
    }
}
