//! Settings and results survive a trip through text, and text cannot make what the constructors refuse.

use core::ops::ControlFlow;

use limpid::influence::{
    Bias, Damping, End, Fisher, LayerSpec, QuerySettings, Scale, ScanReport, Spectral, Strategy, TopK, Unit,
};
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::sae::metrics::Evaluation;
use limpid::sae::metrics::dictionary::match_dictionary;
use limpid::superposition::{FeatureDistribution, Joint, Problem, ToyModel, Trained, Training, Value, train};
use ndarray::{Array1, array};
use serde::{Serialize, de::DeserializeOwned};

fn again<V: Serialize + DeserializeOwned>(value: &V) -> V {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[test]
fn settings_and_results_come_back() {
    let settings = Training { steps: 20, snapshot_every: 10, ..Training::default() };
    assert_eq!(again(&settings), settings);
    let law = FeatureDistribution::new(array![0.1, 0.1, 0.3, 0.3], Value::Symmetric, Joint::Correlated { size: 2 });
    let law = law.unwrap();
    assert_eq!(again(&law), law);
    let problem = Problem::new(2, Array1::ones(4), law);
    let trained: Trained<f64> = train(&[problem], &settings, |_| ControlFlow::Continue(())).unwrap().remove(0);
    assert_eq!(again(&trained), trained);
    let model: ToyModel<f64> = again(&trained.model);
    assert_eq!(model, trained.model);
}

#[test]
fn settings_of_influence_come_back() {
    let spectral = [Damping::Absolute(0.5), Damping::RelativeMean(0.1)].map(Spectral::DampedInverse);
    assert_eq!(again(&spectral), spectral);
    let names =
        (Strategy::Ekfac, Fisher::Sampled, Unit::PerToken, Bias::Homogeneous, End::Smallest, Scale::PerExample(7));
    assert_eq!(again(&names), names);
    let spec = LayerSpec { layer: 3, d_in: 5, d_out: 2, bias: Bias::None, fisher: Fisher::True };
    assert_eq!(again(&spec), spec);
    let queries = QuerySettings { rank: Some(4), train_rows: Some(1 << 40) };
    assert_eq!(again(&queries), queries);
    let report = ScanReport { scored: 7, skipped: u64::MAX };
    assert_eq!(again(&report), report);
    let mut top = TopK::new(1, 2, End::Largest).unwrap();
    top.push(0, 9, 0.25).unwrap();
    assert_eq!(again(&top.of(0).to_vec()), top.of(0));
}

#[test]
fn an_optimiser_goes_on_where_it_was() {
    let mut state = OptimizerState::new(Optimizer::adam(), 2);
    let mut theta = [1.0, -1.0];
    state.step(&mut theta, &[0.5, 0.25], 0.1).unwrap();
    let (mut other, mut copy) = (again(&state), theta);
    state.step(&mut theta, &[0.1, -0.2], 0.1).unwrap();
    other.step(&mut copy, &[0.1, -0.2], 0.1).unwrap();
    assert_eq!((theta, state), (copy, other));
}

#[test]
fn what_a_constructor_refuses_does_not_come_in_as_text() {
    let refused = |text: &str| serde_json::from_str::<FeatureDistribution<f64>>(text).is_err();
    let law = |data: &str, joint: &str| {
        format!(r#"{{"probability":{{"v":1,"dim":[2],"data":{data}}},"value":"Uniform","joint":{joint}}}"#)
    };
    assert!(!refused(&law("[0.1,0.2]", "\"Independent\"")));
    assert!(refused(&law("[0.1,1.2]", "\"Independent\"")));
    assert!(refused(&law("[0.1,0.1]", r#"{"Correlated":{"size":0}}"#)));
    let short = r#"{"optimizer":{"Adam":{"betas":[0.9,0.999],"epsilon":1e-8,"weight_decay":0.0}},"steps":0,"first":[0.0],"second":[]}"#;
    let mut state: OptimizerState<f64> = serde_json::from_str(short).unwrap();
    assert!(state.step(&mut [1.0], &[1.0], 0.1).is_err());
}

#[test]
fn metrics_come_back_with_what_is_undefined() {
    let mut evaluation = Evaluation::new(1, 2).unwrap();
    evaluation.update(&array![[0.0], [2.0]], &array![[0.0], [1.0]], &array![[0.0, 1.0], [0.0, 3.0]]).unwrap();
    let metrics = evaluation.finish().unwrap();
    assert!(metrics.cosine.is_err() && metrics.explained_variance.ratio_of_means.is_ok());
    assert_eq!(again(&metrics), metrics);
    let found = match_dictionary(&array![[1.0], [2.0]], &array![[3.0]]).unwrap();
    assert_eq!(again(&found), found);
}
