//! Toy models, by [`superposition::backward`](crate::superposition).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayView1};

use super::{Job, broken, floats_mut, matrix, matrix_mut, outputs, part, part_mut};
use crate::math::block::BLOCK;
use crate::math::gemm;
use crate::math::reduce::sum;
use crate::superposition::backward::{BlockGradient, Objective, Parameters, Workspace, add_block};
use crate::superposition::{Architecture, ToyModel};
use crate::{Result, Scalar};

/// Sizes of a call, in the order of its parameters.
struct Sizes {
    runs: usize,
    n: usize,
    m: usize,
    blocks: usize,
    batch: usize,
}

impl Sizes {
    fn of(job: &Job<'_>) -> Self {
        let [runs, n, m, blocks, batch] = job.sizes();
        Self { runs, n, m, blocks, batch }
    }

    /// Numbers of the scratch of one run and block.
    fn scratch(&self) -> usize {
        (2 * self.m + self.n) * BLOCK
    }

    /// Parameters of a run.
    fn parameters(&self) -> usize {
        (self.m + 1) * self.n
    }
}

/// Densities and their inverses, weights of the errors, penalty.
fn law<'a>(job: &'a Job<'_>, sizes: &Sizes, run: usize) -> Result<&'a [f32]> {
    let length = 3 * sizes.n + 1;
    part(job.floats(2)?, job.size(8) + run * length, length)
}

/// Samples `(n, BLOCK)` of one block from its random words; 0 past the batch.
fn samples(job: &Job<'_>, sizes: &Sizes, run: usize, block: usize) -> Result<Array2<f32>> {
    let law = law(job, sizes, run)?;
    let start = job.size(9) + (run * sizes.blocks + block) * sizes.n * BLOCK;
    let words = part(job.words(3)?, start, sizes.n * BLOCK)?;
    let value = job.word(6);
    Ok(Array2::from_shape_fn((sizes.n, BLOCK), |(i, s)| {
        let u = (words[i * BLOCK + s] >> 8) as f32 / (1 << 24) as f32;
        if u >= law[i] || block * BLOCK + s >= sizes.batch {
            return 0.0;
        }
        let x = u * law[sizes.n + i];
        match value {
            1 => x + x - 1.0,
            2 => 1.0,
            _ => x,
        }
    }))
}

/// The model of a run.
fn model(job: &Job<'_>, sizes: &Sizes, run: usize) -> Result<ToyModel<f32>> {
    let start = job.size(7) + run * sizes.parameters();
    let theta = job.floats(1)?;
    let weight = matrix(theta, start, (sizes.m, sizes.n), sizes.n)?.to_owned();
    let bias = part(theta, start + sizes.m * sizes.n, sizes.n)?;
    let architecture = match job.word(5) {
        0 => Architecture::Linear,
        2 => Architecture::ReluHidden,
        _ => Architecture::ReluOutput,
    };
    ToyModel::new(architecture, weight, ArrayView1::from(bias).to_owned())
}

/// Losses, and what the gradients are made of.
pub(in crate::gpu) fn forward(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [scratch, losses] = outputs(out)?;
    let sizes = Sizes::of(job);
    for run in 0..sizes.runs {
        let law = law(job, &sizes, run)?;
        let objective = Objective { weight: part(law, 2 * sizes.n, sizes.n)?.to_vec(), hidden_l1: law[3 * sizes.n] };
        let parameters = Parameters::new(&model(job, &sizes, run)?);
        let (mut workspace, mut gradient) = (Workspace::new(sizes.n, sizes.m), BlockGradient::new(&parameters));
        for block in 0..sizes.blocks {
            let input = samples(job, &sizes, run, block)?;
            let rows = BLOCK.min(sizes.batch.saturating_sub(block * BLOCK));
            gradient.clear();
            // what the last lanes leave alone is 0
            workspace = if rows < BLOCK { Workspace::new(sizes.n, sizes.m) } else { workspace };
            let input = input.as_slice().ok_or(broken())?;
            add_block(&parameters, &objective, input, rows, &mut workspace, &mut gradient);
            let at = run * sizes.blocks + block;
            let to = part_mut(floats_mut(scratch), job.size(10) + at * sizes.scratch(), sizes.scratch())?;
            let made = [&workspace.hidden, &workspace.back, &workspace.residual];
            let made = made.into_iter().flat_map(|made| made.iter());
            to.iter_mut().zip(made).for_each(|(to, made)| *to = *made);
            part_mut(floats_mut(losses), at, 1)?.fill(f32::of(gradient.loss));
        }
    }
    Ok(())
}

/// Gradients of weights and biases.
pub(in crate::gpu) fn gradients(job: &Job<'_>, out: &mut [Vec<u32>]) -> Result<()> {
    let [gradient] = outputs(out)?;
    let sizes = Sizes::of(job);
    let (n, m) = (sizes.n, sizes.m);
    for run in 0..sizes.runs {
        let start = job.size(11) + run * sizes.parameters();
        let (mut by_weight, mut by_bias) = (Array2::zeros((m, n)), vec![0.0_f32; n]);
        for block in 0..sizes.blocks {
            let from = job.size(10) + (run * sizes.blocks + block) * sizes.scratch();
            let made = |first: usize, rows| matrix(job.floats(4)?, from + first * BLOCK, (rows, BLOCK), BLOCK);
            let (hidden, back, delta) = (made(0, m)?, made(m, m)?, made(2 * m, n)?);
            gemm::add_product_into(&back, &samples(job, &sizes, run, block)?.t(), &mut by_weight)?;
            gemm::add_product_into(&hidden, &delta.t(), &mut by_weight)?;
            by_bias.iter_mut().zip(delta.rows()).for_each(|(to, delta)| *to += sum(&delta));
        }
        matrix_mut(floats_mut(gradient), start, (m, n), n)?.assign(&by_weight);
        part_mut(floats_mut(gradient), start + m * n, n)?.copy_from_slice(&by_bias);
    }
    Ok(())
}
