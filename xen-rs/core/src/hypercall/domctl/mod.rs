//! `HYPERVISOR_domctl`: what the toolstack does to one domain (xen/include/public/domctl.h).
//!
//! [`run`] copies the structure in once, finds the domain and the operation, and keeps two toolstack operations on one domain from
//! interleaving: the second is made again, as on Xen, whose lock is global. Domains that are dying are found too.

mod absent;
mod affinity;
mod context;
mod create;
mod destroy;
mod device;
mod frame_info;
mod info;
mod memory;
mod nodes;
mod pause;
mod permission;
mod policy;
mod scheduler;
mod settings;
mod trigger;
mod tsc;
mod vcpu_context;
mod vcpus;

use alloc::sync::Arc;

use xen_abi::domctl::*;
use xen_abi::errno::Errno;
use zerocopy::IntoBytes;

pub use info::describe;

use super::framed::{self, Copyback, Operation, Payload};
use super::{Call, Needs, Outcome, Row};
use crate::domain::Domain;
use crate::ids::{Domid, VcpuId};
use crate::vcpu::Vcpu;

/// An operation in flight.
pub struct DomctlFrame {
    /// The domain it is about; the caller for `createdomain`.
    pub domain: Arc<Domain>,
    /// The number that was asked for, and the one the caller gets to see.
    pub domid: u16,
    /// The operation's structure.
    pub payload: Payload,
}

impl DomctlFrame {
    /// The domain, if it is not the caller, whom the operation could only stop dead.
    ///
    /// # Errors
    /// `EINVAL` for the caller itself.
    fn other(&self, call: &Call<'_>) -> Result<Arc<Domain>, Errno> {
        if Arc::ptr_eq(&self.domain, call.domain) {
            return Err(Errno::EINVAL);
        }
        Ok(Arc::clone(&self.domain))
    }

    /// A vCPU of the domain; `missing` if it does not exist.
    fn vcpu(&self, id: u32, missing: Errno) -> Result<Arc<Vcpu>, Errno> {
        self.domain.vcpu(VcpuId(id)).cloned().ok_or(missing)
    }
}

framed::operations! {
    DomctlFrame;
    XEN_DOMCTL_CREATEDOMAIN "createdomain" create::run;
    XEN_DOMCTL_DESTROYDOMAIN "destroydomain" destroy::run;
    XEN_DOMCTL_PAUSEDOMAIN "pausedomain" pause::pause;
    XEN_DOMCTL_UNPAUSEDOMAIN "unpausedomain" pause::unpause;
    XEN_DOMCTL_GETDOMAININFO "getdomaininfo" info::run;
    XEN_DOMCTL_SETVCPUAFFINITY "setvcpuaffinity" affinity::set;
    XEN_DOMCTL_SHADOW_OP "shadow_op" memory::shadow_op;
    XEN_DOMCTL_MAX_MEM "max_mem" memory::max_mem;
    XEN_DOMCTL_SETVCPUCONTEXT "setvcpucontext" vcpu_context::set;
    XEN_DOMCTL_GETVCPUCONTEXT "getvcpucontext" vcpu_context::get;
    XEN_DOMCTL_GETVCPUINFO "getvcpuinfo" vcpus::info;
    XEN_DOMCTL_MAX_VCPUS "max_vcpus" vcpus::max;
    XEN_DOMCTL_SCHEDULER_OP "scheduler_op" scheduler::run;
    XEN_DOMCTL_SETDOMAINHANDLE "setdomainhandle" settings::handle;
    XEN_DOMCTL_SETDEBUGGING "setdebugging" settings::debugging;
    XEN_DOMCTL_IRQ_PERMISSION "irq_permission" permission::irq;
    XEN_DOMCTL_IOMEM_PERMISSION "iomem_permission" permission::iomem;
    XEN_DOMCTL_IOPORT_PERMISSION "ioport_permission" permission::ioport;
    XEN_DOMCTL_HYPERCALL_INIT "hypercall_init" absent::not_supported;
    XEN_DOMCTL_SETTIMEOFFSET "settimeoffset" settings::time_offset;
    XEN_DOMCTL_GETVCPUAFFINITY "getvcpuaffinity" affinity::get;
    XEN_DOMCTL_RESUMEDOMAIN "resumedomain" pause::resume;
    XEN_DOMCTL_SENDTRIGGER "sendtrigger" trigger::run;
    XEN_DOMCTL_SUBSCRIBE "subscribe" settings::subscribe;
    XEN_DOMCTL_GETHVMCONTEXT "gethvmcontext" context::get;
    XEN_DOMCTL_SETHVMCONTEXT "sethvmcontext" context::set;
    XEN_DOMCTL_SET_ADDRESS_SIZE "set_address_size" absent::not_supported;
    XEN_DOMCTL_GET_ADDRESS_SIZE "get_address_size" absent::not_supported;
    XEN_DOMCTL_ASSIGN_DEVICE "assign_device" device::without_iommu;
    XEN_DOMCTL_BIND_PT_IRQ "bind_pt_irq" permission::interrupt_binding;
    XEN_DOMCTL_MEMORY_MAPPING "memory_mapping" device::memory_mapping;
    XEN_DOMCTL_IOPORT_MAPPING "ioport_mapping" device::ioport_mapping;
    XEN_DOMCTL_SET_EXT_VCPUCONTEXT "set_ext_vcpucontext" vcpu_context::set_extended;
    XEN_DOMCTL_GET_EXT_VCPUCONTEXT "get_ext_vcpucontext" vcpu_context::get_extended;
    XEN_DOMCTL_TEST_ASSIGN_DEVICE "test_assign_device" device::without_iommu;
    XEN_DOMCTL_SET_TARGET "set_target" settings::target;
    XEN_DOMCTL_DEASSIGN_DEVICE "deassign_device" device::without_iommu;
    XEN_DOMCTL_UNBIND_PT_IRQ "unbind_pt_irq" permission::interrupt_binding;
    XEN_DOMCTL_GET_DEVICE_GROUP "get_device_group" device::without_iommu;
    XEN_DOMCTL_DEBUG_OP "debug_op" trigger::debug_op;
    XEN_DOMCTL_GETHVMCONTEXT_PARTIAL "gethvmcontext_partial" context::get_partial;
    XEN_DOMCTL_VM_EVENT_OP "vm_event_op" absent::not_supported;
    XEN_DOMCTL_MEM_SHARING_OP "mem_sharing_op" absent::unknown;
    XEN_DOMCTL_GETTSCINFO "gettscinfo" tsc::get;
    XEN_DOMCTL_SETTSCINFO "settscinfo" tsc::set;
    XEN_DOMCTL_GETPAGEFRAMEINFO3 "getpageframeinfo3" frame_info::run;
    XEN_DOMCTL_SETVCPUEXTSTATE "setvcpuextstate" absent::not_supported;
    XEN_DOMCTL_GETVCPUEXTSTATE "getvcpuextstate" absent::not_supported;
    XEN_DOMCTL_SET_ACCESS_REQUIRED "set_access_required" absent::unknown;
    XEN_DOMCTL_AUDIT_P2M "audit_p2m" absent::unknown;
    XEN_DOMCTL_SET_VIRQ_HANDLER "set_virq_handler" settings::virq_handler;
    XEN_DOMCTL_SET_BROKEN_PAGE_P2M "set_broken_page_p2m" absent::not_supported;
    XEN_DOMCTL_SETNODEAFFINITY "setnodeaffinity" nodes::set;
    XEN_DOMCTL_GETNODEAFFINITY "getnodeaffinity" nodes::get;
    XEN_DOMCTL_GET_VCPU_MSRS "get_vcpu_msrs" vcpu_context::msrs;
    XEN_DOMCTL_SET_VCPU_MSRS "set_vcpu_msrs" vcpu_context::msrs;
    XEN_DOMCTL_SETVNUMAINFO "setvnumainfo" absent::not_supported;
    XEN_DOMCTL_PSR_CMT_OP "psr_cmt_op" absent::no_device;
    XEN_DOMCTL_MONITOR_OP "monitor_op" absent::not_supported;
    XEN_DOMCTL_PSR_ALLOC "psr_alloc" absent::not_supported;
    XEN_DOMCTL_SOFT_RESET "soft_reset" absent::not_supported_on_others;
    XEN_DOMCTL_GET_CPU_POLICY "get_cpu_policy" policy::get;
    XEN_DOMCTL_SET_CPU_POLICY "set_cpu_policy" policy::set;
    XEN_DOMCTL_VMTRACE_OP "vmtrace_op" absent::invalid;
    XEN_DOMCTL_GET_PAGING_MEMPOOL_SIZE "get_paging_mempool_size" memory::get_pool;
    XEN_DOMCTL_SET_PAGING_MEMPOOL_SIZE "set_paging_mempool_size" memory::set_pool;
    XEN_DOMCTL_GSI_PERMISSION "gsi_permission" permission::gsi;
    XEN_DOMCTL_SET_LLC_COLORS "set_llc_colors" absent::cache_colors;
    XEN_DOMCTL_GDBSX_GUESTMEMIO "gdbsx_guestmemio" absent::unknown;
    XEN_DOMCTL_GDBSX_PAUSEVCPU "gdbsx_pausevcpu" absent::unknown;
    XEN_DOMCTL_GDBSX_UNPAUSEVCPU "gdbsx_unpausevcpu" absent::unknown;
    XEN_DOMCTL_GDBSX_DOMSTATUS "gdbsx_domstatus" absent::unknown;
}

/// The row of the hypercall: everything needs dom0's rights.
pub const ROW: Row = Row {
    op: 0,
    name: "domctl",
    needs: Needs::Control,
    run,
};

/// Runs the hypercall; the caller's right was checked.
///
/// # Errors
/// `EACCES` for another interface version, `ESRCH` without such a domain, `ENOSYS` for an unknown operation, else the operation's.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let mut domctl: Domctl = call.fetch(call.pointer(0))?;
    if domctl.interface_version != XEN_DOMCTL_INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    let domain = find_domain(call, &domctl)?;
    let row = framed::find(&OPERATIONS, domctl.cmd).ok_or(Errno::ENOSYS)?;
    let mut frame = DomctlFrame {
        domain,
        domid: domctl.domain,
        payload: Payload(domctl.u),
    };
    let result = match domctl.cmd {
        XEN_DOMCTL_GETDOMAININFO => (row.run)(call, &mut frame),
        _ => run_alone(call, &mut frame, row),
    };
    (domctl.domain, domctl.u) = (frame.domid, frame.payload.0);
    framed::finish(call, result, domctl.as_bytes())
}

fn find_domain(call: &Call<'_>, domctl: &Domctl) -> Result<Arc<Domain>, Errno> {
    // Devices may also be tested for nobody in particular, and parked with DOMID_IO.
    let about_devices = matches!(
        domctl.cmd,
        XEN_DOMCTL_ASSIGN_DEVICE | XEN_DOMCTL_TEST_ASSIGN_DEVICE | XEN_DOMCTL_DEASSIGN_DEVICE
    );
    let nobody = matches!(Domid(domctl.domain), Domid::IO | Domid::INVALID);
    if domctl.cmd == XEN_DOMCTL_CREATEDOMAIN || (about_devices && nobody) {
        return Ok(Arc::clone(call.domain));
    }
    call.hv.domain(Domid(domctl.domain)).ok_or(Errno::ESRCH)
}

/// Runs an operation while no other is going on for the same domain; asks to be called again if one is.
fn run_alone(
    call: &mut Call<'_>,
    frame: &mut DomctlFrame,
    row: &Operation<DomctlFrame>,
) -> Result<Copyback, Errno> {
    let domain = Arc::clone(&frame.domain);
    if core::mem::replace(&mut domain.control.lock().busy, true) {
        return Ok(Copyback::Again);
    }
    let result = (row.run)(call, frame);
    domain.control.lock().busy = false;
    result
}

#[cfg(test)]
pub(super) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use crate::hypercall::Width;

    #[test]
    fn every_operation_needs_privilege_the_version_and_a_domain() {
        let (fake, dom0, guest) = machine();
        for row in &OPERATIONS {
            fake.put(&guest, AT, &frame(row.op, 1, &0u8));
            assert_eq!(
                fake.call(&guest, HYPERCALL, &[AT]),
                Err(Errno::EPERM),
                "{}",
                row.name
            );
            let mut old = frame(row.op, 1, &0u8);
            old.interface_version -= 1;
            fake.put(&dom0, AT, &old);
            assert_eq!(
                fake.call(&dom0, HYPERCALL, &[AT]),
                Err(Errno::EACCES),
                "{}",
                row.name
            );
            if row.op != XEN_DOMCTL_CREATEDOMAIN {
                let (result, _) = try_on(&fake, &dom0, row.op, 77, &0u8);
                assert_eq!(result, Err(Errno::ESRCH), "{}", row.name);
            }
        }
    }

    #[test]
    fn numbers_are_listed_once_and_in_order() {
        assert!(OPERATIONS.is_sorted_by(|a, b| a.op < b.op));
        assert!(
            ROWS.iter()
                .zip(&OPERATIONS)
                .all(|(row, operation)| row.op() == operation.op && row.name() == operation.name)
        );
    }

    #[test]
    fn unknown_operation_is_enosys_and_a_bad_pointer_efault() {
        let (fake, dom0, _) = machine();
        for op in [0, 6, 87, 90, 999, u32::MAX] {
            assert_eq!(try_on(&fake, &dom0, op, 1, &0u8).0, Err(Errno::ENOSYS));
        }
        for at in [0x1_0000_0000, u64::MAX, u64::MAX - 8] {
            assert_eq!(fake.call(&dom0, HYPERCALL, &[at]), Err(Errno::EFAULT));
        }
    }

    #[test]
    fn every_operation_survives_a_payload_of_ones_on_any_domain() {
        for domid in [0, 1, 2] {
            let (fake, dom0, _) = machine();
            let empty = create(&fake, &dom0);
            assert_eq!(empty.id, Domid(2));
            for row in &OPERATIONS {
                for byte in [0xffu8, 0x7f, 0] {
                    for width in [Width::Bits32, Width::Bits64] {
                        fake.put(&dom0, AT, &frame(row.op, domid, &[byte; 128]));
                        let _ = fake.call_by(&dom0, 0, width, HYPERCALL, &[AT]);
                    }
                }
            }
        }
    }

    #[test]
    fn second_operation_on_a_domain_is_made_again() {
        let (fake, dom0, guest) = machine();
        guest.control.lock().busy = true;
        fake.put(&dom0, AT, &frame(XEN_DOMCTL_PAUSEDOMAIN, 1, &0u8));
        assert_eq!(
            fake.call(&dom0, HYPERCALL, &[AT]),
            Ok(Outcome::Continue([AT, 0, 0, 0, 0]))
        );
        fake.put(&dom0, AT, &frame(XEN_DOMCTL_GETDOMAININFO, 1, &0u8));
        assert_eq!(fake.call(&dom0, HYPERCALL, &[AT]), Ok(Outcome::OK));
        guest.control.lock().busy = false;
        done(&fake, &dom0, XEN_DOMCTL_PAUSEDOMAIN, 1, &0u8);
    }

    #[test]
    fn absent_features_have_xens_errno() {
        let (fake, dom0, _) = machine();
        let errno = |op| try_on(&fake, &dom0, op, 1, &[0u8; 128]).0;
        assert_eq!(errno(XEN_DOMCTL_SET_LLC_COLORS), Err(Errno::EOPNOTSUPP));
        assert_eq!(errno(XEN_DOMCTL_TEST_ASSIGN_DEVICE), Err(Errno::EOPNOTSUPP));
        assert_eq!(errno(XEN_DOMCTL_PSR_CMT_OP), Err(Errno::ENODEV));
        assert_eq!(errno(XEN_DOMCTL_GDBSX_DOMSTATUS), Err(Errno::ENOSYS));
        assert_eq!(errno(XEN_DOMCTL_VMTRACE_OP), Err(Errno::EINVAL));
        assert_eq!(errno(XEN_DOMCTL_SET_ADDRESS_SIZE), Err(Errno::EOPNOTSUPP));
        let nobody = try_on(
            &fake,
            &dom0,
            XEN_DOMCTL_TEST_ASSIGN_DEVICE,
            Domid::INVALID.0,
            &[0u8; 128],
        )
        .0;
        assert_eq!(nobody, Err(Errno::EOPNOTSUPP));
    }
}
