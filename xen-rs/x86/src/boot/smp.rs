//! Starting the other CPUs (Intel SDM volume 3, "MP Initialization Protocol Algorithm for MP Systems").

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

use xen_core::hal::MachineMemory;
use xen_core::ids::{CpuId, Maddr};
use xen_core::{info, warning};

use super::acpi_tables::Processor;
use crate::cpu::percpu::{self, PerCpu};
use crate::cpu::tables;
use crate::direct_map::DIRECT_MAP;
use crate::interrupts::local_apic;
use crate::time;

const INIT_WAIT_NS: u64 = 10_000_000;
const STARTUP_WAIT_NS: u64 = 200_000;
const PATIENCE_NS: u64 = 2_000_000_000;

static ONLINE: AtomicU32 = AtomicU32::new(1);
static RELEASED: AtomicBool = AtomicBool::new(false);

/// What the image gives: real-mode code and the word that hands a stack to it.
pub struct Trampoline {
    /// Position-independent code.
    pub code: &'static [u8],
    /// Stack pointer for the next CPU; it takes it by swapping in 0.
    pub stack: &'static AtomicU64,
    /// A free page below 1 MiB.
    pub page: u64,
}

fn delay(ns: u64) {
    let until = time::now_ns() + ns;
    while time::now_ns() < until {
        core::hint::spin_loop();
    }
}

/// The record of the boot CPU.
#[must_use]
pub fn boot_record(processors: &[Processor]) -> &'static PerCpu {
    let apic_id = local_apic::id();
    let described = processors.iter().find(|p| p.apic_id == apic_id);
    let acpi_id = described.map_or(0, |p| p.acpi_id);
    Box::leak(Box::new(PerCpu::new(CpuId(0), apic_id, acpi_id)))
}

/// Starts every enabled CPU but this one, up to `limit` CPUs in all, and publishes all records.
pub fn start(processors: &[Processor], boot: &'static PerCpu, limit: u32, trampoline: &Trampoline) {
    DIRECT_MAP.write(Maddr(trampoline.page), trampoline.code);
    let mut records: Vec<&'static PerCpu> = Vec::from([boot]);
    for processor in processors.iter().filter(|p| p.apic_id != boot.apic_id) {
        if records.len() as u32 >= limit {
            break;
        }
        if !local_apic::can_address(processor.apic_id) {
            warning!("CPU with APIC {:#x} cannot be addressed", processor.apic_id);
            continue;
        }
        let record: &'static PerCpu = Box::leak(Box::new(PerCpu::new(
            CpuId(records.len() as u32),
            processor.apic_id,
            processor.acpi_id,
        )));
        if start_one(record, trampoline) {
            records.push(record);
        } else {
            warning!("CPU with APIC {:#x} does not start", processor.apic_id);
        }
    }
    info!("Brought up {} CPUs", records.len());
    percpu::publish(records.into_boxed_slice());
}

fn start_one(record: &'static PerCpu, trampoline: &Trampoline) -> bool {
    let before = ONLINE.load(SeqCst);
    trampoline.stack.store(tables::new_stack(record), SeqCst);
    let page = (trampoline.page >> 12) as u8;
    local_apic::send_init(record.apic_id);
    delay(INIT_WAIT_NS);
    for _ in 0..2 {
        local_apic::send_startup(record.apic_id, page);
        delay(STARTUP_WAIT_NS);
        if ONLINE.load(SeqCst) != before {
            return true;
        }
    }
    let until = time::now_ns() + PATIENCE_NS;
    while ONLINE.load(SeqCst) == before && time::now_ns() < until {
        core::hint::spin_loop();
    }
    if trampoline.stack.swap(0, SeqCst) != 0 {
        // Should it come now after all, it must not take the next one's stack: INIT makes it wait for a start-up again.
        local_apic::send_init(record.apic_id);
        return false;
    }
    // It has its stack, so it is on its way.
    while ONLINE.load(SeqCst) == before {
        core::hint::spin_loop();
    }
    true
}

/// Called by each started CPU once its tables are loaded; returns when the boot CPU releases them all.
pub fn report_and_wait() {
    ONLINE.fetch_add(1, SeqCst);
    while !RELEASED.load(SeqCst) {
        core::hint::spin_loop();
    }
}

/// Lets the started CPUs go to work.
pub fn release() {
    RELEASED.store(true, SeqCst);
}
