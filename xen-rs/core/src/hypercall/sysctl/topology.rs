//! `XEN_SYSCTL_cputopoinfo`, `numainfo`, `pcitopoinfo`. All memory counts as one node, number 0.

use xen_abi::errno::Errno;
use xen_abi::physdev::PhysdevPciDevice;
use xen_abi::sysctl::*;

use super::SysctlFrame;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::{Domid, GuestAddr, PAGE_SHIFT};

/// Distance of a node to itself (ACPI, "System Locality Information Table").
const LOCAL_DISTANCE: u32 = 10;
/// Devices looked up in one call at most; the caller comes back for more.
const DEVICES_PER_CALL: u32 = 64;

/// Core and socket of each CPU; for a null buffer only the number of CPUs.
///
/// # Errors
/// `EFAULT`.
pub fn cpus(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlCputopoinfo = frame.payload.get();
    let cpus = call.hv.host.cpus;
    if op.cputopo == 0 {
        op.num_cpus = cpus;
    } else {
        op.num_cpus = op.num_cpus.min(cpus);
        for cpu in 0..op.num_cpus {
            let place = call.hv.host.topology.get(cpu as usize);
            let (core, socket) = place
                .copied()
                .unwrap_or((XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID));
            call.store_at(
                GuestAddr(op.cputopo),
                u64::from(cpu),
                &SysctlCputopo {
                    core,
                    socket,
                    node: 0,
                },
            )?;
        }
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Memory and distances of the one node; for null buffers only the number of nodes.
///
/// # Errors
/// `EFAULT`.
pub fn nodes(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlNumainfo = frame.payload.get();
    if op.meminfo == 0 && op.distance == 0 {
        op.num_nodes = 1;
    } else {
        op.num_nodes = op.num_nodes.min(1);
    }
    if op.num_nodes == 1 && op.meminfo != 0 {
        let free = call.hv.frames.lock().free_pages();
        let info = SysctlMeminfo {
            memsize: call.hv.host.total_pages << PAGE_SHIFT,
            memfree: free << PAGE_SHIFT,
        };
        call.store(GuestAddr(op.meminfo), &info)?;
    }
    if op.num_nodes == 1 && op.distance != 0 {
        call.store(GuestAddr(op.distance), &LOCAL_DISTANCE)?;
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Nodes of PCI devices; the caller gets the number of devices that were looked up.
///
/// # Errors
/// `EINVAL` without buffers, `EFAULT`.
pub fn devices(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlPcitopoinfo = frame.payload.get();
    if op.devs == 0 || op.nodes == 0 {
        return Err(Errno::EINVAL);
    }
    let hardware = call.hv.domain(Domid::DOM0);
    op.num_devs = op.num_devs.min(DEVICES_PER_CALL);
    for index in 0..u64::from(op.num_devs) {
        let device: PhysdevPciDevice = call.fetch_at(GuestAddr(op.devs), index)?;
        let exists = |domain: &alloc::sync::Arc<crate::domain::Domain>| {
            domain
                .arch
                .pci_device_exists(device.seg, device.bus, device.devfn)
        };
        let node = if hardware.as_ref().is_some_and(exists) {
            0
        } else {
            XEN_INVALID_DEV
        };
        call.store_at(GuestAddr(op.nodes), index, &node)?;
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;

    #[test]
    fn cpus_have_places_and_a_null_buffer_asks_for_their_number() {
        let (fake, dom0) = machine();
        let ask = |num_cpus, cputopo| {
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_CPUTOPOINFO,
                &SysctlCputopoinfo {
                    num_cpus,
                    cputopo,
                    ..SysctlCputopoinfo::default()
                },
            )
            .num_cpus
        };
        assert_eq!(
            [ask(0, 0), ask(u32::MAX, BUFFER), ask(1, BUFFER)],
            [2, 2, 1]
        );
        assert_eq!(fake.get::<[u32; 6]>(&dom0, BUFFER), [0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn there_is_one_node() {
        let (fake, dom0) = machine();
        let op = |num_nodes, meminfo, distance| SysctlNumainfo {
            num_nodes,
            meminfo,
            distance,
            ..SysctlNumainfo::default()
        };
        let ask = |op: SysctlNumainfo| done(&fake, &dom0, XEN_SYSCTL_NUMAINFO, &op).num_nodes;
        assert_eq!(
            [
                ask(op(0, 0, 0)),
                ask(op(0, BUFFER, 0)),
                ask(op(u32::MAX, BUFFER, BUFFER + 16))
            ],
            [1, 0, 1]
        );
        let free = fake.hv.frames.lock().free_pages() << 12;
        assert_eq!(fake.get::<[u64; 2]>(&dom0, BUFFER), [2048 << 12, free]);
        assert_eq!(fake.get::<u32>(&dom0, BUFFER + 16), 10);
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_NUMAINFO, &op(1, 0, u64::MAX)),
            Errno::EFAULT
        );
    }

    #[test]
    fn devices_that_exist_are_on_the_node_and_long_lists_come_in_parts() {
        let (fake, dom0) = machine();
        fake.put(&dom0, BUFFER, &[[0u8, 0, 0, 8], [0, 0, 1, 8]]);
        let op = |num_devs, devs, nodes| SysctlPcitopoinfo {
            num_devs,
            devs,
            nodes,
            ..SysctlPcitopoinfo::default()
        };
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_PCITOPOINFO,
                &op(2, BUFFER, BUFFER + 64)
            )
            .num_devs,
            2
        );
        assert_eq!(
            fake.get::<[u32; 2]>(&dom0, BUFFER + 64),
            [0, XEN_INVALID_DEV]
        );
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_SYSCTL_PCITOPOINFO,
                &op(u32::MAX, BUFFER, BUFFER + 512)
            )
            .num_devs,
            64
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_SYSCTL_PCITOPOINFO, &op(1, 0, BUFFER)),
            Errno::EINVAL
        );
    }
}
