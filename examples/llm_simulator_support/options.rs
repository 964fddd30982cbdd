//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;
use limpid::explanation::simulate::Form;

use super::Outcome;
use super::simulator::Way;

const HELP: &str = "\
llm_simulator [OPTIONS]: scores explanations of a neuron by a language model of yours

Writes each request as a line of JSON to the standard output, reads its answer from --answers, and tells what came of it on the
standard error stream. Without --answers nothing is answered: `llm_simulator > requests`, have the lines answered, and run again
with the answers; or let a process answer through a pipe made by mkfifo.

  --answers FILE   recorded answers, a line of JSON each; the forms stand in llm_simulator_support/wire.rs
  --way WAY        all_at_once (log-probabilities of the prompt), one_at_a_time (of one new token), lines, json or tuples
                   (written answers, without log-probabilities) [all_at_once]
  --texts N        texts that are simulated [12]
  --quick          answers of a stand-in that compares words and is no language model
  --help           this text

Exit code: 0 done, 1 a check of --quick is missed, 2 an error.";

/// What the command line asks for.
pub struct Options {
    pub answers: Option<PathBuf>,
    pub way: Way,
    pub texts: usize,
    pub quick: bool,
}

impl Options {
    /// Prints for a reader.
    pub fn say(&self, text: core::fmt::Arguments<'_>) {
        if self.quick { println!("{text}") } else { eprintln!("{text}") }
    }

    /// `None` where only help was asked for, which is printed.
    pub fn read() -> Outcome<Option<Self>> {
        let mut options = Self { answers: None, way: Way::AllAtOnce, texts: 12, quick: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("answers") => options.answers = Some(parser.value()?.into()),
                Long("texts") => options.texts = parser.value()?.parse()?,
                Long("quick") => options.quick = true,
                Long("way") => options.way = way(&parser.value()?.string()?)?,
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        if options.quick && matches!(options.way, Way::Written(Form::Json | Form::Tuples)) {
            return Err("--quick: the stand-in writes lines only".into());
        }
        if (1..=10_000).contains(&options.texts) {
            Ok(Some(options))
        } else {
            Err("--texts: not between 1 and 10000".into())
        }
    }
}

fn way(name: &str) -> Outcome<Way> {
    Ok(match name {
        "all_at_once" => Way::AllAtOnce,
        "one_at_a_time" => Way::OneAtATime,
        "lines" => Way::Written(Form::Lines),
        "json" => Way::Written(Form::Json),
        "tuples" => Way::Written(Form::Tuples),
        other => return Err(format!("--way {other}: no such way").into()),
    })
}
