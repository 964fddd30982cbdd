//! A multilayer perceptron with rectifiers, as a caller would write it: two closures over plain matrices.

use limpid::Scalar;
use limpid::attribution::network::{Linear, Op};
use limpid::attribution::{Cotangent, Differentiable, Function, Network};
use limpid::math::gemm::{Packed, Workspace};
use limpid::math::par;
use limpid::math::pointwise::Activation;
use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, Axis, Slice, Zip};
use rayon::prelude::*;

/// Classes of the last layer.
pub const OUTPUTS: usize = 10;

/// Numbers that a script in any language can make as well: `scale sin(12.9898 (i + 1) + seed)`.
pub fn pattern(rows: usize, columns: usize, scale: f64, seed: usize) -> Array2<f32> {
    let value = |index: usize| f32::of(scale * (12.9898 * (index + 1) as f64 + seed as f64).sin());
    Array2::from_shape_fn((rows, columns), |(i, j)| value(i * columns + j))
}

/// The weights, `(inputs, outputs)` each.
pub struct Mlp {
    layers: Vec<Array2<f32>>,
    packed: Vec<Layer>,
}

impl Mlp {
    pub fn new(d: usize, width: usize, depth: usize) -> Self {
        let sizes: Vec<usize> = [d].into_iter().chain(std::iter::repeat_n(width, depth)).chain([OUTPUTS]).collect();
        let layer = |(index, pair): (usize, &[usize])| pattern(pair[0], pair[1], 2.0 / (pair[0] as f64).sqrt(), index);
        let layers: Vec<Array2<f32>> = sizes.windows(2).enumerate().map(layer).collect();
        Self { packed: layers.iter().map(Layer::new).collect(), layers }
    }

    pub fn weights(&self) -> usize {
        self.layers.iter().map(Array2::len).sum()
    }

    fn sizes(&self) -> (usize, usize) {
        (self.layers[0].nrows(), OUTPUTS)
    }

    /// The same as a tape, for rule methods.
    pub fn network(&self) -> Result<Network<f32>, String> {
        let mut network = Network::new(self.sizes().0);
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                network = network.activation(Activation::Relu).map_err(|e| e.to_string())?;
            }
            let linear = Linear::new(layer.t().to_owned(), None).map_err(|e| e.to_string())?;
            network = network.then(Op::Linear(linear)).map_err(|e| e.to_string())?;
        }
        Ok(network)
    }

    /// The two closures as a model.
    pub fn model(&self) -> impl Differentiable<f32, Error = limpid::Error> {
        let (mut forward, mut backward, layers) = (Pieces::default(), Pieces::default(), &self.packed);
        Function::new(self.sizes(), move |x: &ArrayRef2<f32>, z: &mut ArrayRef2<f32>| forward.forward(layers, x, z))
            .with_vjp(
                move |x: &ArrayRef2<f32>, ct: Cotangent<'_, f32>, z: &mut ArrayRef2<f32>, g: &mut ArrayRef2<f32>| {
                    backward.forward(layers, x, z)?;
                    backward.backward(layers, ct, z, g)
                },
            )
    }
}

/// Weights that stay, packed for both directions.
struct Layer {
    forward: Packed<f32>,
    backward: Packed<f32>,
}

impl Layer {
    fn new(weights: &Array2<f32>) -> Self {
        Self { forward: Packed::new(weights), backward: Packed::new(&weights.t()) }
    }
}

/// A batch in pieces, each of which a thread takes through all layers.
#[derive(Default)]
struct Pieces {
    passes: Vec<Passes>,
    by_output: Array2<f32>,
}

/// Weights that stay in a second-level cache while rows pass through all layers.
const CACHED_WEIGHTS: usize = 1 << 18;

/// Rows of a piece: of a small model some pieces for every thread, which may be slowed by other work, and a multiple of 12, as
/// products like; of a large one the whole batch, so that its weights come from memory once.
fn piece_rows(rows: usize, layers: &[Layer]) -> usize {
    let weights: usize = layers.iter().map(|layer| layer.forward.dim().0 * layer.forward.dim().1).sum();
    if par::threads() > 1 && weights <= CACHED_WEIGHTS {
        (rows / (4 * par::threads()) / 12 * 12).max(48)
    } else {
        rows.max(1)
    }
}

impl Pieces {
    fn forward(&mut self, layers: &[Layer], x: &ArrayRef2<f32>, z: &mut ArrayRef2<f32>) -> limpid::Result<()> {
        let size = piece_rows(x.nrows(), layers);
        self.passes.resize_with(x.nrows().div_ceil(size).max(self.passes.len()), Passes::default);
        let pieces = x.axis_chunks_iter(Axis(0), size).zip(z.axis_chunks_iter_mut(Axis(0), size));
        let pieces: Vec<_> = pieces.zip(&mut self.passes).collect();
        pieces.into_par_iter().with_max_len(1).try_for_each(|((x, z), passes)| passes.forward(layers, x, z))
    }

    fn backward(
        &mut self,
        layers: &[Layer],
        cotangent: Cotangent<'_, f32>,
        z: &ArrayRef2<f32>,
        gradient: &mut ArrayRef2<f32>,
    ) -> limpid::Result<()> {
        if self.by_output.dim() != z.dim() {
            self.by_output = Array2::zeros(z.raw_dim());
        }
        cotangent(z, &mut self.by_output);
        let size = piece_rows(z.nrows(), layers);
        let pieces = self.by_output.axis_chunks_iter(Axis(0), size).zip(gradient.axis_chunks_iter_mut(Axis(0), size));
        let pieces: Vec<_> = pieces.zip(&mut self.passes).collect();
        pieces.into_par_iter().with_max_len(1).try_for_each(|((ct, g), passes)| passes.backward(layers, ct, g))
    }
}

/// Buffers of a pass, used again by the next.
#[derive(Default)]
struct Passes {
    hidden: Vec<Array2<f32>>,
    gradients: Vec<Array2<f32>>,
    workspace: Workspace<f32>,
}

/// Makes the buffers long enough for this batch.
fn grow(buffers: &mut Vec<Array2<f32>>, layers: &[Layer], rows: usize) {
    if buffers.first().is_none_or(|buffer| buffer.nrows() < rows) {
        *buffers = layers[1..].iter().map(|layer| Array2::zeros((rows, layer.forward.dim().0))).collect();
    }
}

impl Passes {
    fn forward(
        &mut self,
        layers: &[Layer],
        x: ArrayView2<'_, f32>,
        mut z: ArrayViewMut2<'_, f32>,
    ) -> limpid::Result<()> {
        grow(&mut self.hidden, layers, x.nrows());
        let rows = Slice::from(..x.nrows());
        for (index, layer) in layers.iter().enumerate() {
            let (done, rest) = self.hidden.split_at_mut(index);
            let input = done.last().map_or(x.view(), |hidden| hidden.slice_axis(Axis(0), rows));
            match rest.first_mut() {
                Some(hidden) => {
                    let mut hidden = hidden.slice_axis_mut(Axis(0), rows);
                    self.workspace.product_packed_into(&input, &layer.forward, &mut hidden)?;
                    hidden.mapv_inplace(|h| h.max(0.0));
                }
                None => self.workspace.product_packed_into(&input, &layer.forward, &mut z)?,
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        layers: &[Layer],
        by_output: ArrayView2<'_, f32>,
        mut gradient: ArrayViewMut2<'_, f32>,
    ) -> limpid::Result<()> {
        grow(&mut self.gradients, layers, by_output.nrows());
        let rows = Slice::from(..by_output.nrows());
        for (index, layer) in layers.iter().enumerate().rev() {
            let (before, after) = self.gradients.split_at_mut(index);
            let by_output = after.first().map_or(by_output.view(), |after| after.slice_axis(Axis(0), rows));
            let Some(by_input) = before.last_mut() else {
                self.workspace.product_packed_into(&by_output, &layer.backward, &mut gradient)?;
                continue;
            };
            let mut by_input = by_input.slice_axis_mut(Axis(0), rows);
            self.workspace.product_packed_into(&by_output, &layer.backward, &mut by_input)?;
            Zip::from(by_input)
                .and(&self.hidden[index - 1].slice_axis(Axis(0), rows))
                .for_each(|g, &h| *g = if h > 0.0 { *g } else { 0.0 });
        }
        Ok(())
    }
}
