//! Autoencoders that run sample by sample: the same choice with and without screening, and as by whole rows.

use limpid::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use limpid::math::random::fill_normal;
use limpid::sae::{Activation, CompactSae, InputNormalisation, Precision, Sae};
use limpid::{Error, Seed};
use ndarray::{Array1, Array2};

const D: usize = 48;
const M: usize = 400;

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut x = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(8).stream(0, item), 1.0, x.as_slice_mut().unwrap());
    x
}

fn kinds() -> Vec<Activation<f32>> {
    let batch = |threshold| Activation::BatchTopK { k: 4.0, by_decoder_norm: true, threshold: Some(threshold) };
    vec![
        Activation::Relu,
        Activation::TopK { k: 5, by_decoder_norm: false },
        Activation::TopK { k: 5, by_decoder_norm: true },
        Activation::TopK { k: M, by_decoder_norm: false },
        batch(0.8),
        batch(-0.8),
        Activation::JumpRelu { threshold: Array1::from_shape_fn(M, |i| (i as f32 - 100.0) * 0.01) },
        Activation::Gated {
            b_mag: Array1::from_shape_fn(M, |i| (i % 5) as f32 * 0.1 - 0.2),
            r_mag: Array1::from_shape_fn(M, |i| (i % 3) as f32 * 0.2 - 0.2),
        },
    ]
}

fn sae(activation: Activation<f32>) -> Sae<f32> {
    let mut sae = Sae::initialise(D, M, activation, Seed(2)).unwrap();
    sae.b_enc = Array1::from_shape_fn(M, |i| 0.02 * (i % 9) as f32 - 0.05);
    sae.b_dec = Array1::from_shape_fn(D, |i| 0.1 * (i % 4) as f32);
    sae.w_dec.row_mut(3).mapv_inplace(|w| 3.0 * w);
    sae
}

/// The autoencoder whose weights are what the precision makes of them.
fn rounded(sae: &Sae<f32>, precision: Precision) -> Sae<f32> {
    let round = |w: &Array2<f32>| match precision {
        Precision::F32 => w.clone(),
        Precision::F16 => w.mapv(|w| f16_to_f32(f16_from_f32(w))),
        Precision::Bf16 => w.mapv(|w| bf16_to_f32(bf16_from_f32(w))),
    };
    Sae { w_enc: round(&sae.w_enc), w_dec: round(&sae.w_dec), w_skip: sae.w_skip.as_ref().map(round), ..sae.clone() }
}

fn check(sae: &Sae<f32>, precision: Precision) {
    let compact = [false, true].map(|screened| CompactSae::new(sae, precision, screened).unwrap());
    let mut scratch = compact.each_ref().map(CompactSae::scratch);
    let reference = rounded(sae, precision);
    let x = noise(30, D, 1);
    let (features, reconstruction) = (reference.encode(&x).unwrap(), reference.reconstruct(&x).unwrap());
    for (b, x) in x.rows().into_iter().enumerate() {
        let x = x.as_slice().unwrap();
        let plain = compact[0].encode_into(x, &mut scratch[0]).unwrap().to_vec();
        let screened = compact[1].encode_into(x, &mut scratch[1]).unwrap();
        assert_eq!(plain, screened, "{:?}", sae.activation);
        let mut dense = Array1::<f32>::zeros(M);
        plain.iter().for_each(|&(latent, feature)| dense[latent as usize] = feature);
        assert!((&dense - &features.row(b)).iter().all(|e| e.abs() < 2e-5), "{:?}", sae.activation);
        let mut out = [0.0; D];
        compact[1].reconstruct_into(x, &mut scratch[1], &mut out).unwrap();
        let difference = &ndarray::aview1(&out) - &reconstruction.row(b);
        assert!(difference.iter().all(|e| e.abs() < 1e-3), "{:?} {difference}", sae.activation);
    }
}

#[test]
fn every_activation_and_precision_gives_the_codes_of_whole_rows() {
    for activation in kinds() {
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            check(&sae(activation.clone()), precision);
        }
    }
}

#[test]
fn normalisation_and_skip_are_applied() {
    let normalisations = [
        InputNormalisation::Scale(0.3),
        InputNormalisation::ConstantNorm,
        InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: true },
    ];
    for normalisation in normalisations {
        let mut sae = sae(Activation::TopK { k: 6, by_decoder_norm: false });
        sae.normalisation = normalisation;
        sae.w_skip = Some(noise(D, D, 7) * 0.1);
        check(&sae, Precision::F32);
    }
}

#[test]
fn few_latents_are_computed_where_few_can_be_active() {
    let mut sae = Sae::initialise(512, 2048, Activation::TopK { k: 32, by_decoder_norm: false }, Seed(2)).unwrap();
    sae.b_enc.fill(0.0);
    let compact = CompactSae::new(&sae, Precision::F32, true).unwrap();
    let mut scratch = compact.scratch();
    let x = noise(1, 512, 3);
    assert_eq!(compact.encode_into(x.as_slice().unwrap(), &mut scratch).unwrap().len(), 32);
    assert!(scratch.computed() < 300, "{}", scratch.computed());
}

#[test]
fn equal_scores_go_to_the_lower_latent() {
    let (w_enc, w_dec) = (Array2::ones((4, 10)), Array2::ones((10, 4)));
    let activation = Activation::TopK { k: 3, by_decoder_norm: false };
    let sae = Sae::new(w_enc, Array1::zeros(10), w_dec, Array1::zeros(4), activation).unwrap();
    for screened in [false, true] {
        let compact = CompactSae::new(&sae, Precision::Bf16, screened).unwrap();
        let mut scratch = compact.scratch();
        assert_eq!(compact.encode_into(&[1.0; 4], &mut scratch).unwrap(), [(0, 4.0), (1, 4.0), (2, 4.0)]);
        assert_eq!(compact.encode_into(&[-1.0; 4], &mut scratch).unwrap(), []);
    }
}

#[test]
fn what_cannot_run_is_refused() {
    let refused = |activation| CompactSae::new(&sae(activation), Precision::F32, true).unwrap_err();
    let batch = Activation::BatchTopK { k: 4.0, by_decoder_norm: false, threshold: None };
    assert!(matches!(refused(batch), Error::Unsupported { .. }));
    assert!(matches!(refused(Activation::GroupMax { k: 4 }), Error::Unsupported { .. }));
    let mut wide = sae(Activation::Relu);
    wide.w_enc[[2, 3]] = 1e5;
    assert!(matches!(CompactSae::new(&wide, Precision::F16, false), Err(Error::OutOfRange { what: "w_enc", .. })));
    let compact = CompactSae::new(&sae(Activation::Relu), Precision::F32, true).unwrap();
    let mut scratch = compact.scratch();
    assert!(matches!(compact.encode_into(&[0.0; 3], &mut scratch), Err(Error::Shape { what: "x", .. })));
    let mut x = [0.0; D];
    x[5] = f32::NAN;
    assert!(matches!(compact.encode_into(&x, &mut scratch), Err(Error::NotFinite { what: "x", index: 5 })));
    let mut other = CompactSae::new(&sae(Activation::Relu), Precision::F32, false).unwrap().scratch();
    assert!(matches!(compact.encode_into(&[0.0; D], &mut other), Err(Error::Unsupported { .. })));
}
