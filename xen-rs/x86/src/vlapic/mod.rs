//! Virtual local APIC: a pure state machine, one [`Vlapic`] per vCPU.
//!
//! What: xAPIC registers by MMIO, x2APIC registers by MSR, IA32_APIC_BASE, the timer, interrupt priorities. It does nothing but change
//! its own state and return [`Effects`]; the adapter around it sends IPIs, broadcasts EOIs, programs the host timer and injects
//! interrupts.
//!
//! Ownership: the CPU that runs the vCPU owns its [`Vlapic`] through `&mut`. Other CPUs see two lock-free structures:
//! [`PostedInterrupts`], to which they post, and [`PublishedDestination`], by which [`route`] finds out whom to post to. No locks here,
//! no allocation.
//!
//! Time is nanoseconds of system time, always handed in. Before each entry the adapter drains the mailbox, calls [`Vlapic::tick`] if a
//! deadline has passed, and injects [`Vlapic::highest_pending`], which it then acknowledges.
//!
//! Semantics: Intel SDM vol. 3, chapter "Advanced Programmable Interrupt Controller (APIC)"; where guests could tell, Xen 4.20's vLAPIC.
#![forbid(unsafe_code)]

mod base;
mod destination;
mod message;
mod mmio;
mod posted;
mod priority;
mod record;
mod register;
mod regs;
mod timer;
mod tsc_deadline;
mod vectors;
mod x2apic;

use xen_core::ids::VcpuId;

pub use base::APIC_BASE_ADDRESS;
pub use destination::{Destination, Logical, PublishedDestination, arbitrate, route};
pub use message::{Audience, Delivery, DeliveryMode, DestMode, Ipi, Shorthand, Trigger};
pub use posted::{PostedInterrupts, ProcessorEvents};
pub use record::RecordError;
pub use timer::{BUS_CYCLE_NS, MIN_PERIODIC_NS};
pub use vectors::{FIRST_VALID_VECTOR, VectorSet};

use destination::x2apic_logical_id;
use regs::{DFR_CLUSTER, DFR_FLAT, Lvt, lvt, spiv};
use timer::Timer;

/// The guest did what the architecture answers with #GP(0): inject that.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ApicFault;

/// An EOI that ended an interrupt.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Eoi {
    /// The vector that was in service.
    pub vector: u8,
    /// Level: broadcast to the IO-APICs.
    pub trigger: Trigger,
}

/// What the adapter must do after a write. Whatever the write was, it must look at [`Vlapic::highest_pending`] again before the next entry.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// Send this.
    pub ipi: Option<Ipi>,
    /// This interrupt has ended.
    pub eoi: Option<Eoi>,
    /// [`Vlapic::next_deadline`] may have changed.
    pub timer_changed: bool,
    /// Publish [`Vlapic::destination`].
    pub destination_changed: bool,
    /// APIC_BASE changed: look at [`Vlapic::mmio_window`] and [`Vlapic::is_x2apic`] again.
    pub base_changed: bool,
    /// The APIC was software-enabled: vectors that could not be delivered, like a pending event-channel upcall, may be asserted again.
    pub enabled: bool,
}

/// One virtual local APIC.
#[derive(Clone, Debug)]
pub struct Vlapic {
    vcpu: VcpuId,
    /// IA32_APIC_BASE.
    base: u64,
    /// ID register: the id in the top byte in xAPIC mode, the whole word in x2APIC mode.
    id: u32,
    /// LDR: the logical id in the top byte in xAPIC mode, cluster and member in x2APIC mode.
    ldr: u32,
    dfr: u32,
    tpr: u8,
    spiv: u32,
    /// ESR as the guest reads it, and the errors that the next ESR write moves there.
    esr: u32,
    pending_esr: u32,
    icr: u32,
    icr2: u32,
    lvt: [u32; Lvt::COUNT],
    isr: VectorSet,
    tmr: VectorSet,
    irr: VectorSet,
    timer: Timer,
}

impl Vlapic {
    /// The APIC of `vcpu` after power-on: xAPIC mode, software-disabled, id `2 * vcpu`; vCPU 0 is the boot processor.
    #[must_use]
    pub fn new(vcpu: VcpuId) -> Self {
        let mut apic = Self {
            vcpu,
            base: 0,
            id: 0,
            ldr: 0,
            dfr: DFR_FLAT,
            tpr: 0,
            spiv: spiv::RESET,
            esr: 0,
            pending_esr: 0,
            icr: 0,
            icr2: 0,
            lvt: [lvt::MASKED; Lvt::COUNT],
            isr: VectorSet::EMPTY,
            tmr: VectorSet::EMPTY,
            irr: VectorSet::EMPTY,
            timer: Timer::stopped(),
        };
        apic.reset();
        apic
    }

    /// Power-on reset. The timer stops and the destination changes.
    pub fn reset(&mut self) {
        self.base = base::after_reset(self.vcpu);
        self.id = self.initial_id() << 24;
        self.ldr = 0;
        self.init();
    }

    /// Reset by INIT: all but IA32_APIC_BASE, the id and, in x2APIC mode, the logical id. The timer stops and the destination changes.
    pub fn init(&mut self) {
        *self = Self {
            vcpu: self.vcpu,
            base: self.base,
            id: self.id,
            ldr: if self.is_x2apic() { self.ldr } else { 0 },
            dfr: DFR_FLAT,
            tpr: 0,
            spiv: spiv::RESET,
            esr: 0,
            pending_esr: 0,
            icr: 0,
            icr2: 0,
            lvt: [lvt::MASKED; Lvt::COUNT],
            isr: VectorSet::EMPTY,
            tmr: VectorSet::EMPTY,
            irr: VectorSet::EMPTY,
            timer: Timer::stopped(),
        };
    }

    /// Whether the APIC takes vectors: enabled in IA32_APIC_BASE and in the spurious-interrupt vector register.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.is_globally_enabled() && self.spiv & spiv::ENABLED != 0
    }

    /// How this APIC answers to destination fields now.
    #[must_use]
    pub fn destination(&self) -> Destination {
        Destination {
            id: self.apic_id(),
            logical: self.logical(),
            enabled: self.is_enabled(),
            priority: self.ppr(),
        }
    }

    /// Whether a message with this destination field is for this APIC. Enablement is not looked at.
    #[must_use]
    pub fn matches(&self, dest: u32, mode: DestMode) -> bool {
        self.destination().matches(dest, mode)
    }

    /// APIC id: 8 bits in xAPIC mode.
    #[must_use]
    pub const fn apic_id(&self) -> u32 {
        if self.is_x2apic() {
            self.id
        } else {
            self.id >> 24
        }
    }

    const fn initial_id(&self) -> u32 {
        self.vcpu.0.wrapping_mul(2)
    }

    fn logical(&self) -> Logical {
        let logical_id = (self.ldr >> 24) as u8;
        match self.dfr {
            _ if self.is_x2apic() && self.has_halved_ldr() => Logical::X2apicHalved,
            _ if self.is_x2apic() => Logical::X2apic,
            DFR_FLAT => Logical::Flat(logical_id),
            DFR_CLUSTER => Logical::Cluster(logical_id),
            _ => Logical::NoModel,
        }
    }

    /// LDR; derived from the id in x2APIC mode, whatever a loaded record said.
    fn ldr_as_read(&self) -> u32 {
        match self.logical() {
            Logical::X2apic => x2apic_logical_id(self.id),
            Logical::X2apicHalved => x2apic_logical_id(self.id >> 1),
            Logical::Flat(_) | Logical::Cluster(_) | Logical::NoModel => self.ldr,
        }
    }

    /// Only a guest that came from Xen 4.4-4.18 has it. A logical id of 1 on another APIC than 0 is a defect of still older versions.
    const fn has_halved_ldr(&self) -> bool {
        let halved = x2apic_logical_id(self.id >> 1);
        self.ldr == halved && halved != 1 && halved != x2apic_logical_id(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of xAPIC registers, as tests write them.
    pub(super) mod at {
        pub const ID: u16 = 0x20;
        pub const TPR: u16 = 0x80;
        pub const PPR: u16 = 0xa0;
        pub const EOI: u16 = 0xb0;
        pub const LDR: u16 = 0xd0;
        pub const DFR: u16 = 0xe0;
        pub const SPIV: u16 = 0xf0;
        pub const ESR: u16 = 0x280;
        pub const ICR: u16 = 0x300;
        pub const ICR2: u16 = 0x310;
        pub const LVT_TIMER: u16 = 0x320;
        pub const LVT_LINT0: u16 = 0x350;
        pub const LVT_ERROR: u16 = 0x370;
        pub const INITIAL: u16 = 0x380;
        pub const CURRENT: u16 = 0x390;
        pub const DIVIDE: u16 = 0x3e0;
    }

    pub(super) const ENABLED_SPIV: u32 = 0x1ff;
    pub(super) const X2APIC_BASE: u64 = APIC_BASE_ADDRESS | 0xc00;

    /// Software-enabled APIC in xAPIC mode.
    pub(super) fn xapic(vcpu: u32) -> Vlapic {
        let mut apic = Vlapic::new(VcpuId(vcpu));
        assert!(apic.write_mmio(at::SPIV, 4, ENABLED_SPIV, 0).enabled);
        apic
    }

    /// Software-enabled APIC in x2APIC mode.
    pub(super) fn x2apic(vcpu: u32) -> Vlapic {
        let mut apic = xapic(vcpu);
        assert!(apic.write_apic_base(X2APIC_BASE, true).is_ok());
        apic
    }

    /// 32-bit write whose effects do not matter.
    pub(super) fn put(apic: &mut Vlapic, offset: u16, value: u32, now_ns: u64) {
        let _ = apic.write_mmio(offset, 4, value, now_ns);
    }

    /// xorshift64: reproducible noise.
    pub(super) struct Noise(pub u64);

    impl Noise {
        pub fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    #[test]
    fn power_on_state() {
        let apic = Vlapic::new(VcpuId(3));
        assert_eq!(apic.apic_base(), APIC_BASE_ADDRESS | 0x800);
        assert_eq!(
            Vlapic::new(VcpuId(0)).apic_base(),
            APIC_BASE_ADDRESS | 0x900
        );
        assert_eq!(apic.read_mmio(at::ID, 4, 0), 6 << 24);
        assert_eq!(apic.read_mmio(0x30, 4, 0), 0x0005_0014);
        assert_eq!(apic.read_mmio(at::SPIV, 4, 0), 0xff);
        assert_eq!(apic.read_mmio(at::DFR, 4, 0), u32::MAX);
        for offset in (at::LVT_TIMER..=at::LVT_ERROR).step_by(16) {
            assert_eq!(apic.read_mmio(offset, 4, 0), 1 << 16);
        }
        assert!(!apic.is_enabled());
    }

    #[test]
    fn init_keeps_base_and_id_and_stops_everything_else() {
        let mut apic = xapic(1);
        put(&mut apic, at::ID, 0x0700_0000, 0);
        put(&mut apic, at::LDR, 0x0200_0000, 0);
        put(&mut apic, at::TPR, 0x20, 0);
        put(&mut apic, at::LVT_TIMER, 0x40, 0);
        put(&mut apic, at::INITIAL, 100, 0);
        apic.accept(0x50, Trigger::Level);
        apic.init();
        let mut expected = Vlapic::new(VcpuId(1));
        put(&mut expected, at::ID, 0x0700_0000, 0);
        assert_eq!(apic.save(), expected.save());
        assert_eq!(apic.next_deadline(), None);
    }

    #[test]
    fn init_in_x2apic_mode_keeps_mode_and_logical_id() {
        let mut apic = x2apic(9);
        apic.init();
        assert!(apic.is_x2apic());
        assert_eq!(
            (apic.read_msr(0x802, 0), apic.read_msr(0x80d, 0)),
            (Ok(18), Ok(0x0001_0004))
        );
        assert!(apic.matches(0x0001_0004, DestMode::Logical));
    }

    #[test]
    fn destination_follows_the_registers() {
        let mut apic = xapic(1);
        assert_eq!(
            apic.destination(),
            Destination {
                id: 2,
                logical: Logical::Flat(0),
                enabled: true,
                priority: 0
            }
        );
        put(&mut apic, at::LDR, 0x2100_00ff, 0);
        put(&mut apic, at::DFR, 0, 0);
        put(&mut apic, at::TPR, 0x35, 0);
        assert_eq!(
            apic.destination(),
            Destination {
                id: 2,
                logical: Logical::Cluster(0x21),
                enabled: true,
                priority: 0x35
            }
        );
        put(&mut apic, at::DFR, 0x5000_0000, 0);
        assert_eq!(apic.destination().logical, Logical::NoModel);
        put(&mut apic, at::SPIV, 0xff, 0);
        assert!(!apic.destination().enabled);
    }
}
