//! Floors: what a simulation scores that knows nothing.
//!
//! | simulator | knows |
//! |---|---|
//! | [`Constant`] | nothing: its correlation with anything is not defined |
//! | [`ShuffledTokens`] | how often and how strongly, but not where: the predictions of another simulator, put in random order |
//! | [`ShuffledExplanations`] | the texts, but not the neuron: another simulator, given the explanation of another neuron |
//!
//! The order follows from the seed and the text, whichever texts came before.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), for scores of mismatched explanations.

use alloc::string::String;
use alloc::vec::Vec;

use super::simulation::{Scale, Simulation};
use super::simulator::Simulator;
use crate::explanation::Failure;
use crate::math::random::{below, shuffle};
use crate::{Error, Result, Scalar, Seed};

/// Predicts one value for every token.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Constant<T> {
    /// The value.
    pub value: T,
    /// Its units.
    pub scale: Scale,
}

impl<T: Scalar> Simulator<T> for Constant<T> {
    type Error = Error;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        Ok(Simulation::of(alloc::vec![self.value; tokens.len()], self.scale))
    }
}

/// Purposes of the random streams.
const TOKENS: u64 = 0x746f_6b65_6e73;
const EXPLANATIONS: u64 = 0x6578_706c;

/// Predictions of another simulator in random order within each text.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::explanation::simulate::{Keyword, ShuffledTokens, Simulator};
///
/// let tokens = ["a", " blue", " sky", " over", " us"].map(String::from);
/// let mut floor = ShuffledTokens { simulator: Keyword::default(), seed: Seed(1) };
/// let found = floor.simulate("\"blue\"", &tokens)?;
/// assert_eq!(found.filled(0.0).sum(), 10.0);
/// assert_eq!(found, floor.simulate("\"blue\"", &tokens)?);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShuffledTokens<S> {
    /// The simulator whose predictions are shuffled.
    pub simulator: S,
    /// What the order follows from.
    pub seed: Seed,
}

impl<T: Scalar, S: Simulator<T>> Simulator<T> for ShuffledTokens<S> {
    type Error = S::Error;

    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<T>, S::Error> {
        let found = self.simulator.simulate(explanation, tokens)?;
        let mut order: Vec<usize> = (0..found.len().min(found.status.len())).collect();
        shuffle(&mut self.seed.stream(TOKENS, fingerprint(tokens)), &mut order);
        Ok(Simulation {
            expected: order.iter().map(|&from| found.expected[from]).collect(),
            status: order.iter().map(|&from| found.status[from]).collect(),
            scale: found.scale,
            digit_mass: None,
            distribution: None,
        })
    }
}

/// Another simulator that is always given an explanation of something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShuffledExplanations<S> {
    /// The simulator.
    pub simulator: S,
    /// Explanations of many neurons, among them as a rule the one that is asked for; that one is never given.
    pub explanations: Vec<String>,
    /// What the choice follows from.
    pub seed: Seed,
}

impl<T: Scalar, S: Simulator<T>> Simulator<T> for ShuffledExplanations<S> {
    type Error = Failure<S::Error>;

    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<T>, Self::Error> {
        let others: Vec<&String> = self.explanations.iter().filter(|other| *other != explanation).collect();
        // one neuron keeps one explanation for all its texts
        let mut stream = self.seed.stream(EXPLANATIONS, fingerprint(&[explanation]));
        let chosen = others.get(below(&mut stream, others.len())).ok_or(Error::Empty { what: "explanations" })?;
        self.simulator.simulate(chosen, tokens).map_err(Failure::Model)
    }
}

/// A number that follows from texts, the same on every machine: FNV-1a over their bytes, with a byte between them that no text has.
fn fingerprint<S: AsRef<str>>(texts: &[S]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.as_ref().bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    /// Predicts its explanation's length, and each token's number.
    struct Echo;

    impl Simulator<f64> for Echo {
        type Error = Error;

        fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<f64>> {
            let values = (0..tokens.len()).map(|token| (explanation.len() * 100 + token) as f64).collect();
            Ok(Simulation::of(values, Scale::Digits))
        }
    }

    fn tokens(count: usize) -> Vec<String> {
        (0..count).map(|token| token.to_string()).collect()
    }

    #[test]
    fn tokens_are_put_in_another_order() {
        let mut floor = ShuffledTokens { simulator: Echo, seed: Seed(3) };
        let found = floor.simulate("", &tokens(50)).unwrap().filled(-1.0).to_vec();
        let mut sorted = found.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        assert_ne!(found, sorted);
        assert_eq!(sorted, (0..50_u8).map(f64::from).collect::<Vec<_>>());
        let other = ShuffledTokens { simulator: Echo, seed: Seed(4) }.simulate("", &tokens(50)).unwrap();
        assert_ne!(other.filled(-1.0).to_vec(), found);
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }

    #[test]
    fn the_own_explanation_is_never_given() {
        let explanations = vec!["a".to_string(), "bb".to_string(), "ccc".to_string()];
        let mut floor = ShuffledExplanations { simulator: Echo, explanations, seed: Seed(0) };
        let given = |floor: &mut ShuffledExplanations<Echo>, own: &str| {
            floor.simulate(own, &tokens(1)).map(|f| f.filled(0.0)[0])
        };
        for seed in 0..20 {
            floor.seed = Seed(seed);
            let found = given(&mut floor, "bb").unwrap();
            assert!(found == 100.0 || found == 300.0);
            assert_eq!(given(&mut floor, "bb"), Ok(found));
        }
        floor.explanations = vec!["bb".to_string()];
        assert_eq!(given(&mut floor, "bb"), Err(Failure::Input(Error::Empty { what: "explanations" })));
    }

    #[test]
    fn a_constant_is_constant() {
        let found = Constant { value: 2.0_f32, scale: Scale::Activation }.simulate("x", &tokens(3)).unwrap();
        assert_eq!((found.expected, found.scale), (vec![Some(2.0); 3], Scale::Activation));
    }
}
