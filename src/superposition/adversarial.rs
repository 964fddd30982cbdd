//! Adversarial vulnerability: how much a small attack along feature directions costs.
//!
//! ```text
//! ε = fraction · mean_b ‖x_b‖            δ_i± = ± ε G_i/‖G_i‖,  G = Wᵀ W (0 where G_i = 0)
//! L_i± = mean_b Σ_j I_j (x_bj - y_j(x_b + δ_i±))²         the target stays the clean x, nothing is clipped
//! vulnerability = (L_worst - L_clean) / (the same of a baseline without superposition)
//! ```
//!
//! Attacks are analytic because gradients die behind the ReLU. Without superposition the Jacobian is the identity on the
//! represented features, so that only interference can raise the loss.
//!
//! Source: Elhage et al. (2022), "Superposition and Adversarial Examples".

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use super::model::{Architecture, ToyModel, check_importance};
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// Who may choose the direction of the attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AttackScope {
    /// One direction for all samples.
    #[default]
    Shared,
    /// Each sample gets the direction that is worst for it.
    PerSample,
}

/// Losses under attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Attack<T> {
    /// Length of the attack.
    pub epsilon: T,
    /// Loss without attack.
    pub clean_loss: T,
    /// Mean loss for each feature direction, `(n, 2)`: plus and minus.
    pub attacked_loss: Array2<T>,
    /// Loss under the worst attack of the scope.
    pub worst_loss: T,
    /// Feature of the worst shared direction, the first of equals.
    pub worst_feature: usize,
}

/// Attacks `model` on `x: (b, n)` with `importance: (n)` along all feature directions, with attacks as long as `fraction`
/// of the mean input.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`]; [`Error::OutOfRange`] for a fraction or importance below 0;
/// [`Error::Unsupported`] for models other than linear and ReLU output, which have no `Wᵀ W`; [`Error::TooLarge`] for more
/// features than [`MAX_GRAM`](super::geometry::MAX_GRAM).
///
/// # Example
/// ```
/// use limpid::superposition::adversarial::{AttackScope, attack};
/// use limpid::superposition::{Architecture, ToyModel};
/// use ndarray::array;
///
/// let model = ToyModel::new(Architecture::ReluOutput, array![[1.0, -1.0]], array![0.0, 0.0])?;
/// let result = attack(&model, &array![[1.0, 0.0]], &array![1.0, 1.0], 0.1, AttackScope::Shared)?;
/// assert_eq!(result.clean_loss, 0.0);
/// assert!(result.worst_loss > 0.0);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn attack<T: Scalar>(
    model: &ToyModel<T>,
    x: &ArrayRef2<T>,
    importance: &ArrayRef1<T>,
    fraction: T,
    scope: AttackScope,
) -> Result<Attack<T>> {
    check(model, x, importance, fraction)?;
    let n = model.n_features();
    let rows = T::of(x.nrows() as f64);
    let norms = x.map_axis(Axis(1), |row| row.iter().map(|&v| v * v).sum::<T>().sqrt());
    let epsilon = fraction * norms.sum() / rows;
    let gram = product(&model.weight.t(), &model.weight)?;
    let clean = product(x, &gram)? + &model.bias;
    // row i: what the direction of feature i does to all outputs
    let responses = product(&gram, &gram)?;
    let relu = model.architecture == Architecture::ReluOutput;
    let row_losses = |shift: &Array1<T>| -> Array1<T> {
        let loss = |(z, x): (ndarray::ArrayView1<'_, T>, ndarray::ArrayView1<'_, T>)| {
            let outputs =
                z.iter().zip(shift).map(|(&z, &s)| if relu && z + s <= T::zero() { T::zero() } else { z + s });
            outputs.zip(x).zip(importance).map(|((y, &x), &i)| i * (x - y) * (x - y)).sum()
        };
        clean.rows().into_iter().zip(x.rows()).map(loss).collect()
    };
    let clean_loss = row_losses(&Array1::zeros(n)).sum() / rows;
    let mut attacked_loss = Array2::zeros((n, 2));
    let mut worst_of_row = Array1::from_elem(x.nrows(), T::neg_infinity());
    for (i, direction) in gram.rows().into_iter().enumerate() {
        let norm = direction.iter().map(|&g| g * g).sum::<T>().sqrt();
        let scale = if norm > T::zero() { epsilon / norm } else { T::zero() };
        let moved = responses.row(i).to_owned() * scale;
        for (sign, shift) in [moved.clone(), -moved].iter().enumerate() {
            let losses = row_losses(shift);
            attacked_loss[[i, sign]] = losses.sum() / rows;
            worst_of_row.zip_mut_with(&losses, |worst, &loss| *worst = worst.max(loss));
        }
    }
    let (worst_feature, shared) = worst(&attacked_loss);
    let worst_loss = if scope == AttackScope::Shared { shared } else { worst_of_row.sum() / rows };
    Ok(Attack { epsilon, clean_loss, attacked_loss, worst_loss, worst_feature })
}

/// Vulnerability of an attacked model relative to an attacked baseline; `None` where the baseline loses nothing.
///
/// # Example
/// ```
/// use limpid::superposition::adversarial::{AttackScope, attack, vulnerability};
/// use limpid::superposition::{Architecture, ToyModel};
/// use ndarray::array;
///
/// let (x, importance) = (array![[1.0, 0.0], [0.0, 1.0]], array![1.0, 1.0]);
/// let run = |w| {
///     let model = ToyModel::new(Architecture::ReluOutput, w, array![0.0, 0.0])?;
///     attack(&model, &x, &importance, 0.1, AttackScope::Shared)
/// };
/// let ratio = vulnerability(&run(array![[1.0, -1.0]])?, &run(array![[1.0, 0.0]])?);
/// assert!(ratio.is_some_and(|ratio| ratio > 1.0));
/// # Ok::<(), limpid::Error>(())
/// ```
#[must_use]
pub fn vulnerability<T: Scalar>(attacked: &Attack<T>, baseline: &Attack<T>) -> Option<T> {
    let rise = |attack: &Attack<T>| attack.worst_loss - attack.clean_loss;
    (rise(baseline) > T::zero()).then(|| rise(attacked) / rise(baseline))
}

fn check<T: Scalar>(model: &ToyModel<T>, x: &ArrayRef2<T>, importance: &ArrayRef1<T>, fraction: T) -> Result<()> {
    model.check()?;
    check_not_empty("x", x)?;
    check_shape("x", x, &[x.nrows(), model.n_features()])?;
    check_finite("x", x)?;
    check_importance(importance, model.n_features())?;
    check_each("fraction", &[fraction], "finite and >= 0", |f| f >= T::zero() && f.is_finite())?;
    check_limit("features of a Gram matrix", model.n_features(), super::geometry::MAX_GRAM)?;
    match model.architecture {
        Architecture::Linear | Architecture::ReluOutput => Ok(()),
        _ => Err(Error::Unsupported { what: "feature directions of a model with a hidden nonlinearity" }),
    }
}

fn worst<T: Scalar>(losses: &Array2<T>) -> (usize, T) {
    let start = (0, T::neg_infinity());
    losses.indexed_iter().fold(start, |best, ((i, _), &loss)| if loss > best.1 { (i, loss) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn an_attack_by_hand() {
        // one dedicated feature, x = 1: y = 1 ± 0.1, the loss is 0.01 both ways
        let model = ToyModel::new(Architecture::Linear, array![[1.0]], array![0.0]).unwrap();
        let result = attack(&model, &array![[1.0]], &array![1.0], 0.1_f64, AttackScope::PerSample).unwrap();
        assert!((result.worst_loss - 0.01).abs() < 1e-15 && result.clean_loss == 0.0);
        assert_eq!(vulnerability(&result, &result), Some(1.0));
    }

    #[test]
    fn a_model_without_directions_is_refused() {
        let model = ToyModel::new(Architecture::ReluHidden, array![[1.0]], array![0.0]).unwrap();
        let error = attack(&model, &array![[1.0]], &array![1.0], 0.1, AttackScope::Shared).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }));
    }

    #[test]
    fn a_baseline_that_loses_nothing_gives_no_ratio() {
        let dead = ToyModel::new(Architecture::ReluOutput, array![[0.0]], array![0.5]).unwrap();
        let result = attack(&dead, &array![[1.0]], &array![1.0], 0.1, AttackScope::Shared).unwrap();
        assert_eq!(vulnerability(&result, &result), None);
    }
}
