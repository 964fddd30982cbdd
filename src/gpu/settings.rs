//! Which adapter is taken, and how much of it.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Which adapter a context uses. `WGPU_BACKEND` in the environment restricts the choice to back ends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GpuAdapter {
    /// The fastest one.
    #[default]
    HighPerformance,
    /// The one that needs least energy.
    LowPower,
    /// One that runs on the processor: slow, for tests.
    Software,
    /// The first whose name contains this, whatever the case of letters.
    Named(String),
}

/// How products are tiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tiling {
    /// By the sizes of the product.
    #[default]
    Automatic,
    /// Tiles of 64 x 64, 4 x 4 numbers per thread.
    Tile64,
    /// Tiles of 128 x 128, 8 x 8 numbers per thread.
    Tile128,
    /// Up to four rows at once.
    FewRows,
}

/// Settings of a [`GpuContext`](super::GpuContext).
#[derive(Debug, Clone, PartialEq)]
pub struct GpuSettings {
    /// The adapter.
    pub adapter: GpuAdapter,
    /// Most bytes that one kernel may see of a buffer; larger arrays are gone through in pieces. `None`: what the adapter
    /// allows.
    pub max_binding_bytes: Option<u64>,
    /// Bytes of unused buffers that are kept for reuse.
    pub pool_bytes: u64,
    /// Kernels that the processor takes over, by their names in [`KERNELS`](super::KERNELS): `gemm`, one entry point such as
    /// `gemm::tile64`, or `all`. The environment may name more, with commas between them: `LIMPID_GPU_ON_PROCESSOR=gemm,select`.
    ///
    /// For finding the kernel at fault where a driver is bad, and for going around it: every call of such a kernel waits for
    /// the device and moves its arrays there and back, so it is not fast. Not in browsers, where nothing may wait.
    pub on_processor: Vec<String>,
    /// How products are tiled.
    pub tiling: Tiling,
    /// How long a result is waited for before the device counts as hung; not used in browsers.
    pub patience: Duration,
}

impl Default for GpuSettings {
    fn default() -> Self {
        Self {
            adapter: GpuAdapter::default(),
            max_binding_bytes: None,
            pool_bytes: 1 << 30,
            on_processor: Vec::new(),
            tiling: Tiling::default(),
            patience: Duration::from_secs(300),
        }
    }
}
