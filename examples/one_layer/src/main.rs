//! Command line of `limpid-one-layer`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use limpid_one_layer::stages::{self, Settings};
use limpid_one_layer::{Error, Result};

const HELP: &str = "\
limpid-one-layer all TEXT_FILE        every stage below, one after the other
limpid-one-layer train TEXT_FILE      a one-layer transformer on the characters of any UTF-8 text
limpid-one-layer dictionary TEXT_FILE a dictionary of features of its neurons, by the recipe of 2023
limpid-one-layer compare TEXT_FILE    features against neurons: known contexts, ablation, explanation scores
limpid-one-layer browse TEXT_FILE     a page on which features are looked through, with their effects on logits
limpid-one-layer attribute PROMPT     what each generated character owes to each one before: a table
limpid-one-layer report               the figures, and a table beside published values
limpid-one-layer --quick              all stages, small, on a made-up text with planted contexts; checks what was planted

A stage reads what earlier ones left in the folder of --out, with the same TEXT_FILE; the last tenth of a text is held out.

  --out DIR             folder of all results [target/limpid/one_layer]
  --seed N              seed of weights and samples [0]
  --width N --heads N --neurons N --context N
                        sizes of the transformer [128, 4, 512, 128]
  --steps N             its training steps [1600]
  --batch N             windows of a step [16]
  --learning-rate X     its largest learning rate [0.003]
  --features N          size of the dictionary [4096]
  --dictionary-steps N  its training steps [2000]
  --rows N              activations of a step [512]
  --l1 X                weight of its sparsity: more makes fewer features active [0.006]
  --units N             features, and as many neurons, that are explained and scored [200]
  --windows N           windows that features are looked for in, that explanations come from and are scored on [400]
  --generate N          characters that are generated after PROMPT [24]
  --help                this text

CANDLE_NUM_THREADS and RAYON_NUM_THREADS set numbers of threads; CANDLE_NUM_THREADS=1 is faster on a machine with other work, and
what `cargo run` takes in the folder of this package.
Exit code: 0 done, 1 a check of --quick is missed, 2 an error.
";

struct Options {
    settings: Settings,
    words: Vec<String>,
    quick: bool,
    help: bool,
}

/// Sets the option `name`; whether there is such a one.
fn set(settings: &mut Settings, name: &str, parser: &mut lexopt::Parser) -> std::result::Result<bool, lexopt::Error> {
    let Settings { training, dictionary, .. } = settings;
    let number = match name {
        "steps" => &mut training.steps,
        "batch" => &mut training.batch,
        "width" => &mut training.width,
        "heads" => &mut training.heads,
        "neurons" => &mut training.neurons,
        "context" => &mut training.context,
        "features" => &mut dictionary.features,
        "dictionary-steps" => &mut dictionary.steps,
        "rows" => &mut dictionary.batch,
        "units" => &mut settings.compare.units,
        "windows" => &mut settings.compare.windows,
        "generate" => &mut settings.generate,
        "learning-rate" => {
            training.learning_rate = parser.value()?.parse()?;
            return Ok(true);
        }
        "l1" => {
            dictionary.l1 = parser.value()?.parse()?;
            return Ok(true);
        }
        _ => return Ok(false),
    };
    *number = parser.value()?.parse()?;
    Ok(true)
}

fn read() -> std::result::Result<Options, lexopt::Error> {
    let mut options = Options { settings: Settings::default(), words: Vec::new(), quick: false, help: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => options.help = true,
            Long("quick") => options.quick = true,
            Long("out") => options.settings.out = PathBuf::from(parser.value()?),
            Long("seed") => options.settings.seed(parser.value()?.parse()?),
            Long(name) => {
                let name = name.to_owned();
                if !set(&mut options.settings, &name, &mut parser)? {
                    return Err(format!("invalid option '--{name}'").into());
                }
            }
            Value(word) => options.words.push(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn run() -> Result<ExitCode> {
    let options = read().map_err(|error| Error(format!("{error} (--help tells all)")))?;
    if options.help {
        // a reader that has gone away is no reason to fail
        let _ = std::io::stdout().write_all(HELP.as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    match (options.quick, &words[..]) {
        (true, []) => stages::quick(&options.settings),
        (false, [stage, rest @ ..]) => stages::run(stage, rest, &options.settings),
        (true, _) => Err(Error("--quick makes its text itself (--help tells all)".to_owned())),
        (false, []) => Err(Error("no stage (--help tells all)".to_owned())),
    }
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("limpid-one-layer: {error}");
        ExitCode::from(2)
    })
}
