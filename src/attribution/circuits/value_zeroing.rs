//! Value zeroing: how much a position changes when the value vector of a token is taken out of its layer.
//!
//! ```text
//! s_l[i, j] = 1 - cos(h_i, h_i^(-j))        h^(-j): output of layer l with the value vectors of token j set to 0,
//!                                           every layer fed with its clean input
//! s < threshold -> 0,   then every row is divided by its sum; a row of zeros stays one
//! ```
//!
//! Since every layer gets its clean input, one forward pass per token serves all layers: put the clean output back after
//! each layer. Zeroing the values of one head, or of one kind of attention, is up to the closure.
//!
//! Source: Mohebbi et al., "Quantifying Context Mixing in Transformers" (arXiv 2301.12971). [`rollout`](super::rollout())
//! of the scores adds no identity: the residual connection is part of what the closure computes.

use ndarray::{Array2, Array3, ArrayRef1, ArrayRef2, ArrayRef3, ArrayView1, Axis, Slice};

use super::MAX_TOKENS;
use super::attention::normalise_rows_with_zeros;
use crate::error::{check_each, check_finite, check_limit, check_not_empty};
use crate::{Error, Result, Scalar};

/// How far a hidden state moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Distance {
    /// `1 - cos`, half the squared distance of the directions.
    #[default]
    Cosine,
    /// Length of the difference.
    Euclidean,
}

impl Distance {
    /// Distance of two rows; `None` where a direction is needed and only one of them has none.
    fn between<T: Scalar>(self, a: &ArrayRef1<T>, b: &ArrayRef1<T>) -> Option<f64> {
        let norm = |x: &ArrayRef1<T>| largest(x) * libm::sqrt(scaled(x, largest(x)).map(|x| x * x).sum::<f64>());
        let apart = |a_norm: f64, b_norm: f64| -> f64 {
            scaled(a, a_norm).zip(scaled(b, b_norm)).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        match self {
            Self::Euclidean => {
                let scale = largest(a).max(largest(b));
                Some(scale * libm::sqrt(apart(scale, scale)))
            }
            Self::Cosine => match (norm(a), norm(b)) {
                (0.0, 0.0) => Some(0.0),
                (a_norm, b_norm) if a_norm > 0.0 && b_norm > 0.0 => Some(0.5 * apart(a_norm, b_norm)),
                _ => None,
            },
        }
    }
}

/// Largest magnitude.
fn largest<T: Scalar>(x: &ArrayRef1<T>) -> f64 {
    x.iter().fold(0.0, |largest, x| largest.max(x.as_f64().abs()))
}

/// The row divided by `scale`, or as it is where that is 0.
fn scaled<T: Scalar>(x: &ArrayRef1<T>, scale: f64) -> impl Iterator<Item = f64> {
    x.iter().map(move |x| if scale > 0.0 { x.as_f64() / scale } else { x.as_f64() })
}

/// Settings of value zeroing.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ValueZeroing {
    /// How far a hidden state moved.
    pub distance: Distance,
    /// Scores below it are 0.
    pub threshold: f64,
    /// Positions see no later tokens: the scores of those are 0, and rows before the token are not even read.
    pub causal: bool,
    /// Divides every row by its sum.
    pub normalise: bool,
}

impl Default for ValueZeroing {
    fn default() -> Self {
        Self { distance: Distance::Cosine, threshold: 1e-5, causal: false, normalise: true }
    }
}

impl ValueZeroing {
    /// Scores of one layer, `(t, t)`: row = the position that changes, column = the token whose values are gone.
    ///
    /// `hidden: (t, d)` is the clean output of the layer. `zeroed(token, out)` writes to `out: (t, d)` the output with the
    /// value vectors of `token` set to 0, from the same input; it is called once per token.
    ///
    /// # Errors
    /// What `zeroed` returns; [`Error::Empty`], [`Error::NotFinite`], also for an entry of `out` that was not written;
    /// [`Error::OutOfRange`] for a threshold that is not a number from 0 on, and where a hidden state has no direction;
    /// [`Error::TooLarge`] above [`MAX_TOKENS`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::ValueZeroing;
    /// use limpid::math::gemm::product;
    /// use ndarray::array;
    ///
    /// // a layer of one head: h = x + A V, with V = x
    /// let (x, mixing) = (array![[1.0_f64, 0.0], [0.0, 1.0]], array![[0.5, 0.5], [0.0, 1.0]]);
    /// let hidden = &x + product(&mixing, &x)?;
    /// let scores = ValueZeroing::default().layer(&hidden, |token, out| -> limpid::Result<()> {
    ///     let mut values = x.clone();
    ///     values.row_mut(token).fill(0.0);
    ///     out.assign(&(&x + product(&mixing, &values)?));
    ///     Ok(())
    /// })?;
    /// // position 0 has a residual connection to itself, so token 1 turns it further
    /// assert!(scores[[0, 1]] > 0.8 && (scores.row(0).sum() - 1.0).abs() < 1e-15);
    /// // position 1 takes from itself only, which does not change its direction
    /// assert_eq!(scores.row(1), array![0.0, 0.0]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn layer<T: Scalar, E: From<Error>>(
        self,
        hidden: &ArrayRef2<T>,
        mut zeroed: impl FnMut(usize, &mut ArrayRef2<T>) -> Result<(), E>,
    ) -> Result<Array2<T>, E> {
        let hidden = hidden.view().insert_axis(Axis(0));
        let scores = self.layers(&hidden, |token, out| zeroed(token, &mut out.index_axis_mut(Axis(0), 0)))?;
        Ok(scores.index_axis_move(Axis(0), 0))
    }

    /// Scores of all layers, `(l, t, t)`, with one call of `zeroed` per token.
    ///
    /// `hidden: (l, t, d)` holds the clean output of every layer. `zeroed(token, out)` writes to `out: (l, t, d)` the output
    /// of every layer with the value vectors of `token` set to 0 in that layer alone, from its clean input.
    ///
    /// # Errors
    /// As [`Self::layer`].
    pub fn layers<T: Scalar, E: From<Error>>(
        self,
        hidden: &ArrayRef3<T>,
        mut zeroed: impl FnMut(usize, &mut ArrayRef3<T>) -> Result<(), E>,
    ) -> Result<Array3<T>, E> {
        check_not_empty("hidden", hidden)?;
        check_finite("hidden", hidden)?;
        check_each("threshold", &[self.threshold], "0 <= threshold < infinity", |threshold: f64| {
            (0.0..f64::INFINITY).contains(&threshold)
        })?;
        let (layers, tokens, _) = hidden.dim();
        check_limit("tokens", tokens, MAX_TOKENS)?;
        let (mut scores, mut out) = (Array3::zeros((layers, tokens, tokens)), hidden.to_owned());
        for token in 0..tokens {
            // what the closure does not write must not pass for an output
            out.fill(T::nan());
            zeroed(token, &mut out)?;
            self.column(hidden, &out, token, &mut scores)?;
        }
        if self.normalise {
            normalise_rows_with_zeros(scores.rows_mut().into_iter());
        }
        Ok(scores)
    }

    /// The scores of one token in all layers.
    fn column<T: Scalar>(
        self,
        hidden: &ArrayRef3<T>,
        zeroed: &ArrayRef3<T>,
        token: usize,
        scores: &mut Array3<T>,
    ) -> Result<()> {
        let first = if self.causal { token } else { 0 };
        check_finite("zeroed", &zeroed.slice_axis(Axis(1), Slice::from(first..)))?;
        for (layer, mut scores) in scores.outer_iter_mut().enumerate() {
            let (hidden, zeroed) = (hidden.index_axis(Axis(0), layer), zeroed.index_axis(Axis(0), layer));
            for i in first..hidden.nrows() {
                scores[[i, token]] = T::of(self.score(hidden.row(i), zeroed.row(i), i)?);
            }
        }
        Ok(())
    }

    fn score<T: Scalar>(self, hidden: ArrayView1<'_, T>, zeroed: ArrayView1<'_, T>, position: usize) -> Result<f64> {
        let expected = "hidden states with a direction, or Distance::Euclidean";
        let error = Error::OutOfRange { what: "length of a hidden state", index: position, value: 0.0, expected };
        let distance = self.distance.between(&hidden, &zeroed).ok_or(error)?;
        Ok(if distance < self.threshold { 0.0 } else { distance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::circuits::rollout;
    use ndarray::array;

    /// The caller's own error.
    #[derive(Debug, PartialEq)]
    enum Failure {
        Limpid(Error),
        Device,
    }

    impl From<Error> for Failure {
        fn from(error: Error) -> Self {
            Self::Limpid(error)
        }
    }

    fn hidden() -> Array2<f64> {
        array![[1.0, 0.0], [3.0, 4.0]]
    }

    /// Token 0 turns position 1 by a right angle, token 1 doubles it; nothing else changes.
    fn zeroed(token: usize, out: &mut ArrayRef2<f64>) -> Result<()> {
        out.assign(&hidden());
        out.row_mut(1).assign(&if token == 0 { array![-4.0, 3.0] } else { array![6.0, 8.0] });
        Ok(())
    }

    #[test]
    fn directions_count_and_lengths_do_not() {
        assert_eq!(ValueZeroing::default().layer(&hidden(), zeroed), Ok(array![[0.0, 0.0], [1.0, 0.0]]));
        let plain = ValueZeroing { distance: Distance::Euclidean, normalise: false, ..ValueZeroing::default() };
        assert_eq!(plain.layer(&hidden(), zeroed), Ok(array![[0.0, 0.0], [50.0_f64.sqrt(), 5.0]]));
        let shares = ValueZeroing { normalise: true, ..plain }.layer(&hidden(), zeroed).unwrap();
        assert!((shares[[1, 0]] - 2.0_f64.sqrt() / (2.0_f64.sqrt() + 1.0)).abs() < 1e-15);
    }

    #[test]
    fn small_scores_are_cut_before_rows_are_normalised() {
        let small = |token: usize, out: &mut ArrayRef2<f64>| -> Result<()> {
            out.assign(&hidden());
            out[[0, 1]] = if token == 0 { 1e-3 } else { 0.5 };
            Ok(())
        };
        assert_eq!(ValueZeroing::default().layer(&hidden(), small).unwrap().row(0), array![0.0, 1.0]);
        let all = ValueZeroing { threshold: 0.0, ..ValueZeroing::default() };
        let kept = all.layer(&hidden(), small).unwrap()[[0, 0]];
        assert!((kept / (5e-7 / (1.0 - 1.0 / 1.25_f64.sqrt())) - 1.0).abs() < 1e-4, "{kept}");
    }

    #[test]
    fn layers_share_a_pass_and_roll_out() {
        let both = Array3::from_shape_fn((2, 2, 2), |(_, i, c)| hidden()[[i, c]]);
        let scores = ValueZeroing::default()
            .layers(&both, |token, out| out.outer_iter_mut().try_for_each(|mut out| zeroed(token, &mut out)))
            .unwrap();
        assert_eq!(scores.index_axis(Axis(0), 1), array![[0.0, 0.0], [1.0, 0.0]]);
        assert_eq!(rollout(&scores).unwrap().index_axis(Axis(0), 1), Array2::<f64>::zeros((2, 2)));
    }

    #[test]
    fn a_causal_model_need_not_write_earlier_positions() {
        let later = |token: usize, out: &mut ArrayRef2<f64>| -> Result<()> {
            for i in token..2 {
                out.row_mut(i).assign(&array![0.0, 1.0]);
            }
            Ok(())
        };
        let causal = ValueZeroing { causal: true, ..ValueZeroing::default() };
        assert_eq!(causal.layer(&hidden(), later), Ok(array![[1.0, 0.0], [0.5, 0.5]]));
        let error = ValueZeroing::default().layer(&hidden(), later).unwrap_err();
        assert_eq!(error, Error::NotFinite { what: "zeroed", index: 0 });
    }

    #[test]
    fn errors_of_the_caller_pass_through() {
        let fails = |token: usize, _: &mut ArrayRef2<f64>| if token == 0 { Err(Failure::Device) } else { Ok(()) };
        assert_eq!(ValueZeroing::default().layer(&hidden(), fails), Err(Failure::Device));
        let nothing = |_: usize, _: &mut ArrayRef2<f64>| -> Result<(), Failure> { Ok(()) };
        let error = ValueZeroing::default().layer(&hidden(), nothing).unwrap_err();
        assert_eq!(error, Failure::Limpid(Error::NotFinite { what: "zeroed", index: 0 }));
    }

    #[test]
    fn what_has_no_direction_is_an_error_unless_both_have_none() {
        let to_zero = |_: usize, out: &mut ArrayRef2<f64>| -> Result<()> {
            out.fill(0.0);
            Ok(())
        };
        let error = ValueZeroing::default().layer(&hidden(), to_zero).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { index: 0, .. }));
        let zeros = Array2::<f64>::zeros((2, 2));
        assert_eq!(ValueZeroing::default().layer(&zeros, to_zero).unwrap(), zeros);
        let bad = ValueZeroing { threshold: f64::NAN, ..ValueZeroing::default() };
        assert!(matches!(bad.layer(&hidden(), to_zero), Err(Error::OutOfRange { what: "threshold", .. })));
    }
}
