//! Encoding and decoding against the processor.

use limpid::gpu::{GpuContext, GpuSae, GpuSettings};
use limpid::sae::{Activation, InputNormalisation, Sae};
use limpid::{Error, Seed};
use ndarray::{Array1, Array2};

use crate::support::{device, devices, noise, within};

const D: usize = 24;
const M: usize = 300;

fn sae(activation: Activation<f32>) -> Sae<f32> {
    let mut sae = Sae::initialise(D, M, activation, Seed(4)).unwrap();
    sae.b_enc = Array1::from_iter(noise(1, M, 8)) * 0.1;
    sae.b_dec = Array1::from_iter(noise(1, D, 9)) * 0.3;
    sae.normalisation = InputNormalisation::ConstantNorm;
    // dictionary vectors of different lengths
    sae.w_dec.rows_mut().into_iter().enumerate().for_each(|(i, mut row)| row *= 0.5 + (i % 7) as f32 / 4.0);
    sae
}

fn activations() -> Vec<Activation<f32>> {
    vec![
        Activation::Relu,
        Activation::TopK { k: 9, by_decoder_norm: false },
        Activation::TopK { k: 9, by_decoder_norm: true },
        Activation::JumpRelu { threshold: Array1::from_iter(noise(1, M, 3)) },
        Activation::BatchTopK { k: 3.5, by_decoder_norm: false, threshold: Some(0.4) },
        Activation::BatchTopK { k: 3.5, by_decoder_norm: true, threshold: Some(0.4) },
        Activation::BatchTopK { k: 3.5, by_decoder_norm: true, threshold: Some(-1.0) },
    ]
}

/// Features that differ by no more than rounding; where the choice itself may differ, few do.
fn agrees(gpu: &GpuContext, activation: Activation<f32>, rows: usize) {
    let (sae, x, name) = (sae(activation.clone()), noise(rows, D, 2), format!("{activation:?}"));
    let name = name.split(['{', '(']).next().unwrap_or_default();
    let on_device = GpuSae::new(gpu, &sae).unwrap();
    let features = on_device.encode(&x).unwrap();
    let codes = features.read_blocking(gpu).unwrap();
    let expected = sae.encode(&x).unwrap();
    assert_eq!((codes.rows(), codes.latents()), (rows, M));
    within(&codes.to_dense(), &expected.mapv(f64::from), &Array2::from_elem((rows, M), 1e-5), name);
    let out = gpu.read_blocking(&on_device.decode(&features).unwrap()).unwrap();
    let exact = sae.decode(&expected).unwrap().mapv(f64::from);
    let bound = exact.mapv(|_| 2e-5);
    within(&out, &exact, &bound, name);
}

#[test]
pub(crate) fn features_and_reconstructions_agree() {
    for gpu in devices() {
        for activation in activations() {
            for rows in [1, 13] {
                agrees(&gpu, activation.clone(), rows);
            }
        }
    }
}

#[test]
pub(crate) fn ties_between_tiles_go_to_the_lower_latent() {
    for gpu in devices() {
        let mut same = sae(Activation::TopK { k: 4, by_decoder_norm: false });
        same.normalisation = InputNormalisation::None;
        same.w_enc.fill(0.0);
        same.b_enc.fill(0.25);
        let codes = GpuSae::new(&gpu, &same).unwrap().encode(&noise(60, D, 1)).unwrap();
        let codes = codes.read_blocking(&gpu).unwrap();
        for row in 0..60 {
            assert_eq!(codes.row(row).collect::<Vec<_>>(), [(0, 0.25), (1, 0.25), (2, 0.25), (3, 0.25)]);
        }
    }
}

#[test]
pub(crate) fn what_comes_back_is_what_went() {
    for gpu in devices() {
        for activation in activations() {
            let sae = sae(activation);
            assert_eq!(GpuSae::new(&gpu, &sae).unwrap().download_blocking().unwrap(), sae);
        }
    }
}

#[test]
pub(crate) fn no_samples_are_no_features() {
    for gpu in devices() {
        for activation in activations() {
            let on_device = GpuSae::new(&gpu, &sae(activation)).unwrap();
            let features = on_device.encode(&Array2::zeros((0, D))).unwrap();
            assert_eq!(features.read_blocking(&gpu).unwrap().rows(), 0);
            assert_eq!(on_device.decode(&features).unwrap().dim(), (0, D));
        }
    }
}

#[test]
pub(crate) fn bad_inputs_and_other_kinds_are_refused() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let on_device = GpuSae::new(&gpu, &sae(Activation::Relu)).unwrap();
    assert!(matches!(on_device.encode(&noise(2, D + 1, 1)), Err(Error::Shape { what: "x", .. })));
    let mut x = noise(2, D, 1);
    x[[1, 0]] = f32::NAN;
    assert_eq!(on_device.encode(&x).unwrap_err(), Error::NotFinite { what: "x", index: D });
    let groups = sae(Activation::GroupMax { k: 3 });
    assert!(matches!(GpuSae::new(&gpu, &groups), Err(Error::Unsupported { .. })));
    let batch = sae(Activation::BatchTopK { k: 3.0, by_decoder_norm: false, threshold: None });
    assert!(matches!(GpuSae::new(&gpu, &batch), Err(Error::Unsupported { .. })));
}
