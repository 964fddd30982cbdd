//! The ChaCha8 key stream, sixteen blocks at a time in vector lanes.
//!
//! The words of a batch come word by word rather than block by block: word `16 w + l` of a batch is word `w` of block `l`.
//! That order saves a transposition and is the same for every instruction set.
//!
//! Source: D. J. Bernstein, "ChaCha, a variant of Salsa20" (2008), with 8 rounds, a 64-bit block counter and a 64-bit
//! stream number.

use super::simd::{Simd, SimdBase, dispatch, level, u32x16};

/// Words of one batch.
pub(crate) const BATCH: usize = 256;

/// Blocks of one batch, one per lane.
const LANES: usize = 16;

const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Writes batch `index` of the key stream under `key` with the number `stream`.
pub(crate) fn batch(key: &[u32; 8], stream: u64, index: u64, out: &mut [u32; BATCH]) {
    dispatch!(level(), simd => batch_lanes(simd, key, stream, index, out));
}

#[inline(always)]
fn batch_lanes<S: Simd>(simd: S, key: &[u32; 8], stream: u64, index: u64, out: &mut [u32; BATCH]) {
    let first = index.wrapping_mul(LANES as u64);
    let counter = |lane: usize| halves(first.wrapping_add(lane as u64));
    let [stream_low, stream_high] = halves(stream);
    let mut start = [u32x16::splat(simd, 0); 16];
    for (slot, &word) in start.iter_mut().zip(CONSTANTS.iter().chain(key)) {
        *slot = u32x16::splat(simd, word);
    }
    start[12] = u32x16::from_fn(simd, |lane| counter(lane)[0]);
    start[13] = u32x16::from_fn(simd, |lane| counter(lane)[1]);
    start[14] = u32x16::splat(simd, stream_low);
    start[15] = u32x16::splat(simd, stream_high);
    let mut x = start;
    for _ in 0..4 {
        quarter(&mut x, 0, 4, 8, 12);
        quarter(&mut x, 1, 5, 9, 13);
        quarter(&mut x, 2, 6, 10, 14);
        quarter(&mut x, 3, 7, 11, 15);
        quarter(&mut x, 0, 5, 10, 15);
        quarter(&mut x, 1, 6, 11, 12);
        quarter(&mut x, 2, 7, 8, 13);
        quarter(&mut x, 3, 4, 9, 14);
    }
    for (words, (x, start)) in out.chunks_exact_mut(LANES).zip(x.iter().zip(&start)) {
        (*x + *start).store_slice(words);
    }
}

#[inline(always)]
fn quarter<S: Simd>(x: &mut [u32x16<S>; 16], a: usize, b: usize, c: usize, d: usize) {
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

#[inline(always)]
fn rotate<S: Simd>(x: u32x16<S>, bits: u32) -> u32x16<S> {
    (x << bits) | (x >> (32 - bits))
}

/// Low and high half of a 64-bit number.
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is asked for")]
#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{Rng, SeedableRng};

    #[test]
    fn equals_the_usual_generator_word_for_word() {
        for (stream, index) in [(0, 0), (u64::MAX, 1), (7, 1 << 29), (3, (1 << 59) + 1)] {
            let seed: [u8; 32] = core::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(255));
            let key = core::array::from_fn(|i| u32::from_le_bytes(*seed[4 * i..].first_chunk().unwrap()));
            let mut naive = ChaCha8Rng::from_seed(seed);
            naive.set_stream(stream);
            naive.set_word_pos(u128::from(index) * BATCH as u128);
            let mut words = [0; BATCH];
            batch(&key, stream, index, &mut words);
            for (block, word) in (0..LANES).flat_map(|block| (0..16).map(move |word| (block, word))) {
                assert_eq!(words[word * LANES + block], naive.next_u32(), "block {block} word {word}");
            }
        }
    }
}
