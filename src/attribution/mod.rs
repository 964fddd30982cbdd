//! Which inputs caused this output?
//!
//! | family | methods |
//! |---|---|
//! | [`circuits`] | attention, residual streams, patching |
//! | [`faithfulness`] | how good an attribution is |
//!
//! A model enters as a small trait or a closure; what is explained is a target; every method is a settings struct.

pub mod aggregate;
pub mod circuits;
pub mod faithfulness;
pub mod render;
