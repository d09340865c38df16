//! Prints one line a scenario, the end of the log of a failed one, and the sum.

use std::path::Path;
use std::time::Duration;

use crate::expect::Verdict;

const LOG_LINES: usize = 25;

/// Counts what passed and failed while telling it.
#[derive(Default)]
pub struct Report {
    passed: usize,
    failed: usize,
}

impl Report {
    /// Tells one result. `log` is shown when the scenario failed.
    pub fn tell(&mut self, name: &str, verdict: &Verdict, took: Duration, log: &Path) {
        let seconds = took.as_secs();
        match verdict {
            Verdict::Passed => {
                self.passed += 1;
                println!("PASS {name} ({seconds} s)");
            }
            Verdict::Failed(reason) => self.failure(name, &format!("{reason} ({seconds} s)"), log),
            Verdict::Open => self.failure(name, "no verdict", log),
        }
    }

    /// Prints the sum as the last line; true when nothing failed and something passed.
    pub fn finish(self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }

    fn failure(&mut self, name: &str, reason: &str, log: &Path) {
        self.failed += 1;
        println!("FAIL {name}: {reason}");
        let text = std::fs::read(log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        println!("  the last lines of {}:", log.display());
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            println!("  | {}", line.trim_end());
        }
    }
}
