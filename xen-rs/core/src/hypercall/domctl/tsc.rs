//! `XEN_DOMCTL_gettscinfo` and `settscinfo`.

use xen_abi::domctl::DomctlTscInfo;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Reads the domain's TSC mode while it stands still.
///
/// # Errors
/// `EINVAL` for the caller itself.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    call.hv.pause_domain(&domain);
    let (tsc_mode, elapsed_nsec, gtsc_khz, incarnation) = domain.arch.tsc_info();
    call.hv.unpause_domain(&domain);
    frame.payload.put(&DomctlTscInfo {
        tsc_mode,
        gtsc_khz,
        incarnation,
        pad: 0,
        elapsed_nsec,
    });
    Ok(Copyback::Frame)
}

/// Sets it.
///
/// # Errors
/// `EINVAL` for the caller itself; what the machine-specific half says.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let asked: DomctlTscInfo = frame.payload.get();
    call.hv.pause_domain(&domain);
    let result = domain.arch.set_tsc_info(
        &domain,
        asked.tsc_mode,
        asked.elapsed_nsec,
        asked.gtsc_khz,
        asked.incarnation,
    );
    if result.is_ok() {
        for vcpu in domain.vcpus() {
            call.hv.publish_time(&domain, vcpu);
        }
    }
    call.hv.unpause_domain(&domain);
    result.map(|()| Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::{XEN_DOMCTL_GETTSCINFO, XEN_DOMCTL_SETTSCINFO};

    #[test]
    fn mode_is_set_and_read_but_not_by_the_domain_itself() {
        let (fake, dom0, guest) = machine();
        let info = DomctlTscInfo {
            tsc_mode: 2,
            gtsc_khz: 3,
            incarnation: 4,
            pad: 0,
            elapsed_nsec: 5,
        };
        done(&fake, &dom0, XEN_DOMCTL_SETTSCINFO, 1, &info);
        let read = done(
            &fake,
            &dom0,
            XEN_DOMCTL_GETTSCINFO,
            1,
            &DomctlTscInfo::default(),
        );
        assert_eq!(
            (
                read.tsc_mode,
                read.gtsc_khz,
                read.incarnation,
                read.elapsed_nsec
            ),
            (2, 3, 4, 5)
        );
        assert!(!guest.pause.is_paused());
        for op in [XEN_DOMCTL_GETTSCINFO, XEN_DOMCTL_SETTSCINFO] {
            assert_eq!(fails(&fake, &dom0, op, 0, &info), Errno::EINVAL);
        }
    }
}
