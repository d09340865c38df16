//! A guest that tries everything on its hypervisor. Words of the command line:
//!
//! - `phase=mixed`: hypercalls with random and with nearly valid arguments, and the processor's privileged state, at random, until `calls=N`
//!   hypercalls are made. A second vCPU changes the arguments under the first and makes calls of its own.
//! - `phase=sweep`: every port, MSR and register bit in turn, memory that is not there in every way; the second vCPU as above.
//! - `phase=lethal way=N`: one way to ruin itself, see `hostile::lethal`.
//! - `seed=N`: the same words do the same again, but for the race. `alone`: no second vCPU. `processor`: no hypercalls.
//!
//! It says how many hypercalls it has made now and then, and powers off at the end.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guests::hostile::{
    SECOND_APIC_ID, calls, calls_accepted, calls_made, lethal, processor, sweep_memory,
    sweep_ports, sweep_registers, values,
};
use guests::random::Random;
use guests::{Start, boot, hypercall, memory, println, second_vcpu, vectors};

guests::entry!(main);

const REPORT_EVERY: u64 = 25_000;
const PORTS_AT_ONCE: u16 = 4096;

static SECOND_SEED: AtomicU64 = AtomicU64::new(0);
static ONLY_PROCESSOR: AtomicBool = AtomicBool::new(false);
static MAY_GO_ON: AtomicBool = AtomicBool::new(true);
/// The call number at which the next report is due.
static NEXT_REPORT: AtomicU64 = AtomicU64::new(REPORT_EVERY);

fn main(start: Start) -> ! {
    let seed = start.number("seed").unwrap_or(1);
    let Some(ram) = memory::find_ram(values::VICTIM_FRAMES * 4096) else {
        boot::fatal(format_args!("no memory to spare"));
    };
    values::set_victims(ram >> 12);
    println!("HOSTILE {} victims={ram:#x}", start.command_line());
    let random = &mut Random::new(seed);
    if start.has_word("phase=lethal") {
        lethal::run(start.number("way").unwrap_or(u64::MAX), random);
    } else {
        with_second(start, seed, random);
    }
    MAY_GO_ON.store(false, Ordering::SeqCst);
    report("DONE");
    hypercall::shutdown(xen_abi::sched::SHUTDOWN_POWEROFF)
}

fn with_second(start: Start, seed: u64, random: &mut Random) {
    SECOND_SEED.store(seed ^ 0xffff, Ordering::SeqCst);
    ONLY_PROCESSOR.store(start.has_word("processor"), Ordering::Relaxed);
    if !start.has_word("alone") && !second_vcpu::start(SECOND_APIC_ID, second) {
        boot::fatal(format_args!("the second vCPU does not start"));
    }
    if start.has_word("phase=sweep") {
        sweep(random);
    } else {
        attack(random, start.number("calls").unwrap_or(1_000_000));
    }
}

fn report(what: &str) {
    println!(
        "HOSTILE-{what} calls={} accepted={} nmis={}",
        calls_made(),
        calls_accepted(),
        vectors::surprises()
    );
}

fn report_when_due() {
    if calls_made() >= NEXT_REPORT.load(Ordering::Relaxed) {
        NEXT_REPORT.fetch_add(REPORT_EVERY, Ordering::Relaxed);
        report("PROGRESS");
    }
}

fn attack(random: &mut Random, wanted: u64) {
    while calls_made() < wanted
        && !(ONLY_PROCESSOR.load(Ordering::Relaxed) && random.once_in(wanted))
    {
        let _ = one(random, 0);
        report_when_due();
    }
}

/// Memory first, as the registers may leave the APIC in another mode.
fn sweep(random: &mut Random) {
    println!("HOSTILE-SWEEP memory {}", sweep_memory::all(random));
    processor::quiet_timer(0);
    println!("HOSTILE-SWEEP bits {}", sweep_registers::bits());
    println!("HOSTILE-SWEEP cpuid {}", sweep_registers::cpuid());
    println!("HOSTILE-SWEEP msrs {}", sweep_registers::msrs(random));
    processor::quiet_timer(0);
    for first in (0..=u16::MAX).step_by(PORTS_AT_ONCE.into()) {
        let accesses = sweep_ports::all(random, first..=first + (PORTS_AT_ONCE - 1));
        if first.is_multiple_of(PORTS_AT_ONCE * 4) {
            println!("HOSTILE-SWEEP ports from {first:#x} {accesses}");
        }
    }
    println!("HOSTILE-SWEEP complete");
}

/// One thing out of everything; hypercalls mostly.
fn one(random: &mut Random, me: u64) -> bool {
    if random.once_in(32) {
        processor::quiet_timer(me);
    }
    if ONLY_PROCESSOR.load(Ordering::Relaxed) || random.once_in(4) {
        processor::make_one(random, me)
    } else {
        calls::make_one(random, me)
    }
}

fn second() -> ! {
    let mut random = Random::new(SECOND_SEED.load(Ordering::SeqCst));
    loop {
        for _ in 0..16 {
            values::spoil(&mut random);
        }
        if MAY_GO_ON.load(Ordering::Relaxed) && random.once_in(2) {
            let _ = one(&mut random, 1);
        }
    }
}
