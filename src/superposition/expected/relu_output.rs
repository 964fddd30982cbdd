//! Expected loss of the ReLU-output model: a sum over sets of present features.
//!
//! ```text
//! L = Σ_A P(A) Σ_i I_i l_i(A)        l_i = E[relu² z] + [i ∈ A] (1/3 - 2 E[u_i relu z]),  z = b_i + Σ_{j ∈ A} G_ij u_j
//! ∂l/∂b_i = 2 E[relu z] - 2 [i ∈ A] E[u_i 1]        ∂l/∂G_ij = 2 E[u_j relu z] - 2 [i ∈ A] E[u_i u_j 1]
//! ```
//!
//! Exact in `O(n 3ⁿ)`; with at most `K` present features in `O(n^(K+1) 2^K)`.

use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::Settings;
use super::moments::{MAX_VARIABLES, Moments};

/// Walks all sets of at most `max_active` present features.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) gram: &'a Array2<f64>,
    pub(super) bias: &'a Array1<f64>,
    pub(super) max_active: usize,
    pub(super) slope: &'a mut Array2<f64>,
    pub(super) by_bias: &'a mut Array1<f64>,
    pub(super) present: &'a mut Vec<usize>,
    pub(super) moments: &'a mut Moments,
    pub(super) loss: f64,
}

impl Walk<'_> {
    /// Adds all sets that extend `present` by features from `next` on; `probability` is that of what is decided so far.
    pub(super) fn extend(&mut self, next: usize, probability: f64) {
        if probability <= 0.0 {
            return;
        }
        let Some(&p) = self.settings.probability.get(next) else {
            self.add_set(probability);
            return;
        };
        self.extend(next + 1, probability * (1.0 - p));
        if self.present.len() < self.max_active {
            self.present.push(next);
            self.extend(next + 1, probability * p);
            self.present.pop();
        }
    }

    fn add_set(&mut self, probability: f64) {
        let mut c = [0.0; MAX_VARIABLES];
        let k = self.present.len();
        for i in 0..self.bias.len() {
            let weight = probability * self.settings.importance[i];
            if weight <= 0.0 {
                continue;
            }
            self.present.iter().zip(&mut c).for_each(|(&j, slot)| *slot = self.gram[[i, j]]);
            let own = self.present.iter().position(|&j| j == i);
            self.moments.compute(self.bias[i], &c[..k], own);
            let m = &*self.moments;
            let own_loss = own.map_or(0.0, |own| 1.0 / 3.0 - 2.0 * m.first[own]);
            self.loss += weight * (m.square + own_loss);
            self.by_bias[i] += 2.0 * weight * (m.relu - m.own);
            for (slot, &j) in self.present.iter().enumerate() {
                self.slope[[i, j]] += 2.0 * weight * (m.first[slot] - m.own_first[slot]);
            }
        }
    }
}
