//! The whole state of a run as bytes: a run that goes on from them gives the same bits as one that was never interrupted.
//!
//! Held are parameters, moments, running average, counters, trackers and the number of batches that were drawn; random
//! streams are functions of seed and step and need no state. A sum over all bytes tells a damaged file. Settings are given
//! again when a run goes on, and must be those that it was started with.

use alloc::format;
use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::adam::{Moments, lay_out};
use super::settings::SaeTraining;
use super::threshold::ThresholdTracker;
use super::trainer::Trainer;
use crate::math::merge::{Bytes, Reader};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{Error, Result, Scalar};

const MAGIC: &[u8; 8] = b"limpsae1";

impl<T: Scalar> Trainer<T> {
    /// The state of the run.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut out = Writer(Vec::new());
        out.0.extend(MAGIC);
        out.count(size_of::<T>());
        out.number(fingerprint(&self.settings));
        out.count(self.step);
        out.number(self.tokens);
        out.number(self.drawn);
        out.optional(self.l0);
        out.optional(self.threshold.value());
        out.number(self.threshold.batches());
        out.optional(self.coefficient);
        out.count(self.penalties.len());
        self.penalties.iter().for_each(|&(current, next)| {
            out.float(current);
            out.float(next);
        });
        out.sae(&self.sae);
        self.moments.pairs().iter().for_each(|pair| {
            out.scalars(&pair.first);
            out.scalars(&pair.second);
        });
        out.numbers(&self.last_fired);
        out.numbers(&self.last_fired_step);
        out.count(usize::from(self.average.is_some()));
        if let Some(average) = &self.average {
            out.sae(average);
        }
        let sum = hash(&out.0);
        out.number(sum);
        out.0
    }

    /// The run that `bytes` are the state of.
    ///
    /// # Errors
    /// [`Error::Parse`] for bytes that are not such a state, are cut or damaged; [`Error::Unsupported`] for other settings
    /// than those of the run; those of [`Sae::check`].
    pub fn resume(settings: SaeTraining, bytes: &[u8]) -> Result<Self> {
        let damaged = |what| Error::Parse { what, offset: bytes.len().saturating_sub(8) };
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or_else(|| damaged("a checkpoint"))?;
        if hash(body) != u64::from_le_bytes(*sum) {
            return Err(damaged("a checkpoint whose sum of bytes is right"));
        }
        State::<T>::from_bytes(body)?.into_trainer(settings)
    }
}

/// A trainer whose settings are not there yet.
struct State<T> {
    fingerprint: u64,
    step: usize,
    tokens: u64,
    drawn: u64,
    l0: Option<f64>,
    threshold: ThresholdTracker,
    coefficient: Option<f64>,
    penalties: Vec<(f64, f64)>,
    sae: Sae<T>,
    moments: Vec<[Vec<T>; 2]>,
    last_fired: Vec<u64>,
    last_fired_step: Vec<u64>,
    average: Option<Sae<T>>,
}

impl<T: Scalar> Bytes for State<T> {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a checkpoint of this precision");
        if input.take(MAGIC.len(), "a checkpoint")? != MAGIC || input.u64("a precision")? != size_of::<T>() as u64 {
            return Err(error);
        }
        let fingerprint = input.u64("settings")?;
        let step = position(input, "a step")?;
        let (tokens, drawn) = (input.u64("a number of samples")?, input.u64("a number of batches")?);
        let l0 = optional(input)?;
        let threshold = ThresholdTracker::from_parts(optional(input)?, input.u64("a number of batches")?);
        let coefficient = optional(input)?;
        let count = input.count(16, "a number of penalties")?;
        let penalties =
            (0..count).map(|_| Ok((input.f64("a penalty")?, input.f64("a penalty")?))).collect::<Result<_>>()?;
        let sae = sae(input)?;
        let moments = (0..8).map(|_| Ok([scalars(input)?, scalars(input)?])).collect::<Result<Vec<[Vec<T>; 2]>>>()?;
        let (last_fired, last_fired_step) = (numbers(input)?, numbers(input)?);
        let average = if input.u64("an average")? == 1 { Some(self::sae(input)?) } else { None };
        Ok(Self {
            fingerprint,
            step,
            tokens,
            drawn,
            l0,
            threshold,
            coefficient,
            penalties,
            sae,
            moments,
            last_fired,
            last_fired_step,
            average,
        })
    }
}

impl<T: Scalar> State<T> {
    fn into_trainer(self, settings: SaeTraining) -> Result<Trainer<T>> {
        if self.fingerprint != fingerprint(&settings) {
            return Err(Error::Unsupported { what: "going on with other settings than those of the checkpoint" });
        }
        let mut trainer = Trainer::new(self.sae.clone(), settings)?;
        let wrong = Error::Parse { what: "a checkpoint whose parts have one size", offset: 0 };
        let mut sae = self.sae;
        lay_out(&mut sae)?;
        let mut moments = Moments::new(&sae);
        for (pair, [first, second]) in moments.pairs_mut().into_iter().zip(self.moments) {
            if (pair.first.len(), pair.second.len()) != (first.len(), second.len()) {
                return Err(wrong);
            }
            (pair.first, pair.second) = (first, second);
        }
        let latents = sae.latents();
        let average = self.average.filter(|_| trainer.settings.ema.is_some());
        let average_fits = match (&average, &trainer.average) {
            (Some(average), Some(_)) => {
                average.w_dec.dim() == sae.w_dec.dim() && average.w_enc.dim() == sae.w_enc.dim()
            }
            (None, None) => true,
            _ => false,
        };
        let in_time = self.last_fired.iter().all(|&last| last <= self.tokens);
        if self.last_fired.len() != latents || self.last_fired_step.len() != latents || !average_fits || !in_time {
            return Err(wrong);
        }
        trainer.average = average
            .map(|mut average| {
                lay_out(&mut average)?;
                Ok::<_, Error>(average)
            })
            .transpose()?;
        trainer.sae = sae;
        trainer.moments = moments;
        (trainer.step, trainer.tokens, trainer.drawn) = (self.step, self.tokens, self.drawn);
        (trainer.last_fired, trainer.last_fired_step) = (self.last_fired, self.last_fired_step);
        (trainer.l0, trainer.threshold) = (self.l0, self.threshold);
        (trainer.coefficient, trainer.penalties) = (self.coefficient, self.penalties);
        Ok(trainer)
    }
}

/// Tells settings apart.
fn fingerprint(settings: &SaeTraining) -> u64 {
    hash(format!("{settings:?}").as_bytes())
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, x: u64) {
        self.0.extend(x.to_le_bytes());
    }

    fn count(&mut self, x: usize) {
        self.number(x as u64);
    }

    fn float(&mut self, x: f64) {
        self.number(x.to_bits());
    }

    fn optional(&mut self, x: Option<f64>) {
        self.count(usize::from(x.is_some()));
        self.float(x.unwrap_or(0.0));
    }

    fn numbers(&mut self, x: &[u64]) {
        self.count(x.len());
        x.iter().for_each(|&x| self.number(x));
    }

    fn scalar<T: Scalar>(&mut self, x: T) {
        if size_of::<T>() == size_of::<f32>() {
            self.0.extend(<f32 as Scalar>::of(x.as_f64()).to_le_bytes());
        } else {
            self.0.extend(x.as_f64().to_le_bytes());
        }
    }

    fn scalars<T: Scalar>(&mut self, x: &[T]) {
        self.count(x.len());
        x.iter().for_each(|&x| self.scalar(x));
    }

    fn matrix<T: Scalar>(&mut self, x: &Array2<T>) {
        self.count(x.nrows());
        self.count(x.ncols());
        x.iter().for_each(|&x| self.scalar(x));
    }

    fn vector<T: Scalar>(&mut self, x: &Array1<T>) {
        self.count(x.len());
        x.iter().for_each(|&x| self.scalar(x));
    }

    fn sae<T: Scalar>(&mut self, sae: &Sae<T>) {
        self.matrix(&sae.w_enc);
        self.vector(&sae.b_enc);
        self.matrix(&sae.w_dec);
        self.vector(&sae.b_dec);
        self.count(usize::from(sae.w_skip.is_some()));
        if let Some(w_skip) = &sae.w_skip {
            self.matrix(w_skip);
        }
        self.count(usize::from(sae.apply_b_dec_to_input));
        self.count(sae.layers);
        self.numbers(&sae.prefixes.iter().map(|&p| p as u64).collect::<Vec<_>>());
        let (kind, value) = match sae.normalisation {
            InputNormalisation::None => (0, T::zero()),
            InputNormalisation::Scale(scale) => (1, scale),
            InputNormalisation::ConstantNorm => (2, T::zero()),
            InputNormalisation::LayerNorm { epsilon, unbiased: false } => (3, epsilon),
            InputNormalisation::LayerNorm { epsilon, unbiased: true } => (4, epsilon),
        };
        self.count(kind);
        self.scalar(value);
        self.activation(&sae.activation);
    }

    fn activation<T: Scalar>(&mut self, activation: &Activation<T>) {
        match activation {
            Activation::Relu => self.count(0),
            Activation::TopK { k, by_decoder_norm } => {
                [1, *k, usize::from(*by_decoder_norm)].into_iter().for_each(|x| self.count(x));
            }
            Activation::BatchTopK { k, by_decoder_norm, threshold } => {
                self.count(2);
                self.float(*k);
                self.count(usize::from(*by_decoder_norm));
                self.optional(threshold.map(Scalar::as_f64));
            }
            Activation::JumpRelu { threshold } => {
                self.count(3);
                self.vector(threshold);
            }
            Activation::Gated { b_mag, r_mag } => {
                self.count(4);
                self.vector(b_mag);
                self.vector(r_mag);
            }
            Activation::GroupMax { k } => [5, *k].into_iter().for_each(|x| self.count(x)),
            Activation::MatchingPursuit { residual_threshold, max_iterations, stop_on_duplicate_support } => {
                self.count(6);
                self.scalar(*residual_threshold);
                self.optional(max_iterations.map(|x| x as f64));
                self.count(usize::from(*stop_on_duplicate_support));
            }
        }
    }
}

fn position(input: &mut Reader<'_>, what: &'static str) -> Result<usize> {
    let error = input.error(what);
    usize::try_from(input.u64(what)?).map_err(|_| error)
}

fn flag(input: &mut Reader<'_>) -> Result<bool> {
    let error = input.error("0 or 1");
    match input.u64("0 or 1")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(error),
    }
}

fn optional(input: &mut Reader<'_>) -> Result<Option<f64>> {
    let (there, value) = (flag(input)?, input.f64("a number")?);
    Ok(there.then_some(value))
}

fn numbers(input: &mut Reader<'_>) -> Result<Vec<u64>> {
    let count = input.count(8, "a count")?;
    (0..count).map(|_| input.u64("a number")).collect()
}

fn scalar<T: Scalar>(input: &mut Reader<'_>) -> Result<T> {
    let error = input.error("a number");
    let bytes = input.take(size_of::<T>(), "a number")?;
    let value = match bytes.len() {
        4 => bytes.first_chunk().map(|bytes| f64::from(f32::from_le_bytes(*bytes))),
        _ => bytes.first_chunk().map(|bytes| f64::from_le_bytes(*bytes)),
    };
    value.map(T::of).ok_or(error)
}

fn scalars<T: Scalar>(input: &mut Reader<'_>) -> Result<Vec<T>> {
    let count = input.count(size_of::<T>(), "a count")?;
    (0..count).map(|_| scalar(input)).collect()
}

fn vector<T: Scalar>(input: &mut Reader<'_>) -> Result<Array1<T>> {
    Ok(scalars(input)?.into())
}

fn matrix<T: Scalar>(input: &mut Reader<'_>) -> Result<Array2<T>> {
    let error = input.error("the sizes of a matrix");
    let (rows, columns) = (position(input, "rows")?, position(input, "columns")?);
    let len = rows.checked_mul(columns).filter(|len| *len <= input.left() / size_of::<T>()).ok_or(error)?;
    let values = (0..len).map(|_| scalar(input)).collect::<Result<Vec<T>>>()?;
    Array2::from_shape_vec((rows, columns), values).map_err(|_| error)
}

fn sae<T: Scalar>(input: &mut Reader<'_>) -> Result<Sae<T>> {
    let (w_enc, b_enc, w_dec, b_dec) = (matrix(input)?, vector(input)?, matrix(input)?, vector(input)?);
    let w_skip = if flag(input)? { Some(matrix(input)?) } else { None };
    let (apply_b_dec_to_input, layers) = (flag(input)?, position(input, "layers")?);
    let error = input.error("prefixes");
    let prefixes = numbers(input)?.into_iter().map(|p| usize::try_from(p).map_err(|_| error)).collect::<Result<_>>()?;
    let (error, kind, value) = (input.error("a normalisation"), input.u64("a normalisation")?, scalar(input)?);
    let normalisation = match kind {
        0 => InputNormalisation::None,
        1 => InputNormalisation::Scale(value),
        2 => InputNormalisation::ConstantNorm,
        3 | 4 => InputNormalisation::LayerNorm { epsilon: value, unbiased: kind == 4 },
        _ => return Err(error),
    };
    let activation = activation(input)?;
    let sae =
        Sae { w_enc, b_enc, w_dec, b_dec, w_skip, activation, apply_b_dec_to_input, normalisation, layers, prefixes };
    sae.check()?;
    Ok(sae)
}

fn activation<T: Scalar>(input: &mut Reader<'_>) -> Result<Activation<T>> {
    let error = input.error("an activation");
    Ok(match input.u64("an activation")? {
        0 => Activation::Relu,
        1 => Activation::TopK { k: position(input, "k")?, by_decoder_norm: flag(input)? },
        2 => {
            let (k, by_decoder_norm) = (input.f64("k")?, flag(input)?);
            Activation::BatchTopK { k, by_decoder_norm, threshold: optional(input)?.map(T::of) }
        }
        3 => Activation::JumpRelu { threshold: vector(input)? },
        4 => Activation::Gated { b_mag: vector(input)?, r_mag: vector(input)? },
        5 => Activation::GroupMax { k: position(input, "k")? },
        _ => return Err(error),
    })
}
