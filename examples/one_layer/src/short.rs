//! Explanations of few words: the stretches of characters that say most about a unit, and nothing else. A table of all
//! stretches can know any unit that looks at the last few characters; a unit that stands for one thing needs few of them.
//!
//! ```text
//! stretches are chosen one after the other by the squared error that they take away: (Σ r)²/n, r what is left at its places
//! prediction = mean activation at the places of the longest chosen stretch; elsewhere the mean of all other places
//! ```
//!
//! Before any is chosen, what is left is the distance to the mean.

use std::collections::HashMap;

/// Longest stretch.
pub(crate) const ORDER: usize = 5;
/// Places of no stretch.
const NONE: u32 = u32::MAX;

/// All stretches of training windows, and which end at each place of some windows.
pub(crate) struct Stretches {
    numbers: HashMap<Vec<char>, u32>,
    texts: Vec<Vec<char>>,
    training: Vec<[u32; ORDER]>,
}

/// An explanation: stretches with the mean activation at their places.
pub(crate) struct Short {
    pub(crate) stretches: Vec<(u32, f64)>,
    elsewhere: f64,
}

impl Stretches {
    /// Stretches that end at some place of these windows.
    pub(crate) fn new<'a>(windows: impl Iterator<Item = &'a [char]>) -> Self {
        let mut all = Self { numbers: HashMap::new(), texts: Vec::new(), training: Vec::new() };
        all.training = places(windows, |stretch| all.number(stretch));
        all
    }

    fn number(&mut self, stretch: &[char]) -> u32 {
        if let Some(&number) = self.numbers.get(stretch) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(stretch.to_vec(), number);
        self.texts.push(stretch.to_vec());
        number
    }

    /// The stretches that end at each place of other windows.
    pub(crate) fn places<'a>(&self, windows: impl Iterator<Item = &'a [char]>) -> Vec<[u32; ORDER]> {
        places(windows, |stretch| self.numbers.get(stretch).copied().unwrap_or(NONE))
    }

    /// A stretch as text.
    pub(crate) fn text(&self, stretch: u32) -> String {
        self.texts[stretch as usize].iter().collect()
    }

    /// Explains a unit, of which all activations in the training windows are given, by at most `count` stretches that were
    /// seen at least `seen` times.
    pub(crate) fn explain(&self, activations: &[f32], count: usize, seen: u32) -> Short {
        let mean = activations.iter().map(|&a| f64::from(a)).sum::<f64>() / activations.len().max(1) as f64;
        let mut left: Vec<f64> = activations.iter().map(|&a| f64::from(a) - mean).collect();
        // how long the stretch is that predicts a place
        let mut known = vec![0_usize; activations.len()];
        let mut chosen = Vec::new();
        for _ in 0..count {
            let Some(best) = self.best(&left, &known, seen, &chosen) else { break };
            let length = self.texts[best as usize].len();
            let places = (0..known.len()).filter(|&at| self.training[at][length - 1] == best && known[at] < length);
            let places: Vec<usize> = places.collect();
            let mean = places.iter().map(|&at| f64::from(activations[at])).sum::<f64>() / places.len() as f64;
            for at in places {
                (left[at], known[at]) = (f64::from(activations[at]) - mean, length);
            }
            chosen.push(best);
        }
        self.means(activations, &chosen)
    }

    /// The stretch that takes most of the error away.
    fn best(&self, left: &[f64], known: &[usize], seen: u32, chosen: &[u32]) -> Option<u32> {
        let mut sums = vec![(0.0, 0_u32); self.texts.len()];
        for ((place, left), &known) in self.training.iter().zip(left).zip(known) {
            for &stretch in place[known..].iter().take_while(|&&stretch| stretch != NONE) {
                let sum = &mut sums[stretch as usize];
                *sum = (sum.0 + left, sum.1 + 1);
            }
        }
        let gain = |&(sum, count): &(f64, u32)| if count < seen { 0.0 } else { sum * sum / f64::from(count) };
        let candidates = (0_u32..).zip(sums.iter().map(gain)).filter(|(stretch, _)| !chosen.contains(stretch));
        let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        (best.1 > 0.0).then_some(best.0)
    }

    /// Means at the places where each chosen stretch is the longest.
    fn means(&self, activations: &[f32], chosen: &[u32]) -> Short {
        let mut sums = vec![(0.0, 0_u32); chosen.len() + 1];
        for (place, &a) in self.training.iter().zip(activations) {
            let sum = &mut sums[longest(place, chosen).unwrap_or(chosen.len())];
            *sum = (sum.0 + f64::from(a), sum.1 + 1);
        }
        let mean = |&(sum, count): &(f64, u32)| sum / f64::from(count.max(1));
        let stretches = chosen.iter().copied().zip(sums.iter().map(mean)).collect();
        Short { stretches, elsewhere: mean(&sums[chosen.len()]) }
    }
}

/// The stretches that end at each place of windows, by length, as numbers.
fn places<'a>(windows: impl Iterator<Item = &'a [char]>, mut number: impl FnMut(&[char]) -> u32) -> Vec<[u32; ORDER]> {
    let mut places = Vec::new();
    for window in windows {
        for end in 1..=window.len() {
            let mut place = [NONE; ORDER];
            for (length, slot) in (1..=ORDER.min(end)).zip(&mut place) {
                *slot = number(&window[end - length..end]);
            }
            places.push(place);
        }
    }
    places
}

/// Which of the chosen stretches is the longest at a place.
fn longest(place: &[u32; ORDER], chosen: &[u32]) -> Option<usize> {
    let found = place.iter().rev().filter(|&&stretch| stretch != NONE);
    found.filter_map(|stretch| chosen.iter().position(|chosen| chosen == stretch)).next()
}

impl Short {
    /// Predictions for places.
    pub(crate) fn predict(&self, places: &[[u32; ORDER]]) -> Vec<f32> {
        let chosen: Vec<u32> = self.stretches.iter().map(|stretch| stretch.0).collect();
        let value = |place| longest(place, &chosen).map_or(self.elsewhere, |at| self.stretches[at].1);
        places.iter().map(|place| value(place) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_responds_to_is_found() {
        let window: Vec<char> = "the cat, the hen and then the dog or the theme".chars().collect();
        let windows = || [window.as_slice()].into_iter();
        let stretches = Stretches::new(windows());
        // active at the end of "the ", and less so at n
        let active = |end: usize| if window[..end].ends_with(&['t', 'h', 'e', ' ']) { 4.0 } else { 0.0 };
        let activations: Vec<f32> =
            (1..=window.len()).map(|end| active(end) + 3.0 * f32::from(window[end - 1] == 'n')).collect();
        let short = stretches.explain(&activations, 2, 2);
        let found: Vec<(String, f64)> = short.stretches.iter().map(|&(s, mean)| (stretches.text(s), mean)).collect();
        assert_eq!(found[0], ("e ".to_owned(), 4.0));
        assert_eq!((found[1].1, short.elsewhere), (3.0, 0.0));
        assert_eq!(short.predict(&stretches.places(windows())), activations);
        let other: Vec<char> = "xe z".chars().collect();
        assert_eq!(short.predict(&stretches.places([other.as_slice()].into_iter()))[2], 4.0);
    }
}
