//! `XEN_SYSCTL_physinfo`: the machine, as `xl info` shows it.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::sysctl::*;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;

/// What this hypervisor can do: no PV guests, no shadow paging, grant tables of format 1 only.
const OWN: u32 = XEN_SYSCTL_PHYSCAP_HVM | XEN_SYSCTL_PHYSCAP_HAP | XEN_SYSCTL_PHYSCAP_GNTTAB_V1;
/// What depends on the machine.
const FROM_THE_HOST: u32 = XEN_SYSCTL_PHYSCAP_DIRECTIO | XEN_SYSCTL_PHYSCAP_IOMMU_HAP_PT_SHARE;
/// Highest node number that Xen could have (`MAX_NUMNODES - 1`).
const MAX_NODE_ID: u32 = 63;

/// See the module.
///
/// # Errors
/// None.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let hv = call.hv;
    let host = &hv.host;
    frame.payload.put(&SysctlPhysinfo {
        threads_per_core: host.threads_per_core,
        cores_per_socket: host.cores_per_socket,
        nr_cpus: host.cpus,
        max_cpu_id: host.cpus.saturating_sub(1),
        nr_nodes: 1,
        max_node_id: MAX_NODE_ID,
        cpu_khz: host.cpu_khz,
        capabilities: OWN | (host.capabilities & FROM_THE_HOST),
        total_pages: host.total_pages,
        free_pages: hv.frames.lock().free_pages(),
        outstanding_pages: hv.claimed_pages.load(SeqCst),
        max_mfn: host.max_mfn,
        hw_cap: host.hw_cap,
        ..SysctlPhysinfo::default()
    });
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;

    #[test]
    fn machine_is_described_and_nothing_is_claimed_that_is_absent() {
        let (fake, dom0) = machine();
        let info = done(
            &fake,
            &dom0,
            XEN_SYSCTL_PHYSINFO,
            &SysctlPhysinfo::default(),
        );
        assert_eq!(
            (
                info.nr_cpus,
                info.max_cpu_id,
                info.nr_nodes,
                info.total_pages
            ),
            (2, 1, 1, 2048)
        );
        assert_eq!(info.free_pages, fake.hv.frames.lock().free_pages());
        let absent = XEN_SYSCTL_PHYSCAP_PV
            | XEN_SYSCTL_PHYSCAP_DIRECTIO
            | XEN_SYSCTL_PHYSCAP_SHADOW
            | XEN_SYSCTL_PHYSCAP_GNTTAB_V2;
        assert_eq!(info.capabilities & absent, 0);
        let present =
            XEN_SYSCTL_PHYSCAP_HVM | XEN_SYSCTL_PHYSCAP_HAP | XEN_SYSCTL_PHYSCAP_GNTTAB_V1;
        assert_eq!(info.capabilities & present, present);
    }
}
