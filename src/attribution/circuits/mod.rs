//! How a transformer moves information: attention, residual streams, patching.
