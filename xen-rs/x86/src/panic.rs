//! The end: what is printed when the hypervisor finds itself broken, and what happens then.
//!
//! One CPU reports; it stops the others first, so that no guest goes on beside a broken hypervisor. Nothing here waits for a lock for ever.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use xen_core::console::{begin_dying, print_while_dying};

use crate::cpu::instructions::{cr0, cr2, cr3, cr4, halt_forever, rbp, rsp};
use crate::cpu::percpu::{STACK_SIZE, all_cpus, this_cpu};
use crate::cpu::tables::TrapFrame;
use crate::interrupts::local_apic;
use crate::power;

const MAX_FRAMES: usize = 32;
const NAMES: [&str; 32] = [
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO", "#TS", "#NP", "#SS",
    "#GP", "#PF", "SPV", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP", "22", "23", "24", "25", "26",
    "27", "#HV", "#VC", "#SX", "31",
];

/// Number of the CPU that reports, plus one; 0 as long as all is well.
static REPORTER: AtomicU32 = AtomicU32::new(0);
/// CPUs that take an NMI stop.
static STOPPING: AtomicBool = AtomicBool::new(false);

macro_rules! say { ($($arg:tt)*) => { print_while_dying(format_args!($($arg)*)) }; }

/// An exception in the hypervisor itself.
pub fn exception(frame: &TrapFrame) -> ! {
    begin();
    registers(frame);
    call_trace(Some(frame.rip), frame.registers[8], frame.rsp);
    let name = NAMES.get(frame.vector as usize).unwrap_or(&"?");
    if frame.vector == 14 {
        say!("Faulting linear address: {:016x}", cr2());
    }
    finish(format_args!(
        "FATAL TRAP: vec {}, {name}[{:04x}]",
        frame.vector, frame.error_code
    ))
}

/// A failed assertion.
pub fn panicked(info: &dyn fmt::Display) -> ! {
    begin();
    call_trace(None, rbp(), rsp());
    finish(format_args!("{info}"))
}

/// A boot that cannot go on.
pub fn fatal(why: &str) -> ! {
    begin();
    finish(format_args!("Cannot boot: {why}"))
}

/// Stops all CPUs but this one, wherever they are. The console's output is all out afterwards.
pub fn stop_others() {
    begin_dying(|| {
        STOPPING.store(true, SeqCst);
        let this = number();
        all_cpus()
            .iter()
            .filter(|cpu| cpu.id.0 != this)
            .for_each(|cpu| local_apic::send_nmi(cpu.apic_id));
    });
}

/// Whether this CPU was told to stop.
#[must_use]
pub fn is_stopping() -> bool {
    STOPPING.load(SeqCst)
}

/// This CPU's number. Until all are listed there is only the first.
fn number() -> u32 {
    if all_cpus().is_empty() {
        0
    } else {
        this_cpu().id.0
    }
}

fn begin() {
    let this = number() + 1;
    match REPORTER.compare_exchange(0, this, SeqCst, SeqCst) {
        Ok(_) => stop_others(),
        // The report itself failed: what was said must do.
        Err(reporter) if reporter == this => finish(format_args!("failed again while reporting")),
        Err(_) => halt_forever(),
    }
    say!("----[ xen-rs {} x86_64 ]----", env!("CARGO_PKG_VERSION"));
    say!("CPU:    {}", number());
}

fn finish(why: fmt::Arguments<'_>) -> ! {
    say!("");
    say!("****************************************");
    say!("Panic on CPU {}:", number());
    say!("{why}");
    say!("****************************************");
    say!("");
    power::after_panic()
}

fn registers(frame: &TrapFrame) {
    say!(
        "RIP:    {:04x}:[<{:016x}>]  RFLAGS: {:016x}",
        frame.cs,
        frame.rip,
        frame.rflags
    );
    let r = &frame.registers;
    for [(a, x), (b, y), (c, z)] in [
        [("rax", r[14]), ("rbx", r[13]), ("rcx", r[12])],
        [("rdx", r[11]), ("rsi", r[10]), ("rdi", r[9])],
        [("rbp", r[8]), ("rsp", frame.rsp), ("r8 ", r[7])],
        [("r9 ", r[6]), ("r10", r[5]), ("r11", r[4])],
        [("r12", r[3]), ("r13", r[2]), ("r14", r[1])],
        [("r15", r[0]), ("cr0", cr0()), ("cr4", cr4())],
        [("cr3", cr3()), ("cr2", cr2()), ("ss ", frame.ss)],
    ] {
        say!("{a}: {x:016x}   {b}: {y:016x}   {c}: {z:016x}");
    }
}

/// Follows saved frame pointers as long as they stay on the stack of `stack_pointer`. The names belonging to the addresses are in the
/// image (`addr2line -e xen-rs -f`).
fn call_trace(at: Option<u64>, mut frame_pointer: u64, stack_pointer: u64) {
    let stack = |at: u64| at & !(STACK_SIZE - 1);
    say!("Xen call trace:");
    if let Some(rip) = at {
        say!("   [<{rip:016x}>] R");
    }
    for _ in 0..MAX_FRAMES {
        let is_on_stack = frame_pointer.is_multiple_of(8)
            && stack(frame_pointer) == stack(stack_pointer)
            && frame_pointer & (STACK_SIZE - 1) < STACK_SIZE - 16;
        if !is_on_stack {
            break;
        }
        let (next, caller) = crate::cpu::stack_frame(frame_pointer);
        if caller == 0 || next <= frame_pointer {
            break;
        }
        say!("   [<{caller:016x}>] F");
        frame_pointer = next;
    }
}
