//! Training of an autoencoder: every process computes the gradient of its part of a batch, and all apply the mean.

use std::fs;

use limpid::Seed;
use limpid::formats::{SaveSettings, disk};
use limpid::sae::train::{LearningRate, SaeShare, SaeStep, SaeTraining, Trainer};
use limpid::sae::{Activation, Sae};

use crate::Result;
use crate::data::Data;
use crate::job::Job;
use crate::options::Options;
use crate::world::World;

const CHECKPOINT: &str = "sae-checkpoint.bin";

pub(crate) fn run(world: &World, options: &Options, mut data: Data) -> Result<()> {
    let seed = Seed(options.seed);
    let settings = SaeTraining {
        steps: options.steps,
        learning_rate: LearningRate::constant(3e-3),
        unit_norm_decoder: true,
        dead_after: 64 * options.batch as u64,
        ..SaeTraining::default()
    };
    let asked = (options.latents, options.k, options.batch, options.seed);
    let mut job = Job::new(world, options, &format!("sae {asked:?} {settings:?} {} {}", data.rows(), data.width()));
    let mut trainer = start(&job, &settings, data.width())?;
    if world.leads() && trainer.steps_done() >= options.steps {
        println!("all {} steps were done before", options.steps);
    }
    while trainer.steps_done() < options.steps {
        let part = data.batch(seed, trainer.steps_done(), options.batch, (world.rank(), world.size()))?;
        if part.is_empty() {
            return Err("a batch has fewer rows than there are processes".into());
        }
        let share = trainer.share(&part, None)?;
        let step = trainer.apply(combined(world, share))?;
        if step.step.is_multiple_of(options.checkpoint_every) || step.step == options.steps {
            if world.leads() {
                job.save(&job.path(CHECKPOINT), &trainer.checkpoint())?;
                show(&step);
            }
            // nobody runs ahead of what is on disk
            world.wait();
        }
        job.count();
    }
    if world.leads() {
        let (folder, beside) = (job.path("sae"), job.path("sae.part"));
        let _ = fs::remove_dir_all(&beside);
        disk::save(&beside, &trainer.sae(), &SaveSettings::default())?;
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&beside, &folder)?;
        println!("{}: autoencoder of {} latents", folder.display(), options.latents);
    }
    Ok(())
}

/// The run as it was at its last checkpoint, the same for all.
fn start(job: &Job<'_>, settings: &SaeTraining, width: usize) -> Result<Trainer<f32>> {
    let mut bytes = Vec::new();
    if job.world.leads() {
        bytes = job.load(&job.path(CHECKPOINT))?.unwrap_or_default();
    }
    job.world.broadcast(&mut bytes);
    if bytes.is_empty() {
        let activation = Activation::TopK { k: job.options.k, by_decoder_norm: false };
        let sae = Sae::initialise(width, job.options.latents, activation, Seed(job.options.seed))?;
        return Ok(Trainer::new(sae, settings.clone())?);
    }
    let trainer = Trainer::resume(settings.clone(), &bytes)?;
    if job.world.leads() {
        println!("goes on after step {}", trainer.steps_done());
    }
    Ok(trainer)
}

/// The share of the whole batch: means over the samples of all processes.
fn combined(world: &World, mut share: SaeShare<f32>) -> SaeShare<f32> {
    let mut rows = [share.rows as u64];
    world.sum(&mut rows);
    let part = share.rows as f32 / rows[0] as f32;
    share.for_each_mean(|values| {
        values.iter_mut().for_each(|value| *value *= part);
        world.sum(values);
    });
    world.any(&mut share.fired);
    let least = world.least(share.min_positive.unwrap_or(f64::INFINITY));
    share.min_positive = Some(least).filter(|least| least.is_finite());
    share.rows = usize::try_from(rows[0]).unwrap_or(usize::MAX);
    share
}

fn show(step: &SaeStep<f32>) {
    println!(
        "step {:>6}: loss {:.6}, L0 {:.2}, dead {:.3}",
        step.step,
        step.terms.total(),
        step.l0,
        step.dead_fraction
    );
}
