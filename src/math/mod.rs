//! The shared numerical layer: every loop that matters for speed, and no word of interpretability.

pub mod agreement;
pub(crate) mod aligned;
pub mod assignment;
pub(crate) mod block;
pub mod bootstrap;
pub(crate) mod chacha;
pub mod correlation;
pub(crate) mod crc32;
pub mod curves;
pub mod directions;
pub(crate) mod double;
pub mod eigen;
pub(crate) mod exact_sum;
pub mod gemm;
pub mod half;
pub mod histogram;
pub mod interpolate;
pub mod isotonic;
pub mod lasso;
pub mod logistic;
pub mod merge;
pub mod multiple_testing;
pub mod normal;
pub mod optim;
pub mod pairs;
pub mod par;
pub mod pointwise;
pub mod quadrature;
pub mod random;
pub mod rank;
pub mod reduce;
pub mod schedule;
pub mod select;
pub(crate) mod simd;
pub mod solve;
pub mod stats;
pub mod student;

/// Whether ways exist that only pay for much data: a page loads every byte of its program, and has little.
pub(crate) const FOR_MUCH_DATA: bool = !cfg!(target_arch = "wasm32");
