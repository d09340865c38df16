//! A set of interrupt vectors in the shape of the APIC's 256-bit registers (IRR, ISR, TMR): eight 32-bit words, vector N in word N / 32.

/// Vectors 0-15 are reserved (Intel SDM vol. 3, "Valid Interrupt Vectors"): no 256-bit register ever holds them.
pub const FIRST_VALID_VECTOR: u8 = 16;

/// Set of vectors 0-255.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorSet([u32; 8]);

impl VectorSet {
    /// The set without members.
    pub const EMPTY: Self = Self([0; 8]);

    /// Whether `vector` is a member.
    #[must_use]
    pub const fn contains(&self, vector: u8) -> bool {
        self.0[word_of(vector)] & bit_of(vector) != 0
    }

    /// Adds `vector`; true if it was not a member before.
    pub const fn insert(&mut self, vector: u8) -> bool {
        let word = &mut self.0[word_of(vector)];
        let fresh = *word & bit_of(vector) == 0;
        *word |= bit_of(vector);
        fresh
    }

    /// Removes `vector`; true if it was a member.
    pub const fn remove(&mut self, vector: u8) -> bool {
        let word = &mut self.0[word_of(vector)];
        let present = *word & bit_of(vector) != 0;
        *word &= !bit_of(vector);
        present
    }

    /// The member with the highest number, which is also the one with the highest priority.
    #[must_use]
    pub fn highest(&self) -> Option<u8> {
        self.0.iter().zip(0u8..8).rev().find_map(|(&word, index)| {
            let bit = word.checked_ilog2()?;
            // index <= 7 and bit <= 31, so the result is at most 255.
            Some(index * 32 + bit as u8)
        })
    }

    /// Word `index` (vectors `32 * index` and up); 0 if there is no such word.
    #[must_use]
    pub fn word(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// Replaces the bits of word `index` selected by `mask` with those of `bits`. A word that does not exist is ignored.
    pub fn merge_word(&mut self, index: usize, bits: u32, mask: u32) {
        if let Some(word) = self.0.get_mut(index) {
            *word = (*word & !mask) | (bits & mask);
        }
    }

    /// This set without the reserved vectors.
    #[must_use]
    pub const fn without_reserved(mut self) -> Self {
        self.0[0] &= 0xffff_0000;
        self
    }
}

const fn word_of(vector: u8) -> usize {
    (vector >> 5) as usize
}

const fn bit_of(vector: u8) -> u32 {
    1 << (vector & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highest_is_the_largest_member_and_none_when_empty() {
        let mut set = VectorSet::EMPTY;
        assert_eq!(set.highest(), None);
        for vector in 0..=255u8 {
            assert!(set.insert(vector));
            assert!(!set.insert(vector));
            assert_eq!(set.highest(), Some(vector));
        }
        for vector in (1..=255u8).rev() {
            assert!(set.remove(vector));
            assert!(!set.remove(vector));
            assert_eq!(set.highest(), Some(vector - 1));
        }
    }

    #[test]
    fn reserved_vectors_are_stripped() {
        let mut set = VectorSet::EMPTY;
        set.merge_word(0, u32::MAX, u32::MAX);
        set.merge_word(8, u32::MAX, u32::MAX);
        let set = set.without_reserved();
        assert!(!set.contains(15) && set.contains(16) && !set.contains(32));
        assert_eq!(set.word(8), 0);
    }
}
