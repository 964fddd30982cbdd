//! Parts of the example of a language model: the simulator, requests and answers as lines of JSON, a stand-in, the command line.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod options;
pub mod simulator;
pub mod stand_in;
pub mod wire;

use limpid::explanation::simulate::{Asking, Example};

/// Result with whatever a part of it failed with.
pub type Outcome<V> = Result<V, Box<dyn std::error::Error>>;

/// One solved example, so that a model sees the form of an answer.
pub fn example() -> Asking {
    let tokens = [" it", " rains", " in", " London", " and", " Paris"].map(str::to_owned).to_vec();
    let explanation = "names of cities".to_owned();
    let example = Example { explanation, tokens, digits: vec![0, 0, 0, 9, 0, 10], shown_from: 2 };
    Asking { examples: vec![example], ..Asking::default() }
}
