//! Attributions of tokens and features, aggregated and drawn: no panic, no hang, no unbounded allocation.

use std::ops::Range;

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::attribution::aggregate::{
    Aggregation, Marker, Subwords, difference, joint_shares, merge_tokens, over_groups, over_last_axis, over_spans,
    rescale, shares, slices, span_groups, split_at, top_features, weigh_steps,
};
use limpid::attribution::faithfulness::By;
use limpid::attribution::render::ansi::{self, Ansi, Depth};
use limpid::attribution::render::html::{self, Extras, Html};
use limpid::attribution::render::svg::{self, Svg};
use limpid::attribution::render::text::{self, Text};
use limpid::attribution::render::{Rgb, Theme, diverging};
use limpid::attribution::target::top_p_size;
use ndarray::{Array1, Array2, Array3};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    match source.below(4) {
        0 => aggregate::<f32>(&mut source),
        1 => aggregate::<f64>(&mut source),
        2 => draw::<f32>(&mut source),
        _ => draw::<f64>(&mut source),
    }
}

/// Pieces of names: markers, what a page would take for its own, controls, wide and combining characters.
const PIECES: [&str; 24] = [
    "",
    "a",
    "the",
    "\u{2581}",
    "\u{120}",
    "\u{10a}",
    "##",
    "</w>",
    "@@",
    " ",
    "\n",
    "\u{1b}[31m",
    "<script>",
    "&amp;",
    "\"",
    "'",
    "]]>",
    "\u{0}",
    "\u{202e}",
    "\u{301}",
    "\u{1f468}\u{200d}\u{1f469}",
    "日本",
    "\u{feff}",
    "-",
];

fn token(source: &mut Source<'_>) -> String {
    (0..source.below(4)).map(|_| source.pick(&PIECES)).collect()
}

fn tokens(source: &mut Source<'_>, n: usize) -> Vec<String> {
    (0..source.near(n)).map(|_| token(source)).collect()
}

fn values<T: Scalar>(source: &mut Source<'_>, rows: usize, columns: usize) -> Array2<T> {
    if source.byte() > 230 {
        return source.matrix(rows, columns);
    }
    Array2::from_shape_simple_fn((rows, columns), || T::of(f64::from(source.byte()) / 64.0 - 2.0))
}

fn row<T: Scalar>(source: &mut Source<'_>, n: usize) -> Array1<T> {
    if source.byte() > 230 {
        return source.vector(n);
    }
    Array1::from_shape_simple_fn(n, || T::of(f64::from(source.byte()) / 64.0 - 2.0))
}

fn spans(source: &mut Source<'_>, n: usize) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    for _ in 0..source.below(5) {
        if source.byte() > 220 {
            spans.push(source.count()..source.count());
            continue;
        }
        let start = at + source.below(3);
        at = (start + source.below(4)).min(n);
        spans.push(start..at);
    }
    spans
}

fn aggregate<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.below(6), source.length());
    let how = source.pick(&[
        Aggregation::Sum,
        Aggregation::Mean,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::AbsMax,
        Aggregation::Norm,
        Aggregation::Product,
    ]);
    let (x, weights, names) = (values::<T>(source, b, n), row::<T>(source, b), tokens(source, n));
    let other = values::<T>(source, b, n);
    let cube = Array3::from_shape_simple_fn((b, 3, source.below(4)), || source.number::<T>());
    let _ = (how.of(&row::<T>(source, n)), over_last_axis(&cube, how));
    let groups: Vec<usize> =
        (0..source.near(n)).map(|_| if source.byte() > 250 { source.count() } else { source.below(4) }).collect();
    let _ = (over_groups(&x, &groups, how), difference(&x, &other), shares(&x), rescale(&x));
    let _ = (joint_shares(&[&*x, &*other]), weigh_steps(&x, &weights));
    let spans = spans(source, n);
    let _ = (span_groups(n, &spans), span_groups(source.count().min(1 << 12), &spans), over_spans(&x, &spans, how));
    let (separator, k) = (token(source), source.count());
    let _ = (merge_tokens(&names, &spans, &separator), slices(&x, &spans), split_at(&names, &separator));
    let _ = top_features(&row::<T>(source, n), &names, k, source.pick(&[By::Magnitude, By::Value]));
    let markers = [Marker::SentencePiece, Marker::ByteLevel, Marker::WordPiece, Marker::EndOfWord, Marker::Joiner];
    let subwords = Subwords { marker: source.pick(&markers), aggregation: how, alone: tokens(source, 2) };
    let _ = (subwords.spans(&names), subwords.words(&names), subwords.merge(&names, &x));
    let _ = top_p_size(&weights, source.share());
}

fn limit(source: &mut Source<'_>) -> Option<f64> {
    source.flag().then(|| source.number())
}

fn theme(source: &mut Source<'_>) -> Theme {
    source.pick(&[Theme::Auto, Theme::Light, Theme::Dark])
}

fn draw<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.length(), source.length());
    let (names, scores, labels) = (tokens(source, n), row::<T>(source, n), tokens(source, b));
    let b = b.min(4096 / n.max(1));
    let x = values::<T>(source, b, n);
    match source.below(5) {
        0 => {
            let (decimals, limit, bar, name) = (source.count(), limit(source), source.count(), source.count());
            let text = Text { decimals, limit, bar, name };
            let _ = (text.tokens(&names, &scores), text.table(&labels, &names, &x));
            let _ = (text::tokens(&names, &scores), text::table(&labels, &names, &x));
        }
        1 => {
            let ansi = Ansi {
                depth: source.pick(&[Depth::True, Depth::Palette]),
                theme: theme(source),
                columns: source.flag().then(|| source.count()),
                separator: token(source),
                limit: limit(source),
                decimals: source.count(),
                legend: source.flag(),
            };
            let _ = (ansi.tokens(&names, &scores), ansi::tokens(&names, &scores));
        }
        2 => page(source, (&labels, &names), &x, &scores),
        3 => {
            let (theme, title, width, limit) = (theme(source), token(source), source.number(), limit(source));
            let (decimals, top, legend) = (source.count(), source.count(), source.flag());
            let svg = Svg { theme, title, width, limit, decimals, top, legend };
            let _ = (svg.bars(&names, &scores), svg.heat_map(&x), svg.tokens(&names, &scores));
            let _ = (svg.matrix(&labels, &names, &x), svg::bars(&names, &scores), svg::heat_map(&x));
            let _ = (svg::tokens(&names, &scores), svg::matrix(&labels, &names, &x));
        }
        _ => {
            let colour = diverging(source.number(), source.flag());
            let other = Rgb { red: source.byte(), green: source.byte(), blue: source.byte() };
            let _ = (colour.hex(), colour.contrast(other), other.text());
        }
    }
}

fn page<T: Scalar>(
    source: &mut Source<'_>,
    (labels, names): (&[String], &[String]),
    x: &Array2<T>,
    scores: &Array1<T>,
) {
    let (theme, caption, limit, decimals) = (theme(source), token(source), limit(source), source.count());
    let html = Html { theme, caption, limit, decimals, numbers: source.flag(), legend: source.flag() };
    let (b, n) = x.dim();
    let absent = source.flag().then(|| Array2::from_shape_simple_fn((source.near(b), n), || source.flag()));
    let footer =
        (0..source.below(3)).map(|_| (token(source), (0..source.near(n)).map(|_| source.number()).collect())).collect();
    let extras = Extras { rows: token(source), columns: token(source), absent, footer };
    let fragments: Vec<String> = [
        html.tokens(names, scores),
        html.table(labels, names, x, &extras),
        html.image(x),
        html::tokens(names, scores),
        html::table(labels, names, x),
        html::image(x),
    ]
    .into_iter()
    .flatten()
    .collect();
    let text = html::page(&token(source), &fragments);
    assert!(!text.contains("<script"), "names must not become markup");
}
