//! The written form: bytes that a program links in, and reads where they lie.
//!
//! ```text
//! "limpcmp1"
//! precision, d_in, m, d_out, options, normalisation, rule, k                     u64 each
//! value of the normalisation, numbers of the rule, b_enc (m), b_dec (d_out), lengths of dictionary vectors (m)     f32
//! encoder (m rows), decoder (m rows), skip (d_out rows)       a row: its numbers, in 8 bits its scale (f32) and its steps
//! ```
//!
//! All of it is little-endian, and nothing needs an alignment.

use alloc::vec::Vec;

use super::rows::{Precision, Rows};
use super::screen::Screen;
use super::{CompactSae, Rule};
use crate::error::check_finite;
use crate::math::merge::{Bytes, Reader};
use crate::sae::InputNormalisation;
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"limpcmp1";

/// What belongs to an autoencoder, as bits of one number.
const SUBTRACTS_BIAS: u64 = 1;
const SCREENED: u64 = 2;
const SKIPS: u64 = 4;
const BY_LENGTH: u64 = 8;

impl CompactSae {
    /// The autoencoder that `bytes` hold, whose matrices stay where they are: a constant that is linked into the program,
    /// such as the flash of a microcontroller. Memory is taken for biases, and for an encoder in 8 bits where it is screened.
    ///
    /// The bytes are those of [`Bytes::to_bytes`]; [`Bytes::from_bytes`] copies them instead.
    ///
    /// # Errors
    /// [`Error::Parse`] for bytes that are not such an autoencoder, or are cut; [`Error::NotFinite`] for weights.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::math::merge::Bytes;
    /// use limpid::sae::{Activation, CompactSae, Precision, Sae};
    ///
    /// let sae = Sae::<f32>::initialise(16, 64, Activation::TopK { k: 4, by_decoder_norm: false }, Seed(0))?;
    /// let small = CompactSae::new(&sae, Precision::Int8, false)?;
    /// // in a program that runs without an allocator for them: include_bytes!("sae.bin")
    /// let image: &'static [u8] = small.to_bytes().leak();
    /// let linked = CompactSae::linked(image)?;
    /// let x = [0.5; 16];
    /// assert_eq!(linked.encode_into(&x, &mut linked.scratch())?, small.encode_into(&x, &mut small.scratch())?);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn linked(bytes: &'static [u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        let sae = parse(&mut input, Rows::linked)?;
        if input.left() > 0 { Err(input.error("the end")) } else { Ok(sae) }
    }
}

impl Bytes for CompactSae {
    fn write(&self, out: &mut Vec<u8>) {
        let bit = |on: bool, bit: u64| if on { bit } else { 0 };
        let options = bit(self.subtract_b_dec, SUBTRACTS_BIAS)
            | bit(self.screen.is_some(), SCREENED)
            | bit(self.skip.is_some(), SKIPS)
            | bit(self.norms.is_some(), BY_LENGTH);
        let (rule, k, of_rule) = match &self.rule {
            Rule::Largest(k) => (0, *k as u64, [&[][..], &[]]),
            Rule::Above(bar) => (1, 0, [core::slice::from_ref(bar), &[]]),
            Rule::AboveEach(bars) => (2, 0, [&bars[..], &[]]),
            Rule::Gate { scale, shift } => (3, 0, [&scale[..], &shift[..]]),
        };
        let (normalisation, value) = match self.normalisation {
            InputNormalisation::None => (0, 0.0),
            InputNormalisation::Scale(scale) => (1, scale),
            InputNormalisation::ConstantNorm => (2, 0.0),
            InputNormalisation::LayerNorm { epsilon, unbiased } => (if unbiased { 4 } else { 3 }, epsilon),
        };
        let sizes = [self.encoder.width(), self.encoder.len(), self.decoder.width()].map(|size| size as u64);
        out.extend(MAGIC);
        let numbers = [&[self.encoder.precision() as u64][..], &sizes, &[options, normalisation, rule, k]].concat();
        numbers.iter().for_each(|x| out.extend(x.to_le_bytes()));
        let floats =
            [&[value][..], of_rule[0], of_rule[1], &self.b_enc, &self.b_dec, self.norms.as_deref().unwrap_or(&[])];
        floats.into_iter().flatten().for_each(|x| out.extend(x.to_le_bytes()));
        [Some(&self.encoder), Some(&self.decoder), self.skip.as_ref()]
            .into_iter()
            .flatten()
            .for_each(|rows| rows.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        parse(input, Rows::owned)
    }
}

/// Reads an autoencoder; `keep` makes rows of their bytes.
fn parse<'a>(input: &mut Reader<'a>, keep: impl Fn(&'a [u8], usize, Precision) -> Rows) -> Result<CompactSae> {
    let error = input.error("a compact autoencoder");
    if input.take(MAGIC.len(), "a compact autoencoder")? != MAGIC {
        return Err(error);
    }
    let precision = precision(input)?;
    let [d_in, m, d_out] = [size(input, "d_in")?, size(input, "m")?, size(input, "d_out")?];
    let (error, options) = (input.error("options"), input.u64("options")?);
    let has = |option: u64| options & option != 0;
    if options > 15 || has(SUBTRACTS_BIAS) && d_in != d_out {
        return Err(error);
    }
    let (at, kind) = (input.error("a normalisation"), input.u64("a normalisation")?);
    let (rule_at, rule_kind, k) = (input.error("a rule"), input.u64("a rule")?, input.u64("k")?);
    let normalisation = normalisation(kind, floats(input, 1, "value of the normalisation")?[0], at)?;
    let rule = rule(input, rule_kind, usize::try_from(k).unwrap_or(0), m, rule_at)?;
    let (b_enc, b_dec) = (floats(input, m, "b_enc")?, floats(input, d_out, "b_dec")?);
    let error = input.error("lengths above 0");
    let norms = if has(BY_LENGTH) { Some(floats(input, m, "lengths above 0")?) } else { None };
    if norms.iter().flatten().any(|&norm| norm <= 0.0) {
        return Err(error);
    }
    let mut rows = |what, len: usize, width: usize| {
        let bytes = input.take(Rows::written(len, width, precision).unwrap_or(usize::MAX), what)?;
        let rows = keep(bytes, width, precision);
        rows.check(what)?;
        Ok::<_, Error>(rows)
    };
    let (encoder, decoder) = (rows("w_enc", m, d_in)?, rows("w_dec", m, d_out)?);
    let skip = if has(SKIPS) { Some(rows("w_skip", d_out, d_in)?) } else { None };
    let screen = if has(SCREENED) { Some(Screen::new(&encoder)?) } else { None };
    let subtract_b_dec = has(SUBTRACTS_BIAS);
    Ok(CompactSae { encoder, decoder, b_enc, b_dec, screen, skip, rule, norms, subtract_b_dec, normalisation })
}

fn precision(input: &mut Reader<'_>) -> Result<Precision> {
    let error = input.error("a precision");
    let all = [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8];
    let code = input.u64("a precision")?;
    all.into_iter().find(|&precision| precision as u64 == code).ok_or(error)
}

/// A size from 1 on that a latent's number can hold.
fn size(input: &mut Reader<'_>, what: &'static str) -> Result<usize> {
    let error = input.error(what);
    let size = u32::try_from(input.u64(what)?).map_err(|_| error)?;
    usize::try_from(size).ok().filter(|&size| size > 0).ok_or(error)
}

fn normalisation(kind: u64, value: f32, error: Error) -> Result<InputNormalisation<f32>> {
    let normalisation = match kind {
        0 => InputNormalisation::None,
        1 => InputNormalisation::Scale(value),
        2 => InputNormalisation::ConstantNorm,
        3 | 4 => InputNormalisation::LayerNorm { epsilon: value, unbiased: kind == 4 },
        _ => return Err(error),
    };
    normalisation.check().map_err(|_| error)?;
    Ok(normalisation)
}

fn rule(input: &mut Reader<'_>, kind: u64, k: usize, m: usize, error: Error) -> Result<Rule> {
    match kind {
        0 if (1..=m).contains(&k) => Ok(Rule::Largest(k)),
        1 => match floats(input, 1, "a bar from 0 on")?[0] {
            bar if bar >= 0.0 => Ok(Rule::Above(bar)),
            _ => Err(error),
        },
        2 => Ok(Rule::AboveEach(floats(input, m, "a bar per latent")?)),
        3 => Ok(Rule::Gate { scale: floats(input, m, "scales")?, shift: floats(input, m, "shifts")? }),
        _ => Err(error),
    }
}

/// `count` finite numbers.
fn floats(input: &mut Reader<'_>, count: usize, what: &'static str) -> Result<Vec<f32>> {
    let bytes = input.take(count.saturating_mul(4), what)?;
    let floats: Vec<f32> = bytes.as_chunks().0.iter().map(|&bits| f32::from_le_bytes(bits)).collect();
    check_finite(what, &ndarray::aview1(&floats))?;
    Ok(floats)
}
