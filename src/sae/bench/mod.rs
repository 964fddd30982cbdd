//! The tensor-level parts of `SAEBench`: everything of its evaluations that does not run a language model.
//!
//! | file | question |
//! |---|---|
//! | [`sparse_probing`] | does a handful of latents hold what a linear probe finds? |
//! | [`absorption`] | do other latents take over where the main latents of a concept fail? |
//! | [`scr`] | does removing latents remove a spurious correlation? |
//! | [`tpp`] | does removing the latents of one class leave the other classes alone? |
//! | [`unlearning`] | does clamping latents remove knowledge, and nothing else? |
//! | [`mdl`] | how many bits does a sample take when its features are written down? |
//!
//! [`effects`] and [`edit`] are what several of them share: which latents matter to a probe, and what changes when they
//! are changed.
//!
//! Source: Karvonen et al., "SAEBench: a comprehensive benchmark for sparse autoencoders" (arXiv 2503.09532).

pub mod absorption;
pub mod edit;
pub mod effects;
pub mod mdl;
pub mod scr;
pub mod sparse_probing;
pub mod tpp;
pub mod unlearning;
