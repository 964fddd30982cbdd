//! Pieces of the way from a baseline to an input.

use alloc::rc::Rc;

use crate::Scalar;

/// What is known at one point of the way.
#[derive(Debug, Clone)]
pub(super) struct Sample<T> {
    pub(super) at: f64,
    pub(super) value: f64,
    /// The derivative of the value along the whole way.
    pub(super) slope: f64,
    pub(super) gradient: Rc<[T]>,
    pub(super) sketch: Sketch,
}

/// Sums of `way · gradient` with changing signs: two gradients that differ differ here, without a copy of either.
pub(super) type Sketch = [f64; 4];

/// The sketch of a gradient.
pub(super) fn sketch<T: Scalar>(way: &[T], gradient: &[T]) -> Sketch {
    let mut sums = [0.0; 4];
    for (i, (way, g)) in way.iter().zip(gradient).enumerate() {
        let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let term = way.as_f64() * g.as_f64();
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += if mixed >> (60 + k) & 1 == 1 { term } else { -term };
        }
    }
    sums
}

/// `Σ |way| |a - b|` judged by sketches: rather too much than too little, for a difference spread over all `n` features.
pub(super) fn sketched_jump(a: &Sketch, b: &Sketch, n: usize) -> f64 {
    libm::sqrt(n as f64) * a.iter().zip(b).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()))
}

/// A piece of which only the values at its ends are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) values: [f64; 2],
    pub(super) sketches: [Sketch; 2],
    /// What it is expected to be wrong by.
    pub(super) error: f64,
}

impl Interval {
    pub(super) fn width(&self) -> f64 {
        self.to - self.from
    }

    /// How much the value grows.
    pub(super) fn rise(&self) -> f64 {
        self.values[1] - self.values[0]
    }

    /// The point at a share of the width.
    pub(super) fn at(&self, share: f64) -> f64 {
        self.from + share * self.width()
    }
}

/// A piece between two points with gradients.
#[derive(Debug, Clone)]
pub(super) struct Gap<T> {
    pub(super) left: Sample<T>,
    pub(super) right: Sample<T>,
    /// Splits in a row that closed nothing.
    pub(super) tries: u8,
}

/// `Σ |way| |a - b|`: what a jump of the gradient is worth per unit of the way.
pub(super) fn jump<T: Scalar>(a: &[T], b: &[T], way: &[T]) -> f64 {
    a.iter().zip(b).zip(way).map(|((&a, &b), way)| (way.as_f64() * (a.as_f64() - b.as_f64())).abs()).sum()
}

impl<T: Scalar> Gap<T> {
    /// Between two neighbours.
    pub(super) fn between(pair: &[Sample<T>]) -> Self {
        Self { left: pair[0].clone(), right: pair[1].clone(), tries: 0 }
    }

    pub(super) fn width(&self) -> f64 {
        self.right.at - self.left.at
    }

    fn rise(&self) -> f64 {
        self.right.value - self.left.value
    }

    /// Whether the gradient is the same at both ends, up to rounding.
    pub(super) fn is_linear(&self, way: &[T]) -> bool {
        let size = |gradient: &[T]| way.iter().zip(gradient).map(|(w, g)| (w.as_f64() * g.as_f64()).abs()).sum::<f64>();
        let rounding = 4096.0 * T::epsilon().as_f64();
        jump(&self.left.gradient, &self.right.gradient, way)
            <= rounding * (size(&self.left.gradient) + size(&self.right.gradient))
    }

    /// Distance from the left end to where the tangents of both ends meet; `None` where that is not inside.
    ///
    /// A continuous function with one kink and straight pieces beside it has its kink exactly there.
    pub(super) fn kink(&self) -> Option<f64> {
        let turn = self.left.slope - self.right.slope;
        let distance = (self.rise() - self.right.slope * self.width()) / turn;
        let slack = 1e-6 * self.width();
        (distance >= -slack && distance <= self.width() + slack).then(|| distance.clamp(0.0, self.width()))
    }

    /// The error of taking the gradient for evenly changing, which is nothing where it is the same at both ends and the value
    /// rises as it says.
    pub(super) fn error(&self, way: &[T]) -> f64 {
        let (width, jump) = (self.width(), jump(&self.left.gradient, &self.right.gradient, way));
        0.5 * width * jump + (self.rise() - 0.5 * width * (self.left.slope + self.right.slope)).abs()
    }

    /// Where to look next: closely on both sides of the kink if there is one, otherwise in even parts.
    ///
    /// One point right at the kink would not do: what the gradient is just before it has to be seen. The two points are so
    /// close that the error of the sliver between them is about `sliver`.
    pub(super) fn split(&self, way: &[T], sliver: f64) -> [f64; 2] {
        let (width, jump) = (self.width(), jump(&self.left.gradient, &self.right.gradient, way));
        let apart =
            (sliver / jump).clamp(64.0 * T::epsilon().as_f64(), 0.125 * width.max(512.0 * T::epsilon().as_f64()));
        let inside = |distance: &f64| *distance > apart && *distance < width - apart;
        match self.kink().filter(inside) {
            Some(distance) => [self.left.at + distance - apart, self.left.at + distance + apart],
            None => [self.left.at + width / 3.0, self.right.at - width / 3.0],
        }
    }

    /// The parts between two points.
    pub(super) fn parts(&self, points: &[Sample<T>; 2]) -> [Self; 3] {
        let [first, second] = points;
        let part = |left: &Sample<T>, right: &Sample<T>| Self { left: left.clone(), right: right.clone(), tries: 0 };
        [part(&self.left, first), part(first, second), part(second, &self.right)]
    }

    /// The same without its gradients.
    pub(super) fn interval(&self, way: &[T]) -> Interval {
        Interval {
            from: self.left.at,
            to: self.right.at,
            values: [self.left.value, self.right.value],
            sketches: [self.left.sketch, self.right.sketch],
            error: self.error(way),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn sample(at: f64, value: f64, slope: f64) -> Sample<f64> {
        Sample { at, value, slope, gradient: Rc::from([slope].as_slice()), sketch: sketch(&[1.0], &[slope]) }
    }

    #[test]
    fn tangents_meet_at_the_kink() {
        // relu(4 α - 1): flat, then steep from a quarter on
        let gap = Gap::between(&[sample(0.0, 0.0, 0.0), sample(1.0, 3.0, 4.0)]);
        assert_eq!((gap.kink(), gap.split(&[1.0], 0.25)), (Some(0.25), [0.1875, 0.3125]));
        assert_eq!(gap.error(&[1.0]), 2.0 + 1.0);
        let parts = gap.parts(&[sample(0.1875, 0.0, 0.0), sample(0.3125, 0.25, 4.0)]);
        assert_eq!(parts.each_ref().map(|part| part.error(&[1.0])), [0.0, 0.25, 0.0]);
        assert_eq!(parts.each_ref().map(|part| part.is_linear(&[1.0])), [true, false, true]);
    }

    #[test]
    fn tangents_that_do_not_meet_inside_say_nothing() {
        // up and down again
        let gap = Gap::between(&[sample(0.0, 0.0, 1.0), sample(1.0, 1.5, 1.0)]);
        assert_eq!((gap.kink(), gap.split(&[1.0], 0.1)), (None, [1.0 / 3.0, 1.0 - 1.0 / 3.0]));
        assert_eq!(gap.error(&[1.0]), 0.5);
    }

    #[test]
    fn sketches_tell_gradients_apart() {
        let way = alloc::vec![1.0; 50];
        let mut gradient: Vec<f64> = (0..50).map(f64::from).collect();
        let before = sketch(&way, &gradient);
        assert_eq!(sketched_jump(&before, &sketch(&way, &gradient), 50), 0.0);
        // the slope along the way stays as it is
        gradient[3] += 1.0;
        gradient[4] -= 1.0;
        assert!(sketched_jump(&before, &sketch(&way, &gradient), 50) >= 2.0);
    }
}
