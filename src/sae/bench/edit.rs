//! What an edit of some latents does to activations; what the autoencoder misses stays in place.
//!
//! ```text
//! f'_i = edited f_i for the chosen latents      x' = x + (f' - f) W_dec
//! ```
//!
//! This equals the decoded edit plus the error of the unedited reconstruction, without decoding anything that was not
//! edited. For an autoencoder that normalises its input, `x` is the normalised input.
//!
//! Source: Marks et al., "Sparse feature circuits" (arXiv 2403.19647), section 3, for keeping the error; Templeton et al.,
//! "Scaling Monosemanticity" (2024), for clamping.

use ndarray::{Array2, ArrayRef2, Axis};

use crate::error::{check_each, check_finite, check_shape};
use crate::math::gemm::add_product_into;
use crate::{Error, Result, Scalar};

/// What is done to a chosen latent.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Edit<T> {
    /// Set to 0 (zero ablation).
    Zero,
    /// Set to this value wherever it is above 0; unlearning takes a negative one.
    Clamp(T),
}

/// Activations `(b, d)` after an edit of `latents`: from `x: (b, d)`, `features: (b, m)` and `w_dec: (m, d)`. Rows that
/// `spared: (b)` marks, such as the first token of each text, stay as they are; an empty list spares none.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`]; [`Error::OutOfRange`] for a latent that does not exist or comes twice, and for a
/// clamp that is not finite.
///
/// # Example
/// ```
/// use limpid::sae::bench::edit::{Edit, edit};
/// use ndarray::array;
///
/// let (x, f, w_dec) = (array![[5.0, 1.0], [0.5, 0.5]], array![[2.0, 1.0], [0.0, 0.0]], array![[2.0, 0.0], [0.0, 1.0]]);
/// assert_eq!(edit(&x, &f, &w_dec, &[0], Edit::Zero, &[])?, array![[1.0, 1.0], [0.5, 0.5]]);
/// assert_eq!(edit(&x, &f, &w_dec, &[0], Edit::Clamp(-10.0), &[])?, array![[-19.0, 1.0], [0.5, 0.5]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn edit<T: Scalar>(
    x: &ArrayRef2<T>,
    features: &ArrayRef2<T>,
    w_dec: &ArrayRef2<T>,
    latents: &[usize],
    edit: Edit<T>,
    spared: &[bool],
) -> Result<Array2<T>> {
    let ((b, d), m) = (x.dim(), w_dec.nrows());
    check_shape("features", features, &[b, m])?;
    check_shape("w_dec", w_dec, &[m, d])?;
    check_finite("x", x)?;
    check_finite("features", features)?;
    check_finite("w_dec", w_dec)?;
    check_latents(latents, m)?;
    if let Edit::Clamp(to) = edit {
        check_each("clamp", &[to], "finite", T::is_finite)?;
    }
    if !spared.is_empty() && spared.len() != b {
        let (expected, got) = (crate::Dims::new(&[b]), crate::Dims::new(&[spared.len()]));
        return Err(Error::Shape { what: "spared", expected, got });
    }
    let mut change = features.select(Axis(1), latents);
    change.mapv_inplace(|f| match edit {
        Edit::Zero => -f,
        Edit::Clamp(to) if f > T::zero() => to - f,
        Edit::Clamp(_) => T::zero(),
    });
    let spared_rows = change.rows_mut().into_iter().zip(spared).filter(|&(_, &spared)| spared);
    spared_rows.for_each(|(mut row, _)| row.fill(T::zero()));
    let mut edited = x.to_owned();
    add_product_into(&change, &w_dec.select(Axis(0), latents), &mut edited)?;
    Ok(edited)
}

fn check_latents(latents: &[usize], m: usize) -> Result<()> {
    let mut seen = alloc::vec![false; m];
    for (index, &latent) in latents.iter().enumerate() {
        let expected = "below the number of latents, each once";
        let error = Error::OutOfRange { what: "latents", index, value: latent as f64, expected };
        let seen = seen.get_mut(latent).ok_or(error)?;
        if core::mem::replace(seen, true) {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::sae::{Activation, Sae};
    use ndarray::array;

    #[test]
    fn equals_decoding_the_edit_and_adding_the_error() {
        let sae = Sae::<f64>::initialise(5, 9, Activation::Relu, Seed(4)).unwrap();
        let x = Array2::from_shape_fn((6, 5), |(i, j)| libm::sin((3 * i + 7 * j) as f64));
        let run = sae.with_error(&x).unwrap();
        let mut features = run.features.clone();
        for latent in [1, 4, 8] {
            features.column_mut(latent).mapv_inplace(|f| if f > 0.0 { -3.0 } else { f });
        }
        features.row_mut(2).assign(&run.features.row(2));
        let expected = sae.decode(&features).unwrap() + &run.error;
        let spared = [false, false, true, false, false, false];
        let edited = edit(&x, &run.features, &sae.w_dec, &[8, 1, 4], Edit::Clamp(-3.0), &spared).unwrap();
        assert!((edited - expected).iter().all(|e| e.abs() < 1e-14));
    }

    #[test]
    fn bad_input_is_named() {
        let (x, f, w_dec) = (array![[1.0]], array![[1.0, 2.0]], array![[1.0], [2.0]]);
        let run = |latents: &[usize], to, spared: &[bool]| edit(&x, &f, &w_dec, latents, Edit::Clamp(to), spared);
        assert!(matches!(run(&[2], 0.0, &[]), Err(Error::OutOfRange { what: "latents", index: 0, .. })));
        assert!(matches!(run(&[1, 1], 0.0, &[]), Err(Error::OutOfRange { what: "latents", index: 1, .. })));
        assert!(matches!(run(&[1], f64::NAN, &[]), Err(Error::OutOfRange { what: "clamp", .. })));
        assert!(matches!(run(&[1], 0.0, &[true, false]), Err(Error::Shape { what: "spared", .. })));
        assert_eq!(run(&[], 0.0, &[]).unwrap(), x);
    }
}
