//! Whether a guest's shared structures have the 32- or the 64-bit layout.
//!
//! A guest does not say so; it is taken from the mode its vCPU is in when it sets its callback or writes the hypercall page MSR. The wall
//! clock, whose place depends on it, is written anew.

use core::sync::atomic::Ordering::SeqCst;

use crate::domain::Domain;
use crate::evtchn::GuestWidth;
use crate::hypercall::Width;
use crate::hypervisor::Hypervisor;

/// Takes `width`, the mode of the running vCPU of `domain`, as the layout from now on.
pub fn latch_width(hv: &Hypervisor, domain: &Domain, width: Width) {
    let events_width = match width {
        Width::Bits32 => GuestWidth::Bits32,
        Width::Bits64 => GuestWidth::Bits64,
    };
    {
        let mut events = domain.events.lock();
        events.set_width(events_width);
        domain.is_32bit.store(width == Width::Bits32, SeqCst);
    }
    hv.publish_wallclock(domain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hal::MachineMemory;
    use crate::ids::Maddr;

    #[test]
    fn wall_clock_is_written_where_the_layout_has_it() {
        let fake = Fake::new();
        let guest = fake.domain(1);
        let seconds = |offset| {
            fake.memory
                .load_u32(Maddr(guest.shared_info.maddr().0 + offset))
        };
        assert_eq!((seconds(2308), seconds(3076)), (0, 1_700_000_000));
        latch_width(fake.hv, &guest, Width::Bits32);
        assert_eq!(seconds(2308), 1_700_000_000);
        assert!(guest.is_32bit.load(SeqCst));
    }
}
