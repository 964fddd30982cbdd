//! Exact expected loss and gradient over the data distribution, without sampling.
