//! Training steps against those of the processor.

use limpid::gpu::{GpuContext, GpuSettings, GpuTrainer};
use limpid::sae::train::{KAnnealing, LearningRate, Rounding, SaeTraining, Trainer};
use limpid::sae::{Activation, AuxK, AuxNormalisation, Loss, ReconstructionLoss, Sae, Sparsity};
use limpid::{Error, Seed};
use ndarray::Array2;

use crate::support::{device, devices, narrow, noise, within};

const D: usize = 16;
const M: usize = 90;

fn sae(by_decoder_norm: bool) -> Sae<f32> {
    Sae::initialise(D, M, Activation::TopK { k: 5, by_decoder_norm }, Seed(2)).unwrap()
}

fn settings() -> SaeTraining {
    SaeTraining { steps: 20, learning_rate: LearningRate::constant(1e-3), dead_after: 100, ..SaeTraining::default() }
}

fn cases() -> Vec<(&'static str, bool, SaeTraining)> {
    let loss = |reconstruction, sparsity| Loss { reconstruction, sparsity, ..Loss::default() };
    let mean = loss(ReconstructionLoss::Mean, Sparsity::None);
    let fvu = loss(ReconstructionLoss::Fvu, Sparsity::l1(1e-3));
    // dead after the first step
    let with_aux = |aux| SaeTraining { dead_after: 30, loss: Loss { aux: Some(aux), ..Loss::default() }, ..settings() };
    let signed = AuxK { k: 500, rectify: false, normalisation: AuxNormalisation::None, ..AuxK::default() };
    let by_data = AuxK { k: 60, scale_by_dead: true, normalisation: AuxNormalisation::DataVariance, ..AuxK::default() };
    vec![
        ("plain", false, settings()),
        ("free decoder", false, SaeTraining { unit_norm_decoder: false, loss: mean, ..settings() }),
        ("clipped", false, SaeTraining { clip_norm: Some(0.5), ..settings() }),
        ("penalty", false, SaeTraining { loss: fvu, ..settings() }),
        ("auxiliary", false, with_aux(AuxK { k: 20, ..AuxK::default() })),
        ("signed auxiliary", true, with_aux(signed)),
        ("auxiliary by data", false, SaeTraining { clip_norm: Some(0.1), ..with_aux(by_data) }),
        ("by norm", true, SaeTraining { unit_norm_decoder: false, ..settings() }),
        (
            "annealed",
            false,
            SaeTraining {
                k_annealing: Some(KAnnealing { from: 12, over: 4, rounding: Rounding::Floor }),
                ..settings()
            },
        ),
    ]
}

fn close(got: &Array2<f32>, expected: &Array2<f32>, what: &str) {
    // Adam moves by up to the learning rate where a gradient is as small as its rounding: a share of a step
    let bound = expected.mapv(|_| 2e-4);
    within(got, &expected.mapv(f64::from), &bound, what);
    let mean = (got - expected).mapv(f32::abs).mean().unwrap();
    assert!(mean < 1e-6, "{what}: {mean:e} on average");
}

fn follows(gpu: &GpuContext, (name, by_norm, settings): (&str, bool, SaeTraining), steps: u64) {
    let mut processor = Trainer::new(sae(by_norm), settings.clone()).unwrap();
    let mut on_device = GpuTrainer::new(gpu, sae(by_norm), settings).unwrap();
    for step in 0..steps {
        let x = noise(30, D, step);
        let expected = processor.step(&x, None).unwrap();
        let pending = on_device.step(&x).unwrap();
        let got = on_device.read_blocking(&pending).unwrap();
        let total = expected.terms.total();
        assert!((got.terms.total() - total).abs() < 1e-4 * total, "{name}: {got:?} {expected:?}");
        assert!((got.terms.sparsity - expected.terms.sparsity).abs() <= 1e-4 * total);
        let (aux, expected_aux) = (got.terms.auxiliary, expected.terms.auxiliary);
        assert!((aux - expected_aux).abs() <= 1e-4 * expected_aux, "{name}: {aux} {expected_aux}");
        assert_eq!(expected_aux > 0.0, name.contains("auxiliary") && step > 0, "{name}");
        assert_eq!((got.step, got.learning_rate), (expected.step, expected.learning_rate));
        assert_eq!((got.l0, got.dead_fraction), (expected.l0, expected.dead_fraction), "{name}");
    }
    let (got, expected) = (on_device.sae().download_blocking().unwrap(), processor.sae());
    close(&got.w_enc, &expected.w_enc, name);
    close(&got.w_dec, &expected.w_dec, name);
    let row = |x: &ndarray::Array1<f32>| x.clone().insert_axis(ndarray::Axis(0));
    close(&row(&got.b_enc), &row(&expected.b_enc), name);
    close(&row(&got.b_dec), &row(&expected.b_dec), name);
    assert_eq!((on_device.steps_done() as u64, on_device.tokens()), (steps, 30 * steps));
}

#[test]
pub(crate) fn steps_agree() {
    for gpu in devices() {
        cases().into_iter().for_each(|case| follows(&gpu, case, 6));
    }
}

#[test]
pub(crate) fn batches_above_the_binding_limit_go_some_samples_after_the_other() {
    // at most 16 of the 30 samples at once, 2 where there are 90 slots for dead latents
    let Some(gpu) = device(narrow(1536)) else { return };
    cases().into_iter().for_each(|case| follows(&gpu, case, 6));
    let Some(tight) = device(narrow(1024)) else { return };
    let wide = Sae::initialise(200, M, Activation::TopK { k: 5, by_decoder_norm: false }, Seed(2)).unwrap();
    let mut trainer = GpuTrainer::new(&tight, wide, settings()).unwrap();
    assert!(matches!(trainer.step(&noise(3, 200, 1)), Err(Error::TooLarge { .. })));
}

/// As [`steps_agree`], sooner: the second step has dead latents.
#[test]
pub(crate) fn first_steps_agree() {
    let Some(gpu) = device(narrow(1 << 14)) else { return };
    cases().into_iter().for_each(|case| follows(&gpu, case, 2));
}

#[test]
pub(crate) fn a_run_moves_between_processor_and_device() {
    for gpu in devices() {
        let loss = Loss { aux: Some(AuxK { k: 20, ..AuxK::default() }), ..Loss::default() };
        let settings = SaeTraining { dead_after: 60, loss, ..settings() };
        let mut whole = GpuTrainer::new(&gpu, sae(false), settings.clone()).unwrap();
        let mut part = GpuTrainer::new(&gpu, sae(false), settings).unwrap();
        for step in 0..6 {
            let x = noise(30, D, step);
            whole.step(&x).unwrap();
            part.step(&x).unwrap();
            if step == 2 {
                let on_processor = part.download_blocking().unwrap();
                assert_eq!((on_processor.steps_done(), on_processor.tokens()), (3, 90));
                assert!(on_processor.dead().contains(&true));
                part = GpuTrainer::go_on(&gpu, &on_processor).unwrap();
            }
        }
        assert_eq!(part.download_blocking().unwrap().checkpoint(), whole.download_blocking().unwrap().checkpoint());
    }
}

#[test]
pub(crate) fn a_loss_that_is_not_finite_changes_nothing() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let mut trainer = GpuTrainer::new(&gpu, sae(false), settings()).unwrap();
    let pending = trainer.step(&noise(8, D, 1)).unwrap();
    trainer.read_blocking(&pending).unwrap();
    let before = trainer.sae().download_blocking().unwrap();
    let pending = trainer.step(&Array2::from_elem((8, D), 1e30)).unwrap();
    assert_eq!(trainer.read_blocking(&pending).unwrap_err(), Error::Diverged { step: 1, instance: 0 });
    assert_eq!(trainer.sae().download_blocking().unwrap(), before);
}

#[test]
pub(crate) fn what_the_device_does_not_train_is_refused() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let relu = Sae::initialise(D, M, Activation::Relu, Seed(2)).unwrap();
    assert!(matches!(GpuTrainer::new(&gpu, relu, settings()), Err(Error::Unsupported { .. })));
    let ema = SaeTraining { ema: Some(0.9), ..settings() };
    assert!(matches!(GpuTrainer::new(&gpu, sae(false), ema), Err(Error::Unsupported { .. })));
    let mut trainer = GpuTrainer::new(&gpu, sae(false), settings()).unwrap();
    assert_eq!(trainer.step(&Array2::zeros((0, D))).unwrap_err(), Error::Empty { what: "x" });
}
