//! Random instructions, most of them with a device's or nobody's memory as operand: what the hypervisor has to emulate.
//!
//! Each is followed by undefined ones and runs with an exception stack of its own, so that whatever it does to the registers, the guest gets
//! back. What it does to the guest's memory and tables is the guest's bad luck.

use super::values;
use crate::random::Random;
use crate::{memory, println, task_state, vectors, window};

/// The frames of victims that hold code, and the stack it uses.
const CODE: u64 = 2000;
const STACK: u64 = 2004;
const LENGTH: u64 = 64;
/// UD2, twice.
const UNDEFINED: u32 = 0x0b0f_0b0f;

const PREFIXES: [u8; 12] = [
    0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66,
];
const DEVICES: [u64; 6] = [
    0xfee0_0000,
    0xfee0_0000,
    0xfec0_0000,
    0xe000_0000,
    0x1_0000_0000,
    0xf_ffff_f000,
];

/// Executes `count` of them.
pub fn run(random: &mut Random, count: u64) {
    let _ = task_state::load();
    let mut vectors_seen = [0u64; 32];
    for done in 0..count {
        if done.is_multiple_of(count / 4 + 1) {
            println!("HOSTILE-FRAGMENTS {done} vectors={vectors_seen:?}");
        }
        let vector = one(random);
        vectors_seen[usize::from(vector & 31)] += 1;
    }
    println!("HOSTILE-FRAGMENTS {count} vectors={vectors_seen:?}");
}

fn one(random: &mut Random) -> u8 {
    let code = (values::victims() + CODE) << 12;
    let stack = ((values::victims() + STACK) << 12) + 2048;
    write(random, code);
    let page = random.pick(&DEVICES);
    let at = window::show(0, page);
    let _ = window::show(1, random.pick(&[page + 4096, code + 8192]));
    window::hide(2);
    let at = at + random.pick(&[0, 0x20, 0x300, 0xffc, 0xfff, 0x80, 0xf0]);
    let counter = if random.once_in(8) {
        at
    } else {
        random.below(64)
    };
    let stack = if random.once_in(16) { at } else { stack };
    vectors::survive(code, at, counter, stack)
}

/// One instruction at `code`.
fn write(random: &mut Random, code: u64) {
    for offset in (0..LENGTH).step_by(4) {
        memory::put(code + offset, UNDEFINED);
    }
    let mut at = code;
    let mut put = |byte: u8| {
        memory::put(at, byte);
        at += 1;
    };
    for _ in 0..random.below(3) {
        put(random.pick(&PREFIXES));
    }
    if random.once_in(2) {
        put(0x40 + random.below(16) as u8);
    }
    match random.below(8) {
        0..=3 => put(one_byte(random)),
        4..=6 => {
            put(0x0f);
            put(two_bytes(random));
        }
        _ => {
            put(0x0f);
            put(random.pick(&[0x38, 0x3a]));
            put(random.next() as u8);
        }
    }
    // Memory by a register, or anything.
    let form = random.next() as u8;
    put(if random.once_in(4) { form } else { form & 0x3f });
    if random.once_in(2) {
        // A scaled index, a displacement or an immediate, mostly small.
        let number = if random.once_in(8) {
            random.next() as u32
        } else {
            random.below(64) as u32
        };
        number.to_le_bytes().into_iter().for_each(put);
    }
}

/// Not those that stop the processor, let interrupts in or go far away.
fn one_byte(random: &mut Random) -> u8 {
    let byte = random.next() as u8;
    match byte {
        0xf4 | 0xfb | 0xcf | 0x9d | 0xe8 | 0xe9 | 0x0f => 0x8b,
        _ => byte,
    }
}

/// Not those that load the processor's tables.
fn two_bytes(random: &mut Random) -> u8 {
    let byte = random.next() as u8;
    match byte {
        0x00 | 0x01 | 0x07 | 0x22 | 0x30 | 0x35 | 0x80..=0x8f => 0xb6,
        _ => byte,
    }
}
