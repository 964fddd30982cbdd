//! Which documents explanations are made from, calibrated on, and scored on: drawn by line, so that it depends on nothing else.

use limpid::Seed;
use limpid::math::random::below;

/// Groups of scored documents, which the bootstrap resamples; their number keeps memory from growing with the text.
pub(crate) const GROUPS: usize = 40;

/// What this file draws random numbers for.
const PURPOSE: u64 = 0x7061_7274;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Six of ten: explanations are made from these.
    Train,
    /// One of ten: predictions are mapped to activations by these.
    Calibrate,
    /// Three of ten: scored, in one of so many groups.
    Score(usize),
}

impl Part {
    /// The part of a line of the text.
    pub(crate) fn of(line: u32, seed: Seed) -> Self {
        let mut stream = seed.stream(PURPOSE, u64::from(line));
        match below(&mut stream, 10) {
            0..6 => Self::Train,
            6 => Self::Calibrate,
            _ => Self::Score(below(&mut stream, GROUPS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_their_shares_and_follow_from_the_seed() {
        let parts: Vec<Part> = (0..10_000).map(|line| Part::of(line, Seed(1))).collect();
        let share = |wanted: fn(&Part) -> bool| parts.iter().filter(|part| wanted(part)).count() as f64 / 1e4;
        assert!((share(|part| *part == Part::Train) - 0.6).abs() < 0.02);
        assert!((share(|part| *part == Part::Calibrate) - 0.1).abs() < 0.01);
        assert!((0..GROUPS).all(|group| parts.contains(&Part::Score(group))));
        assert_eq!(parts[7], Part::of(7, Seed(1)));
        assert!((0..100).any(|line| Part::of(line, Seed(2)) != parts[line as usize]));
    }
}
