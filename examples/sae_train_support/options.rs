//! Command line of the training example.

use std::path::PathBuf;

use lexopt::prelude::*;
use limpid::sae::train::Preset;

use super::Result;

/// What the command line asks for.
#[derive(Clone)]
pub struct Options {
    pub file: Option<PathBuf>,
    pub tensor: Option<String>,
    pub preset: Preset,
    pub latents: usize,
    pub k: usize,
    pub steps: usize,
    pub batch: usize,
    pub learning_rate: Option<f64>,
    pub dead_after: Option<u64>,
    pub k_from: Option<usize>,
    pub data_start: f32,
    pub validation: f64,
    pub buffer: usize,
    pub checkpoint_every: usize,
    pub out: PathBuf,
    pub resume: bool,
    pub restart: bool,
    pub gpu: bool,
    pub seed: u64,
}

impl Options {
    /// Reads the command line; `None` where it asks for help.
    pub fn read() -> Result<Option<Self>> {
        let mut options = Self::new();
        let (mut quick, mut checkpoint_every) = (false, None);
        let mut sizes =
            [("latents", None, 4096, 64), ("k", None, 32, 3), ("steps", None, 2000, 1200), ("batch", None, 1024, 256)];
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(path) if options.file.is_none() => options.file = Some(path.into()),
                Long("help") | Short('h') => return Ok(None),
                Long("quick") => quick = true,
                Long("resume") => options.resume = true,
                Long("restart") => options.restart = true,
                Long("gpu") => options.gpu = true,
                Long("preset") => options.preset = preset(&parser.value()?.string()?)?,
                Long("tensor") => options.tensor = Some(parser.value()?.string()?),
                Long("out") => options.out = parser.value()?.into(),
                Long("learning-rate") => options.learning_rate = Some(parser.value()?.parse()?),
                Long("dead-after") => options.dead_after = Some(parser.value()?.parse()?),
                Long("k-from") => options.k_from = Some(parser.value()?.parse()?),
                Long("data-start") => options.data_start = parser.value()?.parse()?,
                Long("validation") => options.validation = parser.value()?.parse()?,
                Long("buffer") => options.buffer = parser.value()?.parse()?,
                Long("checkpoint-every") => checkpoint_every = Some(parser.value()?.parse()?),
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long(name) => match sizes.iter_mut().find(|size| size.0 == name) {
                    Some(size) => size.1 = Some(parser.value()?.parse()?),
                    None => return Err(argument.unexpected().into()),
                },
                other => return Err(other.unexpected().into()),
            }
        }
        if options.file.is_none() && !quick {
            return Err("no file of activations, and no --quick to make one".into());
        }
        let [latents, k, steps, batch] =
            sizes.map(|(_, own, usual, small)| own.unwrap_or(if quick { small } else { usual }));
        if [latents, k, steps, batch].contains(&0) || checkpoint_every == Some(0) {
            return Err("--latents, --k, --steps, --batch and --checkpoint-every must be at least 1".into());
        }
        if !(options.validation > 0.0 && options.validation < 1.0) {
            return Err("--validation must lie between 0 and 1".into());
        }
        if !(0.0..=1.0).contains(&options.data_start) || options.k_from == Some(0) {
            return Err("--data-start must lie between 0 and 1, and --k-from be at least 1".into());
        }
        let checkpoint_every = checkpoint_every.unwrap_or(usize::div_ceil(steps, 8));
        Ok(Some(Self { latents, k, steps, batch, checkpoint_every, ..options }))
    }

    fn new() -> Self {
        Self {
            file: None,
            tensor: None,
            preset: Preset::TopK,
            latents: 0,
            k: 0,
            steps: 0,
            batch: 0,
            learning_rate: None,
            dead_after: None,
            k_from: None,
            data_start: 0.3,
            validation: 0.05,
            buffer: 16_384,
            checkpoint_every: 0,
            out: "target/limpid/sae_train".into(),
            resume: false,
            restart: false,
            gpu: false,
            seed: 0,
        }
    }

    /// All that the numbers of a run depend on, besides its file.
    pub fn fingerprint(&self) -> String {
        let Self { preset, latents, k, steps, batch, learning_rate, dead_after, k_from, data_start, .. } = self;
        let Self { validation, buffer, seed, .. } = self;
        format!(
            "preset {} latents {latents} k {k} steps {steps} batch {batch} learning rate {learning_rate:?} \
             dead after {dead_after:?} k from {k_from:?} data start {data_start} validation {validation} buffer {buffer} \
             seed {seed}{}",
            preset.name(),
            if self.gpu { " on a graphics adapter" } else { "" }
        )
    }
}

fn preset(name: &str) -> Result<Preset> {
    let found = Preset::ALL.into_iter().find(|preset| preset.name() == name);
    found.ok_or_else(|| format!("no preset {name}; there are {}", Preset::ALL.map(Preset::name).join(", ")).into())
}
