//! The features that matter most, with their names, and what all others come to.

use alloc::string::String;
use alloc::vec::Vec;

use ndarray::ArrayRef1;

use crate::error::check_finite;
use crate::math::agreement::By;
use crate::math::rank::largest_first;
use crate::{Dims, Error, Result, Scalar};

/// One feature of an attribution.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Feature<T> {
    /// Index within the row.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its attribution.
    pub value: T,
}

/// The first features of a row, and the rest in sum.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Top<T> {
    /// The first features, strongest first.
    pub features: Vec<Feature<T>>,
    /// Number of the others.
    pub others: usize,
    /// Sum of the others' attributions, so that the total of the row stays visible.
    pub others_sum: T,
}

/// The `k` first features of `row: (n)` in the order `by`, equal ones by index; all where there are no more.
///
/// # Errors
/// [`Error::Shape`] unless there is a name for every feature, [`Error::NotFinite`].
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::top_features;
/// use limpid::math::agreement::By;
/// use ndarray::array;
///
/// let top = top_features(&array![0.5, -2.0, 0.25], &["age", "income", "height"], 1, By::Magnitude)?;
/// assert_eq!((top.features[0].name.as_str(), top.features[0].value), ("income", -2.0));
/// assert_eq!((top.others, top.others_sum), (2, 0.75));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn top_features<T: Scalar, S: AsRef<str>>(row: &ArrayRef1<T>, names: &[S], k: usize, by: By) -> Result<Top<T>> {
    if names.len() != row.len() {
        return Err(Error::Shape { what: "names", expected: Dims::new(&[row.len()]), got: Dims::new(&[names.len()]) });
    }
    check_finite("row", row)?;
    let chosen = largest_first(&by.keys(row), k);
    let mut is_other = alloc::vec![true; row.len()];
    chosen.iter().for_each(|&i| is_other[i] = false);
    let others_sum: T = row.iter().zip(&is_other).filter(|(_, other)| **other).map(|(&x, _)| x).sum();
    if !others_sum.is_finite() {
        return Err(Error::NotFinite { what: "sum of the others", index: 0 });
    }
    let others = row.len() - chosen.len();
    let feature = |index: usize| Feature { index, name: String::from(names[index].as_ref()), value: row[index] };
    Ok(Top { features: chosen.into_iter().map(feature).collect(), others, others_sum })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn value_and_magnitude_choose_differently() {
        let (row, names) = (array![1.0_f32, -3.0, 2.0, -3.0], ["a", "b", "c", "d"]);
        let chosen = |k: usize, by: By| -> Vec<usize> {
            top_features(&row, &names, k, by).unwrap().features.iter().map(|feature| feature.index).collect()
        };
        assert_eq!(chosen(3, By::Magnitude), [1, 3, 2]);
        assert_eq!(chosen(2, By::Value), [2, 0]);
        assert_eq!(chosen(9, By::Value), [2, 0, 1, 3]);
        assert_eq!(top_features(&row, &names, 0, By::Value).unwrap().others_sum, -3.0);
    }

    #[test]
    fn every_feature_needs_a_name() {
        let error = top_features(&array![1.0], &["a", "b"], 1, By::Value);
        assert!(matches!(error, Err(Error::Shape { what: "names", .. })));
        assert!(top_features(&array![f64::NAN], &["a"], 1, By::Value).is_err());
    }
}
