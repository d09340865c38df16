//! A guest that tries everything on its hypervisor: hypercalls with random and with nearly valid arguments, and its processor's privileged
//! state, while a second vCPU changes the arguments under the first and makes calls of its own.
//!
//! Words of the command line: `seed=N`, `calls=N`, `alone` for no second vCPU, `processor` for no hypercalls. The same words do the same again, but for the race.
//! It prints `HOSTILE-DONE calls=N` and powers off, unless there is the word `stay`: then it waits to be destroyed.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guests::hostile::{calls, processor, values};
use guests::random::Random;
use guests::{Start, boot, cpu, hypercall, memory, println, second_vcpu, vectors};

guests::entry!(main);

const SECOND_APIC_ID: u8 = 2;
const REPORTS: u64 = 20;

static SECOND_CALLS: AtomicU64 = AtomicU64::new(0);
static SECOND_SEED: AtomicU64 = AtomicU64::new(0);
static ONLY_PROCESSOR: AtomicBool = AtomicBool::new(false);
static MAY_GO_ON: AtomicBool = AtomicBool::new(true);

fn main(start: Start) -> ! {
    let seed = start.number("seed").unwrap_or(1);
    let wanted = start.number("calls").unwrap_or(1_000_000);
    let Some(ram) = memory::find_ram(values::VICTIM_FRAMES * 4096) else {
        boot::fatal(format_args!("no memory to spare"));
    };
    values::set_victims(ram >> 12);
    println!("HOSTILE seed={seed} calls={wanted} victims={ram:#x}");
    SECOND_SEED.store(seed ^ 0xffff, Ordering::SeqCst);
    ONLY_PROCESSOR.store(start.has_word("processor"), Ordering::Relaxed);
    if !start.has_word("alone") {
        println!(
            "HOSTILE second={}",
            second_vcpu::start(SECOND_APIC_ID, second)
        );
    }
    let accepted = attack(&mut Random::new(seed), wanted);
    MAY_GO_ON.store(false, Ordering::SeqCst);
    let sum = wanted + SECOND_CALLS.load(Ordering::SeqCst);
    println!(
        "HOSTILE-DONE calls={sum} first={wanted} accepted={accepted} nmis={}",
        vectors::surprises()
    );
    if start.has_word("stay") {
        loop {
            cpu::spin();
        }
    }
    hypercall::shutdown(xen_abi::sched::SHUTDOWN_POWEROFF)
}

fn attack(random: &mut Random, wanted: u64) -> u64 {
    let mut accepted = 0;
    for done in 0..wanted {
        if done.is_multiple_of((wanted / REPORTS).max(1)) {
            let second = SECOND_CALLS.load(Ordering::Relaxed);
            println!("HOSTILE-PROGRESS {done} accepted={accepted} second={second}");
        }
        accepted += u64::from(one(random, 0));
    }
    accepted
}

/// One thing out of everything; hypercalls mostly.
fn one(random: &mut Random, me: u64) -> bool {
    if ONLY_PROCESSOR.load(Ordering::Relaxed) || random.once_in(4) {
        processor::make_one(random, me)
    } else {
        calls::make_one(random, me)
    }
}

fn second() -> ! {
    let mut random = Random::new(SECOND_SEED.load(Ordering::SeqCst));
    loop {
        for _ in 0..64 {
            values::spoil(&mut random);
        }
        if MAY_GO_ON.load(Ordering::Relaxed) && random.once_in(8) {
            let _ = one(&mut random, 1);
            SECOND_CALLS.fetch_add(1, Ordering::Relaxed);
        }
    }
}
