//! Small settings of a domain: `XEN_DOMCTL_setdomainhandle`, `setdebugging`, `settimeoffset`, `subscribe`, `set_target`, `set_virq_handler`.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::domctl::*;
use xen_abi::errno::Errno;
use xen_abi::xen::{VIRQ_ARCH_7, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU};

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::Domid;

/// The domain's UUID.
///
/// # Errors
/// None.
pub fn handle(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSetdomainhandle = frame.payload.get();
    *frame.domain.handle.lock() = asked.handle;
    Ok(Copyback::Nothing)
}

/// Marks a domain as being debugged.
///
/// # Errors
/// `EINVAL` for the caller itself.
pub fn debugging(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSetdebugging = frame.payload.get();
    frame.other(call)?.control.lock().debugged = asked.enable != 0;
    Ok(Copyback::Nothing)
}

/// Offset of the domain's wall clock, seconds.
///
/// # Errors
/// None.
pub fn time_offset(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSettimeoffset = frame.payload.get();
    *frame.domain.time_offset_s.lock() = asked.time_offset_seconds;
    call.hv.publish_wallclock(&frame.domain);
    Ok(Copyback::Nothing)
}

/// Port of the domain to be raised when it suspends.
///
/// # Errors
/// None.
pub fn subscribe(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSubscribe = frame.payload.get();
    frame.domain.suspend_port.store(asked.port, SeqCst);
    Ok(Copyback::Nothing)
}

/// The domain becomes another's device model: only HVM guests, which cannot be created, have one.
///
/// # Errors
/// `ESRCH` without that other domain, `EINVAL` for the domain itself, `EOPNOTSUPP` else.
pub fn target(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSetTarget = frame.payload.get();
    let other = call.hv.domain(Domid(asked.target)).ok_or(Errno::ESRCH)?;
    Err(if Arc::ptr_eq(&other, &frame.domain) {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}

/// Chooses who gets a global VIRQ. The domain that owns the hardware gets them all.
///
/// # Errors
/// `EINVAL` for a VIRQ that does not exist or is per vCPU, `EOPNOTSUPP` for any other domain.
pub fn virq_handler(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSetVirqHandler = frame.payload.get();
    let per_vcpu = [VIRQ_TIMER, VIRQ_DEBUG, VIRQ_XENOPROF, VIRQ_XENPMU];
    if asked.virq > VIRQ_ARCH_7 || per_vcpu.contains(&asked.virq) {
        return Err(Errno::EINVAL);
    }
    if frame.domain.hardware {
        Ok(Copyback::Nothing)
    } else {
        Err(Errno::EOPNOTSUPP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use crate::ids::Maddr;

    #[test]
    fn settings_are_stored() {
        let (fake, dom0, guest) = machine();
        done(&fake, &dom0, XEN_DOMCTL_SETDOMAINHANDLE, 1, &[9u8; 16]);
        assert_eq!(*guest.handle.lock(), [9; 16]);
        done(&fake, &dom0, XEN_DOMCTL_SETDEBUGGING, 1, &1u8);
        assert_ne!(
            super::super::describe(fake.hv, &guest).flags & XEN_DOMINF_DEBUGGED,
            0
        );
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_SUBSCRIBE,
            1,
            &DomctlSubscribe { port: 5 },
        );
        assert_eq!(guest.suspend_port.load(SeqCst), 5);
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_SETDEBUGGING, 0, &1u8),
            Errno::EINVAL
        );
    }

    #[test]
    fn time_offset_reaches_the_shared_page_at_any_value() {
        let (fake, dom0, guest) = machine();
        let seconds = || {
            fake.hv
                .memory
                .load_u32(Maddr(guest.shared_info.maddr().0 + 3076))
        };
        for (offset, expected) in [
            (3600, 1_700_003_600),
            (-1, 1_699_999_999),
            (i64::MAX, 1_699_999_999),
            (i64::MIN, 1_700_000_000),
        ] {
            done(&fake, &dom0, XEN_DOMCTL_SETTIMEOFFSET, 1, &offset);
            assert_eq!(seconds(), expected);
        }
    }

    #[test]
    fn virqs_stay_with_dom0_and_nobody_is_a_device_model() {
        let (fake, dom0, _) = machine();
        let virq = |virq| DomctlSetVirqHandler { virq };
        done(&fake, &dom0, XEN_DOMCTL_SET_VIRQ_HANDLER, 0, &virq(3));
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_SET_VIRQ_HANDLER, 1, &virq(3)),
            Errno::EOPNOTSUPP
        );
        for wrong in [0, 24, u32::MAX] {
            assert_eq!(
                fails(&fake, &dom0, XEN_DOMCTL_SET_VIRQ_HANDLER, 0, &virq(wrong)),
                Errno::EINVAL
            );
        }
        for (target, errno) in [
            (0, Errno::EOPNOTSUPP),
            (1, Errno::EINVAL),
            (9, Errno::ESRCH),
        ] {
            assert_eq!(
                fails(
                    &fake,
                    &dom0,
                    XEN_DOMCTL_SET_TARGET,
                    1,
                    &DomctlSetTarget { target }
                ),
                errno
            );
        }
    }
}
