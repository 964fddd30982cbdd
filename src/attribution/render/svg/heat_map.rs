//! Heat maps of images, and of matrices with names.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use super::Svg;
use super::canvas::{Anchor, Canvas, Ink, text_width};
use crate::attribution::render::characters::{cut, visible};
use crate::attribution::render::scale::{Scale, check_count};
use crate::error::check_limit;
use crate::{Result, Scalar};

/// Most cells.
const MAX_CELLS: usize = 1 << 22;

/// Greatest height of an image in pixels, so that a tall one stays on the screen.
const MAX_HEIGHT: f64 = 1200.0;

/// Size of the texts of a matrix.
const SIZE: f64 = 12.0;

impl Svg {
    /// A heat map of `values: (height, width)`: one square for each value, row 0 at the top.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for the settings, [`Error::TooLarge`](crate::Error::TooLarge) for
    /// them and beyond 2²² values.
    pub fn heat_map<T: Scalar>(&self, values: &ArrayRef2<T>) -> Result<String> {
        let scale = self.cells_scale(values)?;
        let mut canvas = Canvas::new(self);
        let legend = self.legend_width(scale);
        let (rows, columns) = (values.nrows() as f64, values.ncols() as f64);
        let cell = ((self.width - 28.0 - legend) / columns).min(MAX_HEIGHT / rows);
        let corner = (14.0, canvas.top() + 2.0);
        canvas.crisp(|canvas| {
            for (i, row) in values.rows().into_iter().enumerate() {
                let levels: Vec<i8> = row.iter().map(|value| scale.level(value.as_f64())).collect();
                let mut from = 0;
                // neighbours of one colour are one rectangle
                for run in levels.chunk_by(|a, b| a == b) {
                    let at = (corner.0 + from as f64 * cell, corner.1 + i as f64 * cell);
                    canvas.cell(at, (run.len() as f64 * cell, cell), run[0], 0.0, "");
                    from += run.len();
                }
            }
        });
        let right = corner.0 + columns * cell;
        Ok(self.with_legend(canvas, (right, corner.1), rows * cell, scale))
    }

    /// A heat map of `values: (rows, columns)` with names, and with numbers where they have room.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a name for every row and column, and as [`Self::heat_map`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::svg;
    /// use ndarray::array;
    ///
    /// let picture = svg::matrix(&["the", "cat"], &["le", "chat"], &array![[0.9, 0.1], [0.0, 0.8]])?;
    /// assert!(picture.contains("<title>cat, chat: 0.800</title>"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn matrix<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
        &self,
        rows: &[R],
        columns: &[C],
        values: &ArrayRef2<T>,
    ) -> Result<String> {
        check_count("row names", rows.len(), values.nrows())?;
        check_count("column names", columns.len(), values.ncols())?;
        let scale = self.cells_scale(values)?;
        let mut canvas = Canvas::new(self);
        let shown = |name: &str| cut(&visible(name), 24);
        let rows: Vec<String> = rows.iter().map(|name| shown(name.as_ref())).collect();
        let columns: Vec<String> = columns.iter().map(|name| shown(name.as_ref())).collect();
        let left = 14.0 + widest(&rows) + 8.0;
        let room = (self.width - left - 14.0 - self.legend_width(scale)) / columns.len() as f64;
        let wide = room.clamp(20.0, 72.0);
        let names = Names::of(&columns, wide);
        let corner = (left, canvas.top() + names.height);
        for (j, name) in columns.iter().enumerate() {
            names.draw(&mut canvas, (left + (j as f64 + 0.5) * wide, corner.1 - 7.0), name);
        }
        for (i, (name, row)) in rows.iter().zip(values.rows()).enumerate() {
            let y = corner.1 + i as f64 * CELL_HEIGHT;
            canvas.text((left - 8.0, y + 18.0), SIZE, Anchor::End, Ink::Text, "", name);
            for (j, value) in row.iter().enumerate() {
                let (x, value) = (left + j as f64 * wide, value.as_f64());
                let number = scale.number(value);
                let tip = format!("{name}, {}: {number}", columns[j]);
                canvas.cell((x + 1.0, y + 1.0), (wide - 2.0, CELL_HEIGHT - 2.0), scale.level(value), 3.0, &tip);
                if text_width(&number, 11.0) <= wide - 4.0 {
                    canvas.text((x + wide / 2.0, y + 17.5), 11.0, Anchor::Middle, Ink::OnColour, "", &number);
                }
            }
        }
        let right = (left + columns.len() as f64 * wide).max(names.right(&columns, left, wide));
        Ok(self.with_legend(canvas, (right, corner.1), rows.len() as f64 * CELL_HEIGHT, scale))
    }

    fn cells_scale<T: Scalar>(&self, values: &ArrayRef2<T>) -> Result<Scale> {
        self.check()?;
        check_limit("cells", values.len(), MAX_CELLS)?;
        Scale::new("values", values.iter().copied(), self.limit, self.decimals)
    }

    fn has_legend(&self, scale: Scale) -> bool {
        self.legend && scale.limit() > 0.0
    }

    fn legend_width(&self, scale: Scale) -> f64 {
        if self.has_legend(scale) { 42.0 + text_width(&scale.number(-scale.limit()), 11.0) } else { 0.0 }
    }

    /// The finished picture, with the scale of colours to the right of the cells.
    fn with_legend(&self, mut canvas: Canvas<'_>, (right, top): (f64, f64), height: f64, scale: Scale) -> String {
        let mut bottom = top + height;
        if self.has_legend(scale) {
            let tall = height.clamp(60.0, 240.0);
            canvas.upright_legend((right + 14.0, top), tall, scale);
            bottom = bottom.max(top + tall);
        }
        canvas.finish(right + 14.0 + self.legend_width(scale), bottom + 14.0, "heat map of attributions")
    }
}

const CELL_HEIGHT: f64 = 28.0;

fn widest(names: &[String]) -> f64 {
    names.iter().map(|name| text_width(name, SIZE)).fold(0.0, f64::max)
}

/// Names above columns: level where all have room, otherwise slanted.
#[derive(Debug, Clone, Copy)]
struct Names {
    slanted: bool,
    height: f64,
}

impl Names {
    fn of(names: &[String], wide: f64) -> Self {
        let slanted = widest(names) > wide - 4.0;
        let height = if slanted { 18.0 + widest(names) * core::f64::consts::FRAC_1_SQRT_2 } else { 22.0 };
        Self { slanted, height }
    }

    fn draw(self, canvas: &mut Canvas<'_>, (x, y): (f64, f64), name: &str) {
        if self.slanted {
            let turn = format!(" transform=\"rotate(-45 {x:.1} {y:.1})\"");
            canvas.text((x, y), SIZE, Anchor::Start, Ink::Text, &turn, name);
        } else {
            canvas.text((x, y), SIZE, Anchor::Middle, Ink::Text, "", name);
        }
    }

    /// Where the last name ends.
    fn right(self, names: &[String], left: f64, wide: f64) -> f64 {
        let end = |(j, name): (usize, &String)| {
            let length = if self.slanted { text_width(name, SIZE) * core::f64::consts::FRAC_1_SQRT_2 } else { 0.0 };
            left + (j as f64 + 0.5) * wide + length - 20.0
        };
        names.iter().enumerate().map(end).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{heat_map, matrix};
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn neighbours_of_one_colour_are_one_rectangle() {
        let bare = Svg { legend: false, ..Svg::default() };
        let picture = bare.heat_map(&array![[1.0, 1.0, 0.0], [-1.0, 1.0, -1.0]]).unwrap();
        // the surface, and 2 + 3 cells
        assert_eq!(picture.matches("<rect").count(), 6);
    }

    #[test]
    fn the_scale_has_both_ends_and_the_middle() {
        let picture = heat_map(&array![[0.25_f32, -0.5]]).unwrap();
        assert!([">0.500<", ">0.000<", ">-0.500<"].iter().all(|number| picture.contains(number)));
        assert_eq!(heat_map(&array![[0.0]]).unwrap().matches("<text").count(), 0);
    }

    #[test]
    fn long_names_are_slanted() {
        assert!(!matrix(&["a"], &["b"], &array![[1.0]]).unwrap().contains("rotate"));
        let names: Vec<String> = (0..12).map(|i| format!("generated {i}")).collect();
        let picture = matrix(&["a"], &names, &Array2::<f32>::ones((1, 12))).unwrap();
        assert_eq!(picture.matches("rotate(-45").count(), 12);
    }

    #[test]
    fn too_many_cells_are_refused() {
        let many = Array2::<f32>::zeros((1 << 12, (1 << 10) + 1));
        assert!(matches!(heat_map(&many), Err(Error::TooLarge { what: "cells", .. })));
    }
}
