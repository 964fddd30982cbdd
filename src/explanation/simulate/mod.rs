//! Explanations that predict activations.
