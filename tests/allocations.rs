//! What promises not to allocate. One test: the counter is that of the whole process.

use limpid::Seed;
use limpid::sae::{Activation, CompactSae, Precision, Sae};
use ndarray::Array1;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const D: usize = 48;
const M: usize = 400;

#[test]
fn a_compact_autoencoder_does_not_allocate() {
    let kinds = [
        Activation::Relu,
        Activation::TopK { k: 5, by_decoder_norm: true },
        Activation::BatchTopK { k: 4.0, by_decoder_norm: true, threshold: Some(0.8) },
        Activation::JumpRelu { threshold: Array1::from_elem(M, 0.3) },
        Activation::Gated { b_mag: Array1::zeros(M), r_mag: Array1::zeros(M) },
    ];
    for activation in kinds {
        for (precision, screened) in
            [(Precision::F32, true), (Precision::F16, false), (Precision::Bf16, true), (Precision::Int8, false)]
        {
            let sae = Sae::initialise(D, M, activation.clone(), Seed(2)).unwrap();
            let compact = CompactSae::new(&sae, precision, screened).unwrap();
            let (mut scratch, mut out) = (compact.scratch(), [0.0; D]);
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage();
            for sample in 0..4 {
                let x: [f32; D] = core::array::from_fn(|i| ((i * 7 + sample) % 11) as f32 - 5.0);
                compact.reconstruct_into(&x, &mut scratch, &mut out).unwrap();
            }
            assert_eq!((ALLOCATOR.current_usage(), ALLOCATOR.peak_usage()), (before, before), "{activation:?}");
        }
    }
}
