//! The fused-multiply-add peak of one core: a loop that touches nothing but registers.

use std::hint::black_box;
use std::time::Instant;

use fearless_simd::{Level, Simd, SimdBase, SimdFloat, dispatch};

/// Independent chains, enough to cover the latency of two units.
const CHAINS: usize = 12;
const ROUNDS: usize = 200_000;

/// Floating-point operations per second of one core in single precision, the best of some tries.
pub fn peak_flops() -> f64 {
    let level = Level::new();
    (0..7).map(|_| dispatch!(level, simd => once(simd))).fold(0.0, f64::max)
}

#[inline(always)]
fn once<S: Simd>(simd: S) -> f64 {
    let (scale, shift) = (S::f32s::splat(simd, black_box(0.999)), S::f32s::splat(simd, black_box(0.001)));
    let mut chains: [S::f32s; CHAINS] = core::array::from_fn(|_| S::f32s::splat(simd, black_box(1.0)));
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for chain in &mut chains {
            *chain = chain.mul_add(scale, shift);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let sum: f32 = chains.iter().map(|chain| chain.reduce_sum()).sum();
    black_box(sum);
    (2 * CHAINS * ROUNDS * S::f32s::LEN) as f64 / seconds
}
