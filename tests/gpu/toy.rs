//! Toy models against the processor: the same samples, the same path for some steps, the same result in the end.

use core::ops::ControlFlow;

use limpid::gpu::toy::train_every_restart_blocking;
use limpid::gpu::{GpuContext, GpuSettings};
use limpid::math::optim::Optimizer;
use limpid::superposition::{
    Architecture, FeatureDistribution, Joint, Problem, Reduction, Start, Training, Value, train_every_restart,
};
use limpid::{Error, Seed};
use ndarray::Array1;

use crate::support::device;

fn problem(architecture: Architecture, n: usize, m: usize, value: Value, l1: f32) -> Problem<f32> {
    let p = Array1::from_shape_fn(n, |i| 0.1 + 0.05 * i as f32);
    let law = FeatureDistribution::new(p, value, Joint::Independent).unwrap();
    let importance = Array1::from_shape_fn(n, |i| 0.9_f32.powi(i32::try_from(i).unwrap()));
    Problem { architecture, hidden_l1: l1, ..Problem::new(m, importance, law) }
}

fn settings(steps: usize, batch: usize) -> Training {
    Training { steps, batch, restarts: 2, seed: Seed(7), record_every: 5, snapshot_every: 10, ..Training::default() }
}

fn agrees(gpu: &GpuContext, problems: &[Problem<f32>], settings: &Training) {
    let mut reports = 0;
    let got = train_every_restart_blocking(gpu, problems, settings, |_| {
        reports += 1;
        ControlFlow::Continue(())
    });
    let (got, expected) =
        (got.unwrap(), train_every_restart(problems, settings, |_| ControlFlow::Continue(())).unwrap());
    assert_eq!((got.len(), reports), (problems.len(), settings.steps));
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert_eq!((got.restart, got.seed, got.steps), (expected.restart, expected.seed, expected.steps));
        // a gradient as small as its rounding may move Adam either way, by a share of the learning rate at each step
        let close = |a: f32, b: f32| (a - b).abs() < 2e-4;
        assert!(got.model.weight.iter().zip(&expected.model.weight).all(|(&a, &b)| close(a, b)));
        assert!(got.model.bias.iter().zip(&expected.model.bias).all(|(&a, &b)| close(a, b)));
        assert!((got.evaluation.loss - expected.evaluation.loss).abs() < 1e-4 * expected.evaluation.loss);
        assert_eq!(got.curve.len(), expected.curve.len());
        for (got, expected) in got.curve.iter().zip(&expected.curve) {
            assert!(got.0 == expected.0 && (got.1 - expected.1).abs() < 1e-4 * expected.1, "{got:?} {expected:?}");
        }
        assert_eq!(got.snapshots.len(), expected.snapshots.len());
        assert_eq!(got.snapshots[0].model, expected.snapshots[0].model);
    }
}

#[test]
pub(crate) fn runs_agree_where_the_samples_are_the_same() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let cases = [
        (Architecture::ReluOutput, 5, 2, Value::Uniform, 0.0, Reduction::Mean),
        (Architecture::Linear, 18, 9, Value::Symmetric, 0.0, Reduction::FeatureSum),
        (Architecture::ReluHidden, 6, 17, Value::One, 0.01, Reduction::Mean),
    ];
    for (architecture, n, m, value, l1, reduction) in cases {
        let problems = [problem(architecture, n, m, value, l1), problem(architecture, n, m, value, 2.0 * l1)];
        agrees(&gpu, &problems, &Training { reduction, ..settings(21, 300) });
    }
    let adam = Training { optimizer: Optimizer::adam(), ..settings(20, 256) };
    agrees(&gpu, &[problem(Architecture::ReluOutput, 5, 2, Value::Uniform, 0.0)], &adam);
}

#[test]
pub(crate) fn sparse_features_follow_the_same_law() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let sparse = FeatureDistribution::uniform(5, 0.03).unwrap();
    let problems = [Problem::new(2, Array1::ones(5), sparse)];
    let settings = Training { record_every: 0, snapshot_every: 0, learning_rate: 1e-2, ..settings(150, 512) };
    let go_on = |_| ControlFlow::Continue(());
    let got = train_every_restart_blocking(&gpu, &problems, &settings, go_on).unwrap();
    let expected = train_every_restart(&problems, &settings, go_on).unwrap();
    let (got, expected) = (got[0][0].evaluation.loss, expected[0][0].evaluation.loss);
    assert!((got - expected).abs() < 0.25 * expected, "{got} {expected}");
}

#[test]
pub(crate) fn training_stops_when_it_is_told_to() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let problems = [problem(Architecture::ReluOutput, 5, 2, Value::Uniform, 0.0)];
    let stopped = train_every_restart_blocking(&gpu, &problems, &settings(20, 64), |progress| {
        if progress.step == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap()[0][0].steps, 3);
}

#[test]
pub(crate) fn what_the_device_does_not_train_is_refused() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let run = |problems: &[Problem<f32>], settings: &Training| {
        train_every_restart_blocking(&gpu, problems, settings, |_| ControlFlow::Continue(())).unwrap_err()
    };
    assert_eq!(run(&[], &settings(1, 1)), Error::Empty { what: "problems" });
    let of = |n, m| problem(Architecture::ReluOutput, n, m, Value::Uniform, 0.0);
    assert!(matches!(run(&[of(5, 2), of(5, 3)], &settings(1, 1)), Error::Shape { what: "hidden dimensions", .. }));
    let absolute = problem(Architecture::AbsoluteValue, 5, 2, Value::Symmetric, 0.0);
    assert!(matches!(run(&[absolute], &settings(1, 1)), Error::Unsupported { .. }));
    let sgd = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
    assert!(matches!(run(&[of(5, 2)], &Training { optimizer: sgd, ..settings(1, 1) }), Error::Unsupported { .. }));
    let wild = Problem { start: Start::Normal(1e30), ..of(5, 2) };
    assert!(matches!(run(&[wild], &settings(3, 10)), Error::Diverged { step: 0, instance: 0 }));
}
