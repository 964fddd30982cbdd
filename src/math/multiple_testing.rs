//! Many tests at once: the share of false discoveries among what is called a discovery.
//!
//! ```text
//! p_(1) <= ... <= p_(m) sorted        q_(i) = min over j >= i of  m p_(j)/j
//! ```
//!
//! Calling every test with `q <= α` a discovery keeps the expected share of false ones at or below `α`, for tests that are
//! independent or positively dependent.
//!
//! Source: Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 57(1), 1995, section 3.

use alloc::vec;
use alloc::vec::Vec;

use crate::Result;
use crate::error::check_each;

/// The adjusted value `q` of each p-value; tests that are not given a p-value are left out by the caller.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a p-value outside `[0, 1]`.
///
/// # Example
/// ```
/// let q = limpid::math::multiple_testing::benjamini_hochberg(&[0.01, 0.5, 0.02])?;
/// assert_eq!(q, [0.03, 0.5, 0.03]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn benjamini_hochberg(p: &[f64]) -> Result<Vec<f64>> {
    check_each("p", p, "0 <= p <= 1", |p: f64| (0.0..=1.0).contains(&p))?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_unstable_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 1.0_f64;
    for (before, &index) in order.iter().enumerate().rev() {
        least = least.min(p[index] * p.len() as f64 / (before + 1) as f64);
        adjusted[index] = least;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_up_rule_of_the_paper() {
        // the fifteen p-values of the paper's section 4: four are called at 5 %
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
            0.7590, 1.0,
        ];
        let q = benjamini_hochberg(&p).unwrap();
        assert_eq!(q.iter().filter(|q| **q <= 0.05).count(), 4);
        assert!((q[3] - 0.0095 * 15.0 / 4.0).abs() < 1e-15 && q[14] == 1.0);
        assert!(q.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn order_does_not_matter_and_bad_values_are_named() {
        assert_eq!(benjamini_hochberg(&[0.04, 0.01]).unwrap(), [0.04, 0.02]);
        assert_eq!(benjamini_hochberg(&[]).unwrap(), []);
        assert!(benjamini_hochberg(&[0.5, f64::NAN]).is_err() && benjamini_hochberg(&[1.5]).is_err());
    }
}
