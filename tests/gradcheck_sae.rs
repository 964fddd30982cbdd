//! Every hand-written gradient of sparse autoencoders against central differences in double precision.

use limpid::Seed;
use limpid::math::random::fill_normal;
use limpid::sae::{
    Activation, AuxK, AuxNormalisation, GateLoss, LayerNorms, Loss, ReconstructionLoss, Sae, Sparsity, StraightThrough,
    loss_and_gradient,
};
use ndarray::{Array1, Array2};

const WIDTH: usize = 4;
const LATENTS: usize = 6;
const ROWS: usize = 9;

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
    let mut values = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(23).stream(0, item), 0.6, values.as_slice_mut().unwrap());
    values
}

fn vector(len: usize, item: u64) -> Array1<f64> {
    noise(1, len, item).row(0).to_owned()
}

fn sae(activation: Activation<f64>, d_out: usize) -> Sae<f64> {
    let mut sae =
        Sae::new(noise(WIDTH, LATENTS, 0), vector(LATENTS, 1), noise(LATENTS, d_out, 2), vector(d_out, 3), activation)
            .unwrap();
    sae.apply_b_dec_to_input = d_out == WIDTH;
    sae
}

fn jump() -> Activation<f64> {
    Activation::JumpRelu { threshold: vector(LATENTS, 4).mapv(f64::abs) }
}

fn gated() -> Activation<f64> {
    Activation::Gated { b_mag: vector(LATENTS, 5), r_mag: vector(LATENTS, 6) }
}

fn top_k() -> Activation<f64> {
    Activation::TopK { k: 3, by_decoder_norm: false }
}

fn with_sparsity(sparsity: Sparsity) -> Loss {
    Loss { sparsity, ..Loss::default() }
}

fn lp(p: f64, root: bool, decoder_norm: Option<LayerNorms>) -> Loss {
    with_sparsity(Sparsity::Lp { coefficient: 0.3, p, root, decoder_norm })
}

fn aux(normalisation: AuxNormalisation, rectify: bool) -> Loss {
    Loss { aux: Some(AuxK { k: 2, coefficient: 0.7, normalisation, rectify, scale_by_dead: true }), ..Loss::default() }
}

/// Autoencoder, loss, and whether the auxiliary residual is what makes differences differ (it is held constant).
fn cases() -> Vec<(&'static str, Sae<f64>, Loss)> {
    let changed = |activation, change: &dyn Fn(&mut Sae<f64>)| {
        let mut sae = sae(activation, WIDTH);
        change(&mut sae);
        sae
    };
    let relu = || sae(Activation::Relu, WIDTH);
    vec![
        ("relu l1", relu(), lp(1.0, false, None)),
        ("relu l1 mean", relu(), Loss { reconstruction: ReconstructionLoss::Mean, ..lp(1.0, false, None) }),
        ("relu fvu", relu(), Loss { reconstruction: ReconstructionLoss::Fvu, ..Loss::default() }),
        ("relu by norm", relu(), lp(1.0, false, Some(LayerNorms::Sum))),
        ("relu p", relu(), lp(0.6, false, None)),
        ("relu root", relu(), lp(2.0, true, Some(LayerNorms::Sum))),
        ("relu tanh", relu(), with_sparsity(Sparsity::Tanh { coefficient: 0.2, scale: 3.0 })),
        ("crosscoder", changed(Activation::Relu, &|sae| sae.layers = 2), lp(1.0, false, Some(LayerNorms::Sum))),
        (
            "crosscoder, joint norms",
            changed(Activation::Relu, &|sae| sae.layers = 2),
            lp(1.0, false, Some(LayerNorms::Joint)),
        ),
        ("top-k", sae(top_k(), WIDTH), Loss::default()),
        ("multi-top-k", sae(top_k(), WIDTH), Loss { multi_top_k: vec![(5, 0.3)], ..Loss::default() }),
        ("group-max", sae(Activation::GroupMax { k: 3 }, WIDTH), Loss::default()),
        (
            "batch top-k",
            sae(Activation::BatchTopK { k: 1.7, by_decoder_norm: true, threshold: None }, WIDTH),
            Loss::default(),
        ),
        (
            "matryoshka",
            changed(top_k(), &|sae| sae.prefixes = vec![0, 2, 6]),
            Loss { prefix_weights: vec![0.2, 1.0, 0.5], ..Loss::default() },
        ),
        ("transcoder", sae(Activation::Relu, 3), lp(1.0, false, None)),
        (
            "skip transcoder",
            changed(Activation::Relu, &|sae| sae.w_skip = Some(noise(WIDTH, WIDTH, 7))),
            Loss::default(),
        ),
        (
            "gated, free",
            sae(gated(), WIDTH),
            Loss { gate: GateLoss { frozen_decoder: false }, ..lp(1.0, false, Some(LayerNorms::Sum)) },
        ),
        (
            "jump-relu",
            sae(jump(), WIDTH),
            Loss {
                straight_through: StraightThrough { bandwidth: 1e-9, to_input: false, pre_activation: 0.4 },
                ..Loss::default()
            },
        ),
    ]
}

fn dead() -> Vec<bool> {
    (0..LATENTS).map(|i| i % 2 == 0).collect()
}

fn total(sae: &Sae<f64>, loss: &Loss) -> f64 {
    let (x, y) = (noise(ROWS, WIDTH, 8), noise(ROWS, sae.d_out(), 9));
    let target = (sae.d_out() != WIDTH).then_some(&*y);
    loss_and_gradient(sae, loss, &x, target, Some(&dead())).unwrap().terms.total()
}

/// Central differences in one flat parameter.
fn check(what: &str, sae: &Sae<f64>, loss: &Loss, gradient: &[f64], shift: impl Fn(&mut Sae<f64>, usize, f64)) {
    const STEP: f64 = 1e-6;
    for (index, &derivative) in gradient.iter().enumerate() {
        let at = |by: f64| {
            let mut moved = sae.clone();
            shift(&mut moved, index, by);
            total(&moved, loss)
        };
        let numerical = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let close = (numerical - derivative).abs() < 5e-8 * (1.0 + numerical.abs());
        assert!(close, "{what}[{index}]: {derivative} {numerical}");
    }
}

fn at(matrix: &mut Array2<f64>, index: usize, by: f64) {
    let columns = matrix.ncols();
    matrix[[index / columns, index % columns]] += by;
}

#[test]
fn every_parameter_of_every_variant() {
    for (name, sae, loss) in cases() {
        let (x, y) = (noise(ROWS, WIDTH, 8), noise(ROWS, sae.d_out(), 9));
        let target = (sae.d_out() != WIDTH).then_some(&*y);
        let g = loss_and_gradient(&sae, &loss, &x, target, Some(&dead())).unwrap().gradient;
        let flat = |x: &Array2<f64>| x.iter().copied().collect::<Vec<_>>();
        check(&format!("{name}: w_enc"), &sae, &loss, &flat(&g.w_enc), |sae, i, by| at(&mut sae.w_enc, i, by));
        check(&format!("{name}: w_dec"), &sae, &loss, &flat(&g.w_dec), |sae, i, by| at(&mut sae.w_dec, i, by));
        check(&format!("{name}: b_enc"), &sae, &loss, &g.b_enc.to_vec(), |sae, i, by| sae.b_enc[i] += by);
        check(&format!("{name}: b_dec"), &sae, &loss, &g.b_dec.to_vec(), |sae, i, by| sae.b_dec[i] += by);
        if let Some(w_skip) = &g.w_skip {
            check(&format!("{name}: w_skip"), &sae, &loss, &flat(w_skip), |sae, i, by| {
                at(sae.w_skip.as_mut().unwrap(), i, by);
            });
        }
        if let Some((b_mag, r_mag)) = &g.magnitude {
            let of = |pick: fn(&mut Array1<f64>, &mut Array1<f64>, usize, f64)| {
                move |sae: &mut Sae<f64>, i: usize, by: f64| {
                    if let Activation::Gated { b_mag, r_mag } = &mut sae.activation {
                        pick(b_mag, r_mag, i, by);
                    }
                }
            };
            check(&format!("{name}: b_mag"), &sae, &loss, &b_mag.to_vec(), of(|b, _, i, by| b[i] += by));
            check(&format!("{name}: r_mag"), &sae, &loss, &r_mag.to_vec(), of(|_, r, i, by| r[i] += by));
        }
        if let Some(threshold) = &g.threshold {
            // outside the window of the estimator only the pre-activation term is left
            check(&format!("{name}: threshold"), &sae, &loss, &threshold.to_vec(), |sae, i, by| {
                if let Activation::JumpRelu { threshold } = &mut sae.activation {
                    threshold[i] += by;
                }
            });
        }
    }
}

/// The auxiliary term holds the residual constant, which differences do not: its gradient by the encoder of dead latents,
/// which the residual does not depend on, is compared alone.
#[test]
fn the_auxiliary_term_reaches_dead_encoders() {
    for (normalisation, rectify) in [
        (AuxNormalisation::None, false),
        (AuxNormalisation::DataVariance, true),
        (AuxNormalisation::ResidualVariance, true),
    ] {
        let mut sae = sae(Activation::TopK { k: 2, by_decoder_norm: false }, WIDTH);
        // dead latents are never chosen: a move of theirs leaves the reconstruction as it is
        (0..LATENTS).step_by(2).for_each(|i| sae.b_enc[i] = if rectify { 0.05 } else { -9.0 });
        (1..LATENTS).step_by(2).for_each(|i| sae.b_enc[i] = 9.0);
        let loss = aux(normalisation, rectify);
        let g = loss_and_gradient(&sae, &loss, &noise(ROWS, WIDTH, 8), None, Some(&dead())).unwrap().gradient;
        let dead_only: Vec<f64> = g.w_enc.indexed_iter().map(|((_, i), &g)| if i % 2 == 0 { g } else { 0.0 }).collect();
        assert!(dead_only.iter().any(|g| g.abs() > 1e-3));
        check("aux", &sae, &loss, &dead_only, |sae, index, by| {
            if (index % LATENTS).is_multiple_of(2) {
                at(&mut sae.w_enc, index, by);
            }
        });
    }
}
