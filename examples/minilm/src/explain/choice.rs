//! Which units are shown in full: the best explained ones, and others from best to worst.

use super::Found;

/// At most `count` units that have a score: a third of them the best ones, the others evenly from the rest.
pub(crate) fn chosen(found: &Found<'_>, count: usize) -> Vec<usize> {
    let scores: Vec<Option<f64>> = found.verdicts.iter().map(|verdict| verdict.of[1].score.ok()).collect();
    ranked(&scores, count)
}

fn ranked(scores: &[Option<f64>], count: usize) -> Vec<usize> {
    let mut order: Vec<(usize, f64)> =
        scores.iter().enumerate().filter_map(|(unit, score)| Some((unit, (*score)?))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let best = count.div_ceil(3).min(order.len());
    let (best, rest) = order.split_at(best);
    let others = (count - best.len()).min(rest.len());
    let even = (0..others).map(|i| rest[(2 * i + 1) * rest.len() / (2 * others)]);
    best.iter().copied().chain(even).map(|(unit, _)| unit).collect()
}

/// How many units of a kind are shown.
pub(crate) fn share(found: &Found<'_>, full: usize) -> usize {
    if found.source.sae.is_some() { full / 2 } else { full }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_and_an_even_choice_of_the_rest() {
        let scores: Vec<Option<f64>> = (0..10).map(|i| (i != 4).then(|| f64::from(i))).collect();
        assert_eq!(ranked(&scores, 6), [9, 8, 7, 5, 2, 0]);
        assert_eq!(ranked(&scores, 0), [0_usize; 0]);
        assert_eq!(ranked(&scores, 100).len(), 9);
        assert!(ranked(&[None], 3).is_empty());
    }
}
