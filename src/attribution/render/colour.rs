//! The colour scale: blue for negative, neutral for zero, red for positive scores.
//!
//! ```text
//! x in [-1, 1]    lightness = from + |x| (to - from)    chroma = 0.19 |x|^(3/4)    hue = 27° where x > 0, 257° where x < 0
//! light theme     0.985 to 0.63, black text             dark theme   0.24 to 0.54, white text
//! ```
//!
//! Lightness, chroma and hue are those of `OKLab`, so equal steps of the score are equal steps of perceived lightness; chroma
//! rises faster, so that weak scores are seen. Blue and red also differ for colour-blind readers. Text on a colour is black or white, whichever has the higher contrast: at least 4.5 to 1.
//!
//! Source: Ottosson, "A perceptual color space for image processing" (2020), <https://bottosson.github.io/posts/oklab/>; the
//! contrast is that of WCAG 2, <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>.

use alloc::format;
use alloc::string::String;

/// Colours for a light or a dark surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Theme {
    /// Both: the reader's setting decides. A terminal has none, and counts as dark.
    #[default]
    Auto,
    /// For light surfaces.
    Light,
    /// For dark surfaces.
    Dark,
}

/// A colour in sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rgb {
    /// Red.
    pub red: u8,
    /// Green.
    pub green: u8,
    /// Blue.
    pub blue: u8,
}

impl Rgb {
    /// Black.
    pub const BLACK: Self = Self { red: 0, green: 0, blue: 0 };
    /// White.
    pub const WHITE: Self = Self { red: 255, green: 255, blue: 255 };

    /// `#rrggbb`.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::Rgb;
    /// assert_eq!(Rgb { red: 255, green: 0, blue: 16 }.hex(), "#ff0010");
    /// ```
    #[must_use]
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }

    /// Contrast with another colour, from 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        a.max(b) / a.min(b)
    }

    /// Black or white, whichever is easier to read on this colour.
    #[must_use]
    pub fn text(self) -> Self {
        if self.contrast(Self::BLACK) >= self.contrast(Self::WHITE) { Self::BLACK } else { Self::WHITE }
    }

    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let x = f64::from(byte) / 255.0;
            if x <= 0.04045 { x / 12.92 } else { libm::pow((x + 0.055) / 1.055, 2.4) }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }
}

/// The colour of a share `x` of the strongest score, clamped to `[-1, 1]`, for a dark or a light surface; NaN is neutral.
///
/// # Example
/// ```
/// use limpid::attribution::render::diverging;
///
/// let (negative, positive) = (diverging(-1.0, false), diverging(1.0, false));
/// assert!(negative.blue > negative.red && positive.red > positive.blue);
/// ```
#[must_use]
pub fn diverging(x: f64, dark: bool) -> Rgb {
    const CHROMA: f64 = 0.19;
    const RED: f64 = 27.0;
    const BLUE: f64 = 257.0;
    let strength = if x.is_nan() { 0.0 } else { x.abs().min(1.0) };
    let (from, to) = if dark { (0.24, 0.54) } else { (0.985, 0.63) };
    let angle = if x < 0.0 { BLUE } else { RED }.to_radians();
    let chroma = CHROMA * libm::pow(strength, 0.75);
    oklab(from + strength * (to - from), chroma * libm::cos(angle), chroma * libm::sin(angle))
}

fn oklab(lightness: f64, a: f64, b: f64) -> Rgb {
    let cube = |x: f64| x * x * x;
    let l = cube(lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b);
    let m = cube(lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b);
    let s = cube(lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b);
    Rgb {
        red: byte(4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s),
        green: byte(-1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s),
        blue: byte(-0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s),
    }
}

/// The byte of a linear intensity.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn byte(x: f64) -> u8 {
    let x = x.clamp(0.0, 1.0);
    let x = if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * libm::pow(x, 1.0 / 2.4) - 0.055 };
    libm::round(255.0 * x) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_be_read_on_every_colour() {
        for dark in [false, true] {
            for i in -100..=100 {
                let colour = diverging(f64::from(i) / 100.0, dark);
                assert!(colour.contrast(colour.text()) >= 4.5, "{i} {dark}");
                assert_eq!(colour.text(), if dark { Rgb::WHITE } else { Rgb::BLACK }, "{i} {dark}");
            }
        }
    }

    #[test]
    fn stronger_scores_leave_the_surface() {
        for (dark, surface) in [(false, Rgb::WHITE), (true, Rgb::BLACK)] {
            for sign in [-1.0, 1.0] {
                let contrasts = (0..=20).map(|i| diverging(sign * f64::from(i) / 20.0, dark).contrast(surface));
                assert!(contrasts.clone().zip(contrasts.skip(1)).all(|(weak, strong)| weak < strong));
            }
        }
        assert_eq!(diverging(f64::NAN, false), diverging(0.0, false));
        assert_eq!(diverging(7.0, true), diverging(1.0, true));
    }

    #[test]
    fn known_colours_come_out() {
        assert_eq!((oklab(1.0, 0.0, 0.0), oklab(0.0, 0.0, 0.0)), (Rgb::WHITE, Rgb::BLACK));
        // sRGB red in OKLab
        assert_eq!(oklab(0.627_955, 0.224_863, 0.125_846).hex(), "#ff0000");
        assert!((Rgb::WHITE.contrast(Rgb::BLACK) - 21.0).abs() < 1e-9);
    }
}
