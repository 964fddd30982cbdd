//! The shared numerical layer: every loop that matters for speed, and no word of interpretability.

pub mod random;
mod simd;
