//! `SCHEDOP_remote_shutdown`: dom0 stops another domain (on behalf of a device model, say) and gives the reason.

use xen_abi::errno::Errno;
use xen_abi::sched::SchedRemoteShutdown;

use crate::hypercall::{Call, Outcome};
use crate::ids::Domid;

/// See the module.
///
/// # Errors
/// `EFAULT`, `ESRCH`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let arg: SchedRemoteShutdown = call.fetch(call.pointer(1))?;
    let domain = call.hv.domain(Domid(arg.domain_id)).ok_or(Errno::ESRCH)?;
    call.hv.shutdown_domain(&domain, arg.reason as u8);
    Ok(if domain.id == call.domain.id {
        Outcome::Reschedule
    } else {
        Outcome::OK
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use core::sync::atomic::Ordering::SeqCst;
    use xen_abi::sched::{SCHEDOP_REMOTE_SHUTDOWN, SHUTDOWN_CRASH};
    use xen_abi::xen::HYPERVISOR_SCHED_OP;

    #[test]
    fn only_dom0_stops_another_domain() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        let args = [SCHEDOP_REMOTE_SHUTDOWN.into(), 0];
        let stop = |caller: &alloc::sync::Arc<crate::domain::Domain>, domain_id| {
            fake.put(
                caller,
                0,
                &SchedRemoteShutdown {
                    domain_id,
                    reason: SHUTDOWN_CRASH,
                    ..Default::default()
                },
            );
            fake.call(caller, HYPERVISOR_SCHED_OP, &args)
        };
        assert_eq!(stop(&guest, 1), Err(Errno::EPERM));
        assert_eq!(stop(&dom0, 9), Err(Errno::ESRCH));
        assert_eq!(stop(&dom0, 0x7ff0), Err(Errno::ESRCH));
        assert!(!guest.is_shut_down.load(SeqCst));
        assert_eq!(stop(&dom0, 1), Ok(Outcome::OK));
        assert_eq!(guest.shutdown_code.load(SeqCst), SHUTDOWN_CRASH as u8);
    }
}
