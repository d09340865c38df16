//! `HYPERVISOR_vcpu_op`: a guest's operations on its own vCPUs. One file per operation or pair of operations.
//!
//! Arguments: operation, vCPU, pointer. Semantics and error codes: xen/include/public/vcpu.h and Xen 4.20. Areas that a guest registers by
//! linear address are resolved to guest-physical addresses at registration, see [`area`].

pub mod area;
pub mod get_physid;
pub mod get_runstate_info;
pub mod initialise;
pub mod periodic_timer;
pub mod power;
pub mod register_runstate_area;
pub mod register_time_area;
pub mod register_vcpu_info;
pub mod send_nmi;
pub mod singleshot_timer;

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::vcpu as abi;

use super::call::Call;
use super::{Needs, Row};
use crate::ids::VcpuId;
use crate::vcpu::Vcpu;

/// The operations.
pub static ROWS: &[Row] = &[
    row(abi::VCPUOP_INITIALISE, "VCPUOP_initialise", initialise::run),
    row(abi::VCPUOP_UP, "VCPUOP_up", power::up),
    row(abi::VCPUOP_DOWN, "VCPUOP_down", power::down),
    row(abi::VCPUOP_IS_UP, "VCPUOP_is_up", power::is_up),
    row(
        abi::VCPUOP_GET_RUNSTATE_INFO,
        "VCPUOP_get_runstate_info",
        get_runstate_info::run,
    ),
    row(
        abi::VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
        "VCPUOP_register_runstate_memory_area",
        register_runstate_area::run,
    ),
    row(
        abi::VCPUOP_SET_PERIODIC_TIMER,
        "VCPUOP_set_periodic_timer",
        periodic_timer::set,
    ),
    row(
        abi::VCPUOP_STOP_PERIODIC_TIMER,
        "VCPUOP_stop_periodic_timer",
        periodic_timer::stop,
    ),
    row(
        abi::VCPUOP_SET_SINGLESHOT_TIMER,
        "VCPUOP_set_singleshot_timer",
        singleshot_timer::set,
    ),
    row(
        abi::VCPUOP_STOP_SINGLESHOT_TIMER,
        "VCPUOP_stop_singleshot_timer",
        singleshot_timer::stop,
    ),
    row(
        abi::VCPUOP_REGISTER_VCPU_INFO,
        "VCPUOP_register_vcpu_info",
        register_vcpu_info::run,
    ),
    row(abi::VCPUOP_SEND_NMI, "VCPUOP_send_nmi", send_nmi::run),
    row(abi::VCPUOP_GET_PHYSID, "VCPUOP_get_physid", get_physid::run),
    row(
        abi::VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA,
        "VCPUOP_register_vcpu_time_memory_area",
        register_time_area::run,
    ),
    row(
        abi::VCPUOP_REGISTER_RUNSTATE_PHYS_AREA,
        "VCPUOP_register_runstate_phys_area",
        register_runstate_area::run_phys,
    ),
    row(
        abi::VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA,
        "VCPUOP_register_vcpu_time_phys_area",
        register_time_area::run_phys,
    ),
];

const fn row(op: u32, name: &'static str, run: super::Handler) -> Row {
    Row {
        op,
        name,
        needs: Needs::Nothing,
        run,
    }
}

/// The vCPU that the second argument names.
///
/// # Errors
/// `ENOENT` if the caller has none with that number.
fn subject(call: &Call<'_>) -> Result<Arc<Vcpu>, Errno> {
    call.domain
        .vcpu(VcpuId(call.arg32(1)))
        .cloned()
        .ok_or(Errno::ENOENT)
}

/// Whether the vCPU was ever given a state to run from. The caller was, whatever its flags say by now, and so was one that is up: the
/// machine-specific half is asked only about others, whose state nobody holds.
fn has_state(call: &Call<'_>, vcpu: &Arc<Vcpu>) -> bool {
    Arc::ptr_eq(vcpu, call.vcpu) || vcpu.is_up() || vcpu.arch.is_initialised()
}
