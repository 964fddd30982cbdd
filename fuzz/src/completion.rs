//! Written answers of simulators, digit log-probabilities and explanations: any text gives a simulation that fits its tokens.

use arbitrary::Unstructured;
use limpid::explanation::simulate::{
    Asking, Completion, DigitPolicy, Form, Keyword, Simulation, Simulator, TokenStatus, echoed, expected_value,
};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(16));
    let mut head = Unstructured::new(head);
    let mut byte = || head.arbitrary::<u8>().unwrap_or(0);
    let rest = String::from_utf8_lossy(rest);
    // tokens are pieces of the text itself, so that some of them are found
    let separator = ['\t', ' ', ',', '\''][usize::from(byte() % 4)];
    let tokens: Vec<String> = rest.split(separator).take(usize::from(byte() % 64)).map(String::from).collect();
    let settings = Completion { top: number(byte()), clamp: byte() & 1 == 1 };
    for form in [Form::Lines, Form::Json, Form::Tuples] {
        if let Ok(found) = settings.read::<f64>(form, &rest, &tokens) {
            check(&found.simulation, tokens.len());
            assert!(found.simulation.expected.iter().flatten().all(|x| (0.0..=settings.top).contains(x)));
        }
        assert!(Asking::default().written(&rest, &tokens, form).is_ok());
    }
    let asked = Asking::default().all_at_once(&rest, &tokens).expect("no examples, no errors");
    assert!(asked.slots.iter().all(|&slot| asked.prompt.user[slot..].starts_with("unknown\n")));
    let _ = echoed(&tokens, &asked.slots);
    if let Ok(found) = Keyword::default().simulate(&rest, &tokens) {
        check::<f64>(&found, tokens.len());
    }
    let top: Vec<(&str, f64)> = rest.split(separator).take(32).map(|token| (token, number(byte()))).collect();
    for policy in [DigitPolicy::Strict, DigitPolicy::Merged] {
        if let Ok(found) = expected_value(top.iter().copied(), policy) {
            assert!(found.expected.is_none_or(|expected| (0.0..=10.0 + 1e-9).contains(&expected)));
            let bounds = found.expected_bounds(0.5).expect("a probability");
            assert!(bounds.is_none_or(|(low, high)| low <= high));
        }
    }
}

/// Numbers around 0, and those that are none.
fn number(byte: u8) -> f64 {
    match byte {
        252 => f64::NAN,
        253 => f64::INFINITY,
        254 => f64::NEG_INFINITY,
        255 => f64::MAX,
        byte => (f64::from(byte) - 200.0) / 4.0,
    }
}

fn check<T: limpid::Scalar>(found: &Simulation<T>, tokens: usize) {
    found.check(tokens).expect("a simulation of these tokens");
    assert_eq!(found.accounting().tokens(), tokens);
    let fits = |(value, status): (&Option<T>, &TokenStatus)| value.is_some() || status.failed();
    assert!(found.expected.iter().zip(&found.status).all(fits));
}
