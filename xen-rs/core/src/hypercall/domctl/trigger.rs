//! `XEN_DOMCTL_sendtrigger` and `debug_op`.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Sends an NMI, or presses a button. A PVH domain has no ACPI buttons, so that pressing them does nothing, as on Xen.
///
/// # Errors
/// `ESRCH` without such a vCPU, `ENOSYS` for other triggers.
pub fn run(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlSendtrigger = frame.payload.get();
    let vcpu = frame.vcpu(asked.vcpu, Errno::ESRCH)?;
    match asked.trigger {
        XEN_DOMCTL_SENDTRIGGER_NMI => {
            vcpu.arch.post_nmi();
            call.hv.notice(&vcpu);
            Ok(Copyback::Nothing)
        }
        XEN_DOMCTL_SENDTRIGGER_POWER | XEN_DOMCTL_SENDTRIGGER_SLEEP => Ok(Copyback::Nothing),
        _ => Err(Errno::ENOSYS),
    }
}

/// Single-stepping a vCPU from outside, which needs a monitor trap that AMD's CPUs lack.
///
/// # Errors
/// `EINVAL` without such a vCPU or for the calling one, else `EOPNOTSUPP`.
pub fn debug_op(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlDebugOp = frame.payload.get();
    let vcpu = frame.vcpu(asked.vcpu, Errno::EINVAL)?;
    let itself = alloc::sync::Arc::ptr_eq(&vcpu, call.vcpu);
    Err(if itself {
        Errno::EINVAL
    } else {
        Errno::EOPNOTSUPP
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn nmi_reaches_the_vcpu_and_buttons_do_nothing() {
        let (fake, dom0, guest) = machine();
        let press = |trigger, vcpu| {
            try_on(
                &fake,
                &dom0,
                XEN_DOMCTL_SENDTRIGGER,
                1,
                &DomctlSendtrigger { trigger, vcpu },
            )
            .0
            .err()
        };
        assert_eq!(press(XEN_DOMCTL_SENDTRIGGER_NMI, 1), None);
        assert_eq!(
            (
                fake.vcpu_arch(&guest, 1).nmis(),
                fake.vcpu_arch(&guest, 0).nmis()
            ),
            (1, 0)
        );
        assert_eq!([press(3, 0), press(4, 0)], [None, None]);
        assert_eq!(
            [press(1, 0), press(2, 0), press(5, 0)],
            [Some(Errno::ENOSYS); 3]
        );
        assert_eq!(press(0, 2), Some(Errno::ESRCH));
    }

    #[test]
    fn single_steps_are_not_supported() {
        let (fake, dom0, _) = machine();
        let step = |domain, vcpu| {
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_DEBUG_OP,
                domain,
                &DomctlDebugOp { op: 1, vcpu },
            )
        };
        assert_eq!(
            [step(1, 0), step(1, 2), step(0, 0)],
            [Errno::EOPNOTSUPP, Errno::EINVAL, Errno::EINVAL]
        );
    }
}
