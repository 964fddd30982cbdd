//! What a model says of its own tokens.
