//! Accesses cut so that each lies inside one dword, and merged with it byte by byte.
//!
//! A guest may read or write any width at any offset. Registers of the model are dwords; an access is a set of byte lanes of one.

/// Part of a guest access that lies inside one dword and is naturally aligned.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    /// Byte offset of the access itself.
    pub reg: u16,
    /// Bytes: 1, 2 or 4.
    pub size: u8,
    /// Distance in bits from the start of the guest's access to this part.
    pub done_bits: u32,
}

impl Lanes {
    /// Offset of the dword.
    pub fn dword(self) -> u16 {
        self.reg & !3
    }

    /// Bits of the dword that are accessed.
    pub fn mask(self) -> u32 {
        let all = if self.size >= 4 {
            u32::MAX
        } else {
            (1 << (u32::from(self.size) * 8)) - 1
        };
        all << self.shift()
    }

    /// Moves a value as the access carries it to its place in the dword.
    pub fn place(self, value: u32) -> u32 {
        (value << self.shift()) & self.mask()
    }

    /// Takes from a dword the value as the access carries it.
    pub fn extract(self, dword: u32) -> u32 {
        (dword & self.mask()) >> self.shift()
    }

    /// The dword `old` with the accessed bytes replaced.
    pub fn merge(self, old: u32, value: u32) -> u32 {
        (old & !self.mask()) | self.place(value)
    }

    fn shift(self) -> u32 {
        u32::from(self.reg & 3) * 8
    }
}

/// Cuts an access into naturally aligned parts, at most four. Aligned accesses stay whole: hardware sees the width the guest used.
pub(super) fn split(reg: u16, size: u8) -> impl Iterator<Item = Lanes> {
    let mut done = 0u8;
    core::iter::from_fn(move || {
        let left = size.checked_sub(done).filter(|left| *left > 0)?;
        let at = reg.checked_add(u16::from(done))?;
        let width = [4u8, 2, 1]
            .into_iter()
            .find(|width| *width <= left && at.is_multiple_of(u16::from(*width)))?;
        let part = Lanes {
            reg: at,
            size: width,
            done_bits: u32::from(done) * 8,
        };
        done += width;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn parts(reg: u16, size: u8) -> Vec<(u16, u8, u32)> {
        split(reg, size)
            .map(|part| (part.reg, part.size, part.done_bits))
            .collect()
    }

    #[test]
    fn aligned_access_stays_whole() {
        assert_eq!(parts(4, 4), [(4, 4, 0)]);
        assert_eq!(parts(6, 2), [(6, 2, 0)]);
        assert_eq!(parts(7, 1), [(7, 1, 0)]);
    }

    #[test]
    fn misaligned_access_is_cut_at_natural_boundaries() {
        assert_eq!(parts(2, 4), [(2, 2, 0), (4, 2, 16)]);
        assert_eq!(parts(1, 4), [(1, 1, 0), (2, 2, 8), (4, 1, 24)]);
        assert_eq!(parts(3, 2), [(3, 1, 0), (4, 1, 8)]);
    }

    #[test]
    fn bytes_are_merged_in_place() {
        let part = Lanes {
            reg: 6,
            size: 2,
            done_bits: 0,
        };
        assert_eq!(part.mask(), 0xffff_0000);
        assert_eq!(part.merge(0x1122_3344, 0xffff_aabb), 0xaabb_3344);
        assert_eq!(part.extract(0xaabb_3344), 0xaabb);
        assert_eq!(
            Lanes {
                reg: 4,
                size: 4,
                done_bits: 0
            }
            .mask(),
            u32::MAX
        );
    }

    #[test]
    fn end_of_the_offset_space_ends_the_cut() {
        assert_eq!(parts(u16::MAX, 4), [(u16::MAX, 1, 0)]);
    }
}
