//! `HYPERVISOR_event_channel_op`: the domains' side of [`crate::evtchn`]. One file per operation.
//!
//! Handlers copy the argument in, lock one table (or two, see [`pair`]), let the table do the operation, unlock, wake whom it names, and
//! copy the result out. Error codes and their order are those of Xen 4.20 (xen/include/public/event_channel.h); where an operation names
//! another domain (`dom`), only a privileged caller may.

pub mod alloc_unbound;
pub mod bind_interdomain;
pub mod bind_ipi;
pub mod bind_pirq;
pub mod bind_vcpu;
pub mod bind_virq;
pub mod close;
pub mod expand_array;
pub mod init_control;
pub mod pair;
pub mod reset;
pub mod send;
pub mod set_priority;
pub mod status;
pub mod unmask;

use xen_abi::event_channel as abi;

use super::{Needs, Row};

/// `EVTCHNOP_reset_cont`: a reset goes on. Not for guests to use, though nothing happens if they do.
pub const EVTCHNOP_RESET_CONT: u32 = 14;

/// The operations.
pub static ROWS: &[Row] = &[
    row(
        abi::EVTCHNOP_BIND_INTERDOMAIN,
        "EVTCHNOP_bind_interdomain",
        bind_interdomain::run,
    ),
    row(
        abi::EVTCHNOP_BIND_VIRQ,
        "EVTCHNOP_bind_virq",
        bind_virq::run,
    ),
    row(
        abi::EVTCHNOP_BIND_PIRQ,
        "EVTCHNOP_bind_pirq",
        bind_pirq::run,
    ),
    row(abi::EVTCHNOP_CLOSE, "EVTCHNOP_close", close::run),
    row(abi::EVTCHNOP_SEND, "EVTCHNOP_send", send::run),
    row(abi::EVTCHNOP_STATUS, "EVTCHNOP_status", status::run),
    row(
        abi::EVTCHNOP_ALLOC_UNBOUND,
        "EVTCHNOP_alloc_unbound",
        alloc_unbound::run,
    ),
    row(abi::EVTCHNOP_BIND_IPI, "EVTCHNOP_bind_ipi", bind_ipi::run),
    row(
        abi::EVTCHNOP_BIND_VCPU,
        "EVTCHNOP_bind_vcpu",
        bind_vcpu::run,
    ),
    row(abi::EVTCHNOP_UNMASK, "EVTCHNOP_unmask", unmask::run),
    row(abi::EVTCHNOP_RESET, "EVTCHNOP_reset", reset::run),
    row(
        abi::EVTCHNOP_INIT_CONTROL,
        "EVTCHNOP_init_control",
        init_control::run,
    ),
    row(
        abi::EVTCHNOP_EXPAND_ARRAY,
        "EVTCHNOP_expand_array",
        expand_array::run,
    ),
    row(
        abi::EVTCHNOP_SET_PRIORITY,
        "EVTCHNOP_set_priority",
        set_priority::run,
    ),
    row(EVTCHNOP_RESET_CONT, "EVTCHNOP_reset_cont", reset::run_on),
];

const fn row(op: u32, name: &'static str, run: super::Handler) -> Row {
    Row {
        op,
        name,
        needs: Needs::Nothing,
        run,
    }
}
