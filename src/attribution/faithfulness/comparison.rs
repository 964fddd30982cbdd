//! Several methods side by side: how good each is, and how far they agree.
//!
//! Source: Krishna et al., "The Disagreement Problem in Explainable Machine Learning" (arXiv 2202.01602), for the agreement of
//! pairs; see [`agreement`](crate::math::agreement::agreement).

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ndarray::ArrayRef2;

use super::report::{Judged, Judging};
use super::table::{number, write_table};
use crate::attribution::{Evaluations, Explained, Explainer, Forward, Target};
use crate::error::check_each;
use crate::math::agreement::{Agreement, By, agreement};
use crate::math::curves::mean;
use crate::{Error, Result, Scalar};

/// Methods and what they gave. It prints as two tables.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Comparison<T> {
    /// Names of the methods, as they were given.
    pub names: Vec<String>,
    /// What each gave, with its report. The drops of single features and the reference orders were run with the first.
    pub judged: Vec<Judged<T>>,
    /// Agreement of every two.
    pub agreement: Vec<PairAgreement>,
    /// Rows that the model was run for in total.
    pub evaluations: Evaluations,
}

/// How far two methods agree.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PairAgreement {
    /// Number of the one method.
    pub first: usize,
    /// Number of the other.
    pub second: usize,
    /// Agreement for each row, `(b)`, of magnitudes, with lists of [`Judging::top`] features.
    pub rows: Vec<Agreement>,
}

/// Explains the rows of `x: (b, n)` with each of the named methods and judges them.
///
/// # Errors
/// As [`explain_and_judge`](super::explain_and_judge); [`Error::Empty`] for no methods.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Judging, judge_side_by_side};
/// use limpid::attribution::gradient::{InputXGradient, Saliency};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0], [0.0, 4.0, 1.0]], None)?;
/// let saliency = Saliency::default();
/// let methods = [("IxG", &InputXGradient as _), ("saliency", &saliency as _)];
/// let found = judge_side_by_side(&methods, &mut model, &array![[1.0, 1.0, 9.0]], &Logit::of(0), &Judging::default())?;
/// assert_eq!(found.agreement[0].rows[0].spearman, Some(0.5));
/// assert!(found.to_string().contains("saliency"));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn judge_side_by_side<T: Scalar, M: Forward<T> + ?Sized>(
    methods: &[(&str, &dyn Explainer<T, M>)],
    model: &mut M,
    x: &ArrayRef2<T>,
    target: &dyn Target<T>,
    judging: &Judging<T>,
) -> Explained<Comparison<T>, M::Error> {
    if methods.is_empty() {
        return Err(Error::Empty { what: "methods" }.into());
    }
    check_each("top", &[judging.top as f64], ">= 1", |top: f64| top >= 1.0)?;
    let mut judged: Vec<Judged<T>> = Vec::with_capacity(methods.len());
    for (_, method) in methods {
        let known = judged.first().map(|first| &first.report);
        let found = judging.explain(*method, model, (x, target), known)?;
        judged.push(found);
    }
    Ok(Comparison {
        names: methods.iter().map(|(name, _)| (*name).to_string()).collect(),
        agreement: agreements(&judged, judging)?,
        evaluations: judged.iter().fold(Evaluations::default(), |sum, found| sum.plus(found.evaluations())),
        judged,
    })
}

/// Agreement of all pairs, the lower number first.
fn agreements<T: Scalar>(judged: &[Judged<T>], judging: &Judging<T>) -> Result<Vec<PairAgreement>> {
    let players: Vec<_> =
        judged.iter().map(|found| judging.players(&found.attribution.values)).collect::<Result<_>>()?;
    let mut all = Vec::new();
    for (second, b) in players.iter().enumerate() {
        for (first, a) in players.iter().enumerate().take(second) {
            let rows = a.rows().into_iter().zip(b.rows());
            let rows = rows.map(|(a, b)| agreement(&a, &b, judging.top, By::Magnitude)).collect::<Result<_>>()?;
            all.push(PairAgreement { first, second, rows });
        }
    }
    Ok(all)
}

impl<T: Scalar> fmt::Display for Comparison<T> {
    /// Means over the rows where a metric is defined.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![vec!["metric".to_string(), "better".to_string()]];
        lines[0].extend(self.names.iter().cloned());
        let metrics: Vec<_> = self.judged.iter().map(|found| found.report.metrics()).collect();
        for (at, (name, better, _)) in metrics.first().into_iter().flatten().enumerate() {
            let mut line = vec![(*name).to_string(), (*better).to_string()];
            let of_method = metrics.iter().map(|metrics| metrics.get(at).map(|(_, _, values)| values));
            line.extend(of_method.map(|values| number(values.and_then(|v| mean(v.iter().copied().flatten())))));
            lines.push(line);
        }
        write_table(f, &lines)?;
        for (name, _, values) in self.judged.first().map(|first| first.report.reference_metrics()).into_iter().flatten()
        {
            writeln!(f, "{name}: {}", number(mean(values.into_iter().flatten())))?;
        }
        if !self.agreement.is_empty() {
            let header = ["methods", "", "Spearman", "pairwise rank", "top features", "top ranks", "top signs"];
            let mut lines = vec![header.map(String::from).to_vec()];
            lines.extend(self.agreement.iter().map(|pair| self.line(pair)));
            writeln!(f)?;
            write_table(f, &lines)?;
        }
        write!(f, "model rows: {} forward, {} with gradient", self.evaluations.forward, self.evaluations.gradient)
    }
}

impl<T> Comparison<T> {
    fn line(&self, pair: &PairAgreement) -> Vec<String> {
        let of = |part: fn(&Agreement) -> Option<f64>| number(mean(pair.rows.iter().filter_map(part)));
        vec![
            self.names[pair.first].clone(),
            self.names[pair.second].clone(),
            of(|found| found.spearman),
            of(|found| found.pairwise_rank),
            of(|found| found.feature),
            of(|found| found.rank),
            of(|found| found.sign),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::faithfulness::explain_and_judge;
    use crate::attribution::gradient::{InputXGradient, Saliency};
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::array;

    fn network() -> Network<f64> {
        let model = Network::new(3).linear(array![[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]], None).unwrap();
        let model = model.activation(Activation::Tanh).unwrap();
        model.linear(array![[1.0, 2.0], [-1.0, 0.5]], None).unwrap()
    }

    #[test]
    fn sharing_changes_nothing_but_the_cost() {
        let (x, target, judging) = (array![[0.5, -1.0, 2.0], [1.0, 0.3, 0.1]], Logit::of(1), Judging::default());
        let saliency = Saliency { absolute: false };
        let methods = [("IxG", &InputXGradient as _), ("saliency", &saliency as _)];
        let found = judge_side_by_side(&methods, &mut network(), &x, &target, &judging).unwrap();
        let alone = [
            explain_and_judge(&InputXGradient, &mut network(), &x, &target, &judging).unwrap(),
            explain_and_judge(&saliency, &mut network(), &x, &target, &judging).unwrap(),
        ];
        assert_eq!(found.judged[0], alone[0]);
        let (shared, own) = (&found.judged[1].report, &alone[1].report);
        assert_eq!(shared.erasure.rank_deletion, own.erasure.rank_deletion);
        assert_eq!(shared.erasure.deletion_curve, own.erasure.deletion_curve);
        assert_eq!((&shared.reference, &shared.infidelity), (&own.reference, &own.infidelity));
        assert!(shared.evaluations.forward < own.evaluations.forward);
        let total: u64 = found.judged.iter().map(|found| found.evaluations().total()).sum();
        assert_eq!(found.evaluations.total(), total);
        assert_eq!((found.agreement.len(), found.agreement[0].rows.len()), (1, 2));
    }

    #[test]
    fn each_method_is_judged_in_its_own_unit() {
        let saliency = Saliency { absolute: false };
        let methods = [("saliency", &saliency as _), ("IxG", &InputXGradient as _)];
        let (x, judging) = (array![[0.5, -1.0, 2.0]], Judging::default());
        let found = judge_side_by_side(&methods, &mut network(), &x, &Logit::of(1), &judging).unwrap();
        let gaps: Vec<bool> = found.judged.iter().map(|found| found.report.completeness_gap.is_some()).collect();
        assert_eq!(gaps, [false, true]);
        let text = found.to_string();
        let gap = text.lines().find(|line| line.starts_with("completeness gap")).unwrap();
        assert_eq!(gap.split_whitespace().filter(|&cell| cell == "-").count(), 1, "{text}");
    }

    #[test]
    fn tables_name_the_methods() {
        let methods = [("first", &InputXGradient as _), ("second", &InputXGradient as _)];
        let (x, target) = (array![[0.5, -1.0, 2.0]], Logit::of(1));
        let found = judge_side_by_side(&methods, &mut network(), &x, &target, &Judging::default()).unwrap();
        let text = found.to_string();
        assert!(text.lines().next().unwrap().ends_with("second"), "{text}");
        assert!(text.contains("first    second    1.0000"), "{text}");
        let none = judge_side_by_side(&[], &mut network(), &x, &target, &Judging::default());
        assert_eq!(none.unwrap_err(), Failure::Input(Error::Empty { what: "methods" }));
    }
}
