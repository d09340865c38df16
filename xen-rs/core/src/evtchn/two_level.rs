//! The two-level format: one pending and one mask bit per port in the shared info page, and per vCPU a selector word in `vcpu_info` with
//! one bit per word of pending bits. Layouts: `struct shared_info`, `struct vcpu_info` (public/xen.h).
//!
//! Both widths are accessed in 32-bit pieces: on a little-endian machine bit n of a 64-bit bit map is bit n of the same map in 32-bit words.

use super::raise::Raised;
use crate::hal::MachineMemory;
use crate::ids::{Maddr, Port};

/// Which layout the shared info page and `vcpu_info` have.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum GuestWidth {
    /// 32-bit words: 1024 ports.
    Bits32,
    /// 64-bit words: 4096 ports.
    Bits64,
}

impl GuestWidth {
    const fn word_bits(self) -> u32 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }

    /// Ports of the two-level format.
    #[must_use]
    pub const fn ports(self) -> u32 {
        self.word_bits() * self.word_bits()
    }

    /// Offset of `evtchn_pending_sel` in `vcpu_info`.
    const fn selector(self) -> u64 {
        match self {
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }

    /// Offset of `evtchn_mask` in the shared info page.
    const fn mask(self) -> u64 {
        PENDING + self.ports() as u64 / 8
    }
}

/// Offset of `evtchn_pending` in the shared info page, after 32 `vcpu_info`s of 64 bytes.
const PENDING: u64 = 2048;

/// Where the domain's bit maps are.
pub(super) struct TwoLevel {
    pub shared_info: Option<Maddr>,
    pub width: GuestWidth,
}

/// A bit in guest memory.
#[derive(Copy, Clone)]
struct Bit {
    at: Maddr,
    mask: u32,
}

impl Bit {
    fn new(map: Maddr, index: u32) -> Self {
        Self {
            at: Maddr(map.0 + u64::from(index / 32) * 4),
            mask: 1 << (index % 32),
        }
    }

    fn test(self, mem: &dyn MachineMemory) -> bool {
        mem.load_u32(self.at) & self.mask != 0
    }

    /// Sets it; returns whether it was set.
    fn set(self, mem: &dyn MachineMemory) -> bool {
        mem.fetch_or_u32(self.at, self.mask) & self.mask != 0
    }

    /// Clears it; returns whether it was set.
    fn clear(self, mem: &dyn MachineMemory) -> bool {
        mem.fetch_and_u32(self.at, !self.mask) & self.mask != 0
    }
}

impl TwoLevel {
    pub const fn new() -> Self {
        Self {
            shared_info: None,
            width: GuestWidth::Bits64,
        }
    }

    /// The order of the steps is the guest's contract: pending, then selector, then (by the caller) the upcall byte.
    pub fn set_pending(&self, mem: &dyn MachineMemory, port: Port, info: Option<Maddr>) -> Raised {
        let Some((pending, mask)) = self.bits(port) else {
            return Raised::NOTHING;
        };
        if pending.set(mem) {
            return Raised::NOTHING;
        }
        Raised {
            newly_pending: true,
            needs_upcall: !mask.test(mem) && self.select(mem, port, info),
        }
    }

    /// Returns whether the vCPU needs an upcall for what had become pending meanwhile.
    pub fn unmask(&self, mem: &dyn MachineMemory, port: Port, info: Option<Maddr>) -> bool {
        let Some((pending, mask)) = self.bits(port) else {
            return false;
        };
        mask.clear(mem) && pending.test(mem) && self.select(mem, port, info)
    }

    pub fn clear_pending(&self, mem: &dyn MachineMemory, port: Port) {
        if let Some((pending, _)) = self.bits(port) {
            pending.clear(mem);
        }
    }

    pub fn is_pending(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.bits(port)
            .is_some_and(|(pending, _)| pending.test(mem))
    }

    pub fn is_masked(&self, mem: &dyn MachineMemory, port: Port) -> bool {
        self.bits(port).is_none_or(|(_, mask)| mask.test(mem))
    }

    /// Whether the port's word is selected on the vCPU whose `vcpu_info` this is.
    pub fn is_selected(&self, mem: &dyn MachineMemory, port: Port, info: Option<Maddr>) -> bool {
        info.is_some_and(|info| self.selector_bit(port, info).test(mem))
    }

    /// Selects every word.
    pub fn select_all(&self, mem: &dyn MachineMemory, info: Maddr) {
        let selector = info.0 + self.width.selector();
        mem.store_u32(Maddr(selector), u32::MAX);
        if self.width == GuestWidth::Bits64 {
            mem.store_u32(Maddr(selector + 4), u32::MAX);
        }
    }

    /// Selects the port's word; returns whether it was not selected.
    fn select(&self, mem: &dyn MachineMemory, port: Port, info: Option<Maddr>) -> bool {
        info.is_some_and(|info| !self.selector_bit(port, info).set(mem))
    }

    fn selector_bit(&self, port: Port, info: Maddr) -> Bit {
        Bit::new(
            Maddr(info.0 + self.width.selector()),
            port.0 / self.width.word_bits(),
        )
    }

    /// Pending and mask bit. None for ports beyond the format, which exist after a guest that had more left the wider one.
    fn bits(&self, port: Port) -> Option<(Bit, Bit)> {
        let shared_info = self.shared_info.filter(|_| port.0 < self.width.ports())?;
        let map = |offset| Bit::new(Maddr(shared_info.0 + offset), port.0);
        Some((map(PENDING), map(self.width.mask())))
    }
}

#[cfg(test)]
mod tests {
    use crate::evtchn::testing::Guest;
    use crate::evtchn::{GuestWidth, VcpuSet, Wake};
    use crate::hal::MachineMemory;
    use crate::ids::{Maddr, Port, VcpuId};

    #[test]
    fn event_sets_pending_selector_and_upcall_where_a_64_bit_guest_looks() {
        let mut guest = Guest::new(2);
        let port = guest.ipis(1, 70);
        assert_eq!(port, Port(70));
        let wake = guest.set_pending(port);
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(1)));
        let page = guest.mem.frame(guest.shared_info);
        assert_eq!(page[2048 + 70 / 8], 1 << (70 % 8));
        assert_eq!(page[64], 1);
        assert_eq!(page[64 + 8..64 + 16], 2u64.to_le_bytes());
        assert_eq!(page[..64], [0; 64]);
        assert_eq!(page[2048..].iter().filter(|byte| **byte != 0).count(), 1);
    }

    #[test]
    fn event_sets_pending_selector_and_upcall_where_a_32_bit_guest_looks() {
        let mut guest = Guest::new(1);
        guest.events.set_width(GuestWidth::Bits32);
        let port = guest.ipis(0, 70);
        assert!(guest.set_pending(port).upcalls.contains(VcpuId(0)));
        let page = guest.mem.frame(guest.shared_info);
        assert_eq!(page[2048 + 8], 1 << 6);
        assert_eq!(page[..8], [1, 0, 0, 0, 1 << 2, 0, 0, 0]);
        guest
            .mem
            .store_u32(Maddr(guest.shared_info.maddr().0 + 2176 + 8), 1 << 6);
        assert!(guest.events.is_masked(guest.mem, port));
    }

    #[test]
    fn pending_event_is_not_notified_again() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1);
        assert!(!guest.set_pending(port).is_nobody());
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
    }

    #[test]
    fn second_event_of_a_selected_word_needs_no_upcall() {
        let mut guest = Guest::new(1);
        let second = guest.ipis(0, 2);
        assert!(!guest.set_pending(Port(1)).is_nobody());
        assert_eq!(guest.set_pending(second), Wake::NOBODY);
        assert!(guest.is_pending(second));
    }

    #[test]
    fn masked_event_is_pending_without_an_upcall_until_unmasked() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 65);
        let mask = Maddr(guest.shared_info.maddr().0 + 2560 + 8);
        guest.mem.store_u64(mask, 0b10);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert!(guest.is_pending(port) && guest.events.is_masked(guest.mem, port));
        let wake = guest.events.unmask(guest.mem, port).unwrap();
        assert!(wake.upcalls.contains(VcpuId(0)));
        assert_eq!(guest.mem.load_u64(mask), 0);
        assert_eq!(guest.events.unmask(guest.mem, port), Ok(Wake::NOBODY));
    }

    #[test]
    fn ports_beyond_the_32_bit_format_deliver_nothing() {
        let mut guest = Guest::new(1);
        let port = guest.ipis(0, 1100);
        guest.events.set_width(GuestWidth::Bits32);
        let before = guest.mem.frame(guest.shared_info);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        assert_eq!(guest.events.unmask(guest.mem, port), Ok(Wake::NOBODY));
        assert!(!guest.is_pending(port) && guest.events.is_masked(guest.mem, port));
        assert_eq!(guest.mem.frame(guest.shared_info), before);
    }

    #[test]
    fn moved_vcpu_info_has_everything_selected_and_an_upcall() {
        let mut guest = Guest::new(1);
        let new = Maddr(guest.mem.take_frame().maddr().0 + 128);
        guest.events.set_vcpu_info(VcpuId(0), new);
        let wake = guest.events.vcpu_info_moved(guest.mem, VcpuId(0));
        assert_eq!(wake.upcalls, VcpuSet::of(VcpuId(0)));
        assert!(guest.events.is_upcall_pending(guest.mem, VcpuId(0)));
        assert_eq!(guest.mem.load_u64(Maddr(new.0 + 8)), u64::MAX);
        assert_eq!(guest.mem.load_u64(Maddr(new.0 + 16)), 0);
        assert_eq!(
            guest.events.vcpu_info_moved(guest.mem, VcpuId(0)),
            Wake::NOBODY
        );
    }

    #[test]
    fn moved_vcpu_info_of_a_32_bit_guest_keeps_its_time_area() {
        let mut guest = Guest::new(1);
        guest.events.set_width(GuestWidth::Bits32);
        let new = Maddr(guest.mem.take_frame().maddr().0 + 4);
        guest.events.set_vcpu_info(VcpuId(0), new);
        assert!(
            !guest
                .events
                .vcpu_info_moved(guest.mem, VcpuId(0))
                .is_nobody()
        );
        let page = guest.mem.frame(new.mfn());
        assert_eq!(
            page[..16],
            [0, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]
        );
    }

    #[test]
    fn vcpu_without_vcpu_info_gets_its_event_when_it_registers_one() {
        let mut guest = Guest::new(1);
        guest.events.clear_vcpu_info(VcpuId(0));
        let port = guest.ipis(0, 1);
        assert_eq!(guest.set_pending(port), Wake::NOBODY);
        guest
            .events
            .set_vcpu_info(VcpuId(0), guest.shared_info.maddr());
        assert!(
            !guest
                .events
                .vcpu_info_moved(guest.mem, VcpuId(0))
                .is_nobody()
        );
        assert!(guest.is_pending(port));
    }
}
