//! Autoencoders, their losses, their training and its checkpoints: no panic, no hang, no unbounded allocation.

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::math::merge::Bytes;
use limpid::sae::train::{Adam, LearningRate, Preset, SaeTraining, Trainer};
use limpid::sae::{
    Activation, AuxK, CompactSae, FoldScale, GeometricMedian, InputNormalisation, Loss, Precision, ReconstructionLoss,
    Sae, Sparsity, geometric_median, loss_and_gradient,
};
use ndarray::Array2;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    match source.below(6) {
        0 => run::<f32>(&mut source),
        1 => run::<f64>(&mut source),
        2 => compact(&mut source),
        3 => differentiate::<f64>(&mut source),
        4 => train::<f32>(&mut source),
        _ => hostile_checkpoint(&mut source),
    }
}

fn activation<T: Scalar>(source: &mut Source<'_>, m: usize) -> Activation<T> {
    let (k, by_decoder_norm) = (source.count(), source.flag());
    match source.below(7) {
        0 => Activation::Relu,
        1 => Activation::TopK { k, by_decoder_norm },
        2 => Activation::BatchTopK {
            k: source.number(),
            by_decoder_norm,
            threshold: source.flag().then(|| source.number()),
        },
        3 => Activation::JumpRelu { threshold: source.vector(m) },
        4 => Activation::Gated { b_mag: source.vector(m), r_mag: source.vector(m) },
        5 => Activation::GroupMax { k },
        _ => Activation::MatchingPursuit {
            residual_threshold: source.number(),
            max_iterations: source.flag().then(|| source.length()),
            stop_on_duplicate_support: source.flag(),
        },
    }
}

fn sae<T: Scalar>(source: &mut Source<'_>) -> Sae<T> {
    let (d, m) = (source.length(), source.length());
    let d_out = source.near(d);
    Sae {
        w_enc: source.matrix(d, m),
        b_enc: source.vector(m),
        w_dec: source.matrix(m, d_out),
        b_dec: source.vector(d_out),
        w_skip: (source.byte() > 220).then(|| source.matrix(d_out, d)),
        activation: activation(source, m),
        apply_b_dec_to_input: source.flag(),
        normalisation: match source.below(5) {
            0 => InputNormalisation::Scale(source.number()),
            1 => InputNormalisation::ConstantNorm,
            2 => InputNormalisation::LayerNorm { epsilon: source.number(), unbiased: source.flag() },
            _ => InputNormalisation::None,
        },
        layers: if source.byte() > 220 { source.below(4) } else { 1 },
        prefixes: if source.byte() > 220 { (0..source.below(4)).map(|_| source.count()).collect() } else { Vec::new() },
    }
}

fn run<T: Scalar>(source: &mut Source<'_>) {
    let sae = sae::<T>(source);
    let b = source.length();
    let x = source.matrix::<T>(b, sae.d_in());
    let _ = (sae.check(), sae.fold_decoder_norm(), sae.to_jump_relu());
    for convention in [FoldScale::Encoder, FoldScale::Bias] {
        let _ = (sae.fold_input_scale(convention), sae.fold_scale(source.number(), convention));
    }
    let _ = geometric_median(&x, GeometricMedian::default());
    let latents: Vec<usize> = (0..source.below(4)).map(|_| source.count()).collect();
    let _ = (sae.with_error(&x), sae.reconstruct(&x), sae.encode_subset(&x, &latents));
    let (Ok(dense), Ok(codes)) = (sae.encode(&x), sae.encode_sparse(&x)) else { return };
    if dense.iter().all(|f| !f.is_nan()) {
        assert_eq!(codes.to_dense(), dense);
    }
    let _ = (sae.decode(&dense), sae.decode_sparse(&codes));
}

fn compact(source: &mut Source<'_>) {
    let sae = sae::<f32>(source);
    let precision = source.pick(&[Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8]);
    let made = [false, true].map(|screened| CompactSae::new(&sae, precision, screened));
    let [Ok(plain), Ok(screened)] = made else { return };
    let (mut left, mut right, mut out) = (plain.scratch(), screened.scratch(), vec![0.0; source.near(sae.d_out())]);
    for _ in 0..source.below(4) {
        let x = source.vector::<f32>(sae.d_in()).to_vec();
        let _ = screened.reconstruct_into(&x, &mut right, &mut out);
        if let Ok(codes) = plain.encode_into(&x, &mut left)
            && codes.iter().all(|(_, f)| f.abs() < 1e30)
        {
            assert_eq!(codes, screened.encode_into(&x, &mut right).unwrap());
        }
    }
    hostile_image(source, &screened);
}

/// The written form with bytes changed: refused, or usable.
fn hostile_image(source: &mut Source<'_>, sae: &CompactSae) {
    let mut bytes = sae.to_bytes();
    if let Ok(read) = CompactSae::from_bytes(&bytes) {
        assert_eq!(&read, sae);
    }
    for _ in 0..1 + source.below(6) {
        let at = (source.below(256) << 8 | source.below(256)) % bytes.len();
        bytes[at] = source.byte();
    }
    bytes.truncate(bytes.len() - source.below(3) * source.below(60));
    let Ok(read) = CompactSae::from_bytes(&bytes) else { return };
    for width in 1..8 {
        let _ = read.encode_into(&vec![0.5; width], &mut read.scratch());
    }
}

fn loss<T: Scalar>(source: &mut Source<'_>) -> Loss {
    let coefficient = source.number();
    Loss {
        reconstruction: source.pick(&[ReconstructionLoss::Sum, ReconstructionLoss::Mean, ReconstructionLoss::Fvu]),
        sparsity: match source.below(5) {
            0 => Sparsity::Lp { coefficient, p: source.number(), root: source.flag(), decoder_norm: None },
            1 => Sparsity::l1_by_decoder_norm(coefficient),
            2 => Sparsity::L0 { coefficient },
            3 => Sparsity::Tanh { coefficient, scale: source.number() },
            _ => Sparsity::None,
        },
        aux: source.flag().then(|| AuxK { k: source.count(), coefficient: source.number(), ..AuxK::default() }),
        multi_top_k: (0..source.below(3)).map(|_| (source.count(), source.number())).collect(),
        ..Loss::default()
    }
}

fn differentiate<T: Scalar>(source: &mut Source<'_>) {
    let (sae, loss) = (sae::<T>(source), loss::<T>(source));
    let b = source.length();
    let x = source.matrix::<T>(b, sae.d_in());
    let y = source.flag().then(|| source.matrix::<T>(b, sae.d_out()));
    let dead: Vec<bool> = source.shares::<f64>(sae.latents()).iter().map(|&share| share > 0.5).collect();
    let _ = loss_and_gradient(&sae, &loss, &x, y.as_deref(), source.flag().then_some(&dead[..]));
}

fn trainer<T: Scalar>(source: &mut Source<'_>) -> Option<Trainer<T>> {
    let (d, m, k) = (1 + source.below(6), 1 + source.below(40), 1 + source.below(4));
    let recipe = source.pick(&Preset::ALL).recipe::<T>(d, m, k, 1 + source.below(30), source.seed()).ok()?;
    let mut training = recipe.training;
    if source.flag() {
        let (learning_rate, adam) =
            (LearningRate::constant(source.number()), Adam { epsilon: source.number(), ..Adam::default() });
        let (clip_norm, ema) = (source.flag().then(|| source.number()), source.flag().then(|| source.share()));
        training =
            SaeTraining { learning_rate, adam, loss: loss::<T>(source), clip_norm, ema, dead_after: 3, ..training };
    }
    Trainer::new(recipe.sae, training).ok()
}

fn train<T: Scalar>(source: &mut Source<'_>) {
    let Some(mut trainer) = trainer::<T>(source) else { return };
    for _ in 0..source.below(5) {
        let (b, d) = (source.length(), trainer.sae().d_in());
        let x = source.matrix::<T>(b, d);
        if trainer.step(&x, None).is_err() {
            continue;
        }
        let _ = trainer.resample(&x);
        let (bytes, _) = (trainer.checkpoint(), (trainer.average(), trainer.dead()));
        let mut resumed = Trainer::<T>::resume(trainer.settings().clone(), &bytes).expect("what was written is read");
        assert_eq!(resumed.checkpoint(), bytes);
        let same = Array2::from_elem((4, d), T::of(0.5));
        let _ = (trainer.step(&same, None), resumed.step(&same, None));
        assert_eq!(resumed.checkpoint(), trainer.checkpoint());
    }
}

/// A checkpoint with bytes changed and its sum mended: refused, or usable.
fn hostile_checkpoint(source: &mut Source<'_>) {
    let Some(mut trainer) = trainer::<f64>(source) else { return };
    let x = Array2::from_shape_fn((5, trainer.sae().d_in()), |(i, j)| (i * 3 + j) as f64 % 4.0 - 1.0);
    let _ = trainer.step(&x, None);
    let mut bytes = trainer.checkpoint();
    for _ in 0..1 + source.below(6) {
        let at = (source.below(256) << 8 | source.below(256)) % bytes.len();
        bytes[at] = source.byte();
    }
    bytes.truncate(bytes.len() - source.below(3) * source.below(60));
    let _ = Trainer::<f64>::resume(trainer.settings().clone(), &bytes);
    let Some(body) = bytes.len().checked_sub(8) else { return };
    let sum = bytes[..body]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    if let Ok(mut resumed) = Trainer::<f64>::resume(trainer.settings().clone(), &bytes) {
        let _ = (resumed.step(&x, None), resumed.checkpoint(), resumed.sae().encode(&x));
    }
}
