//! Register state in the formats of PV guests: `XEN_DOMCTL_setvcpucontext`, `getvcpucontext`, `set_ext_vcpucontext`,
//! `get_ext_vcpucontext`, `get_vcpu_msrs`, `set_vcpu_msrs`. Tools use the HVM context for PVH domains; what little applies to them is here.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::domctl::{DomctlExtVcpucontext, DomctlVcpuMsrs, DomctlVcpucontext};
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::vcpu::{BLOCKED, DOWN};

/// Bytes of [`DomctlExtVcpucontext`] before the machine-check part.
const BEFORE_MACHINE_CHECK: u32 = 32;

/// Puts a vCPU back to its reset state, if no state is given. It is down then, until somebody gives it one.
///
/// # Errors
/// `EINVAL` for the caller itself or without such a vCPU, `EOPNOTSUPP` for a state.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let asked: DomctlVcpucontext = frame.payload.get();
    let vcpu = frame.vcpu(asked.vcpu, Errno::EINVAL)?;
    if asked.ctxt != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    call.hv.pause_domain(&domain);
    vcpu.arch.reset();
    call.hv.end_poll(&domain, &vcpu);
    vcpu.flags.fetch_or(DOWN, SeqCst);
    vcpu.flags.fetch_and(!BLOCKED, SeqCst);
    let kick = call.hv.scheduler.stand_down(&vcpu, call.hv.now_ns());
    call.hv.kick_all(kick);
    call.hv.unpause_domain(&domain);
    Ok(Copyback::Nothing)
}

/// Reading a vCPU's state in the PV format.
///
/// # Errors
/// `EINVAL` without such a vCPU or for the calling one, `ENODATA` for one without state, else `EOPNOTSUPP`.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlVcpucontext = frame.payload.get();
    let vcpu = frame.vcpu(asked.vcpu, Errno::EINVAL)?;
    if alloc::sync::Arc::ptr_eq(&vcpu, call.vcpu) {
        return Err(Errno::EINVAL);
    }
    Err(if vcpu.arch.is_initialised() {
        Errno::EOPNOTSUPP
    } else {
        Errno::ENODATA
    })
}

/// Machine-check state: guests have no banks, so that all of it is 0.
///
/// # Errors
/// `ESRCH` without such a vCPU or for the calling one.
pub fn get_extended(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlExtVcpucontext = frame.payload.get();
    let vcpu = frame.vcpu(asked.vcpu, Errno::ESRCH)?;
    if alloc::sync::Arc::ptr_eq(&vcpu, call.vcpu) {
        return Err(Errno::ESRCH);
    }
    frame.payload.put(&DomctlExtVcpucontext {
        vcpu: asked.vcpu,
        size: size_of::<DomctlExtVcpucontext>() as u32,
        ..DomctlExtVcpucontext::default()
    });
    Ok(Copyback::Frame)
}

/// Accepts the state that [`get_extended`] gives.
///
/// # Errors
/// `ESRCH` without such a vCPU or for the caller itself, `EINVAL` for PV state, `EPERM` for machine-check state other than 0.
pub fn set_extended(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlExtVcpucontext = frame.payload.get();
    frame.vcpu(asked.vcpu, Errno::ESRCH)?;
    frame.other(call).map_err(|_| Errno::ESRCH)?;
    let selectors = (asked.sysenter_callback_cs | asked.syscall32_callback_cs) & !3;
    if asked.size < BEFORE_MACHINE_CHECK
        || selectors != 0
        || (asked.sysenter_callback_eip | asked.syscall32_callback_eip) != 0
    {
        return Err(Errno::EINVAL);
    }
    let given = asked.size > BEFORE_MACHINE_CHECK;
    let state = asked.mcg_cap | asked.mci_ctl2_bank0 | asked.mci_ctl2_bank1 | asked.mcg_ext_ctl;
    if given && state != 0 {
        Err(Errno::EPERM)
    } else {
        Ok(Copyback::Nothing)
    }
}

/// MSRs of PV guests.
///
/// # Errors
/// `ESRCH` without such a vCPU, else `EINVAL`: no domain is PV.
pub fn msrs(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlVcpuMsrs = frame.payload.get();
    frame.vcpu(asked.vcpu, Errno::ESRCH)?;
    Err(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::*;

    #[test]
    fn null_state_resets_the_vcpu_and_takes_it_down() {
        let (fake, dom0, guest) = machine();
        let context = |vcpu, ctxt| DomctlVcpucontext {
            vcpu,
            ctxt,
            ..DomctlVcpucontext::default()
        };
        let other = &guest.vcpus()[1];
        fake.hv.bring_up(other);
        other.flags.fetch_or(BLOCKED, SeqCst);
        done(&fake, &dom0, XEN_DOMCTL_SETVCPUCONTEXT, 1, &context(1, 0));
        assert_eq!(fake.vcpu_arch(&guest, 1).resets(), 1);
        assert_eq!(other.flags.load(SeqCst), DOWN);
        let fail =
            |op, domain, context: DomctlVcpucontext| fails(&fake, &dom0, op, domain, &context);
        assert_eq!(
            fail(XEN_DOMCTL_SETVCPUCONTEXT, 1, context(0, BUFFER)),
            Errno::EOPNOTSUPP
        );
        assert_eq!(
            fail(XEN_DOMCTL_SETVCPUCONTEXT, 1, context(2, 0)),
            Errno::EINVAL
        );
        assert_eq!(
            fail(XEN_DOMCTL_SETVCPUCONTEXT, 0, context(0, 0)),
            Errno::EINVAL
        );
        assert_eq!(
            fail(XEN_DOMCTL_GETVCPUCONTEXT, 1, context(1, BUFFER)),
            Errno::ENODATA
        );
        assert_eq!(
            fail(XEN_DOMCTL_GETVCPUCONTEXT, 1, context(0, BUFFER)),
            Errno::EOPNOTSUPP
        );
        assert_eq!(
            fail(XEN_DOMCTL_GETVCPUCONTEXT, 0, context(0, BUFFER)),
            Errno::EINVAL
        );
    }

    #[test]
    fn extended_state_goes_round_and_nothing_else_is_taken() {
        let (fake, dom0, _) = machine();
        let state = done(
            &fake,
            &dom0,
            XEN_DOMCTL_GET_EXT_VCPUCONTEXT,
            1,
            &DomctlExtVcpucontext::default(),
        );
        assert_eq!(state.size, 64);
        done(&fake, &dom0, XEN_DOMCTL_SET_EXT_VCPUCONTEXT, 1, &state);
        let fail = |state: DomctlExtVcpucontext| {
            fails(&fake, &dom0, XEN_DOMCTL_SET_EXT_VCPUCONTEXT, 1, &state)
        };
        assert_eq!(
            fail(DomctlExtVcpucontext {
                mcg_cap: 1,
                ..state
            }),
            Errno::EPERM
        );
        assert_eq!(
            fail(DomctlExtVcpucontext { size: 31, ..state }),
            Errno::EINVAL
        );
        assert_eq!(
            fail(DomctlExtVcpucontext {
                sysenter_callback_eip: 1,
                ..state
            }),
            Errno::EINVAL
        );
        assert_eq!(
            fail(DomctlExtVcpucontext { vcpu: 2, ..state }),
            Errno::ESRCH
        );
        let msrs = |vcpu| {
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_GET_VCPU_MSRS,
                1,
                &DomctlVcpuMsrs {
                    vcpu,
                    ..Default::default()
                },
            )
        };
        assert_eq!([msrs(0), msrs(2)], [Errno::EINVAL, Errno::ESRCH]);
    }
}
