//! Rights to interrupts, I/O memory and ports: `XEN_DOMCTL_irq_permission`, `gsi_permission`, `iomem_permission`, `ioport_permission`, and
//! the binding of interrupts that builds on them.
//!
//! Without an I/O MMU no device can be given away, so that interrupts and registers of devices stay where they are: taking a right away
//! succeeds, giving it does not. Ports are another matter: they lead to no memory.

use xen_abi::domctl::*;
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// Ports there are.
pub(super) const MAX_PORTS: u32 = 0x1_0000;

/// The right to a PIRQ. No domain has any.
///
/// # Errors
/// `EPERM`.
pub fn irq(_call: &mut Call<'_>, _frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    Err(Errno::EPERM)
}

/// The right to a GSI.
///
/// # Errors
/// `EINVAL` for unknown flags, `EPERM` for giving it.
pub fn gsi(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlGsiPermission = frame.payload.get();
    match asked.flags {
        XEN_DOMCTL_GSI_REVOKE => Ok(Copyback::Nothing),
        XEN_DOMCTL_GSI_GRANT => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Binding and unbinding of a PIRQ to a guest's interrupt. No domain has any.
///
/// # Errors
/// `EPERM`.
pub fn interrupt_binding(
    _call: &mut Call<'_>,
    _frame: &mut DomctlFrame,
) -> Result<Copyback, Errno> {
    Err(Errno::EPERM)
}

/// The right to I/O memory.
///
/// # Errors
/// `EINVAL` for a range that is empty or wraps, `EPERM` for giving it.
pub fn iomem(_call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlIomemPermission = frame.payload.get();
    let last = asked
        .nr_mfns
        .checked_sub(1)
        .and_then(|more| asked.first_mfn.checked_add(more));
    match (last, asked.allow_access) {
        (None, _) => Err(Errno::EINVAL),
        (Some(_), 0) => Ok(Copyback::Nothing),
        (Some(_), _) => Err(Errno::EPERM),
    }
}

/// The right to I/O ports.
///
/// # Errors
/// `EINVAL` for a range that is empty or does not exist, else those of [`change_ports`].
pub fn ioport(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let asked: DomctlIoportPermission = frame.payload.get();
    let end = asked
        .first_port
        .checked_add(asked.nr_ports)
        .ok_or(Errno::EINVAL)?;
    if asked.nr_ports == 0 || end > MAX_PORTS {
        return Err(Errno::EINVAL);
    }
    change_ports(
        call,
        frame,
        asked.first_port,
        asked.nr_ports,
        asked.allow_access != 0,
    )
}

/// Gives or takes the right to ports that exist. Nobody disposes of what it may not use itself: the ports of interrupt controllers, timers,
/// PCI configuration and the hypervisor's console stay the hypervisor's.
///
/// # Errors
/// `EPERM` if the caller may not use them all; what the machine-specific half says.
pub(super) fn change_ports(
    call: &Call<'_>,
    frame: &DomctlFrame,
    first: u32,
    count: u32,
    allow: bool,
) -> Result<Copyback, Errno> {
    if !call.domain.arch.may_use_ports(first, count) {
        return Err(Errno::EPERM);
    }
    frame.domain.arch.permit_ports(first, count, allow)?;
    Ok(Copyback::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::FakeDomainArch;
    use crate::hypercall::domctl::testing::*;

    #[test]
    fn ports_are_given_and_ranges_checked() {
        let (fake, dom0, guest) = machine();
        let range = |first_port, nr_ports| DomctlIoportPermission {
            first_port,
            nr_ports,
            allow_access: 1,
            ..Default::default()
        };
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_IOPORT_PERMISSION,
            1,
            &range(0xfff0, 16),
        );
        let arch: &FakeDomainArch = guest.arch.as_any().downcast_ref().unwrap();
        assert_eq!(arch.permitted_ports(), [(0xfff0, 16, true)]);
        for (first, count) in [(0, 0), (0xfff0, 17), (u32::MAX, 1), (1, u32::MAX)] {
            let refused = fails(
                &fake,
                &dom0,
                XEN_DOMCTL_IOPORT_PERMISSION,
                1,
                &range(first, count),
            );
            assert_eq!(refused, Errno::EINVAL);
        }
    }

    #[test]
    fn ports_that_dom0_may_not_use_are_eperm_and_stay_closed() {
        let (fake, dom0, guest) = machine();
        for (first_port, nr_ports) in [(0xcf8, 8), (0xcff, 1), (0, 0x1_0000)] {
            for allow_access in [0, 1] {
                let permission = DomctlIoportPermission {
                    first_port,
                    nr_ports,
                    allow_access,
                    ..Default::default()
                };
                let mapping = DomctlIoportMapping {
                    first_gport: first_port,
                    first_mport: first_port,
                    nr_ports,
                    add_mapping: allow_access.into(),
                };
                let refused = [
                    fails(&fake, &dom0, XEN_DOMCTL_IOPORT_PERMISSION, 1, &permission),
                    fails(&fake, &dom0, XEN_DOMCTL_IOPORT_MAPPING, 1, &mapping),
                ];
                assert_eq!(refused, [Errno::EPERM; 2]);
            }
        }
        let arch: &FakeDomainArch = guest.arch.as_any().downcast_ref().unwrap();
        assert_eq!(arch.permitted_ports(), []);
    }

    #[test]
    fn memory_and_interrupts_can_be_taken_but_not_given() {
        let (fake, dom0, _) = machine();
        let range = |first_mfn, nr_mfns, allow_access| DomctlIomemPermission {
            first_mfn,
            nr_mfns,
            allow_access,
            ..Default::default()
        };
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_IOMEM_PERMISSION,
            1,
            &range(0xa0, 32, 0),
        );
        assert_eq!(
            fails(
                &fake,
                &dom0,
                XEN_DOMCTL_IOMEM_PERMISSION,
                1,
                &range(0xa0, 32, 1)
            ),
            Errno::EPERM
        );
        for (first, count) in [(0, 0), (u64::MAX, 2), (2, u64::MAX)] {
            assert_eq!(
                fails(
                    &fake,
                    &dom0,
                    XEN_DOMCTL_IOMEM_PERMISSION,
                    1,
                    &range(first, count, 0)
                ),
                Errno::EINVAL
            );
        }
        let gsi = |flags| {
            try_on(
                &fake,
                &dom0,
                XEN_DOMCTL_GSI_PERMISSION,
                1,
                &DomctlGsiPermission { gsi: 9, flags },
            )
            .0
            .err()
        };
        assert_eq!(
            [gsi(0), gsi(1), gsi(2)],
            [None, Some(Errno::EPERM), Some(Errno::EINVAL)]
        );
    }
}
