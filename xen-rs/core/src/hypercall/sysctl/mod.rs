//! `HYPERVISOR_sysctl`: what the toolstack asks of, and does to, the machine as a whole (xen/include/public/sysctl.h).

mod absent;
mod console;
mod cpupool;
mod cpus;
mod debug_keys;
mod domains;
mod memory;
mod physinfo;
mod policy;
mod power;
mod scheduler;
mod topology;

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;
use zerocopy::IntoBytes;

use super::framed::{self, Payload};
use super::{Call, Needs, Outcome, Row};

/// An operation in flight.
pub struct SysctlFrame {
    /// The operation's structure.
    pub payload: Payload,
}

framed::operations! {
    SysctlFrame;
    XEN_SYSCTL_READCONSOLE "readconsole" console::run;
    XEN_SYSCTL_TBUF_OP "tbuf_op" absent::unknown;
    XEN_SYSCTL_PHYSINFO "physinfo" physinfo::run;
    XEN_SYSCTL_SCHED_ID "sched_id" scheduler::id;
    XEN_SYSCTL_PERFC_OP "perfc_op" absent::unknown;
    XEN_SYSCTL_GETDOMAININFOLIST "getdomaininfolist" domains::run;
    XEN_SYSCTL_DEBUG_KEYS "debug_keys" debug_keys::run;
    XEN_SYSCTL_GETCPUINFO "getcpuinfo" cpus::run;
    XEN_SYSCTL_AVAILHEAP "availheap" memory::available;
    XEN_SYSCTL_GET_PMSTAT "get_pmstat" power::statistics;
    XEN_SYSCTL_CPU_HOTPLUG "cpu_hotplug" power::hotplug;
    XEN_SYSCTL_PM_OP "pm_op" power::policy;
    XEN_SYSCTL_PAGE_OFFLINE_OP "page_offline_op" memory::offline;
    XEN_SYSCTL_LOCKPROF_OP "lockprof_op" absent::unknown;
    XEN_SYSCTL_CPUTOPOINFO "cputopoinfo" topology::cpus;
    XEN_SYSCTL_NUMAINFO "numainfo" topology::nodes;
    XEN_SYSCTL_CPUPOOL_OP "cpupool_op" cpupool::run;
    XEN_SYSCTL_SCHEDULER_OP "scheduler_op" scheduler::run;
    XEN_SYSCTL_COVERAGE_OP "coverage_op" absent::not_supported;
    XEN_SYSCTL_PSR_CMT_OP "psr_cmt_op" absent::no_device;
    XEN_SYSCTL_PCITOPOINFO "pcitopoinfo" topology::devices;
    XEN_SYSCTL_PSR_ALLOC "psr_alloc" absent::not_supported;
    XEN_SYSCTL_GET_CPU_LEVELLING_CAPS "get_cpu_levelling_caps" policy::levelling;
    XEN_SYSCTL_GET_CPU_FEATURESET "get_cpu_featureset" policy::featureset;
    XEN_SYSCTL_LIVEPATCH_OP "livepatch_op" absent::unknown;
    XEN_SYSCTL_GET_CPU_POLICY "get_cpu_policy" policy::get;
}

/// The row of the hypercall: everything needs dom0's rights.
pub const ROW: Row = Row {
    op: 0,
    name: "sysctl",
    needs: Needs::Control,
    run,
};

/// Runs the hypercall; the caller's right was checked.
///
/// # Errors
/// `EACCES` for another interface version, `ENOSYS` for an unknown operation, else the operation's.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let mut sysctl: Sysctl = call.fetch(call.pointer(0))?;
    if sysctl.interface_version != XEN_SYSCTL_INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    let row = framed::find(&OPERATIONS, sysctl.cmd).ok_or(Errno::ENOSYS)?;
    let mut frame = SysctlFrame {
        payload: Payload(sysctl.u),
    };
    let result = (row.run)(call, &mut frame);
    sysctl.u = frame.payload.0;
    framed::finish(call, result, sysctl.as_bytes())
}

#[cfg(test)]
pub(super) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use crate::hypercall::Width;

    #[test]
    fn every_operation_needs_privilege_and_the_version() {
        let (fake, dom0) = machine();
        let guest = fake.domain(1);
        for row in &OPERATIONS {
            fake.put(&guest, AT, &frame(row.op, &0u8));
            assert_eq!(
                fake.call(&guest, HYPERCALL, &[AT]),
                Err(Errno::EPERM),
                "{}",
                row.name
            );
            let mut newer = frame(row.op, &0u8);
            newer.interface_version += 1;
            fake.put(&dom0, AT, &newer);
            assert_eq!(
                fake.call(&dom0, HYPERCALL, &[AT]),
                Err(Errno::EACCES),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn numbers_are_listed_once_and_in_order() {
        assert!(OPERATIONS.is_sorted_by(|a, b| a.op < b.op));
        assert_eq!(ROWS.len(), OPERATIONS.len());
    }

    #[test]
    fn unknown_operation_is_enosys_and_a_bad_pointer_efault() {
        let (fake, dom0) = machine();
        for op in [0, 13, 24, 28, 30, u32::MAX] {
            assert_eq!(fails(&fake, &dom0, op, &0u8), Errno::ENOSYS);
        }
        for at in [NOWHERE, u64::MAX, u64::MAX - 8] {
            assert_eq!(fake.call(&dom0, HYPERCALL, &[at]), Err(Errno::EFAULT));
        }
    }

    #[test]
    fn every_operation_survives_a_payload_of_ones() {
        let (fake, dom0) = machine();
        for row in &OPERATIONS {
            for byte in [0xffu8, 0x7f, 0] {
                for width in [Width::Bits32, Width::Bits64] {
                    fake.put(&dom0, AT, &frame(row.op, &[byte; 128]));
                    let _ = fake.call_by(&dom0, 0, width, HYPERCALL, &[AT]);
                }
            }
        }
    }

    #[test]
    fn absent_features_have_xens_errno() {
        let (fake, dom0) = machine();
        let errno = |op| fails(&fake, &dom0, op, &[0u8; 128]);
        let unknown = [
            XEN_SYSCTL_TBUF_OP,
            XEN_SYSCTL_PERFC_OP,
            XEN_SYSCTL_LOCKPROF_OP,
            XEN_SYSCTL_LIVEPATCH_OP,
        ];
        assert!(unknown.into_iter().all(|op| errno(op) == Errno::ENOSYS));
        assert_eq!(errno(XEN_SYSCTL_COVERAGE_OP), Errno::EOPNOTSUPP);
        assert_eq!(errno(XEN_SYSCTL_PSR_CMT_OP), Errno::ENODEV);
    }
}
