//! Guest-physical accesses without a mapping: emulated devices, and machine devices that are mapped for dom0 when it touches them.

use xen_core::hypervisor::Shortage;
use xen_core::ids::{Gfn, Gpa, Mfn};
use xen_core::p2m::{Behind, P2mEntry, PageType};

use super::emulation;
use super::entry::{Next, Running};
use crate::domain::X86Domain;
use crate::domain::routing::apply_apic_effects;

const GENERAL_PROTECTION: u8 = 13;

/// Handles a nested page fault.
pub fn nested_fault(running: &mut Running<'_>, gpa: u64, write: bool, fetch: bool) -> Next {
    let at = Gpa(gpa);
    match running.hv.find(running.domain, at.gfn()) {
        Behind::OnDemand(_) => populate(running, at.gfn()),
        Behind::Page(found) if write && !found.kind.is_writable() => {
            running.fault(GENERAL_PROTECTION, Some(0))
        }
        Behind::Page(found)
            if fetch
                && matches!(
                    found.kind,
                    PageType::GrantRo | PageType::GrantRw | PageType::Mmio
                ) =>
        {
            running.fault(GENERAL_PROTECTION, Some(0))
        }
        // Mapped meanwhile.
        Behind::Page(_) => Next::Resume,
        Behind::Nothing if is_local_apic(running, at) => emulation::emulate(running),
        Behind::Nothing if map_device(running, at.gfn()) => Next::Resume,
        Behind::Nothing if fetch => running.crash("it executes where nothing is"),
        Behind::Nothing => emulation::emulate(running),
    }
}

/// The guest touched RAM that has no frame yet. Where none was found so far, the guest repeats its access and the search goes on.
fn populate(running: &mut Running<'_>, page: Gfn) -> Next {
    match running.hv.populate(running.domain, page) {
        Ok(()) | Err(Shortage::SearchGoesOn) => Next::Resume,
        Err(Shortage::OutOfMemory) => running.crash("no memory left to populate on demand"),
        Err(Shortage::OutOfTables) => {
            running.crash("no nested page table left to populate memory on demand")
        }
        Err(Shortage::Dying) => Next::Reschedule,
    }
}

fn is_local_apic(running: &Running<'_>, at: Gpa) -> bool {
    running.state.vlapic.mmio_window() == Some(at.gfn().gpa().0)
}

/// dom0 reaches the machine's devices at their own addresses.
fn map_device(running: &mut Running<'_>, page: Gfn) -> bool {
    let Some(devices) = X86Domain::of(running.domain).devices.as_ref() else {
        return false;
    };
    let entry = P2mEntry {
        mfn: Mfn(page.0),
        kind: PageType::Mmio,
    };
    !devices.traps(page.gpa())
        && devices.may_map(page)
        && running.hv.map_page(running.domain, page, entry).is_ok()
}

/// Reads `size` bytes of an emulated device; nothing there reads as all ones.
pub fn read(running: &mut Running<'_>, at: Gpa, size: u8) -> u64 {
    if is_local_apic(running, at) {
        let now_ns = running.hv.now_ns();
        return u64::from(
            running
                .state
                .vlapic
                .read_mmio((at.0 & 0xfff) as u16, size, now_ns),
        );
    }
    let devices = X86Domain::of(running.domain).devices.as_ref();
    devices
        .and_then(|d| d.mmio_read(running.hv, running.domain, at, size))
        .unwrap_or(u64::MAX)
}

/// Writes an emulated device; nothing there swallows it.
pub fn write(running: &mut Running<'_>, at: Gpa, size: u8, value: u64) {
    if is_local_apic(running, at) {
        let now_ns = running.hv.now_ns();
        let effects =
            running
                .state
                .vlapic
                .write_mmio((at.0 & 0xfff) as u16, size, value as u32, now_ns);
        return apply_apic_effects(running, effects);
    }
    if let Some(devices) = X86Domain::of(running.domain).devices.as_ref() {
        devices.mmio_write(running.hv, running.domain, at, size, value);
    }
}
