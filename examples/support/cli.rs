//! Command line of the figure examples.

use std::path::PathBuf;
use std::process::exit;

use lexopt::prelude::*;

/// What the command line asks for.
pub struct Options {
    pub quick: bool,
    pub seed: u64,
    pub restarts: usize,
    pub steps: usize,
    pub out: PathBuf,
    /// Whether training is to run on a graphics adapter.
    pub gpu: bool,
}

/// Examples that can train on a graphics adapter.
const ON_DEVICE: [&str; 1] = ["superposition"];

impl Options {
    /// Reads the command line of example `name`; `about` is shown by `--help`. A bad line ends the program with code 2.
    pub fn read(name: &str, about: &str, restarts: usize, steps: usize) -> Self {
        let out = PathBuf::from("target/limpid").join(name);
        let mut options = Self { quick: false, seed: 0, restarts, steps, out, gpu: false };
        match options.parse(name) {
            Ok(false) => options,
            Ok(true) => {
                println!("{name}: {about}\n\n{}", options.help(name));
                exit(0);
            }
            Err(error) => {
                eprintln!("{name}: {error} (--help shows the options)");
                exit(2);
            }
        }
    }

    fn parse(&mut self, name: &str) -> Result<bool, lexopt::Error> {
        let (mut parser, mut own_steps) = (lexopt::Parser::from_env(), false);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(true),
                Long("quick") => self.quick = true,
                Long("seed") => self.seed = parser.value()?.parse()?,
                Long("restarts") => self.restarts = parser.value()?.parse()?,
                Long("steps") => (self.steps, own_steps) = (parser.value()?.parse()?, true),
                Long("gpu") if ON_DEVICE.contains(&name) => self.gpu = true,
                Long("out") => self.out = parser.value()?.into(),
                other => return Err(other.unexpected()),
            }
        }
        if self.steps == 0 || self.restarts == 0 {
            return Err("--steps and --restarts must be at least 1".into());
        }
        if self.quick && !own_steps {
            self.steps = self.steps.div_ceil(2);
        }
        Ok(false)
    }

    fn help(&self, name: &str) -> String {
        let gpu = if ON_DEVICE.contains(&name) {
            "--gpu          trains on a graphics adapter; minutes where that is one in software\n  "
        } else {
            ""
        };
        format!(
            "usage: cargo run --release --example {name} -- [OPTIONS]\n\n  \
             --quick        half of the steps, and less of what takes long: at most 20 s on two cores\n  \
             --seed N       seed of starts and samples [{}]\n  \
             --restarts N   random starts per model, of which the best is kept [{}]\n  \
             --steps N      training steps [{}]\n  \
             --out DIR      where figures, tables and index.html go [{}]\n  \
             {gpu}--help         this text\n\nExit code: 0 all checks hold, 1 one is missed, 2 an error.",
            self.seed,
            self.restarts,
            self.steps,
            self.out.display()
        )
    }
}
