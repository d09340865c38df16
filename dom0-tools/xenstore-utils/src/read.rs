//! The commands that show nodes: read, list, exists.

use xenstore::{Access, Tx};

use crate::command_line::CommandLine;
use crate::errors::Failure;
use crate::escape::escape;

/// Shows values.
pub fn read(
    store: &dyn Access,
    tx: Tx,
    line: &CommandLine,
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    for path in line.paths() {
        let value = store
            .read(tx, &path)
            .map_err(|_| Failure::said(format_args!("couldn't read path {path}")))?;
        if line.has_prefix {
            output.extend(format!("{path}: ").bytes());
        }
        if line.is_raw {
            output.extend(value);
        } else {
            output.extend(format!("{}\n", escape(&value)).bytes());
        }
    }
    Ok(())
}

/// Shows the names of children.
pub fn list(
    store: &dyn Access,
    tx: Tx,
    line: &CommandLine,
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    for path in line.paths() {
        let names = store
            .list(tx, &path)
            .map_err(|_| Failure::said(format_args!("could not list path {path}")))?;
        for name in names {
            if line.has_prefix {
                output.extend(format!("{path}/").bytes());
            }
            output.extend(format!("{name}\n").bytes());
        }
    }
    Ok(())
}

/// Succeeds if all nodes exist.
pub fn exists(store: &dyn Access, tx: Tx, line: &CommandLine) -> Result<(), Failure> {
    for path in line.paths() {
        store.read(tx, &path).map_err(|_| Failure::Silent)?;
    }
    Ok(())
}
