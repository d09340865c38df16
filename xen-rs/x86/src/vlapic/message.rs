//! Interrupt messages: what an ICR write, an IO-APIC pin or an MSI sends to local APICs.
//!
//! Fields and encodings: Intel SDM vol. 3, "Interrupt Command Register (ICR)" and "Message Signalled Interrupts".

use xen_core::ids::VcpuId;

/// How an interrupt is signalled, and so whether its EOI must reach the IO-APIC.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Once per transition; the EOI ends in the local APIC.
    Edge,
    /// As long as the line is asserted; the EOI is broadcast to the IO-APICs.
    Level,
}

impl Trigger {
    /// Level if `bit` is set, as in bit 15 of ICR, redirection entry and MSI data.
    #[must_use]
    pub const fn from_bit(bit: bool) -> Self {
        if bit { Self::Level } else { Self::Edge }
    }
}

/// How a destination field is read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DestMode {
    /// An APIC id, or the broadcast id.
    Physical,
    /// A set in terms of the logical destination registers.
    Logical,
}

impl DestMode {
    /// Logical if `bit` is set, as in bit 11 of ICR and redirection entry.
    #[must_use]
    pub const fn from_bit(bit: bool) -> Self {
        if bit { Self::Logical } else { Self::Physical }
    }
}

/// What arrives at the processor: the three-bit field at bit 8 of ICR, LVT, redirection entry and MSI data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// The vector, at every destination.
    Fixed,
    /// The vector, at the one destination that is least busy.
    LowestPriority,
    /// System management interrupt; not offered to guests.
    Smi,
    /// Reserved (remote read on the oldest parts).
    Reserved,
    /// Non-maskable interrupt.
    Nmi,
    /// Processor initialisation.
    Init,
    /// Start-up IPI: leave wait-for-SIPI at page `vector`.
    Startup,
    /// The vector comes from the 8259.
    ExtInt,
}

impl DeliveryMode {
    /// Decodes the low three bits of `field`.
    #[must_use]
    pub const fn from_field(field: u32) -> Self {
        match field & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            3 => Self::Reserved,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::Startup,
            _ => Self::ExtInt,
        }
    }

    /// Whether the vector ends in an IRR, and so is ended by an EOI.
    #[must_use]
    pub const fn is_vectored(self) -> bool {
        matches!(self, Self::Fixed | Self::LowestPriority)
    }
}

/// One interrupt message on its way to the local APICs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Vector; for [`DeliveryMode::Startup`] the page number to start at.
    pub vector: u8,
    /// Destination: 8 bits from xAPIC, IO-APIC and MSI, 32 bits from x2APIC.
    pub dest: u32,
    /// How `dest` is read.
    pub dest_mode: DestMode,
    /// What is delivered.
    pub delivery_mode: DeliveryMode,
    /// Edge or level.
    pub trigger: Trigger,
}

impl Delivery {
    /// Decodes a message-signalled interrupt; `None` if `addr` is outside the interrupt range 0xfee00000-0xfeefffff.
    ///
    /// A redirection hint with a logical destination selects one processor, like lowest priority (SDM, "Message Address Register Format").
    /// The bits of an extended destination id are ignored: that feature is never offered.
    #[must_use]
    pub const fn from_msi(addr: u64, data: u32) -> Option<Self> {
        if addr >> 20 != 0xfee {
            return None;
        }
        let dest_mode = DestMode::from_bit(addr & (1 << 2) != 0);
        let hint = addr & (1 << 3) != 0;
        let delivery_mode = match (DeliveryMode::from_field(data >> 8), dest_mode) {
            (DeliveryMode::Fixed, DestMode::Logical) if hint => DeliveryMode::LowestPriority,
            (mode, _) => mode,
        };
        Some(Self {
            vector: data as u8,
            dest: (addr >> 12) as u32 & 0xff,
            dest_mode,
            delivery_mode,
            trigger: Trigger::from_bit(data & (1 << 15) != 0),
        })
    }
}

/// Which APICs look at a message at all: the destination shorthand of the ICR.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shorthand {
    /// Those named by the destination field.
    None,
    /// Only the sender.
    OnlySelf,
    /// All, with the sender.
    All,
    /// All but the sender.
    Others,
}

/// An inter-processor interrupt, as an ICR write asks for it.
///
/// Only modes that do something are reported: fixed, lowest priority, NMI, INIT (never its de-assert form) and start-up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Ipi {
    /// The message.
    pub delivery: Delivery,
    /// Who looks at it.
    pub shorthand: Shorthand,
}

impl Ipi {
    /// The audience of this IPI when vCPU `sender` sends it.
    #[must_use]
    pub const fn audience(&self, sender: VcpuId) -> Audience {
        match self.shorthand {
            Shorthand::None => Audience::Addressed,
            Shorthand::OnlySelf => Audience::Only(sender),
            Shorthand::All => Audience::All,
            Shorthand::Others => Audience::AllBut(sender),
        }
    }
}

/// The APICs a message is offered to, before enablement and priority are looked at.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those that match the destination field.
    Addressed,
    /// One vCPU.
    Only(VcpuId),
    /// Every vCPU of the domain.
    All,
    /// Every vCPU but one.
    AllBut(VcpuId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msi_fields_are_decoded() {
        let msi = Delivery::from_msi(0xfee0_2000 | 1 << 2, 0x8000 | 0x100 | 0x41);
        assert_eq!(
            msi,
            Some(Delivery {
                vector: 0x41,
                dest: 2,
                dest_mode: DestMode::Logical,
                delivery_mode: DeliveryMode::LowestPriority,
                trigger: Trigger::Level,
            })
        );
    }

    #[test]
    fn write_outside_the_interrupt_range_is_no_msi() {
        for addr in [0, 0xfed0_0000, 0xfef0_0000, 0x1_fee0_0000, u64::MAX] {
            assert_eq!(Delivery::from_msi(addr, 0x41), None);
        }
    }

    #[test]
    fn redirection_hint_matters_only_for_logical_fixed() {
        let mode = |addr, data| Delivery::from_msi(addr, data).map(|msi| msi.delivery_mode);
        assert_eq!(mode(0xfee0_000c, 0x41), Some(DeliveryMode::LowestPriority));
        assert_eq!(mode(0xfee0_0008, 0x41), Some(DeliveryMode::Fixed));
        assert_eq!(mode(0xfee0_000c, 0x441), Some(DeliveryMode::Nmi));
    }
}
