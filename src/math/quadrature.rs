//! Nodes and weights of quadrature rules on `[0, 1]`: `∫ f ≈ Σ_k w_k f(x_k)`.
//!
//! ```text
//! gauss_legendre  x_k = (1 + ξ_k)/2, ξ_k the roots of P_n;  exact for polynomials of degree 2n - 1
//! left, right, middle                x_k = k/n, (k + 1)/n, (k + 1/2)/n,   w_k = 1/n
//! trapezoid       x_k = k/(n - 1),   w_k = 1/(n - 1), half of that at the ends
//! kronrod         7 Gauss-Legendre points and 8 between them: exact for degree 22, with an error estimate for free
//! ```
//!
//! Source: roots by Newton's method on the three-term recurrence from Tricomi's first approximation; Press et al.,
//! "Numerical Recipes" (3rd ed.), section 4.6. Kronrod's points: Kronrod, "Nodes and Weights of Quadrature Formulas" (1965);
//! the numbers are the roots of the Stieltjes polynomial, computed with 40 digits.

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
    /// The nodes of [`Rule::Trapezoid`] with the weights `1/n`, and `1/(2n)` at the ends, of Captum's `riemann_trapezoid`.
    ///
    /// The weights sum to `1 - 1/n`, so that every integral comes out too small by that share: only for comparisons with
    /// numbers made by Captum.
    CaptumTrapezoid,
}

/// Where to evaluate, and what each value counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Nodes<T> {
    /// Positions in `[0, 1]`, ascending, `(n)`.
    pub points: Array1<T>,
    /// Weights, which sum to 1 except for [`Rule::CaptumTrapezoid`], `(n)`.
    pub weights: Array1<T>,
}

impl Rule {
    /// The rule with `n` nodes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no nodes, or only one of [`Rule::CaptumTrapezoid`];
    /// [`Error::TooLarge`](crate::Error::TooLarge) above [`MAX_NODES`].
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
        let (least, expected) = if self == Self::CaptumTrapezoid { (2.0, ">= 2") } else { (1.0, ">= 1") };
        check_each("nodes", &[n as f64], expected, |n: f64| n >= least)?;
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
            Self::Trapezoid | Self::CaptumTrapezoid if n > 1 => {
                let part = 1.0 / if self == Self::Trapezoid { count - 1.0 } else { count };
                let weight = |k| T::of(if k == 0 || k == n - 1 { 0.5 * part } else { part });
                let points = (0..n).map(|k| T::of(k as f64 / (count - 1.0))).collect();
                Nodes { points, weights: (0..n).map(weight).collect() }
            }
            Self::Middle | Self::Trapezoid | Self::CaptumTrapezoid => even(0.5),
        })
    }
}

/// Points of Gauss and Kronrod together.
pub const KRONROD: usize = 15;

/// The largest eight points on `[-1, 1]` with the weights of all 15, and of the 7 of Gauss, which are every second one.
const HALF_KRONROD: [[f64; 3]; 8] = [
    [0.0, 0.209_482_141_084_727_83, 0.417_959_183_673_469_4],
    [0.207_784_955_007_898_47, 0.204_432_940_075_298_9, 0.0],
    [0.405_845_151_377_397_2, 0.190_350_578_064_785_4, 0.381_830_050_505_118_9],
    [0.586_087_235_467_691_1, 0.169_004_726_639_267_9, 0.0],
    [0.741_531_185_599_394_4, 0.140_653_259_715_525_92, 0.279_705_391_489_276_66],
    [0.864_864_423_359_769_1, 0.104_790_010_322_250_18, 0.0],
    [0.949_107_912_342_758_5, 0.063_092_092_629_978_55, 0.129_484_966_168_869_7],
    [0.991_455_371_120_812_6, 0.022_935_322_010_529_225, 0.0],
];

/// The Gauss-Kronrod pair of 7 and 15 points on `[0, 1]`: points, weights of all, and weights of Gauss alone, which are 0 at
/// Kronrod's own points.
///
/// The difference of the two sums estimates the error of Gauss, which is far above that of Kronrod for smooth functions.
///
/// # Example
/// ```
/// use limpid::math::quadrature::gauss_kronrod;
///
/// let pair = gauss_kronrod();
/// let sum = |column: usize| pair.iter().map(|node| node[column] * node[0].exp()).sum::<f64>();
/// assert!((sum(1) - sum(2)).abs() < 1e-14 && (sum(1) - (1.0_f64.exp() - 1.0)).abs() < 1e-15);
/// ```
#[must_use]
pub fn gauss_kronrod() -> [[f64; 3]; KRONROD] {
    core::array::from_fn(|k| {
        let [x, all, gauss] = HALF_KRONROD[k.abs_diff(KRONROD / 2)];
        [0.5 * if k < KRONROD / 2 { 1.0 - x } else { 1.0 + x }, 0.5 * all, 0.5 * gauss]
    })
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
    fn kronrod_is_exact_for_degree_22_and_gauss_for_13() {
        let pair = gauss_kronrod();
        for (column, degrees) in [(1, 0..=22), (2, 0..=13)] {
            for degree in degrees {
                let sum: f64 = pair.iter().map(|node| node[column] * node[0].powi(degree)).sum();
                assert!((sum - 1.0 / f64::from(degree + 1)).abs() < 1e-15, "{column} {degree}");
            }
        }
        assert!((pair.iter().map(|node| node[2] * node[0].powi(14)).sum::<f64>() - 1.0 / 15.0).abs() > 1e-9);
        let gauss = Rule::GaussLegendre.nodes::<f64>(7).unwrap();
        for (k, (x, w)) in gauss.points.iter().zip(&gauss.weights).enumerate() {
            assert!((pair[2 * k + 1][0] - x).abs() < 1e-15 && (pair[2 * k + 1][2] - w).abs() < 1e-15);
        }
    }

    #[test]
    fn the_biased_trapezoid_is_what_it_says() {
        let nodes = Rule::CaptumTrapezoid.nodes::<f64>(4).unwrap();
        assert_eq!(nodes.points, Rule::Trapezoid.nodes::<f64>(4).unwrap().points);
        assert_eq!(nodes.weights, array![0.125, 0.25, 0.25, 0.125]);
        assert!(matches!(Rule::CaptumTrapezoid.nodes::<f64>(1), Err(Error::OutOfRange { .. })));
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
