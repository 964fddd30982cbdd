//! The frame around the bytes of an accumulator: what it is, which version, how long, and a checksum at the end.
//!
//! ```text
//! "limpinfl" | version u64 | kind u64 | length of the body u64 | body | checksum u64 of all before
//! ```

use alloc::vec::Vec;

use crate::math::crc32::crc32;
use crate::math::merge::Reader;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"limpinfl";

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Covariance = 1,
    Eigenvalues = 2,
    TopK = 3,
    Basis = 4,
    Gram = 5,
    DocumentCounts = 16,
}

/// Writes a body in its frame.
pub(crate) fn write(kind: Kind, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend((kind as u64).to_le_bytes());
    let at = out.len();
    out.extend([0; 8]);
    body(out);
    let length = (out.len() - at - 8) as u64;
    out[at..at + 8].copy_from_slice(&length.to_le_bytes());
    let sum = u64::from(crc32(&out[start..]));
    out.extend(sum.to_le_bytes());
}

/// Checks the frame and reads the body, which must use all its bytes.
pub(crate) fn read<V>(
    kind: Kind,
    input: &mut Reader<'_>,
    body: impl FnOnce(&mut Reader<'_>) -> Result<V>,
) -> Result<V> {
    let mut ahead = input.clone();
    let check = |holds: bool, error: Error| if holds { Ok(()) } else { Err(error) };
    let error = ahead.error("statistics of the influence area");
    check(ahead.take(MAGIC.len(), "statistics of the influence area")? == MAGIC, error)?;
    let error = ahead.error("version 1; later versions need a later release");
    check(ahead.u64("a version")? == VERSION, error)?;
    let error = ahead.error("statistics of the kind that was asked for");
    check(ahead.u64("a kind")? == kind as u64, error)?;
    let length = ahead.count(1, "a length")?;
    ahead.take(length, "the body")?;
    let framed = input.left() - ahead.left();
    let error = ahead.error("the checksum of these bytes");
    let sum = ahead.u64("a checksum")?;
    let end = ahead.left();
    check(sum == u64::from(crc32(input.clone().take(framed, "the body")?)), error)?;
    input.take(MAGIC.len() + 24, "a header")?;
    let value = body(input)?;
    let error = input.error("the end of the body");
    check(input.left() == end + 8, error)?;
    input.take(8, "a checksum")?;
    Ok(value)
}

/// Writes numbers with their count.
pub(crate) fn write_numbers(numbers: &[f64], out: &mut Vec<u8>) {
    out.extend((numbers.len() as u64).to_le_bytes());
    numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
}

/// Reads `expected` finite numbers that [`write_numbers`] wrote.
pub(crate) fn read_numbers(input: &mut Reader<'_>, expected: Option<usize>) -> Result<Vec<f64>> {
    let error = input.error("as many numbers as the shape asks for");
    let count = input.count(8, "a number of entries")?;
    if Some(count) != expected {
        return Err(error);
    }
    (0..count)
        .map(|_| {
            let error = input.error("a finite number");
            input.f64("a number").and_then(|x| if x.is_finite() { Ok(x) } else { Err(error) })
        })
        .collect()
}

/// How much was seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Counts {
    /// Rows that were not masked.
    pub(crate) rows: u64,
    /// Sum of their weights.
    pub(crate) row_weight: f64,
    /// Examples.
    pub(crate) examples: u64,
    /// Sum of their weights.
    pub(crate) example_weight: f64,
}

impl Counts {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        let full = Error::Unsupported { what: "more than 2^64 rows or examples" };
        Ok(Self {
            rows: self.rows.checked_add(other.rows).ok_or(full)?,
            row_weight: self.row_weight + other.row_weight,
            examples: self.examples.checked_add(other.examples).ok_or(full)?,
            example_weight: self.example_weight + other.example_weight,
        })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.rows.to_le_bytes());
        out.extend(self.row_weight.to_le_bytes());
        out.extend(self.examples.to_le_bytes());
        out.extend(self.example_weight.to_le_bytes());
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("counts and weights that are not negative");
        let weight =
            |number: Result<f64>| number.and_then(|x| if x >= 0.0 && x.is_finite() { Ok(x) } else { Err(error) });
        Ok(Self {
            rows: input.u64("a number of rows")?,
            row_weight: weight(input.f64("a weight"))?,
            examples: input.u64("a number of examples")?,
            example_weight: weight(input.f64("a weight"))?,
        })
    }
}
