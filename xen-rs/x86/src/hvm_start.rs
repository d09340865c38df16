//! Start states: PVH's, and what `VCPUOP_initialise` describes (xen/include/public/hvm/hvm_vcpu.h).

use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_core::domain::Domain;
use zerocopy::FromBytes;

use crate::domain::X86Domain;
use crate::hvm_context::VcpuRegisters;
use crate::vcpu::{Backend, State};

/// 32-bit flat protected mode at `entry` with `start_info` in ebx (docs/misc/pvh.pandoc of Xen, "x86/HVM direct boot ABI").
pub fn pvh(state: &mut State, entry: u32, start_info: u32) {
    start_from(state, &VcpuRegisters::pvh(entry, start_info));
}

/// Loads a `vcpu_hvm_context`.
///
/// # Errors
/// `EINVAL` for a state no processor of the domain could be in.
pub fn initialise(domain: &Domain, state: &mut State, context: &[u8]) -> Result<(), Errno> {
    let (context, _) = VcpuHvmContext::read_from_prefix(context).map_err(|_| Errno::EINVAL)?;
    let policy = X86Domain::of(domain).policy.read();
    let start = VcpuRegisters::from_hvm_context(&context, &policy)?;
    drop(policy);
    start_from(state, &start);
    Ok(())
}

fn start_from(state: &mut State, start: &VcpuRegisters) {
    state.hw.load_registers(start);
    state.registers.0 = start.gprs;
    state.forget_past();
}
