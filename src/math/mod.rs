//! The shared numerical layer: every loop that matters for speed, and no word of interpretability.

pub mod agreement;
pub(crate) mod aligned;
pub mod assignment;
pub(crate) mod block;
pub(crate) mod chacha;
pub mod curves;
pub mod directions;
pub mod gemm;
pub mod half;
pub mod histogram;
pub mod lasso;
pub mod logistic;
pub mod merge;
pub mod optim;
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
