//! What a page keeps of each feature.

/// The choices that the command-line program leaves to its reader.
#[derive(Debug)]
pub struct Options {
    pub top: usize,
    pub samples: usize,
    pub neighbours: usize,
    pub context: usize,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { top: 8, samples: 15, neighbours: 8, context: 10, seed: 0 }
    }
}
