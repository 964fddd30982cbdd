//! What can stop an explanation: bad input, or the caller's own model.

use core::fmt;

use crate::Error;

/// Result of explaining a model whose errors are `E`.
pub type Explained<V, E> = Result<V, Failure<E>>;

/// Why there is no explanation.
///
/// Model calls are counted from 0 within one run of a method, so that the call that failed can be repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// Input or settings that cannot be used; the model need not have been called.
    Input(Error),
    /// The model reported an error.
    Model {
        /// Number of the model call.
        call: u64,
        /// What the model said.
        error: E,
    },
    /// The model gave NaN or an infinite number.
    NotFinite {
        /// What it gave: `output` or `gradient`, `layer` or `game`.
        what: &'static str,
        /// Number of the model call.
        call: u64,
        /// Row of that call.
        row: usize,
        /// Column of that row.
        column: usize,
    },
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
            Self::Model { call, error } => write!(f, "model call {call} failed: {error}"),
            Self::NotFinite { what, call, row, column } => {
                write!(f, "the {what} of model call {call} is not finite at row {row}, column {column}")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Failure<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_message_names_call_and_row() {
        let failure: Failure<&str> = Failure::NotFinite { what: "output", call: 3, row: 1, column: 0 };
        assert_eq!(failure.to_string(), "the output of model call 3 is not finite at row 1, column 0");
        assert_eq!(Failure::Model { call: 0, error: "no memory" }.to_string(), "model call 0 failed: no memory");
        let input: Failure<&str> = Error::Empty { what: "x" }.into();
        assert_eq!(input.to_string(), "x is empty");
    }
}
