//! The error of programs that run candle models: a message of one line for the person at the terminal.

use std::fmt::Display;
use std::path::Path;

/// A message of one line for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What is wrong with a file.
    pub fn at(path: &Path, says: impl Display) -> Self {
        Self(format!("{}: {says}", path.display()))
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // a backtrace may follow
        f.write_str(self.0.lines().next().unwrap_or_default())
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<limpid::Error> for Error {
    fn from(error: limpid::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<limpid::attribution::Failure<Error>> for Error {
    fn from(failure: limpid::attribution::Failure<Error>) -> Self {
        Self(failure.to_string())
    }
}
