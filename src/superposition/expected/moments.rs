//! Moments of a rectified linear form of uniform variables.
//!
//! ```text
//! z = β + Σ_j c_j u_j,  u_j ~ U[0, 1]
//! wanted: E[relu z], E[relu² z], E[u_j relu z], and for one own variable i: E[u_i 1], E[u_i u_j 1] where 1 = [z > 0]
//! ```
//!
//! Averaging `relu(z)^q/q!` over `u` is a divided difference of `relu(z)^(q+1)/(q+1)!`, so each variable contributes two
//! points with opposite signs, and `k` variables a sum over `2^k` vertices. Three things keep the digits:
//!
//! - where `z` has one sign on the whole cube, the moments are polynomials and no vertex is visited;
//! - a variable whose `|c_j|` is far below the largest is averaged by two Gauss nodes, whose error is of the order of the
//!   third power of that ratio or smaller;
//! - where the remaining ratios make the sum cancel, it is carried out in pairs of doubles.
//!
//! Source: the classical formula for sections of a cube, Polya (1913); the conditioning follows from the formula.

use super::double::{Double, Number};

/// Largest number of variables.
pub(super) const MAX_VARIABLES: usize = 14;

/// Below this share of the largest coefficient a variable is averaged by Gauss nodes.
const GAUSS_BELOW: f64 = 1e-6;

/// The two nodes of Gauss and Legendre on `[0, 1]`, each with weight 1/2: `1/2 ∓ 1/(2√3)`.
const NODES: [f64; 2] = [0.211_324_865_405_187_13, 0.788_675_134_594_812_9];

/// Moments of one linear form; arrays run over its variables.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) relu: f64,
    pub(super) square: f64,
    /// `E[u_j relu z]`.
    pub(super) first: [f64; MAX_VARIABLES],
    /// `E[u_i 1]` of the own variable.
    pub(super) own: f64,
    /// `E[u_i u_j 1]` with the own variable.
    pub(super) own_first: [f64; MAX_VARIABLES],
}

impl Moments {
    pub(super) fn zero() -> Self {
        Self { relu: 0.0, square: 0.0, first: [0.0; MAX_VARIABLES], own: 0.0, own_first: [0.0; MAX_VARIABLES] }
    }

    /// Moments of `β + Σ c_j u_j`; `own` is the index of the own variable, if it is among them.
    pub(super) fn compute(&mut self, beta: f64, c: &[f64], own: Option<usize>) {
        let low = beta + c.iter().map(|&c| c.min(0.0)).sum::<f64>();
        let high = beta + c.iter().map(|&c| c.max(0.0)).sum::<f64>();
        if high <= 0.0 {
            self.clear(c.len());
        } else if low >= 0.0 {
            self.linear(beta, c, own);
        } else if well_conditioned(c) {
            self.vertices::<f64>(beta, c, own);
        } else {
            self.vertices::<Double>(beta, c, own);
        }
    }

    fn clear(&mut self, k: usize) {
        (self.relu, self.square, self.own) = (0.0, 0.0, 0.0);
        self.first[..k].fill(0.0);
        self.own_first[..k].fill(0.0);
    }

    /// `z >= 0` on the whole cube: moments of the linear form itself.
    fn linear(&mut self, beta: f64, c: &[f64], own: Option<usize>) {
        let mean = beta + 0.5 * c.iter().sum::<f64>();
        self.relu = mean;
        self.square = mean * mean + c.iter().map(|c| c * c).sum::<f64>() / 12.0;
        self.own = if own.is_some() { 0.5 } else { 0.0 };
        for (j, &c) in c.iter().enumerate() {
            self.first[j] = 0.5 * mean + c / 12.0;
            self.own_first[j] = own.map_or(0.0, |own| if own == j { 1.0 / 3.0 } else { 0.25 });
        }
    }

    fn vertices<N: Number>(&mut self, beta: f64, c: &[f64], own: Option<usize>) {
        let form = Form::new(c);
        let sums = Sums::<N>::collect(&form, beta, c, own);
        let [scale0, scale1, scale2] = form.scales();
        let v = |sum: N| sum.value();
        self.relu = v(sums.powers[1]) * scale1;
        self.square = 2.0 * v(sums.powers[2]) * scale2;
        // E[u_j g] = (the difference with u_j = 1) - (one power more)/c_j, subtracted before rounding
        let step = |upper: N, lower: N, j: usize, scale: f64, degree: f64| {
            if form.gauss[j] {
                v(upper) * scale
            } else {
                v(upper - lower * N::inverse(c[j]) * N::inverse(degree)) * scale
            }
        };
        let (degree1, degree2) = (form.exact + 1.0, form.exact + 2.0);
        for j in 0..c.len() {
            self.first[j] = step(sums.at_one[1][j], sums.powers[2], j, scale1, degree2);
        }
        let Some(own) = own else {
            self.own = 0.0;
            self.own_first[..c.len()].fill(0.0);
            return;
        };
        self.own = step(sums.at_one[0][own], sums.powers[1], own, scale0, degree1);
        let inverse = N::inverse(c[own]);
        let (d1, d2) = (N::inverse(degree1), N::inverse(degree1 * degree2));
        for j in 0..c.len() {
            let both = sums.both[j];
            let total = match (form.gauss[own], form.gauss[j]) {
                (true, true) => both,
                (true, false) => both - sums.at_one[1][own] * N::inverse(c[j]) * d1,
                (false, true) => both - sums.at_one[1][j] * inverse * d1,
                (false, false) if j == own => {
                    both - N::of(2.0) * sums.at_one[1][own] * inverse * d1
                        + N::of(2.0) * sums.powers[2] * inverse * inverse * d2
                }
                (false, false) => {
                    let other = N::inverse(c[j]);
                    both - sums.at_one[1][own] * other * d1 - sums.at_one[1][j] * inverse * d1
                        + sums.powers[2] * inverse * other * d2
                }
            };
            self.own_first[j] = v(total) * scale0;
        }
    }
}

/// Whether plain doubles keep about 14 digits of every moment.
fn well_conditioned(c: &[f64]) -> bool {
    let largest = c.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
    let (mut loss, mut total, mut smallest) = (1.0, 0.0, 1.0_f64);
    let mut degree = 2.0;
    for ratio in c.iter().map(|c| c.abs() / largest).filter(|&ratio| ratio >= GAUSS_BELOW) {
        degree += 1.0;
        loss *= 2.0 / (ratio * degree);
        total += ratio;
        smallest = smallest.min(ratio);
    }
    loss * libm::pow(total, degree) / (smallest * smallest) < 60.0
}

/// How the variables of one linear form are averaged.
struct Form {
    gauss: [bool; MAX_VARIABLES],
    /// Number of variables that are averaged by differences.
    exact: f64,
    /// Product of their coefficients.
    product: f64,
    /// Weight of one choice of Gauss nodes.
    weight: f64,
}

impl Form {
    fn new(c: &[f64]) -> Self {
        let largest = c.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        let mut form = Self { gauss: [false; MAX_VARIABLES], exact: 0.0, product: 1.0, weight: 1.0 };
        for (gauss, &c) in form.gauss.iter_mut().zip(c) {
            if c.abs() < GAUSS_BELOW * largest {
                *gauss = true;
                form.weight *= 0.5;
            } else {
                form.exact += 1.0;
                form.product *= c;
            }
        }
        form
    }

    /// Factors `weight/(q! Π c)` of the sums of powers `q = e, e + 1, e + 2`.
    fn scales(&self) -> [f64; 3] {
        let mut factorial = 1.0;
        let mut q = 1.0;
        while q <= self.exact {
            factorial *= q;
            q += 1.0;
        }
        let first = self.weight / (factorial * self.product);
        let second = first / (self.exact + 1.0);
        [first, second, second / (self.exact + 2.0)]
    }
}

/// Signed sums over all vertices of the powers `e, e + 1, e + 2` of `relu(v)`.
struct Sums<N> {
    powers: [N; 3],
    /// Over vertices with `u_j = 1`, or weighted by the Gauss node of `u_j`, for the first two powers.
    at_one: [[N; MAX_VARIABLES]; 2],
    /// The same for the own variable and `u_j` together, first power.
    both: [N; MAX_VARIABLES],
}

impl<N: Number> Sums<N> {
    fn collect(form: &Form, beta: f64, c: &[f64], own: Option<usize>) -> Self {
        let zero = N::of(0.0);
        let mut sums = Self { powers: [zero; 3], at_one: [[zero; MAX_VARIABLES]; 2], both: [zero; MAX_VARIABLES] };
        for vertex in 0..1_usize << c.len() {
            let mut value = N::of(beta);
            let mut sign = 1.0;
            for (j, &c) in c.iter().enumerate() {
                let up = vertex >> j & 1 == 1;
                if form.gauss[j] {
                    value = value + N::of(c) * N::of(NODES[usize::from(up)]);
                } else if up {
                    value = value.sum(c);
                } else {
                    sign = -sign;
                }
            }
            if value.value() > 0.0 {
                sums.add(form, vertex, value, sign, c.len(), own);
            }
        }
        sums
    }

    #[inline(always)]
    fn add(&mut self, form: &Form, vertex: usize, value: N, sign: f64, k: usize, own: Option<usize>) {
        let mut power = N::of(sign);
        let mut q = 0.0;
        while q < form.exact {
            power = power * value;
            q += 1.0;
        }
        let next = power * value;
        self.powers[0] = self.powers[0] + power;
        self.powers[1] = self.powers[1] + next;
        self.powers[2] = self.powers[2] + next * value;
        let own_weight = own.map_or(0.0, |own| coordinate(form, vertex, own));
        for j in 0..k {
            let u = coordinate(form, vertex, j);
            if u > 0.0 {
                let weight = N::of(u);
                self.at_one[0][j] = self.at_one[0][j] + power * weight;
                self.at_one[1][j] = self.at_one[1][j] + next * weight;
                self.both[j] = self.both[j] + power * weight * N::of(own_weight);
            }
        }
    }
}

/// Value of `u_j` at a vertex.
#[inline(always)]
fn coordinate(form: &Form, vertex: usize, j: usize) -> f64 {
    let up = vertex >> j & 1;
    if form.gauss[j] { NODES[up] } else { up as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::random::{Stream, uniform};
    use alloc::vec;
    use alloc::vec::Vec;

    /// The slow twin: variables one after another, each cut at the kinks of all vertices of the rest and integrated by
    /// Gauss nodes that are exact for polynomials of degree 9.
    fn naive(beta: f64, c: &[f64], f: &dyn Fn(f64, &[f64]) -> f64, u: &mut Vec<f64>) -> f64 {
        const X: [f64; 5] =
            [0.046_910_077_030_668, 0.230_765_344_947_158_45, 0.5, 0.769_234_655_052_841_6, 0.953_089_922_969_332];
        const W: [f64; 5] = [
            0.118_463_442_528_094_54,
            0.239_314_335_249_683_23,
            0.284_444_444_444_444_44,
            0.239_314_335_249_683_23,
            0.118_463_442_528_094_54,
        ];
        let Some((&first, rest)) = c.split_first() else {
            return f(beta, u);
        };
        let mut cuts = vec![0.0, 1.0];
        for vertex in 0..1_usize << rest.len() {
            let shift: f64 = rest.iter().enumerate().filter(|(j, _)| vertex >> j & 1 == 1).map(|(_, c)| c).sum();
            let cut = -(beta + shift) / first;
            if cut > 0.0 && cut < 1.0 {
                cuts.push(cut);
            }
        }
        cuts.sort_by(f64::total_cmp);
        let mut total = 0.0;
        for pair in cuts.windows(2) {
            for (x, w) in X.iter().zip(W) {
                u.push(pair[0] + (pair[1] - pair[0]) * x);
                total += (pair[1] - pair[0]) * w * naive(beta + first * u[u.len() - 1], rest, f, u);
                u.pop();
            }
        }
        total
    }

    fn random_form(stream: &mut Stream, round: usize) -> (f64, Vec<f64>) {
        let k = 1 + round % 3;
        let mut signed = || 2.0 * uniform::<f64>(stream) - 1.0;
        let scale = 10.0_f64.powi(i32::try_from(round % 7).unwrap() - 3);
        let c: Vec<f64> = (0..k)
            .map(|j| {
                let tiny = 10.0_f64.powi(-i32::try_from((round / 3 + 2 * j) % 9).unwrap());
                if round % 11 == j { 0.0 } else { signed() * scale * if j == 0 { 1.0 } else { tiny } }
            })
            .collect();
        (0.5 * signed() * scale, c)
    }

    #[test]
    fn all_moments_equal_nested_quadrature_whatever_the_magnitudes() {
        let mut stream = Seed(8).stream(0, 0);
        let mut found = Moments::zero();
        for round in 0..if cfg!(miri) { 6 } else { 600 } {
            let (beta, c) = random_form(&mut stream, round);
            let size = beta.abs() + c.iter().map(|c| c.abs()).sum::<f64>();
            found.compute(beta, &c, Some(0));
            let expect = |f: &dyn Fn(f64, &[f64]) -> f64| naive(beta, &c, f, &mut Vec::new());
            let close = |what: &str, got: f64, expected: f64, scale: f64| {
                assert!((got - expected).abs() <= 3e-13 * scale, "{what} {beta} {c:?}: {got} {expected}");
            };
            let positive = |z: f64| f64::from(u8::from(z > 0.0));
            close("relu", found.relu, expect(&|z, _| z.max(0.0)), size);
            close("square", found.square, expect(&|z, _| z.max(0.0) * z.max(0.0)), size * size);
            close("own", found.own, expect(&|z, u| u[0] * positive(z)), 1.0);
            for j in 0..c.len() {
                close("first", found.first[j], expect(&|z, u| u[j] * z.max(0.0)), size);
                close("own first", found.own_first[j], expect(&|z, u| u[0] * u[j] * positive(z)), 1.0);
            }
        }
    }

    #[test]
    fn one_variable_by_hand() {
        let mut found = Moments::zero();
        // z = u - 1/2 is positive for half of u
        found.compute(-0.5, &[1.0], Some(0));
        assert!((found.relu - 0.125).abs() < 1e-16 && (found.square - 1.0 / 24.0).abs() < 1e-16);
        assert!((found.own - 0.375).abs() < 1e-15 && (found.own_first[0] - 7.0 / 24.0).abs() < 1e-15);
    }
}
