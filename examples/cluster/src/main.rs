//! Collection, training and influence functions as data-parallel jobs over MPI. See the README for how to run them.

mod classifier;
mod collect;
mod data;
mod influence;
mod job;
mod options;
mod sae;
mod world;

use std::fs;
use std::process::ExitCode;

use limpid::Seed;

use data::Data;
use options::{Command, HELP, Options};
use world::World;

type Result<V> = std::result::Result<V, Box<dyn std::error::Error>>;

/// Rows of the file that is made where none is given.
const MADE_ROWS: usize = 40_000;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("limpid-cluster: {error}");
            return ExitCode::from(2);
        }
    };
    let world = match World::join() {
        Ok(world) => world,
        Err(error) => {
            eprintln!("limpid-cluster: {error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = run(&world, &options) {
        eprintln!("limpid-cluster: process {}: {error}", world.rank());
        world.abort();
    }
    ExitCode::SUCCESS
}

fn run(world: &World, options: &Options) -> Result<()> {
    if world.leads() {
        if options.restart && options.out.exists() {
            forget(options)?;
        }
        fs::create_dir_all(&options.out)?;
    }
    world.wait();
    match options.command {
        Command::Collect => collect::run(world, options, open(world, options)?),
        Command::Sae => sae::run(world, options, open(world, options)?),
        Command::Influence => influence::run(world, options),
    }
}

/// Removes the state of earlier runs, and nothing else.
fn forget(options: &Options) -> Result<()> {
    for entry in fs::read_dir(&options.out)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn open(world: &World, options: &Options) -> Result<Data> {
    if let Some(path) = &options.activations {
        return Data::open(path);
    }
    let path = options.out.join("made.safetensors");
    if world.leads() && !path.exists() {
        data::make(&path, MADE_ROWS, Seed(options.seed))?;
        println!("made {}", path.display());
    }
    world.wait();
    Data::open(&path)
}
