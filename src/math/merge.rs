//! Accumulators over a corpus that is worked through in shards: merge in any order, detect a shard that comes twice, keep
//! the state as bytes.
//!
//! ```text
//! total = a_1 ⊕ a_2 ⊕ ... in the order of the shard numbers
//! ```
//!
//! Each shard keeps its own accumulator until the total is asked for. Floating-point merging is not associative; in this
//! form the total is still the same to the bit, whichever way and order the shards were brought together.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::{Error, Result};

/// A state that can take up another one of its kind.
pub trait Merge {
    /// Adds what `other` has seen.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Unsupported`] where the two do not belong together; `self` is then unchanged.
    fn merge(&mut self, other: &Self) -> Result<()>;
}

/// A state that can be written as bytes and read back: little-endian, the same on every machine.
pub trait Bytes: Sized {
    /// Appends the bytes to `out`.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads what [`Bytes::write`] wrote from the front of `input`, and moves `input` past it.
    ///
    /// # Errors
    /// [`Error::Parse`] with the offset of the first bad byte. No more is allocated than `input` is long.
    fn read(input: &mut Reader<'_>) -> Result<Self>;

    /// All bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The state that `bytes` hold, and nothing else.
    ///
    /// # Errors
    /// As [`Bytes::read`]; also where bytes are left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        let state = Self::read(&mut input)?;
        if input.left() > 0 { Err(input.error("the end")) } else { Ok(state) }
    }
}

/// Bytes that are being read.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// All of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes that were not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// The error that `what` was expected here.
    #[must_use]
    pub fn error(&self, what: &'static str) -> Error {
        Error::Parse { what, offset: self.offset }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Error::Parse`] where fewer are left.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8]> {
        if count > self.left() {
            return Err(self.error(what));
        }
        let taken = &self.bytes[self.offset..self.offset + count];
        self.offset += count;
        Ok(taken)
    }

    /// The next eight bytes as a number.
    ///
    /// # Errors
    /// [`Error::Parse`] where fewer are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64> {
        let error = self.error(what);
        self.take(8, what)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).ok_or(error)
    }

    /// The next eight bytes as a float.
    ///
    /// # Errors
    /// [`Error::Parse`] where fewer are left.
    pub fn f64(&mut self, what: &'static str) -> Result<f64> {
        Ok(f64::from_bits(self.u64(what)?))
    }

    /// A number of things of which each takes at least `size` bytes of what is left.
    ///
    /// # Errors
    /// [`Error::Parse`] where so many do not fit.
    pub fn count(&mut self, size: usize, what: &'static str) -> Result<usize> {
        let error = self.error(what);
        let count = self.u64(what)?;
        usize::try_from(count).ok().filter(|&count| count <= self.left() / size.max(1)).ok_or(error)
    }
}

/// The accumulators of the shards that were seen, by shard number.
#[derive(Debug, Clone, PartialEq)]
pub struct Shards<A> {
    parts: BTreeMap<u64, A>,
}

impl<A> Default for Shards<A> {
    fn default() -> Self {
        Self { parts: BTreeMap::new() }
    }
}

impl<A: Merge + Clone> Shards<A> {
    /// Adds the accumulator of one shard.
    ///
    /// # Errors
    /// [`Error::DuplicateShard`] where the shard was seen before; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::Error;
    /// use limpid::math::merge::Shards;
    /// use limpid::math::stats::Moments;
    /// use ndarray::array;
    ///
    /// let shard = |x: f64| -> limpid::Result<Moments> {
    ///     let mut moments = Moments::new(1)?;
    ///     moments.update(&array![[x]])?;
    ///     Ok(moments)
    /// };
    /// let mut seen = Shards::default();
    /// seen.insert(7, shard(1.0)?)?;
    /// seen.insert(3, shard(2.0)?)?;
    /// assert_eq!(seen.total()?.unwrap().mean().unwrap(), array![1.5]);
    /// assert_eq!(seen.insert(7, shard(1.0)?), Err(Error::DuplicateShard { shard: 7 }));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn insert(&mut self, shard: u64, part: A) -> Result<()> {
        if self.parts.contains_key(&shard) {
            return Err(Error::DuplicateShard { shard });
        }
        self.parts.insert(shard, part);
        Ok(())
    }

    /// Adds all shards of `other`.
    ///
    /// # Errors
    /// [`Error::DuplicateShard`] where both hold a shard; nothing is changed then.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        if let Some(&shard) = other.parts.keys().find(|shard| self.parts.contains_key(shard)) {
            return Err(Error::DuplicateShard { shard });
        }
        self.parts.extend(other.parts);
        Ok(())
    }

    /// Number of shards.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether no shard was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All shards merged in the order of their numbers; `None` without shards.
    ///
    /// # Errors
    /// Those of [`Merge::merge`].
    pub fn total(&self) -> Result<Option<A>> {
        let mut parts = self.parts.values();
        let Some(mut total) = parts.next().cloned() else { return Ok(None) };
        parts.try_for_each(|part| total.merge(part))?;
        Ok(Some(total))
    }
}

impl<A: Bytes> Bytes for Shards<A> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.parts.len() as u64).to_le_bytes());
        for (shard, part) in &self.parts {
            out.extend(shard.to_le_bytes());
            part.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let mut parts = BTreeMap::new();
        for _ in 0..input.count(8, "a number of shards")? {
            let error = input.error("ascending shard numbers");
            let shard = input.u64("a shard number")?;
            if parts.last_key_value().is_some_and(|(&last, _)| last >= shard) {
                return Err(error);
            }
            parts.insert(shard, A::read(input)?);
        }
        Ok(Self { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::stats::Moments;
    use ndarray::Array2;

    fn shard(number: u64) -> Moments {
        let mut moments = Moments::new(2).unwrap();
        moments
            .update(&Array2::from_shape_fn((5, 2), |(i, j)| 0.1 * number as f64 + 0.3 * (i * (j + 1)) as f64))
            .unwrap();
        moments
    }

    #[test]
    fn any_order_gives_the_same_bits() {
        let mut one_by_one = Shards::default();
        (0..6).for_each(|number| one_by_one.insert(number, shard(number)).unwrap());
        let (mut left, mut right) = (Shards::default(), Shards::default());
        [5, 2, 0].into_iter().for_each(|number| right.insert(number, shard(number)).unwrap());
        [4, 1, 3].into_iter().for_each(|number| left.insert(number, shard(number)).unwrap());
        right.merge(left).unwrap();
        assert_eq!(right.total().unwrap().unwrap().to_bytes(), one_by_one.total().unwrap().unwrap().to_bytes());
    }

    #[test]
    fn a_shard_that_comes_twice_changes_nothing() {
        let mut seen = Shards::default();
        seen.insert(1, shard(1)).unwrap();
        let mut other = seen.clone();
        other.insert(2, shard(2)).unwrap();
        assert_eq!(seen.merge(other), Err(Error::DuplicateShard { shard: 1 }));
        assert_eq!(seen.len(), 1);
        assert!(Shards::<Moments>::default().total().unwrap().is_none());
    }

    #[test]
    fn bytes_come_back_and_bad_ones_are_refused() {
        let mut seen = Shards::default();
        [9, 4].into_iter().for_each(|number| seen.insert(number, shard(number)).unwrap());
        let bytes = seen.to_bytes();
        assert_eq!(Shards::from_bytes(&bytes).unwrap(), seen);
        for end in 0..bytes.len() {
            assert!(matches!(Shards::<Moments>::from_bytes(&bytes[..end]), Err(Error::Parse { .. })), "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Shards::<Moments>::from_bytes(&longer), Err(Error::Parse { what: "the end", offset: bytes.len() }));
        assert!(Shards::<Moments>::from_bytes(&u64::MAX.to_le_bytes()).is_err());
    }
}
