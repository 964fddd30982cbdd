//! The rows of an activation file, and a file to try the jobs on.

use std::ops::Range;
use std::path::Path;

use limpid::Seed;
use limpid::files::write_atomically;
use limpid::formats::activations::ActivationFile;
use limpid::formats::{Dtype, Tensor, safetensors};
use limpid::superposition::FeatureDistribution;
use ndarray::{Array2, Axis};

use crate::Result;

/// Rows of one document of the made file.
const DOCUMENT: usize = 64;

/// Stretches of neighbouring rows in one batch.
const STRETCHES: usize = 32;

/// A stretch of rows that belong to one document.
pub(crate) struct Stretch {
    pub(crate) document: u64,
    pub(crate) position: u32,
    pub(crate) activations: Array2<f32>,
}

pub(crate) struct Data {
    file: ActivationFile,
}

impl Data {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = ActivationFile::open(path, None)?;
        if file.rows() == 0 {
            return Err(format!("{} has no rows", path.display()).into());
        }
        Ok(Self { file })
    }

    pub(crate) fn rows(&self) -> usize {
        self.file.rows()
    }

    pub(crate) fn width(&self) -> usize {
        self.file.width()
    }

    /// These rows, cut where a document ends; without a column `document` every row is one.
    pub(crate) fn documents(&mut self, rows: Range<usize>) -> Result<Vec<Stretch>> {
        let activations = self.file.read::<f32>(rows.clone())?;
        let column = |data: &mut Self, name: &str| -> Result<Option<Vec<u32>>> {
            let there = data.file.columns().any(|column| column == name);
            Ok(if there { Some(data.file.column(name, rows.clone())?) } else { None })
        };
        let (document, position) = (column(self, "document")?, column(self, "position")?);
        let of_row = |row: usize| document.as_ref().map_or((rows.start + row) as u64, |document| document[row].into());
        let mut stretches = Vec::new();
        let mut from = 0;
        for to in 1..=activations.nrows() {
            if to < activations.nrows() && of_row(to) == of_row(from) {
                continue;
            }
            stretches.push(Stretch {
                document: of_row(from),
                position: position.as_ref().map_or(0, |position| position[from]),
                activations: activations.slice_axis(Axis(0), (from..to).into()).to_owned(),
            });
            from = to;
        }
        Ok(stretches)
    }

    /// Part `rank` of `size` of the batch of a step: stretches at random places, the same batch however it is divided.
    pub(crate) fn batch(
        &mut self,
        seed: Seed,
        step: usize,
        batch: usize,
        (rank, size): (usize, usize),
    ) -> Result<Array2<f32>> {
        let long = batch.div_ceil(STRETCHES).min(self.rows());
        let count = batch.div_ceil(long);
        let mut part = Array2::zeros((0, self.width()));
        for stretch in count * rank / size..count * (rank + 1) / size {
            let places = (self.rows() - long + 1) as u64;
            let at = usize::try_from(seed.child(step as u64, stretch as u64).0 % places)?;
            let rows = long.min(batch - stretch * long);
            part.append(Axis(0), self.file.read::<f32>(at..at + rows)?.view())?;
        }
        Ok(part)
    }
}

/// Writes a file of activations with planted sparse features.
pub(crate) fn make(path: &Path, rows: usize, seed: Seed) -> Result<()> {
    let (width, features) = (64, 160);
    let directions = Array2::from_shape_fn((features, width), |(feature, column)| {
        let bits = seed.child(feature as u64, column as u64).0;
        if bits.is_multiple_of(2) { 0.125_f32 } else { -0.125 }
    });
    let present = FeatureDistribution::<f32>::uniform(features, 0.04)?.sample(rows, seed)?;
    let activations = limpid::math::gemm::product(&present, &directions)?;
    let column = |value: fn(usize) -> usize| -> Result<Tensor> {
        let bytes: Vec<u8> = (0..rows).flat_map(|row| (value(row) as u32).to_le_bytes()).collect();
        Ok(Tensor::new(Dtype::U32, &[rows], bytes)?)
    };
    let tensors = [
        ("activations", Tensor::from_array(&activations, Dtype::F32)?),
        ("document", column(|row| row / DOCUMENT)?),
        ("position", column(|row| row % DOCUMENT)?),
    ];
    Ok(write_atomically(path, &safetensors::write(&tensors, &[])?)?)
}
