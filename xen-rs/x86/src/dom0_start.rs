//! Building dom0 and starting it.
#![allow(
    unsafe_code,
    reason = "fills dom0's memory, which nobody uses yet, through slices"
)]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use kernel_image::{Chunk, Kernel, locate};
use xen_abi::arch_x86::XEN_X86_MSR_RELAXED;
use xen_core::cmdline::{PortRange, dom0_cmdline};
use xen_core::domain::{Domain, DomainConfig};
use xen_core::hal::MachineMemory;
use xen_core::hypervisor::{CreateDomain, Hypervisor};
use xen_core::ids::{Domid, Gfn, Maddr, Mfn, VcpuId};
use xen_core::info;
use xen_core::memory::remains::Remains;
use xen_core::p2m::{P2mEntry, PageType};
use xen_core::sched::{CpuMask, PoolId};

use crate::boot::acpi_tables::Firmware;
use crate::boot::lent;
use crate::boot::loader::{BootInfo, Module};
use crate::boot::memory::left_over;
use crate::direct_map::{BASE, DIRECT_MAP, slice_mut};
use crate::dom0::e820::{Dom0Map, E820Entry, E820Kind};
use crate::dom0::layout::{self, Layout, Request};
use crate::dom0::{BuildError, PhysRange, acpi, start_info};
use crate::domain::X86Domain;
use crate::interrupts::dispatch;
use crate::serial::SERIAL;
use crate::vcpu::X86Vcpu;

/// Emulated devices of a PVH dom0: local APIC, I/O APIC, virtual PCI.
const DOM0_EMULATION: u32 = 0x411;
/// What Linux must be told without an IOMMU: see decision 4 of the architecture document.
const BOUNCE: &str = "swiotlb=force";
const LARGE_ORDER: u32 = 9;
/// Beyond what unpacking needs: objects in lent RAM are aligned.
const LENT_MARGIN: u64 = 1 << 20;

/// Builds dom0 from the boot modules and makes its first vCPU runnable.
///
/// # Errors
/// A message for the console.
pub fn start(
    hv: &'static Hypervisor,
    boot: &BootInfo,
    firmware: &Firmware,
    host_map: &[E820Entry],
    map: Dom0Map,
    page_limit: u64,
) -> Result<(), String> {
    let kernel = boot
        .modules
        .first()
        .ok_or("no dom0 kernel: the boot entry has no module")?;
    let initrd = boot.modules.get(1);
    let vcpus = hv
        .options
        .dom0_max_vcpus
        .of(hv.host.cpus)
        .clamp(1, acpi::VCPUS_MAX);
    let domain = create(hv, &map, vcpus)?;
    let page_limit = page_limit.min(u64::from(u32::MAX));
    domain
        .memory
        .limit
        .store(page_limit, core::sync::atomic::Ordering::SeqCst);
    let entry = load(hv, kernel, initrd, firmware, host_map, map, vcpus)?;
    give_back_modules(hv, boot, &entry.ram);
    map_low_memory(hv, &domain, host_map)?;
    open_ports(&domain, firmware, &hv.options.dom0_ioports_disable);
    if let Some(devices) = &X86Domain::of(&domain).devices {
        let withheld = withheld_pages(firmware, host_map);
        devices.discover(hv, &domain, withheld, &firmware.config_windows);
    }
    dispatch::set_device_handler(device_interrupt);
    crate::console::start_input(&hv.options, firmware);
    x86_emu::warm_up();
    let first = domain.vcpu(VcpuId(0)).ok_or("dom0 has no vCPU")?;
    let half = X86Vcpu::of(first);
    let mut state = half.state.lock();
    crate::hvm_start::pvh(&mut state, entry.entry, entry.start_info);
    half.initialised
        .store(true, core::sync::atomic::Ordering::SeqCst);
    half.publish(&state);
    drop(state);
    info!("Dom0 has maximum {vcpus} VCPUs");
    hv.bring_up(first);
    hv.unpause_domain(&domain);
    domain
        .tool_pauses
        .store(0, core::sync::atomic::Ordering::SeqCst);
    Ok(())
}

fn device_interrupt(source: crate::interrupts::Source) {
    let hv = crate::machine::hv();
    if source == crate::interrupts::Source::Serial {
        return crate::console::serve(hv);
    }
    if let Some(dom0) = hv.domain(Domid::DOM0)
        && let Some(devices) = &X86Domain::of(&dom0).devices
    {
        devices.interrupt(hv, &dom0, source);
    }
}

fn create(hv: &Hypervisor, map: &Dom0Map, vcpus: u32) -> Result<Arc<Domain>, String> {
    let config = DomainConfig {
        flags: 3,
        emulation_flags: DOM0_EMULATION,
        misc_flags: if hv.options.dom0.msr_relaxed {
            XEN_X86_MSR_RELAXED
        } else {
            0
        },
        max_vcpus: vcpus,
        max_evtchn_port: u32::MAX,
        max_grant_frames: hv.options.gnttab_max_frames,
        max_maptrack_frames: hv.options.gnttab_max_maptrack_frames,
        max_grant_version: 1,
    };
    let new = CreateDomain {
        id: Some(Domid::DOM0),
        handle: [0; 16],
        config,
        pool: PoolId::ZERO,
        privileged: true,
    };
    let domain = hv
        .create_domain(new)
        .map_err(|errno| format!("dom0 cannot be created: {errno}"))?;
    map.ram
        .iter()
        .try_for_each(|range| give_ram(hv, &domain, range))
        .map_err(|errno| format!("dom0's memory: {errno}"))?;
    keep_home(hv, &map.ram);
    hv.create_vcpus(&domain)
        .map_err(|errno| format!("dom0's vCPUs: {errno}"))?;
    pin_vcpus(hv, &domain);
    Ok(domain)
}

/// dom0 gets no other frames than these, should it give some back and want them again.
fn keep_home(hv: &Hypervisor, ram: &[PhysRange]) {
    let frames = |range: &PhysRange| (range.start >> 12) as u32..(range.end >> 12) as u32;
    let home: Vec<_> = ram.iter().map(frames).collect();
    hv.frames.lock().set_home(home.leak());
}

/// `dom0_vcpus_pin`: vCPU n on CPU n.
fn pin_vcpus(hv: &Hypervisor, domain: &Domain) {
    if !hv.options.dom0_vcpus_pin {
        return;
    }
    for vcpu in domain.vcpus() {
        let cpu = xen_core::ids::CpuId(vcpu.id.0 % hv.host.cpus);
        // A CPU that is online is in pool 0.
        let _ = hv
            .scheduler
            .set_hard_affinity(vcpu, CpuMask::only(cpu), hv.now_ns());
    }
}

/// Makes frames dom0's own and maps each at the same number.
fn give_ram(
    hv: &Hypervisor,
    domain: &Domain,
    range: &PhysRange,
) -> Result<(), xen_abi::errno::Errno> {
    let (mut at, end) = (range.start >> 12, range.end >> 12);
    domain
        .memory
        .total
        .fetch_add(end - at, core::sync::atomic::Ordering::SeqCst);
    (at..end).for_each(|frame| hv.table.assign(Mfn(frame), domain.id));
    while at < end {
        let large = at.is_multiple_of(1 << LARGE_ORDER) && end - at >= 1 << LARGE_ORDER;
        let order = if large { LARGE_ORDER } else { 0 };
        hv.map_run(
            domain,
            Gfn(at),
            order,
            P2mEntry {
                mfn: Mfn(at),
                kind: PageType::Ram,
            },
        )?;
        at += 1 << order;
    }
    Ok(())
}

struct Loaded {
    entry: u32,
    start_info: u32,
    ram: Vec<PhysRange>,
}

fn bytes_of(range: &PhysRange) -> &'static mut [u8] {
    // SAFETY: boot modules and dom0's memory belong to this function's caller until dom0 runs; ranges in use at once do not overlap.
    unsafe { slice_mut(Maddr(range.start), range.len() as usize) }
}

fn put(at: u64, bytes: &[u8]) {
    bytes_of(&PhysRange::from_len(at, bytes.len() as u64)).copy_from_slice(bytes);
}

fn load(
    hv: &Hypervisor,
    kernel: &Module,
    initrd: Option<&Module>,
    firmware: &Firmware,
    host_map: &[E820Entry],
    mut map: Dom0Map,
    vcpus: u32,
) -> Result<Loaded, String> {
    let mut sources: Vec<PhysRange> = core::iter::once(kernel.range)
        .chain(initrd.map(|m| m.range))
        .collect();
    let unpacked = unpack(hv, kernel, &map, &sources)?;
    let kernel_source = machine_range(unpacked.file());
    sources.push(kernel_source);
    let request = acpi_request(firmware, host_map, vcpus);
    let tables_at = map
        .steal_acpi(acpi::max_len(&request), &sources)
        .map_err(|e| e.to_string())?;
    let tables = acpi::build(&request, tables_at.start).map_err(|e| e.to_string())?;
    let cmdline = dom0_cmdline(&kernel.cmdline, &hv.options, BOUNCE);
    let start_info_len = start_info::block_len(map.entries.len(), cmdline.len()) as u64;
    let layout = layout::choose(&Request {
        map: &map,
        kernel: &unpacked.image,
        kernel_source,
        initrd_source: initrd.map(|m| m.range),
        start_info_len,
    });
    let layout = layout.map_err(|e| e.to_string())?;
    copy_initrd(initrd, &layout);
    load_kernel(&unpacked, &layout);
    drop(unpacked);
    lent::end();
    put(tables_at.start, &tables.bytes);
    let info = start_info::StartInfo {
        initrd: layout.initrd,
        rsdp: tables.rsdp,
        memory_map: &map.entries,
        cmdline: &cmdline,
    };
    let start_info = layout.start_info.start;
    put(start_info, &start_info::build(&info, start_info));
    *hv.domain(Domid::DOM0)
        .ok_or("dom0 vanished")?
        .memory_map
        .lock() = map.entries.iter().map(abi_entry).collect();
    info!(
        "Dom0 kernel: {:#x} -> {:#x}, entry {:#x}",
        layout.kernel.start, layout.kernel.end, layout.entry
    );
    info!("Dom0 command line: {cmdline}");
    Ok(Loaded {
        entry: layout.entry,
        start_info: start_info as u32,
        ram: map.ram,
    })
}

/// Unpacks the kernel. The result may lie in dom0's RAM, which is lent to the heap for this: it must be gone before [`lent::end`].
fn unpack(
    hv: &Hypervisor,
    kernel: &Module,
    map: &Dom0Map,
    modules: &[PhysRange],
) -> Result<Kernel, String> {
    let payload = locate(bytes_of(&kernel.range)).map_err(|e| BuildError::from(e).to_string())?;
    let need = payload.heap_need() as u64 + payload.unpacked_len() as u64;
    match map.room_for(need + LENT_MARGIN, modules) {
        Some(room) => lent::lend(room),
        None if hv.frames.lock().free_pages() << 12 < need => {
            return Err(format!(
                "unpacking the dom0 kernel needs {} MiB of memory",
                need >> 20
            ));
        }
        None => {}
    }
    crate::dom0::kernel::unpack(&payload).map_err(|e| e.to_string())
}

/// Where bytes of the heap are in RAM.
fn machine_range(bytes: &[u8]) -> PhysRange {
    let address = bytes.as_ptr() as u64;
    let start = address.checked_sub(BASE).unwrap_or(address);
    PhysRange::from_len(start, bytes.len() as u64)
}

fn abi_entry(entry: &E820Entry) -> xen_abi::hvm::e820::E820Entry {
    zerocopy::FromBytes::read_from_bytes(&entry.abi_bytes()).expect("both are 20 bytes")
}

fn acpi_request<'a>(
    firmware: &'a Firmware,
    host_map: &'a [E820Entry],
    vcpus: u32,
) -> acpi::Request<'a> {
    acpi::Request {
        rsdp_oem: firmware.rsdp_oem,
        root_header: firmware.root_header,
        madt_header: firmware.madt_header,
        tables: &firmware.tables,
        host_map,
        io_apics: &firmware.io_apics,
        overrides: &firmware.overrides,
        vcpus,
    }
}

fn copy_initrd(initrd: Option<&Module>, layout: &Layout) {
    if let (Some(module), Some(target)) = (initrd, &layout.initrd)
        && target.start != module.range.start
    {
        // The two may overlap: page by page in the direction that keeps what is still to be read.
        let len = module.range.len() as usize;
        DIRECT_MAP.copy(Maddr(module.range.start), Maddr(target.start), len);
    }
}

fn load_kernel(kernel: &Kernel, layout: &Layout) {
    let distance = layout.kernel.start.wrapping_sub(kernel.image.extent.start);
    let moved = |address: u64| address.wrapping_add(distance);
    for chunk in kernel.chunks() {
        match chunk {
            Chunk::Copy(address, bytes) => put(moved(address), bytes),
            Chunk::Zero(range) => bytes_of(&(moved(range.start)..moved(range.end)).into()).fill(0),
        }
    }
}

/// Modules outside dom0's memory are free now.
fn give_back_modules(hv: &Hypervisor, boot: &BootInfo, dom0_ram: &[PhysRange]) {
    let mut except: Vec<PhysRange> = dom0_ram.to_vec();
    except.push(PhysRange {
        start: 0,
        end: 1 << 20,
    });
    let modules = boot.modules.iter().map(|m| m.range.pages_touched());
    // The list is made first: the heap may need the frames' lock to grow.
    let ranges = left_over(modules, &except);
    let mut frames = hv.frames.lock();
    for range in &ranges {
        frames.free_range(
            Maddr(range.start).mfn(),
            Maddr(range.end).mfn(),
            Remains::SECRETS,
        );
    }
}

/// The first MiB, as it is: firmware's data and ROMs are where drivers look for them.
fn map_low_memory(
    hv: &Hypervisor,
    domain: &Arc<Domain>,
    host_map: &[E820Entry],
) -> Result<(), String> {
    let is_ram = |page: u64| {
        host_map.iter().any(|e| {
            e.kind == E820Kind::RAM
                && e.range
                    .pages_inside()
                    .contains(&PhysRange::from_len(page << 12, 4096))
        })
    };
    for page in (0..256).filter(|&page| !is_ram(page)) {
        let entry = P2mEntry {
            mfn: Mfn(page),
            kind: PageType::Mmio,
        };
        hv.map_page(domain, Gfn(page), entry)
            .map_err(|errno| format!("dom0's low memory: {errno}"))?;
    }
    Ok(())
}

/// What dom0 must not map as a device: RAM, and the HPET, which like the ACPI PM timer is the hypervisor's.
fn withheld_pages(firmware: &Firmware, host_map: &[E820Entry]) -> Vec<PhysRange> {
    let ram = host_map
        .iter()
        .filter(|e| e.kind == E820Kind::RAM)
        .map(|e| e.range.pages_touched());
    let hpet = firmware.hpet.map(|at| PhysRange::from_len(at, 1));
    ram.chain(hpet.map(|registers| registers.pages_touched()))
        .collect()
}

/// dom0 reaches all ports but those of devices that are emulated, absent or the hypervisor's own.
fn open_ports(domain: &Domain, firmware: &Firmware, disabled: &[PortRange]) {
    const CLOSED: [(u16, u32); 12] = [
        (0x00, 0x20),
        (0x20, 2),
        (0x40, 4),
        (0x61, 1),
        (0x80, 0x10),
        (0x92, 1),
        (0xa0, 2),
        (0xc0, 0x20),
        (0xe9, 1),
        (0xf0, 1),
        (0x4d0, 2),
        (0xcf8, 8),
    ];
    let arch = X86Domain::of(domain);
    arch.set_ports(0, 0x1_0000, true);
    if let Some((first, count)) = SERIAL.ports() {
        arch.set_ports(first, count, false);
    }
    if let Some((port, _)) = firmware.pm_timer {
        arch.set_ports(port, 4, false);
    }
    CLOSED
        .iter()
        .for_each(|&(first, count)| arch.set_ports(first, count, false));
    for range in disabled {
        let count = u32::from(range.last - range.first) + 1;
        arch.set_ports(range.first, count, false);
    }
}
