//! A drawing surface that writes SVG.

use std::fmt::Write;

/// A picture in progress; coordinates in pixels from the top left.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>"#
        );
    }

    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" fill="{fill}"/>"#
        );
    }

    /// Touching cells that fill a rectangle, row 0 at the top. Runs of one colour are one rectangle.
    pub fn cells(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        (rows, columns): (usize, usize),
        colour: impl Fn(usize, usize) -> String,
    ) {
        let (wide, high) = (width / columns as f64, height / rows as f64);
        self.crisp(|svg| {
            for i in 0..rows {
                let colours: Vec<String> = (0..columns).map(|j| colour(i, j)).collect();
                let mut from = 0;
                for run in colours.chunk_by(|a, b| a == b) {
                    let corner = (x + from as f64 * wide, y + i as f64 * high);
                    svg.rectangle(corner, (run.len() as f64 * wide, high), &run[0]);
                    from += run.len();
                }
            }
        });
    }

    /// What `draw` adds gets edges on whole pixels, so that neighbours leave no seams.
    pub fn crisp(&mut self, draw: impl FnOnce(&mut Self)) {
        self.body.push_str("<g shape-rendering=\"crispEdges\">\n");
        draw(self);
        self.body.push_str("</g>\n");
    }

    pub fn frame(&mut self, (x, y): (f64, f64), (width, height): (f64, f64)) {
        let _ = writeln!(
            self.body,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="none" stroke="#999" stroke-width="0.7"/>"##
        );
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, opacity: f64) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{fill}" fill-opacity="{opacity}"/>"#
        );
    }

    pub fn path(&mut self, points: &[(f64, f64)], colour: &str, width: f64) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>"#,
            points.join(" ")
        );
    }

    pub fn text(&mut self, (x, y): (f64, f64), size: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r##"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}" fill="#222">{}</text>"##,
            escape(text)
        );
    }

    pub fn upright_text(&mut self, (x, y): (f64, f64), size: f64, text: &str) {
        let _ = writeln!(
            self.body,
            r##"<text transform="translate({x:.1},{y:.1}) rotate(-90)" font-size="{size}" text-anchor="middle" fill="#222">{}</text>"##,
            escape(text)
        );
    }

    pub fn finish(self) -> String {
        let (w, h) = (self.width, self.height);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" \
             font-family=\"Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// Text that is safe inside SVG and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
