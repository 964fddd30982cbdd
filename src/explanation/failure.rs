//! Why work with a caller's model failed: the input, or the model.

use core::fmt;

use crate::Error;

/// Why a function that runs the caller's model failed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The input or what the model gave back is not acceptable.
    Input(Error),
    /// The model's own error, unchanged.
    Model(E),
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Input(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Model(error) => write!(f, "the model failed: {error}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Failure<E> {}
