//! Curves as tables and figures.

use crate::support::figure::{Axis, Curve, curves};
use crate::support::report::{Report, number};

/// A table of curves that share their places, which are the head.
pub fn table(report: &mut Report, title: &str, what: &str, series: &[(&str, Curve)]) {
    let places = series.first().map_or(&[][..], |(_, curve)| curve);
    let head: Vec<String> = [what.to_owned()].into_iter().chain(places.iter().map(|point| number(point.0))).collect();
    let row = |(name, curve): &(&str, Curve)| {
        [(*name).to_owned()].into_iter().chain(curve.iter().map(|point| number(point.1))).collect()
    };
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    report.table(&format!("errors of the {title}"), &head, series.iter().map(row).collect());
}

/// A figure of curves on axes that fit them.
pub fn figure(report: &mut Report, x: &str, caption: &str, series: Vec<(&str, Curve)>) {
    let fitted =
        |name: &str, of: fn(&(f64, f64)) -> f64| Axis::fitted(name, series.iter().flat_map(|(_, curve)| curve).map(of));
    let axes = (fitted(x, |point| point.0), fitted("error", |point| point.1));
    report.figure(curves(&axes.0, &axes.1, series, &[]), caption);
}

/// The least last error of some curves.
pub fn best<'a>(series: impl IntoIterator<Item = &'a (&'a str, Curve)>) -> f64 {
    series.into_iter().filter_map(|(_, curve)| curve.last()).map(|point| point.1).fold(f64::INFINITY, f64::min)
}
