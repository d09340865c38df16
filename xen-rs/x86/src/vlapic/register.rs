//! Registers as both access paths see them: 32-bit values by offset. Width, alignment, reserved bits and #GP are the paths' business.

use super::message::{Delivery, DeliveryMode, DestMode, Ipi, Shorthand, Trigger};
use super::regs::{DFR_FIXED_ONES, Lvt, Reg, VERSION, esr, icr, lvt, spiv};
use super::timer::Mode;
use super::vectors::FIRST_VALID_VECTOR;
use super::{Effects, Vlapic};

impl Vlapic {
    /// Value of a register; 0 for one that cannot be read or does not exist.
    pub(super) fn read_register(&self, reg: Reg, now_ns: u64) -> u32 {
        match reg {
            Reg::ID => self.id,
            Reg::VERSION => VERSION,
            Reg::TPR => u32::from(self.tpr),
            Reg::PPR => u32::from(self.ppr()),
            Reg::LDR => self.ldr_as_read(),
            Reg::DFR => self.dfr,
            Reg::SPIV => self.spiv,
            Reg::ESR => self.esr,
            Reg::ICR => self.icr,
            Reg::ICR2 => self.icr2,
            Reg::TIMER_INITIAL => self.timer.initial(),
            Reg::TIMER_CURRENT => self.timer.count(self.timer_mode(), now_ns),
            Reg::TIMER_DIVIDE => self.timer.divide(),
            _ if reg.is_vectors() => self.read_vectors(reg),
            _ => reg.lvt().map_or(0, |entry| self.lvt[entry.index()]),
        }
    }

    fn read_vectors(&self, reg: Reg) -> u32 {
        let (set, first) = if reg >= Reg::IRR {
            (&self.irr, Reg::IRR)
        } else if reg >= Reg::TMR {
            (&self.tmr, Reg::TMR)
        } else {
            (&self.isr, Reg::ISR)
        };
        set.word(usize::from(reg.0.saturating_sub(first.0) / 16))
    }

    /// Write of a register; one that is read-only or does not exist is ignored.
    pub(super) fn write_register(&mut self, reg: Reg, value: u32, now_ns: u64) -> Effects {
        let mut effects = Effects::default();
        match reg {
            Reg::ID => {
                self.id = value & 0xff00_0000;
                effects.destination_changed = true;
            }
            Reg::TPR => self.tpr = value as u8,
            Reg::EOI => effects.eoi = self.end_of_interrupt(),
            Reg::LDR => {
                self.ldr = value & 0xff00_0000;
                effects.destination_changed = true;
            }
            Reg::DFR => {
                self.dfr = value | DFR_FIXED_ONES;
                effects.destination_changed = true;
            }
            Reg::SPIV => self.write_spiv(value, now_ns, &mut effects),
            Reg::ESR => self.esr = core::mem::take(&mut self.pending_esr) & esr::DEFINED,
            Reg::ICR => {
                self.icr = value & icr::DEFINED;
                effects.ipi = self.command();
            }
            Reg::ICR2 => self.icr2 = value & 0xff00_0000,
            Reg::TIMER_INITIAL if matches!(self.timer_mode(), Mode::OneShot | Mode::Periodic) => {
                self.tick(now_ns);
                self.timer.start(value, now_ns);
                effects.timer_changed = true;
            }
            Reg::TIMER_DIVIDE => {
                self.tick(now_ns);
                self.timer.set_divide(value, self.timer_mode(), now_ns);
                effects.timer_changed = true;
            }
            _ => {
                if let Some(entry) = reg.lvt() {
                    self.write_lvt(entry, value, now_ns, &mut effects);
                }
            }
        }
        effects
    }

    fn write_spiv(&mut self, value: u32, now_ns: u64, effects: &mut Effects) {
        let was_enabled = self.spiv & spiv::ENABLED != 0;
        let enabled = value & spiv::ENABLED != 0;
        if !enabled {
            // What expired before this write was still due.
            self.tick(now_ns);
            for entry in &mut self.lvt {
                *entry |= lvt::MASKED;
            }
        }
        self.spiv = value & spiv::DEFINED;
        effects.enabled = enabled && !was_enabled;
        effects.timer_changed = was_enabled && !enabled;
        effects.destination_changed = was_enabled != enabled;
    }

    fn write_lvt(&mut self, entry: Lvt, value: u32, now_ns: u64, effects: &mut Effects) {
        let forced = if self.spiv & spiv::ENABLED == 0 {
            lvt::MASKED
        } else {
            0
        };
        let value = (value & entry.writable()) | forced;
        if entry == Lvt::Timer {
            // What expired before this write was due under the old entry.
            self.tick(now_ns);
            self.timer
                .change_mode(self.timer_mode(), Mode::from_lvt(value), now_ns);
            effects.timer_changed = true;
        }
        self.lvt[entry.index()] = value;
    }

    /// Carries out the interrupt command register, as far as it concerns this APIC; the rest is returned to be sent.
    pub(super) fn command(&mut self) -> Option<Ipi> {
        let delivery = self.commanded_delivery();
        let shorthand = match (self.icr & icr::SHORTHAND) >> 18 {
            0 => Shorthand::None,
            1 => Shorthand::OnlySelf,
            2 => Shorthand::All,
            _ => Shorthand::Others,
        };
        match delivery.delivery_mode {
            DeliveryMode::Fixed | DeliveryMode::LowestPriority
                if delivery.vector < FIRST_VALID_VECTOR =>
            {
                self.report_error(esr::SEND_ILLEGAL_VECTOR);
                None
            }
            DeliveryMode::Fixed | DeliveryMode::LowestPriority
                if shorthand == Shorthand::OnlySelf =>
            {
                self.accept(delivery.vector, Trigger::Edge);
                None
            }
            // The level de-assert form only synchronised arbitration ids, which nothing uses any more.
            DeliveryMode::Init if self.icr & (icr::LEVEL | icr::ASSERT) == icr::LEVEL => None,
            DeliveryMode::Smi | DeliveryMode::Reserved | DeliveryMode::ExtInt => None,
            _ => Some(Ipi {
                delivery,
                shorthand,
            }),
        }
    }

    fn commanded_delivery(&self) -> Delivery {
        Delivery {
            vector: (self.icr & lvt::VECTOR) as u8,
            dest: if self.is_x2apic() {
                self.icr2
            } else {
                self.icr2 >> 24
            },
            dest_mode: DestMode::from_bit(self.icr & icr::LOGICAL != 0),
            delivery_mode: DeliveryMode::from_field(self.icr >> 8),
            // The trigger bit matters only for INIT de-assert: IPIs are edges.
            trigger: Trigger::Edge,
        }
    }

    pub(super) const fn timer_mode(&self) -> Mode {
        Mode::from_lvt(self.lvt[Lvt::Timer.index()])
    }

    /// System time at which [`Self::tick`] should be called; `None` if the timer is stopped or its interrupt masked.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<u64> {
        if self.timer_is_masked() {
            None
        } else {
            self.timer.expiry_ns()
        }
    }

    /// Lets the timer fire if it is due at `now_ns`. True if that requested an interrupt; [`Self::next_deadline`] has then moved on.
    pub fn tick(&mut self, now_ns: u64) -> bool {
        if !self.timer.expire(self.timer_mode(), now_ns) || self.timer_is_masked() {
            return false;
        }
        let vector = (self.lvt[Lvt::Timer.index()] & lvt::VECTOR) as u8;
        self.accept(vector, Trigger::Edge)
    }

    const fn timer_is_masked(&self) -> bool {
        self.lvt[Lvt::Timer.index()] & lvt::MASKED != 0 || !self.is_globally_enabled()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, put, xapic};
    use super::*;

    const MASKED: u32 = 1 << 16;
    const PERIODIC: u32 = 1 << 17;

    fn timer(entry: u32, initial: u32) -> Vlapic {
        let mut apic = xapic(0);
        put(&mut apic, at::DIVIDE, 0b1011, 0);
        put(&mut apic, at::LVT_TIMER, entry, 0);
        put(&mut apic, at::INITIAL, initial, 0);
        apic
    }

    fn command(apic: &mut Vlapic, high: u32, low: u32) -> Option<Ipi> {
        put(apic, at::ICR2, high, 0);
        apic.write_mmio(at::ICR, 4, low, 0).ipi
    }

    #[test]
    fn fixed_ipi_carries_its_destination() {
        let ipi = command(&mut xapic(0), 0x0300_0000, 0x4840).expect("sent");
        let expected = Delivery {
            vector: 0x40,
            dest: 3,
            dest_mode: DestMode::Logical,
            delivery_mode: DeliveryMode::Fixed,
            trigger: Trigger::Edge,
        };
        assert_eq!((ipi.delivery, ipi.shorthand), (expected, Shorthand::None));
    }

    #[test]
    fn shorthands_are_decoded_and_self_is_taken_here() {
        let mut apic = xapic(0);
        assert_eq!(
            command(&mut apic, 0, 2 << 18 | 0x40).map(|ipi| ipi.shorthand),
            Some(Shorthand::All)
        );
        assert_eq!(
            command(&mut apic, 0, 3 << 18 | 0x40).map(|ipi| ipi.shorthand),
            Some(Shorthand::Others)
        );
        assert_eq!(command(&mut apic, 0, 1 << 18 | 0x40), None);
        assert_eq!(apic.highest_pending(), Some(0x40));
        assert_eq!(
            command(&mut apic, 0, 1 << 18 | 0x400).map(|ipi| ipi.shorthand),
            Some(Shorthand::OnlySelf),
            "NMI to itself"
        );
    }

    #[test]
    fn init_deassert_and_unoffered_modes_send_nothing() {
        let mut apic = xapic(0);
        assert_eq!(command(&mut apic, 0, 0x8500), None);
        assert_eq!(
            command(&mut apic, 0, 0xc500).map(|ipi| ipi.delivery.delivery_mode),
            Some(DeliveryMode::Init)
        );
        assert_eq!(
            command(&mut apic, 0, 0x0699).map(|ipi| ipi.delivery.vector),
            Some(0x99)
        );
        for mode in [2, 3, 7] {
            assert_eq!(command(&mut apic, 0, mode << 8 | 0x40), None);
        }
    }

    #[test]
    fn reserved_vector_is_a_send_error() {
        let mut apic = xapic(0);
        assert_eq!(command(&mut apic, 0, 0x0f), None);
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 1 << 5);
    }

    #[test]
    fn delivery_status_never_reads_busy() {
        let mut apic = xapic(0);
        put(&mut apic, at::ICR, !0xff | 0x40, 0);
        assert_eq!(apic.read_mmio(at::ICR, 4, 0), 0x000c_cf40);
    }

    #[test]
    fn one_shot_fires_at_its_deadline() {
        let mut apic = timer(0x40, 100);
        assert_eq!(apic.next_deadline(), Some(1_000));
        assert_eq!(apic.read_mmio(at::CURRENT, 4, 250), 75);
        assert!(!apic.tick(999));
        assert!(apic.tick(1_000));
        assert_eq!(
            (apic.highest_pending(), apic.next_deadline()),
            (Some(0x40), None)
        );
        assert_eq!(
            (
                apic.read_mmio(at::INITIAL, 4, 2_000),
                apic.read_mmio(at::CURRENT, 4, 2_000)
            ),
            (100, 0)
        );
    }

    #[test]
    fn periodic_goes_on_and_zero_stops_it() {
        let mut apic = timer(PERIODIC | 0x40, 100_000);
        assert!(apic.tick(1_000_000));
        assert!(!apic.tick(2_000_000), "still requested");
        assert_eq!(apic.next_deadline(), Some(3_000_000));
        put(&mut apic, at::INITIAL, 0, 2_500_000);
        assert_eq!(
            (
                apic.next_deadline(),
                apic.read_mmio(at::CURRENT, 4, 2_600_000)
            ),
            (None, 0)
        );
    }

    #[test]
    fn masked_timer_counts_but_never_wakes_or_fires() {
        let mut apic = timer(MASKED | 0x40, 100);
        assert_eq!(
            (apic.next_deadline(), apic.read_mmio(at::CURRENT, 4, 500)),
            (None, 50)
        );
        assert!(!apic.tick(5_000));
        put(&mut apic, at::LVT_TIMER, 0x40, 6_000);
        assert_eq!(
            (apic.next_deadline(), apic.highest_requested()),
            (None, None),
            "what expired under the mask is lost"
        );
    }

    #[test]
    fn unmasking_in_time_and_in_phase() {
        let mut apic = timer(MASKED | PERIODIC | 0x40, 100_000);
        put(&mut apic, at::LVT_TIMER, PERIODIC | 0x40, 2_500_000);
        assert_eq!(
            (apic.next_deadline(), apic.highest_requested()),
            (Some(3_000_000), None)
        );
    }

    #[test]
    fn expiry_before_a_timer_write_is_not_lost() {
        let mut apic = timer(0x40, 100);
        put(&mut apic, at::LVT_TIMER, MASKED | 0x41, 1_500);
        assert_eq!(apic.highest_requested(), Some(0x40));
        let mut apic = timer(0x40, 100);
        put(&mut apic, at::INITIAL, 100, 1_500);
        assert_eq!(
            (apic.highest_requested(), apic.next_deadline()),
            (Some(0x40), Some(2_500))
        );
        let mut apic = timer(0x40, 100);
        put(&mut apic, at::SPIV, 0xff, 1_500);
        put(&mut apic, at::SPIV, 0x1ff, 1_500);
        assert_eq!(apic.highest_requested(), Some(0x40));
    }

    #[test]
    fn software_disable_masks_every_entry_and_holds_them_masked() {
        let mut apic = timer(0x40, 100);
        let effects = apic.write_mmio(at::SPIV, 4, 0xff, 0);
        assert!(effects.timer_changed && effects.destination_changed && !effects.enabled);
        put(&mut apic, at::LVT_LINT0, 0x700, 0);
        for offset in (at::LVT_TIMER..=at::LVT_ERROR).step_by(16) {
            assert_ne!(apic.read_mmio(offset, 4, 0) & MASKED, 0);
        }
        assert_eq!(apic.next_deadline(), None);
        assert!(apic.write_mmio(at::SPIV, 4, 0x1ff, 0).enabled);
        assert_ne!(apic.read_mmio(at::LVT_TIMER, 4, 0) & MASKED, 0);
    }

    #[test]
    fn timer_with_a_reserved_vector_is_a_receive_error() {
        let mut apic = timer(3, 100);
        assert!(!apic.tick(1_000));
        put(&mut apic, at::ESR, 0, 1_000);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 1 << 6);
    }

    #[test]
    fn count_is_inert_in_tsc_deadline_and_reserved_mode() {
        for mode in [2 << 17, 3 << 17] {
            let apic = timer(mode | 0x40, 100);
            let count = [at::INITIAL, at::CURRENT].map(|offset| apic.read_mmio(offset, 4, 10));
            assert_eq!((count, apic.next_deadline()), ([0, 0], None));
        }
    }

    #[test]
    fn read_only_bits_of_the_local_vector_table_stay_clear() {
        let mut apic = xapic(0);
        for (offset, kept) in [
            (0x320, 0x7_00ff),
            (0x330, 0x1_07ff),
            (0x340, 0x1_07ff),
            (0x350, 0x1_a7ff),
            (0x360, 0x1_a7ff),
            (0x370, 0x1_00ff),
        ] {
            put(&mut apic, offset, u32::MAX, 0);
            assert_eq!(apic.read_mmio(offset, 4, 0), kept);
        }
    }
}
