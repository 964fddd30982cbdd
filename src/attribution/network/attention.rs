//! The two products of attention; linear maps and a softmax around them make an attention layer.
//!
//! ```text
//! Scores  S_h = s Q_h K_hᵀ            Q, K: (t, heads · e) token by token -> S: (heads, t, t), masked where causal
//! Mix     O_h = A_h V_h               A: (heads, t, t), V: (t, heads · e) -> O: (t, heads · e)
//! ```
//!
//! Source: Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762).

use ndarray::{Array2, ArrayRef2};

use super::op::whole_parts;
use crate::error::check_each;
use crate::{Result, Scalar};

/// Scores of queries and keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores<T> {
    heads: usize,
    tokens: usize,
    scale: T,
    causal: bool,
}

/// What a masked score is: far below any other, and finite, so that nothing becomes NaN.
const MASKED: f64 = -1e30;

impl<T: Scalar> Scores<T> {
    /// For `heads` heads over `tokens` tokens; `scale` is usually `1/√e`, `causal` hides later tokens.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no heads or tokens and for a scale that is not finite.
    pub fn new(heads: usize, tokens: usize, scale: T, causal: bool) -> Result<Self> {
        check_each("heads and tokens", &[heads as f64, tokens as f64], ">= 1", |count: f64| count >= 1.0)?;
        check_each("scale", &[scale], "a finite number", |scale| scale.is_finite())?;
        Ok(Self { heads, tokens, scale, causal })
    }

    pub(super) fn width(&self, query: usize, key: usize) -> Result<usize> {
        whole_parts("queries", query, self.heads.saturating_mul(self.tokens))?;
        whole_parts("keys", key, query)?;
        whole_parts("queries", query, key)?;
        Ok(square(self.heads, self.tokens))
    }

    /// Calls `work(place of the score, range of the query, range of the key)` for every score that is not masked.
    fn pairs(&self, width: usize, mut work: impl FnMut(usize, usize, usize, usize)) {
        let size = width / (self.heads * self.tokens);
        for head in 0..self.heads {
            for i in 0..self.tokens {
                for j in 0..if self.causal { i + 1 } else { self.tokens } {
                    let [query, key] = [i, j].map(|token| (token * self.heads + head) * size);
                    work((head * self.tokens + i) * self.tokens + j, query, key, size);
                }
            }
        }
    }

    pub(super) fn forward(&self, query: &ArrayRef2<T>, key: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        out.fill(T::of(MASKED));
        for ((q, k), mut out) in query.rows().into_iter().zip(key.rows()).zip(out.rows_mut()) {
            self.pairs(q.len(), |place, query, key, size| {
                out[place] = self.scale * (0..size).map(|e| q[query + e] * k[key + e]).sum::<T>();
            });
        }
    }

    pub(super) fn vjp(&self, query: &ArrayRef2<T>, key: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> [Array2<T>; 2] {
        let mut gradients = [Array2::zeros(query.raw_dim()), Array2::zeros(key.raw_dim())];
        for row in 0..query.nrows() {
            self.pairs(query.ncols(), |place, at_query, at_key, size| {
                let g = self.scale * by_output[[row, place]];
                for e in 0..size {
                    gradients[0][[row, at_query + e]] += g * key[[row, at_key + e]];
                    gradients[1][[row, at_key + e]] += g * query[[row, at_query + e]];
                }
            });
        }
        gradients
    }
}

/// Number of weights of all heads; more than any network allows where it is more than a number can be.
fn square(heads: usize, tokens: usize) -> usize {
    heads.saturating_mul(tokens).saturating_mul(tokens)
}

/// Values mixed by attention weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mix {
    heads: usize,
    tokens: usize,
}

impl Mix {
    /// For `heads` heads over `tokens` tokens.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no heads or tokens.
    pub fn new(heads: usize, tokens: usize) -> Result<Self> {
        check_each("heads and tokens", &[heads as f64, tokens as f64], ">= 1", |count: f64| count >= 1.0)?;
        Ok(Self { heads, tokens })
    }

    pub(super) fn width(self, weights: usize, values: usize) -> Result<usize> {
        let square = square(self.heads, self.tokens);
        whole_parts("attention weights", weights, square)?;
        whole_parts("attention weights", square, weights)?;
        whole_parts("values", values, self.heads.saturating_mul(self.tokens))?;
        Ok(values)
    }

    /// Calls `work(place of the weight, place of the output, place of the value, size)` for every weight.
    fn pairs(self, width: usize, mut work: impl FnMut(usize, usize, usize, usize)) {
        let size = width / (self.heads * self.tokens);
        for head in 0..self.heads {
            for i in 0..self.tokens {
                for j in 0..self.tokens {
                    let [out, value] = [i, j].map(|token| (token * self.heads + head) * size);
                    work((head * self.tokens + i) * self.tokens + j, out, value, size);
                }
            }
        }
    }

    pub(super) fn forward<T: Scalar>(self, weights: &ArrayRef2<T>, values: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
        out.fill(T::zero());
        for ((a, v), mut out) in weights.rows().into_iter().zip(values.rows()).zip(out.rows_mut()) {
            self.pairs(v.len(), |place, to, from, size| (0..size).for_each(|e| out[to + e] += a[place] * v[from + e]));
        }
    }

    pub(super) fn vjp<T: Scalar>(
        self,
        weights: &ArrayRef2<T>,
        values: &ArrayRef2<T>,
        by_output: &ArrayRef2<T>,
    ) -> [Array2<T>; 2] {
        let mut gradients = [Array2::zeros(weights.raw_dim()), Array2::zeros(values.raw_dim())];
        for row in 0..weights.nrows() {
            self.pairs(values.ncols(), |place, to, from, size| {
                for e in 0..size {
                    let g = by_output[[row, to + e]];
                    gradients[0][[row, place]] += g * values[[row, from + e]];
                    gradients[1][[row, from + e]] += g * weights[[row, place]];
                }
            });
        }
        gradients
    }
}
