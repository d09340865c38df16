//! The processor's own privileged state: registers, ports, memory where nothing or a device is.
//!
//! What would take the processor away from the guest is left out: start-up and INIT commands of the APIC, stopping with interrupts off.

use super::values;
use crate::random::Random;
use crate::{cpu, window};

const APIC: u64 = 0xfee0_0000;
const APIC_COMMAND: u32 = 0x830;
const HYPERCALL_PAGE: u32 = 0x4000_0000;
const DEBUG_PORT: u16 = 0xe9;
const WINDOW_PAGES: u16 = 8;
/// All but PG and PE, which QEMU lets go even in 64-bit mode, and NW, which it takes without CD and then refuses at VMRUN.
pub const CR0_BITS: u64 = 0x5fff_fffe;
/// The tables must stay where they are.
pub const CR3_BITS: u64 = 0xfff;
/// Reserved bits make QEMU leave the guest as after a bad VMRUN; PAE goes as PG does.
pub const CR4_BITS: [u64; 12] = [
    1 << 0,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 4,
    1 << 7,
    1 << 8,
    1 << 9,
    1 << 10,
    1 << 16,
    1 << 18,
    1 << 20,
];

/// Disarms the APIC's timer. On an emulator a period of a tenth of a millisecond is shorter than an exit, and the vCPU would do nothing but
/// be interrupted.
pub fn quiet_timer(me: u64) {
    const APIC_BASE: u32 = 0x1b;
    const IS_X2APIC: u64 = 1 << 10;
    const DEADLINE: u32 = 0x6e0;
    const INITIAL_COUNT: u32 = 0x838;
    if cpu::read_msr(APIC_BASE).is_ok_and(|base| base & IS_X2APIC != 0) {
        let _ = cpu::write_msr(INITIAL_COUNT, 0);
    } else {
        let at = window::show(me as u16 * WINDOW_PAGES, APIC) + 0x380;
        let _ = cpu::touch(6, at, 0);
    }
    let _ = cpu::write_msr(DEADLINE, 0);
}

/// Does one of these things; true if it was accepted.
pub fn make_one(random: &mut Random, me: u64) -> bool {
    match random.below(16) {
        0..=2 => read_msr(random),
        3..=5 => write_msr(random),
        6 => control_register(random),
        7 => debug_register(random),
        8 => extended_control(random),
        9..=11 => port(random),
        12..=13 => far_memory(random, me),
        14 => cpu::forbidden(random.below(cpu::FORBIDDEN), values::any(random)).is_ok(),
        _ => {
            let leaf = random.pick(&[0, 0x4000_0000, 0x8000_0000]) + random.below(0x40);
            let _ = cpu::cpuid(leaf as u32, random.below(70) as u32);
            true
        }
    }
}

fn some_msr(random: &mut Random) -> u32 {
    let base = random.pick(&[
        0,
        0,
        0x200,
        0x800,
        0xd90,
        0x1000_0000,
        HYPERCALL_PAGE,
        0xc000_0080,
        0xc000_0100,
        0xc001_0000,
        0xc001_1000,
    ]);
    match random.below(8) {
        0 => random.next() as u32,
        1 => base + random.below(0x2000) as u32,
        _ => base + random.below(0x130) as u32,
    }
}

fn read_msr(random: &mut Random) -> bool {
    cpu::read_msr(some_msr(random)).is_ok()
}

fn write_msr(random: &mut Random) -> bool {
    let msr = some_msr(random);
    let value = match random.below(3) {
        0 => values::any(random),
        1 => cpu::read_msr(msr).unwrap_or(0),
        _ => cpu::read_msr(msr).unwrap_or(0) ^ 1 << random.below(64),
    };
    cpu::write_msr(msr, tame(msr, value)).is_ok()
}

/// The value without what would take a vCPU away or have the kernel written over.
#[must_use]
pub fn tame(msr: u32, value: u64) -> u64 {
    match msr {
        // INIT and start-up have bit 10 and bit 8 or 9.
        APIC_COMMAND => value & !(1 << 10),
        _ if msr & 0xffff_f000 == HYPERCALL_PAGE => {
            (values::victims() + value % values::VICTIM_FRAMES) << 12
        }
        _ => value,
    }
}

fn control_register(random: &mut Random) -> bool {
    let number = random.pick(&[0, 0, 2, 3, 4, 4, 8]);
    let old = cpu::read_cr(number);
    let value = match number {
        3 => old ^ random.pick(&[8, 0x10, 0xfff]),
        0 => old ^ (random.next() & CR0_BITS),
        4 => old ^ random.pick(&CR4_BITS) ^ random.pick(&CR4_BITS),
        _ => old ^ 1 << random.below(64),
    };
    let accepted = cpu::write_cr(number, value).is_ok();
    let _ = cpu::write_cr(number, old);
    accepted
}

fn debug_register(random: &mut Random) -> bool {
    let number = random.pick(&[0, 1, 2, 3, 6, 7]);
    let accepted = cpu::write_dr(number, random.next() >> random.below(64)).is_ok();
    let _ = cpu::write_dr(7, 0x400);
    accepted
}

fn extended_control(random: &mut Random) -> bool {
    const OSXSAVE: u64 = 1 << 18;
    let old = cpu::read_cr(4);
    if cpu::write_cr(4, old | OSXSAVE).is_err() {
        return false;
    }
    let number = random.pick(&[0, 0, 0, 1, 2, 0xffff_ffff]);
    let accepted = cpu::write_xcr(number, random.next() >> random.below(64)).is_ok();
    let _ = cpu::write_xcr(0, 1);
    let _ = cpu::write_cr(4, old);
    accepted
}

fn port(random: &mut Random) -> bool {
    let port = if random.once_in(2) {
        random.next() as u16
    } else {
        random.pick(&[
            0x20, 0x40, 0x60, 0x70, 0x80, 0xcf8, 0xcfc, 0x3f8, 0x510, 0xb000, 0xfffc,
        ]) + random.below(4) as u16
    };
    let size = random.pick(&[1, 2, 4]);
    // The string forms go through the emulator; their memory is sometimes not there.
    let memory = values::pointer(random);
    let count = random.pick(&[0, 1, 2, 700]);
    match random.below(8) {
        _ if port.abs_diff(DEBUG_PORT) < 4 => cpu::port_in(port, size).is_ok(),
        0 => cpu::port_in_string(port, size, memory, count).is_ok(),
        1 => cpu::port_out_string(port, size, memory, count).is_ok(),
        2..=4 => cpu::port_in(port, size).is_ok(),
        _ => cpu::port_out(port, size, values::any(random) as u32).is_ok(),
    }
}

/// Memory that is not there, devices, the APIC, and frames that were given away.
fn far_memory(random: &mut Random, me: u64) -> bool {
    let offset = random.pick(&[0, 8, 0xffc, 0xfff]) | (random.below(64) << 4);
    let page = match random.below(8) {
        0 => APIC,
        1 => 0xfec0_0000,
        2 => 0xfed0_0000,
        3 => 0xe000_0000 + random.below(1 << 16) * 4096,
        4 => 0xa_0000 + random.below(96) * 4096,
        5 => random.next() & 0xf_ffff_ffff_f000,
        6 => (random.next() & 0xff_ffff_f000) | 1 << 36,
        _ => (values::victims() + random.below(values::VICTIM_FRAMES)) << 12,
    };
    let way = random.below(cpu::TOUCHES);
    let is_command = page == APIC && (0x2c0..0x320).contains(&(offset & 0xff0));
    if is_command {
        // Only reads: a command could take a vCPU away.
        let at = window::show(me as u16 * WINDOW_PAGES, page + offset);
        return cpu::touch(2, at, 0).is_ok();
    }
    let first = me as u16 * WINDOW_PAGES;
    let at = window::show(first, page) + offset;
    let _ = window::show(first + 1, page + 4096);
    cpu::touch(way, at, values::any(random)).is_ok()
}
