//! Golden cases of the superposition area that compute losses, sample or train.

use core::ops::ControlFlow;

use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::schedule::Schedule;
use limpid::sae::train::{LearningRate, ResampleRule, Resampling, SaeTraining, Trainer, train_sae};
use limpid::sae::{Activation, Loss, Sae, Sparsity};
use limpid::superposition::geometry::{feature_dimensionality, feature_norms};
use limpid::superposition::recovery::match_dictionaries;
use limpid::superposition::{
    Architecture, Data, ExpectedLoss, FeatureDistribution, Gradient, Joint, Problem, Reduction, ToyModel, Training,
    Value, expected_loss, train,
};
use limpid::{Scalar, Seed};
use ndarray::{Array1, Array2, ArrayD, Axis, Dimension, stack};

use super::Answer;
use super::case::{Given, Outcome};
use super::superposition::{architecture, ok, reduction};

/// One model of a case, or one of its instances.
struct Instance<T> {
    model: ToyModel<T>,
    importance: Array1<T>,
}

/// The models of a case and whether they stand on an instance axis.
fn instances<T: Scalar>(given: &Given<'_>) -> Result<(Vec<Instance<T>>, bool), String> {
    let architecture = architecture(given)?;
    let untied = architecture == Architecture::AbsoluteValue;
    let weight: ArrayD<T> = given.tensor(if untied { "encoder" } else { "weight" })?;
    let decoder: Option<ArrayD<T>> = if untied { Some(given.tensor("decoder")?) } else { None };
    let (bias, importance) = (given.tensor("bias")?, given.tensor("importance")?);
    let many = weight.ndim() == 3;
    let count = if many { weight.shape()[0] } else { 1 };
    let part = |x: &ArrayD<T>, k: usize, rank: usize| {
        if x.ndim() > rank { x.index_axis(Axis(0), k).to_owned() } else { x.clone() }
    };
    let of = |k: usize| -> Result<Instance<T>, String> {
        let weight = fix(part(&weight, k, 2))?;
        let bias = fix(part(&bias, k, 1))?;
        let model = match &decoder {
            Some(decoder) => ok(ToyModel::untied(weight, fix(part(decoder, k, 2))?, bias))?,
            None => ok(ToyModel::new(architecture, weight, bias))?,
        };
        Ok(Instance { model, importance: fix(part(&importance, k, 1))? })
    };
    Ok(((0..count).map(of).collect::<Result<_, _>>()?, many))
}

fn fix<T: Clone, D: Dimension>(x: ArrayD<T>) -> Result<ndarray::Array<T, D>, String> {
    x.into_dimensionality().map_err(|error| error.to_string())
}

/// Joins what instances gave, or hands out the only one.
fn join<T: Scalar, D: Dimension>(parts: &[ndarray::Array<T, D>], many: bool) -> Result<Outcome, String> {
    if !many {
        return parts.first().map(Outcome::tensor).ok_or_else(|| "no instance".to_owned());
    }
    let views: Vec<_> = parts.iter().map(|part| part.view().into_dyn()).collect();
    Ok(Outcome::tensor(&stack(Axis(0), &views).map_err(|error| error.to_string())?))
}

fn join_numbers<T: Scalar>(parts: &[T], many: bool) -> Outcome {
    if many { Outcome::tensor(&Array1::from(parts.to_vec())) } else { Outcome::number(parts[0]) }
}

fn join_matrices<T: Scalar>(
    gradients: &[Gradient<T>],
    many: bool,
    names: [&'static str; 3],
    untied: bool,
) -> Result<Vec<(&'static str, Outcome)>, String> {
    let pick = |f: &dyn Fn(&Gradient<T>) -> Array2<T>| gradients.iter().map(f).collect::<Vec<_>>();
    let mut answer = vec![(names[0], join(&pick(&|g| g.weight.clone()), many)?)];
    answer.push((names[1], join(&gradients.iter().map(|g| g.bias.clone()).collect::<Vec<_>>(), many)?));
    if untied {
        answer.push((names[2], join(&pick(&|g| g.decoder.clone().unwrap_or_default()), many)?));
    }
    Ok(answer)
}

pub fn loss_and_gradient<T: Scalar>(given: &Given<'_>) -> Answer {
    let (instances, many) = instances::<T>(given)?;
    let reduction = reduction(given)?;
    let input: ArrayD<T> = given.tensor("input")?;
    let (mut losses, mut outputs, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    for (k, Instance { model, importance }) in instances.iter().enumerate() {
        let x: Array2<T> = fix(if many { input.index_axis(Axis(0), k).to_owned() } else { input.clone() })?;
        let (loss, gradient) = ok(model.loss_and_gradient(&x, importance, reduction))?;
        losses.push(loss);
        gradients.push(gradient);
        outputs.push(ok(model.forward(&x))?.output);
    }
    let untied = instances[0].model.decoder.is_some();
    let first = if untied { "encoder_gradient" } else { "weight_gradient" };
    let mut answer = join_matrices(&gradients, many, [first, "bias_gradient", "decoder_gradient"], untied)?;
    answer.push(("loss", join_numbers(&losses, many)));
    answer.push(("output", join(&outputs, many)?));
    Ok(answer)
}

pub fn adamw_trajectory<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut instances, many) = instances::<T>(given)?;
    let reduction = reduction(given)?;
    let batches: ArrayD<T> = given.tensor("batches")?;
    let steps = given.count("steps")?;
    let rate = given.number("learning_rate")?;
    let schedule = match given.text("schedule")? {
        "constant" => Schedule::Constant,
        "linear" => Schedule::Linear,
        "quarter_cosine" => Schedule::QuarterCosine,
        other => return Err(format!("unknown schedule {other}")),
    };
    let optimizer = Optimizer::AdamW {
        betas: given.pair("betas")?,
        epsilon: given.number("epsilon")?,
        weight_decay: given.number("weight_decay")?,
    };
    let batch = |t: usize, k: usize| -> Result<Array2<T>, String> {
        let x = batches.index_axis(Axis(0), t % batches.shape()[0]).to_owned();
        fix(if many { x.index_axis(Axis(0), k).to_owned() } else { x })
    };
    let mut losses = Array2::<T>::zeros((steps, instances.len()));
    let mut after = Vec::new();
    for (k, Instance { model, importance }) in instances.iter_mut().enumerate() {
        let decoder_len = model.decoder.as_ref().map_or(0, Array2::len);
        let mut states =
            [model.weight.len(), decoder_len, model.bias.len()].map(|len| OptimizerState::new(optimizer, len));
        for t in 0..steps {
            let (loss, gradient) = ok(model.loss_and_gradient(&batch(t, k)?, importance, reduction))?;
            losses[[t, k]] = loss;
            let rate = rate * schedule.factor::<f64>(t, steps);
            let flat = |x: Array2<T>| x.as_standard_layout().iter().copied().collect::<Vec<T>>();
            ok(states[0].step(model.weight.as_slice_mut().unwrap(), &flat(gradient.weight), rate))?;
            ok(states[2].step(model.bias.as_slice_mut().unwrap(), &gradient.bias.to_vec(), rate))?;
            if let (Some(decoder), Some(by_decoder)) = (&mut model.decoder, gradient.decoder) {
                ok(states[1].step(decoder.as_slice_mut().unwrap(), &flat(by_decoder), rate))?;
            }
        }
        after.push(ok(model.loss_and_gradient(&batch(steps - 1, k)?, importance, reduction))?.0);
    }
    let finals: Vec<Gradient<T>> = (instances.iter().map(|instance| &instance.model))
        .map(|m| Gradient { weight: m.weight.clone(), decoder: m.decoder.clone(), bias: m.bias.clone() })
        .collect();
    let untied = finals[0].decoder.is_some();
    let first = if untied { "encoder" } else { "weight" };
    let mut answer = join_matrices(&finals, many, [first, "bias", "decoder"], untied)?;
    answer
        .push(("losses", if many { Outcome::tensor(&losses) } else { Outcome::tensor(&losses.column(0).to_owned()) }));
    answer.push(("loss_after", join_numbers(&after, many)));
    Ok(answer)
}

pub fn expected<T: Scalar>(given: &Given<'_>) -> Answer {
    let (instances, _) = instances::<T>(given)?;
    let Instance { model, importance } = &instances[0];
    let mut expected = ok(ExpectedLoss::new(&given.array::<T, _>("probability")?, importance, reduction(given)?))?;
    let (loss, gradient) = ok(expected.loss_and_gradient(model))?;
    let mut answer = join_matrices(&[gradient], false, ["weight_gradient", "bias_gradient", ""], false)?;
    answer.push(("loss", Outcome::number(loss)));
    Ok(answer)
}

/// Trains on the exact expected gradient, so that the result does not depend on luck with samples.
pub fn optimal_configurations(given: &Given<'_>) -> Answer {
    let (n, m) = (given.count("n_features")?, given.count("n_hidden")?);
    let importance: Array1<f64> = given.array("importance")?;
    let probability: Array1<f64> = given.array("probability")?;
    let best_known = given.number("best_known_loss")?;
    if importance.len() != n {
        return Err("importance does not have n_features entries".to_owned());
    }
    let law = ok(FeatureDistribution::new(probability.clone(), Value::Uniform, Joint::Independent))?;
    let problem = Problem { data: Data::Expected(law.clone()), ..Problem::new(m, importance.clone(), law) };
    let settings = Training {
        steps: 1500,
        learning_rate: 0.03,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: given.count("restarts")?,
        ..Training::default()
    };
    let best = ok(train(&[problem], &settings, |_| ControlFlow::Continue(())))?.remove(0).model;
    let loss = ok(expected_loss(&best, &probability, &importance, Reduction::FeatureSum))?;
    let norms = ok(feature_norms(&best.weight))?;
    let shares = ok(feature_dimensionality(&best.weight))?;
    let shares: Array1<f64> = shares.iter().zip(&norms).map(|(&d, &norm)| if norm < 0.05 { 0.0 } else { d }).collect();
    Ok(vec![
        ("excess", Outcome::Number((loss / best_known - 1.0).max(0.0))),
        ("sorted_norms", descending(&norms)),
        ("sorted_dimensionality", descending(&shares)),
    ])
}

fn descending(x: &Array1<f64>) -> Outcome {
    let mut sorted = x.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    Outcome::tensor(&Array1::from(sorted))
}

/// Means and products of samples, in double precision.
struct Statistics {
    x: Array2<f64>,
    present: Array2<f64>,
}

impl Statistics {
    fn of<T: Scalar>(law: &FeatureDistribution<T>, given: &Given<'_>) -> Result<Self, String> {
        let seed = given.count("seed")? as u64;
        let x = ok(law.sample(given.count("samples")?, Seed(seed)))?.mapv(T::as_f64);
        Ok(Self { present: x.mapv(|v| f64::from(u8::from(v != 0.0))), x })
    }

    fn mean_product(a: &Array2<f64>) -> Array2<f64> {
        a.t().dot(a) / a.nrows() as f64
    }

    fn mean(a: &Array2<f64>) -> Array1<f64> {
        a.mean_axis(Axis(0)).unwrap()
    }
}

pub fn correlated_features<T: Scalar>(given: &Given<'_>) -> Answer {
    let (n, size) = (given.count("n_features")?, given.count("set_size")?);
    let joint = match given.text("mode")? {
        "correlated" => Joint::Correlated { size },
        "anticorrelated_one_of_set" => Joint::OneOfSet { size },
        "anticorrelated_pairs" if size == 2 => Joint::ExclusivePairs,
        other => return Err(format!("unknown mode {other} with sets of {size}")),
    };
    let names = ["mean", "active_rate", "co_activation", "second_moment"];
    let law = FeatureDistribution::new(Array1::from_elem(n, given.scalar::<T>("probability")?), Value::Uniform, joint);
    let Ok(law) = law else {
        given.acknowledge("samples");
        given.acknowledge("seed");
        return Ok(names.into_iter().map(|name| (name, Outcome::Undefined)).collect());
    };
    let Statistics { x, present } = Statistics::of(&law, given)?;
    Ok(vec![
        (names[0], Outcome::tensor(&Statistics::mean(&x))),
        (names[1], Outcome::tensor(&Statistics::mean(&present))),
        (names[2], Outcome::tensor(&Statistics::mean_product(&present))),
        (names[3], Outcome::tensor(&Statistics::mean_product(&x))),
    ])
}

pub fn sampler_statistics<T: Scalar>(given: &Given<'_>) -> Answer {
    let value = match given.text("value")? {
        "uniform" => Value::Uniform,
        "symmetric" => Value::Symmetric,
        other => return Err(format!("unknown value {other}")),
    };
    let law = ok(FeatureDistribution::new(given.array::<T, _>("probability")?, value, Joint::Independent))?;
    let Statistics { x, present } = Statistics::of(&law, given)?;
    let centred = &x - &Statistics::mean(&x);
    let empty = present.rows().into_iter().filter(|row| row.sum() == 0.0).count();
    Ok(vec![
        ("mean", Outcome::tensor(&Statistics::mean(&x))),
        ("active_rate", Outcome::tensor(&Statistics::mean(&present))),
        ("second_moment", Outcome::tensor(&Statistics::mean_product(&x))),
        ("variance", Outcome::tensor(&Statistics::mean(&centred.mapv(|v| v * v)))),
        ("empty_rate", Outcome::Number(empty as f64 / x.nrows() as f64)),
    ])
}

pub fn dictionary_recovery(given: &Given<'_>) -> Answer {
    let weight: Array2<f32> = given.array("weight")?;
    let (d, n) = weight.dim();
    let law = ok(FeatureDistribution::uniform(n, given.scalar("probability")?))?;
    let (steps, batch) = (given.count("steps")?, given.count("batch")?);
    let fraction = given.number("decay_fraction")?;
    let decay_steps = (0..=steps).find(|&decay| decay as f64 >= fraction * steps as f64).unwrap_or(steps);
    let latents = given.count("dictionary_size")?;
    let settings = SaeTraining {
        steps,
        learning_rate: LearningRate { decay_steps, ..LearningRate::constant(given.number("learning_rate")?) },
        loss: Loss { sparsity: Sparsity::l1(given.number("l1_coefficient")?), ..Loss::default() },
        resampling: Some(Resampling {
            rule: ResampleRule::Bricken2023,
            at: given.counts("resample_at")?,
            window: 1000.min(steps / 5),
            inputs: 8 * batch,
        }),
        ..SaeTraining::default()
    };
    let run = &|restart: usize| -> limpid::Result<(f64, Sae<f32>)> {
        let seed = Seed(restart as u64);
        let sae = Sae::initialise(d, latents, Activation::Relu, seed)?;
        let mut trainer = Trainer::new(sae, SaeTraining { seed, ..settings.clone() })?;
        let (mut item, mut recent) = (0, Vec::new());
        let next = || -> limpid::Result<Option<Array2<f32>>> {
            item += 1;
            Ok(Some(law.sample(batch, seed.child(1, item))?.dot(&weight.t())))
        };
        train_sae(&mut trainer, next, |trainer, step| {
            if trainer.steps_done() + 50 > steps {
                recent.push(f64::from(step.terms.total()));
            }
            ControlFlow::Continue(())
        })?;
        Ok((recent.iter().sum::<f64>() / recent.len() as f64, trainer.sae()))
    };
    let restarts = given.count("restarts")?;
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..restarts).map(|restart| scope.spawn(move || run(restart))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<limpid::Result<Vec<_>>>()
    });
    let (_, best) = ok(runs)?.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).ok_or("no restart")?;
    let truth = weight.t().to_owned();
    let found = ok(match_dictionaries(&truth, &best.w_dec, given.scalar("threshold")?))?;
    let fresh = ok(law.sample(20_000, Seed(u64::MAX)))?.dot(&weight.t());
    let residual = (&fresh - &ok(best.reconstruct(&fresh))?).mapv(|x| f64::from(x) * f64::from(x)).sum();
    let centred = (&fresh - &fresh.mean_axis(Axis(0)).unwrap()).mapv(|x| f64::from(x) * f64::from(x)).sum();
    Ok(vec![
        ("mmcs", Outcome::number(found.mmcs)),
        ("fraction_recovered", Outcome::number(found.fraction_recovered)),
        ("explained_variance", Outcome::Number(1.0 - residual / centred)),
    ])
}
