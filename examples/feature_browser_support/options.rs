//! Command line of the feature browser.

use std::path::PathBuf;

use lexopt::prelude::*;

/// Longest context on either side: offsets inside of a context are single bytes on the page.
const MOST_CONTEXT: usize = 100;
/// Most contexts and neighbours of a feature, whose counts are single bytes on the page.
const MOST_LISTED: usize = 255;

const HELP: &str = "\
feature_browser SAE_FOLDER ACTIVATIONS.safetensors --vocabulary FILE [OPTIONS]: a page on the features of an autoencoder

The activations have a row per token and the columns `document` and `token`, as `limpid-minilm capture` writes them.

  --vocabulary FILE   vocab.txt (a token per line) or tokenizer.json
  --out FILE          the page [target/limpid/feature_browser/index.html]
  --tensor NAME       matrix of the file, where it has several
  --max-rows N        tokens to read, from the start [all]
  --top N             contexts with the largest activations [10]
  --samples N         contexts of firings drawn at random [20]
  --neighbours N      features with the nearest decoder directions [10]
  --context N         tokens on either side of a firing [12]
  --seed N            seed of the random choice [0]
  --quick             a made-up autoencoder instead of the files, and a check that the page shows what was planted in it
  --help              this text

Exit code: 0 done, 1 the page of --quick lacks something, 2 an error.";

/// What to read.
pub struct Inputs {
    pub sae: PathBuf,
    pub activations: PathBuf,
    pub vocabulary: PathBuf,
    pub tensor: Option<String>,
}

/// What to keep of it, and where to write it.
pub struct Options {
    pub out: PathBuf,
    pub max_rows: usize,
    pub top: usize,
    pub samples: usize,
    pub neighbours: usize,
    pub context: usize,
    pub seed: u64,
}

/// What the command line asks for.
pub enum Asked {
    Help(&'static str),
    Page(Options, Inputs),
    Quick(Options),
}

impl Options {
    pub fn read() -> Result<Asked, lexopt::Error> {
        let out = PathBuf::from("target/limpid/feature_browser/index.html");
        let mut options =
            Self { out, max_rows: usize::MAX, top: 10, samples: 20, neighbours: 10, context: 12, seed: 0 };
        let (mut files, mut vocabulary, mut tensor, mut quick) = (Vec::<PathBuf>::new(), None, None, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(Asked::Help(HELP)),
                Long("quick") => quick = true,
                Long("vocabulary") => vocabulary = Some(PathBuf::from(parser.value()?)),
                Long("tensor") => tensor = Some(parser.value()?.string()?),
                Long("out") => options.out = parser.value()?.into(),
                Long("max-rows") => options.max_rows = parser.value()?.parse()?,
                Long("top") => options.top = parser.value()?.parse()?,
                Long("samples") => options.samples = parser.value()?.parse()?,
                Long("neighbours") => options.neighbours = parser.value()?.parse()?,
                Long("context") => options.context = parser.value()?.parse()?,
                Long("seed") => options.seed = parser.value()?.parse()?,
                Value(file) if files.len() < 2 => files.push(file.into()),
                other => return Err(other.unexpected()),
            }
        }
        options.check()?;
        match (quick, <[PathBuf; 2]>::try_from(files), vocabulary) {
            (true, Err(files), None) if files.is_empty() => Ok(Asked::Quick(options)),
            (true, ..) => Err("--quick makes its files itself".into()),
            (false, Ok([sae, activations]), Some(vocabulary)) => {
                Ok(Asked::Page(options, Inputs { sae, activations, vocabulary, tensor }))
            }
            (false, Err(_), _) => Err("a folder with an autoencoder and a file with activations are needed".into()),
            (false, _, None) => Err("--vocabulary is needed to turn tokens into text".into()),
        }
    }

    fn check(&self) -> Result<(), lexopt::Error> {
        if self.top == 0 || self.max_rows == 0 {
            return Err("--top and --max-rows must be at least 1".into());
        }
        if self.context > MOST_CONTEXT || [self.top, self.samples, self.neighbours].iter().any(|&n| n > MOST_LISTED) {
            return Err("--context is at most 100; --top, --samples and --neighbours are at most 255".into());
        }
        Ok(())
    }
}
