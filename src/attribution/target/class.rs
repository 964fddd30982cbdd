//! Which output: one for all rows, or one per row.

use alloc::vec::Vec;

use crate::error::check_each;
use crate::{Dims, Error, Result};

/// An output column of the model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Class {
    /// The same column for all rows.
    All(usize),
    /// A column for each row, `(b)`.
    PerRow(Vec<usize>),
}

impl From<usize> for Class {
    fn from(class: usize) -> Self {
        Self::All(class)
    }
}

impl From<Vec<usize>> for Class {
    fn from(classes: Vec<usize>) -> Self {
        Self::PerRow(classes)
    }
}

impl Class {
    /// The column of a row.
    ///
    /// # Panics
    /// For a row beyond the list; [`Class::check`] tells.
    #[must_use]
    pub fn of(&self, row: usize) -> usize {
        match self {
            Self::All(class) => *class,
            Self::PerRow(classes) => classes[row],
        }
    }

    /// Checks that every row has a column that the model has.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of rows, [`Error::OutOfRange`] for a class that is too large.
    pub fn check(&self, rows: usize, outputs: usize) -> Result<()> {
        let classes = match self {
            Self::All(class) => core::slice::from_ref(class),
            Self::PerRow(classes) if classes.len() != rows => {
                return Err(Error::Shape {
                    what: "target",
                    expected: Dims::new(&[rows]),
                    got: Dims::new(&[classes.len()]),
                });
            }
            Self::PerRow(classes) => classes,
        };
        for (index, &class) in classes.iter().enumerate() {
            if class >= outputs {
                let expected = "a column of the model's outputs";
                return Err(Error::OutOfRange { what: "target", index, value: class as f64, expected });
            }
        }
        check_each("outputs", &[outputs as f64], ">= 1", |outputs: f64| outputs >= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_class_must_exist() {
        assert_eq!(Class::from(vec![0, 2]).of(1), 2);
        assert!(Class::from(2).check(5, 3).is_ok());
        assert!(matches!(Class::from(3).check(5, 3), Err(Error::OutOfRange { what: "target", index: 0, .. })));
        assert!(matches!(Class::from(vec![0, 3]).check(2, 3), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(Class::from(vec![0, 1]).check(3, 3), Err(Error::Shape { what: "target", .. })));
    }
}
