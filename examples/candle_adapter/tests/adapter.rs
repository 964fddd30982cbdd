//! Gradients against differences, attributions that add up, and an autoencoder on tapped activations.

#[path = "../../support/adapter_checks.rs"]
mod adapter_checks;

use adapter_checks::{activations_go_into_an_autoencoder, noise};
use limpid::attribution::Forward;
use limpid_candle_adapter::{SIZES, perceptron};
use ndarray::Array2;

#[test]
fn gradients_are_those_of_differences() {
    adapter_checks::gradients_are_those_of_differences(perceptron().unwrap());
}

#[test]
fn attributions_add_up() {
    adapter_checks::attributions_add_up(perceptron().unwrap());
}

#[test]
fn tapped_activations_go_into_an_autoencoder() {
    let (mut model, x) = (perceptron().unwrap(), noise(256, SIZES[0]));
    let h = model.tap(0, &x).unwrap();
    let mut out = Array2::zeros((256, SIZES[2]));
    model.forward(&x, &mut out).unwrap();
    assert_eq!((h.dim(), model.tap(1, &x).unwrap()), ((256, SIZES[1]), out));
    activations_go_into_an_autoencoder(&h);
}
