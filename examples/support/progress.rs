//! A progress bar for work that takes over two seconds.

use core::ops::ControlFlow;
use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

use limpid::superposition::Progress;

/// Draws to the standard error stream: a bar on a terminal, a line now and then elsewhere.
pub struct Bar {
    what: String,
    start: Instant,
    shown: usize,
    drawn: bool,
}

impl Bar {
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), start: Instant::now(), shown: 0, drawn: false }
    }

    /// Says something else in front of the bar from now on.
    pub fn rename(&mut self, what: &str) {
        what.clone_into(&mut self.what);
    }

    /// Shows `done` of `all`.
    pub fn show(&mut self, done: usize, all: usize) {
        let seconds = self.start.elapsed().as_secs_f64();
        let percent = 100 * done / all.max(1);
        let due = if stderr().is_terminal() { percent > self.shown } else { percent / 25 > self.shown / 25 };
        if seconds < 2.0 || !due {
            return;
        }
        self.shown = percent;
        let left = seconds * (all - done) as f64 / done.max(1) as f64;
        if stderr().is_terminal() {
            let filled = percent * 30 / 100;
            let bar: String = (0..30).map(|cell| if cell < filled { '#' } else { '.' }).collect();
            eprint!("\r{} [{bar}] {percent:3} %, {left:.0} s left ", self.what);
            let _ = stderr().flush();
            self.drawn = true;
        } else {
            eprintln!("{}: {percent} %, {left:.0} s left", self.what);
        }
    }

    /// The callback of a training.
    pub fn callback(mut self) -> impl FnMut(Progress) -> ControlFlow<()> {
        move |progress| {
            self.show(progress.step, progress.steps);
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.drawn {
            eprintln!();
        }
    }
}
