//! Counter-based random streams: a stream is a function of (seed, purpose, item) and of nothing else.
//!
//! Each stream is the ChaCha8 key stream under a key made of seed and purpose, with the item as stream number. Two items
//! never share a number, and any item can be made without making the others, so results depend neither on batch size
//! nor on thread count nor on platform: logarithms come from `libm`, never from the system.
//!
//! Source: D. J. Bernstein, "ChaCha, a variant of Salsa20" (2008), with 8 rounds.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use crate::Scalar;

/// The number that a whole run's randomness follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seed(pub u64);

impl Seed {
    /// Stream of random numbers for one `item` of one `purpose`.
    ///
    /// A purpose is any fixed number that a piece of code calls its own; streams of different purposes are independent.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::math::random::uniform;
    ///
    /// let first: f64 = uniform(&mut Seed(1).stream(0, 3));
    /// let again: f64 = uniform(&mut Seed(1).stream(0, 3));
    /// assert_eq!(first, again);
    /// ```
    #[must_use]
    pub fn stream(self, purpose: u64, item: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        key[16..].copy_from_slice(b"limpid streams 1");
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(item);
        stream
    }

    /// A seed of its own for part `item` of a run, such as one model instance.
    #[must_use]
    pub fn child(self, purpose: u64, item: u64) -> Self {
        Self(self.stream(purpose, item).next_u64())
    }
}

/// Uniform number in `[0, 1)` with 53 random bits, rounded to `T`.
#[inline]
pub fn uniform<T: Scalar>(stream: &mut impl Rng) -> T {
    T::of((stream.next_u64() >> 11) as f64 * UNIT)
}

/// Uniform number in `(0, 1]` in double precision, safe to take the logarithm of.
#[inline]
fn uniform_above_zero(stream: &mut impl Rng) -> f64 {
    ((stream.next_u64() >> 11) + 1) as f64 * UNIT
}

/// 2⁻⁵³.
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// Uniform whole number below `n`, without bias; 0 where `n` is 0.
#[inline]
pub fn below(stream: &mut impl Rng, n: usize) -> usize {
    let n = n as u64;
    // Lemire's multiplication, arXiv 1805.10941: reject the few low products that would favour some results
    let threshold = n.wrapping_neg() % n.max(1);
    loop {
        let product = u128::from(stream.next_u64()) * u128::from(n);
        let [low, high] = [product, product >> 64].map(|part| (part & u128::from(u64::MAX)) as u64);
        if low >= threshold {
            return usize::try_from(high).unwrap_or(0);
        }
    }
}

/// Fills `out` with independent normal numbers of mean 0 and the given standard deviation.
///
/// Marsaglia's polar method: only multiplications, a root and `libm`'s logarithm, so every platform gives the same bits.
pub fn fill_normal<T: Scalar>(stream: &mut impl Rng, deviation: T, out: &mut [T]) {
    for pair in out.chunks_mut(2) {
        let values = normal_pair(stream);
        for (slot, value) in pair.iter_mut().zip(values) {
            *slot = deviation * T::of(value);
        }
    }
}

/// Two independent standard normal numbers.
fn normal_pair(stream: &mut impl Rng) -> [f64; 2] {
    loop {
        let [x, y] = [(); 2].map(|()| 2.0 * uniform::<f64>(stream) - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            let scale = libm::sqrt(-2.0 * libm::log(square) / square);
            return [x * scale, y * scale];
        }
    }
}

/// The number of failures before the next success of independent trials, geometric with success rate `p`.
///
/// Walking from success to success costs one number per success, however many trials lie between.
#[derive(Debug, Clone, Copy)]
pub struct Skips {
    log_failure: f64,
}

impl Skips {
    /// Skips for the success rate `p`, `0 < p < 1`; other values are taken as the nearest bound: never or always.
    #[must_use]
    pub fn new(p: f64) -> Self {
        Self { log_failure: if p > 0.0 { libm::log1p(-p.min(1.0)) } else { -0.0 } }
    }

    /// Failures before the next success; `usize::MAX` where success never comes.
    #[inline]
    pub fn next(self, stream: &mut impl Rng) -> usize {
        let failures = libm::log(uniform_above_zero(stream)) / self.log_failure;
        // NaN where success never comes and the draw is 1: never, as for any other draw
        if failures < usize::MAX as f64 { truncate(failures) } else { usize::MAX }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in range and not negative")]
#[inline]
fn truncate(x: f64) -> usize {
    x as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn streams_differ_in_each_part_of_their_key() {
        let first = |seed: u64, purpose, item| Seed(seed).stream(purpose, item).next_u64();
        let all = [first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
        assert_eq!(first(1, 2, 3), all[0]);
    }

    #[test]
    fn normal_numbers_have_their_moments() {
        let count = if cfg!(miri) { 2_000 } else { 100_000 };
        let mut x = vec![0.0_f64; count];
        fill_normal(&mut Seed(5).stream(1, 0), 2.0, &mut x);
        let moment = |power: i32| x.iter().map(|v| v.powi(power)).sum::<f64>() / count as f64;
        let error = 6.0 / (count as f64).sqrt();
        assert!(moment(1).abs() < 2.0 * error);
        assert!((moment(2) - 4.0).abs() < 4.0 * 1.5 * error);
        assert!((moment(4) - 48.0).abs() < 16.0 * 10.0 * error);
    }

    #[test]
    fn skips_have_the_geometric_mean() {
        let (skips, mut stream) = (Skips::new(0.1), Seed(5).stream(2, 0));
        let count = if cfg!(miri) { 1_000 } else { 50_000 };
        let total: usize = (0..count).map(|_| skips.next(&mut stream)).sum();
        assert!((total as f64 / count as f64 - 9.0).abs() < 6.0 * 9.5 / (count as f64).sqrt());
    }

    #[test]
    fn impossible_and_certain_success() {
        let mut stream = Seed(5).stream(3, 0);
        assert_eq!(Skips::new(0.0).next(&mut stream), usize::MAX);
        assert_eq!(Skips::new(1.0).next(&mut stream), 0);
        assert_eq!(below(&mut stream, 1), 0);
        assert_eq!(below(&mut stream, 0), 0);
        assert!((0..100).all(|_| below(&mut stream, 3) < 3));
    }
}
