//! Progress on standard error: one line that is rewritten on a terminal, one line per second
//! elsewhere.

use std::io::{IsTerminal as _, Write as _};

use tokio::time::Instant;

use crate::stage_counts::Progress;

pub(crate) struct ProgressLine {
    terminal: bool,
    quiet: bool,
    started: Instant,
}

impl ProgressLine {
    pub(crate) fn new(started: Instant, quiet: bool) -> ProgressLine {
        ProgressLine { terminal: std::io::stderr().is_terminal(), quiet, started }
    }

    /// Prints a sentence on its own line.
    pub(crate) fn print(&self, sentence: &str) {
        self.write(&format!("{sentence}\n"));
    }

    /// Shows the current progress.
    pub(crate) fn show(&self, progress: Progress) {
        let line = format!("{:4} s  {progress}", self.started.elapsed().as_secs());
        self.write(&if self.terminal { format!("\r\x1b[2K{line}") } else { format!("{line}\n") });
    }

    /// Ends the progress line.
    pub(crate) fn end(&self) {
        if self.terminal {
            self.write("\n");
        }
    }

    fn write(&self, text: &str) {
        if self.quiet {
            return;
        }
        // A closed standard error needs no progress.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
