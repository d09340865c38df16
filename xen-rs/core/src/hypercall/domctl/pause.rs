//! `XEN_DOMCTL_pausedomain`, `unpausedomain`, `resumedomain`. The toolstack's pauses are counted; a new domain has one.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::domain::NO_SHUTDOWN_CODE;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Pauses the toolstack may pile up on one domain.
const MAX_PAUSES: u32 = 255;

/// One more pause; returns when no vCPU of the domain runs.
///
/// # Errors
/// `EINVAL` for the caller itself, `EOVERFLOW` beyond [`MAX_PAUSES`].
pub fn pause(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let more = |count: u32| (count < MAX_PAUSES).then_some(count + 1);
    domain
        .tool_pauses
        .fetch_update(SeqCst, SeqCst, more)
        .map_err(|_| Errno::EOVERFLOW)?;
    call.hv.pause_domain(&domain);
    Ok(Copyback::Nothing)
}

/// One pause fewer. The first time that none is left, the domain's creation is over.
///
/// # Errors
/// `EINVAL` if the toolstack holds no pause.
pub fn unpause(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let fewer = |count: u32| count.checked_sub(1);
    let before = frame
        .domain
        .tool_pauses
        .fetch_update(SeqCst, SeqCst, fewer)
        .map_err(|_| Errno::EINVAL)?;
    if before == 1 {
        frame.domain.control.lock().creation_finished = true;
    }
    call.hv.unpause_domain(&frame.domain);
    Ok(Copyback::Nothing)
}

/// Lets a domain that has shut down (suspended) go on.
///
/// # Errors
/// `EINVAL` for the caller itself.
pub fn resume(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    call.hv.pause_domain(&domain);
    domain.shutdown_code.store(NO_SHUTDOWN_CODE, SeqCst);
    domain.pause.set_stopped(false);
    domain.is_shut_down.store(false, SeqCst);
    call.hv.unpause_domain(&domain);
    Ok(Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::*;

    #[test]
    fn pauses_are_counted_up_to_255() {
        let (fake, dom0, guest) = machine();
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_UNPAUSEDOMAIN, 1, &0u8),
            Errno::EINVAL
        );
        for _ in 0..255 {
            done(&fake, &dom0, XEN_DOMCTL_PAUSEDOMAIN, 1, &0u8);
        }
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_PAUSEDOMAIN, 1, &0u8),
            Errno::EOVERFLOW
        );
        for _ in 0..255 {
            assert!(guest.pause.is_paused());
            done(&fake, &dom0, XEN_DOMCTL_UNPAUSEDOMAIN, 1, &0u8);
        }
        assert!(!guest.pause.is_paused());
    }

    #[test]
    fn caller_can_neither_pause_nor_resume_itself() {
        let (fake, dom0, _) = machine();
        for op in [XEN_DOMCTL_PAUSEDOMAIN, XEN_DOMCTL_RESUMEDOMAIN] {
            assert_eq!(fails(&fake, &dom0, op, 0, &0u8), Errno::EINVAL);
        }
    }

    #[test]
    fn resumed_domain_has_never_shut_down() {
        let (fake, dom0, guest) = machine();
        fake.hv.shutdown_domain(&guest, 2);
        assert!(guest.pause.is_paused());
        done(&fake, &dom0, XEN_DOMCTL_RESUMEDOMAIN, 1, &0u8);
        assert!(!guest.pause.is_paused() && !guest.is_shut_down.load(SeqCst));
        assert_eq!(guest.shutdown_code.load(SeqCst), NO_SHUTDOWN_CODE);
    }

    #[test]
    fn dying_domain_stays_stopped_whatever_the_tools_do() {
        let (fake, dom0, guest) = machine();
        fake.hv.destroy_step(&guest).unwrap();
        done(&fake, &dom0, XEN_DOMCTL_RESUMEDOMAIN, 1, &0u8);
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_UNPAUSEDOMAIN, 1, &0u8),
            Errno::EINVAL
        );
        assert!(guest.pause.is_paused());
    }
}
