//! Autoencoders that run sample by sample: the same choice with and without screening, and as by whole rows.

use limpid::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use limpid::math::merge::Bytes;
use limpid::math::random::fill_normal;
use limpid::sae::{Activation, CompactSae, InputNormalisation, Precision, Sae};
use limpid::{Error, Seed};
use ndarray::{Array1, Array2};

const D: usize = 48;
const M: usize = 400;
const PRECISIONS: [Precision; 4] = [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8];

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

/// Rows in 8 bits, and back.
fn in_steps(w: &Array2<f32>) -> Array2<f32> {
    let mut w = w.clone();
    for mut row in w.rows_mut() {
        let scale = row.iter().fold(0.0_f32, |most, w| most.max(w.abs())) / 127.0;
        row.mapv_inplace(|w| if scale > 0.0 { (w / scale).round() * scale } else { 0.0 });
    }
    w
}

/// The autoencoder whose weights are what the precision makes of them.
fn rounded(sae: &Sae<f32>, precision: Precision) -> Sae<f32> {
    let round = |w: &Array2<f32>| match precision {
        Precision::F32 => w.clone(),
        Precision::F16 => w.mapv(|w| f16_to_f32(f16_from_f32(w))),
        Precision::Bf16 => w.mapv(|w| bf16_to_f32(bf16_from_f32(w))),
        Precision::Int8 => in_steps(w),
    };
    let w_enc = round(&sae.w_enc.t().to_owned()).reversed_axes();
    Sae { w_enc, w_dec: round(&sae.w_dec), w_skip: sae.w_skip.as_ref().map(round), ..sae.clone() }
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
        for precision in PRECISIONS {
            check(&sae(activation.clone()), precision);
        }
    }
}

#[test]
fn what_is_written_runs_as_before() {
    let x = noise(1, D, 5).into_raw_vec_and_offset().0;
    for (activation, precision, screened) in kinds()
        .into_iter()
        .zip(PRECISIONS.into_iter().cycle())
        .zip([true, false].into_iter().cycle())
        .map(|((a, p), s)| (a, p, s))
    {
        let mut sae = sae(activation);
        sae.normalisation = InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: screened };
        sae.w_skip = (!screened).then(|| noise(D, D, 7) * 0.1);
        let compact = CompactSae::new(&sae, precision, screened).unwrap();
        let bytes = compact.to_bytes();
        assert_eq!(CompactSae::from_bytes(&bytes).unwrap(), compact);
        let linked = CompactSae::linked(bytes.clone().leak()).unwrap();
        assert_eq!((linked.to_bytes(), linked.bytes()), (bytes, compact.bytes()));
        let run = |sae: &CompactSae| {
            let (mut scratch, mut out) = (sae.scratch(), [0.0; D]);
            sae.reconstruct_into(&x, &mut scratch, &mut out).unwrap();
            (sae.encode_into(&x, &mut scratch).unwrap().to_vec(), out)
        };
        assert_eq!(run(&linked), run(&compact));
    }
}

#[test]
fn damaged_bytes_are_refused_or_stay_finite() {
    let sae = Sae::initialise(5, 7, Activation::TopK { k: 2, by_decoder_norm: true }, Seed(2)).unwrap();
    let bytes = CompactSae::new(&sae, Precision::Int8, true).unwrap().to_bytes();
    for length in 0..bytes.len() {
        assert!(CompactSae::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(matches!(CompactSae::from_bytes(&[&bytes[..], &[0]].concat()), Err(Error::Parse { what: "the end", .. })));
    for at in 0..bytes.len() {
        for value in [0, 1, 127, 255] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(sae) = CompactSae::from_bytes(&damaged) {
                let x = [1.0, -1.0, 0.5, 0.0, 2.0];
                let _ = sae.encode_into(&x, &mut sae.scratch());
            }
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
