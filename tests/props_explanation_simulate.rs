//! Simulators and readers of what models write, on drawn texts: fast ways equal slow ones, what is written is read back, and
//! explanations that are true beat those that are not.

use std::collections::BTreeMap;

use limpid::attribution::model::Function;
use limpid::attribution::perturbation::Lime;
use limpid::attribution::target::Logit;
use limpid::explanation::ActivationRecord;
use limpid::explanation::self_report::{Comparing, Item, Phrases, align, parse};
use limpid::explanation::simulate::{
    Completion, DigitPolicy, Form, Keyword, NgramSettings, OneHotProbe, Oracle, ShuffledTokens, Simulator, TokenTable,
    Unseen, expected_value,
};
use limpid::math::random::below;
use limpid::{Error, Seed};
use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use proptest::prelude::*;

/// Texts full of what means something to a reader.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[\\[\\](){}'\"`‘’“”:,\\\\\t\n 0-9.%-]{0,12}",
        "(\\('[a-z ]{0,3}', -?[0-9]\\.[0-9]\\),? ?){0,3}",
        Just(String::from("{\"token\": \"a\", \"activation\": 3}")),
        Just(String::from("['a', 0.5")),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zé'\"“\\\\(),. \\[]{1,5}", 1..9)
}

fn drawn_records(seed: u64, count: usize) -> Vec<ActivationRecord<f64>> {
    let mut stream = Seed(seed).stream(0, 0);
    let mut record = |_| {
        let length = 1 + below(&mut stream, 9);
        let tokens: Vec<String> = (0..length).map(|_| format!("w{}", below(&mut stream, 5))).collect();
        let activations: Array1<f64> = (0..length).map(|_| below(&mut stream, 10) as f64).collect();
        ActivationRecord::new(tokens, activations).unwrap()
    };
    (0..count).map(&mut record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 128 }))]

    #[test]
    fn any_text_is_read(text in hostile(), tokens in words()) {
        let report = parse(&text, &[("a", 1)]);
        prop_assert!(report.warnings.windows(2).all(|two| two[0].name() < two[1].name()));
        let aligned = align(&report.items, &tokens, Phrases::Split).unwrap();
        prop_assert!(aligned.coverage().is_some_and(|coverage| (0.0..=1.0).contains(&coverage)));
        for form in [Form::Lines, Form::Json, Form::Tuples] {
            let found = Completion::default().read::<f64>(form, &text, &tokens).unwrap();
            prop_assert_eq!(found.simulation.check(tokens.len()), Ok(()));
            prop_assert_eq!(found.simulation.accounting().tokens(), tokens.len());
        }
    }

    #[test]
    fn what_is_written_is_read(words in words(), seed in any::<u64>(), double in any::<bool>(), first in any::<bool>()) {
        let mut stream = Seed(seed).stream(0, 0);
        let quote = if double { '"' } else { '\'' };
        let mut write = |word: &String| {
            let value = below(&mut stream, 201) as f64 / 100.0 - 1.0;
            let escaped = word.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
            (format!("({quote}{escaped}{quote}, {value})"), Some(value))
        };
        let (items, values): (Vec<String>, Vec<Option<f64>>) = words.iter().map(&mut write).unzip();
        let (list, pair) = (format!("[{}]", items.join(", ")), "(1, 75%)");
        let text = if first { format!("{pair}\n{list}") } else { format!("Here:\n{list}\n{pair}.") };
        let report = parse(&text, &[]);
        prop_assert_eq!(report.items.iter().map(|item| item.word.clone()).collect::<Vec<_>>(), words.clone());
        prop_assert_eq!(report.items.iter().map(|item| item.value).collect::<Vec<_>>(), values.clone());
        prop_assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        prop_assert_eq!(report.prediction.unwrap().confidence, 0.75);
        prop_assert_eq!(align(&report.items, &words, Phrases::Whole).unwrap().values, values);
    }

    #[test]
    fn order_one_is_the_token_table_and_so_is_a_free_probe(seed in any::<u64>(), mean in any::<bool>()) {
        let (train, test) = (drawn_records(seed, 6), drawn_records(!seed, 3));
        let unseen = if mean { Unseen::GlobalMean } else { Unseen::Zero };
        let mut table = TokenTable::fit(&train, unseen).unwrap();
        let ngram = NgramSettings { order: 1, min_count: 1, unseen }.fit(&train).unwrap();
        let probe = OneHotProbe::fit(&train, 0.0).unwrap();
        for record in &test {
            let found = table.simulate("", &record.tokens).unwrap();
            prop_assert_eq!(&ngram.predict(&record.tokens).0, &found);
            for (token, value) in record.tokens.iter().zip(found.filled(f64::NAN)) {
                let known = table.get(token).is_some();
                prop_assert!(!known || (probe.get(token) - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn digits_come_in_any_order_and_shift_with_their_mass(seed in any::<u64>(), shift in -40.0..0.0_f64) {
        let mut stream = Seed(seed).stream(0, 0);
        let mut top: Vec<(String, f64)> =
            (0..12).map(|_| (format!("{}{}", [" ", ""][below(&mut stream, 2)], below(&mut stream, 13)), -(below(&mut stream, 90) as f64) / 10.0)).collect();
        let read = |top: &[(String, f64)], shift: f64| {
            expected_value(top.iter().map(|(token, l)| (token.as_str(), l + shift)), DigitPolicy::Merged).unwrap()
        };
        let found = read(&top, 0.0);
        top.reverse();
        let (turned, shifted) = (read(&top, 0.0), read(&top, shift));
        prop_assert_eq!(&turned.values, &found.values);
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
        prop_assert!(found.expected.zip(turned.expected).is_none_or(|(a, b)| near(a, b)));
        prop_assert!(found.expected.zip(shifted.expected).is_none_or(|(a, b)| near(a, b)));
        prop_assert!(near(shifted.digit_mass, found.digit_mass * shift.exp()));
        prop_assert!(found.expected.is_none_or(|x| f64::from(found.values[0]) <= x + 1e-9 && x <= f64::from(*found.values.last().unwrap()) + 1e-9));
    }

    #[test]
    fn a_matching_is_in_order_and_as_long_as_any(a in "[ab c]{0,8}", b in "[ab c]{0,8}") {
        let words: Vec<String> = a.chars().map(String::from).collect();
        let items: Vec<Item> = b.chars().map(|c| Item { word: c.into(), value: Some(1.0), flag: None }).collect();
        let aligned = align(&items, &words, Phrases::Whole).unwrap();
        let places: Vec<usize> = aligned.items.iter().flatten().copied().collect();
        prop_assert!(places.windows(2).all(|two| two[0] < two[1]));
        let mut lengths: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for i in 0..=words.len() {
            for j in 0..=items.len() {
                let at = |i: usize, j: usize| lengths[&(i, j)];
                let length = match (i, j) {
                    (0, _) | (_, 0) => 0,
                    _ if words[i - 1] == items[j - 1].word => at(i - 1, j - 1) + 1,
                    _ => at(i - 1, j).max(at(i, j - 1)),
                };
                lengths.insert((i, j), length);
            }
        }
        prop_assert_eq!(places.len(), lengths[&(words.len(), items.len())]);
    }
}

const COLOURS: [&str; 4] = [" red", " blue", " green", " amber"];
const OTHERS: [&str; 8] = [" a", " of", " the", " house", " course", " sky", " 7", " $"];

/// Neurons that respond to colours, to what follows " of", and to what follows " $".
fn corpus(rule: impl Fn(Option<&str>, &str) -> f64, seed: u64) -> Vec<ActivationRecord<f64>> {
    let mut stream = Seed(seed).stream(1, 0);
    let mut text = |_| {
        let draw = |stream: &mut _| {
            let all = [&COLOURS[..], &OTHERS[..]].concat();
            all[below(stream, all.len())].to_owned()
        };
        let tokens: Vec<String> = (0..24).map(|_| draw(&mut stream)).collect();
        let before = |at: usize| at.checked_sub(1).map(|at| tokens[at].as_str());
        let noise = |stream: &mut _| below(stream, 100) as f64 / 400.0;
        let activations = (0..24).map(|at| rule(before(at), &tokens[at]) + noise(&mut stream)).collect();
        ActivationRecord::new(tokens.clone(), activations).unwrap()
    };
    (0..40).map(&mut text).collect()
}

/// Correlation of all tokens of all texts.
fn score<S: Simulator<f64>>(simulator: &mut S, explanation: &str, records: &[ActivationRecord<f64>]) -> f64
where
    S::Error: std::fmt::Debug,
{
    let (mut truth, mut found) = (Vec::new(), Vec::new());
    for record in records {
        found.extend(simulator.simulate(explanation, &record.tokens).unwrap().filled(0.0));
        truth.extend(record.activations.iter().copied());
    }
    let centred = |x: Vec<f64>| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        Array1::from(x) - mean
    };
    let (t, s) = (centred(truth), centred(found));
    let lengths = (t.dot(&t) * s.dot(&s)).sqrt();
    if lengths > 0.0 { t.dot(&s) / lengths } else { 0.0 }
}

#[test]
fn true_explanations_beat_false_ones_and_context_needs_context() {
    let colour = |_: Option<&str>, token: &str| if COLOURS.contains(&token) { 6.0 } else { 0.0 };
    let after_of = |before: Option<&str>, _: &str| if before == Some(" of") { 5.0 } else { 0.0 };
    let (train, test) = (corpus(colour, 1), corpus(colour, 2));
    let mut keyword = Keyword::default();
    let truth = score(&mut keyword, "the colours red, blue, green and amber", &test);
    for lie in ["words for houses and the sky", "the number 7", "the word \"of\"", "red"] {
        assert!(truth > 0.95 && truth > score(&mut keyword, lie, &test) + 0.2, "{lie}");
    }
    let mut table = TokenTable::fit(&train, Unseen::Zero).unwrap();
    assert!(score(&mut table, "", &test) > 0.99);
    let mut floor = ShuffledTokens { simulator: keyword, seed: Seed(1) };
    assert!(score(&mut floor, "the colours red, blue, green and amber", &test).abs() < 0.15);
    let mut oracle = Oracle::new(&test, |x| x.mapv(|x| (10.0 * x / 6.25).floor())).unwrap();
    assert!(score(&mut oracle, "", &test) > 0.99);
    // a neuron of successors is not in the token itself
    let (train, test) = (corpus(after_of, 3), corpus(after_of, 4));
    let of_table = score(&mut TokenTable::fit(&train, Unseen::Zero).unwrap(), "", &test);
    let of_ngram = score(&mut NgramSettings::default().fit(&train).unwrap(), "", &test);
    assert!(of_ngram > 0.9 && of_table < 0.4, "{of_ngram} {of_table}");
}

/// `σ(w·m - 1/2)` for the mask `m` of kept tokens.
fn probability(weights: &ArrayRef1<f64>, kept: impl Iterator<Item = f64>) -> f64 {
    1.0 / (1.0 + (0.5 - weights.iter().zip(kept).map(|(w, m)| w * m).sum::<f64>()).exp())
}

#[test]
fn a_report_stands_beside_occlusion_and_lime() {
    let weights = ndarray::array![2.0, -1.0, 0.5, 0.0, 1.0];
    let words = ["good", "not", "film", "a", "really"];
    let text = "[('good', 0.9), ('not', -0.5), ('film', 0.25), ('really', 0.5)]\n(1, 0.9)";
    let aligned = align(&parse(text, &[]).items, &words, Phrases::Whole).unwrap();
    let report = aligned.filled(0.0);
    let mut forward = Function::new((5, 1), |x: &ArrayRef2<f64>, z: &mut ArrayRef2<f64>| {
        for (row, mut z) in x.rows().into_iter().zip(z.rows_mut()) {
            z[0] = probability(&weights, row.iter().copied());
        }
        Ok::<(), Error>(())
    });
    let lime = Lime { samples: 400, ..Lime::default() };
    let lime = lime.explain(&mut forward, &Array2::ones((1, 5)), &Logit::of(0)).unwrap();
    let lime = lime.attribution.values.index_axis(Axis(0), 0).to_owned();
    let mut model = |kept: &[bool]| Ok::<_, Error>(probability(&weights, kept.iter().map(|&kept| f64::from(kept))));
    let nonsense = ndarray::array![0.0, 0.9, 0.1, 0.8, -0.5];
    let given: [(&str, &ArrayRef1<f64>); 3] = [("self", &report), ("LIME", &lime), ("nonsense", &nonsense)];
    let found = Comparing { k: 3, ..Comparing::default() }.judge(&mut model, &given).unwrap();
    assert_eq!(found.names, ["self", "LIME", "nonsense", "occlusion"]);
    let comprehensiveness: Vec<f64> = found.erased.iter().map(|erased| erased.comprehensiveness).collect();
    assert!(comprehensiveness[0] > comprehensiveness[2] + 0.1, "{comprehensiveness:?}");
    assert!((comprehensiveness[1] - comprehensiveness[3]).abs() < 1e-12, "{comprehensiveness:?}");
    assert_eq!(found.between("LIME", "occlusion").unwrap().spearman, Some(1.0));
    assert!(found.between("self", "occlusion").unwrap().spearman.unwrap() > 0.8);
    assert_eq!(found.erased[3].rank_deletion, Some(1.0));
    assert_eq!(aligned.coverage(), Some(0.8));
}
