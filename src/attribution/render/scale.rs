//! From scores to positions on the colour scale and to printed numbers.
//!
//! The scale is symmetric about 0 and ends at the largest magnitude, or at a limit that was asked for; beyond it colours
//! saturate. Colours come in 24 steps to each side. Numbers have a fixed count of decimals, with an exponent where the largest
//! would otherwise show fewer than two digits or more than seven before the point.

use alloc::format;
use alloc::string::String;

use crate::error::{check_each, check_limit};
use crate::{Dims, Error, Result, Scalar};

/// Steps of colour to each side of zero.
pub(crate) const LEVELS: i8 = 24;

/// Most decimals: more than a double has.
const MAX_DECIMALS: usize = 17;

/// How scores are coloured and printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    limit: f64,
    decimals: usize,
    exponent: bool,
}

impl Scale {
    /// The scale of `values`, all of which must be finite.
    pub(crate) fn new<T: Scalar>(
        what: &'static str,
        values: impl IntoIterator<Item = T>,
        limit: Option<f64>,
        decimals: usize,
    ) -> Result<Self> {
        check_limit("decimals", decimals, MAX_DECIMALS)?;
        check_each("limit", limit.as_slice(), "a finite limit > 0", |limit: f64| limit > 0.0 && limit.is_finite())?;
        let (mut largest, mut count) = (0.0_f64, 0_usize);
        for (index, value) in values.into_iter().enumerate() {
            if !value.is_finite() {
                return Err(Error::NotFinite { what, index });
            }
            largest = largest.max(value.as_f64().abs());
            count = index + 1;
        }
        if count == 0 {
            return Err(Error::Empty { what });
        }
        let smallest = libm::pow(10.0, 1.0 - decimals.max(1) as f64);
        let exponent = largest > 0.0 && !(smallest..1e7).contains(&largest);
        Ok(Self { limit: limit.unwrap_or(largest), decimals, exponent })
    }

    /// The end of the scale, 0 where all scores are.
    pub(crate) fn limit(self) -> f64 {
        self.limit
    }

    /// `x` as a share of the limit, in `[-1, 1]`.
    pub(crate) fn share(self, x: f64) -> f64 {
        if self.limit > 0.0 { (x / self.limit).clamp(-1.0, 1.0) } else { 0.0 }
    }

    /// The step of colour, from -[`LEVELS`] to [`LEVELS`].
    #[expect(clippy::cast_possible_truncation, reason = "a share of 24")]
    pub(crate) fn level(self, x: f64) -> i8 {
        libm::round(self.share(x) * f64::from(LEVELS)) as i8
    }

    /// `x` in print; zeros have no sign.
    pub(crate) fn number(self, x: f64) -> String {
        let decimals = self.decimals;
        let text = if self.exponent && x != 0.0 { format!("{x:.decimals$e}") } else { format!("{x:.decimals$}") };
        match text.strip_prefix('-') {
            Some(digits) if digits.bytes().all(|c| matches!(c, b'0' | b'.')) => String::from(digits),
            _ => text,
        }
    }
}

/// Checks that there are as many `what` as there are names.
pub(crate) fn check_count(what: &'static str, got: usize, expected: usize) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::Shape { what, expected: Dims::new(&[expected]), got: Dims::new(&[got]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(values: &[f64], decimals: usize) -> Scale {
        Scale::new("scores", values.iter().copied(), None, decimals).unwrap()
    }

    #[test]
    fn zero_is_in_the_middle() {
        let scale = scale(&[-0.5, 2.0], 2);
        assert_eq!([2.0, 1.0, 0.0, -0.5, -9.0].map(|x| scale.level(x)), [24, 12, 0, -6, -24]);
        assert_eq!(Scale::new("scores", [0.0_f32], None, 2).unwrap().level(0.0), 0);
    }

    #[test]
    fn numbers_are_as_long_as_they_must_be() {
        assert_eq!([0.5, -0.0004, 12.0].map(|x| scale(&[12.0], 3).number(x)), ["0.500", "0.000", "12.000"]);
        assert_eq!([1e-5, -2.5e-6, 0.0].map(|x| scale(&[1e-5], 1).number(x)), ["1.0e-5", "-2.5e-6", "0.0"]);
        assert_eq!(scale(&[2e9], 2).number(2e9), "2.00e9");
        assert_eq!([2.0, -0.4].map(|x| scale(&[2.0], 0).number(x)), ["2", "0"]);
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let new = |values: &[f64], limit, decimals| Scale::new("scores", values.iter().copied(), limit, decimals).err();
        assert_eq!(new(&[0.0, f64::INFINITY], None, 2), Some(Error::NotFinite { what: "scores", index: 1 }));
        assert_eq!(new(&[], None, 2), Some(Error::Empty { what: "scores" }));
        assert!(matches!(new(&[1.0], Some(0.0), 2), Some(Error::OutOfRange { what: "limit", .. })));
        assert!(matches!(new(&[1.0], Some(f64::NAN), 2), Some(Error::OutOfRange { what: "limit", .. })));
        assert!(matches!(new(&[1.0], None, 18), Some(Error::TooLarge { what: "decimals", .. })));
    }
}
