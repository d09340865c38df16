//! What the model asks of its surroundings: raw hardware below it, effects on dom0 and on the host's interrupts beside it.

use core::fmt;

use xen_abi::errno::Errno;

use super::sbdf::Sbdf;
use crate::ids::{Maddr, Mfn};

/// Real configuration space.
///
/// `reg` is a byte offset below 4096 and naturally aligned to `size`, which is 1, 2 or 4. What does not exist reads as all ones (that
/// includes offsets from 256 where there is no ECAM), and writes to it vanish.
pub trait ConfigSpace {
    /// Reads one register with exactly this width.
    fn read(&self, sbdf: Sbdf, reg: u16, size: u8) -> u32;
    /// Writes one register with exactly this width: a status register beside it must not see a byte.
    fn write(&self, sbdf: Sbdf, reg: u16, size: u8, value: u32);
}

/// Real memory-mapped device registers. `at` is naturally aligned to `size` or at least inside one page; `size` is 1, 2, 4 or 8.
pub trait Mmio {
    /// Reads, uncached.
    fn read_mmio(&self, at: Maddr, size: u8) -> u64;
    /// Writes, uncached.
    fn write_mmio(&self, at: Maddr, size: u8, value: u64);
}

/// Both ways to reach a device.
pub trait Hardware: ConfigSpace + Mmio {}

impl<T: ConfigSpace + Mmio> Hardware for T {}

/// A message-signalled interrupt: the write a device does to raise it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// Where the device writes.
    pub address: u64,
    /// What it writes.
    pub data: u32,
}

/// Something dom0 did that was not carried out, for the log. The receiver limits the rate.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A BAR (its configuration offset) was to move while memory decoding is on. Ignored, as Xen does.
    BarWriteWhileDecoding {
        /// Configuration offset of the BAR.
        reg: u16,
    },
    /// The adapter refused to map a BAR (its configuration offset) into dom0.
    MapRefused {
        /// Configuration offset of the BAR.
        reg: u16,
        /// The adapter's reason.
        error: Errno,
    },
    /// No host interrupt could be bound; the vector stays masked.
    MsiRefused {
        /// Index of the vector.
        entry: u16,
        /// The adapter's reason.
        error: Errno,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BarWriteWhileDecoding { reg } => {
                write!(f, "BAR at {reg:#x} does not move while it decodes")
            }
            Self::MapRefused { reg, error } => {
                write!(f, "BAR at {reg:#x} is not mapped: {error}")
            }
            Self::MsiRefused { entry, error } => {
                write!(f, "no interrupt for message {entry}: {error}")
            }
        }
    }
}

/// What a configuration or table access causes outside the device. Implemented by the adapter, which also owns the lock.
pub trait Effects {
    /// Whether dom0 may have these frames, and the model touch them as a device's: an error if any is RAM or the hypervisor's, such as a
    /// local APIC. Asked for every BAR as a whole before it is mapped, because dom0 chooses its address.
    fn check_mmio(&self, first: Mfn, count: u64) -> Result<(), Errno>;
    /// Maps device frames into dom0's p2m, each at the gfn equal to its mfn. On an error nothing of this range may stay mapped.
    fn map_mmio(&mut self, first: Mfn, count: u64) -> Result<(), Errno>;
    /// Removes device frames from dom0's p2m. Frames that are not mapped are no error.
    fn unmap_mmio(&mut self, first: Mfn, count: u64);
    /// Binds a host vector to the message dom0 chose and says what the device must be programmed with. MSI is entry 0.
    fn enable_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno>;
    /// Points a bound vector at another message of dom0's choice. On an error the binding stays and the vector is left masked or as it was.
    fn update_msi(
        &mut self,
        sbdf: Sbdf,
        entry: u16,
        guest: MsiMessage,
    ) -> Result<MsiMessage, Errno>;
    /// Gives back the host vector of an entry.
    fn disable_msi(&mut self, sbdf: Sbdf, entry: u16);
    /// Reports an access that was not carried out.
    fn note(&mut self, sbdf: Sbdf, note: Note);
}

/// The two seams as they travel together through one access.
pub(super) struct Platform<'a> {
    pub hw: &'a dyn Hardware,
    pub effects: &'a mut dyn Effects,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn notes_say_which_register_or_message_and_why() {
        let (reg, entry, error) = (0x14, 3, Errno::ENOSPC);
        let notes = [
            Note::BarWriteWhileDecoding { reg },
            Note::MapRefused { reg, error },
            Note::MsiRefused { entry, error },
        ];
        assert_eq!(
            notes.map(|note| note.to_string()),
            [
                "BAR at 0x14 does not move while it decodes",
                "BAR at 0x14 is not mapped: ENOSPC",
                "no interrupt for message 3: ENOSPC",
            ]
        );
    }
}
