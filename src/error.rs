//! The one error type, and the checks that every public function makes of its input.

use core::fmt;

use ndarray::{ArrayRef, Dimension};

use crate::Scalar;

/// Result of a fallible function of this crate.
pub type Result<V, E = Error> = core::result::Result<V, E>;

/// What is wrong with an input, and where.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has another shape than its partners require.
    Shape {
        /// Name of the argument.
        what: &'static str,
        /// Required shape.
        expected: Dims,
        /// Shape that came.
        got: Dims,
    },
    /// An argument that must hold something is empty.
    Empty {
        /// Name of the argument.
        what: &'static str,
    },
    /// A value is NaN or infinite.
    NotFinite {
        /// Name of the argument.
        what: &'static str,
        /// Index of the first such value, row-major.
        index: usize,
    },
    /// A number lies outside its range (NaN lies outside every range).
    OutOfRange {
        /// Name of the argument.
        what: &'static str,
        /// Index within the argument, 0 for a single number.
        index: usize,
        /// Value that came.
        value: f64,
        /// The range, in words.
        expected: &'static str,
    },
    /// More was asked for than the stated limit.
    TooLarge {
        /// Name of the quantity.
        what: &'static str,
        /// Amount that was asked for.
        got: usize,
        /// Largest amount that is accepted.
        limit: usize,
    },
    /// Settings that exclude each other, or that this function does not cover.
    Unsupported {
        /// Which combination, in words.
        what: &'static str,
    },
    /// A matrix has no inverse to working precision.
    Singular {
        /// Name of the matrix.
        what: &'static str,
    },
    /// An iteration did not reach its tolerance.
    NoConvergence {
        /// Iterations done.
        iterations: usize,
        /// Residual that was reached.
        residual: f64,
    },
    /// Training produced a loss that is not finite.
    Diverged {
        /// Step (from 0) whose loss is not finite.
        step: usize,
        /// Index of the model instance.
        instance: usize,
    },
    /// Two parts that were merged hold the same shard.
    DuplicateShard {
        /// Identifier of the shard.
        shard: u64,
    },
    /// Bytes that are not what they should be.
    Parse {
        /// What was expected.
        what: &'static str,
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// A saved model that is not what its format requires.
    Format {
        /// Kind of the defect.
        kind: FormatKind,
        /// The part that it was found in, or what would be right there.
        what: &'static str,
        /// Offset in the file or in its member, 0 where none is known.
        offset: usize,
    },
    /// A graphics device did not do what it was asked for.
    Gpu {
        /// Kind of the failure.
        fault: GpuFault,
        /// What was being done.
        what: &'static str,
    },
}

/// Why a graphics device failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GpuFault {
    /// No adapter of the wanted kind exists.
    NoAdapter,
    /// The adapter gives no device with the wanted limits.
    NoDevice,
    /// The device is gone; a new context can be made.
    Lost,
    /// The memory of the device is used up.
    OutOfMemory,
    /// The driver refused a command.
    Refused,
    /// The driver failed.
    Internal,
    /// The device did not answer in time.
    TimedOut,
}

/// What is wrong with a saved model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FormatKind {
    /// The file ends too early.
    Truncated,
    /// A header cannot be understood.
    Header,
    /// Something reaches outside of the bytes that are there.
    Bounds,
    /// Two parts share bytes.
    Overlap,
    /// An element type that does not exist or cannot be read.
    Dtype,
    /// A shape that is impossible, or does not fit its partners.
    Shape,
    /// A file, tensor or setting is absent.
    Missing,
    /// A weight is NaN or infinite.
    NotFinite,
    /// Settings that cannot be read, or contradict the weights.
    Config,
    /// A model of a kind that is not known.
    Architecture,
    /// The file asks for code outside the list of what weights need; nothing was run.
    Forbidden,
    /// A pickle that is not well-formed.
    Pickle,
    /// A zip archive that is not well-formed.
    Zip,
    /// The bytes do not have the checksum that was stored with them.
    Checksum,
    /// The file asks for more memory or nesting than its size justifies.
    Limit,
    /// More than one reading is possible: a hint must decide.
    Ambiguous,
}

impl fmt::Display for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the file ends too early",
            Self::Header => "the header cannot be understood",
            Self::Bounds => "a part reaches outside of the file",
            Self::Overlap => "two parts share bytes",
            Self::Dtype => "the element type cannot be read",
            Self::Shape => "the shape is impossible or does not fit",
            Self::Missing => "a part is absent",
            Self::NotFinite => "a weight is NaN or infinite",
            Self::Config => "the settings cannot be read or contradict the weights",
            Self::Architecture => "the architecture is not known",
            Self::Forbidden => "the file names code that weights do not need, and it was not run",
            Self::Pickle => "the pickle is not well-formed",
            Self::Zip => "the zip archive is not well-formed",
            Self::Checksum => "the checksum is wrong",
            Self::Limit => "the file asks for more than its size justifies",
            Self::Ambiguous => "more than one reading is possible, give a hint",
        })
    }
}

impl fmt::Display for GpuFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAdapter => "there is no graphics adapter of the wanted kind",
            Self::NoDevice => "the graphics adapter gives no device",
            Self::Lost => "the graphics device is lost",
            Self::OutOfMemory => "the graphics device is out of memory",
            Self::Refused => "the graphics driver refused a command",
            Self::Internal => "the graphics driver failed",
            Self::TimedOut => "the graphics device did not answer in time",
        })
    }
}

impl Error {
    /// The kind of defect where a saved model was refused: that of [`Error::Format`], and those that [`Error::Shape`] and
    /// [`Error::NotFinite`] describe in more detail.
    #[must_use]
    pub fn format_kind(&self) -> Option<FormatKind> {
        match self {
            Self::Format { kind, .. } => Some(*kind),
            Self::Shape { .. } => Some(FormatKind::Shape),
            Self::NotFinite { .. } => Some(FormatKind::NotFinite),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Shape { what, expected, got } => write!(f, "{what} has shape {got}, expected {expected}"),
            Self::Empty { what } => write!(f, "{what} is empty"),
            Self::NotFinite { what, index } => write!(f, "{what} is not finite at index {index}"),
            Self::OutOfRange { what, index, value, expected } => {
                write!(f, "{what} is {value} at index {index}, expected {expected}")
            }
            Self::TooLarge { what, got, limit } => write!(f, "{what} is {got}, the limit is {limit}"),
            Self::Unsupported { what } => write!(f, "not supported: {what}"),
            Self::Singular { what } => write!(f, "{what} is singular to working precision"),
            Self::NoConvergence { iterations, residual } => {
                write!(f, "no convergence after {iterations} iterations, residual {residual:e}")
            }
            Self::Diverged { step, instance } => {
                write!(f, "the loss of instance {instance} is not finite at step {step}")
            }
            Self::DuplicateShard { shard } => write!(f, "shard {shard} was merged before"),
            Self::Parse { what, offset } => write!(f, "expected {what} at byte {offset}"),
            Self::Format { kind, what, offset: 0 } => write!(f, "{kind}: {what}"),
            Self::Format { kind, what, offset } => write!(f, "{kind}: {what} (byte {offset})"),
            Self::Gpu { fault, what } => write!(f, "{fault}: {what}"),
        }
    }
}

impl core::error::Error for Error {}

/// A shape of up to [`Dims::MAX`] axes, kept without allocation so that [`Error`] stays `Copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    rank: usize,
    axes: [usize; Self::MAX],
}

impl Dims {
    /// Number of axes that are kept; a longer shape shows its first axes and its true rank.
    pub const MAX: usize = 4;

    /// The shape with these axes.
    #[must_use]
    pub fn new(shape: &[usize]) -> Self {
        let mut axes = [0; Self::MAX];
        for (kept, &axis) in axes.iter_mut().zip(shape) {
            *kept = axis;
        }
        Self { rank: shape.len(), axes }
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (position, axis) in self.axes.iter().take(self.rank).enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{axis}")?;
        }
        f.write_str(if self.rank > Self::MAX { ", ...)" } else { ")" })
    }
}

/// Checks that `x` has exactly this shape.
pub(crate) fn check_shape<T, D: Dimension>(what: &'static str, x: &ArrayRef<T, D>, expected: &[usize]) -> Result<()> {
    if x.shape() == expected {
        return Ok(());
    }
    Err(Error::Shape { what, expected: Dims::new(expected), got: Dims::new(x.shape()) })
}

/// Checks that a list has this many items.
pub(crate) fn check_length(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Shape { what, expected: Dims::new(&[expected]), got: Dims::new(&[got]) })
}

/// Checks that `x` has at least one element.
pub(crate) fn check_not_empty<T, D: Dimension>(what: &'static str, x: &ArrayRef<T, D>) -> Result<()> {
    if x.is_empty() { Err(Error::Empty { what }) } else { Ok(()) }
}

/// Checks that every element of `x` is finite.
pub(crate) fn check_finite<T: Scalar, D: Dimension>(what: &'static str, x: &ArrayRef<T, D>) -> Result<()> {
    // in the order of memory first: a column-major matrix is slow to walk along its rows
    if x.as_slice_memory_order().is_some_and(all_finite) {
        return Ok(());
    }
    match x.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what, index }),
    }
}

/// Whether all values are finite: 0 times any other is not 0.
pub(crate) fn all_finite<T: Scalar>(values: &[T]) -> bool {
    // no early end: a sum without branches reads as fast as memory gives
    let mut sums = [T::zero(); 16];
    let (groups, rest) = values.as_chunks::<16>();
    for group in groups {
        for lane in 0..16 {
            sums[lane] += group[lane] * T::zero();
        }
    }
    sums.iter().all(|sum| *sum == T::zero()) && rest.iter().all(|value| value.is_finite())
}

/// Checks that every element of `x` satisfies `accepts`, which `expected` says in words; NaN must fail it.
pub(crate) fn check_each<'a, T: Scalar>(
    what: &'static str,
    values: impl IntoIterator<Item = &'a T>,
    expected: &'static str,
    mut accepts: impl FnMut(T) -> bool,
) -> Result<()> {
    for (index, &value) in values.into_iter().enumerate() {
        if !accepts(value) {
            return Err(Error::OutOfRange { what, index, value: value.as_f64(), expected });
        }
    }
    Ok(())
}

/// Checks that an amount does not exceed its limit.
pub(crate) fn check_limit(what: &'static str, got: usize, limit: usize) -> Result<()> {
    if got <= limit { Ok(()) } else { Err(Error::TooLarge { what, got, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use ndarray::{Array2, array};

    #[test]
    fn a_message_says_what_and_where() {
        let x = Array2::<f64>::zeros((2, 3));
        let error = check_shape("x", &x, &[2, 4]).unwrap_err();
        assert_eq!(error.to_string(), "x has shape (2, 3), expected (2, 4)");
        let w = array![[1.0, f64::NAN], [0.0, 2.0]];
        assert_eq!(check_finite("w", &w), Err(Error::NotFinite { what: "w", index: 1 }));
        assert_eq!(check_finite("w", &w.t()), Err(Error::NotFinite { what: "w", index: 2 }));
    }

    #[test]
    fn one_value_that_is_not_finite_is_found_anywhere() {
        assert!(all_finite(&[1.0_f32; 20]) && !all_finite(&[f32::NAN; 1]));
        for at in 0..20 {
            let mut x = [0.5_f64; 20];
            x[at] = f64::NEG_INFINITY;
            assert!(!all_finite(&x), "{at}");
        }
    }

    #[test]
    fn nan_lies_outside_every_range() {
        let error = check_each("p", &[0.5, f64::NAN], "0..=1", |p| (0.0..=1.0).contains(&p)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { index: 1, .. }));
    }

    #[test]
    fn a_defect_of_a_file_has_a_kind() {
        let error = Error::Format { kind: FormatKind::Truncated, what: "length of the header", offset: 5 };
        assert_eq!(error.to_string(), "the file ends too early: length of the header (byte 5)");
        assert_eq!(error.format_kind(), Some(FormatKind::Truncated));
        assert_eq!(Error::NotFinite { what: "w", index: 1 }.format_kind(), Some(FormatKind::NotFinite));
        assert_eq!(Error::Empty { what: "w" }.format_kind(), None);
    }

    #[test]
    fn a_long_shape_is_cut_with_a_mark() {
        assert_eq!(Dims::new(&[1, 2, 3, 4, 5]).to_string(), "(1, 2, 3, 4, ...)");
        assert_eq!(Dims::new(&[]).to_string(), "()");
    }
}
