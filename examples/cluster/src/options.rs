//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::Result;

pub(crate) const HELP: &str = "\
limpid-cluster COMMAND [OPTIONS]: one job on all processes that mpirun starts, `mpirun -n 2 limpid-cluster collect`

  collect              statistics of every neuron (column) of an activation file: the same bytes from any number of processes
  sae                  training of a top-k autoencoder: every process takes its part of each batch
  influence            EK-FAC on a classifier: factors, corrected eigenvalues, the most influential examples of each query

  --activations FILE   safetensors with a matrix of activations and, if there, columns `document` and `position`
                       [collect, sae: one with planted features is made]
  --out DIR            results and checkpoints [limpid-cluster]
  --shard-rows N       rows of a shard, the unit that is computed once and kept [1024]
  --latents M          size of the dictionary [256]
  --k K                active latents of a row [8]
  --steps N            optimiser steps [400]
  --batch B            rows of a step, of all processes together [1024]
  --checkpoint-every N steps between two checkpoints [100]
  --examples N         training examples of the classifier [4096]
  --queries Q          queries of the classifier [32]
  --top K              examples shown per query [10]
  --seed N             seed of everything random [0]
  --restart            forget what DIR holds of an earlier run
  --die-at N           rehearsal of a failure: the last process kills itself after N shards or steps
  --help               this text

A job that ends early goes on where it stopped when it is started again with the same options, with any number of processes.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Collect,
    Sae,
    Influence,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) command: Command,
    pub(crate) activations: Option<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) shard_rows: usize,
    pub(crate) latents: usize,
    pub(crate) k: usize,
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) checkpoint_every: usize,
    pub(crate) examples: usize,
    pub(crate) queries: usize,
    pub(crate) top: usize,
    pub(crate) seed: u64,
    pub(crate) restart: bool,
    pub(crate) die_at: Option<u64>,
}

impl Options {
    /// `None` where only help was asked for.
    pub(crate) fn read() -> Result<Option<Self>> {
        let mut parser = Parser::from_env();
        let mut options = Self::default();
        let mut command = None;
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Value(word) if command.is_none() => {
                    command = Some(match word.to_string_lossy().as_ref() {
                        "collect" => Command::Collect,
                        "sae" => Command::Sae,
                        "influence" => Command::Influence,
                        other => return Err(format!("no job is called {other}: collect, sae or influence").into()),
                    });
                }
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long("activations") => options.activations = Some(parser.value()?.into()),
                Arg::Long("out") => options.out = parser.value()?.into(),
                Arg::Long("restart") => options.restart = true,
                Arg::Long("seed") => options.seed = parser.value()?.parse()?,
                Arg::Long("die-at") => options.die_at = Some(parser.value()?.parse()?),
                Arg::Long(name) => {
                    let name = name.to_owned();
                    *options.count(&name).ok_or_else(|| format!("no option is called --{name}"))? =
                        parser.value()?.parse()?;
                }
                other => return Err(other.unexpected().into()),
            }
        }
        let Some(command) = command else { return Ok(None) };
        options.command = command;
        options.check()?;
        Ok(Some(options))
    }

    fn count(&mut self, name: &str) -> Option<&mut usize> {
        Some(match name {
            "shard-rows" => &mut self.shard_rows,
            "latents" => &mut self.latents,
            "k" => &mut self.k,
            "steps" => &mut self.steps,
            "batch" => &mut self.batch,
            "checkpoint-every" => &mut self.checkpoint_every,
            "examples" => &mut self.examples,
            "queries" => &mut self.queries,
            "top" => &mut self.top,
            _ => return None,
        })
    }

    fn check(&self) -> Result<()> {
        let counts = [
            ("--shard-rows", self.shard_rows),
            ("--batch", self.batch),
            ("--steps", self.steps),
            ("--checkpoint-every", self.checkpoint_every),
            ("--examples", self.examples),
            ("--queries", self.queries),
            ("--top", self.top),
        ];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1").into()),
            None => Ok(()),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            command: Command::Collect,
            activations: None,
            out: "limpid-cluster".into(),
            shard_rows: 1024,
            latents: 256,
            k: 8,
            steps: 400,
            batch: 1024,
            checkpoint_every: 100,
            examples: 4096,
            queries: 32,
            top: 10,
            seed: 0,
            restart: false,
            die_at: None,
        }
    }
}
