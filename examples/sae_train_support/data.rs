//! Where activations come from: stretches of a file, gone through again and again; and a file of a known dictionary.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use limpid::Seed;
use limpid::formats::activations::ActivationFile;
use limpid::formats::{Dtype, Tensor, safetensors};
use limpid::math::random::{fill_normal, shuffle};
use limpid::superposition::FeatureDistribution;
use ndarray::{Array1, Array2, Axis};

use super::Result;
use super::options::Options;

/// Rows that are read together, and stay together until the buffer shuffles them.
const STRETCH: usize = 256;

/// Most rows that are held out.
const MOST_HELD_OUT: usize = 16_384;

const ORDER: u64 = 0x4f52_4445;

/// A file whose last rows are held out.
pub struct Data {
    file: ActivationFile,
    path: PathBuf,
    /// Rows to train on.
    pub training: usize,
}

impl Data {
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let named = |error| match error {
            limpid::formats::disk::DiskError::Format(error) => format!("{}: {error}", path.display()),
            other => other.to_string(),
        };
        let file = ActivationFile::open(path, options.tensor.as_deref()).map_err(named)?;
        let rows = file.rows();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let held_out = ((rows as f64 * options.validation) as usize).clamp(1, MOST_HELD_OUT);
        let training = rows.saturating_sub(held_out);
        if training < options.batch {
            let (path, batch) = (path.display(), options.batch);
            return Err(
                format!("{path}: {training} of {rows} rows to train on are fewer than a batch of {batch}").into()
            );
        }
        Ok(Self { file, path: path.to_owned(), training })
    }

    pub fn width(&self) -> usize {
        self.file.width()
    }

    /// Texts of the file that tell where its activations come from.
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.file.metadata().iter().map(|(key, text)| (key.clone(), text.clone())).collect()
    }

    /// The rows that are held out, or the first `most` of them.
    pub fn held_out(&self, most: usize) -> Range<usize> {
        self.training..self.file.rows().min(self.training.saturating_add(most))
    }

    pub fn read(&mut self, rows: Range<usize>) -> Result<Array2<f32>> {
        let (first, x) = (rows.start, self.file.read::<f32>(rows)?);
        match x.rows().into_iter().position(|row| row.iter().any(|x| !x.is_finite())) {
            Some(row) => {
                Err(format!("{}: row {} has a number that is not finite", self.path.display(), first + row).into())
            }
            None => Ok(x),
        }
    }

    /// The rows to train on, without end: each epoch goes through the stretches of the file in another order.
    pub fn epochs(mut self, seed: Seed) -> impl Iterator<Item = Result<Array2<f32>>> {
        let training = self.training;
        let orders = (0..).flat_map(move |epoch| order(training.div_ceil(STRETCH), seed, epoch));
        orders.map(move |stretch| self.read(stretch * STRETCH..training.min((stretch + 1) * STRETCH)))
    }

    /// About `rows` rows from all over the file.
    pub fn sample(&mut self, rows: usize, seed: Seed) -> Result<Array2<f32>> {
        let stretches = self.training.div_ceil(STRETCH);
        let mut all = Array2::zeros((0, self.width()));
        for stretch in order(stretches, seed, u64::MAX).into_iter().take(rows.div_ceil(STRETCH)) {
            let x = self.read(stretch * STRETCH..self.training.min((stretch + 1) * STRETCH))?;
            all.append(Axis(0), x.view())?;
        }
        Ok(all)
    }
}

/// The numbers below `n` in random order.
fn order(n: usize, seed: Seed, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut seed.stream(ORDER, epoch), &mut order);
    order
}

/// Unit directions `(48, 24)` of the file that `--quick` makes.
pub fn known_dictionary() -> Array2<f32> {
    let mut directions = Array2::zeros((48, 24));
    for (i, mut row) in directions.rows_mut().into_iter().enumerate() {
        let mut values = vec![0.0_f32; row.len()];
        fill_normal(&mut Seed(17).stream(0, i as u64), 1.0, &mut values);
        row.assign(&Array1::from(values));
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    directions
}

/// A file of sparse sums of the known directions, far from the origin and in units of its own.
pub fn demonstration(folder: &Path) -> Result<PathBuf> {
    let dictionary = known_dictionary();
    let features = FeatureDistribution::<f32>::uniform(dictionary.nrows(), 0.04)?.sample(20_000, Seed(18))?;
    let x = (features.dot(&dictionary) + 2.0) * 30.0;
    let path = folder.join("activations.safetensors");
    let tensor = Tensor::from_array(&x, Dtype::F32)?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    fs::write(&path, safetensors::write(&[("activations", tensor)], &[("hook_name", "demonstration")])?)?;
    Ok(path)
}
