//! Memory map entries (`public/hvm/e820.h`, and the BIOS format of `XENMEM_MEMORY_MAP`). Entries are packed, 20 bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, little_endian};

/// Ordinary memory.
pub const E820_RAM: u32 = 1;
/// Not to be used.
pub const E820_RESERVED: u32 = 2;
/// ACPI tables, usable once read.
pub const E820_ACPI: u32 = 3;
/// ACPI non-volatile storage.
pub const E820_NVS: u32 = 4;
/// Memory with errors; also what dom0 sees in place of memory it was not given.
pub const E820_UNUSABLE: u32 = 5;

/// One range of a memory map; unaligned, 20 bytes.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct E820Entry {
    /// First byte.
    pub addr: little_endian::U64,
    /// Bytes.
    pub size: little_endian::U64,
    /// `E820_*`.
    pub kind: little_endian::U32,
}

const _: () = assert!(size_of::<E820Entry>() == 20);

impl E820Entry {
    /// An entry of native integers.
    pub fn new(addr: u64, size: u64, kind: u32) -> Self {
        Self {
            addr: addr.into(),
            size: size.into(),
            kind: kind.into(),
        }
    }
}
