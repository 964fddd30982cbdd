//! The written form of an [`Evaluation`].

use alloc::vec::Vec;

use ndarray::Array1;

use super::sums::{SampleSum, Sums};
use super::{Evaluation, MAX_VALUE};
use crate::Result;
use crate::math::merge::{Bytes, Reader};
use crate::math::stats::Moments;

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limpeva1";

impl Bytes for Evaluation {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        self.data.write(out);
        self.residual.write(out);
        out.extend(u64::from(self.centre.is_some()).to_le_bytes());
        self.centre.iter().flatten().for_each(|x| out.extend(x.to_le_bytes()));
        self.sums.write(out);
        out.extend((self.firings.len() as u64).to_le_bytes());
        self.firings.iter().for_each(|firings| out.extend(firings.to_le_bytes()));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("an evaluation");
        if input.take(MAGIC.len(), "an evaluation")? != MAGIC {
            return Err(error);
        }
        let (data, residual) = (Moments::read(input)?, Moments::read(input)?);
        let (samples, d) = (data.count(), data.n_columns());
        if d == 0 || (residual.count(), residual.n_columns()) != (samples, d) {
            return Err(error);
        }
        let centre = match input.u64("whether there is a centre")? {
            0 => None,
            1 => Some((0..d).map(|_| within(input, MAX_VALUE, "a mean")).collect::<Result<Array1<f64>>>()?),
            _ => return Err(error),
        };
        let sums = Sums::read(input)?;
        let latents = input.count(8, "a number of latents")?;
        let firings = (0..latents).map(|_| input.u64("a number of firings")).collect::<Result<Vec<_>>>()?;
        let sound = firings.iter().all(|&firings| firings <= samples)
            && [&data, &residual].iter().all(|moments| is_bounded(moments))
            && sums.partial().iter().all(|sum| sum.missing <= samples);
        if !sound || latents == 0 {
            return Err(error);
        }
        Ok(Self { data, residual, centre, sums, firings })
    }
}

impl Bytes for Sums {
    fn write(&self, out: &mut Vec<u8>) {
        self.plain().iter().for_each(|sum| out.extend(sum.to_le_bytes()));
        self.partial().iter().for_each(|sum| {
            out.extend(sum.sum.to_le_bytes());
            out.extend(sum.missing.to_le_bytes());
        });
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let mut sums = Self::default();
        for sum in sums.plain_mut() {
            *sum = within(input, MAX_SUM, "a sum")?;
        }
        for sum in sums.partial_mut() {
            *sum = SampleSum { sum: within(input, MAX_SUM, "a sum")?, missing: input.u64("a number of samples")? };
        }
        Ok(sums)
    }
}

/// What sums of accepted values never exceed, and what can be merged without ever becoming infinite.
const MAX_SUM: f64 = 1e250;

fn is_bounded(moments: &Moments) -> bool {
    let mean = moments.mean().is_none_or(|mean| mean.iter().all(|x| x.abs() <= 2.0 * MAX_VALUE));
    mean && Evaluation::variation(moments) <= MAX_SUM
}

fn within(input: &mut Reader<'_>, most: f64, what: &'static str) -> Result<f64> {
    let error = input.error(what);
    input.f64(what).and_then(|x| if x.abs() <= most { Ok(x) } else { Err(error) })
}
