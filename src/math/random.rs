//! Counter-based random streams: a stream is a function of (seed, purpose, item) and of nothing else.
//!
//! Each stream is the ChaCha8 key stream under a key made of seed and purpose, with the item as stream number. Two items
//! never share a number, and any item can be made without making the others, so results depend neither on batch size
//! nor on thread count nor on platform: logarithms come from `libm`, never from the system.
//!
//! Source: D. J. Bernstein, "ChaCha, a variant of Salsa20" (2008), with 8 rounds.

use core::convert::Infallible;

use rand::{Rng, TryRng};

use super::chacha::{self, BATCH};
use super::simd::Simd;
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
    pub fn stream(self, purpose: u64, item: u64) -> Stream {
        Stream { key: self.key(purpose), item, next: 0, used: BATCH, words: [0; BATCH] }
    }

    /// Key of all streams of a purpose; the item is the number of the stream.
    pub(crate) fn key(self, purpose: u64) -> [u32; 8] {
        let [seed, purpose] = [self.0, purpose].map(u64::to_le_bytes);
        let word = |bytes: &[u8; 8], half: usize| bytes[4 * half..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        let mut key = *TAG;
        key[..4].copy_from_slice(&[word(&seed, 0), word(&seed, 1), word(&purpose, 0), word(&purpose, 1)]);
        key
    }

    /// A seed of its own for part `item` of a run, such as one model instance.
    #[must_use]
    pub fn child(self, purpose: u64, item: u64) -> Self {
        Self(self.stream(purpose, item).next_u64())
    }
}

/// Last half of every key: sets the streams of this version apart from all others.
const TAG: &[u32; 8] = &[0, 0, 0, 0, 0x706d_696c, 0x7320_6469, 0x6165_7274, 0x3120_736d];

/// A stream of random numbers; see [`Seed::stream`]. It is a [`rand::Rng`], so that other crates can draw from it.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 8],
    item: u64,
    next: u64,
    used: usize,
    words: [u32; BATCH],
}

impl Stream {
    /// Fresh words, none of which was or will be drawn otherwise.
    #[inline]
    pub(crate) fn fresh_words(&mut self, out: &mut [u32; BATCH]) {
        chacha::batch(&self.key, self.item, self.next, out);
        self.next = self.next.wrapping_add(1);
    }

    #[inline]
    fn word(&mut self) -> u32 {
        if self.used >= BATCH {
            chacha::batch(&self.key, self.item, self.next, &mut self.words);
            self.next = self.next.wrapping_add(1);
            self.used = 0;
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let (low, high) = (self.word(), self.word());
        Ok(u64::from(low) | u64::from(high) << 32)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for bytes in out.chunks_mut(4) {
            bytes.copy_from_slice(&self.word().to_le_bytes()[..bytes.len()]);
        }
        Ok(())
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
    loop {
        let product = u128::from(stream.next_u64()) * u128::from(n);
        let [low, high] = [product, product >> 64].map(|part| u64::try_from(part & u128::from(u64::MAX)).unwrap_or(0));
        // the bound is below n, so that it is seldom worth a division
        if low >= n || low >= n.wrapping_neg() % n {
            return usize::try_from(high).unwrap_or(0);
        }
    }
}

/// Puts the items into a uniformly random order, by the exchanges of Fisher and Yates from the end.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::math::random::shuffle;
///
/// let mut items = [1, 2, 3, 4];
/// shuffle(&mut Seed(0).stream(0, 0), &mut items);
/// items.sort_unstable();
/// assert_eq!(items, [1, 2, 3, 4]);
/// ```
pub fn shuffle<V>(stream: &mut impl Rng, items: &mut [V]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(stream, last + 1));
    }
}

/// Makes the first `count` items a uniformly random choice among all, in random order; the rest is what is left.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::math::random::choose;
///
/// let mut items = [1, 2, 3, 4];
/// choose(&mut Seed(0).stream(0, 0), 2, &mut items);
/// items.sort_unstable();
/// assert_eq!(items, [1, 2, 3, 4]);
/// ```
pub fn choose<V>(stream: &mut impl Rng, count: usize, items: &mut [V]) {
    let n = items.len();
    for place in 0..count.min(n) {
        items.swap(place, place + below(stream, n - place));
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
            let scale = num_traits::Float::sqrt(-2.0 * libm::log(square) / square);
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

/// Failures before the next success for a whole batch of random words, for success rates that are not tiny.
///
/// The logarithm is a series in single precision, so that it runs in vector lanes; a length is off by one with a chance
/// of about its own size times 10⁻⁷.
#[inline(always)]
pub(crate) fn short_skips<S: Simd>(_: S, p: f64, words: &[u32; BATCH], skips: &mut [u32; BATCH]) {
    let inverse = f32::of(1.0 / libm::log1p(-p));
    for (skip, &word) in skips.iter_mut().zip(words) {
        *skip = truncate_short(logarithm(unit_above_zero(word)) * inverse);
    }
}

/// Smallest success rate for [`short_skips`]: with 24 random bits a skip ends at about `16.6/p`.
pub(crate) const SHORT_SKIPS_FROM: f64 = 1e-3;

/// Uniform number in `(0, 1]`, a multiple of 2⁻²⁴.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
#[inline(always)]
fn unit_above_zero(word: u32) -> f32 {
    ((word >> 8) + 1).cast_signed() as f32 * (1.0 / (1_u32 << 24) as f32)
}

/// Natural logarithm of a normal positive number, to a few units in the last place.
///
/// ```text
/// x = 2^e m,  ln x = e ln 2 + 2 artanh s,  s = (m - 1)/(m + 1),  m in [1/√2, √2)
/// ```
#[expect(clippy::cast_precision_loss, reason = "exponents are small")]
#[inline(always)]
fn logarithm(x: f32) -> f32 {
    const ROOT_HALF: u32 = 0x3f35_04f3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF);
    let exponent = shifted.cast_signed() >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff) + ROOT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = 1.0 + square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f32 * core::f32::consts::LN_2 + 2.0 * s * series
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 17/p, which fits")]
#[inline(always)]
fn truncate_short(x: f32) -> u32 {
    // through i32, which every vector unit converts
    (x as i32) as u32
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
        let count = if cfg!(miri) { 500 } else { 100_000 };
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
    fn the_fast_logarithm_is_a_logarithm() {
        for word in (0..=u32::MAX).step_by(if cfg!(miri) { 1 << 28 } else { 1 << 16 }).chain([u32::MAX, 1 << 31]) {
            let x = unit_above_zero(word);
            let exact = libm::log(f64::from(x));
            assert!((f64::from(logarithm(x)) - exact).abs() <= 4e-7 * exact.abs(), "{x}");
        }
    }

    #[test]
    fn short_skips_have_the_geometric_law() {
        let (p, mut stream) = (0.2_f64, Seed(5).stream(4, 0));
        let (mut words, mut skips) = ([0; BATCH], [0; BATCH]);
        let batches = if cfg!(miri) { 2 } else { 400 };
        let mut counts = [0.0_f64; 6];
        for _ in 0..batches {
            stream.fresh_words(&mut words);
            crate::math::simd::dispatch!(crate::math::simd::level(), simd => short_skips(simd, p, &words, &mut skips));
            for (length, count) in counts.iter_mut().enumerate() {
                *count += skips.iter().filter(|&&skip| skip as usize == length).count() as f64;
            }
        }
        let total = (batches * BATCH) as f64;
        for (length, &count) in counts.iter().enumerate() {
            let expected = p * (1.0 - p).powi(i32::try_from(length).unwrap());
            assert!((count / total - expected).abs() < 5.0 * (expected / total).sqrt(), "{length}");
        }
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
