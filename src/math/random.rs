//! Counter-based random streams: a stream is a function of (seed, purpose, item) and of nothing else.
//!
//! Each stream is the ChaCha8 key stream under a key made of seed and purpose, with the item as stream number. Two items
//! never share a number, and any item can be made without making the others, so results depend neither on batch size
//! nor on thread count nor on platform.
//!
//! Source: D. J. Bernstein, "ChaCha, a variant of Salsa20" (2008), with 8 rounds.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The number that a whole run's randomness follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seed(pub u64);

impl Seed {
    /// Stream of random numbers for one `item` of one `purpose`.
    ///
    /// A purpose is any fixed number that a piece of code calls its own; streams of different purposes are independent.
    #[must_use]
    pub fn stream(self, purpose: u64, item: u64) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&purpose.to_le_bytes());
        key[16..].copy_from_slice(b"limpid streams 1");
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(item);
        stream
    }

    /// A seed of its own for part `item` of a run, such as one model instance.
    #[must_use]
    pub fn child(self, purpose: u64, item: u64) -> Self {
        use rand::Rng;
        Self(self.stream(purpose, item).next_u64())
    }
}
