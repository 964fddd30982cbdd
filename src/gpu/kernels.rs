//! All compute shaders: one table of names, sources, entry points and workgroups.
//!
//! A shader has the name of the file that calls it and of its twin on the processor; `kernels/README.md` is the same table
//! in words. Each entry knows what the processor does in its place, where
//! [`GpuSettings::on_processor`](super::GpuSettings::on_processor) names it.

use super::twins::{self, Twin};

/// A compute shader.
#[derive(Debug)]
pub struct Kernel {
    /// Name of the file in `kernels/`, without its ending.
    pub name: &'static str,
    /// The WGSL source.
    pub source: &'static str,
    /// What can be called.
    pub entries: &'static [Entry],
}

/// An entry point of a shader.
#[derive(Debug)]
pub struct Entry {
    /// Name of the function.
    pub name: &'static str,
    /// Threads of a workgroup.
    pub workgroup: u32,
    /// Bindings that it writes.
    pub writes: &'static [u32],
    /// What the processor does in its place.
    pub(super) twin: Twin,
}

const fn entry(name: &'static str, workgroup: u32, writes: &'static [u32], twin: Twin) -> Entry {
    // in browsers nothing may wait for the device: there the twins need not be carried along
    Entry { name, workgroup, writes, twin: if cfg!(target_arch = "wasm32") { twins::none } else { twin } }
}

macro_rules! kernel {
    ($name:literal, $entries:expr) => {
        Kernel { name: $name, source: include_str!(concat!("../../kernels/", $name, ".wgsl")), entries: $entries }
    };
}

/// Matrix products; twin: [`math::gemm`](crate::math::gemm).
pub static GEMM: Kernel = kernel!(
    "gemm",
    &[
        entry("tile64", 256, &[7], twins::gemm::product),
        entry("tile128", 256, &[7], twins::gemm::product),
        entry("few_rows", 256, &[7], twins::gemm::product)
    ]
);

/// The largest values of rows; twin: [`math::select`](crate::math::select).
pub static SELECT: Kernel = kernel!("select", &[entry("top_k", 256, &[6, 7], twins::select::top_k)]);

/// Features in slots; twin: the sparse route of [`sae`](crate::sae).
pub static SPARSE: Kernel = kernel!(
    "sparse",
    &[
        entry("decode", 256, &[5], twins::sparse::decode),
        entry("decode4", 256, &[5], twins::sparse::decode),
        entry("residual", 256, &[5, 7], twins::sparse::residual),
        entry("by_feature", 64, &[5], twins::sparse::by_feature),
        entry("count", 256, &[3], twins::sparse::count),
        entry("place", 256, &[3, 5], twins::sparse::place),
        entry("scan", 256, &[2], twins::sparse::scan),
        entry("order", 64, &[2], twins::sparse::order),
        entry("accumulate", 256, &[6], twins::sparse::accumulate),
        entry("weigh", 64, &[6], twins::sparse::weigh),
    ]
);

/// Optimiser and unit rows; twins: [`math::optim`](crate::math::optim) and [`sae::decoder_norm`](crate::sae::decoder_norm).
pub static OPTIM: Kernel = kernel!(
    "optim",
    &[
        entry("adam", 256, &[3, 4, 5], twins::optim::adam),
        entry("project", 256, &[3], twins::optim::project),
        entry("normalise", 256, &[3], twins::optim::normalise)
    ]
);

/// Sums; twin: [`math::reduce`](crate::math::reduce).
pub static REDUCE: Kernel = kernel!(
    "reduce",
    &[entry("row_sums", 256, &[2], twins::reduce::rows), entry("column_sums", 256, &[2], twins::reduce::columns)]
);

/// Elementwise work; twin: [`math::pointwise`](crate::math::pointwise).
pub static POINTWISE: Kernel = kernel!(
    "pointwise",
    &[
        entry("centre", 256, &[3], twins::pointwise::centre),
        entry("roots", 256, &[3], twins::pointwise::roots),
        entry("blend", 256, &[3], twins::pointwise::blend),
        entry("times", 256, &[3], twins::pointwise::times),
        entry("share", 1, &[3], twins::pointwise::share),
        entry("follow", 256, &[3, 4], twins::pointwise::follow),
    ]
);

/// Random words and signs; twin: [`math::random`](crate::math::random).
pub static RANDOM: Kernel = kernel!(
    "random",
    &[entry("key_stream", 64, &[1], twins::random::words), entry("signs", 64, &[1], twins::random::signs)]
);

/// Statistics of pairs and histograms; twins: [`math::pairs`](crate::math::pairs) and
/// [`math::histogram`](crate::math::histogram).
pub static PAIRS: Kernel = kernel!(
    "pairs",
    &[entry("stats", 256, &[3], twins::pairs::stats), entry("histogram", 256, &[3], twins::pairs::histogram)]
);

/// Sums of outer products; twin: [`influence::CovarianceAccumulator`](crate::influence::CovarianceAccumulator).
pub static COVARIANCE: Kernel = kernel!("covariance", &[entry("rank_k", 256, &[3], twins::covariance::rank_k)]);

/// Toy models; twin: [`superposition::train`](mod@crate::superposition::train).
pub static TOY: Kernel = kernel!(
    "toy",
    &[
        entry("forward", 256, &[4, 5], twins::toy::forward),
        entry("gradients", 256, &[5], twins::toy::gradients),
        entry("gradients_few", 256, &[5], twins::toy::gradients)
    ]
);

/// Every shader.
pub static KERNELS: [&Kernel; 10] =
    [&GEMM, &SELECT, &SPARSE, &OPTIM, &REDUCE, &POINTWISE, &RANDOM, &PAIRS, &COVARIANCE, &TOY];
