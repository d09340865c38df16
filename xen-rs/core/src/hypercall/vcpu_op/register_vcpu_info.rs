//! `VCPUOP_register_vcpu_info`: move a vCPU's `vcpu_info` to a page of the guest's choice, once.
//!
//! The frame is referenced from then on, so that the hypervisor may write there without looking it up. Everything is marked as pending
//! after the move: events that arrived around it may have been announced in the old place.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::vcpu::VcpuRegisterVcpuInfo;
use xen_abi::xen::{VcpuInfo, XEN_LEGACY_MAX_VCPUS};

use super::subject;
use crate::domain::Domain;
use crate::evtchn::Wake;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::{Gfn, Maddr, PAGE_SIZE};
use crate::vcpu::Vcpu;

const SIZE: usize = size_of::<VcpuInfo>();

/// See the module.
///
/// # Errors
/// `ENOENT`, `EFAULT`; `EINVAL` for an offset outside the page; `EBUSY` for a vCPU that has done so; `ENXIO` if the structure would cross
/// the page's end or is not aligned to the guest's `long`; `EINVAL` if the page is not RAM of the caller's.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let vcpu = subject(call)?;
    let arg: VcpuRegisterVcpuInfo = call.fetch(call.pointer(2))?;
    let offset = arg.offset as usize;
    if offset >= PAGE_SIZE {
        return Err(Errno::EINVAL);
    }
    if vcpu.info_registered.load(SeqCst) {
        return Err(Errno::EBUSY);
    }
    let align = if call.domain.is_32bit.load(SeqCst) {
        4
    } else {
        8
    };
    if offset + SIZE > PAGE_SIZE || !offset.is_multiple_of(align) {
        return Err(Errno::ENXIO);
    }
    let page = call.hv.get_guest_page(call.domain, Gfn(arg.mfn))?;
    let at = Maddr(page.mfn.maddr().0 + offset as u64);
    match move_info(call.hv, call.domain, &vcpu, at) {
        Some(wake) => {
            call.hv.publish_time(call.domain, &vcpu);
            call.hv.wake(call.domain, wake);
            Ok(Outcome::OK)
        }
        None => {
            call.hv.put_page(page.mfn);
            Err(Errno::EBUSY)
        }
    }
}

/// Copies the contents and points everybody to the new place; `None` if another call was first.
fn move_info(hv: &Hypervisor, domain: &Domain, vcpu: &Vcpu, at: Maddr) -> Option<Wake> {
    let mut events = domain.events.lock();
    if vcpu.info_registered.swap(true, SeqCst) {
        return None;
    }
    let mut contents = [0; SIZE];
    if let Some(old) = vcpu.info() {
        hv.memory.read(old, &mut contents);
    }
    hv.memory.write(at, &contents);
    vcpu.set_info(Some(at));
    events.set_vcpu_info(vcpu.id, at);
    Some(events.vcpu_info_moved(hv.memory, vcpu.id))
}

/// Gives the page back: `vcpu_info` is in the shared info page again, where the vCPU has a place there. For a domain that is being
/// destroyed or reset, whose vCPUs do not run.
pub fn release_vcpu_info(hv: &Hypervisor, domain: &Domain, vcpu: &Arc<Vcpu>) {
    let slot = (vcpu.id.0 < XEN_LEGACY_MAX_VCPUS)
        .then(|| Maddr(domain.shared_info.maddr().0 + u64::from(vcpu.id.0) * SIZE as u64));
    let released = {
        let mut events = domain.events.lock();
        if !vcpu.info_registered.swap(false, SeqCst) {
            return;
        }
        match slot {
            Some(at) => events.set_vcpu_info(vcpu.id, at),
            None => events.clear_vcpu_info(vcpu.id),
        }
        let old = vcpu.info();
        vcpu.set_info(slot);
        old
    };
    if let Some(at) = released {
        hv.put_page(at.mfn());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hal::MachineMemory;
    use crate::ids::VcpuId;
    use xen_abi::vcpu::VCPUOP_REGISTER_VCPU_INFO;
    use xen_abi::xen::HYPERVISOR_VCPU_OP;

    fn register(
        fake: &Fake,
        guest: &Arc<Domain>,
        vcpu: u64,
        mfn: u64,
        offset: u32,
    ) -> Result<Outcome, Errno> {
        fake.put(
            guest,
            0,
            &VcpuRegisterVcpuInfo {
                mfn,
                offset,
                rsvd: 0,
            },
        );
        fake.call(
            guest,
            HYPERVISOR_VCPU_OP,
            &[VCPUOP_REGISTER_VCPU_INFO.into(), vcpu, 0],
        )
    }

    #[test]
    fn new_place_gets_the_old_contents_time_and_everything_pending() {
        let fake = Fake::new();
        let guest = fake.domain(2);
        let old = guest.vcpus()[1].info().unwrap();
        fake.memory.store_u64(Maddr(old.0 + 16), 0x1234);
        assert_eq!(register(&fake, &guest, 1, 6, 128), Ok(Outcome::OK));
        let info: VcpuInfo = fake.get(&guest, 6 * 4096 + 128);
        assert_eq!(
            (info.evtchn_upcall_pending, info.evtchn_pending_sel),
            (1, u64::MAX)
        );
        assert_eq!(fake.get::<u64>(&guest, 6 * 4096 + 128 + 16), 0x1234);
        assert_eq!(info.time.tsc_to_system_mul, 1 << 31);
        assert_eq!(fake.hv.table.count(fake.mfn(&guest, Gfn(6))), 2);
        assert!(
            guest
                .events
                .lock()
                .is_upcall_pending(fake.memory, VcpuId(1))
        );
    }

    #[test]
    fn second_registration_is_ebusy_until_released() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let frame = fake.mfn(&guest, Gfn(6));
        assert_eq!(register(&fake, &guest, 0, 6, 0), Ok(Outcome::OK));
        assert_eq!(register(&fake, &guest, 0, 7, 0), Err(Errno::EBUSY));
        release_vcpu_info(fake.hv, &guest, &guest.vcpus()[0]);
        release_vcpu_info(fake.hv, &guest, &guest.vcpus()[0]);
        assert_eq!(fake.hv.table.count(frame), 1);
        assert_eq!(guest.vcpus()[0].info(), Some(guest.shared_info.maddr()));
        assert_eq!(register(&fake, &guest, 0, 7, 0), Ok(Outcome::OK));
    }

    #[test]
    fn bad_places_are_refused() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        assert_eq!(register(&fake, &guest, 1, 6, 0), Err(Errno::ENOENT));
        assert_eq!(register(&fake, &guest, 0, 6, 4096), Err(Errno::EINVAL));
        assert_eq!(register(&fake, &guest, 0, 6, 4096 - 56), Err(Errno::ENXIO));
        assert_eq!(register(&fake, &guest, 0, 6, 4), Err(Errno::ENXIO));
        assert_eq!(register(&fake, &guest, 0, u64::MAX, 0), Err(Errno::EINVAL));
        guest.is_32bit.store(true, SeqCst);
        assert_eq!(register(&fake, &guest, 0, 6, 4), Ok(Outcome::OK));
    }
}
