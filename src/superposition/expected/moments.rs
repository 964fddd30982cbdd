//! Moments of a rectified linear form of uniform variables.
//!
//! ```text
//! z = β + Σ_j c_j u_j,  u_j ~ U[0, 1]
//! wanted: E[relu z], E[relu² z], E[u_j relu z], and for one own variable i: E[u_i 1], E[u_i u_j 1] where 1 = [z > 0]
//!
//! ∫ relu(z + c u)^q/q! du = (relu(z + c)^(q+1) - relu(z)^(q+1)) / (c (q+1)!)
//! ```
//!
//! Each variable is integrated to a difference of two ends, largest `|c_j|` first, and only as long as `z` still changes
//! its sign over what is left: where it has one sign, the rest is a polynomial (or 0) whose moments need no difference.
//! A difference is therefore never taken over a variable that is small beside the numbers it separates, so that no digits
//! cancel, whatever the magnitudes.
//!
//! Source: the classical formula for sections of a cube, Polya (1913); the order and the stopping rule are chosen for
//! conditioning.

/// Largest number of variables.
pub(super) const MAX_VARIABLES: usize = 14;

/// Highest power of `z` that is needed, plus one.
const POWERS: usize = MAX_VARIABLES + 3;

/// `1/q!`.
const INVERSE_FACTORIAL: [f64; POWERS] = {
    let mut table = [1.0; POWERS];
    let mut q = 1;
    while q < POWERS {
        table[q] = table[q - 1] / q as f64;
        q += 1;
    }
    table
};

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
        if low >= 0.0 {
            return self.linear(beta, c, own);
        }
        (self.relu, self.square, self.own) = (0.0, 0.0, 0.0);
        self.first[..c.len()].fill(0.0);
        self.own_first[..c.len()].fill(0.0);
        if beta + c.iter().map(|&c| c.max(0.0)).sum::<f64>() > 0.0 {
            let mut order = [0; MAX_VARIABLES];
            let order = &mut order[..c.len()];
            order.iter_mut().enumerate().for_each(|(j, slot)| *slot = j);
            order.sort_unstable_by(|&a, &b| c[b].abs().total_cmp(&c[a].abs()));
            Expansion { c, order, own, up: [false; MAX_VARIABLES], moments: self }.expand(0, beta, 1.0);
        }
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
}

/// The walk over ends of variables.
struct Expansion<'a> {
    c: &'a [f64],
    /// Variables from the largest coefficient down.
    order: &'a [usize],
    own: Option<usize>,
    /// End that each expanded variable is at.
    up: [bool; MAX_VARIABLES],
    moments: &'a mut Moments,
}

impl Expansion<'_> {
    /// Adds what belongs to the current ends of the first `done` variables in order; `value` is `z` there with the rest at
    /// 0, `weight` the signed product of the inverse coefficients.
    fn expand(&mut self, done: usize, value: f64, weight: f64) {
        let (order, c) = (self.order, self.c);
        let rest = &order[done..];
        let low = value + rest.iter().map(|&j| c[j].min(0.0)).sum::<f64>();
        let high = value + rest.iter().map(|&j| c[j].max(0.0)).sum::<f64>();
        if high <= 0.0 {
            return;
        }
        let (false, Some(&next)) = (low >= 0.0, rest.first()) else {
            return self.add(done, low, weight);
        };
        let weight = weight / c[next];
        self.up[next] = true;
        self.expand(done + 1, value + c[next], weight);
        self.up[next] = false;
        self.expand(done + 1, value, -weight);
    }

    /// Adds a part of the cube where `z >= 0`: differences over the expanded variables, a polynomial in the rest, whose
    /// smallest value is `low`.
    fn add(&mut self, done: usize, low: f64, weight: f64) {
        let (order, c, own) = (self.order, self.c, self.own);
        let (ends, rest) = order.split_at(done);
        let scale: [f64; 3] = core::array::from_fn(|t| weight * INVERSE_FACTORIAL[done + t]);
        let polynomial = |weighted: &[usize]| Polynomial::new(low, rest, c, weighted, done + 2);
        let plain = polynomial(&[]);
        let [z0, z1, z2]: [f64; 3] = core::array::from_fn(|t| plain.power(done + t) * scale[t]);
        self.moments.relu += z1;
        self.moments.square += 2.0 * z2;
        let up = self.up.map(|up| if up { 1.0 } else { 0.0 });
        let own_is_end = own.is_some_and(|own| ends.contains(&own));
        if let Some(own) = own.filter(|_| own_is_end) {
            self.moments.own += up[own] * z0 - z1 / c[own];
        }
        for &j in ends {
            self.moments.first[j] += up[j] * z1 - z2 / c[j];
            let Some(own) = own.filter(|_| own_is_end) else {
                continue;
            };
            let by_both = if own == j { 2.0 * z2 } else { z2 } / (c[own] * c[j]);
            self.moments.own_first[j] += up[own] * up[j] * z0 - (up[own] / c[j] + up[j] / c[own]) * z1 + by_both;
        }
        for &j in rest {
            let first = polynomial(&[j]);
            self.moments.first[j] += first.power(done + 1) * scale[1];
            let Some(own) = own else {
                continue;
            };
            let (u0, u1) = (first.power(done) * scale[0], first.power(done + 1) * scale[1]);
            if own_is_end {
                self.moments.own_first[j] += up[own] * u0 - u1 / c[own];
                continue;
            }
            if own == j {
                self.moments.own += u0;
            }
            self.moments.own_first[j] += polynomial(&[own, j]).power(done) * scale[0];
        }
        if let Some(own) = own.filter(|_| !own_is_end) {
            let first = polynomial(&[own]);
            let (u0, u1) = (first.power(done) * scale[0], first.power(done + 1) * scale[1]);
            for &j in ends {
                self.moments.own_first[j] += up[j] * u0 - u1 / c[j];
            }
        }
    }
}

/// `E[Π_{j in weighted} u_j  z^p]` for `p` up to the highest, for `z = low + Σ |c_j| u'_j >= 0`, `u'_j = u_j` or `1 - u_j` by the sign of `c_j`, so
/// that all terms of a plain power are positive.
struct Polynomial {
    powers: [f64; POWERS],
}

impl Polynomial {
    fn new(low: f64, rest: &[usize], c: &[f64], weighted: &[usize], highest: usize) -> Self {
        let mut powers = [0.0; POWERS];
        let mut power = 1.0;
        for slot in &mut powers[..=highest] {
            *slot = power;
            power *= low;
        }
        for &j in rest {
            let count = weighted.iter().filter(|&&w| w == j).count();
            // moments of u' under the weight: E[u'^i], E[u' u'^i] or E[u'² u'^i], and their complements for 1 - u'
            let moment = |i: f64| match (count, c[j] < 0.0) {
                (0, _) => 1.0 / (i + 1.0),
                (1, false) => 1.0 / (i + 2.0),
                (1, true) => 1.0 / ((i + 1.0) * (i + 2.0)),
                (_, false) => 1.0 / (i + 3.0),
                (_, true) => 2.0 / ((i + 1.0) * (i + 2.0) * (i + 3.0)),
            };
            convolve(&mut powers[..=highest], c[j].abs(), moment);
        }
        Self { powers }
    }

    fn power(&self, p: usize) -> f64 {
        self.powers[p]
    }
}

/// Turns `E[z^p]` into `E[w(u) (z + c u)^p] = Σ_i binom(p, i) E[z^(p-i)] c^i E[w u^i]`.
fn convolve(powers: &mut [f64], c: f64, moment: impl Fn(f64) -> f64) {
    for p in (0..powers.len()).rev() {
        let (mut sum, mut binomial, mut scale) = (0.0, 1.0, 1.0);
        for i in 0..=p {
            sum += binomial * powers[p - i] * scale * moment(i as f64);
            binomial *= (p - i) as f64 / (i + 1) as f64;
            scale *= c;
        }
        powers[p] = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::math::quadrature::Rule;
    use crate::math::random::{Stream, uniform};
    use alloc::vec;
    use alloc::vec::Vec;

    /// The slow twin: variables one after another, each cut at the kinks of all vertices of the rest and integrated by
    /// Gauss nodes that are exact for polynomials of degree 9.
    fn naive(beta: f64, c: &[f64], f: &dyn Fn(f64, &[f64]) -> f64, u: &mut Vec<f64>) -> f64 {
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
        let nodes = Rule::GaussLegendre.nodes::<f64>(5).unwrap();
        let mut total = 0.0;
        for pair in cuts.windows(2) {
            for (x, w) in nodes.points.iter().zip(&nodes.weights) {
                u.push(pair[0] + (pair[1] - pair[0]) * x);
                total += (pair[1] - pair[0]) * w * naive(beta + first * u[u.len() - 1], rest, f, u);
                u.pop();
            }
        }
        total
    }

    fn random_form(stream: &mut Stream, round: usize) -> (f64, Vec<f64>) {
        let k = if round % 40 == 39 { 4 } else { 1 + round % 3 };
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
            let own = round / 7 % c.len();
            found.compute(beta, &c, Some(own));
            let expect = |f: &dyn Fn(f64, &[f64]) -> f64| naive(beta, &c, f, &mut Vec::new());
            let close = |what: &str, got: f64, expected: f64, scale: f64| {
                assert!((got - expected).abs() <= 3e-13 * scale, "{what} {beta} {c:?}: {got} {expected}");
            };
            let positive = |z: f64| f64::from(u8::from(z > 0.0));
            close("relu", found.relu, expect(&|z, _| z.max(0.0)), size);
            close("square", found.square, expect(&|z, _| z.max(0.0) * z.max(0.0)), size * size);
            close("own", found.own, expect(&|z, u| u[own] * positive(z)), 1.0);
            for j in 0..c.len() {
                close("first", found.first[j], expect(&|z, u| u[j] * z.max(0.0)), size);
                close("own first", found.own_first[j], expect(&|z, u| u[own] * u[j] * positive(z)), 1.0);
            }
        }
    }

    /// Kinks inside the range of tiny variables, and many tiny variables beside a large one.
    #[test]
    fn tiny_variables_keep_their_digits() {
        let mut found = Moments::zero();
        // z > 0 where u_1 > 3e-7 - 5e-7 u_2: E[u_2 1] = 1/2 - ∫ u (3e-7 - 5e-7 u)+ du
        found.compute(-3e-7, &[1.0, 5e-7], Some(1));
        assert!((found.own - (0.5 - 5e-7 * 0.6_f64.powi(3) / 6.0)).abs() < 1e-16);
        let c = [1.0, 2e-6, -2.3e-6, 1.7e-6, 1.9e-6, -2.1e-6];
        // to first order in the tiny ones: z = u_1 - 0.4 + mean shift, and u_i u_j 1 factorises
        let (shift, threshold) = (0.5 * (c[1] + c[2] + c[3] + c[4] + c[5]), 0.4);
        found.compute(-0.4, &c, Some(1));
        let positive = 1.0 - threshold + shift;
        assert!((found.relu - 0.5 * positive * positive).abs() < 1e-11);
        assert!((found.own_first[2] - 0.25 * positive).abs() < 1e-6);
        assert!((found.own - 0.5 * positive).abs() < 1e-6 && (found.own_first[1] - positive / 3.0).abs() < 1e-6);
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
