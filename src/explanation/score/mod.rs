//! How well predicted activations agree with true ones.
