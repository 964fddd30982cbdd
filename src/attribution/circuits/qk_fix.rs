//! The first half of AtP*: effects of patched queries and keys with the attention weights computed again.
//!
//! ```text
//! I(query i) = Σ_j (a'_ij - a_ij) g_ij       a' the weights of row i with query i patched
//! I(key j)   = Σ_i Σ_m (a'_im - a_im) g_im   a' the weights with key j patched; each row i is affected by itself
//! a = softmax(s q kᵀ),  g = ∂m/∂a at the starting run
//! ```
//!
//! Plain attribution patching goes through the derivative of the softmax, which is 0 where attention is saturated however
//! much a patch would change it. What comes after the weights stays a first-order estimate. All keys together take no longer
//! than all queries: patching one key changes one score of a row, so the new weights of a row follow from the old sum.
//!
//! Source: Kramár et al., "AtP*: An efficient and scalable method for localizing LLM behaviour to components" (arXiv
//! 2403.00745). The other half is [`GradDrop`](super::GradDrop). The paper takes means of magnitudes over examples;
//! [`GradDrop`](super::GradDrop) does so, the effects here keep their sign.

use alloc::vec::Vec;

use ndarray::{Array3, ArrayRef4, ArrayView1, ArrayView2, Axis};

use super::PatchDirection;
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::reduce::dot;
use crate::{Result, Scalar};

/// How an attention layer makes scores of queries and keys.
///
/// # Example
/// ```
/// use limpid::attribution::circuits::{AttentionRun, PatchDirection, QkFix};
/// use ndarray::array;
///
/// // one head, one query, two keys: saturated at the first key
/// let (q, k) = (array![[[[60.0]]]], array![[[[1.0], [0.0]]]]);
/// let corrupted = array![[[[-60.0]]]];
/// let gradient = array![[[[1.0, -1.0]]]];
/// let method = QkFix { scale: 1.0, causal: false };
/// let clean = AttentionRun { query: &q, key: &k };
/// let patched = AttentionRun { query: &corrupted, key: &k };
/// let effects = method.effects(clean, patched, &gradient, PatchDirection::Noising)?;
/// // the derivative of the softmax there is below 1e-25
/// assert!((effects.query[[0, 0, 0]] + 2.0_f64).abs() < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QkFix {
    /// What products of queries and keys are multiplied with, usually `1/√e`.
    pub scale: f64,
    /// Whether a position sees none after it.
    pub causal: bool,
}

/// Queries and keys of one layer and one run, positions already encoded.
#[derive(Debug, Clone, Copy)]
pub struct AttentionRun<'a, T> {
    /// `(b, h, t, e)`.
    pub query: &'a ArrayRef4<T>,
    /// `(b, h, s, e)`.
    pub key: &'a ArrayRef4<T>,
}

/// Estimated changes of the metric by patching one query or one key of one head.
#[derive(Debug, Clone, PartialEq)]
pub struct QkEffects<T> {
    /// `(b, h, t)`.
    pub query: Array3<T>,
    /// `(b, h, s)`.
    pub key: Array3<T>,
}

impl QkFix {
    /// Effects of every query and every key of a layer; `gradient: (b, h, t, s)` is that of each example's metric by the
    /// attention weights, at the run that is patched: the clean one for noising, the corrupted one for denoising.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), also for scores that overflow,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a scale that is not a number.
    pub fn effects<T: Scalar>(
        self,
        clean: AttentionRun<'_, T>,
        corrupted: AttentionRun<'_, T>,
        gradient: &ArrayRef4<T>,
        direction: PatchDirection,
    ) -> Result<QkEffects<T>> {
        self.check(clean, corrupted, gradient)?;
        let (start, source) = direction.order(clean, corrupted);
        let (b, h, t, s) = gradient.dim();
        let mut effects = QkEffects { query: Array3::zeros((b, h, t)), key: Array3::zeros((b, h, s)) };
        for (example, head) in (0..b).flat_map(|example| (0..h).map(move |head| (example, head))) {
            let of = |x: &'_ ArrayRef4<T>| x.index_axis(Axis(0), example).index_axis_move(Axis(0), head).to_owned();
            let [q, k, new_q, new_k] = [start.query, start.key, source.query, source.key].map(of);
            let g = of(gradient);
            let mut keys = alloc::vec![0.0; s];
            for i in 0..t {
                let seen = if self.causal { i + 1 } else { s };
                let row = Row {
                    scores: self.scores(q.row(i), k.view(), seen)?,
                    gradient: g.row(i).iter().take(seen).map(|g| g.as_f64()).collect(),
                };
                let patched = Row { scores: self.scores(new_q.row(i), k.view(), seen)?, ..row.clone() };
                effects.query[[example, head, i]] = T::of(patched.mean() - row.mean());
                let patched = self.scores(q.row(i), new_k.view(), seen)?;
                row.add_effects(&patched, &mut keys);
            }
            let out = effects.key.index_axis_mut(Axis(0), example);
            out.index_axis_move(Axis(0), head).iter_mut().zip(keys).for_each(|(out, key)| *out = T::of(key));
        }
        check_finite("effects of queries", &effects.query)?;
        check_finite("effects of keys", &effects.key)?;
        Ok(effects)
    }

    fn check<T: Scalar>(
        self,
        clean: AttentionRun<'_, T>,
        corrupted: AttentionRun<'_, T>,
        gradient: &ArrayRef4<T>,
    ) -> Result<()> {
        check_each("scale", &[self.scale], "a finite number", |scale: f64| scale.is_finite())?;
        let ((b, h, t, e), s) = (clean.query.dim(), clean.key.dim().2);
        let size = if self.causal { t } else { s };
        for (what, x, expected) in [
            ("clean query", clean.query, [b, h, t, e]),
            ("clean key", clean.key, [b, h, size, e]),
            ("corrupted query", corrupted.query, [b, h, t, e]),
            ("corrupted key", corrupted.key, [b, h, size, e]),
            ("gradient", gradient, [b, h, t, size]),
        ] {
            check_not_empty(what, x)?;
            check_shape(what, x, &expected)?;
            check_finite(what, x)?;
        }
        Ok(())
    }

    /// Scores of one query with the keys that it sees.
    fn scores<T: Scalar>(self, query: ArrayView1<'_, T>, key: ArrayView2<'_, T>, seen: usize) -> Result<Vec<f64>> {
        let rows = key.rows().into_iter().take(seen);
        let scores = rows.map(|key| Ok(self.scale * dot(&query, &key)?.as_f64())).collect::<Result<Vec<f64>>>()?;
        check_each("attention scores", &scores, "a finite number", |score: f64| score.is_finite())?;
        Ok(scores)
    }
}

/// Scores of one query, and the gradient by its attention weights.
#[derive(Clone)]
struct Row {
    scores: Vec<f64>,
    gradient: Vec<f64>,
}

impl Row {
    /// Largest score, and sums of `e^score` and `e^score g` below it, over all keys but `without`.
    fn sums(&self, without: Option<usize>) -> (f64, f64, f64) {
        let all = || self.scores.iter().zip(&self.gradient).enumerate().filter(|(j, _)| Some(*j) != without);
        let largest = all().fold(f64::NEG_INFINITY, |largest, (_, (score, _))| largest.max(*score));
        all().fold((largest, 0.0, 0.0), |(_, sum, weighted), (_, (score, g))| {
            let weight = libm::exp(score - largest);
            (largest, sum + weight, weighted + weight * g)
        })
    }

    /// `Σ_j a_j g_j`.
    fn mean(&self) -> f64 {
        let (_, sum, weighted) = self.sums(None);
        weighted / sum
    }

    /// Adds what replacing the score of one key at a time by that of `patched` does to [`Row::mean`].
    fn add_effects(&self, patched: &[f64], effects: &mut [f64]) {
        let (largest, sum, weighted) = self.sums(None);
        for (j, (effect, (&before, &after))) in effects.iter_mut().zip(self.scores.iter().zip(patched)).enumerate() {
            let own = libm::exp(before - largest);
            // without a key that has most of the weight nothing would be left of the sum, so it is taken again; there is
            // at most one such key in a row
            let others = if own > 0.5 * sum {
                self.sums(Some(j))
            } else {
                (largest, sum - own, weighted - own * self.gradient[j])
            };
            if others.1 > 0.0 {
                let share = |score: f64| 1.0 / (1.0 + others.1 * libm::exp(others.0 - score));
                *effect += (share(after) - share(before)) * (self.gradient[j] - others.2 / others.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{Array4, array};

    fn numbers(shape: (usize, usize, usize, usize), seed: usize, size: f64) -> Array4<f64> {
        Array4::from_shape_fn(shape, |(b, h, t, e)| {
            let hash = (b * 31 + h * 17 + t * 7 + e * 3 + seed * 13) * 2_654_435_761 % 1009;
            size * (hash as f64 / 504.5 - 1.0)
        })
    }

    /// `Σ a g` over all queries of a head.
    fn metric(method: QkFix, q: &Array4<f64>, k: &Array4<f64>, g: &Array4<f64>, (b, h): (usize, usize)) -> f64 {
        let (_, _, t, e) = q.dim();
        (0..t)
            .map(|i| {
                let seen = if method.causal { i + 1 } else { k.dim().2 };
                let score = |j: usize| method.scale * (0..e).map(|e| q[[b, h, i, e]] * k[[b, h, j, e]]).sum::<f64>();
                let largest = (0..seen).map(score).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = (0..seen).map(|j| (score(j) - largest).exp()).sum();
                (0..seen).map(|j| (score(j) - largest).exp() / sum * g[[b, h, i, j]]).sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn it_is_what_patching_one_place_does_to_the_weights() {
        for (causal, size) in [(false, 1.0), (true, 1.0), (true, 12.0)] {
            let method = QkFix { scale: 0.7, causal };
            let s = if causal { 4 } else { 5 };
            let [q, new_q] = [0, 1].map(|seed| numbers((2, 2, 4, 3), seed, size));
            let [k, new_k] = [2, 3].map(|seed| numbers((2, 2, s, 3), seed, size));
            let g = numbers((2, 2, 4, s), 4, 1.0);
            let (clean, corrupted) = (AttentionRun { query: &q, key: &k }, AttentionRun { query: &new_q, key: &new_k });
            let found = method.effects(clean, corrupted, &g, PatchDirection::Noising).unwrap();
            let swapped = method.effects(corrupted, clean, &g, PatchDirection::Denoising).unwrap();
            assert_eq!(swapped, found);
            for ((b, h, place), effect) in found.query.indexed_iter() {
                let mut patched = q.clone();
                (0..3).for_each(|e| patched[[b, h, place, e]] = new_q[[b, h, place, e]]);
                let exact = metric(method, &patched, &k, &g, (b, h)) - metric(method, &q, &k, &g, (b, h));
                assert!((effect - exact).abs() < 1e-12, "{effect} {exact}");
            }
            for ((b, h, place), effect) in found.key.indexed_iter() {
                let mut patched = k.clone();
                (0..3).for_each(|e| patched[[b, h, place, e]] = new_k[[b, h, place, e]]);
                let exact = metric(method, &q, &patched, &g, (b, h)) - metric(method, &q, &k, &g, (b, h));
                assert!((effect - exact).abs() < 1e-12, "{effect} {exact}");
            }
        }
    }

    #[test]
    fn a_saturated_key_is_seen() {
        // all weight on the first key, by 2000 below which no exponential is left; patched it goes to the second
        let (q, k, new_k) = (array![[[[1.0]]]], array![[[[2000.0], [0.0]]]], array![[[[-2000.0], [0.0]]]]);
        let (clean, corrupted) = (AttentionRun { query: &q, key: &k }, AttentionRun { query: &q, key: &new_k });
        let method = QkFix { scale: 1.0, causal: false };
        let found = method.effects(clean, corrupted, &array![[[[3.0, 1.0]]]], PatchDirection::Noising).unwrap();
        assert_eq!((found.query, found.key), (array![[[0.0]]], array![[[-2.0, 0.0]]]));
        let alone = AttentionRun { query: &q, key: &array![[[[1.0]]]] };
        let found = method.effects(alone, alone, &array![[[[3.0]]]], PatchDirection::Noising).unwrap();
        assert_eq!(found.key, array![[[0.0]]]);
    }

    #[test]
    fn bad_input_is_named() {
        let (q, k, g) = (numbers((1, 1, 2, 3), 0, 1.0), numbers((1, 1, 4, 3), 1, 1.0), numbers((1, 1, 2, 4), 2, 1.0));
        let run = AttentionRun { query: &q, key: &k };
        let effects =
            |method: QkFix, g: &Array4<f64>| method.effects(run, run, g, PatchDirection::Noising).unwrap_err();
        let plain = QkFix { scale: 1.0, causal: false };
        let causal = effects(QkFix { causal: true, ..plain }, &g);
        assert!(matches!(causal, Error::Shape { what: "clean key", .. }));
        assert!(matches!(effects(plain, &numbers((1, 1, 2, 3), 2, 1.0)), Error::Shape { what: "gradient", .. }));
        assert!(matches!(effects(plain, &(&g * f64::NAN)), Error::NotFinite { what: "gradient", .. }));
        let scale = effects(QkFix { scale: f64::INFINITY, ..plain }, &g);
        assert!(matches!(scale, Error::OutOfRange { what: "scale", .. }));
        let huge = effects(QkFix { scale: f64::MAX, ..plain }, &(&g * 1e3));
        assert!(matches!(huge, Error::OutOfRange { .. }) || matches!(huge, Error::NotFinite { .. }), "{huge:?}");
    }
}
