//! What a vector stands for, in one word, so that the table can be read without a lock.

/// Owner of a vector.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    None,
    /// A pin of an I/O APIC, by global system interrupt; level-triggered ones are masked until the guest is done.
    Gsi {
        /// Global system interrupt.
        gsi: u16,
        /// Level-triggered.
        level: bool,
    },
    /// A message-signalled interrupt of dom0's, by index in its table.
    Message(u16),
    /// The console's serial port.
    Serial,
}

const GSI: u32 = 1 << 24;
const MESSAGE: u32 = 2 << 24;
const SERIAL: u32 = 3 << 24;
const LEVEL: u32 = 1 << 16;

impl Source {
    /// The word.
    #[must_use]
    pub const fn to_word(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gsi { gsi, level } => GSI | gsi as u32 | if level { LEVEL } else { 0 },
            Self::Message(index) => MESSAGE | index as u32,
            Self::Serial => SERIAL,
        }
    }

    /// Back.
    #[must_use]
    pub const fn from_word(word: u32) -> Self {
        match word & 0xff00_0000 {
            GSI => Self::Gsi {
                gsi: word as u16,
                level: word & LEVEL != 0,
            },
            MESSAGE => Self::Message(word as u16),
            SERIAL => Self::Serial,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_survives_the_word() {
        let all = [
            Source::None,
            Source::Gsi {
                gsi: 23,
                level: true,
            },
            Source::Gsi {
                gsi: 700,
                level: false,
            },
            Source::Message(65535),
            Source::Serial,
        ];
        for source in all {
            assert_eq!(Source::from_word(source.to_word()), source);
        }
    }
}
