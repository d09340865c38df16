//! Guest-physical addresses behind which there is no memory, by every instruction form, at every place of interest in a page.

use super::values;
use crate::random::Random;
use crate::{cpu, window};

const APIC: u64 = 0xfee0_0000;
/// Interrupt command and what is beside it: a command could take a vCPU away.
const COMMANDS: core::ops::Range<u64> = 0x2f0..0x320;
/// Holds the bit that enables the APIC.
const SPURIOUS: u64 = 0xf0;
/// The end of a page, where an access of this size or another goes on in the next one.
const OFFSETS: [u64; 8] = [0, 4, 0x7fe, 0xff8, 0xffc, 0xffd, 0xffe, 0xfff];
/// The APIC, the IO-APIC, the HPET, legacy video, a hole below 4 GiB, the top of what nested tables reach, beyond what the processor has.
const PAGES: [u64; 12] = [
    APIC,
    0xfec0_0000,
    0xfec0_1000,
    0xfed0_0000,
    0x000a_0000,
    0x000f_f000,
    0xe000_0000,
    0xffff_f000,
    1 << 32,
    (1 << 36) - 4096,
    1 << 39,
    (1 << 40) - 4096,
];

/// Every form at every place; returns how many.
pub fn all(random: &mut Random) -> u64 {
    let ram = values::victims() << 12;
    let mut count = 0;
    for page in PAGES {
        // What is behind the page: more of the same, memory, and nothing that is mapped at all. Then the other way round.
        for pair in [(page, page + 4096), (page, ram), (ram, page)] {
            let at = window::show(0, pair.0);
            let _ = window::show(1, pair.1);
            count += every_way(random, at);
        }
        let at = window::show(0, page);
        window::hide(1);
        count += every_way(random, at);
    }
    count + registers(random)
}

fn every_way(random: &mut Random, at: u64) -> u64 {
    for way in 0..cpu::TOUCHES {
        for offset in OFFSETS {
            let _ = cpu::touch(way, at + offset, values::any(random));
        }
    }
    cpu::TOUCHES * OFFSETS.len() as u64
}

/// The APIC's registers, one after the other.
fn registers(random: &mut Random) -> u64 {
    let at = window::show(0, APIC);
    let mut count = 0;
    for offset in (0..0x1000).step_by(4) {
        for way in 0..cpu::TOUCHES {
            if COMMANDS.contains(&offset) && !matches!(way, 0..=3) {
                continue;
            }
            let _ = cpu::touch(way, at + offset, values::any(random));
            count += 1;
        }
    }
    // Enabled as it was.
    let _ = cpu::touch(6, at + SPURIOUS, 0x1ff);
    count
}
