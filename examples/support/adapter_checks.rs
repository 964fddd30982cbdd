//! What must hold of a model of another framework that limpid sees through an adapter.

use std::fmt::Debug;

use limpid::Seed;
use limpid::attribution::gradient::IntegratedGradients;
use limpid::attribution::target::Logit;
use limpid::attribution::{Differentiable, Explainer};
use limpid::math::random::fill_normal;
use limpid::sae::train::{Preset, Trainer};
use ndarray::Array2;

pub(crate) fn noise(rows: usize, width: usize) -> Array2<f32> {
    let mut x = Array2::zeros((rows, width));
    fill_normal(&mut Seed(1).stream(0, 0), 1.0, x.as_slice_mut().unwrap());
    x
}

/// Gradients of output 1 against differences.
pub(crate) fn gradients_are_those_of_differences<M: Differentiable<f32, Error: Debug>>(mut model: M) {
    let x = noise(2, model.n_inputs());
    let (mut out, mut gradient) = (Array2::zeros((2, model.n_outputs())), Array2::zeros(x.raw_dim()));
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

/// Integrated gradients of output 2 sum to its change.
pub(crate) fn attributions_add_up<M: Differentiable<f32, Error: Debug>>(mut model: M) {
    let x = noise(5, model.n_inputs());
    let found = IntegratedGradients::default().attribute(&mut model, &x, &Logit::of(2)).unwrap();
    assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-4));
}

/// An autoencoder learns tapped activations `h`, and encodes them sparsely.
pub(crate) fn activations_go_into_an_autoencoder(h: &Array2<f32>) {
    let recipe = Preset::TopK.recipe::<f32>(h.ncols(), 64, 4, 200, Seed(0)).unwrap();
    let mut trainer = Trainer::new(recipe.sae, recipe.training).unwrap();
    let losses: Vec<f32> = (0..200).map(|_| trainer.step(h, None).unwrap().terms.total()).collect();
    assert!(losses[199] < 0.5 * losses[0], "{} {}", losses[0], losses[199]);
    assert_eq!(trainer.sae().encode_sparse(h).unwrap().row(0).count(), 4);
}
