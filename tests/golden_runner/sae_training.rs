//! Golden cases of what autoencoders are trained with: initialisation, normalisation, schedules, resampling.

use limpid::Scalar;
use limpid::math::half::{bf16_from_f32, bf16_to_f32, f16_from_f32, f16_to_f32};
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::sae::decoder_norm::{normalise_rows_with, project_gradient_with};
use limpid::sae::train::{
    KAnnealing, LearningRate, Moments, PAnnealing, Pair, ResampleRule, Rounding, Shape, ThresholdRule,
    ThresholdTracker, WarmUp, continued_coefficient, resample, resample_probabilities, sparsity_factor,
};
use limpid::sae::{Activation, Sae};
use limpid::sae::{
    GeometricMedian, InputNormalisation, expected_average_scale, geometric_median, unit_mean_square_scale,
};
use ndarray::{Array1, Array2};
use serde_json::Value;

use super::Answer;
use super::case::{Given, Outcome, number, tensor};
use super::superposition::ok;

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    match name {
        "geometric_median" => median::<T>(given),
        "input_normalisation" => input_normalisation::<T>(given),
        "decoder_unit_norm" => decoder_unit_norm::<T>(given),
        "adam" => adam::<T>(given),
        "schedules" => schedules(given),
        "batch_top_k_threshold" => batch_top_k_threshold(given),
        "resample" => resampling::<T>(given),
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
    ok(project_gradient_with(&w_dec, &mut gradient, given.scalar("projection_epsilon")?))?;
    normalise_rows_with(&mut w_dec, given.scalar("norm_epsilon")?);
    Ok(vec![("gradient", Outcome::tensor(&gradient)), ("w_dec", Outcome::tensor(&w_dec))])
}

fn matrix<T: Scalar>(value: &Value) -> Result<Array2<T>, String> {
    tensor(value)?.mapv(T::of).into_dimensionality().map_err(|error| error.to_string())
}

fn adam<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut parameter: Array2<T> = given.array("parameter")?;
    let (betas, epsilon) = ((given.number("beta1")?, given.number("beta2")?), given.number("epsilon")?);
    let weight_decay = if given.has("weight_decay") { given.number("weight_decay")? } else { 0.0 };
    let optimizer = if given.flag_or_false("decoupled")? {
        Optimizer::AdamW { betas, epsilon, weight_decay }
    } else {
        Optimizer::Adam { betas, epsilon, weight_decay }
    };
    let touched = if given.has("touched") { Some(given.list("touched")?) } else { None };
    let unit = given.has("unit_norm_rows").then(|| given.nested("unit_norm_rows")).transpose()?;
    let clip = given.has("clip_norm").then(|| given.number("clip_norm")).transpose()?;
    let mut state = OptimizerState::new(optimizer, parameter.len());
    let mut trace = Vec::new();
    for (t, (gradient, rate)) in given.list("gradients")?.iter().zip(given.list("learning_rate")?).enumerate() {
        let some: Array2<T> = matrix(gradient)?;
        let mut gradient = some.clone();
        if let Some(touched) = touched {
            gradient = Array2::zeros(parameter.raw_dim());
            for (row, values) in touched[t].as_array().ok_or("touched holds no lists")?.iter().zip(some.rows()) {
                let row = row.as_u64().and_then(|row| usize::try_from(row).ok()).ok_or("no row")?;
                gradient.row_mut(row).assign(&values);
            }
        }
        if let Some(unit) = &unit {
            ok(project_gradient_with(&parameter, &mut gradient, unit.scalar("projection_epsilon")?))?;
        }
        if let Some(clip) = clip {
            let norm = gradient.iter().map(|g| g.as_f64() * g.as_f64()).sum::<f64>().sqrt();
            gradient *= T::of((clip / (norm + 1e-6)).min(1.0));
        }
        let gradient: Vec<T> = gradient.iter().copied().collect();
        ok(state.step(parameter.as_slice_mut().unwrap(), &gradient, number(rate)?))?;
        if let Some(unit) = &unit {
            normalise_rows_with(&mut parameter, unit.scalar("norm_epsilon")?);
        }
        trace.push(parameter.clone());
    }
    let moment = |values: &[T]| Outcome::tensor(&Array2::from_shape_vec(parameter.raw_dim(), values.to_vec()).unwrap());
    Ok(vec![
        ("final", Outcome::tensor(&parameter)),
        ("trace", Outcome::list(&trace, |step| Outcome::tensor(step))),
        ("first_moment", moment(state.moments().0)),
        ("second_moment", moment(state.moments().1)),
    ])
}

fn learning_rate(given: &Given<'_>) -> Result<Box<dyn Fn(usize) -> f64>, String> {
    let warm_up = match given.text("warmup")? {
        "from_first_step" => WarmUp::FromFirstStep,
        "from_zero" => WarmUp::FromZero,
        other => return Err(format!("unknown warm-up {other}")),
    };
    let shape = match given.text("shape")? {
        "constant" => Shape::Constant,
        "cosine" => Shape::Cosine { to: given.number("final")? },
        "cosine_restarts" => Shape::CosineRestarts { to: given.number("final")?, cycles: given.count("cycles")? },
        other => return Err(format!("unknown shape {other}")),
    };
    let rate = LearningRate {
        base: given.number("base")?,
        warm_up,
        warm_up_steps: given.count("warmup_steps")?,
        shape,
        decay_steps: given.count("decay_steps")?,
    };
    let steps = given.count("total_steps")?;
    Ok(Box::new(move |step| rate.at(step, steps)))
}

fn schedules(given: &Given<'_>) -> Answer {
    let value: Box<dyn Fn(usize) -> f64> = match given.text("kind")? {
        "learning_rate" => learning_rate(given)?,
        "sparsity" => {
            let (last, steps) = (given.number("final")?, given.count("warmup_steps")?);
            Box::new(move |step| last * sparsity_factor(step, steps))
        }
        "k_anneal" => {
            let rounding = match given.text("rounding")? {
                "floor" => Rounding::Floor,
                "round" => Rounding::Round,
                other => return Err(format!("unknown rounding {other}")),
            };
            let annealing = KAnnealing { from: given.count("from")?, over: given.count("over")?, rounding };
            let to = given.count("to")?;
            Box::new(move |step| annealing.at(step, to) as f64)
        }
        "p_anneal" => {
            let annealing = PAnnealing {
                from: given.number("from")?,
                to: given.number("to")?,
                start: given.count("start")?,
                end: given.count("end")?,
                updates: given.count("updates")?,
            };
            Box::new(move |step| annealing.at(step))
        }
        "p_coefficient" => {
            let pair = |pair: &Value| Ok::<_, String>((number(&pair[0])?, number(&pair[1])?));
            let penalties = given.list("penalties")?.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
            let next = ok(continued_coefficient(given.number("coefficient")?, &penalties))?;
            given.acknowledge("steps");
            return Ok(vec![("values", Outcome::tensor(&Array1::from(vec![next])))]);
        }
        other => return Err(format!("unknown schedule {other}")),
    };
    let values: Array1<f64> = given.counts("steps")?.into_iter().map(value).collect();
    Ok(vec![("values", Outcome::tensor(&values))])
}

fn batch_top_k_threshold(given: &Given<'_>) -> Answer {
    let rate = given.number("rate")?;
    let rule = match given.text("rule")? {
        "ema_from_zero" => ThresholdRule::EmaFromZero { rate },
        "ema_first_copy" => ThresholdRule::EmaFirstCopy { rate },
        "mean_of_minima" => ThresholdRule::MeanOfMinima,
        other => return Err(format!("unknown rule {other}")),
    };
    let mut tracker = ThresholdTracker::default();
    let mut follow = |minimum| {
        tracker.update(rule, minimum);
        tracker.value().unwrap_or(f64::NAN)
    };
    let values: Array1<f64> = given.numbers("min_positive")?.into_iter().map(&mut follow).collect();
    Ok(vec![("thresholds", Outcome::tensor(&values))])
}

fn resampling<T: Scalar>(given: &Given<'_>) -> Answer {
    let rule = match given.text("rule")? {
        "bricken_2023" => ResampleRule::Bricken2023,
        "dictionary_learning" => ResampleRule::DictionaryLearning,
        other => return Err(format!("unknown rule {other}")),
    };
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let (w_enc, w_dec) = (parameters.array("w_enc")?, parameters.array("w_dec")?);
    let mut sae: Sae<T> =
        ok(Sae::new(w_enc, parameters.array("b_enc")?, w_dec, parameters.array("b_dec")?, Activation::Relu))?;
    sae.apply_b_dec_to_input = options.flag("apply_b_dec_to_input")?;
    parameters.done()?;
    options.done()?;
    let x: Array2<T> = given.array("x")?;
    let probabilities = ok(resample_probabilities(rule, &x, &ok(sae.reconstruct(&x))?))?;
    let mut moments = Moments::new(&sae);
    if given.has("moments") {
        let given = given.nested("moments")?;
        read_pair(&given, "w_enc", &mut moments.w_enc, true)?;
        read_pair(&given, "b_enc", &mut moments.b_enc, false)?;
        read_pair(&given, "w_dec", &mut moments.w_dec, false)?;
    }
    let (dead, chosen) = (given.flags("dead")?, given.counts("chosen")?);
    let resampled = ok(resample(&mut sae, Some(&mut moments), rule, &dead, &x, &chosen))?;
    let (d, m) = (sae.d_in(), sae.latents());
    let of = |pair: &Pair<T>, shape: &[usize], turn: bool| {
        let part = |values: &Vec<T>| {
            let array = ndarray::ArrayD::from_shape_vec(shape.to_vec(), values.clone()).unwrap();
            Outcome::tensor(&if turn { array.reversed_axes() } else { array })
        };
        Outcome::object([("first", part(&pair.first)), ("second", part(&pair.second))])
    };
    let moments = Outcome::object([
        ("w_enc", of(&moments.w_enc, &[m, d], true)),
        ("b_enc", of(&moments.b_enc, &[m], false)),
        ("w_dec", of(&moments.w_dec, &[m, d], false)),
    ]);
    Ok(vec![
        ("probabilities", Outcome::tensor(&probabilities)),
        ("resampled", Outcome::list(resampled, Outcome::count)),
        ("moments", moments),
        (
            "parameters",
            Outcome::object([
                ("w_enc", Outcome::tensor(&sae.w_enc)),
                ("b_enc", Outcome::tensor(&sae.b_enc)),
                ("w_dec", Outcome::tensor(&sae.w_dec)),
                ("b_dec", Outcome::tensor(&sae.b_dec)),
            ]),
        ),
    ])
}

fn read_pair<T: Scalar>(given: &Given<'_>, key: &str, pair: &mut Pair<T>, turned: bool) -> Result<(), String> {
    let moments = given.nested(key)?;
    let read = |name: &str| -> Result<Vec<T>, String> {
        let values = moments.tensor::<T>(name)?;
        Ok(if turned { values.reversed_axes() } else { values }.iter().copied().collect())
    };
    (pair.first, pair.second) = (read("first")?, read("second")?);
    moments.done()
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
