//! Every kernel against its twin on the processor, on whatever adapter there is.
//!
//! Without an adapter the tests say so on standard error and pass; with `LIMPID_GPU=require` in the environment they fail.

#[path = "gpu/context.rs"]
mod context;
#[path = "gpu/covariance.rs"]
mod covariance;
#[path = "gpu/forced.rs"]
mod forced;
#[path = "gpu/gemm.rs"]
mod gemm;
#[path = "gpu/optim.rs"]
mod optim;
#[path = "gpu/pairs.rs"]
mod pairs;
#[path = "gpu/random.rs"]
mod random;
#[path = "gpu/reduce.rs"]
mod reduce;
#[path = "gpu/sae.rs"]
mod sae;
#[path = "gpu/select.rs"]
mod select;
#[path = "gpu/sources.rs"]
mod sources;
#[path = "gpu/sparse.rs"]
mod sparse;
#[path = "gpu/support.rs"]
mod support;
#[path = "gpu/toy.rs"]
mod toy;
#[path = "gpu/train.rs"]
mod train;
