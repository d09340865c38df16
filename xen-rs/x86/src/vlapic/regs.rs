//! Register offsets and bits of the local APIC: Intel SDM vol. 3, "Local APIC Register Address Map" and "x2APIC Register Address Space".

/// Byte offset of a register in the xAPIC page; the x2APIC MSR is `0x800 + offset / 16`. An open set: the guest may name any.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reg(pub u16);

impl Reg {
    pub const ID: Self = Self(0x020);
    pub const VERSION: Self = Self(0x030);
    pub const TPR: Self = Self(0x080);
    pub const PPR: Self = Self(0x0a0);
    pub const EOI: Self = Self(0x0b0);
    pub const LDR: Self = Self(0x0d0);
    pub const DFR: Self = Self(0x0e0);
    pub const SPIV: Self = Self(0x0f0);
    pub const ISR: Self = Self(0x100);
    pub const TMR: Self = Self(0x180);
    pub const IRR: Self = Self(0x200);
    pub const IRR_LAST: Self = Self(0x270);
    pub const ESR: Self = Self(0x280);
    pub const CMCI: Self = Self(0x2f0);
    pub const ICR: Self = Self(0x300);
    pub const ICR2: Self = Self(0x310);
    pub const LVT_TIMER: Self = Self(0x320);
    pub const TIMER_INITIAL: Self = Self(0x380);
    pub const TIMER_CURRENT: Self = Self(0x390);
    pub const TIMER_DIVIDE: Self = Self(0x3e0);
    pub const SELF_IPI: Self = Self(0x3f0);

    /// Whether this is a word of ISR, TMR or IRR.
    pub fn is_vectors(self) -> bool {
        (Self::ISR..=Self::IRR_LAST).contains(&self)
    }

    /// The entry of the local vector table at this offset.
    pub fn lvt(self) -> Option<Lvt> {
        let index = self.0.checked_sub(Self::LVT_TIMER.0)? / 16;
        Lvt::ALL.get(usize::from(index)).copied()
    }
}

/// Version 0x14, six LVT entries (the highest is 5), no directed EOI: what guests see on Xen.
pub(super) const VERSION: u32 = 0x0005_0014;

/// Entries of the local vector table, in register order from 0x320.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Lvt {
    Timer,
    Thermal,
    Performance,
    Lint0,
    Lint1,
    Error,
}

impl Lvt {
    pub const COUNT: usize = 6;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Timer,
        Self::Thermal,
        Self::Performance,
        Self::Lint0,
        Self::Lint1,
        Self::Error,
    ];

    pub const fn index(self) -> usize {
        self as usize
    }

    /// Bits a write may carry without #GP in x2APIC mode; the read-only ones among them are dropped by [`Self::writable`].
    pub const fn defined(self) -> u32 {
        let common = lvt::VECTOR | lvt::SEND_PENDING | lvt::MASKED;
        match self {
            Self::Timer => common | lvt::TIMER_MODE,
            Self::Thermal | Self::Performance => common | lvt::DELIVERY_MODE,
            Self::Lint0 | Self::Lint1 => {
                common | lvt::DELIVERY_MODE | lvt::POLARITY | lvt::REMOTE_IRR | lvt::LEVEL
            }
            Self::Error => common,
        }
    }

    /// Bits a write changes.
    pub const fn writable(self) -> u32 {
        self.defined() & !(lvt::SEND_PENDING | lvt::REMOTE_IRR)
    }
}

/// Bits of a local vector table entry.
pub(super) mod lvt {
    pub const VECTOR: u32 = 0xff;
    pub const DELIVERY_MODE: u32 = 7 << 8;
    pub const SEND_PENDING: u32 = 1 << 12;
    pub const POLARITY: u32 = 1 << 13;
    pub const REMOTE_IRR: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const MASKED: u32 = 1 << 16;
    pub const TIMER_MODE: u32 = 3 << 17;
}

/// Bits of the spurious-interrupt vector register.
pub(super) mod spiv {
    pub const ENABLED: u32 = 1 << 8;
    pub const FOCUS_DISABLED: u32 = 1 << 9;
    pub const DEFINED: u32 = 0xff | ENABLED | FOCUS_DISABLED;
    /// After reset and INIT: vector 0xff, disabled.
    pub const RESET: u32 = 0xff;
}

/// Bits of the error status register.
pub(super) mod esr {
    pub const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
    pub const RECEIVED_ILLEGAL_VECTOR: u32 = 1 << 6;
    pub const DEFINED: u32 = 0xff;
}

/// Bits of the low half of the interrupt command register.
pub(super) mod icr {
    pub const LOGICAL: u32 = 1 << 11;
    pub const ASSERT: u32 = 1 << 14;
    pub const LEVEL: u32 = 1 << 15;
    pub const SHORTHAND: u32 = 3 << 18;
    pub const SHORTHAND_SELF: u32 = 1 << 18;
    /// All but delivery status (read-only, always idle here) and reserved bits.
    pub const DEFINED: u32 = 0xff | 7 << 8 | LOGICAL | ASSERT | LEVEL | SHORTHAND;
}

/// Bits 0, 1 and 3 of the divide configuration register select the divisor.
pub(super) const TIMER_DIVIDE_DEFINED: u32 = 0b1011;
/// Model bits of the DFR; the other 28 read as ones.
pub(super) const DFR_FIXED_ONES: u32 = 0x0fff_ffff;
/// Flat model, also after reset.
pub(super) const DFR_FLAT: u32 = u32::MAX;
/// Cluster model.
pub(super) const DFR_CLUSTER: u32 = DFR_FIXED_ONES;
