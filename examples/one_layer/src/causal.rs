//! Causal softmax as one operation with a gradient of its own: as many small ones it would be most of the training.
//!
//! ```text
//! p_ij = exp(x_ij - max_k≤i x_ik)/Σ_k≤i exp(..)   j <= i, else 0          ∂x_ij = p_ij (∂p_ij - Σ_k p_ik ∂p_ik)
//! ```

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};

use crate::Result;

struct Causal;

struct CausalGradient;

/// Softmax over the last axis of `(.., t, t)`, each row up to the diagonal.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Causal)?)
}

fn values<'a>(name: &'static str, storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (from, to) = layout.contiguous_offsets().ok_or(candle_core::Error::RequiresContiguous { op: name })?;
    Ok(&storage.as_slice::<f32>()?[from..to])
}

impl CustomOp1 for Causal {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, t) = (values(self.name(), storage, layout)?, layout.dims()[layout.dims().len() - 1]);
        let mut out = vec![0.0_f32; x.len()];
        for (row, (out, x)) in out.chunks_mut(t).zip(x.chunks(t)).enumerate() {
            let seen = row % t + 1;
            let largest = x[..seen].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut total = 0.0;
            for (out, x) in out[..seen].iter_mut().zip(x) {
                *out = (x - largest).exp();
                total += *out;
            }
            out[..seen].iter_mut().for_each(|out| *out /= total);
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, p: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(p.apply_op2_no_bwd(&gradient.contiguous()?, &CausalGradient)?))
    }
}

impl CustomOp2 for CausalGradient {
    fn name(&self) -> &'static str {
        "causal-softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_layout: &Layout,
        by_p: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (p, by_p) = (values(self.name(), p, p_layout)?, values(self.name(), by_p, layout)?);
        let t = layout.dims()[layout.dims().len() - 1];
        let mut out = vec![0.0_f32; p.len()];
        for (row, (out, (p, by_p))) in out.chunks_mut(t).zip(p.chunks(t).zip(by_p.chunks(t))).enumerate() {
            let seen = row % t + 1;
            let mean: f32 = p[..seen].iter().zip(by_p).map(|(p, by_p)| p * by_p).sum();
            for (out, (p, by_p)) in out[..seen].iter_mut().zip(p.iter().zip(by_p)) {
                *out = p * (by_p - mean);
            }
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let base = [0.3_f32, 5.0, 7.0, -0.2, 0.9, 4.0, 0.1, -1.0, 0.6];
        let weights = Tensor::new(&[1.0_f32, 2.0, 3.0, -1.0, 0.5, 4.0, 2.0, -3.0, 1.5], &Device::Cpu).unwrap();
        let value = |x: &Tensor| {
            let p = softmax(&x.reshape((1, 3, 3)).unwrap()).unwrap().flatten_all().unwrap();
            (p * &weights).unwrap().sum_all().unwrap()
        };
        let x = Var::new(&base, &Device::Cpu).unwrap();
        let gradients = value(&x).backward().unwrap();
        let found: Vec<f32> = gradients.get(&x).unwrap().to_vec1().unwrap();
        for i in 0..9 {
            let moved = |by: f32| {
                let mut x = base;
                x[i] += by;
                value(&Tensor::new(&x, &Device::Cpu).unwrap()).to_scalar::<f32>().unwrap()
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((found[i] - expected).abs() < 2e-3, "{i}: {} {expected}", found[i]);
        }
        assert_eq!((found[1], found[2], found[5]), (0.0, 0.0, 0.0));
    }
}
