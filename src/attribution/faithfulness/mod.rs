//! How good is an attribution: erasure, sensitivity, agreement, complexity, localisation.
