//! Which second moments of projected gradients: what the gradients were projected on, and where they come from.
//!
//! Random directions are functions of their settings, which therefore name them. Directions that were found in data have a
//! digest: equal ones are told apart from others but for about one pair in 2³².

use alloc::vec;
use alloc::vec::Vec;

use ndarray::Array2;

use super::projection::{Entries, Projection};
use crate::error::{check_length, check_limit};
use crate::math::crc32::crc32;
use crate::math::merge::Reader;
use crate::{Error, Result, Seed};

/// Most dimensions of a layer: what inverts the matrix takes the third power of it.
const MAX_DIMENSIONS: usize = 1 << 14;

/// What gradients were projected on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ProjectionId {
    /// Whole gradients of all layers on random directions.
    Whole(Projection),
    /// Gradients of each layer from both sides on random directions.
    BothSides(Projection),
    /// Anything else: a digest of all that the features depend on, or a number of the caller's for features of its own.
    Digest(u64),
}

/// Which moments: only equal ones are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GramSpec {
    /// What the gradients were projected on.
    pub projection: ProjectionId,
    /// Number of the checkpoint or the training that the gradients come from.
    pub checkpoint: u64,
    /// Dimensions of the features of each layer; one number where all layers are projected together.
    pub dimensions: Vec<usize>,
}

impl GramSpec {
    /// Whole gradients of checkpoint 0, as [`Projection::gradients`] projects them.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramSpec, Projection};
    ///
    /// let third = GramSpec { checkpoint: 3, ..GramSpec::of_gradients(Projection::new(64, Seed(1))) };
    /// assert_eq!(third.dimensions, [64]);
    /// ```
    #[must_use]
    pub fn of_gradients(projection: Projection) -> Self {
        Self { projection: ProjectionId::Whole(projection), checkpoint: 0, dimensions: vec![projection.k] }
    }

    /// Features that nobody named: for sums that do not leave the function that makes them.
    pub(super) fn unnamed(dimensions: Vec<usize>) -> Self {
        Self { projection: ProjectionId::Digest(0), checkpoint: 0, dimensions }
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.dimensions.is_empty() {
            return Err(Error::Empty { what: "layers of the moments" });
        }
        self.dimensions.iter().try_for_each(|&k| check_limit("dimensions of a layer", k, MAX_DIMENSIONS))
    }

    /// Checks that features of `self` are projected as those of `other`, whatever checkpoint they come from.
    pub(super) fn check_projection(&self, other: &Self) -> Result<()> {
        if self.projection != other.projection {
            return Err(Error::Unsupported { what: "moments of another projection" });
        }
        check_length("layers of the moments", other.dimensions.len(), self.dimensions.len())?;
        let mut both = self.dimensions.iter().zip(&other.dimensions);
        both.try_for_each(|(&expected, &got)| check_length("dimensions of a layer", got, expected))
    }

    /// Checks that both are the same.
    pub(super) fn check_same(&self, other: &Self) -> Result<()> {
        self.check_projection(other)?;
        if self.checkpoint == other.checkpoint {
            return Ok(());
        }
        Err(Error::Unsupported { what: "moments of another checkpoint" })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let words = match self.projection {
            ProjectionId::Whole(projection) => [[0].as_slice(), &projection_words(projection)].concat(),
            ProjectionId::BothSides(projection) => [[1].as_slice(), &projection_words(projection)].concat(),
            ProjectionId::Digest(digest) => vec![2, digest],
        };
        let dimensions = self.dimensions.iter().map(|&k| k as u64);
        let all = words.into_iter().chain([self.checkpoint, self.dimensions.len() as u64]).chain(dimensions);
        all.for_each(|word| out.extend(word.to_le_bytes()));
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("which moments");
        let projection = match input.u64("a kind of projection")? {
            0 => ProjectionId::Whole(read_projection(input)?),
            1 => ProjectionId::BothSides(read_projection(input)?),
            2 => ProjectionId::Digest(input.u64("a digest")?),
            _ => return Err(error),
        };
        let checkpoint = input.u64("a checkpoint")?;
        let layers = input.count(8, "a number of layers")?;
        let dimensions = (0..layers).map(|_| read_size(input)).collect::<Result<_>>()?;
        let spec = Self { projection, checkpoint, dimensions };
        spec.check().map_err(|_| error)?;
        Ok(spec)
    }
}

/// A digest of words: a checksum of their high halves beside one of their low halves.
pub(super) fn digest(words: impl IntoIterator<Item = u64>) -> u64 {
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for word in words {
        let bytes = word.to_le_bytes();
        low.extend_from_slice(&bytes[..4]);
        high.extend_from_slice(&bytes[4..]);
    }
    u64::from(crc32(&high)) << 32 | u64::from(crc32(&low))
}

/// A matrix as words of a digest.
pub(super) fn matrix_words(matrix: &Array2<f64>) -> impl Iterator<Item = u64> {
    [matrix.nrows() as u64, matrix.ncols() as u64].into_iter().chain(matrix.iter().map(|x| x.to_bits()))
}

/// A projection as words, of a digest or of bytes.
pub(super) fn projection_words(projection: Projection) -> [u64; 3] {
    let entries = match projection.entries {
        Entries::Rademacher => 0,
        Entries::Normal => 1,
    };
    [projection.seed.0, entries, projection.k as u64]
}

fn read_projection(input: &mut Reader<'_>) -> Result<Projection> {
    let seed = Seed(input.u64("a seed")?);
    let error = input.error("how the entries are drawn");
    let entries = match input.u64("how the entries are drawn")? {
        0 => Entries::Rademacher,
        1 => Entries::Normal,
        _ => return Err(error),
    };
    Ok(Projection { seed, entries, k: read_size(input)? })
}

fn read_size(input: &mut Reader<'_>) -> Result<usize> {
    let error = input.error("a number of dimensions");
    input.u64("a number of dimensions").and_then(|k| usize::try_from(k).map_err(|_| error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn digests_tell_words_apart() {
        let words = [1.0_f64.to_bits(), 2.0_f64.to_bits()];
        assert_eq!(digest(words), digest(words));
        for bit in 0..64 {
            assert_ne!(digest(words), digest([words[0] ^ 1 << bit, words[1]]));
        }
        assert_ne!(digest(words), digest([words[1], words[0]]));
        let [row, column] = [array![[1.0, 2.0]], array![[1.0], [2.0]]];
        assert_ne!(digest(matrix_words(&row)), digest(matrix_words(&column)));
    }
}
