//! Does what its words say, for the toolstack's commands to have something to act on. Words, done in this order:
//!
//! `console` says that it is there on the console that the toolstack gave it; `facts` prints what a guest can see of its configuration; `machine` what it has been given, and if it is dom0, has the hypervisor
//! show all vCPUs; `time` checks the clocks against each other; `wait=MS` spins so long; then one of `poweroff`, `reboot`, `crash`,
//! `fault`, `spin`, `spin-all` (the second vCPU too), `idle` (the default).
#![no_std]
#![no_main]

use xen_abi::hvm::hvm_op::{HVMOP_GET_TIME, HvmGetTime};
use xen_abi::memory::{
    AddToPhysmap, XENMAPSPACE_SHARED_INFO, XENMEM_ADD_TO_PHYSMAP, XENMEM_CURRENT_RESERVATION,
    XENMEM_MAXIMUM_RESERVATION,
};
use xen_abi::sched::{SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};
use xen_abi::sysctl::{
    Sysctl, SysctlDebugKeys, XEN_SYSCTL_DEBUG_KEYS, XEN_SYSCTL_INTERFACE_VERSION,
};
use xen_abi::vcpu::VCPUOP_IS_UP;
use xen_abi::xen::{
    DOMID_SELF, HYPERVISOR_HVM_OP, HYPERVISOR_MEMORY_OP, HYPERVISOR_SYSCTL, HYPERVISOR_VCPU_OP,
    SharedInfo, VcpuTimeInfo,
};

use guests::ring::{CONSOLE_OUTPUT, SharedPage};
use guests::{Start, cpu, hypercall, memory, println, second_vcpu, vectors};

guests::entry!(main);

const NS_PER_MS: u64 = 1_000_000;
const SECOND_APIC_ID: u8 = 2;

fn main(start: Start) -> ! {
    println!("ACTOR words {:?}", start.command_line());
    if start.has_word("console") {
        greet();
    }
    let shared = map_shared_info();
    if start.has_word("facts") {
        facts(shared);
    }
    if start.has_word("machine") {
        machine(start.is_dom0());
    }
    if start.has_word("time") {
        compare_clocks(shared);
    }
    if let Some(ms) = start.number("wait") {
        wait(ms);
    }
    for (word, reason) in [
        ("poweroff", SHUTDOWN_POWEROFF),
        ("reboot", SHUTDOWN_REBOOT),
        ("crash", SHUTDOWN_CRASH),
    ] {
        if start.has_word(word) {
            hypercall::shutdown(reason);
        }
    }
    if start.has_word("fault") {
        vectors::triple_fault();
    }
    if start.has_word("spin-all") {
        let has_started = second_vcpu::start(SECOND_APIC_ID, spin);
        println!("ACTOR second vCPU started: {has_started}");
        spin();
    }
    if start.has_word("spin") {
        spin();
    }
    cpu::enable_interrupts();
    loop {
        cpu::halt();
    }
}

/// A line on the ring of the console, whose daemon may come later.
fn greet() {
    let Some(console) = SharedPage::of_console() else {
        println!("ACTOR no console");
        return;
    };
    console.put(CONSOLE_OUTPUT, *b"ACTOR is here\r\n");
    console.kick();
}

fn spin() -> ! {
    loop {
        cpu::spin();
    }
}

/// Nanoseconds of the guest's life.
fn guest_time() -> u64 {
    let mut time = HvmGetTime::default();
    let _ = hypercall::with(HYPERVISOR_HVM_OP, HVMOP_GET_TIME, &mut time);
    time.now
}

fn wait(ms: u64) {
    let until = guest_time() + ms * NS_PER_MS;
    while guest_time() < until {
        cpu::spin();
    }
}

fn map_shared_info() -> u64 {
    const LARGE: u64 = 2 << 20;
    let Some(at) = memory::find_ram(LARGE) else {
        guests::boot::fatal(format_args!("no memory to spare"));
    };
    let mut request = AddToPhysmap {
        domid: DOMID_SELF,
        space: XENMAPSPACE_SHARED_INFO,
        gpfn: at >> 12,
        ..AddToPhysmap::default()
    };
    let result = hypercall::with(HYPERVISOR_MEMORY_OP, XENMEM_ADD_TO_PHYSMAP, &mut request);
    if result != 0 {
        guests::boot::fatal(format_args!("mapping the shared page: {result}"));
    }
    at
}

fn xen_leaves() -> u32 {
    (0..256)
        .map(|block| 0x4000_0000 + block * 256)
        .find(|&leaf| cpu::cpuid(leaf, 0)[1] == u32::from_le_bytes(*b"XenV"))
        .unwrap_or(0x4000_0000)
}

fn facts(shared: u64) {
    let [flags, mode, khz, incarnation] = cpu::cpuid(xen_leaves() + 3, 0);
    println!(
        "ACTOR tsc mode {mode} emulated {} incarnation {incarnation}",
        flags & 1
    );
    println!("ACTOR tsc khz {khz}");
    for leaf in [1, 7, 0x8000_0001] {
        let [a, b, c, d] = cpu::cpuid(leaf, 0);
        println!("ACTOR cpuid {leaf:#x} eax {a:08x} ebx {b:08x} ecx {c:08x} edx {d:08x}");
    }
    let seconds = memory::get(shared + core::mem::offset_of!(SharedInfo, wc_version) as u64) >> 32;
    println!("ACTOR wallclock {seconds} guest time {}", guest_time());
}

fn machine(is_dom0: bool) {
    let is_up = |vcpu: &u64| {
        let args = [VCPUOP_IS_UP.into(), *vcpu, 0, 0, 0];
        hypercall::raw(HYPERVISOR_VCPU_OP.into(), args) >= 0
    };
    let vcpus = (0..128).take_while(is_up).count();
    let pages = |op: u32| {
        let mut domain = DOMID_SELF;
        hypercall::with(HYPERVISOR_MEMORY_OP, op, &mut domain)
    };
    println!(
        "ACTOR vcpus {vcpus} MiB {} of {}",
        pages(XENMEM_CURRENT_RESERVATION) >> 8,
        pages(XENMEM_MAXIMUM_RESERVATION) >> 8
    );
    if is_dom0 {
        println!("ACTOR shows the vCPUs: {}", press_key(b'q'));
    }
}

fn press_key(key: u8) -> i64 {
    let keys = SysctlDebugKeys {
        keys: &raw const key as u64,
        nr_keys: 1,
        ..SysctlDebugKeys::default()
    };
    let mut request = Sysctl {
        cmd: XEN_SYSCTL_DEBUG_KEYS,
        interface_version: XEN_SYSCTL_INTERFACE_VERSION,
        u: [0; 128],
    };
    request.u[..8].copy_from_slice(&keys.keys.to_le_bytes());
    request.u[8..12].copy_from_slice(&keys.nr_keys.to_le_bytes());
    let at = &raw mut request as u64;
    hypercall::raw(HYPERVISOR_SYSCTL.into(), [at, 0, 0, 0, 0])
}

/// Time by the guest's TSC and the parameters in `vcpu_info`, as Linux computes it.
fn paravirtual_time(shared: u64) -> u64 {
    const TIME_OFFSET: u64 = 32;
    let at = |offset: usize| memory::get(shared + TIME_OFFSET + offset as u64);
    let stamp = at(core::mem::offset_of!(VcpuTimeInfo, tsc_timestamp));
    let base = at(core::mem::offset_of!(VcpuTimeInfo, system_time));
    let scale = at(core::mem::offset_of!(VcpuTimeInfo, tsc_to_system_mul));
    let (mul, shift) = (scale as u32, (scale >> 32) as i8);
    let ticks = cpu::tsc().wrapping_sub(stamp);
    let shifted = if shift < 0 {
        ticks >> shift.unsigned_abs()
    } else {
        ticks << shift
    };
    base + ((u128::from(shifted) * u128::from(mul)) >> 32) as u64
}

/// The same interval by guest time, by the paravirtual clock and by the TSC's frequency: they agree but for what happens between two readings.
fn compare_clocks(shared: u64) {
    let [_, _, khz, _] = cpu::cpuid(xen_leaves() + 3, 0);
    let (time, clock, tsc) = (guest_time(), paravirtual_time(shared), cpu::tsc());
    wait(300);
    let (time, clock, tsc) = (
        guest_time() - time,
        paravirtual_time(shared).wrapping_sub(clock),
        cpu::tsc().wrapping_sub(tsc),
    );
    let by_tsc = (u128::from(tsc) * 1_000_000 / u128::from(khz.max(1))) as u64;
    println!("ACTOR 300 ms by guest time {time} clock {clock} tsc {by_tsc}");
    let is_near = |other: u64| other.abs_diff(time) < time / 10;
    println!("ACTOR clocks agree: {}", is_near(clock) && is_near(by_tsc));
    // A guest that sets its TSC must not lose its clock.
    const TSC: u32 = 0x10;
    let before = paravirtual_time(shared);
    let written = cpu::write_msr(TSC, 1 << 40);
    let jumped = cpu::tsc() >> 40;
    wait(1500);
    let passed = paravirtual_time(shared).wrapping_sub(before);
    println!(
        "ACTOR tsc written {written:?} to {jumped} clock went on {}",
        passed / NS_PER_MS
    );
}
