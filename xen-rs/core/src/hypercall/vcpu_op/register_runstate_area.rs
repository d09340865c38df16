//! `VCPUOP_register_runstate_memory_area` and `VCPUOP_register_runstate_phys_area`: keep a copy of a vCPU's run state in guest memory.
//!
//! One area at a time: registering one by either operation replaces the other's.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuRegisterRunstateMemoryArea;

use super::{area, subject};
use crate::hypercall::{Call, Outcome, Width};
use crate::ids::{Gpa, GuestAddr};
use crate::runstate_area::{SIZE_32, SIZE_64};
use crate::vcpu::GuestArea;

/// By linear address; 0 ends it.
///
/// # Errors
/// `ENOENT`, `EFAULT` for the argument or an address that is not mapped.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let at = linear_address(call)?;
    let area = if at.0 == 0 {
        None
    } else {
        Some(area::at_linear(call, at, size(call))?)
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
        .fetch::<VcpuRegisterRunstateMemoryArea>(call.pointer(2))?
        .addr;
    let area = if at == u64::MAX {
        None
    } else {
        Some(area::at_physical(call, Gpa(at), size(call))?)
    };
    install(call, &vcpu, area)
}

fn size(call: &Call<'_>) -> usize {
    if call.domain.is_32bit.load(SeqCst) {
        SIZE_32
    } else {
        SIZE_64
    }
}

fn linear_address(call: &mut Call<'_>) -> Result<GuestAddr, Errno> {
    let at = call.pointer(2);
    Ok(GuestAddr(match call.width {
        Width::Bits64 => call.fetch::<VcpuRegisterRunstateMemoryArea>(at)?.addr,
        Width::Bits32 => call
            .fetch::<compat::vcpu::VcpuRegisterRunstateMemoryArea>(at)?
            .addr
            .into(),
    }))
}

fn install(
    call: &Call<'_>,
    vcpu: &crate::vcpu::Vcpu,
    area: Option<GuestArea>,
) -> Result<Outcome, Errno> {
    vcpu.areas.lock().runstate = area;
    call.hv.publish_runstate(call.domain, vcpu);
    Ok(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::{Fake, GUEST_PAGE};
    use xen_abi::vcpu::{
        RUNSTATE_RUNNABLE, VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
        VCPUOP_REGISTER_RUNSTATE_PHYS_AREA, VcpuRunstateInfo,
    };
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    fn register(
        fake: &Fake,
        domain: &alloc::sync::Arc<crate::domain::Domain>,
        op: u32,
        addr: u64,
    ) -> Result<Outcome, Errno> {
        fake.put(domain, 0, &VcpuRegisterRunstateMemoryArea { addr });
        fake.call(domain, HYPERVISOR_VCPU_OP, &[op.into(), 0, 0])
    }

    #[test]
    fn area_across_two_pages_is_written_at_once() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.machine.advance_ns(500);
        let at = 4 * GUEST_PAGE - 24;
        assert_eq!(
            register(&fake, &guest, VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA, at),
            Ok(Outcome::OK)
        );
        let info: VcpuRunstateInfo = fake.get(&guest, at);
        assert_eq!((info.state, info.time[1]), (RUNSTATE_RUNNABLE, 500));
        assert_eq!(
            register(&fake, &guest, VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA, 0),
            Ok(Outcome::OK)
        );
        assert!(guest.vcpus()[0].areas.lock().runstate.is_none());
    }

    #[test]
    fn unmapped_linear_address_is_efault_and_registers_nothing() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let end = crate::fake_hv::RAM_PAGES * GUEST_PAGE;
        for at in [end, end - 8, u64::MAX - 4] {
            assert_eq!(
                register(&fake, &guest, VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA, at),
                Err(Errno::EFAULT)
            );
        }
        assert!(guest.vcpus()[0].areas.lock().runstate.is_none());
    }

    #[test]
    fn physical_area_stays_in_one_page_of_ram_and_is_aligned() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let phys = |at| register(&fake, &guest, VCPUOP_REGISTER_RUNSTATE_PHYS_AREA, at);
        assert_eq!(phys(GUEST_PAGE - 40), Err(Errno::ENXIO));
        assert_eq!(phys(GUEST_PAGE + 4), Err(Errno::ENXIO));
        assert_eq!(phys(1 << 40), Err(Errno::EINVAL));
        assert_eq!(phys(GUEST_PAGE), Ok(Outcome::OK));
        assert_eq!(fake.get::<u32>(&guest, GUEST_PAGE), RUNSTATE_RUNNABLE);
        assert_eq!(phys(u64::MAX), Ok(Outcome::OK));
        assert!(guest.vcpus()[0].areas.lock().runstate.is_none());
    }

    #[test]
    fn guest_of_32_bits_gives_a_short_pointer_and_gets_the_short_layout() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        guest.is_32bit.store(true, SeqCst);
        fake.machine.advance_ns(7);
        fake.put(&guest, 0, &[0x40u32, 0xdead_beef]);
        let args = [VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA.into(), 0, 0];
        let done = fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_VCPU_OP, &args);
        assert_eq!(done, Ok(Outcome::OK));
        let info: compat::vcpu::VcpuRunstateInfo = fake.get(&guest, 0x40);
        assert_eq!((info.state, info.time[1].get()), (RUNSTATE_RUNNABLE, 7));
    }
}
