//! `limpid` is an embeddable interpretability core: tensor-level primitives that say why a model produced its output.
//!
//! It owns no model, no automatic differentiation and no tensor type. It takes [`ndarray`] views, small traits and
//! closures, and gives numbers back.
//!
//! | area | question |
//! |---|---|
//! | [`attribution`] | which inputs caused this output? |
//! | [`influence`] | which training examples caused it? |
//! | [`explanation`] | what does this neuron respond to, and how good is an explanation of it? |
//! | [`superposition`] | how do more features than dimensions fit into a layer? |
//! | [`sae`] | which features hide in polysemantic neurons? |
//! | `formats` | saved autoencoders: every published format in, SAELens out; records of neurons (feature `formats`) |
//! | `gpu` | the heavy parts of these on any graphics adapter (feature `gpu`) |
//! | [`math`] | the shared numerical layer: products, reductions, random streams, optimisers |
//!
//! # Letters
//! Shapes use one legend everywhere: `b` samples or rows, `n` features (inputs, players), `d` model width, `m` hidden
//! or dictionary size, `k` active, `c` classes, `t` tokens. ``x: (b, n)`` reads "`x` has `b` rows of `n` features".
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `std` | yes | run-time choice of vector instructions, the system's float functions, atomic files |
//! | `rayon` | yes | parallel loops with the same floats as one thread |
//! | `serde` | no | `Serialize` and `Deserialize` for settings and results |
//! | `faer` | no | eigenvectors of large matrices by divide and conquer |
//! | `gpu` | no | compute shaders for Vulkan, Metal, Direct3D 12 and browsers |
//! | `formats` | no | reading and writing of saved autoencoders, attributions and records of neurons as JSON |
//!
//! Without features the crate is `no_std` with `alloc`.
//!
//! # Promises
//! Bad input gives an [`Error`] that names what is wrong and where; it never panics and never becomes a silent zero.
//! A fixed [`Seed`] gives the same numbers for every thread count.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attribution;
pub mod error;
pub mod explanation;
#[cfg(feature = "std")]
pub mod files;
#[cfg(feature = "formats")]
pub mod formats;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod influence;
pub mod math;
pub mod sae;
pub mod scalar;
pub mod superposition;

pub use error::{Dims, Error, FormatKind, GpuFault, Result};
pub use math::random::Seed;
pub use scalar::Scalar;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
