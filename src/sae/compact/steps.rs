//! Numbers in 8 bits: whole steps of one scale per row.
//!
//! ```text
//! x̂ = s q       q: a whole number in -127..=127,  s: largest magnitude / 127
//! ```

/// Steps of the largest magnitude.
const STEPS: f32 = 127.0;

/// The scale of a row, 0 where its largest magnitude is below 1.5e-36: all of it is then 0.
pub(super) fn scale(x: &[f32]) -> f32 {
    let scale = x.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / STEPS;
    // steps of a subnormal are not evenly spaced
    if scale.is_normal() { scale } else { 0.0 }
}

/// The step nearest to `x / scale`.
#[expect(clippy::cast_possible_truncation, reason = "the quotient is at most 127")]
pub(super) fn step(x: f32, scale: f32) -> i8 {
    if scale > 0.0 { libm::roundf(x / scale).clamp(-STEPS, STEPS) as i8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_by_hand() {
        let x = [0.0_f32, 2.54, -1.27, 0.031, -0.029];
        assert!((scale(&x) - 0.02).abs() < 1e-8);
        assert_eq!(x.map(|x| step(x, scale(&[2.54]))), [0, 127, -64, 2, -1]);
        assert_eq!((scale(&[0.0, 1e-42]), step(1e-42, 0.0)), (0.0, 0));
    }
}
