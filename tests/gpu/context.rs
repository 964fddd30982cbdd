//! Contexts: many of them, several at once, and lost ones.

use std::thread;

use limpid::gpu::{GpuAdapter, GpuContext, GpuSettings, gemm};
use limpid::{Error, GpuFault};
use ndarray::{Array2, array};

use crate::support::{device, narrow, noise};

fn square(gpu: &GpuContext) -> Result<Array2<f32>, Error> {
    let a = gpu.upload(&array![[1.0, 2.0], [3.0, 4.0]])?;
    gpu.read_blocking(&gemm::product(gpu, &a, &a)?)
}

#[test]
fn hundreds_of_contexts_come_and_go() {
    if device(GpuSettings::default()).is_none() {
        return;
    }
    let open = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    let mut before = 0;
    for round in 0..200 {
        let gpu = GpuContext::new(GpuSettings::default()).unwrap();
        if round % 50 == 0 {
            assert_eq!(square(&gpu).unwrap(), array![[7.0, 10.0], [15.0, 22.0]]);
        }
        drop(gpu);
        if round == 20 {
            before = open();
        }
    }
    // other tests open devices of their own meanwhile
    assert!(open() < before + 100, "{} files are open, {before} were", open());
}

#[test]
fn two_threads_have_a_context_each_and_share_one() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let own = GpuContext::new(GpuSettings::default()).unwrap();
                for _ in 0..10 {
                    assert_eq!(square(&own).unwrap(), array![[7.0, 10.0], [15.0, 22.0]]);
                    assert_eq!(square(&gpu).unwrap(), array![[7.0, 10.0], [15.0, 22.0]]);
                }
            });
        }
    });
}

#[test]
fn a_lost_device_says_so_and_the_next_one_works() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let a = gpu.upload(&noise(4, 4, 0)).unwrap();
    gpu.destroy();
    assert!(gpu.is_lost() && gpu.message().is_some());
    let lost = |error: Error| assert!(matches!(error, Error::Gpu { fault: GpuFault::Lost, .. }), "{error}");
    lost(gpu.upload(&noise(4, 4, 0)).unwrap_err());
    lost(gemm::product(&gpu, &a, &a).unwrap_err());
    lost(gpu.read_blocking(&a).unwrap_err());
    lost(gpu.submit().unwrap_err());
    let next = GpuContext::new(GpuSettings::default()).unwrap();
    assert_eq!(square(&next).unwrap(), array![[7.0, 10.0], [15.0, 22.0]]);
}

#[test]
fn an_adapter_that_does_not_exist_is_an_error() {
    let settings = GpuSettings { adapter: GpuAdapter::Named("no such adapter".to_owned()), ..GpuSettings::default() };
    let error = GpuContext::new(settings).unwrap_err();
    assert!(matches!(error, Error::Gpu { fault: GpuFault::NoAdapter, .. }));
}

#[test]
fn more_calls_than_are_sent_together_keep_their_order() {
    let Some(gpu) = device(narrow(1 << 16)) else { return };
    let mut sum = gpu.zeros::<f32>(1, 1).unwrap();
    let one = gpu.upload(&array![[1.0_f32]]).unwrap();
    for _ in 0..700 {
        gemm::multiply_into(&gpu, &gemm::Product { add: true, ..gemm::Product::new(&one, &one) }, &mut sum).unwrap();
    }
    assert_eq!(gpu.read_blocking(&sum).unwrap(), array![[700.0]]);
}

#[test]
fn several_arrays_come_back_together() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let read = |arrays| pollster::block_on(gpu.read_many::<f32, 4>(arrays));
    // more than is read at once, so that one array comes in two parts
    let sizes = [(1, 1), (0, 3), (4500, 3000), (2500, 3000)];
    let values = sizes.map(|(rows, columns)| Array2::from_shape_fn((rows, columns), |(r, c)| (r * columns + c) as f32));
    let [a, b, c, d] = &values.each_ref().map(|values| gpu.upload(values).unwrap());
    assert!(read([a, b, c, d]).unwrap() == values);
    let [.., last] = read([b, b, b, a]).unwrap();
    assert_eq!(last, values[0]);
    let Some(other) = device(GpuSettings::default()) else { return };
    let elsewhere = other.zeros(1, 1).unwrap();
    assert!(matches!(read([a, b, a, &elsewhere]), Err(Error::Unsupported { .. })));
}

#[test]
fn arrays_go_there_and_back() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    for (rows, columns) in [(0, 3), (1, 1), (3, 5), (257, 63)] {
        let x = noise(rows, columns, 1);
        let mut array = gpu.upload(&x).unwrap();
        let copy = array.duplicate().unwrap();
        assert_eq!(gpu.read_blocking(&array).unwrap(), x);
        array.clear().unwrap();
        assert_eq!(gpu.read_blocking(&array).unwrap(), Array2::<f32>::zeros((rows, columns)));
        assert_eq!(gpu.read_blocking(&copy).unwrap(), x);
        // a view that does not lie row by row
        assert_eq!(gpu.read_blocking(&gpu.upload(&x.t()).unwrap()).unwrap(), x.t());
    }
    let mut array = gpu.zeros::<u32>(2, 2).unwrap();
    assert!(matches!(array.write(&array![[1]]), Err(Error::Shape { .. })));
    array.write(&array![[1, 2], [3, u32::MAX]]).unwrap();
    assert_eq!(gpu.read_blocking(&array).unwrap(), array![[1, 2], [3, u32::MAX]]);
}
