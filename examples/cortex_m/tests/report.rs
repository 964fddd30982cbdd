//! What the microcontroller prints is worth printing: the autoencoder has learned, and 8 bits are enough for it.

use limpid_cortex_m::{INT8, SINGLE, report};

#[test]
fn eight_bits_do_what_thirty_two_do() {
    let mut text = String::new();
    let summary = report(&mut text).unwrap();
    assert!(summary.missed[0] < 0.6 && summary.missed[1] < summary.missed[0] + 0.01, "{summary:?}");
    assert!(summary.shared > 0.95 && summary.pearson > 0.99, "{summary:?}");
    assert!(summary.delta.abs() < 1e-5, "{summary:?}");
    assert_eq!(text.lines().count(), 2 * (32 + 1) + 2);
    assert!(INT8.len() * 3 < SINGLE.len());
}

#[test]
fn the_report_is_always_the_same() {
    let text = || {
        let mut text = String::new();
        report(&mut text).unwrap();
        text
    };
    assert_eq!(text(), text());
}
