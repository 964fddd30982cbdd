//! Digits as a seven-segment display shows them, drawn askew on 12 x 12 pixels with noise: it is known which pixels matter.

use limpid::Seed;
use limpid::math::random::{below, fill_normal, uniform};
use ndarray::{Array1, Array2};

/// Pixels along each side.
pub const SIDE: usize = 12;

/// Pixels of an image.
pub const PIXELS: usize = SIDE * SIDE;

/// Segments that each digit lights: top, upper left, upper right, middle, lower left, lower right, bottom.
const SEGMENTS: [[bool; 7]; 10] = {
    const O: bool = false;
    const X: bool = true;
    [
        [X, X, X, O, X, X, X],
        [O, O, X, O, O, X, O],
        [X, O, X, X, X, O, X],
        [X, O, X, X, O, X, X],
        [O, X, X, X, O, X, O],
        [X, X, O, X, O, X, X],
        [X, X, O, X, X, X, X],
        [X, O, X, O, O, X, O],
        [X, X, X, X, X, X, X],
        [X, X, X, X, O, X, X],
    ]
};

/// First and last row and column of each segment, before the digit is moved.
const PLACES: [[usize; 4]; 7] =
    [[1, 1, 3, 8], [1, 5, 3, 3], [1, 5, 8, 8], [5, 5, 3, 8], [5, 9, 3, 3], [5, 9, 8, 8], [9, 9, 3, 8]];

/// The middle segment, which tells 8 from 0.
pub const MIDDLE: usize = 3;

/// An image, its digit, and how far it was moved.
pub struct Digit {
    pub pixels: Array1<f32>,
    pub digit: usize,
    pub moved: (usize, usize),
}

/// The digit with this number of a data set.
pub fn digit(seed: Seed, item: u64) -> Digit {
    let mut stream = seed.stream(0x6469_6769, item);
    let digit = below(&mut stream, 10);
    draw(digit, &mut stream)
}

/// One example of this digit.
pub fn example_of(digit: usize, seed: Seed) -> Digit {
    draw(digit, &mut seed.stream(0x6578_616d, digit as u64))
}

fn draw(digit: usize, stream: &mut limpid::math::random::Stream) -> Digit {
    let moved = (below(stream, 3), below(stream, 3));
    let mut pixels = Array1::zeros(PIXELS);
    fill_normal(stream, 0.08, pixels.as_slice_mut().unwrap_or_default());
    for (segment, _) in SEGMENTS[digit].iter().enumerate().filter(|(_, lit)| **lit) {
        let light = 0.7 + 0.3 * uniform::<f32>(stream);
        for pixel in segment_pixels(segment, moved) {
            pixels[pixel] = light;
        }
    }
    Digit { pixels, digit, moved }
}

/// The pixels of a segment of a digit that was moved.
pub fn segment_pixels(segment: usize, moved: (usize, usize)) -> impl Iterator<Item = usize> {
    let [top, bottom, left, right] = PLACES[segment];
    (top..=bottom).flat_map(move |row| (left..=right).map(move |column| (row + moved.0) * SIDE + column + moved.1 - 1))
}

/// Images `(b, pixels)` and labels of the items from `start` on.
pub fn batch(seed: Seed, start: u64, rows: usize) -> (Array2<f32>, Vec<usize>) {
    let (mut images, mut labels) = (Array2::zeros((rows, PIXELS)), Vec::with_capacity(rows));
    for (item, mut row) in (start..).zip(images.rows_mut()) {
        let digit = digit(seed, item);
        row.assign(&digit.pixels);
        labels.push(digit.digit);
    }
    (images, labels)
}
