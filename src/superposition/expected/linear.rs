//! Expected loss of the linear model, in closed form for any number of features.
//!
//! ```text
//! L = Σ_i I_i (Σ_j M_ij² v_j + r_i²)        M = I - Wᵀ W,  r = M μ - b,  μ_i = p_i/2,  v_i = p_i/3 - p_i²/4
//! ∂L/∂b = -2 I r        ∂L/∂M = 2 I (M v + r μᵀ)        ∂L/∂W = -W (∂L/∂M + its transpose)
//! ```
//!
//! Source: Elhage et al. (2022), "Superposition as a Phase Change", after Saxe et al. (arXiv 1312.6120); here with bias.

use ndarray::{Array1, Array2};

use super::Settings;

/// Loss (sum over features) and derivatives by Gram matrix (negated) and bias.
pub(super) fn linear(
    settings: &Settings,
    gram: &Array2<f64>,
    bias: &Array1<f64>,
    slope: &mut Array2<f64>,
    by_bias: &mut Array1<f64>,
) -> f64 {
    let p = &settings.probability;
    let variance = p.mapv(|p| p / 3.0 - 0.25 * p * p);
    let mut loss = 0.0;
    for (i, row) in gram.rows().into_iter().enumerate() {
        let importance = settings.importance[i];
        let entry = |j: usize| f64::from(u8::from(i == j)) - row[j];
        let residual = (0..p.len()).map(|j| entry(j) * 0.5 * p[j]).sum::<f64>() - bias[i];
        by_bias[i] = -2.0 * importance * residual;
        loss += importance * residual * residual;
        for j in 0..p.len() {
            loss += importance * entry(j) * entry(j) * variance[j];
            slope[[i, j]] = -2.0 * importance * (entry(j) * variance[j] + residual * 0.5 * p[j]);
        }
    }
    loss
}
