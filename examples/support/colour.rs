//! Colour scales that colour-blind readers can tell apart.

/// A colour on the dark-to-light scale "viridis", for `t` in `[0, 1]`.
pub fn viridis(t: f64) -> String {
    const STOPS: [[f64; 3]; 5] =
        [[68.0, 1.0, 84.0], [59.0, 82.0, 139.0], [33.0, 145.0, 140.0], [94.0, 201.0, 98.0], [253.0, 231.0, 37.0]];
    between(&STOPS, t)
}

/// Blue for -1, near white for 0, red for 1.
pub fn coolwarm(x: f64) -> String {
    const STOPS: [[f64; 3]; 5] =
        [[59.0, 76.0, 192.0], [141.0, 176.0, 254.0], [236.0, 236.0, 236.0], [244.0, 152.0, 122.0], [180.0, 4.0, 38.0]];
    between(&STOPS, (x + 1.0) / 2.0)
}

/// Colours of series and classes.
pub fn series(index: usize) -> &'static str {
    const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5b5b5b", "#8a6d00"];
    COLOURS[index % COLOURS.len()]
}

fn between(stops: &[[f64; 3]], t: f64) -> String {
    let place = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) } * (stops.len() - 1) as f64;
    let low = (place.floor() as usize).min(stops.len() - 2);
    let mix: Vec<String> = (0..3)
        .map(|c| format!("{:.0}", stops[low][c] + (place - low as f64) * (stops[low + 1][c] - stops[low][c])))
        .collect();
    format!("rgb({})", mix.join(","))
}
