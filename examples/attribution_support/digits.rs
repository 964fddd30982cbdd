//! Digits as a pocket calculator shows them: seven segments, moved about, of uneven brightness, in noise.

use limpid::Seed;
use limpid::math::random::{below, fill_normal, uniform};
use ndarray::{Array1, Array2, ArrayViewMut1};

/// Height and width of an image.
pub const SIDE: usize = 12;
pub const PIXELS: usize = SIDE * SIDE;
pub const CLASSES: usize = 10;

/// Rows and columns that the segments A to G cover in a box of 10 x 8.
const SEGMENTS: [([usize; 2], [usize; 2]); 7] = [
    ([0, 2], [0, 8]),
    ([0, 6], [6, 8]),
    ([4, 10], [6, 8]),
    ([8, 10], [0, 8]),
    ([4, 10], [0, 2]),
    ([0, 6], [0, 2]),
    ([4, 6], [0, 8]),
];

/// Segments of the digits, A the lowest bit.
const LIT: [u8; CLASSES] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];

/// Pairs of digits in which the first has one segment more than the second.
pub const PAIRS: [(usize, usize); 7] = [(8, 0), (8, 6), (8, 9), (6, 5), (9, 3), (9, 5), (7, 1)];

/// Images `(b, 144)` from 0 (black) to about 1, and where their boxes start.
pub struct Digits {
    pub pixels: Array2<f32>,
    pub corners: Vec<(usize, usize)>,
}

impl Digits {
    /// An image of each of `classes`, from the streams `first..` of `seed`.
    pub fn draw(classes: &[usize], seed: Seed, first: u64) -> Self {
        let mut pixels = Array2::zeros((classes.len(), PIXELS));
        let rows = pixels.rows_mut().into_iter().zip(classes);
        let corners = (first..).zip(rows).map(|(item, (row, &class))| draw(class, seed, item, row)).collect();
        Self { pixels, corners }
    }
}

fn draw(class: usize, seed: Seed, item: u64, mut row: ArrayViewMut1<'_, f32>) -> (usize, usize) {
    let stream = &mut seed.stream(0x6469_6769, item);
    let corner = (below(stream, 3), below(stream, 5));
    let mut noise = [0.0_f32; PIXELS];
    fill_normal(stream, 0.12, &mut noise);
    let brightness = 0.7 + 0.3 * uniform::<f32>(stream);
    for ((pixel, noise), lit) in row.iter_mut().zip(noise).zip(covered(LIT[class], corner)) {
        *pixel = if lit { (brightness + noise).max(0.0) } else { noise.max(0.0) };
    }
    corner
}

/// Which pixels the segments cover.
fn covered(segments: u8, (top, left): (usize, usize)) -> Array1<bool> {
    let inside = |index: usize| {
        let (y, x) = ((index / SIDE).wrapping_sub(top), (index % SIDE).wrapping_sub(left));
        let lit = |(segment, (rows, columns)): (usize, &([usize; 2], [usize; 2]))| {
            segments >> segment & 1 == 1 && (rows[0]..rows[1]).contains(&y) && (columns[0]..columns[1]).contains(&x)
        };
        SEGMENTS.iter().enumerate().any(lit)
    };
    (0..PIXELS).map(inside).collect()
}

/// The pixels of the segment by which digit `a` differs from digit `b`, in an image whose box starts at `corner`.
pub fn difference(a: usize, b: usize, corner: (usize, usize)) -> Array1<bool> {
    let (a, b) = (covered(LIT[a], corner), covered(LIT[b], corner));
    a.iter().zip(b).map(|(&a, b)| a && !b).collect()
}
