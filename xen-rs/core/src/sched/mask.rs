//! Sets of physical CPUs: a plain value and a lock-free shared one.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::ids::CpuId;

/// Physical CPUs a [`CpuMask`] can name; larger machines run on their first 256.
pub const MAX_CPUS: usize = 256;
const WORDS: usize = MAX_CPUS / 64;

/// A set of physical CPUs. CPUs from [`MAX_CPUS`] up are never members.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct CpuMask([u64; WORDS]);

impl CpuMask {
    /// No CPU.
    pub const EMPTY: Self = Self([0; WORDS]);
    /// Every CPU, present or not: "no restriction".
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// The set of exactly one CPU.
    #[must_use]
    pub fn only(cpu: CpuId) -> Self {
        let mut mask = Self::EMPTY;
        mask.insert(cpu);
        mask
    }

    /// CPUs 0 to `count - 1`.
    #[must_use]
    pub fn first(count: u32) -> Self {
        (0..count.min(MAX_CPUS as u32)).map(CpuId).collect()
    }

    /// Reads a `xenctl_bitmap`: bit 0 of byte 0 is CPU 0; bits from [`MAX_CPUS`] up are dropped.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut mask = Self::EMPTY;
        for (index, byte) in bytes.iter().take(MAX_CPUS / 8).enumerate() {
            mask.0[index / 8] |= u64::from(*byte) << (index % 8 * 8);
        }
        mask
    }

    /// The set as the bytes of a `xenctl_bitmap`.
    #[must_use]
    pub fn to_bytes(self) -> [u8; MAX_CPUS / 8] {
        let mut bytes = [0; MAX_CPUS / 8];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Adds a CPU.
    pub fn insert(&mut self, cpu: CpuId) {
        if let Some((word, bit)) = position(cpu) {
            self.0[word] |= bit;
        }
    }

    /// Takes a CPU out.
    pub fn remove(&mut self, cpu: CpuId) {
        if let Some((word, bit)) = position(cpu) {
            self.0[word] &= !bit;
        }
    }

    /// Whether the CPU is a member.
    #[must_use]
    pub fn contains(&self, cpu: CpuId) -> bool {
        position(cpu).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }

    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Members of both sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// Members of either set.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// Members of this set that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(core::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The lowest member.
    #[must_use]
    pub fn lowest(&self) -> Option<CpuId> {
        self.iter().next()
    }

    /// The highest member.
    #[must_use]
    pub fn highest(&self) -> Option<CpuId> {
        let word = self.0.iter().rposition(|word| *word != 0)?;
        Some(CpuId(word as u32 * 64 + 63 - self.0[word].leading_zeros()))
    }

    /// The first member after `cpu`, starting again from 0 at the end: spreads work instead of piling it on the lowest CPU.
    #[must_use]
    pub fn next_after(&self, cpu: CpuId) -> Option<CpuId> {
        let low = Self::first(cpu.0.saturating_add(1));
        self.without(&low).lowest().or_else(|| self.lowest())
    }

    /// Members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + use<> {
        let mut words = self.0;
        let mut at = 0;
        core::iter::from_fn(move || {
            while at < WORDS && words[at] == 0 {
                at += 1;
            }
            let word = words.get_mut(at)?;
            let bit = word.trailing_zeros();
            *word &= *word - 1;
            Some(CpuId(at as u32 * 64 + bit))
        })
    }
}

impl FromIterator<CpuId> for CpuMask {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        let mut mask = Self::EMPTY;
        cpus.into_iter().for_each(|cpu| mask.insert(cpu));
        mask
    }
}

/// Ranges, as in `0-3,8`; `-` for the empty set.
impl fmt::Display for CpuMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        let mut comma = "";
        let mut left = *self;
        while let Some(start) = left.lowest() {
            let mut end = start;
            while left.contains(CpuId(end.0 + 1)) {
                end = CpuId(end.0 + 1);
            }
            (start.0..=end.0).for_each(|cpu| left.remove(CpuId(cpu)));
            write!(f, "{comma}{}", start.0)?;
            if end != start {
                write!(f, "-{}", end.0)?;
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for CpuMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// A shared set. Each word is atomic, the whole is not: readers treat what they see as a hint.
#[derive(Debug, Default)]
pub struct AtomicCpuMask([AtomicU64; WORDS]);

impl AtomicCpuMask {
    /// The members now, word by word.
    #[must_use]
    pub fn load(&self) -> CpuMask {
        CpuMask(core::array::from_fn(|i| self.0[i].load(Ordering::Relaxed)))
    }

    /// Replaces the set, word by word.
    pub fn store(&self, mask: CpuMask) {
        for (word, value) in self.0.iter().zip(mask.0) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Adds a CPU.
    pub fn insert(&self, cpu: CpuId) {
        if let Some((word, bit)) = position(cpu) {
            self.0[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Takes a CPU out.
    pub fn remove(&self, cpu: CpuId) {
        if let Some((word, bit)) = position(cpu) {
            self.0[word].fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Whether the CPU is a member now.
    #[must_use]
    pub fn contains(&self, cpu: CpuId) -> bool {
        position(cpu).is_some_and(|(word, bit)| self.0[word].load(Ordering::Relaxed) & bit != 0)
    }
}

fn position(cpu: CpuId) -> Option<(usize, u64)> {
    let index = cpu.0 as usize;
    (index < MAX_CPUS).then(|| (index / 64, 1 << (index % 64)))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn members_are_listed_in_order_across_words() {
        let mask: CpuMask = [200, 3, 64, 63].map(CpuId).into_iter().collect();
        assert_eq!(
            mask.iter().map(|cpu| cpu.0).collect::<Vec<_>>(),
            [3, 63, 64, 200]
        );
        assert_eq!(
            (mask.lowest(), mask.highest(), mask.len()),
            (Some(CpuId(3)), Some(CpuId(200)), 4)
        );
        assert_eq!(CpuMask::EMPTY.highest(), None);
    }

    #[test]
    fn cpus_beyond_the_limit_are_never_members() {
        let mut mask = CpuMask::ALL;
        mask.insert(CpuId(256));
        assert!(!mask.contains(CpuId(256)) && !mask.contains(CpuId(u32::MAX)));
        assert_eq!(mask.len(), 256);
        assert_eq!(mask.next_after(CpuId(u32::MAX)), Some(CpuId(0)));
    }

    #[test]
    fn search_for_the_next_member_wraps() {
        let mask: CpuMask = [1, 5].map(CpuId).into_iter().collect();
        assert_eq!(mask.next_after(CpuId(1)), Some(CpuId(5)));
        assert_eq!(mask.next_after(CpuId(5)), Some(CpuId(1)));
        assert_eq!(CpuMask::EMPTY.next_after(CpuId(5)), None);
    }

    #[test]
    fn bitmap_bytes_round_trip() {
        let mask: CpuMask = [0, 9, 77, 255].map(CpuId).into_iter().collect();
        assert_eq!(CpuMask::from_bytes(&mask.to_bytes()), mask);
        assert_eq!(
            CpuMask::from_bytes(&[0b101]),
            [0, 2].map(CpuId).into_iter().collect()
        );
    }

    #[test]
    fn display_uses_ranges() {
        let mask: CpuMask = [0, 1, 2, 3, 8, 255].map(CpuId).into_iter().collect();
        assert_eq!(format!("{mask} {}", CpuMask::EMPTY), "0-3,8,255 -");
        assert_eq!(format!("{}", CpuMask::ALL), "0-255");
    }

    #[test]
    fn set_algebra() {
        let (low, all) = (CpuMask::first(2), CpuMask::first(4));
        assert_eq!(all.without(&low), [2, 3].map(CpuId).into_iter().collect());
        assert_eq!(low.or(&all), all);
        assert_eq!(low.and(&all), low);
    }
}
