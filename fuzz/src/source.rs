//! Turns the fuzzer's bytes into shapes and values, the nasty ones included.

use arbitrary::Unstructured;
use limpid::{Scalar, Seed};
use ndarray::{Array1, Array2};

/// Elements that one array holds at most, so that every call stays short.
const MAX_ELEMENTS: usize = 4096;

/// The fuzzer's bytes; when they run out everything becomes 0.
pub struct Source<'a>(pub Unstructured<'a>);

impl Source<'_> {
    pub fn byte(&mut self) -> u8 {
        self.0.arbitrary().unwrap_or(0)
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn seed(&mut self) -> Seed {
        Seed(self.0.arbitrary().unwrap_or(0))
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n.max(1)
    }

    /// One of `choices`.
    pub fn pick<V: Clone>(&mut self, choices: &[V]) -> V {
        choices[self.below(choices.len())].clone()
    }

    /// A length: empty, one, small, and now and then past a block of 256.
    pub fn length(&mut self) -> usize {
        match self.byte() {
            byte @ 0..=239 => usize::from(byte) % 9,
            byte => usize::from(byte) + 20,
        }
    }

    /// A count that the callee must judge: small, or so large that nothing may be allocated for it.
    pub fn count(&mut self) -> usize {
        match self.byte() {
            250 => usize::MAX,
            251 => usize::MAX - 1,
            252 => usize::MAX / 2 + 1,
            253 => 1 << 45,
            byte => usize::from(byte) % 40,
        }
    }

    /// `n`, or now and then another length.
    pub fn near(&mut self, n: usize) -> usize {
        if self.byte() == 255 { self.length() } else { n }
    }

    /// A number that is mostly ordinary.
    pub fn number<T: Scalar>(&mut self) -> T {
        match self.byte() {
            244 => T::nan(),
            245 => T::infinity(),
            246 => T::neg_infinity(),
            247 => T::max_value(),
            248 => T::min_positive_value(),
            249 => -T::zero(),
            250 => T::of(f64::from_bits(self.0.arbitrary().unwrap_or(0))),
            251 => T::of(1e300),
            252 => T::of(1e-30),
            byte => T::of((f64::from(byte) - 120.0) / 60.0),
        }
    }

    /// A number from 0 to 1, or now and then any number.
    pub fn share<T: Scalar>(&mut self) -> T {
        match self.byte() {
            250.. => self.number(),
            byte => T::of(f64::from(byte % 33) / 32.0),
        }
    }

    pub fn vector<T: Scalar>(&mut self, n: usize) -> Array1<T> {
        Array1::from_shape_simple_fn(self.near(n).min(MAX_ELEMENTS), || self.number())
    }

    pub fn shares<T: Scalar>(&mut self, n: usize) -> Array1<T> {
        let equal = self.flag().then(|| self.share());
        Array1::from_shape_simple_fn(self.near(n).min(MAX_ELEMENTS), || equal.unwrap_or_else(|| self.share()))
    }

    /// A matrix near `(rows, columns)`: random, or one value all over.
    pub fn matrix<T: Scalar>(&mut self, rows: usize, columns: usize) -> Array2<T> {
        // no rows of a width that cannot exist have a shape either
        let (rows, columns) = (self.near(rows), self.near(columns).min(MAX_ELEMENTS));
        let rows = rows.min(MAX_ELEMENTS / columns.max(1));
        if self.byte() % 16 == 1 {
            return Array2::from_elem((rows, columns), self.number());
        }
        let matrix = Array2::from_shape_simple_fn((rows, columns), || self.number());
        if self.flag() { matrix } else { transposed_storage(&matrix) }
    }
}

/// The same matrix in column-major order: layouts must not matter.
fn transposed_storage<T: Scalar>(matrix: &Array2<T>) -> Array2<T> {
    matrix.t().as_standard_layout().into_owned().reversed_axes()
}
