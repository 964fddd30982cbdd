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
//! Which inputs made a model say this? Any closure is a model, and every method has the same call.
//! ```
//! use limpid::attribution::perturbation::FeatureAblation;
//! use limpid::attribution::{Explainer, Network, target::Logit};
//! use ndarray::array;
//!
//! let mut model = Network::new(3).linear(array![[2.0, 0.0, -1.0]], None)?;
//! let why = FeatureAblation::default().attribute(&mut model, &array![[1.0_f64, 5.0, 3.0]], &Logit::of(0));
//! assert_eq!(why.map_err(|e| e.to_string())?.values, array![[2.0, 0.0, -3.0]]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Which training examples did? A layer is what entered it, and the gradient at its output.
//! ```
//! use limpid::influence::{Curvature, Examples, LayerRows, QuerySettings, Spectral, Strategy};
//! use ndarray::array;
//!
//! let (a, g) = (array![[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], array![[1.0], [0.5], [-1.0]]);
//! let train = [LayerRows::new(&a, &g, Examples::EachRow)?];
//! let curvature = Curvature::fit(Strategy::Ekfac, &train)?;
//! let scores = curvature.queries(&Spectral::default(), &train, &QuerySettings::default())?.scores(&train)?;
//! assert!(scores.diag().iter().all(|&own| own > 0.0)); // every example speaks for itself
//! # Ok::<(), limpid::Error>(())
//! ```
//!
//! How good is an explanation of a neuron? It predicts activations; the prediction is scored.
//! ```
//! use limpid::explanation::score::score;
//! use ndarray::array;
//!
//! let (truth, predicted) = (array![0.0, 0.0, 1.0, 4.0, 2.0], array![0.0, 1.0, 1.0, 3.0, 2.0]);
//! assert!(score(&truth, &predicted)?.pearson.unwrap() > 0.9);
//! assert!(score(&truth, &array![1.0, 1.0, 1.0, 1.0, 1.0])?.pearson.is_err()); // undefined, and says why
//! # Ok::<(), limpid::Error>(())
//! ```
//!
//! How do five features fit into two dimensions? As a pentagon, two fifths of a dimension each.
//! ```
//! use limpid::superposition::geometry::feature_dimensionality;
//! use ndarray::Array2;
//!
//! let angle = |i: usize| i as f64 * core::f64::consts::TAU / 5.0;
//! let pentagon = Array2::from_shape_fn((2, 5), |(row, i)| if row == 0 { angle(i).cos() } else { angle(i).sin() });
//! assert!(feature_dimensionality(&pentagon)?.iter().all(|share| (share - 0.4).abs() < 1e-12));
//! # Ok::<(), limpid::Error>(())
//! ```
//!
//! Which features hide in activations? A sparse autoencoder takes them apart.
//! ```
//! use limpid::Seed;
//! use limpid::sae::train::{SaeTraining, Trainer};
//! use limpid::sae::{Activation, Sae};
//! use ndarray::Array2;
//!
//! let sae = Sae::<f32>::initialise(4, 16, Activation::TopK { k: 2, by_decoder_norm: false }, Seed(0))?;
//! let mut trainer = Trainer::new(sae, SaeTraining { steps: 100, ..SaeTraining::default() })?;
//! let x = Array2::from_shape_fn((8, 4), |(i, j)| (i * 3 + j) as f32 % 5.0);
//! assert!((0..100).map(|_| trainer.step(&x, None)).collect::<limpid::Result<Vec<_>>>()?[99].terms.total().is_finite());
//! assert_eq!(trainer.sae().encode(&x)?.dim(), (8, 16));
//! # Ok::<(), limpid::Error>(())
//! ```
//!
//! Those who come from Captum, Inseq, SAELens, kronfluence or neuron-explainer find their calls in `docs/coming_from.md`.
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
