//! The heavy parts on a graphics device: compute shaders for Vulkan, Metal, Direct3D 12 and browsers.
//!
//! A [`GpuContext`] is a device. Arrays go there by [`GpuContext::upload`] and come back by [`GpuContext::read`]; everything
//! between stays there, and calls return before their work is done. Each kernel is the twin of a function on the processor,
//! and says how far its single precision may be from that.
//!
//! Where a driver is bad, [`GpuSettings::on_processor`] or `LIMPID_GPU_ON_PROCESSOR=gemm,sparse::decode` in the environment hands
//! kernels to the processor, one by one, until the one at fault is found: slow, and the same results within the stated rounding.
//!
//! In browsers nothing may wait: there contexts come from [`GpuContext::request`], and numbers from functions that are
//! `async`. The functions with `blocking` in their names exist elsewhere only.

pub mod array;
pub mod context;
pub mod covariance;
pub mod encode;
mod faults;
pub mod gemm;
mod host;
pub mod kernels;
pub mod optim;
pub mod pairs;
pub mod pointwise;
mod pool;
pub mod random;
mod ready;
pub mod reduce;
pub mod sae;
pub mod select;
pub mod settings;
pub mod sparse;
pub mod toy;
pub mod train;
mod twins;

pub use array::{GpuArray, GpuElement};
pub use context::GpuContext;
pub use kernels::KERNELS;
pub use sae::{GpuFeatures, GpuSae};
pub use settings::{GpuAdapter, GpuSettings, Tiling};
pub use train::{GpuTrainer, PendingStep};
