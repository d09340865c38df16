//! The command watch: the path of each change, as it happens.

use std::io::Write;

use xenstore::Access;

use crate::command_line::CommandLine;
use crate::errors::{Failure, reason};

/// Shows changes until there were enough of them.
pub fn run(store: &dyn Access, line: &CommandLine) -> Result<(), Failure> {
    for path in line.paths() {
        store
            .watch(&path, &path)
            .map_err(|_| Failure::said(format_args!("Unable to add watch on {path}\n")))?;
    }
    let mut output = std::io::stdout();
    let mut left = line.count;
    while left != Some(0) {
        let event = store
            .next_event(None)
            .map_err(|error| Failure::said(reason(&error)))?;
        let Some(event) = event else {
            continue;
        };
        if writeln!(output, "{}", event.path)
            .and_then(|()| output.flush())
            .is_err()
        {
            // A reader that went away has had enough.
            return Ok(());
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}
