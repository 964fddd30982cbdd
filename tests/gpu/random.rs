//! Random words and signs are those of the processor, bit by bit.

use limpid::gpu::random::{projection, words};
use limpid::influence::estimators::{Entries, Projection, Side};
use limpid::{Error, Seed};
use rand::Rng;

use crate::support::{U, devices};

#[test]
pub(crate) fn words_are_those_of_the_processor() {
    for gpu in devices() {
        for (first, count, length) in [(0, 3, 256), (u64::from(u32::MAX) - 1, 4, 300), (u64::MAX - 1, 2, 1)] {
            let seed = Seed(0x1234_5678_9abc_def0);
            let made = words(&gpu, seed, 0xffff_0000_1111, (first, count), length).unwrap();
            let made = gpu.read_blocking(&made).unwrap();
            assert_eq!(made.dim(), (count, length.next_multiple_of(256)));
            for (row, made) in made.rows().into_iter().enumerate() {
                let mut stream = seed.stream(0xffff_0000_1111, first.wrapping_add(row as u64));
                assert!(made.iter().all(|&word| word == stream.next_u32()), "item {first} + {row}");
            }
        }
        assert_eq!(words(&gpu, Seed(0), 0, (0, 0), 5).unwrap().dim(), (0, 256));
    }
}

#[test]
pub(crate) fn projections_have_the_signs_of_the_processor() {
    for gpu in devices() {
        for k in [1, 31, 64, 300] {
            let by_signs = Projection::new(k, Seed(9));
            for (layer, side) in [(0, Side::Whole), (3, Side::Input), (70_000, Side::Output)] {
                let made = gpu.read_blocking(&projection(&gpu, &by_signs, (layer, side), 5, 40).unwrap()).unwrap();
                let expected = by_signs.rows(layer, side, 5, 40).unwrap();
                // a scale that single precision rounds, and signs
                let near = |(got, exact): (&f32, &f64)| (f64::from(*got) - exact).abs() <= exact.abs() * U;
                assert!(made.dim() == expected.dim() && made.iter().zip(&expected).all(near));
            }
        }
        let normal = Projection { entries: Entries::Normal, ..Projection::new(4, Seed(9)) };
        assert!(matches!(projection(&gpu, &normal, (0, Side::Whole), 0, 1), Err(Error::Unsupported { .. })));
        assert!(projection(&gpu, &Projection::new(0, Seed(9)), (0, Side::Whole), 0, 1).is_err());
    }
}
