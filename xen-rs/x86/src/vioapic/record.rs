//! Migration record of the vIOAPIC in Xen's layout: 400 bytes with exactly 48 entries.
//!
//! Layout: xen/include/public/arch-x86/hvm/save.h, type 4: base address u64, select u32, id u32, entries u64.

use super::{Entry, Vioapic};

/// Pins of an IO-APIC that can be saved and loaded.
pub const RECORD_PINS: u8 = 48;

const ENTRIES: usize = 16;
/// Bytes of the record.
pub const RECORD_BYTES: usize = ENTRIES + 8 * RECORD_PINS as usize;

/// The IO-APIC is not the one with 48 pins that an HVM guest has (EOPNOTSUPP for the toolstack), or the record places it elsewhere
/// (EINVAL).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not 48 pins.
    Unsupported,
    /// Another base address.
    Invalid,
}

impl Vioapic {
    /// The IOAPIC record. The state of the lines is not part of it.
    ///
    /// # Errors
    /// [`RecordError::Unsupported`].
    pub fn save(&self) -> Result<[u8; RECORD_BYTES], RecordError> {
        self.check_pins()?;
        let mut record = [0; RECORD_BYTES];
        let (head, entries) = record.split_at_mut(ENTRIES);
        head[..8].copy_from_slice(&self.config.address.to_le_bytes());
        head[8..12].copy_from_slice(&self.select.to_le_bytes());
        head[12..].copy_from_slice(&u32::from(self.id).to_le_bytes());
        for (bytes, entry) in entries.chunks_exact_mut(8).zip(&self.entries) {
            bytes.copy_from_slice(&entry.bits().to_le_bytes());
        }
        Ok(record)
    }

    /// Loads an IOAPIC record. Lines keep their state; the adapter calls [`Vioapic::resample`] once they are restored.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is loaded then.
    pub fn load(&mut self, record: &[u8; RECORD_BYTES]) -> Result<(), RecordError> {
        self.check_pins()?;
        let (head, entries) = record.split_at(ENTRIES);
        let word = |at: usize| {
            head.get(at..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        if u64::from(word(4)) << 32 | u64::from(word(0)) != self.config.address {
            return Err(RecordError::Invalid);
        }
        self.select = word(8);
        self.id = word(12) as u8;
        let (chunks, _) = entries.as_chunks();
        for (entry, bytes) in self.entries.iter_mut().zip(chunks) {
            *entry = Entry::from_bits(u64::from_le_bytes(*bytes));
        }
        Ok(())
    }

    const fn check_pins(&self) -> Result<(), RecordError> {
        if self.config.pins == RECORD_PINS {
            Ok(())
        } else {
            Err(RecordError::Unsupported)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{CONFIG, LEVEL, ioapic, program};
    use super::*;

    #[test]
    fn record_restores_entries_select_and_id() {
        let config = Config {
            pins: RECORD_PINS,
            ..CONFIG
        };
        let mut source = Vioapic::new(config).expect("48 pins");
        let _ = program(&mut source, 47, LEVEL | 0x41);
        let _ = source.set_line(47, true);
        let record = source.save().expect("48 pins");
        assert_eq!(
            record[..16],
            [0, 0, 0xc0, 0xfe, 0, 0, 0, 0, 0x6e, 0, 0, 0, 9, 0, 0, 0]
        );
        let mut target = Vioapic::new(config).expect("48 pins");
        assert_eq!(target.load(&record), Ok(()));
        assert_eq!(target.entry(47), source.entry(47));
        assert_eq!(target.save(), Ok(record));
    }

    #[test]
    fn foreign_shapes_are_refused() {
        assert_eq!(ioapic().save(), Err(RecordError::Unsupported));
        assert_eq!(
            ioapic().load(&[0; RECORD_BYTES]),
            Err(RecordError::Unsupported)
        );
        let mut target = Vioapic::new(Config {
            pins: RECORD_PINS,
            ..CONFIG
        })
        .expect("48 pins");
        assert_eq!(
            target.load(&[0xff; RECORD_BYTES]),
            Err(RecordError::Invalid)
        );
    }
}
