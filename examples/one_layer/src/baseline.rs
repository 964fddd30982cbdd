//! What a table of single characters, or of pairs, makes of a text.

/// Losses in nats per token of the held-out tokens, by frequencies of the training ones: unigram and bigram.
///
/// ```text
/// p(y) = (n_y + 1)/(n + v)          p(y | x) = (n_xy + v p(y)/8)/(n_x + v/8)
/// ```
pub(crate) fn losses(training: &[u32], held_out: &[u32], vocabulary: usize) -> (f64, f64) {
    let (mut single, mut pairs) = (vec![1.0_f64; vocabulary], vec![0.0_f64; vocabulary * vocabulary]);
    training.iter().for_each(|&token| single[token as usize] += 1.0);
    for pair in training.windows(2) {
        pairs[pair[0] as usize * vocabulary + pair[1] as usize] += 1.0;
    }
    let all: f64 = single.iter().sum();
    let after: Vec<f64> = pairs.chunks(vocabulary).map(|row| row.iter().sum()).collect();
    let weight = vocabulary as f64 / 8.0;
    let (mut unigram, mut bigram) = (0.0, 0.0);
    for pair in held_out.windows(2) {
        let (x, y) = (pair[0] as usize, pair[1] as usize);
        let p = single[y] / all;
        unigram -= p.ln();
        bigram -= ((pairs[x * vocabulary + y] + weight * p) / (after[x] + weight)).ln();
    }
    let count = held_out.len().saturating_sub(1).max(1) as f64;
    (unigram / count, bigram / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_know_what_alternates() {
        let tokens: Vec<u32> = (0..1000).map(|i| i % 2).collect();
        let (unigram, bigram) = losses(&tokens, &tokens, 2);
        assert!((unigram - 2.0_f64.ln()).abs() < 1e-3 && bigram < 0.01, "{unigram} {bigram}");
    }
}
