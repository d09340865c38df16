//! Newtypes for everything that is counted or addressed, so that a frame is never taken for a page number of someone else.

/// Bytes in a page and in a frame.
pub const PAGE_SIZE: usize = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// Domain identifier as the ABI carries it (`domid_t`).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domid(pub u16);

impl Domid {
    /// The initial and hardware domain.
    pub const DOM0: Self = Self(0);
    /// First identifier that never names a guest (`DOMID_FIRST_RESERVED`).
    pub const FIRST_RESERVED: Self = Self(0x7ff0);
    /// "The caller" (`DOMID_SELF`).
    pub const SELF: Self = Self(0x7ff0);
    /// Owner of machine memory that is not RAM (`DOMID_IO`).
    pub const IO: Self = Self(0x7ff1);
    /// The hypervisor itself (`DOMID_XEN`).
    pub const XEN: Self = Self(0x7ff2);
    /// "Any domain"/"none" (`DOMID_INVALID`).
    pub const INVALID: Self = Self(0x7ff4);

    /// Whether this can name a guest.
    #[must_use]
    pub const fn is_guest(self) -> bool {
        self.0 < Self::FIRST_RESERVED.0
    }
}

impl core::fmt::Display for Domid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "d{}", self.0)
    }
}

/// Guest frame number: what the guest calls page N. Only the p2m turns it into an [`Mfn`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gfn(pub u64);

/// Machine frame number: 4 KiB of real memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mfn(pub u64);

impl Mfn {
    /// "No frame".
    pub const INVALID: Self = Self(u64::MAX);

    /// First byte of the frame.
    #[must_use]
    pub const fn maddr(self) -> Maddr {
        Maddr(self.0 << PAGE_SHIFT)
    }
}

impl Gfn {
    /// First byte of the page.
    #[must_use]
    pub const fn gpa(self) -> Gpa {
        Gpa(self.0 << PAGE_SHIFT)
    }
}

/// Machine (host physical) address in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Maddr(pub u64);

impl Maddr {
    /// The frame that holds this byte.
    #[must_use]
    pub const fn mfn(self) -> Mfn {
        Mfn(self.0 >> PAGE_SHIFT)
    }

    /// Byte offset inside its frame.
    #[must_use]
    pub const fn page_offset(self) -> usize {
        (self.0 & (PAGE_SIZE as u64 - 1)) as usize
    }
}

/// Guest physical address in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gpa(pub u64);

impl Gpa {
    /// The page that holds this byte.
    #[must_use]
    pub const fn gfn(self) -> Gfn {
        Gfn(self.0 >> PAGE_SHIFT)
    }

    /// Byte offset inside its page.
    #[must_use]
    pub const fn page_offset(self) -> usize {
        (self.0 & (PAGE_SIZE as u64 - 1)) as usize
    }
}

/// Guest linear (virtual) address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u64);

/// Index of a vCPU inside its domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId(pub u32);

/// Index of a physical CPU: dense, from 0 (the boot CPU), in the order of the MADT.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

/// Event-channel port of one domain. 0 is never valid.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u32);
