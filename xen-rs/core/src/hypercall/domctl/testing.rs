//! A dom0 that makes `domctl` hypercalls, for the tests of its operations.

use alloc::sync::Arc;

use xen_abi::domctl::*;
use xen_abi::errno::Errno;
use xen_abi::xen::CtlBitmap;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::domain::Domain;
use crate::fake_hv::Fake;
use crate::hypercall::Outcome;
use crate::ids::Domid;

/// `HYPERVISOR_domctl`.
pub const HYPERCALL: u32 = xen_abi::xen::HYPERVISOR_DOMCTL;
/// Where dom0 puts the structure.
pub const AT: u64 = 0x1000;
/// Where dom0 has a buffer of pages.
pub const BUFFER: u64 = 0x4000;
/// Nothing is mapped there.
pub const NOWHERE: u64 = 0x10_0000_0000;

/// A machine with dom0 and guest 1, of two vCPUs each.
pub fn machine() -> (Fake, Arc<Domain>, Arc<Domain>) {
    let fake = Fake::new();
    let dom0 = fake.dom0(2);
    fake.run(&dom0, 0);
    let guest = fake.domain(2);
    (fake, dom0, guest)
}

/// The structure with this payload.
pub fn frame<T: IntoBytes + Immutable>(cmd: u32, domain: u16, payload: &T) -> Domctl {
    let mut domctl = Domctl {
        cmd,
        interface_version: XEN_DOMCTL_INTERFACE_VERSION,
        domain,
        ..Domctl::default()
    };
    domctl.u[..size_of::<T>()].copy_from_slice(payload.as_bytes());
    domctl
}

/// Makes the call until it is finished. The payload is what dom0 finds afterwards.
pub fn try_on<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    domain: u16,
    payload: &T,
) -> (Result<Outcome, Errno>, T) {
    fake.put(dom0, AT, &frame(cmd, domain, payload));
    let result = fake.call_to_end(dom0, HYPERCALL, &[AT]);
    (result, fake.get(dom0, AT + 16))
}

/// Makes the call, which succeeds.
pub fn done<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    domain: u16,
    payload: &T,
) -> T {
    let (result, after) = try_on(fake, dom0, cmd, domain, payload);
    assert_eq!(result, Ok(Outcome::OK), "domctl {cmd}");
    after
}

/// Makes the call, which fails.
pub fn fails<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    domain: u16,
    payload: &T,
) -> Errno {
    try_on(fake, dom0, cmd, domain, payload)
        .0
        .expect_err("the call has to fail")
}

/// What `xl create` asks for with two vCPUs.
pub fn pvh() -> DomctlCreatedomain {
    DomctlCreatedomain {
        handle: [7; 16],
        flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        arch: xen_abi::arch_x86::ArchDomainconfig {
            emulation_flags: 1,
            misc_flags: 0,
        },
        ..DomctlCreatedomain::default()
    }
}

/// A domain as `createdomain` leaves it.
pub fn create(fake: &Fake, dom0: &Arc<Domain>) -> Arc<Domain> {
    done(fake, dom0, XEN_DOMCTL_CREATEDOMAIN, 0, &pvh());
    let created: Domctl = fake.get(dom0, AT);
    fake.hv
        .domain(Domid(created.domain))
        .expect("it was created")
}

/// A bitmap in dom0's buffer, `offset` bytes into it.
pub fn bitmap(offset: u64, nr_bits: u32) -> CtlBitmap {
    CtlBitmap {
        bitmap: BUFFER + offset,
        nr_bits,
        ..CtlBitmap::default()
    }
}
