//! `HYPERVISOR_console_io`: the hypervisor's console for dom0. Other domains get `EPERM`, as from a release build of Xen; their consoles
//! are rings shared with dom0.
//!
//! Arguments: operation, number of bytes, buffer.

pub mod read;
pub mod write;

use xen_abi::xen::{CONSOLEIO_READ, CONSOLEIO_WRITE};

use super::{Needs, Row};

/// The operations.
pub static ROWS: &[Row] = &[
    Row {
        op: CONSOLEIO_WRITE,
        name: "CONSOLEIO_write",
        needs: Needs::Control,
        run: write::run,
    },
    Row {
        op: CONSOLEIO_READ,
        name: "CONSOLEIO_read",
        needs: Needs::Control,
        run: read::run,
    },
];
