//! `XENPF_settime64` and `XENPF_settime32`: dom0 sets the wall clock of all domains.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::platform::{Settime32, Settime64};

use super::Payload;
use crate::hypercall::{Call, Outcome};
use crate::hypervisor::Hypervisor;
use crate::ids::Domid;

/// Domains looked up at once.
const CHUNK: usize = 32;

/// `EINVAL` for a time that the clock cannot hold.
pub fn settime64(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let time: Settime64 = payload.get();
    if time.mbz != 0 {
        return Err(Errno::EINVAL);
    }
    set(call.hv, time.secs, time.nsecs, time.system_time)
}

/// The old form.
pub fn settime32(call: &mut Call<'_>, payload: &Payload) -> Result<Outcome, Errno> {
    let time: Settime32 = payload.get();
    set(call.hv, time.secs.into(), time.nsecs, time.system_time)
}

/// At `system_time_ns` it is, was or will be `seconds` and `nanoseconds` of UTC.
fn set(
    hv: &Hypervisor,
    seconds: u64,
    nanoseconds: u32,
    system_time_ns: u64,
) -> Result<Outcome, Errno> {
    let utc_ns = seconds
        .checked_mul(1_000_000_000)
        .and_then(|ns| ns.checked_add(nanoseconds.into()));
    let at_boot_ns = utc_ns
        .and_then(|ns| ns.checked_sub(system_time_ns))
        .ok_or(Errno::EINVAL)?;
    hv.wallclock_ns.store(at_boot_ns, SeqCst);
    publish(hv);
    Ok(Outcome::OK)
}

fn publish(hv: &Hypervisor) {
    let mut from = Domid(0);
    loop {
        let domains = hv.domains_from(from, CHUNK);
        domains
            .iter()
            .for_each(|domain| hv.publish_wallclock(domain));
        match domains.last() {
            Some(last) if domains.len() == CHUNK => from = Domid(last.id.0.saturating_add(1)),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use xen_abi::platform::{XENPF_SETTIME32, XENPF_SETTIME64};

    use super::super::testing::run;
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use crate::ids::Maddr;

    /// `wc_sec` and `wc_nsec` of `shared_info`.
    fn seen_by(fake: &Fake, domain: &Domain) -> (u32, u32) {
        let at = |offset| {
            fake.hv
                .memory
                .load_u32(Maddr(domain.shared_info.maddr().0 + offset))
        };
        (at(3076), at(3080))
    }

    #[test]
    fn all_domains_see_the_new_time_at_system_time_zero() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let time = Settime64 {
            secs: 1000,
            nsecs: 5,
            mbz: 0,
            system_time: 3_000_000_000,
        };
        assert_eq!(run(&fake, &dom0, XENPF_SETTIME64, &time), Ok(Outcome::OK));
        assert_eq!(
            [seen_by(&fake, &dom0), seen_by(&fake, &guest)],
            [(997, 5); 2]
        );
        let time = Settime32 {
            secs: 50,
            nsecs: 0,
            system_time: 1,
        };
        assert_eq!(run(&fake, &dom0, XENPF_SETTIME32, &time), Ok(Outcome::OK));
        assert_eq!(seen_by(&fake, &guest), (49, 999_999_999));
    }

    #[test]
    fn impossible_times_are_einval_and_change_nothing() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let before = seen_by(&fake, &dom0);
        let good = Settime64 {
            secs: 1000,
            ..Settime64::default()
        };
        let bad = [
            Settime64 { mbz: 1, ..good },
            Settime64 {
                secs: u64::MAX,
                ..good
            },
            Settime64 {
                secs: u64::MAX / 1_000_000_000,
                nsecs: u32::MAX,
                ..good
            },
            Settime64 {
                system_time: u64::MAX,
                ..good
            },
        ];
        for time in bad {
            assert_eq!(
                run(&fake, &dom0, XENPF_SETTIME64, &time),
                Err(Errno::EINVAL)
            );
        }
        assert_eq!(seen_by(&fake, &dom0), before);
    }
}
