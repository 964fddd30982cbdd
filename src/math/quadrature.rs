//! Nodes and weights of quadrature rules on `[0, 1]`: `∫ f ≈ Σ_k w_k f(x_k)`.
//!
//! ```text
//! gauss_legendre  x_k = (1 + ξ_k)/2, ξ_k the roots of P_n;  exact for polynomials of degree 2n - 1
//! left, right, middle                x_k = k/n, (k + 1)/n, (k + 1/2)/n,   w_k = 1/n
//! trapezoid       x_k = k/(n - 1),   w_k = 1/(n - 1), half of that at the ends
//! ```
//!
//! Source: roots by Newton's method on the three-term recurrence from Tricomi's first approximation; Press et al.,
//! "Numerical Recipes" (3rd ed.), section 4.6.

use ndarray::Array1;

use crate::error::{check_each, check_limit};
use crate::{Result, Scalar};

/// Most nodes of one rule.
pub const MAX_NODES: usize = 1 << 14;

/// A family of quadrature rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Rule {
    /// Gauss-Legendre.
    #[default]
    GaussLegendre,
    /// Left Riemann sum.
    Left,
    /// Right Riemann sum.
    Right,
    /// Midpoints.
    Middle,
    /// Trapezoids; one node alone is the middle.
    Trapezoid,
}

/// Where to evaluate, and what each value counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Nodes<T> {
    /// Positions in `[0, 1]`, ascending, `(n)`.
    pub points: Array1<T>,
    /// Weights, which sum to 1, `(n)`.
    pub weights: Array1<T>,
}

impl Rule {
    /// The rule with `n` nodes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no nodes, [`Error::TooLarge`](crate::Error::TooLarge) above
    /// [`MAX_NODES`].
    ///
    /// # Example
    /// ```
    /// use limpid::math::quadrature::Rule;
    ///
    /// // two nodes integrate x³ exactly
    /// let rule = Rule::GaussLegendre.nodes::<f64>(2)?;
    /// let integral: f64 = rule.points.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(3)).sum();
    /// assert!((integral - 0.25).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn nodes<T: Scalar>(self, n: usize) -> Result<Nodes<T>> {
        check_each("nodes", &[n as f64], ">= 1", |n: f64| n >= 1.0)?;
        check_limit("nodes", n, MAX_NODES)?;
        let count = n as f64;
        let even = |shift: f64| Nodes {
            points: (0..n).map(|k| T::of((k as f64 + shift) / count)).collect(),
            weights: Array1::from_elem(n, T::of(1.0 / count)),
        };
        Ok(match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::Left => even(0.0),
            Self::Right => even(1.0),
            Self::Trapezoid if n > 1 => {
                let part = 1.0 / (count - 1.0);
                let weight = |k| T::of(if k == 0 || k == n - 1 { 0.5 * part } else { part });
                let points = (0..n).map(|k| T::of(k as f64 / (count - 1.0))).collect();
                Nodes { points, weights: (0..n).map(weight).collect() }
            }
            Self::Middle | Self::Trapezoid => even(0.5),
        })
    }
}

fn gauss_legendre<T: Scalar>(n: usize) -> Nodes<T> {
    let mut nodes = Nodes { points: Array1::zeros(n), weights: Array1::zeros(n) };
    for k in 0..n.div_ceil(2) {
        let (root, weight) = root(n, k);
        // the roots are symmetric; (1 - ξ)/2 for the largest root is the smallest point
        nodes.points[k] = T::of(0.5 * (1.0 - root));
        nodes.points[n - 1 - k] = T::of(0.5 * (1.0 + root));
        nodes.weights[k] = T::of(0.5 * weight);
        nodes.weights[n - 1 - k] = T::of(0.5 * weight);
    }
    nodes
}

/// The `k`-th largest root of `P_n`, not negative, and its weight on `[-1, 1]`.
fn root(n: usize, k: usize) -> (f64, f64) {
    let count = n as f64;
    if 2 * k + 1 == n {
        let (_, slope) = legendre(n, 0.0);
        return (0.0, 2.0 / (slope * slope));
    }
    let shrink = 1.0 - (1.0 - 1.0 / count) / (8.0 * count * count);
    let mut x = shrink * libm::cos(core::f64::consts::PI * (k as f64 + 0.75) / (count + 0.5));
    for _ in 0..20 {
        let (value, slope) = legendre(n, x);
        let step = value / slope;
        x -= step;
        if step.abs() < 1e-16 {
            break;
        }
    }
    let (_, slope) = legendre(n, x);
    (x, 2.0 / ((1.0 - x * x) * slope * slope))
}

/// `P_n(x)` and its derivative, for `|x| < 1`.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for j in 2..=n {
        let j = j as f64;
        (before, value) = (value, ((2.0 * j - 1.0) * x * value - (j - 1.0) * before) / j);
    }
    (value, n as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    fn integral(rule: Rule, n: usize, f: impl Fn(f64) -> f64) -> f64 {
        let nodes = rule.nodes::<f64>(n).unwrap();
        nodes.points.iter().zip(&nodes.weights).map(|(&x, w)| w * f(x)).sum()
    }

    #[test]
    fn gauss_is_exact_for_its_degree() {
        for n in [1, 2, 3, 5, 8, 20, 21] {
            for degree in 0..2 * n {
                let power = i32::try_from(degree).unwrap();
                let exact = 1.0 / (degree + 1) as f64;
                assert!((integral(Rule::GaussLegendre, n, |x| x.powi(power)) - exact).abs() < 2e-15, "{n} {degree}");
            }
        }
        let many = if cfg!(miri) { 40 } else { 3000 };
        assert!((integral(Rule::GaussLegendre, many, f64::exp) - (core::f64::consts::E - 1.0)).abs() < 1e-13);
    }

    #[test]
    fn small_rules_by_hand() {
        let nodes = |rule: Rule, n| rule.nodes::<f64>(n).unwrap();
        assert_eq!(nodes(Rule::Left, 4).points, array![0.0, 0.25, 0.5, 0.75]);
        assert_eq!(nodes(Rule::Right, 4).points, array![0.25, 0.5, 0.75, 1.0]);
        assert_eq!(nodes(Rule::Middle, 2).points, array![0.25, 0.75]);
        assert_eq!(nodes(Rule::Trapezoid, 3).points, array![0.0, 0.5, 1.0]);
        assert_eq!(nodes(Rule::Trapezoid, 3).weights, array![0.25, 0.5, 0.25]);
        assert_eq!(nodes(Rule::Trapezoid, 1), nodes(Rule::Middle, 1));
        assert_eq!(nodes(Rule::GaussLegendre, 1), Nodes { points: array![0.5], weights: array![1.0] });
        let two = nodes(Rule::GaussLegendre, 2).points;
        assert!((two[0] - 0.5 * (1.0 - 1.0 / 3.0_f64.sqrt())).abs() < 1e-16);
    }

    #[test]
    fn weights_sum_to_one_and_points_ascend() {
        for rule in [Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid] {
            for n in [1, 2, 7, 50] {
                let nodes = rule.nodes::<f64>(n).unwrap();
                assert!((nodes.weights.sum() - 1.0).abs() < 1e-14);
                assert!(nodes.points.windows(2).into_iter().all(|pair| pair[0] < pair[1]));
            }
        }
        assert!(matches!(Rule::Left.nodes::<f32>(0), Err(Error::OutOfRange { .. })));
        assert!(matches!(Rule::Left.nodes::<f32>(usize::MAX), Err(Error::TooLarge { .. })));
    }
}
