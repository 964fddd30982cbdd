//! Where batches come from: rows of any stream, shuffled in a buffer of fixed size.

use ndarray::{Array2, ArrayViewMut1};

use crate::error::check_each;
use crate::math::random::below;
use crate::{Dims, Error, Result, Scalar, Seed};

const PURPOSE: u64 = 0x5348_5546;

/// Scalars that a buffer may hold: 2^34, or an eighth of a smaller address space.
const LARGEST_BUFFER: usize = 1 << if usize::BITS > 34 { 34 } else { usize::BITS - 3 };

/// Shuffles the rows of a stream of matrices through a buffer, and cuts them into batches of one size.
///
/// Every row is handed out exactly once. A row is drawn at random from the buffer, and the next one of the stream takes its
/// place, so rows move by about the size of the buffer; a buffer of 1 row keeps the order. Memory is that of the buffer and
/// of one matrix of the stream. The order is a function of the seed and of the stream.
#[derive(Debug)]
pub struct Shuffled<T, I> {
    stream: I,
    width: usize,
    capacity: usize,
    buffer: Array2<T>,
    filled: usize,
    current: Array2<T>,
    next: usize,
    random: crate::math::random::Stream,
}

impl<T: Scalar, E: From<Error>, I: Iterator<Item = Result<Array2<T>, E>>> Shuffled<T, I> {
    /// Shuffles the rows of `stream`, matrices `(any, width)`, in a buffer of `capacity` rows.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no width or capacity, [`Error::TooLarge`] for an absurd buffer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::train::Shuffled;
    /// use ndarray::Array2;
    ///
    /// let stream = (0..10).map(|i| Ok::<_, limpid::Error>(Array2::from_elem((3, 2), i as f32)));
    /// let mut rows = Shuffled::new(stream, 2, 8, Seed(0))?;
    /// let batch = rows.next_batch(25)?.unwrap();
    /// assert_eq!(batch.dim(), (25, 2));
    /// // the five rows that are left
    /// assert_eq!(rows.next_batch(25)?.unwrap().nrows(), 5);
    /// assert!(rows.next_batch(25)?.is_none());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(stream: I, width: usize, capacity: usize, seed: Seed) -> Result<Self> {
        check_each("width and capacity", &[width as f64, capacity as f64], ">= 1", |x: f64| x >= 1.0)?;
        crate::error::check_limit("buffer", width.saturating_mul(capacity), LARGEST_BUFFER)?;
        Ok(Self {
            stream,
            width,
            capacity,
            buffer: Array2::zeros((0, width)),
            filled: 0,
            current: Array2::zeros((0, width)),
            next: 0,
            random: seed.stream(PURPOSE, 0),
        })
    }

    /// Up to `rows` rows; `None` when all were handed out.
    ///
    /// # Errors
    /// Those of the stream; [`Error::Shape`] for a matrix of another width.
    pub fn next_batch(&mut self, rows: usize) -> Result<Option<Array2<T>>, E> {
        self.fill()?;
        let mut batch = Array2::zeros((rows.min(self.remaining_at_least(rows)), self.width));
        let mut count = 0;
        while count < rows && self.filled > 0 {
            if count == batch.nrows() {
                let missing = Array2::zeros((rows - count, self.width));
                batch.append(ndarray::Axis(0), missing.view()).map_err(|_| Error::Empty { what: "batch" })?;
            }
            self.draw(batch.row_mut(count))?;
            count += 1;
        }
        let (whole, _) = batch.view().split_at(ndarray::Axis(0), count);
        Ok((count > 0).then(|| whole.to_owned()))
    }

    /// A guess of how many rows a batch can have, so that the end of a stream does not allocate a whole one.
    fn remaining_at_least(&self, rows: usize) -> usize {
        if self.filled < self.capacity { self.filled } else { rows }
    }

    /// Moves a random row of the buffer to `out`, and the next row of the stream to its place.
    fn draw(&mut self, mut out: ArrayViewMut1<'_, T>) -> Result<(), E> {
        let chosen = below(&mut self.random, self.filled);
        out.assign(&self.buffer.row(chosen));
        if self.advance()? {
            self.buffer.row_mut(chosen).assign(&self.current.row(self.next));
            self.next += 1;
        } else {
            self.filled -= 1;
            let last = self.buffer.row(self.filled).to_owned();
            self.buffer.row_mut(chosen).assign(&last);
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), E> {
        while self.filled < self.capacity && self.advance()? {
            if self.filled == self.buffer.nrows() {
                // grows with what comes, so that a short stream needs no large buffer
                let more = self.buffer.nrows().max(64).min(self.capacity - self.filled);
                let zeros = Array2::zeros((more, self.width));
                self.buffer.append(ndarray::Axis(0), zeros.view()).map_err(|_| Error::Empty { what: "buffer" })?;
            }
            self.buffer.row_mut(self.filled).assign(&self.current.row(self.next));
            self.filled += 1;
            self.next += 1;
        }
        Ok(())
    }

    /// Makes sure that `current` holds row `next`; false at the end of the stream.
    fn advance(&mut self) -> Result<bool, E> {
        while self.next >= self.current.nrows() {
            match self.stream.next() {
                None => return Ok(false),
                Some(matrix) => self.current = matrix?,
            }
            self.next = 0;
            if self.current.ncols() != self.width {
                let (expected, got) = (Dims::new(&[self.width]), Dims::new(&[self.current.ncols()]));
                return Err(Error::Shape { what: "width of the stream", expected, got }.into());
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn stream(matrices: usize) -> impl Iterator<Item = Result<Array2<f64>>> {
        (0..matrices).map(|i| Ok(Array2::from_shape_fn((i % 5, 1), |(row, _)| (100 * i + row) as f64)))
    }

    fn all(capacity: usize, batch: usize, seed: u64) -> Vec<f64> {
        let mut rows = Shuffled::new(stream(40), 1, capacity, Seed(seed)).unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = rows.next_batch(batch).unwrap() {
            seen.extend(batch);
        }
        seen
    }

    #[test]
    fn every_row_comes_once_in_an_order_of_the_seed() {
        let ordered = all(1, 7, 0);
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]));
        for capacity in [3, 20, 1000] {
            let shuffled = all(capacity, 7, 1);
            assert_eq!(shuffled, all(capacity, 16, 1), "the batch size does not matter");
            assert_ne!(shuffled, all(capacity, 7, 2));
            assert_ne!(shuffled, ordered);
            let mut sorted = shuffled;
            sorted.sort_by(f64::total_cmp);
            assert_eq!(sorted, ordered);
        }
    }

    #[test]
    fn errors_of_the_stream_come_through() {
        let broken = [Ok(Array2::<f32>::zeros((2, 3))), Err(Error::Empty { what: "file" })].into_iter();
        let mut rows = Shuffled::new(broken, 3, 100, Seed(0)).unwrap();
        assert_eq!(rows.next_batch(1).unwrap_err(), Error::Empty { what: "file" });
        let mut rows =
            Shuffled::new([Ok::<_, Error>(Array2::<f32>::zeros((2, 3)))].into_iter(), 2, 1, Seed(0)).unwrap();
        assert!(matches!(rows.next_batch(1), Err(Error::Shape { .. })));
    }
}
