//! limpid on a model written with candle: copy `adapter.rs`, and give it your model as stages.

pub mod adapter;

use candle_core::{DType, Device, Result};
use candle_nn::{Linear, Module, VarBuilder, VarMap};

use adapter::{Stage, Staged};

/// Inputs, hidden units and classes of the example.
pub const SIZES: [usize; 3] = [8, 24, 3];

/// A perceptron with one hidden layer, whose activation can be tapped as stage 0.
///
/// # Errors
/// Those of candle.
pub fn perceptron() -> Result<Staged> {
    let (variables, [n, m, c]) = (VarMap::new(), SIZES);
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    // weights that are the same in every run
    let layer = |name: &str, from: usize, to: usize| -> Result<Linear> {
        let weight = (0..from * to).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) / (from as f32).sqrt());
        let weight = candle_core::Tensor::from_iter(weight, &Device::Cpu)?.reshape((to, from))?;
        let bias = builder.get_with_hints(to, name, candle_nn::Init::Const(0.1))?;
        Ok(Linear::new(weight, Some(bias)))
    };
    let (first, second) = (layer("first", n, m)?, layer("second", m, c)?);
    let stages: Vec<Stage> =
        vec![Box::new(move |x| first.forward(x)?.gelu_erf()), Box::new(move |h| second.forward(h))];
    Ok(Staged { stages, widths: vec![n, m, c], device: Device::Cpu })
}
