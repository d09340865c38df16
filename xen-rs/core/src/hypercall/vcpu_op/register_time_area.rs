//! `VCPUOP_register_vcpu_time_memory_area` and `VCPUOP_register_vcpu_time_phys_area`: keep a second copy of the time parameters, for the
//! guest's user space. One area at a time, as for the run state.

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuRegisterTimeMemoryArea;
use xen_abi::xen::VcpuTimeInfo;

use super::{area, subject};
use crate::hypercall::{Call, Outcome, Width};
use crate::ids::{Gpa, GuestAddr};
use crate::vcpu::GuestArea;

const SIZE: usize = size_of::<VcpuTimeInfo>();

/// By linear address; 0 ends it.
///
/// # Errors
/// `ENOENT`, `EFAULT` for the argument or an address that is not mapped.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let at = call.pointer(2);
    let at = GuestAddr(match call.width {
        Width::Bits64 => call.fetch::<VcpuRegisterTimeMemoryArea>(at)?.addr,
        Width::Bits32 => call
            .fetch::<compat::vcpu::VcpuRegisterTimeMemoryArea>(at)?
            .addr
            .into(),
    });
    let area = if at.0 == 0 {
        None
    } else {
        Some(area::at_linear(call, at, SIZE)?)
    };
    install(call, &vcpu, area)
}

/// By guest-physical address; all ones ends it.
///
/// # Errors
/// `ENOENT`, `EFAULT`, and those of [`area::at_physical`].
pub fn run_phys(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let at = call
        .fetch::<VcpuRegisterTimeMemoryArea>(call.pointer(2))?
        .addr;
    let area = if at == u64::MAX {
        None
    } else {
        Some(area::at_physical(call, Gpa(at), SIZE)?)
    };
    install(call, &vcpu, area)
}

fn install(
    call: &Call<'_>,
    vcpu: &crate::vcpu::Vcpu,
    area: Option<GuestArea>,
) -> Result<Outcome, Errno> {
    vcpu.areas.lock().time = area;
    call.hv.publish_time(call.domain, vcpu);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::{Fake, GUEST_PAGE};
    use xen_abi::vcpu::{
        VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA, VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA,
    };
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    #[test]
    fn time_is_written_at_registration() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        for (op, at) in [
            (VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA, GUEST_PAGE - 16),
            (VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA, GUEST_PAGE * 2),
        ] {
            fake.put(&guest, 0, &VcpuRegisterTimeMemoryArea { addr: at });
            assert_eq!(
                fake.call(&guest, HYPERVISOR_VCPU_OP, &[op.into(), 0, 0]),
                Ok(Outcome::OK)
            );
            let info: VcpuTimeInfo = fake.get(&guest, at);
            assert_eq!((info.version & 1, info.tsc_to_system_mul), (0, 1 << 31));
        }
    }
}
