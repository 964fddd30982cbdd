//! Golden cases of what autoencoders are trained with: initialisation, normalisation, schedules, resampling.

use limpid::Scalar;
use limpid::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use limpid::sae::decoder_norm::{normalise_rows, project_gradient};
use limpid::sae::{
    GeometricMedian, InputNormalisation, expected_average_scale, geometric_median, unit_mean_square_scale,
};
use ndarray::{Array1, Array2};

use super::Answer;
use super::case::{Given, Outcome};
use super::superposition::ok;

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    match name {
        "geometric_median" => median::<T>(given),
        "input_normalisation" => input_normalisation::<T>(given),
        "decoder_unit_norm" => decoder_unit_norm::<T>(given),
        "half_precision" => half_precision(given),
        _ => Err(format!("unknown primitive sae/{name}")),
    }
}

fn median<T: Scalar>(given: &Given<'_>) -> Answer {
    let settings = GeometricMedian {
        max_iterations: given.count("max_iterations")?,
        stop: given.number("stop")?,
        floor: given.number("floor")?,
    };
    Ok(vec![("median", Outcome::tensor(&ok(geometric_median(&given.array::<T, _>("points")?, settings))?))])
}

fn input_normalisation<T: Scalar>(given: &Given<'_>) -> Answer {
    let (x, mut y): (Array2<T>, Array2<T>) = (given.array("x")?, given.array("y")?);
    let kind = given.text("kind")?;
    let normalisation = match kind {
        "layer_norm" => {
            InputNormalisation::LayerNorm { epsilon: given.scalar("epsilon")?, unbiased: given.flag("unbiased")? }
        }
        "constant_norm" => InputNormalisation::ConstantNorm,
        "expected_average" => InputNormalisation::Scale(ok(expected_average_scale(&x))?),
        "unit_mean_square" => InputNormalisation::Scale(ok(unit_mean_square_scale(&x))?),
        other => return Err(format!("unknown kind {other}")),
    };
    let (normalised, restore) = ok(normalisation.apply(&x))?;
    restore.undo(&mut y);
    let of = |pick: fn(&(T, T)) -> T| Outcome::tensor(&restore.samples.iter().map(pick).collect::<Array1<T>>());
    let mut answer = vec![
        ("normalised", Outcome::tensor(&normalised)),
        ("restored", Outcome::tensor(&y)),
        ("mean", of(|&(_, shift)| shift)),
        ("deviation", of(|&(scale, _)| scale)),
    ];
    answer.push(match normalisation {
        InputNormalisation::Scale(scale) => ("scale", Outcome::number(scale)),
        _ => ("scale", of(|&(scale, _)| scale.recip())),
    });
    Ok(answer)
}

fn decoder_unit_norm<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut w_dec: Array2<T> = given.array("w_dec")?;
    let mut gradient: Array2<T> = given.array("gradient")?;
    // the small numbers that peers add to a norm change nothing that matters
    given.acknowledge("projection_epsilon");
    given.acknowledge("norm_epsilon");
    ok(project_gradient(&w_dec, &mut gradient))?;
    normalise_rows(&mut w_dec);
    Ok(vec![("gradient", Outcome::tensor(&gradient)), ("w_dec", Outcome::tensor(&w_dec))])
}

fn half_precision(given: &Given<'_>) -> Answer {
    let half = match given.text("format")? {
        "f16" => true,
        "bf16" => false,
        other => return Err(format!("unknown format {other}")),
    };
    let shrink = |x| if half { f16_from_f32(x) } else { bf16_from_f32(x) };
    let grow = |bits| if half { f16_to_f32(bits) } else { bf16_to_f32(bits) };
    let bits = match given.text("direction")? {
        "from_f32" => given.numbers("values")?.into_iter().map(|x| shrink(f32::of(x.unwrap_or(f64::NAN)))).collect(),
        "to_f32" => {
            let bits = given.counts("bits")?.into_iter().map(|b| u16::try_from(b).map_err(|error| error.to_string()));
            bits.collect::<Result<Vec<_>, _>>()?
        }
        other => return Err(format!("unknown direction {other}")),
    };
    let values: Array1<f32> = bits.iter().map(|&b| grow(b)).collect();
    Ok(vec![("bits", Outcome::list(bits, |b| Outcome::Number(f64::from(b)))), ("values", Outcome::tensor(&values))])
}
