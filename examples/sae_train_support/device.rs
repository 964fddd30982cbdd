//! Training on a graphics adapter, for runs with `--gpu`: the same batches, table and checkpoints.

use limpid::sae::train::{Finish, SaeStep, Trainer};
use ndarray::Array2;

use super::Result;

/// Trains from where `trainer` is, and brings it back. `due` says after which steps `observe` wants to see the run; it returns
/// whether to stop.
#[cfg(feature = "gpu")]
pub fn train(
    trainer: &mut Trainer<f32>,
    mut next: impl FnMut() -> Result<Option<Array2<f32>>>,
    due: impl Fn(usize) -> bool,
    mut observe: impl FnMut(&Trainer<f32>, &SaeStep<f32>) -> core::ops::ControlFlow<()>,
) -> Result<Finish> {
    use limpid::gpu::{GpuContext, GpuSettings, GpuTrainer};

    let gpu = GpuContext::new(GpuSettings::default())?;
    let mut on_device = GpuTrainer::go_on(&gpu, trainer)?;
    // a run that goes on has seen as many batches as steps
    for _ in 0..trainer.steps_done() {
        if next()?.is_none() {
            return Ok(Finish::Exhausted);
        }
    }
    while on_device.steps_done() < trainer.settings().steps {
        let Some(x) = next()? else { return Ok(Finish::Exhausted) };
        let pending = on_device.step(&x)?;
        if due(on_device.steps_done()) {
            let step = on_device.read_blocking(&pending)?;
            *trainer = on_device.download_blocking()?;
            if observe(trainer, &step).is_break() {
                return Ok(Finish::Stopped);
            }
        }
    }
    *trainer = on_device.download_blocking()?;
    Ok(Finish::Done)
}

#[cfg(not(feature = "gpu"))]
pub fn train(
    _: &mut Trainer<f32>,
    _: impl FnMut() -> Result<Option<Array2<f32>>>,
    _: impl Fn(usize) -> bool,
    _: impl FnMut(&Trainer<f32>, &SaeStep<f32>) -> core::ops::ControlFlow<()>,
) -> Result<Finish> {
    Err("--gpu without the feature: cargo run --features formats,gpu".into())
}
