//! The order of boot.
#![allow(
    unsafe_code,
    reason = "reads the loader's structures and hands the boot stack to the per-CPU record"
)]

use alloc::string::ToString;
use xen_core::cmdline::{BootScrub, Options};
use xen_core::console;
use xen_core::hal::Build;
use xen_core::hypervisor::Hypervisor;
use xen_core::memory::remains::Remains;
use xen_core::sched::mask::MAX_CPUS;

use crate::boot::acpi_tables::{self, Firmware};
use crate::boot::address_space::ImageLayout;
use crate::boot::loader::{self, BootInfo};
use crate::boot::memory::{self, Memory};
use crate::boot::screen;
use crate::boot::smp::{self, Trampoline};
use crate::cpu::instructions::{rsp, set_cr3};
use crate::cpu::percpu::{PerCpu, STACK_SIZE, prepare_stack, this_cpu};
use crate::cpu::tables;
use crate::dom0::PhysRange;
use crate::interrupts::{io_apic, local_apic};
use crate::panic::fatal;
use crate::{host, machine, time};

/// What the image passes on.
pub struct Early {
    /// eax at entry.
    pub magic: u32,
    /// ebx at entry.
    pub info: u32,
    /// Where the image's parts lie.
    pub image: ImageLayout,
    /// Start-up code of the other CPUs.
    pub trampoline: Trampoline,
    /// Adds RAM to the heap.
    pub add_heap: fn(PhysRange),
    /// How the image came about.
    pub build: Build,
}

/// The boot CPU, from the assembly to its scheduling loop.
pub fn boot_cpu(early: Early) -> ! {
    if early.magic != loader::MAGIC {
        crate::console::open_default();
        fatal("not loaded by a Multiboot2 loader");
    }
    // SAFETY: the loader's ebx; nothing has been written to memory outside the image yet.
    let boot = unsafe { loader::read(u64::from(early.info)) };
    let mut boot = boot.unwrap_or_else(|why| fatal(why));
    let options = Options::parse(&boot.cmdline);
    crate::console::open(&options);
    crate::power::set_options(&options);
    crate::interrupts::nmi::set_action(options.nmi);
    if let Some(screen) = boot.screen {
        screen::remember(screen);
    }
    banner(&boot, &options);
    if options.iommu.required {
        fatal("iommu=required, and there is no driver for any IOMMU");
    }
    if let Some(end) = options.mem.filter(|end| *end != 0) {
        memory::forget_from(&mut boot.memory_map, end);
    }
    let firmware = boot
        .acpi_root
        .as_ref()
        .ok_or("no ACPI tables")
        .and_then(acpi_tables::read)
        .unwrap_or_else(|why| fatal(why));
    let cpus = cpu_limit(&options).min(firmware.processors.len() as u32);
    let untouched = match options.bootscrub {
        BootScrub::Never => Remains::HARMLESS,
        BootScrub::Idle | BootScrub::AtBoot => Remains::SECRETS,
    };
    let mut dom0_limit = u64::MAX;
    let dom0_share = |available| {
        dom0_limit = options.dom0_mem.max_pages(available);
        options.dom0_memory(available)
    };
    let memory = memory::init(&boot, &early.image, cpus, dom0_share, untouched)
        .unwrap_or_else(|why| fatal(why));
    (early.add_heap)(memory.heap);
    print_map(&memory);
    crate::power::init(&firmware);
    let boot_cpu = start_boot_cpu(&firmware);
    let cpus = start_others(&options, &firmware, boot_cpu, early.trampoline, &memory);
    let host_map = memory.host_map.clone();
    let dom0_map = memory.dom0.clone();
    let hv = make_hypervisor(&boot, options, memory, cpus, early.build);
    crate::console::enlarge(&hv.options, cpus);
    crate::run::enable_virtualisation().unwrap_or_else(|why| fatal(why));
    scrub_at_boot(hv);
    crate::dom0_start::start(hv, &boot, &firmware, &host_map, dom0_map, dom0_limit)
        .unwrap_or_else(|why| fatal(&why));
    smp::release();
    crate::run::per_cpu_loop()
}

/// Scrubs all free memory before anybody gets some, if the administrator wants that.
fn scrub_at_boot(hv: &Hypervisor) {
    if hv.options.bootscrub == BootScrub::AtBoot {
        console::print(format_args!("Scrubbing Free RAM"));
        while hv.scrub_piece() {}
    }
}

/// Any other CPU.
pub fn other_cpu() -> ! {
    // SAFETY: the tables map everything in use, as the boot CPU's do; the stack lies in the direct map.
    unsafe { set_cr3(crate::boot::address_space::root()) };
    tables::load(this_cpu());
    host::note_microcode(this_cpu());
    local_apic::enable();
    crate::cpu::machine_check::enable();
    smp::report_and_wait();
    if let Err(why) = crate::run::enable_virtualisation() {
        fatal(why);
    }
    crate::run::per_cpu_loop()
}

fn banner(boot: &BootInfo, options: &Options) {
    console::print(format_args!(
        "xen-rs {} (Xen 4.20 ABI)",
        env!("CARGO_PKG_VERSION")
    ));
    console::print(format_args!("Bootloader: {}", boot.loader));
    console::print(format_args!("Command line: {}", boot.cmdline));
    for note in &options.notes {
        console::print(format_args!("{note}"));
    }
    if options.notes_lost > 0 {
        console::print(format_args!(
            "{} more notes about the command line",
            options.notes_lost
        ));
    }
}

fn print_map(memory: &Memory) {
    console::print(format_args!("RAM map:"));
    for entry in &memory.host_map {
        let what = match entry.kind.0 {
            1 => "usable",
            2 => "reserved",
            3 => "ACPI data",
            4 => "ACPI NVS",
            _ => "unusable",
        };
        console::print(format_args!(
            " [{:016x}, {:016x}] ({what})",
            entry.range.start,
            entry.range.end - 1
        ));
    }
    console::print(format_args!(
        "System RAM: {}MB ({}kB)",
        memory.total_pages >> 8,
        memory.total_pages << 2
    ));
}

fn start_boot_cpu(firmware: &Firmware) -> &'static PerCpu {
    local_apic::detect();
    let record = smp::boot_record(&firmware.processors);
    let top = (rsp() | (STACK_SIZE - 1)) + 1;
    // SAFETY: the boot stack, whose top word the assembly left free.
    unsafe { prepare_stack(top, record) };
    tables::load(record);
    host::note_microcode(record);
    disable_pic();
    local_apic::enable();
    local_apic::accept_nmi();
    crate::cpu::machine_check::enable();
    time::calibrate(firmware).unwrap_or_else(|why| fatal(why));
    local_apic::calibrate_timer();
    crate::console::start_clocks();
    io_apic::init(&firmware.io_apics);
    record
}

/// Masks both 8259 controllers after moving their vectors away from the exceptions (Intel 8259A datasheet).
fn disable_pic() {
    use crate::cpu::instructions::port_out;
    for (port, value) in [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 4),
        (0xa1, 2),
        (0x21, 1),
        (0xa1, 1),
    ] {
        port_out(port, 1, value);
    }
    port_out(0x21, 1, 0xff);
    port_out(0xa1, 1, 0xff);
}

/// How many CPUs are started at most: as many as the scheduler knows, unless the administrator wants fewer.
fn cpu_limit(options: &Options) -> u32 {
    options.maxcpus.unwrap_or(u32::MAX).min(MAX_CPUS as u32)
}

fn start_others(
    options: &Options,
    firmware: &Firmware,
    boot: &'static PerCpu,
    mut trampoline: Trampoline,
    memory: &Memory,
) -> u32 {
    let low = memory
        .host_map
        .iter()
        .filter(|e| e.kind.0 == 1)
        .map(|e| e.range.pages_inside())
        .find(|r| r.start < 0xa_0000 && r.len() >= 4096);
    trampoline.page = low.map_or(0x8000, |r| r.end.min(0xa_0000) - 4096);
    let mut processors = firmware.processors.clone();
    if options.smt == Some(false) {
        let thread_bits = host::thread_bits();
        processors.retain(|p| p.apic_id.trailing_zeros() >= thread_bits);
    }
    smp::start(&processors, boot, cpu_limit(options), &trampoline);
    crate::cpu::percpu::all_cpus().len() as u32
}

fn make_hypervisor(
    boot: &BootInfo,
    options: Options,
    memory: Memory,
    cpus: u32,
    build: Build,
) -> &'static Hypervisor {
    let host = host::info(&memory, cpus, boot.cmdline.to_string(), build);
    let ratelimit_us = options.sched_ratelimit_us;
    let hv = Hypervisor::new(
        &crate::direct_map::DIRECT_MAP,
        &machine::MACHINE,
        &crate::arch::ARCH,
        host,
        options,
        memory.table,
        memory.free,
    );
    let hv = machine::install(hv);
    if hv.scheduler.set_ratelimit_us(ratelimit_us).is_err() {
        console::print(format_args!(
            "sched_ratelimit_us={ratelimit_us} is out of range: {} is used",
            hv.scheduler.ratelimit_us()
        ));
    }
    hv
}
