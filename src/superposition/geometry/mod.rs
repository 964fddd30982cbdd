//! How features are laid out in the hidden space.
