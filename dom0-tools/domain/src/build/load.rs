//! Filling a new domain: memory, kernel, tables, rings and the first vCPU (`libxl__build_dom` of Xen 4.20).

use std::ops::Range;

use kernel_image::{Chunk, Kernel};
use xen_abi::hvm::params::{
    HVM_PARAM_BUFIOREQ_PFN, HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN, HVM_PARAM_IDENT_PT,
    HVM_PARAM_IOREQ_PFN, HVM_PARAM_MONITOR_RING_PFN, HVM_PARAM_PAGING_RING_PFN,
    HVM_PARAM_SHARING_RING_PFN, HVM_PARAM_STORE_EVTCHN, HVM_PARAM_STORE_PFN,
};
use xenctl::{DomId, Hypervisor};

use super::acpi::{self, Tables};
use super::error::{BuildError, Result, Step};
use super::files::Unpacked;
use super::layout::{ACPI_START, Layout, PAGE, SPECIAL_COUNT, SPECIAL_FIRST, Special};
use super::plan::Plan;
use super::populate::{populate_pages, populate_ram};
use super::{limits, resources, start_info, vcpu};

/// Grant of the console's ring, reserved in every domain's table.
const GRANT_CONSOLE: u32 = 0;
/// Grant of the store's ring.
const GRANT_STORE: u32 = 1;

/// A ring that a domain shares with a daemon.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Frame of its page.
    pub gfn: u64,
    /// The domain's event port.
    pub port: u32,
}

/// A domain that waits to be unpaused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Ring to the store.
    pub store: Ring,
    /// Ring to the console.
    pub console: Ring,
}

/// Loads `files` into a domain that was just created. On an error the domain is to be destroyed.
///
/// # Errors
/// [`BuildError::NoRoom`], [`BuildError::OutOfMemory`], [`BuildError::Hypervisor`] and those of the scheduler.
pub fn load(
    hypervisor: &dyn Hypervisor,
    domain: DomId,
    plan: &Plan,
    files: &Unpacked,
) -> Result<Built> {
    let (memory_kib, max_memory_kib) = plan.guest_kib();
    let layout = Layout::of(max_memory_kib);
    let online: Vec<bool> = (0..plan.max_vcpus).map(|n| plan.is_online(n)).collect();
    let anywhere = files.kernel.image.notes.accepts_rsdp_anywhere();
    let tables = acpi::build(&online, anywhere);
    let map = layout.memory_map(tables.pages(), tables.is_rsdp_in_bios_area());
    let places = Places::find(&layout, files, plan, &tables, &map)?;
    let guest = Guest { hypervisor, domain };

    let step = "set the memory map";
    hypervisor.set_memory_map(domain, &map).step(step)?;
    populate_ram(hypervisor, domain, &layout, memory_kib, plan.claim)?;
    guest.write_kernel(&files.kernel)?;
    if let (Some(place), Some(ramdisk)) = (&places.ramdisk, &files.ramdisk) {
        guest.write(place.start, ramdisk, "copy the ramdisk")?;
    }
    guest.write_tables(&tables)?;
    guest.write(
        places.start_info.start,
        &places.bytes,
        "copy the start info",
    )?;
    guest.make_special_pages()?;
    let built = guest.connect_rings(plan)?;
    guest.set_first_vcpu(plan.max_vcpus, files.kernel.image.entry, &places)?;
    limits::set_scheduling(hypervisor, domain, plan)?;
    resources::give(hypervisor, domain, &plan.resources)?;
    Ok(built)
}

/// Where things behind the kernel go.
struct Places {
    ramdisk: Option<Range<u64>>,
    start_info: Range<u64>,
    bytes: Vec<u8>,
}

impl Places {
    /// Ramdisk, then start info, each on whole pages behind the kernel, all in low memory.
    fn find(
        layout: &Layout,
        files: &Unpacked,
        plan: &Plan,
        tables: &Tables,
        map: &[(u64, u64, u32)],
    ) -> Result<Self> {
        let kernel = files.kernel.image.extent.clone();
        let place = |start: u64, len: u64, part| {
            let start = start.next_multiple_of(PAGE);
            let end = start + len;
            if end <= layout.low_end {
                return Ok(start..end);
            }
            Err(BuildError::NoRoom {
                part,
                end,
                memory_end: layout.low_end,
            })
        };
        place(kernel.start, kernel.end - kernel.start, "the kernel")?;
        let ramdisk = files.ramdisk.as_ref();
        let ramdisk = ramdisk
            .map(|bytes| place(kernel.end, bytes.len() as u64, "the ramdisk"))
            .transpose()?;
        let content = start_info::Content {
            ramdisk: ramdisk.clone(),
            command_line: &plan.command_line,
            rsdp: tables.rsdp_address,
            map,
        };
        let after = ramdisk.as_ref().map_or(kernel.end, |range| range.end);
        let start_info = place(after, start_info::len(&content), "the start info")?;
        let bytes = start_info::bytes(&content, start_info.start);
        Ok(Self {
            ramdisk,
            start_info,
            bytes,
        })
    }
}

/// A domain being filled.
struct Guest<'a> {
    hypervisor: &'a dyn Hypervisor,
    domain: DomId,
}

impl Guest<'_> {
    fn write(&self, address: u64, bytes: &[u8], step: &'static str) -> Result<()> {
        self.hypervisor
            .write_guest(self.domain, address, bytes)
            .step(step)
    }

    fn set_param(&self, index: u32, value: u64) -> Result<()> {
        let set = self.hypervisor.set_hvm_param(self.domain, index, value);
        set.step("set a parameter of the domain")
    }

    fn write_kernel(&self, kernel: &Kernel) -> Result<()> {
        for chunk in kernel.chunks() {
            match chunk {
                Chunk::Copy(address, bytes) => self.write(address, bytes, "copy the kernel")?,
                Chunk::Zero(range) => self.clear(range)?,
            }
        }
        Ok(())
    }

    /// Writes zeroes, a part at a time.
    fn clear(&self, mut range: Range<u64>) -> Result<()> {
        const CHUNK: u64 = 1 << 20;
        let zeroes = vec![0; CHUNK.min(range.end - range.start) as usize];
        while range.start < range.end {
            let len = (zeroes.len() as u64).min(range.end - range.start);
            let bytes = zeroes.get(..len as usize).unwrap_or(&zeroes);
            self.write(range.start, bytes, "clear memory for the kernel")?;
            range.start += len;
        }
        Ok(())
    }

    fn write_tables(&self, tables: &Tables) -> Result<()> {
        let first = ACPI_START / PAGE;
        populate_pages(self.hypervisor, self.domain, first..first + tables.pages())?;
        let step = "copy the ACPI tables";
        self.write(ACPI_START, &tables.bytes, step)?;
        if tables.is_rsdp_in_bios_area() {
            self.write(tables.rsdp_address, &tables.rsdp, step)?;
        }
        Ok(())
    }

    /// The shared pages are zero but for the identity map, which the hypervisor needs while the guest has paging off.
    fn make_special_pages(&self) -> Result<()> {
        let frames = SPECIAL_FIRST..SPECIAL_FIRST + SPECIAL_COUNT;
        populate_pages(self.hypervisor, self.domain, frames)?;
        let mut pages = vec![0; (SPECIAL_COUNT * PAGE) as usize];
        let map = Special::IdentityMap as usize * PAGE as usize;
        if let Some(place) = pages.get_mut(map..map + PAGE as usize) {
            place.copy_from_slice(&identity_map());
        }
        let step = "clear the shared pages";
        self.write(SPECIAL_FIRST * PAGE, &pages, step)?;
        let params = [
            (HVM_PARAM_STORE_PFN, Special::Store),
            (HVM_PARAM_BUFIOREQ_PFN, Special::BufferedIo),
            (HVM_PARAM_IOREQ_PFN, Special::Io),
            (HVM_PARAM_CONSOLE_PFN, Special::Console),
            (HVM_PARAM_PAGING_RING_PFN, Special::Paging),
            (HVM_PARAM_MONITOR_RING_PFN, Special::Monitor),
            (HVM_PARAM_SHARING_RING_PFN, Special::Sharing),
        ];
        for (index, page) in params {
            self.set_param(index, page.gfn())?;
        }
        self.set_param(HVM_PARAM_IDENT_PT, Special::IdentityMap.gfn() * PAGE)
    }

    /// Event channels and grants for store and console.
    fn connect_rings(&self, plan: &Plan) -> Result<Built> {
        let store = self.connect(Special::Store, GRANT_STORE, plan.store_domain)?;
        let console = self.connect(Special::Console, GRANT_CONSOLE, plan.console_domain)?;
        self.set_param(HVM_PARAM_STORE_EVTCHN, store.port.into())?;
        self.set_param(HVM_PARAM_CONSOLE_EVTCHN, console.port.into())?;
        Ok(Built { store, console })
    }

    fn connect(&self, page: Special, grant: u32, to: DomId) -> Result<Ring> {
        let port = self.hypervisor.alloc_unbound_port(self.domain, to);
        let port = port.step("make an event channel for the domain")?;
        let gfn = page.gfn();
        let seeded = self.hypervisor.seed_grant(self.domain, grant, gfn, to);
        seeded.step("grant a page of the domain to its daemon")?;
        Ok(Ring { gfn, port })
    }

    fn set_first_vcpu(&self, vcpus: u32, entry: u32, places: &Places) -> Result<()> {
        let step = "read the domain's initial state";
        let current = self.hypervisor.hvm_context(self.domain).step(step)?;
        // Low memory ends below 4 GiB.
        let start_info = places.start_info.start as u32;
        let context = vcpu::start_context(&current, vcpus, entry, start_info).ok_or(
            BuildError::Unsupported("the domain's initial state has no header or no MTRR record"),
        )?;
        let step = "set the domain's initial state";
        self.hypervisor
            .set_hvm_context(self.domain, &context)
            .step(step)
    }
}

/// A page directory of 4 MiB pages, all present, writable, for users, accessed and dirty.
fn identity_map() -> Vec<u8> {
    const FLAGS: u32 = 0xe7;
    (0..1024_u32)
        .flat_map(|n| (n << 22 | FLAGS).to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Files, build, create, discard};
    use super::*;
    use kernel_image::sample;
    use xen_abi::errno::Errno;
    use xen_abi::hvm::start_info::HvmStartInfo;
    use xenctl::fake::FakeXen;
    use xenctl::{CpuSet, call};
    use zerocopy::FromBytes;

    const MIB: u64 = 1 << 20;

    /// Files in a directory of their own, and a plan for them.
    fn plan() -> (tempfile::TempDir, Plan) {
        let directory = tempfile::tempdir().unwrap();
        let kernel = directory.path().join("kernel");
        std::fs::write(&kernel, sample::kernel()).unwrap();
        let ramdisk = directory.path().join("ramdisk");
        std::fs::write(&ramdisk, [7; 5000]).unwrap();
        let mut plan = Plan::new(kernel, 64 << 10);
        plan.ramdisk = Some(ramdisk);
        plan.command_line = "console=hvc0".into();
        plan.max_vcpus = 3;
        plan.online_vcpus = CpuSet::first(2);
        (directory, plan)
    }

    fn read(xen: &FakeXen, domain: DomId, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        xen.read_guest(domain, address, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn built_domain_has_its_files_tables_rings_and_first_vcpu() {
        let (_directory, plan) = plan();
        let xen = FakeXen::new();
        let (domain, built) = build(&xen, &plan).unwrap();
        assert_eq!(read(&xen, domain, 16 * MIB, 2), [1, 1]);
        assert_eq!(read(&xen, domain, 18 * MIB + 0x1f, 3), [2, 0, 0]);
        let state = xen.built(domain).unwrap();
        let cpu = &state.records[&(xen_abi::hvm::save::HVM_SAVE_CODE_CPU, 0)];
        let cpu = xen_abi::hvm::save::HvmHwCpu::read_from_bytes(cpu).unwrap();
        assert_eq!(cpu.rip, 0x100_0010);
        let info = read(&xen, domain, cpu.rbx, 56);
        let info = HvmStartInfo::read_from_bytes(&info).unwrap();
        assert_eq!((info.magic, info.nr_modules), (0x336e_c578, 1));
        assert_eq!(
            read(&xen, domain, info.cmdline_paddr, 13),
            b"console=hvc0\0"
        );
        assert_eq!(read(&xen, domain, info.rsdp_paddr, 8), b"RSD PTR ");
        let module = read(&xen, domain, info.modlist_paddr, 16);
        let ramdisk = u64::from_le_bytes(module[..8].try_into().unwrap());
        assert_eq!(read(&xen, domain, ramdisk + 4999, 2), [7, 0]);
        assert_eq!(state.params[&HVM_PARAM_STORE_PFN], built.store.gfn);
        assert_eq!(
            state.params[&HVM_PARAM_CONSOLE_EVTCHN],
            u64::from(built.console.port)
        );
        assert_eq!(state.grants[&GRANT_STORE], (built.store.gfn, DomId::DOM0));
        assert_eq!(
            read(&xen, domain, 0xfeff_e000, 8),
            [0xe7, 0, 0, 0, 0xe7, 0, 0x40, 0]
        );
        let info = xen.domain(domain).unwrap();
        assert_eq!(info.max_pages, (64 << 8) + 256);
        assert_eq!(info.nr_online_vcpus, 1);
        assert_eq!(state.claimed, 0);
        assert_eq!(state.paging_bytes, (3 * 256 + 64) * 4096);
    }

    #[test]
    fn every_refused_request_leaves_nothing_behind() {
        let (_directory, mut plan) = plan();
        plan.time_offset = 60;
        plan.hard_affinity = vec![CpuSet::first(2)];
        plan.nodes = Some(CpuSet::first(1));
        plan.weight = Some(512);
        let xen = FakeXen::new();
        build(&xen, &plan).unwrap();
        let calls = xen.calls();
        let before = xen.domains().unwrap().len();
        for (index, call) in calls.iter().enumerate() {
            let earlier = calls[..index].iter().filter(|other| *other == call).count();
            xen.fail_after(call, earlier, Errno::ENOMEM);
            let result = build(&xen, &plan);
            // Xen's answer to too much memory is how much it gave; the rest must then come in other pieces.
            if *call == call::POPULATE {
                continue;
            }
            assert!(result.is_err(), "{call} {earlier}");
            assert_eq!(xen.domains().unwrap().len(), before, "{call} {earlier}");
        }
    }

    #[test]
    fn host_without_memory_says_how_much_is_missing() {
        let (_directory, mut plan) = plan();
        plan.memory_kib = 64 << 20;
        plan.max_memory_kib = 64 << 20;
        for claim in [true, false] {
            plan.claim = claim;
            let xen = FakeXen::new();
            let error = build(&xen, &plan).unwrap_err();
            assert!(matches!(error, BuildError::OutOfMemory { .. }), "{error}");
            assert_eq!(xen.domains().unwrap().len(), 1);
        }
    }

    #[test]
    fn memory_beyond_the_target_is_populated_on_demand() {
        let (_directory, mut plan) = plan();
        plan.max_memory_kib = 96 << 10;
        let xen = FakeXen::new();
        let (domain, _) = build(&xen, &plan).unwrap();
        assert_eq!(xen.built(domain).unwrap().pod_target, Some(64 << 8));
        let map = xen.built(domain).unwrap().memory_map;
        assert_eq!(map[0], (0, 96 * MIB, 1));
    }

    #[test]
    fn guest_too_small_for_its_kernel_is_refused_before_it_gets_memory() {
        let (_directory, mut plan) = plan();
        (plan.memory_kib, plan.max_memory_kib) = (17 << 10, 17 << 10);
        let xen = FakeXen::new();
        let files = Files::read(&plan, None).unwrap().unpack().unwrap();
        let domain = create(&xen, &plan).unwrap();
        let error = load(&xen, domain, &plan, &files).unwrap_err();
        assert!(matches!(
            error,
            BuildError::NoRoom {
                part: "the kernel",
                ..
            }
        ));
        assert_eq!(xen.domain(domain).unwrap().tot_pages, 0);
        discard(&xen, domain);
        discard(&xen, domain);
        assert!(xen.domain(domain).is_err());
    }

    #[test]
    fn missing_file_and_wrong_numbers_are_named() {
        let (_directory, mut plan) = plan();
        let xen = FakeXen::new();
        plan.max_vcpus = 129;
        let error = build(&xen, &plan).unwrap_err().to_string();
        assert_eq!(error, "maxvcpus is 129, outside 1 to 128");
        plan.kernel = "/nowhere/vmlinuz".into();
        let error = build(&xen, &plan).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read kernel /nowhere/vmlinuz: "),
            "{error}"
        );
    }
}
