//! Parts of the example of a language model: the simulator, requests and answers as lines of JSON, a stand-in, the command line.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod options;
pub mod simulator;
pub mod stand_in;
pub mod wire;

use std::fmt::Write;

use limpid::explanation::ActivationRecord;
use limpid::explanation::simulate::{Asking, Example, Simulation};

/// Result with whatever a part of it failed with.
pub type Outcome<V> = Result<V, Box<dyn std::error::Error>>;

/// One solved example, so that a model sees the form of an answer.
pub fn example() -> Asking {
    let tokens = [" it", " rains", " in", " London", " and", " Paris"].map(str::to_owned).to_vec();
    let explanation = "names of cities".to_owned();
    let example = Example { explanation, tokens, digits: vec![0, 0, 0, 9, 0, 10], shown_from: 2 };
    Asking { examples: vec![example], ..Asking::default() }
}

/// Prints for a reader: where requests leave on the standard output, on the standard error stream.
macro_rules! say {
    ($options:expr, $($text:tt)*) => { $options.say(format_args!($($text)*)) };
}
pub(crate) use say;

/// A text, token by token.
pub fn table(record: &ActivationRecord<f64>, simulation: &Simulation<f64>) -> String {
    let mut out = String::from("\n  token            true  expected  digit mass  status\n");
    for (i, (token, truth)) in record.tokens.iter().zip(&record.activations).enumerate() {
        let expected = simulation.expected[i].map_or_else(|| "-".to_owned(), |x| format!("{x:.2}"));
        let mass = simulation.digit_mass.as_ref().map_or_else(|| "-".to_owned(), |mass| format!("{:.3}", mass[i]));
        let _ = writeln!(out, "  {token:<14} {truth:>6.2} {expected:>9} {mass:>11}  {:?}", simulation.status[i]);
    }
    out
}
