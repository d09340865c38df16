//! Values to offer a hypervisor: numbers at the edges of everything, frames, ports, pointers to arguments.
//!
//! None of them names the kernel's own memory, neither as an address nor as a frame, in any width: the guest has to survive what it asks
//! for. So nothing between 8 and 32 MiB is offered, nor the frames there.

use core::sync::atomic::{AtomicU64, Ordering};

use xen_abi::xen::{DOMID_COW, DOMID_IDLE, DOMID_INVALID, DOMID_IO, DOMID_SELF, DOMID_XEN};

use crate::memory::{self, Pages};
use crate::random::Random;

/// Pages with arguments, which both vCPUs write.
pub const ARGUMENT_PAGES: usize = 4;
/// Pages behind them, for results longer than the arguments, and for pointers whose lower half has become another number.
const SPARE_PAGES: usize = 28;
/// Arguments that the second vCPU changes under the first.
pub static SHARED: Pages<{ ARGUMENT_PAGES + SPARE_PAGES }> = Pages::new();
/// Arguments that stay as they are, of calls that must not become others.
pub static PRIVATE: Pages<16> = Pages::new();

/// First frame that may be given away, granted and mapped over.
static VICTIMS: AtomicU64 = AtomicU64::new(0);
/// Number of such frames.
pub const VICTIM_FRAMES: u64 = 2048;

const DOMIDS: [u64; 12] = [
    DOMID_SELF as u64,
    DOMID_SELF as u64,
    0,
    1,
    2,
    3,
    DOMID_IO as u64,
    DOMID_XEN as u64,
    DOMID_COW as u64,
    DOMID_INVALID as u64,
    DOMID_IDLE as u64,
    0xffff,
];

/// Kinds of values, by the type of the field they are for.
#[derive(Copy, Clone)]
pub enum Kind {
    /// A domain.
    Domid,
    /// A guest frame.
    Gfn,
    /// A guest-physical address.
    Address,
    /// A pointer to more arguments.
    Pointer,
    /// A number of elements.
    Count,
    /// A power of two of pages.
    Order,
    /// An event channel, a grant reference, a handle, an interrupt.
    Index,
    /// Flags.
    Flags,
    /// System time.
    Time,
    /// Always this.
    Is(u64),
}

/// Tells where the frames to maltreat are.
pub fn set_victims(first: u64) {
    VICTIMS.store(first, Ordering::Relaxed);
}

/// The first of them.
pub fn victims() -> u64 {
    VICTIMS.load(Ordering::Relaxed)
}

const fn hits_kernel(value: u64) -> bool {
    const fn in_image(low: u64) -> bool {
        low >= 8 << 20 && low < 32 << 20
    }
    const fn in_frames(low: u64) -> bool {
        low >= 0x800 && low < 0x2000
    }
    in_image(value & 0xffff_ffff)
        || in_image(value >> 32)
        || in_frames(value & 0xffff_ffff)
        || in_frames(value & 0xffff)
        || in_frames(value >> 32)
}

/// A value for two bytes, which may become the upper half of a pointer's lower word.
pub const fn short(value: u64) -> u16 {
    let value = value as u16;
    if value >= 0x80 && value < 0x200 {
        0
    } else {
        value
    }
}

/// A value of no particular kind.
pub fn any(random: &mut Random) -> u64 {
    let value = match random.below(8) {
        0 => random.next(),
        1 => random.next() >> 32,
        2 => random.below(64),
        3 => 1 << random.below(64),
        4 => (1u64 << random.below(64)).wrapping_sub(1),
        5 => (random.below(64)).wrapping_neg(),
        6 => random.pick(&DOMIDS),
        _ => victims() + random.below(VICTIM_FRAMES),
    };
    if hits_kernel(value) { 0 } else { value }
}

/// An address in the argument pages, sometimes so near the end of a page that an argument crosses it, sometimes misaligned by four:
/// by less, harmless words would make frames of the kernel's own.
pub fn pointer(random: &mut Random) -> u64 {
    let page = SHARED.address() + random.below(ARGUMENT_PAGES as u64) * 4096;
    match random.below(8) {
        0 => page + 4096 - random.below(16) * 4,
        1 => page + random.below(1024) * 4,
        2 => any(random),
        _ => page + random.below(64) * 64,
    }
}

/// A value of this kind that may well be right.
pub fn likely(random: &mut Random, kind: Kind) -> u64 {
    match kind {
        Kind::Domid => random.pick(&DOMIDS),
        Kind::Gfn => victims() + random.below(VICTIM_FRAMES),
        Kind::Address => {
            (victims() + random.below(VICTIM_FRAMES)) * 4096 + random.pick(&[0, 0, 0, 64, 4092])
        }
        Kind::Pointer => pointer(random),
        Kind::Count => random.pick(&[0, 1, 1, 2, 3, 8, 64, 512, 513]),
        Kind::Order => random.pick(&[0, 0, 0, 1, 3, 9]),
        Kind::Index => random.below(48),
        Kind::Flags => random.below(64),
        Kind::Time => random.pick(&[1, 1000, 1 << 30, 1 << 40]),
        Kind::Is(value) => value,
    }
}

/// What the second vCPU does all the time: another word at a random place of the shared arguments.
pub fn spoil(random: &mut Random) {
    let at = SHARED.address() + random.below(ARGUMENT_PAGES as u64 * 512) * 8;
    match random.below(4) {
        0 => memory::put(at + random.pick(&[0, 4]), any(random) as u32),
        1 => memory::put(at, likely(random, Kind::Domid) as u16),
        2 => memory::set(at, pointer(random)),
        _ => memory::set(at, any(random)),
    }
}
