//! Axioms of methods for inner layers, on drawn networks.

use limpid::attribution::circuits::{ActivationPatching, PatchDirection};
use limpid::attribution::gradient::IntegratedGradients;
use limpid::attribution::layer::{
    InternalInfluence, LayerConductance, LayerIntegratedGradients, Neuron, NeuronConductance, NeuronGradient,
};
use limpid::attribution::target::Logit;
use limpid::attribution::{Baseline, Explainer, Network};
use limpid::math::pointwise::Activation;
use limpid::math::quadrature::Rule;
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// Inputs, hidden units and outputs of the drawn networks.
const SIZES: [usize; 3] = [3, 4, 2];

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Array2<f64>> {
    proptest::collection::vec(-1.0_f64..1.0, rows * columns)
        .prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
}

/// A network of linear, activation and linear layers, its input and a baseline.
fn case(activation: Activation) -> impl Strategy<Value = (Network<f64>, Array2<f64>, Baseline<f64>)> {
    let [n, hidden, outputs] = SIZES;
    let parts = (matrix(hidden, n), matrix(1, hidden), matrix(outputs, hidden), matrix(2, n), matrix(2, n));
    parts.prop_map(move |(first, bias, second, x, baseline)| {
        let model = Network::new(n).linear(first, Some(bias.row(0).to_owned())).unwrap();
        let model = model.activation(activation).unwrap().linear(second, None).unwrap();
        (model, x, Baseline::Rows(baseline))
    })
}

fn row_sums(values: &Array2<f64>) -> Array1<f64> {
    values.rows().into_iter().map(|row| row.sum()).collect()
}

fn near(a: &Array1<f64>, b: &Array1<f64>, tolerance: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn conductance_of_a_layer_is_complete((mut model, x, baseline) in case(Activation::Tanh), layer in 0_usize..3) {
        let method = LayerConductance { baseline, steps: 400, ..LayerConductance::at(layer) };
        let found = method.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        let output = &found.output_value - &found.base_value.unwrap();
        // one column of the last layer is the output itself
        prop_assert!(near(&row_sums(&found.values), &output, 1e-4));
        prop_assert!(near(&found.delta.unwrap(), &Array1::zeros(2), 1e-4));
    }

    #[test]
    fn after_the_last_bend_conductance_is_exact((mut model, x, baseline) in case(Activation::Relu), steps in 1_usize..5) {
        for rule in [Rule::GaussLegendre, Rule::Left, Rule::Right, Rule::Middle, Rule::Trapezoid] {
            let method = LayerConductance { baseline: baseline.clone(), steps, rule, ..LayerConductance::at(1) };
            let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap();
            prop_assert!(near(&found.delta.unwrap(), &Array1::zeros(2), 1e-12));
        }
    }

    #[test]
    fn units_together_are_integrated_gradients((mut model, x, baseline) in case(Activation::Gelu)) {
        let whole = IntegratedGradients { baseline: baseline.clone(), steps: 20, ..IntegratedGradients::default() };
        let whole = whole.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        let units = Neuron::Sum((0..SIZES[1]).collect());
        let method = NeuronConductance { baseline, steps: 20, ..NeuronConductance::of(1, units) };
        let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        prop_assert!((found - whole).iter().all(|difference| difference.abs() < 1e-12));
    }

    #[test]
    fn layer_integrated_gradients_are_complete((mut model, x, baseline) in case(Activation::Tanh), layer in 0_usize..3) {
        let method = LayerIntegratedGradients { baseline, ..LayerIntegratedGradients::at(layer) };
        let found = method.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        prop_assert!(near(&found.delta.unwrap(), &Array1::zeros(2), 1e-10));
    }

    #[test]
    fn influence_of_what_follows_linearly_is_its_weight((mut model, x, baseline) in case(Activation::Relu)) {
        let method = InternalInfluence { baseline, steps: 3, ..InternalInfluence::at(1) };
        let found = method.attribute(&mut model, &x, &Logit::of(0)).unwrap().values;
        prop_assert!((&found.row(0) - &found.row(1)).iter().all(|difference| difference.abs() < 1e-12));
    }

    #[test]
    fn a_neuron_is_linear_in_its_weights((mut model, x, _) in case(Activation::Silu), weights in matrix(1, 4)) {
        let weights = weights.row(0).to_owned();
        let mut gradient = |neuron| NeuronGradient::of(1, neuron).attribute(&mut model, &x).unwrap().values;
        let mut sum = Array2::<f64>::zeros(x.raw_dim());
        for (unit, weight) in weights.iter().enumerate() {
            sum = sum + gradient(Neuron::Unit(unit)) * *weight;
        }
        prop_assert!((gradient(Neuron::Weights(weights)) - sum).iter().all(|difference| difference.abs() < 1e-12));
    }

    #[test]
    fn patches_before_a_linear_layer_add_up((mut model, x, baseline) in case(Activation::Relu)) {
        let other = baseline.of(&x).unwrap();
        let patching = ActivationPatching::at(1, PatchDirection::Noising);
        let found = patching.run(&mut model, &x, &other, &Logit::of(1)).unwrap();
        prop_assert!(near(&row_sums(&found.effect), &(&found.source_metric - &found.base_metric), 1e-12));
    }
}
