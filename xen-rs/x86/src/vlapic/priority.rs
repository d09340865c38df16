//! Acceptance, priority and the life of a vector: requested (IRR), in service (ISR), ended (EOI).
//!
//! Semantics: Intel SDM vol. 3, "Interrupt, Task, and Processor Priority", "Interrupt Acceptance for Fixed Interrupts", "Error Handling".

use super::message::Trigger;
use super::posted::{PostedInterrupts, ProcessorEvents};
use super::regs::{Lvt, esr, lvt};
use super::vectors::FIRST_VALID_VECTOR;
use super::{Eoi, Vlapic};

/// Bits of a vector or of TPR/PPR that make its priority class.
const CLASS: u8 = 0xf0;

impl Vlapic {
    /// Takes a fixed interrupt. True if `vector` was not requested before. A disabled APIC takes nothing; a reserved vector is an error
    /// in ESR.
    pub fn accept(&mut self, vector: u8, trigger: Trigger) -> bool {
        if !self.is_enabled() {
            return false;
        }
        if vector < FIRST_VALID_VECTOR {
            self.report_error(esr::RECEIVED_ILLEGAL_VECTOR);
            return false;
        }
        match trigger {
            Trigger::Level => self.tmr.insert(vector),
            Trigger::Edge => self.tmr.remove(vector),
        };
        self.irr.insert(vector)
    }

    /// Takes everything from the mailbox: vectors become requests, the rest is returned for the adapter to act on.
    ///
    /// Vectors come first: if an INIT follows, the reset it asks for drops those that were posted before it.
    pub fn drain(&mut self, posted: &PostedInterrupts) -> ProcessorEvents {
        let enabled = self.is_enabled();
        let (irr, tmr) = (&mut self.irr, &mut self.tmr);
        let taken = posted.take_all(|word, requests, level| {
            if enabled {
                tmr.merge_word(word, level, requests);
                irr.merge_word(word, u32::MAX, requests);
            }
        });
        if taken.illegal_vector && enabled {
            self.report_error(esr::RECEIVED_ILLEGAL_VECTOR);
        }
        taken.events
    }

    /// The vector to inject now: the highest request above the processor priority. Whether the processor accepts interrupts at all
    /// (RFLAGS.IF, shadows) is not known here.
    #[must_use]
    pub fn highest_pending(&self) -> Option<u8> {
        let vector = self.highest_requested()?;
        (vector & CLASS > self.ppr() & CLASS).then_some(vector)
    }

    /// The highest request that is held back by nothing but TPR: worth an exit when the guest lowers TPR.
    #[must_use]
    pub fn blocked_by_tpr(&self) -> Option<u8> {
        // Most guests block nothing; this is asked at every entry.
        if self.tpr & CLASS == 0 {
            return None;
        }
        let vector = self.highest_requested()?;
        let in_service = self.isr.highest().unwrap_or(0);
        (vector & CLASS > in_service & CLASS && vector & CLASS <= self.tpr & CLASS)
            .then_some(vector)
    }

    /// The highest request, whatever the priority; `None` while disabled.
    #[must_use]
    pub fn highest_requested(&self) -> Option<u8> {
        if self.is_enabled() {
            self.irr.highest()
        } else {
            None
        }
    }

    /// Whether `vector` is requested.
    #[must_use]
    pub const fn is_requested(&self, vector: u8) -> bool {
        self.irr.contains(vector)
    }

    /// The processor has taken `vector`: it is in service from now on. A vector that is not requested is ignored.
    pub const fn acknowledge(&mut self, vector: u8) {
        if self.irr.remove(vector) {
            self.isr.insert(vector);
        }
    }

    /// Ends the interrupt in service with the highest priority; `None` if there is none.
    pub fn end_of_interrupt(&mut self) -> Option<Eoi> {
        let vector = self.isr.highest()?;
        self.isr.remove(vector);
        Some(Eoi {
            vector,
            trigger: Trigger::from_bit(self.tmr.contains(vector)),
        })
    }

    /// Processor priority register.
    #[must_use]
    pub fn ppr(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0) & CLASS;
        if self.tpr & CLASS >= in_service {
            self.tpr
        } else {
            in_service
        }
    }

    /// Task priority register.
    #[must_use]
    pub const fn tpr(&self) -> u8 {
        self.tpr
    }

    /// CR8 as it reads: the class of TPR.
    #[must_use]
    pub const fn cr8(&self) -> u8 {
        self.tpr >> 4
    }

    /// Write of CR8; bits above 3 are the caller's to refuse and are ignored here.
    pub const fn set_cr8(&mut self, cr8: u8) {
        self.tpr = cr8 << 4;
    }

    /// Records an error for the next write of ESR, and raises the error interrupt if that error is new and the LVT allows it.
    pub(super) fn report_error(&mut self, error: u32) {
        if self.pending_esr & error == error {
            return;
        }
        self.pending_esr |= error;
        let entry = self.lvt[Lvt::Error.index()];
        if entry & lvt::MASKED != 0 {
            return;
        }
        let vector = (entry & lvt::VECTOR) as u8;
        if vector < FIRST_VALID_VECTOR {
            // The error interrupt is itself an error; it must not report itself for ever.
            self.pending_esr |= esr::RECEIVED_ILLEGAL_VECTOR;
        } else {
            self.accept(vector, Trigger::Edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, put, xapic};
    use super::*;

    fn eoi(apic: &mut Vlapic) -> Option<(u8, Trigger)> {
        apic.write_mmio(at::EOI, 4, 0, 0)
            .eoi
            .map(|eoi| (eoi.vector, eoi.trigger))
    }

    /// Injects what is pending; the vector.
    fn inject(apic: &mut Vlapic) -> Option<u8> {
        let vector = apic.highest_pending()?;
        apic.acknowledge(vector);
        Some(vector)
    }

    #[test]
    fn higher_class_interrupts_lower_and_eois_unwind_in_order() {
        let mut apic = xapic(0);
        assert!(apic.accept(0x31, Trigger::Edge));
        assert!(!apic.accept(0x31, Trigger::Edge));
        assert_eq!(inject(&mut apic), Some(0x31));
        assert!(apic.accept(0x3f, Trigger::Edge));
        assert_eq!(apic.highest_pending(), None, "same class waits");
        assert!(apic.accept(0x51, Trigger::Level));
        assert_eq!(inject(&mut apic), Some(0x51));
        assert_eq!(apic.read_mmio(at::PPR, 4, 0), 0x50);
        assert_eq!(eoi(&mut apic), Some((0x51, Trigger::Level)));
        assert_eq!(apic.highest_pending(), None);
        assert_eq!(eoi(&mut apic), Some((0x31, Trigger::Edge)));
        assert_eq!(inject(&mut apic), Some(0x3f));
        assert_eq!(eoi(&mut apic), Some((0x3f, Trigger::Edge)));
        assert_eq!(eoi(&mut apic), None);
    }

    #[test]
    fn tpr_holds_back_its_class_and_those_below() {
        let mut apic = xapic(0);
        put(&mut apic, at::TPR, 0x4f, 0);
        apic.accept(0x4f, Trigger::Edge);
        assert_eq!(
            (
                apic.highest_pending(),
                apic.blocked_by_tpr(),
                apic.highest_requested()
            ),
            (None, Some(0x4f), Some(0x4f))
        );
        apic.accept(0x50, Trigger::Edge);
        assert_eq!(
            (apic.highest_pending(), apic.blocked_by_tpr()),
            (Some(0x50), None)
        );
        apic.acknowledge(0x50);
        assert_eq!(
            apic.blocked_by_tpr(),
            None,
            "held back by what is in service as well"
        );
        assert!(eoi(&mut apic).is_some());
        apic.set_cr8(3);
        assert_eq!(
            (apic.tpr(), apic.cr8(), apic.highest_pending()),
            (0x30, 3, Some(0x4f))
        );
    }

    #[test]
    fn ppr_keeps_the_subclass_of_tpr_only_when_tpr_rules() {
        let mut apic = xapic(0);
        put(&mut apic, at::TPR, 0x47, 0);
        assert_eq!(apic.ppr(), 0x47);
        apic.accept(0x62, Trigger::Edge);
        apic.acknowledge(0x62);
        assert_eq!(apic.ppr(), 0x60);
        put(&mut apic, at::TPR, 0x61, 0);
        assert_eq!(apic.ppr(), 0x61);
    }

    #[test]
    fn acknowledge_without_request_is_ignored() {
        let mut apic = xapic(0);
        apic.acknowledge(0x40);
        apic.acknowledge(3);
        assert_eq!(apic.ppr(), 0);
    }

    #[test]
    fn disabled_apic_takes_nothing_but_keeps_what_it_has() {
        let mut apic = xapic(0);
        apic.accept(0x40, Trigger::Edge);
        put(&mut apic, at::SPIV, 0xff, 0);
        assert_eq!(
            (apic.accept(0x41, Trigger::Edge), apic.highest_pending()),
            (false, None)
        );
        put(&mut apic, at::SPIV, 0x1ff, 0);
        assert_eq!(
            (apic.highest_pending(), apic.is_requested(0x41)),
            (Some(0x40), false)
        );
    }

    #[test]
    fn reserved_vector_is_a_receive_error_and_raises_the_error_interrupt_once() {
        let mut apic = xapic(0);
        put(&mut apic, at::LVT_ERROR, 0xfe, 0);
        assert!(!apic.accept(15, Trigger::Edge));
        assert_eq!(inject(&mut apic), Some(0xfe));
        assert!(!apic.accept(0, Trigger::Edge));
        assert!(!apic.is_requested(0xfe));
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 0, "latched by a write only");
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 1 << 6);
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 0);
    }

    #[test]
    fn error_interrupt_with_a_reserved_vector_does_not_recurse() {
        let mut apic = xapic(0);
        put(&mut apic, at::LVT_ERROR, 5, 0);
        put(&mut apic, at::ICR, 0x4_0003, 0);
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 1 << 5 | 1 << 6);
        assert_eq!(apic.highest_requested(), None);
    }

    #[test]
    fn drained_vectors_keep_their_trigger() {
        let (mut apic, posted) = (xapic(0), PostedInterrupts::new());
        apic.accept(0x42, Trigger::Level);
        posted.post(0x41, Trigger::Level);
        posted.post(0x42, Trigger::Edge);
        posted.post(0xef, Trigger::Edge);
        posted.post_nmi();
        assert!(apic.drain(&posted).nmi);
        assert!(!posted.has_any());
        assert_eq!(apic.drain(&posted), ProcessorEvents::default());
        for expected in [
            (0xef, Trigger::Edge),
            (0x42, Trigger::Edge),
            (0x41, Trigger::Level),
        ] {
            assert_eq!(inject(&mut apic), Some(expected.0));
            assert_eq!(eoi(&mut apic), Some(expected));
        }
    }

    #[test]
    fn disabled_apic_drops_posted_vectors_but_not_events() {
        let (mut apic, posted) = (xapic(0), PostedInterrupts::new());
        put(&mut apic, at::SPIV, 0xff, 0);
        posted.post(0x41, Trigger::Edge);
        posted.post(1, Trigger::Edge);
        posted.post_startup(0x99);
        assert_eq!(apic.drain(&posted).startup, Some(0x99));
        put(&mut apic, at::SPIV, 0x1ff, 0);
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(
            (apic.highest_requested(), apic.read_mmio(at::ESR, 4, 0)),
            (None, 0)
        );
    }

    #[test]
    fn posted_reserved_vector_is_a_receive_error() {
        let (mut apic, posted) = (xapic(0), PostedInterrupts::new());
        assert!(posted.post(1, Trigger::Edge));
        let _ = apic.drain(&posted);
        put(&mut apic, at::ESR, 0, 0);
        assert_eq!(apic.read_mmio(at::ESR, 4, 0), 1 << 6);
    }
}
