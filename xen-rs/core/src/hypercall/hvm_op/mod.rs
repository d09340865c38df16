//! `HYPERVISOR_hvm_op`: parameters of a domain and a few services. One file per operation.
//!
//! Arguments: operation, pointer. Semantics and error codes: xen/include/public/hvm/hvm_op.h, params.h and Xen 4.20.

pub mod altp2m;
pub mod flush_tlbs;
pub mod get_mem_type;
pub mod get_param;
pub mod get_time;
pub mod guest_request_vm_event;
pub mod latch_width;
pub mod pagetable_dying;
pub mod param_rules;
pub mod set_evtchn_upcall_vector;
pub mod set_param;
pub mod xentrace;

use xen_abi::hvm::hvm_op as abi;

use super::{Needs, Row};

/// The operations.
pub static ROWS: &[Row] = &[
    row(abi::HVMOP_SET_PARAM, "HVMOP_set_param", set_param::run),
    row(abi::HVMOP_GET_PARAM, "HVMOP_get_param", get_param::run),
    row(abi::HVMOP_FLUSH_TLBS, "HVMOP_flush_tlbs", flush_tlbs::run),
    row(
        abi::HVMOP_PAGETABLE_DYING,
        "HVMOP_pagetable_dying",
        pagetable_dying::run,
    ),
    row(abi::HVMOP_GET_TIME, "HVMOP_get_time", get_time::run),
    row(abi::HVMOP_XENTRACE, "HVMOP_xentrace", xentrace::run),
    row(
        abi::HVMOP_GET_MEM_TYPE,
        "HVMOP_get_mem_type",
        get_mem_type::run,
    ),
    row(
        abi::HVMOP_SET_EVTCHN_UPCALL_VECTOR,
        "HVMOP_set_evtchn_upcall_vector",
        set_evtchn_upcall_vector::run,
    ),
    row(
        abi::HVMOP_GUEST_REQUEST_VM_EVENT,
        "HVMOP_guest_request_vm_event",
        guest_request_vm_event::run,
    ),
    row(abi::HVMOP_ALTP2M, "HVMOP_altp2m", altp2m::run),
];

const fn row(op: u32, name: &'static str, run: super::Handler) -> Row {
    Row {
        op,
        name,
        needs: Needs::Nothing,
        run,
    }
}
