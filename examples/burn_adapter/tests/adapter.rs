//! Gradients against differences, attributions that add up, and an autoencoder on tapped activations.

use limpid::Seed;
use limpid::attribution::gradient::IntegratedGradients;
use limpid::attribution::target::Logit;
use limpid::attribution::{Differentiable, Explainer, Forward};
use limpid::math::random::fill_normal;
use limpid::sae::train::{Preset, Trainer};
use limpid_burn_adapter::{SIZES, perceptron};
use ndarray::Array2;

const ROWS: usize = 256;

fn noise(rows: usize) -> Array2<f32> {
    let mut x = Array2::zeros((rows, SIZES[0]));
    fill_normal(&mut Seed(1).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
    x
}

#[test]
fn gradients_are_those_of_differences() {
    let (mut model, x) = (perceptron(), noise(2));
    let (mut out, mut gradient) = (Array2::zeros((2, SIZES[2])), Array2::zeros((2, SIZES[0])));
    model.vjp(&x, &mut |_, by| by.column_mut(1).fill(1.0), &mut out, &mut gradient).unwrap();
    for ((row, i), &gradient) in gradient.indexed_iter() {
        let mut moved = |by: f32| {
            let mut x = x.clone();
            x[[row, i]] += by;
            model.forward(&x, &mut out).unwrap();
            out[[row, 1]]
        };
        let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
        assert!((difference - gradient).abs() < 1e-3, "{difference} {gradient}");
    }
}

#[test]
fn attributions_add_up() {
    let found = IntegratedGradients::default().attribute(&mut perceptron(), &noise(5), &Logit::of(2)).unwrap();
    assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-4));
}

#[test]
fn tapped_activations_go_into_an_autoencoder() {
    let (mut model, x) = (perceptron(), noise(ROWS));
    let h = model.tap(0, &x).unwrap();
    let mut out = Array2::zeros((ROWS, SIZES[2]));
    model.forward(&x, &mut out).unwrap();
    assert_eq!((h.dim(), model.tap(1, &x).unwrap()), ((ROWS, SIZES[1]), out));
    let recipe = Preset::TopK.recipe::<f32>(SIZES[1], 64, 4, 200, Seed(0)).unwrap();
    let mut trainer = Trainer::new(recipe.sae, recipe.training).unwrap();
    let losses: Vec<f32> = (0..200).map(|_| trainer.step(&h, None).unwrap().terms.total()).collect();
    assert!(losses[199] < 0.5 * losses[0], "{} {}", losses[0], losses[199]);
    assert_eq!(trainer.sae().encode_sparse(&h).unwrap().row(0).count(), 4);
}
