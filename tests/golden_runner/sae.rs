//! Golden cases of sparse autoencoders: forward and backward of every variant, changes of form.

use limpid::Scalar;
use limpid::sae::{
    Activation, AuxK, AuxNormalisation, FoldScale, GateLoss, InputNormalisation, LayerNorms, Loss, ReconstructionLoss,
    Sae, SaeGradient, Sparsity, StraightThrough, loss_and_gradient,
};
use ndarray::{Array1, Array2, Array3, Axis};

use super::Answer;
use super::case::{Given, Outcome};
use super::sae_training as training;
use super::superposition::ok;

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    match name {
        "relu_l1"
        | "relu_l1_decoder_norm"
        | "gated"
        | "top_k"
        | "top_k_aux"
        | "batch_top_k"
        | "jump_relu"
        | "jump_relu_tanh"
        | "matryoshka"
        | "transcoder"
        | "skip_transcoder"
        | "p_annealing" => step::<T>(name, given),
        "crosscoder" => crosscoder::<T>(given),
        "fold_decoder_norm" => fold_decoder_norm::<T>(given),
        "fold_input_scale" => fold_input_scale::<T>(given),
        "gated_to_jump_relu" | "batch_top_k_to_jump_relu" => to_jump_relu::<T>(name, given),
        "matching_pursuit" => matching_pursuit::<T>(given),
        "metrics" | "dictionary_match" | "absorption" | "scr" | "tpp" | "sparse_probing" | "mdl" => {
            super::sae_metrics::run::<T>(name, given)
        }
        _ => training::run::<T>(name, given),
    }
}

/// Which parameters a case has, to name the gradients as it does.
#[derive(Clone, Copy, PartialEq)]
enum Threshold {
    Direct,
    Log,
}

fn sae<T: Scalar>(parameters: &Given<'_>, activation: Activation<T>, options: &Given<'_>) -> Result<Sae<T>, String> {
    let gated = parameters.has("b_gate");
    let mut sae = ok(Sae::new(
        parameters.array("w_enc")?,
        parameters.array(if gated { "b_gate" } else { "b_enc" })?,
        parameters.array("w_dec")?,
        parameters.array("b_dec")?,
        activation,
    ))?;
    sae.apply_b_dec_to_input = options.flag_or_false("apply_b_dec_to_input")?;
    if parameters.has("w_skip") {
        sae.w_skip = Some(parameters.array("w_skip")?);
    }
    parameters.done()?;
    Ok(sae)
}

fn top_k<T: Scalar>(options: &Given<'_>) -> Result<Activation<T>, String> {
    Ok(Activation::TopK { k: options.count("k")?, by_decoder_norm: options.flag_or_false("select_by_decoder_norm")? })
}

fn batch_top_k<T: Scalar>(options: &Given<'_>) -> Result<Activation<T>, String> {
    let by_decoder_norm = options.flag_or_false("select_by_decoder_norm")?;
    Ok(Activation::BatchTopK { k: options.number("k")?, by_decoder_norm, threshold: None })
}

fn threshold_kind(parameters: &Given<'_>) -> Threshold {
    if parameters.has("log_threshold") { Threshold::Log } else { Threshold::Direct }
}

fn jump_relu<T: Scalar>(parameters: &Given<'_>) -> Result<Activation<T>, String> {
    let threshold = match threshold_kind(parameters) {
        Threshold::Log => parameters.array::<T, _>("log_threshold")?.mapv(T::exp),
        Threshold::Direct => parameters.array("threshold")?,
    };
    Ok(Activation::JumpRelu { threshold })
}

fn gated<T: Scalar>(parameters: &Given<'_>) -> Result<Activation<T>, String> {
    Ok(Activation::Gated { b_mag: parameters.array("b_mag")?, r_mag: parameters.array("r_mag")? })
}

fn by_name<T: Scalar>(name: &str, parameters: &Given<'_>, options: &Given<'_>) -> Result<Activation<T>, String> {
    match name {
        "relu" | "relu_l1" | "relu_l1_decoder_norm" | "p_annealing" => Ok(Activation::Relu),
        "top_k" | "top_k_aux" => {
            let activation = top_k(options)?;
            Ok(activation)
        }
        "batch_top_k" => batch_top_k(options),
        "jump_relu" | "jump_relu_tanh" => jump_relu(parameters),
        "gated" => gated(parameters),
        "matryoshka" | "transcoder" | "skip_transcoder" => by_name(options.text("activation")?, parameters, options),
        other => Err(format!("unknown activation {other}")),
    }
}

fn aux(options: &Given<'_>) -> Result<Option<AuxK>, String> {
    if !options.has("aux") {
        return Ok(None);
    }
    let aux = options.nested("aux")?;
    let normalisation = match aux.text("normalise")? {
        "none" => AuxNormalisation::None,
        "residual_variance" => AuxNormalisation::ResidualVariance,
        "data_variance" => AuxNormalisation::DataVariance,
        other => return Err(format!("unknown normalisation {other}")),
    };
    let aux_k = AuxK {
        k: aux.count("k")?,
        coefficient: aux.number("coefficient")?,
        normalisation,
        rectify: aux.flag("relu")?,
        scale_by_dead: aux.flag("scale_by_dead")?,
    };
    aux.done()?;
    Ok(Some(aux_k))
}

fn jump_sparsity(options: &Given<'_>) -> Result<Sparsity, String> {
    let sparsity = options.nested("sparsity")?;
    let coefficient = sparsity.number("coefficient")?;
    let found = match sparsity.text("kind")? {
        "l0" => Sparsity::L0 { coefficient },
        "target_l0" => Sparsity::TargetL0 { coefficient, target: sparsity.number("target")? },
        "quadratic" => Sparsity::QuadraticL0 { coefficient, target: sparsity.number("target")? },
        "tanh" => Sparsity::Tanh { coefficient, scale: sparsity.number("scale")? },
        other => return Err(format!("unknown sparsity {other}")),
    };
    sparsity.done()?;
    Ok(found)
}

fn sparsity(name: &str, options: &Given<'_>) -> Result<Sparsity, String> {
    if options.has("sparsity") {
        return jump_sparsity(options);
    }
    if name == "p_annealing" {
        let root = match options.text("form")? {
            "lp_p" => false,
            "lp" => true,
            other => return Err(format!("unknown form {other}")),
        };
        let (coefficient, p) = (options.number("coefficient")?, options.number("p")?);
        return Ok(Sparsity::Lp { coefficient, p, root, decoder_norm: None });
    }
    if !options.has("l1_coefficient") {
        return Ok(Sparsity::None);
    }
    let by_norm = name == "relu_l1_decoder_norm" || options.flag_or_false("penalty_decoder_norm")?;
    let p = if options.has("lp_norm") { options.number("lp_norm")? } else { 1.0 };
    let decoder_norm = by_norm.then_some(LayerNorms::Sum);
    Ok(Sparsity::Lp { coefficient: options.number("l1_coefficient")?, p, root: p != 1.0, decoder_norm })
}

fn reconstruction(options: &Given<'_>) -> Result<ReconstructionLoss, String> {
    match options.text("reconstruction")? {
        "sum" => Ok(ReconstructionLoss::Sum),
        "mean" => Ok(ReconstructionLoss::Mean),
        "fvu" => Ok(ReconstructionLoss::Fvu),
        other => Err(format!("unknown reconstruction {other}")),
    }
}

fn loss(name: &str, options: &Given<'_>) -> Result<Loss, String> {
    let mut loss = Loss {
        reconstruction: reconstruction(options)?,
        sparsity: sparsity(name, options)?,
        aux: aux(options)?,
        ..Loss::default()
    };
    if options.has("frozen_decoder") {
        loss.gate = GateLoss { frozen_decoder: options.flag("frozen_decoder")? };
    }
    if options.has("bandwidth") {
        let pre_activation =
            if options.has("pre_activation_coefficient") { options.number("pre_activation_coefficient")? } else { 0.0 };
        let to_input = options.flag_or_false("ste_to_input")?;
        loss.straight_through = StraightThrough { bandwidth: options.number("bandwidth")?, to_input, pre_activation };
    }
    if options.has("weights") {
        loss.prefix_weights = options.numbers("weights")?.into_iter().flatten().collect();
    }
    Ok(loss)
}

fn step<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let kind = threshold_kind(&parameters);
    let mut sae = sae(&parameters, by_name(name, &parameters, &options)?, &options)?;
    if options.has("prefixes") {
        sae.prefixes = options.counts("prefixes")?;
        // absent where nothing is chosen
        options.flag_or_false("select_by_decoder_norm")?;
    }
    let loss = loss(name, &options)?;
    options.done()?;
    let x: Array2<T> = given.array("x")?;
    let target: Option<Array2<T>> = given.has("target").then(|| given.array("target")).transpose()?;
    let dead = given.has("dead").then(|| given.flags("dead")).transpose()?;
    let step = ok(loss_and_gradient(&sae, &loss, &x, target.as_deref(), dead.as_deref()))?;
    Ok(vec![
        ("gradients", gradients(&sae, kind, &step.gradient)),
        ("features", Outcome::tensor(&step.features)),
        ("reconstruction", Outcome::tensor(&step.reconstruction)),
        ("loss", Outcome::number(step.terms.total())),
        ("losses", terms(&step.terms)),
        ("l0", Outcome::number(step.l0)),
        ("min_positive", Outcome::optional(step.min_positive)),
        ("level_losses", Outcome::tensor(&Array1::from(step.level_losses))),
    ])
}

fn terms<T: Scalar>(terms: &limpid::sae::LossTerms<T>) -> Outcome {
    Outcome::object([
        ("reconstruction", Outcome::number(terms.reconstruction)),
        ("sparsity", Outcome::number(terms.sparsity)),
        ("auxiliary", Outcome::number(terms.auxiliary)),
        ("pre_activation", Outcome::number(terms.pre_activation)),
    ])
}

fn gradients<T: Scalar>(sae: &Sae<T>, kind: Threshold, gradient: &SaeGradient<T>) -> Outcome {
    let mut all = vec![
        ("w_enc", Outcome::tensor(&gradient.w_enc)),
        ("b_enc", Outcome::tensor(&gradient.b_enc)),
        ("b_gate", Outcome::tensor(&gradient.b_enc)),
        ("w_dec", Outcome::tensor(&gradient.w_dec)),
        ("b_dec", Outcome::tensor(&gradient.b_dec)),
    ];
    if let Some(w_skip) = &gradient.w_skip {
        all.push(("w_skip", Outcome::tensor(w_skip)));
    }
    if let Some((b_mag, r_mag)) = &gradient.magnitude {
        all.extend([("b_mag", Outcome::tensor(b_mag)), ("r_mag", Outcome::tensor(r_mag))]);
    }
    if let (Some(by_threshold), Activation::JumpRelu { threshold }) = (&gradient.threshold, &sae.activation) {
        all.push(match kind {
            Threshold::Log => ("log_threshold", Outcome::tensor(&(by_threshold * threshold))),
            Threshold::Direct => ("threshold", Outcome::tensor(by_threshold)),
        });
    }
    Outcome::object(all)
}

/// Layers side by side: `(B, L, d)` as `(B, L d)`.
fn flat<T: Scalar>(x: Array3<T>) -> Array2<T> {
    let (b, layers, d) = x.dim();
    x.as_standard_layout().into_owned().into_shape_with_order((b, layers * d)).unwrap()
}

fn apart<T: Scalar>(x: &Array2<T>, layers: usize) -> Array3<T> {
    let (b, width) = x.dim();
    x.as_standard_layout().into_owned().into_shape_with_order((b, layers, width / layers)).unwrap()
}

fn crosscoder<T: Scalar>(given: &Given<'_>) -> Answer {
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let w_enc: Array3<T> = parameters.array("w_enc")?;
    let (layers, d, n) = w_enc.dim();
    let w_enc = w_enc.as_standard_layout().into_owned().into_shape_with_order((layers * d, n)).unwrap();
    let b_dec: Array2<T> = parameters.array("b_dec")?;
    let b_dec = Array1::from_iter(b_dec.iter().copied());
    let w_dec = flat(parameters.array("w_dec")?);
    let mut sae = ok(Sae::new(w_enc, parameters.array("b_enc")?, w_dec, b_dec, Activation::Relu))?;
    sae.layers = layers;
    sae.apply_b_dec_to_input = false;
    let norms = match options.text("penalty")? {
        "sum_of_norms" => LayerNorms::Sum,
        "norm_of_concatenation" => LayerNorms::Joint,
        other => return Err(format!("unknown penalty {other}")),
    };
    let coefficient = options.number("l1_coefficient")?;
    let sparsity = Sparsity::Lp { coefficient, p: 1.0, root: false, decoder_norm: Some(norms) };
    let loss = Loss { reconstruction: reconstruction(&options)?, sparsity, ..Loss::default() };
    options.done()?;
    parameters.done()?;
    let step = ok(loss_and_gradient(&sae, &loss, &flat(given.array::<T, _>("x")?), None, None))?;
    let g = step.gradient;
    let by_w_enc = g.w_enc.as_standard_layout().into_owned().into_shape_with_order((layers, d, n)).unwrap();
    let by_b_dec = apart(&g.b_dec.insert_axis(Axis(0)), layers).index_axis_move(Axis(0), 0);
    Ok(vec![
        ("features", Outcome::tensor(&step.features)),
        ("reconstruction", Outcome::tensor(&apart(&step.reconstruction, layers))),
        ("loss", Outcome::number(step.terms.total())),
        ("losses", terms(&step.terms)),
        ("l0", Outcome::number(step.l0)),
        (
            "gradients",
            Outcome::object([
                ("w_enc", Outcome::tensor(&by_w_enc)),
                ("b_enc", Outcome::tensor(&g.b_enc)),
                ("w_dec", Outcome::tensor(&apart(&g.w_dec, layers))),
                ("b_dec", Outcome::tensor(&by_b_dec)),
            ]),
        ),
    ])
}

fn parameters_of<T: Scalar>(sae: &Sae<T>) -> Outcome {
    let mut all = vec![
        ("w_enc", Outcome::tensor(&sae.w_enc)),
        ("b_enc", Outcome::tensor(&sae.b_enc)),
        ("b_gate", Outcome::tensor(&sae.b_enc)),
        ("w_dec", Outcome::tensor(&sae.w_dec)),
        ("b_dec", Outcome::tensor(&sae.b_dec)),
    ];
    match &sae.activation {
        Activation::JumpRelu { threshold } => all.push(("threshold", Outcome::tensor(threshold))),
        Activation::Gated { b_mag, r_mag } => {
            all.extend([("b_mag", Outcome::tensor(b_mag)), ("r_mag", Outcome::tensor(r_mag))]);
        }
        _ => {}
    }
    Outcome::object(all)
}

fn any<T: Scalar>(given: &Given<'_>, architecture: &str) -> Result<Sae<T>, String> {
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let sae = sae(&parameters, by_name(architecture, &parameters, &options)?, &options)?;
    options.done()?;
    Ok(sae)
}

fn fold_decoder_norm<T: Scalar>(given: &Given<'_>) -> Answer {
    let sae: Sae<T> = any(given, given.text("architecture")?)?;
    let x: Array2<T> = given.array("x")?;
    let folded = ok(sae.fold_decoder_norm())?;
    Ok(vec![
        ("parameters", parameters_of(&folded)),
        ("norms", Outcome::tensor(&sae.decoder_norms())),
        ("features_before", Outcome::tensor(&ok(sae.encode(&x))?)),
        ("features_after", Outcome::tensor(&ok(folded.encode(&x))?)),
        ("reconstruction", Outcome::tensor(&ok(folded.reconstruct(&x))?)),
    ])
}

fn converted<T: Scalar>(given: &Given<'_>, sae: &Sae<T>) -> Answer {
    let x: Array2<T> = given.array("x")?;
    Ok(vec![
        ("parameters", parameters_of(sae)),
        ("features", Outcome::tensor(&ok(sae.encode(&x))?)),
        ("reconstruction", Outcome::tensor(&ok(sae.reconstruct(&x))?)),
    ])
}

fn fold_input_scale<T: Scalar>(given: &Given<'_>) -> Answer {
    let mut sae: Sae<T> = any(given, given.text("architecture")?)?;
    sae.normalisation = InputNormalisation::Scale(given.scalar("scale")?);
    let convention = match given.text("convention")? {
        "encoder" => FoldScale::Encoder,
        "bias" => FoldScale::Bias,
        other => return Err(format!("unknown convention {other}")),
    };
    converted(given, &ok(sae.fold_input_scale(convention))?)
}

fn to_jump_relu<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let activation = if name == "gated_to_jump_relu" {
        gated(&parameters)?
    } else {
        let by_decoder_norm = options.flag_or_false("select_by_decoder_norm")?;
        Activation::BatchTopK { k: 1.0, by_decoder_norm, threshold: Some(given.scalar("threshold")?) }
    };
    let sae: Sae<T> = sae(&parameters, activation, &options)?;
    options.done()?;
    converted(given, &ok(sae.to_jump_relu())?)
}

fn matching_pursuit<T: Scalar>(given: &Given<'_>) -> Answer {
    let (parameters, options) = (given.nested("parameters")?, given.nested("options")?);
    let activation = Activation::MatchingPursuit {
        residual_threshold: options.scalar("residual_threshold")?,
        max_iterations: (!options.is_null("max_iterations")).then(|| options.count("max_iterations")).transpose()?,
        stop_on_duplicate_support: options.flag("stop_on_duplicate_support")?,
    };
    let w_dec: Array2<T> = parameters.array("w_dec")?;
    let (m, _) = w_dec.dim();
    let mut sae = ok(Sae::new(w_dec.t().to_owned(), Array1::zeros(m), w_dec, parameters.array("b_dec")?, activation))?;
    sae.apply_b_dec_to_input = options.flag("apply_b_dec_to_input")?;
    options.done()?;
    parameters.done()?;
    let x: Array2<T> = given.array("x")?;
    Ok(vec![
        ("features", Outcome::tensor(&ok(sae.encode(&x))?)),
        ("reconstruction", Outcome::tensor(&ok(sae.reconstruct(&x))?)),
    ])
}
