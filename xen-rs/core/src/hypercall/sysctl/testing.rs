//! A dom0 that makes `sysctl` hypercalls, for the tests of its operations.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::domain::Domain;
use crate::fake_hv::Fake;
use crate::hypercall::Outcome;

/// `HYPERVISOR_sysctl`.
pub const HYPERCALL: u32 = xen_abi::xen::HYPERVISOR_SYSCTL;
/// Where dom0 puts the structure.
pub const AT: u64 = 0x1000;
/// Where dom0 has a buffer of pages.
pub const BUFFER: u64 = 0x4000;
/// Nothing is mapped there.
pub const NOWHERE: u64 = 0x10_0000_0000;

/// A machine with dom0, which runs.
pub fn machine() -> (Fake, Arc<Domain>) {
    let fake = Fake::new();
    let dom0 = fake.dom0(1);
    fake.run(&dom0, 0);
    (fake, dom0)
}

/// The structure with this payload.
pub fn frame<T: IntoBytes + Immutable>(cmd: u32, payload: &T) -> Sysctl {
    let mut sysctl = Sysctl {
        cmd,
        interface_version: XEN_SYSCTL_INTERFACE_VERSION,
        ..Sysctl::default()
    };
    sysctl.u[..size_of::<T>()].copy_from_slice(payload.as_bytes());
    sysctl
}

/// Makes the call until it is finished. The payload is what dom0 finds afterwards.
pub fn try_it<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    payload: &T,
) -> (Result<Outcome, Errno>, T) {
    fake.put(dom0, AT, &frame(cmd, payload));
    let result = fake.call_to_end(dom0, HYPERCALL, &[AT]);
    (result, fake.get(dom0, AT + 8))
}

/// Makes the call, which succeeds.
pub fn done<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    payload: &T,
) -> T {
    let (result, after) = try_it(fake, dom0, cmd, payload);
    assert_eq!(result, Ok(Outcome::OK), "sysctl {cmd}");
    after
}

/// Makes the call, which fails.
pub fn fails<T: FromBytes + IntoBytes + Immutable>(
    fake: &Fake,
    dom0: &Arc<Domain>,
    cmd: u32,
    payload: &T,
) -> Errno {
    try_it(fake, dom0, cmd, payload)
        .0
        .expect_err("the call has to fail")
}
