//! Attributions as text, ANSI, HTML and SVG, from plain numbers.
