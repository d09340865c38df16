//! Ranges of physical addresses and the search for room in them.

use core::ops::Range;

/// Bytes in a page.
const PAGE: u64 = 4096;

/// Physical addresses from `start` up to, not including, `end`. Empty when `end <= start`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct PhysRange {
    /// First byte.
    pub start: u64,
    /// First byte after the range.
    pub end: u64,
}

impl From<Range<u64>> for PhysRange {
    fn from(range: Range<u64>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

impl PhysRange {
    /// The range of `len` bytes from `start`, cut at the end of the address space.
    #[must_use]
    pub const fn from_len(start: u64, len: u64) -> Self {
        Self {
            start,
            end: start.saturating_add(len),
        }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether both share a byte.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// What both share.
    #[must_use]
    pub const fn intersection(&self, other: &Self) -> Self {
        let start = if self.start > other.start {
            self.start
        } else {
            other.start
        };
        let end = if self.end < other.end {
            self.end
        } else {
            other.end
        };
        Self { start, end }
    }

    /// The whole pages inside.
    #[must_use]
    pub const fn pages_inside(&self) -> Self {
        let start = match self.start.checked_next_multiple_of(PAGE) {
            Some(start) => start,
            None => u64::MAX,
        };
        Self {
            start,
            end: self.end & !(PAGE - 1),
        }
    }

    /// The pages it touches; the address space's last page is left out.
    #[must_use]
    pub const fn pages_touched(&self) -> Self {
        let end = match self.end.checked_next_multiple_of(PAGE) {
            Some(end) => end,
            None => !(PAGE - 1),
        };
        Self {
            start: self.start & !(PAGE - 1),
            end,
        }
    }
}

/// The lowest `len` bytes aligned to `align` (a power of two) inside one of `spaces` (sorted), inside `window` and outside `taken`.
pub(super) fn lowest_free(
    spaces: impl Iterator<Item = PhysRange>,
    window: PhysRange,
    len: u64,
    align: u64,
    taken: &[PhysRange],
) -> Option<PhysRange> {
    for space in spaces {
        let space = space.intersection(&window);
        let mut start = space.start.checked_next_multiple_of(align)?;
        // Each step passes one of `taken` for good, so there are at most that many.
        for _ in 0..=taken.len() {
            let place = PhysRange {
                start,
                end: start.checked_add(len)?,
            };
            if !space.contains(&place) {
                break;
            }
            match taken.iter().find(|other| other.overlaps(&place)) {
                Some(other) => start = other.end.checked_next_multiple_of(align)?,
                None => return Some(place),
            }
        }
    }
    None
}

/// The highest `len` bytes aligned to `align` (a power of two) inside one of `spaces` (sorted), inside `window` and outside `taken`.
pub(super) fn highest_free(
    spaces: impl DoubleEndedIterator<Item = PhysRange>,
    window: PhysRange,
    len: u64,
    align: u64,
    taken: &[PhysRange],
) -> Option<PhysRange> {
    for space in spaces.rev() {
        let space = space.intersection(&window);
        let mut end = space.end;
        for _ in 0..=taken.len() {
            let Some(start) = end.checked_sub(len).map(|start| start & !(align - 1)) else {
                break;
            };
            let place = PhysRange::from_len(start, len);
            if !space.contains(&place) {
                break;
            }
            match taken.iter().find(|other| other.overlaps(&place)) {
                Some(other) => end = other.start,
                None => return Some(place),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(start: u64, end: u64) -> PhysRange {
        PhysRange { start, end }
    }

    const ALL: PhysRange = PhysRange {
        start: 0,
        end: u64::MAX,
    };

    #[test]
    fn pages_inside_and_touched_round_apart() {
        assert_eq!(r(0x1001, 0x3fff).pages_inside(), r(0x2000, 0x3000));
        assert_eq!(r(0x1001, 0x3fff).pages_touched(), r(0x1000, 0x4000));
        assert!(r(0x1001, 0x1fff).pages_inside().is_empty());
        assert!(r(u64::MAX - 5, u64::MAX).pages_inside().is_empty());
    }

    #[test]
    fn lowest_place_steps_over_what_is_taken() {
        let spaces = [r(0x1000, 0x3000), r(0x10000, 0x20000)];
        let find = |len, align, taken: &[PhysRange]| {
            lowest_free(spaces.into_iter(), ALL, len, align, taken).map(|p| p.start)
        };
        assert_eq!(find(0x2000, 0x1000, &[]), Some(0x1000));
        assert_eq!(find(0x2000, 0x1000, &[r(0x2fff, 0x3000)]), Some(0x10000));
        assert_eq!(
            find(0x2000, 0x1000, &[r(0x12000, 0x13000), r(0, 0x11000)]),
            Some(0x13000)
        );
        assert_eq!(find(0x20000, 0x1000, &[]), None);
        assert_eq!(find(u64::MAX, 0x1000, &[]), None);
    }

    #[test]
    fn highest_place_steps_down_over_what_is_taken() {
        let spaces = [r(0x1000, 0x3000), r(0x10000, 0x20000)];
        let find = |len, window, taken: &[PhysRange]| {
            highest_free(spaces.into_iter(), window, len, 0x1000, taken).map(|p| p.start)
        };
        assert_eq!(find(0x1000, ALL, &[]), Some(0x1f000));
        assert_eq!(find(0x1000, r(0, 0x18800), &[]), Some(0x17000));
        assert_eq!(find(0x1000, ALL, &[r(0x1f800, 0x20000)]), Some(0x1e000));
        assert_eq!(find(0x1000, ALL, &[r(0x10000, 0x20000)]), Some(0x2000));
        assert_eq!(find(0x11000, ALL, &[]), None);
    }
}
