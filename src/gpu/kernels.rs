//! All compute shaders: one table of names, sources, entry points and workgroups.
//!
//! A shader has the name of the file that calls it and of its twin on the processor; `kernels/README.md` is the same table
//! in words.

/// A compute shader.
#[derive(Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Name of the file in `kernels/`, without its ending.
    pub name: &'static str,
    /// The WGSL source.
    pub source: &'static str,
    /// What can be called.
    pub entries: &'static [Entry],
}

/// An entry point of a shader.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the function.
    pub name: &'static str,
    /// Threads of a workgroup.
    pub workgroup: u32,
}

const fn entry(name: &'static str, workgroup: u32) -> Entry {
    Entry { name, workgroup }
}

macro_rules! kernel {
    ($name:literal, $entries:expr) => {
        Kernel { name: $name, source: include_str!(concat!("../../kernels/", $name, ".wgsl")), entries: $entries }
    };
}

/// Matrix products; twin: [`math::gemm`](crate::math::gemm).
pub static GEMM: Kernel = kernel!("gemm", &[entry("tile64", 256), entry("tile128", 256), entry("few_rows", 256)]);

/// The largest values of rows; twin: [`math::select`](crate::math::select).
pub static SELECT: Kernel = kernel!("select", &[entry("top_k", 256)]);

/// Features in slots; twin: the sparse route of [`sae`](crate::sae).
pub static SPARSE: Kernel = kernel!(
    "sparse",
    &[
        entry("decode", 256),
        entry("decode4", 256),
        entry("residual", 256),
        entry("by_feature", 64),
        entry("count", 256),
        entry("place", 256),
        entry("scan", 256),
        entry("order", 64),
        entry("accumulate", 256),
        entry("weigh", 64),
    ]
);

/// Optimiser and unit rows; twins: [`math::optim`](crate::math::optim) and [`sae::decoder_norm`](crate::sae::decoder_norm).
pub static OPTIM: Kernel = kernel!("optim", &[entry("adam", 256), entry("project", 256), entry("normalise", 256)]);

/// Sums; twin: [`math::reduce`](crate::math::reduce).
pub static REDUCE: Kernel = kernel!("reduce", &[entry("row_sums", 256), entry("column_sums", 256)]);

/// Elementwise work; twin: [`math::pointwise`](crate::math::pointwise).
pub static POINTWISE: Kernel = kernel!(
    "pointwise",
    &[
        entry("centre", 256),
        entry("roots", 256),
        entry("blend", 256),
        entry("times", 256),
        entry("share", 1),
        entry("follow", 256),
    ]
);

/// Random words and signs; twin: [`math::random`](crate::math::random).
pub static RANDOM: Kernel = kernel!("random", &[entry("key_stream", 64), entry("signs", 64)]);

/// Statistics of pairs and histograms; twins: [`math::pairs`](crate::math::pairs) and
/// [`math::histogram`](crate::math::histogram).
pub static PAIRS: Kernel = kernel!("pairs", &[entry("stats", 256), entry("histogram", 256)]);

/// Sums of outer products; twin: [`influence::CovarianceAccumulator`](crate::influence::CovarianceAccumulator).
pub static COVARIANCE: Kernel = kernel!("covariance", &[entry("rank_k", 256)]);

/// Toy models; twin: [`superposition::train`](mod@crate::superposition::train).
pub static TOY: Kernel = kernel!("toy", &[entry("forward", 256), entry("gradients", 256)]);

/// Every shader.
pub static KERNELS: [&Kernel; 10] =
    [&GEMM, &SELECT, &SPARSE, &OPTIM, &REDUCE, &POINTWISE, &RANDOM, &PAIRS, &COVARIANCE, &TOY];
