//! Progress output, one line per step.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _, stdout},
    time::Instant,
};

/// Prints steps as they start and end.
pub(super) struct Steps {
    /// On a terminal, the line of a running step is overwritten when it ends.
    is_terminal: bool,
    /// With JSON output, steps print nothing.
    is_quiet: bool,
}

impl Steps {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_terminal: stdout().is_terminal() && !is_quiet, is_quiet }
    }

    /// Runs one step; `describe` summarises its result.
    pub(super) async fn step<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<T, E> {
        let begun = Instant::now();
        if self.is_terminal {
            print!("… {name}");
            // A failure to print progress is ignored.
            let _ = stdout().flush();
        }
        let done = work.await;
        let seconds = begun.elapsed().as_secs_f32();
        match &done {
            Ok(made) => self.end_line(format_args!("✓ {name:<9} {} ({seconds:.1} s)", describe(made))),
            Err(_) => self.end_line(format_args!("✗ {name}")),
        }
        done
    }

    fn end_line(&self, line: impl Display) {
        if self.is_quiet {
            return;
        }
        let clear = if self.is_terminal { "\r\x1b[2K" } else { "" };
        println!("{clear}{line}");
    }
}
