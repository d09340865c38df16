//! `HYPERVISOR_sched_op`: giving the CPU up, waiting, shutting down. One file per operation.
//!
//! Arguments: operation, pointer. Semantics and error codes: xen/include/public/sched.h and Xen 4.20. No vCPU waits inside the hypervisor:
//! an operation that must wait marks the vCPU and returns [`super::Outcome::Reschedule`], which is 0 to the guest whenever it runs again.

pub mod block;
pub mod pin_override;
pub mod poll;
pub mod remote_shutdown;
pub mod shutdown;
pub mod watchdog;
#[path = "yield.rs"]
pub mod yield_now;

use xen_abi::sched as abi;

use super::{Needs, Row};

/// The operations.
pub static ROWS: &[Row] = &[
    row(
        abi::SCHEDOP_YIELD,
        "SCHEDOP_yield",
        Needs::Nothing,
        yield_now::run,
    ),
    row(
        abi::SCHEDOP_BLOCK,
        "SCHEDOP_block",
        Needs::Nothing,
        block::run,
    ),
    row(
        abi::SCHEDOP_SHUTDOWN,
        "SCHEDOP_shutdown",
        Needs::Nothing,
        shutdown::run,
    ),
    row(abi::SCHEDOP_POLL, "SCHEDOP_poll", Needs::Nothing, poll::run),
    row(
        abi::SCHEDOP_REMOTE_SHUTDOWN,
        "SCHEDOP_remote_shutdown",
        Needs::Control,
        remote_shutdown::run,
    ),
    row(
        abi::SCHEDOP_SHUTDOWN_CODE,
        "SCHEDOP_shutdown_code",
        Needs::Nothing,
        shutdown::run_code,
    ),
    row(
        abi::SCHEDOP_WATCHDOG,
        "SCHEDOP_watchdog",
        Needs::Nothing,
        watchdog::run,
    ),
    row(
        abi::SCHEDOP_PIN_OVERRIDE,
        "SCHEDOP_pin_override",
        Needs::Hardware,
        pin_override::run,
    ),
];

const fn row(op: u32, name: &'static str, needs: Needs, run: super::Handler) -> Row {
    Row {
        op,
        name,
        needs,
        run,
    }
}
