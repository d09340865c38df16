//! `docs/hypercalls.md`, printed from the rows that dispatch uses, so that it cannot be wrong.

use alloc::string::String;
use core::fmt::{Result, Write};

use super::rows::HYPERCALLS;
use super::{Hypercall, Kind, Needs, Row};

const HEAD: &str = "# Hypercalls

Generated from the dispatch table in `xen-rs/core/src/hypercall`; do not edit. After a change of the table:
`UPDATE_DOCS=1 cargo test -p xen_core document`.

What is not listed does not exist here and returns `ENOSYS`. Who may call: *any* domain (the operation itself may ask for more where it
names another domain), the *control* domain (dom0; others get `EPERM`), or the domain that owns the *hardware* (dom0; others get `EPERM`,
or `ENOSYS` where marked).

";

/// The document.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(HEAD);
    for hypercall in HYPERCALLS {
        // Writing to a string cannot fail.
        let _ = section(&mut text, hypercall);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section(text: &mut String, hypercall: &Hypercall) -> Result {
    writeln!(text, "## {} {}\n", hypercall.number, hypercall.name)?;
    match &hypercall.kind {
        Kind::Single(row) => writeln!(text, "One operation; who may call: {}.\n", who(row.needs)),
        Kind::SubOp { rows, .. } => operations(text, rows),
        Kind::Framed(row, framed) => {
            writeln!(
                text,
                "Who may call: {}.\n\n| Op | Name |\n|---:|---|",
                who(row.needs)
            )?;
            for row in *framed {
                writeln!(text, "| {} | `{}` |", row.op(), row.name())?;
            }
            writeln!(text)
        }
    }
}

fn operations(text: &mut String, rows: &[Row]) -> Result {
    writeln!(text, "| Op | Name | Who |\n|---:|---|---|")?;
    for row in rows {
        writeln!(text, "| {} | `{}` | {} |", row.op, row.name, who(row.needs))?;
    }
    writeln!(text)
}

const fn who(needs: Needs) -> &'static str {
    match needs {
        Needs::Nothing => "any",
        Needs::Control => "control",
        Needs::Hardware => "hardware",
        Needs::HardwareOrAbsent => "hardware (others `ENOSYS`)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hypercalls.md");

    #[test]
    fn document_in_the_repository_is_up_to_date() {
        let text = document();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PATH, &text).expect("docs/hypercalls.md can be written");
        }
        let found = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(
            found == text,
            "docs/hypercalls.md is out of date: UPDATE_DOCS=1 cargo test -p xen_core document"
        );
    }

    #[test]
    fn hypercalls_are_in_order_and_operations_unique() {
        assert!(HYPERCALLS.is_sorted_by(|a, b| a.number < b.number));
        for hypercall in HYPERCALLS {
            if let Kind::SubOp { rows, mask } = &hypercall.kind {
                let ops: BTreeSet<u32> = rows.iter().map(|row| row.op & mask).collect();
                assert_eq!(ops.len(), rows.len(), "{}", hypercall.name);
            }
        }
    }
}
