//! dom0's memory map, of the same shape as the host's.
//!
//! dom0's RAM is identity-mapped, so its map is the host's with other kinds: what the hypervisor owns is reserved, RAM beyond the allotment
//! is unusable (Linux takes such ranges as address space for foreign pages). Entries are sorted, do not overlap, and adjacent ones differ
//! in kind. Kinds: `xen/include/public/arch-x86/hvm/start_info.h`; layout: ACPI 6.4, "INT 15H, E820H".

use alloc::vec::Vec;

use super::range::highest_free;
use super::{BuildError, PhysRange};

/// Most entries given to dom0: what Linux accepts (`E820_MAX_ENTRIES_ZEROPAGE`).
pub const DOM0_ENTRIES_MAX: usize = 128;
/// Most host entries looked at.
pub const HOST_ENTRIES_MAX: usize = 1024;
/// Entries kept back for cutting the allotment and the ACPI tables out of RAM.
const SPARE_ENTRIES: usize = 4;
const PAGE: u64 = 4096;
/// End of the memory that is taken over as firmware left it.
const LOW: u64 = 1 << 20;
/// Tables are put below this.
const FOUR_GIB: u64 = 1 << 32;

/// Kind of a memory range. Firmware may use values without a name.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct E820Kind(pub u32);

impl E820Kind {
    /// Usable memory.
    pub const RAM: Self = Self(1);
    /// Firmware or device memory.
    pub const RESERVED: Self = Self(2);
    /// ACPI tables.
    pub const ACPI: Self = Self(3);
    /// ACPI non-volatile storage.
    pub const NVS: Self = Self(4);
    /// Memory not to be used.
    pub const UNUSABLE: Self = Self(5);
    /// Disabled memory.
    pub const DISABLED: Self = Self(6);
    /// Persistent memory.
    pub const PMEM: Self = Self(7);
}

/// A range and its kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct E820Entry {
    /// Physical addresses.
    pub range: PhysRange,
    /// What is there.
    pub kind: E820Kind,
}

impl E820Entry {
    /// The entry of `len` bytes from `start`.
    #[must_use]
    pub const fn new(start: u64, len: u64, kind: E820Kind) -> Self {
        Self {
            range: PhysRange::from_len(start, len),
            kind,
        }
    }

    /// The 20 bytes of `XENMEM_memory_map`: start, length, kind.
    #[must_use]
    pub fn abi_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.range.start.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.range.len().to_le_bytes());
        bytes[16..].copy_from_slice(&self.kind.0.to_le_bytes());
        bytes
    }
}

/// What dom0 gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dom0Map {
    /// The map dom0 sees, at most [`DOM0_ENTRIES_MAX`] entries.
    pub entries: Vec<E820Entry>,
    /// Machine pages to give and identity-map to dom0, sorted; what [`Self::steal_acpi`] takes stays in here. Below 1 MiB these are the
    /// whole pages of RAM only: the rest of that area is firmware's, shared pages included, and is mapped like other reserved memory.
    pub ram: Vec<PhysRange>,
}

impl Dom0Map {
    /// Makes the map: dom0 gets the lowest `allotment_pages` pages of RAM outside `owned`, the hypervisor's own ranges.
    ///
    /// # Errors
    /// [`BuildError::MemoryMapTooLong`], [`BuildError::NoMemory`].
    pub fn new(
        host: &[E820Entry],
        owned: &[PhysRange],
        allotment_pages: u64,
    ) -> Result<Self, BuildError> {
        let mut entries = whole_pages(&sanitized(host)?);
        for range in owned {
            entries = repaint(
                &entries,
                range.pages_touched(),
                E820Kind::RAM,
                E820Kind::RESERVED,
            );
        }
        let entries = shortened(entries)?;
        let (entries, ram) = allot(&entries, allotment_pages);
        if ram.is_empty() {
            return Err(BuildError::NoMemory);
        }
        Ok(Self {
            entries: merged(entries),
            ram,
        })
    }

    /// Pages in [`Self::ram`].
    #[must_use]
    pub fn ram_pages(&self) -> u64 {
        self.ram.iter().map(|range| range.len() / PAGE).sum()
    }

    /// Ranges dom0 may use as RAM, as the map says it.
    pub(super) fn usable(&self) -> impl DoubleEndedIterator<Item = PhysRange> + '_ {
        self.entries
            .iter()
            .filter(|entry| entry.kind == E820Kind::RAM)
            .map(|entry| entry.range)
    }

    /// The highest room for `bytes` (rounded up to pages) in dom0's RAM outside `taken`.
    #[must_use]
    pub fn room_for(&self, bytes: u64, taken: &[PhysRange]) -> Option<PhysRange> {
        let len = bytes.checked_next_multiple_of(PAGE)?;
        let window = PhysRange {
            start: LOW,
            end: u64::MAX,
        };
        highest_free(self.usable(), window, len, PAGE, taken)
    }

    /// Turns `bytes` (rounded up to pages) of the highest RAM below 4 GiB and outside `taken` into ACPI memory. `taken` is what still holds
    /// something: the boot modules and the unpacked kernel.
    ///
    /// # Errors
    /// [`BuildError::NoRoom`].
    pub fn steal_acpi(&mut self, bytes: u64, taken: &[PhysRange]) -> Result<PhysRange, BuildError> {
        let no_room = BuildError::NoRoom {
            part: "ACPI tables",
            bytes,
        };
        let len = bytes
            .checked_next_multiple_of(PAGE)
            .filter(|len| *len != 0)
            .ok_or(no_room)?;
        let window = PhysRange {
            start: LOW,
            end: FOUR_GIB,
        };
        let place = highest_free(self.usable(), window, len, PAGE, taken).ok_or(no_room)?;
        self.entries = repaint(&self.entries, place, E820Kind::RAM, E820Kind::ACPI);
        Ok(place)
    }
}

/// The host's map without overlaps: where entries overlap, the higher kind wins, so that RAM never hides a reservation.
///
/// # Errors
/// [`BuildError::MemoryMapTooLong`].
pub fn sanitized(host: &[E820Entry]) -> Result<Vec<E820Entry>, BuildError> {
    if host.len() > HOST_ENTRIES_MAX {
        return Err(BuildError::MemoryMapTooLong {
            entries: host.len(),
        });
    }
    let host: Vec<_> = host
        .iter()
        .filter(|entry| !entry.range.is_empty())
        .collect();
    let mut bounds: Vec<u64> = host
        .iter()
        .flat_map(|entry| [entry.range.start, entry.range.end])
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    let mut entries = Vec::new();
    for pair in bounds.windows(2) {
        let &[start, end] = pair else { continue };
        let range = PhysRange { start, end };
        if let Some(kind) = host
            .iter()
            .filter(|entry| entry.range.contains(&range))
            .map(|entry| entry.kind)
            .max()
        {
            entries.push(E820Entry { range, kind });
        }
    }
    Ok(merged(entries))
}

/// Makes RAM whole pages; the rest of a page it shares with something else becomes reserved, or, below 1 MiB, a hole as on Xen.
fn whole_pages(entries: &[E820Entry]) -> Vec<E820Entry> {
    let mut result = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.kind != E820Kind::RAM {
            result.push(*entry);
            continue;
        }
        let PhysRange { start, end } = entry.range;
        let pages = entry.range.pages_inside();
        if end <= LOW {
            result.push(E820Entry {
                range: pages,
                kind: E820Kind::RAM,
            });
            continue;
        }
        // Without a whole page inside, everything is the remainder in front.
        let (first, last) = if pages.is_empty() {
            (end, end)
        } else {
            (pages.start, pages.end)
        };
        let parts = [
            (start, first, E820Kind::RESERVED),
            (first, last, E820Kind::RAM),
            (last, end, E820Kind::RESERVED),
        ];
        result.extend(parts.map(|(start, end, kind)| E820Entry {
            range: PhysRange { start, end },
            kind,
        }));
    }
    merged(result)
}

/// Gives `to` to what is of kind `from` inside `range`.
fn repaint(
    entries: &[E820Entry],
    range: PhysRange,
    from: E820Kind,
    to: E820Kind,
) -> Vec<E820Entry> {
    let mut result = Vec::with_capacity(entries.len() + 2);
    for entry in entries {
        if entry.kind != from || !entry.range.overlaps(&range) {
            result.push(*entry);
            continue;
        }
        let PhysRange { start, end } = entry.range;
        let inside = entry.range.intersection(&range);
        let parts = [
            (start, inside.start, from),
            (inside.start, inside.end, to),
            (inside.end, end, from),
        ];
        result.extend(parts.map(|(start, end, kind)| E820Entry {
            range: PhysRange { start, end },
            kind,
        }));
    }
    merged(result)
}

/// Drops empty entries and joins adjacent ones of one kind.
fn merged(entries: Vec<E820Entry>) -> Vec<E820Entry> {
    let mut result: Vec<E820Entry> = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().filter(|entry| !entry.range.is_empty()) {
        match result.last_mut() {
            Some(last) if last.range.end == entry.range.start && last.kind == entry.kind => {
                last.range.end = entry.range.end
            }
            _ => result.push(entry),
        }
    }
    result
}

/// Brings the map down to what dom0 accepts: the smallest RAM ranges become reserved, one after the other, until it fits.
fn shortened(mut entries: Vec<E820Entry>) -> Result<Vec<E820Entry>, BuildError> {
    let found = entries.len();
    while entries.len() > DOM0_ENTRIES_MAX - SPARE_ENTRIES {
        let ram = entries
            .iter_mut()
            .filter(|entry| entry.kind == E820Kind::RAM);
        let smallest = ram
            .min_by_key(|entry| entry.range.len())
            .ok_or(BuildError::MemoryMapTooLong { entries: found })?;
        smallest.kind = E820Kind::RESERVED;
        entries = merged(entries);
    }
    Ok(entries)
}

/// Gives out RAM from below; what is beyond the allotment becomes unusable.
fn allot(entries: &[E820Entry], pages: u64) -> (Vec<E820Entry>, Vec<PhysRange>) {
    let mut left = pages.saturating_mul(PAGE);
    let mut ram = Vec::new();
    let mut result = Vec::with_capacity(entries.len() + 1);
    for entry in entries {
        if entry.kind != E820Kind::RAM {
            result.push(*entry);
            continue;
        }
        let PhysRange { start, end } = entry.range;
        let available = entry.range.pages_inside();
        let given = PhysRange::from_len(available.start, available.len().min(left));
        left = left.saturating_sub(given.len());
        if !given.is_empty() {
            ram.push(given);
        }
        // Only memory below 1 MiB may have a remainder that is no whole page; it keeps its kind with the rest.
        let cut = if given.end == available.end {
            end
        } else {
            given.end
        };
        let cut = if given.is_empty() { start } else { cut };
        let parts = [(start, cut, E820Kind::RAM), (cut, end, E820Kind::UNUSABLE)];
        result.extend(parts.map(|(start, end, kind)| E820Entry {
            range: PhysRange { start, end },
            kind,
        }));
    }
    (result, ram)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn e(start: u64, end: u64, kind: E820Kind) -> E820Entry {
        E820Entry {
            range: PhysRange { start, end },
            kind,
        }
    }

    /// A PC with 2 GiB below and 2 GiB above the hole.
    fn host() -> Vec<E820Entry> {
        vec![
            e(0, 0x9fc00, E820Kind::RAM),
            e(0x9fc00, 0xa0000, E820Kind::RESERVED),
            e(0xf0000, 0x10_0000, E820Kind::RESERVED),
            e(0x10_0000, 0x7ffd_f000, E820Kind::RAM),
            e(0x7ffd_f000, 0x8000_0000, E820Kind::ACPI),
            e(0xfec0_0000, 0xfec0_1000, E820Kind::RESERVED),
            e(0x1_0000_0000, 0x1_8000_0000, E820Kind::RAM),
        ]
    }

    fn kind_at(map: &Dom0Map, address: u64) -> Option<E820Kind> {
        map.entries
            .iter()
            .find(|entry| entry.range.start <= address && address < entry.range.end)
            .map(|entry| entry.kind)
    }

    #[test]
    fn shape_is_the_hosts_and_ram_beyond_the_allotment_is_unusable() {
        let map = Dom0Map::new(&host(), &[], 0x1_0000).unwrap();
        assert_eq!(map.ram_pages(), 0x1_0000);
        assert_eq!(
            map.ram[0],
            PhysRange {
                start: 0,
                end: 0x9f000
            }
        );
        let end = map.ram[1].end;
        assert_eq!(end, 0x10_0000 + (0x1_0000 - 0x9f) * 4096);
        assert_eq!(kind_at(&map, end - 1), Some(E820Kind::RAM));
        assert_eq!(kind_at(&map, end), Some(E820Kind::UNUSABLE));
        assert_eq!(kind_at(&map, 0x1_0000_0000), Some(E820Kind::UNUSABLE));
        assert_eq!(kind_at(&map, 0x7ffd_f000), Some(E820Kind::ACPI));
        assert_eq!(kind_at(&map, 0xc0000), None);
    }

    #[test]
    fn whole_map_is_the_hosts_but_for_the_end_of_low_ram() {
        let map = Dom0Map::new(&host(), &[], u64::MAX).unwrap();
        let mut expected = host();
        expected[0].range.end = 0x9f000;
        assert_eq!(map.entries, expected);
    }

    #[test]
    fn room_is_found_in_dom0s_ram_beside_what_is_taken() {
        let map = Dom0Map::new(&host(), &[], 512 * MIB / 4096).unwrap();
        let end = map.ram[1].end;
        let module = PhysRange {
            start: end - 16 * MIB,
            end: end - MIB + 5,
        };
        assert_eq!(
            map.room_for(MIB, &[module]),
            Some(PhysRange::from_len(end - 17 * MIB, MIB))
        );
        assert_eq!(
            map.room_for(100, &[]),
            Some(PhysRange::from_len(end - 4096, 4096))
        );
        assert_eq!(map.room_for(500 * MIB, &[module]), None);
        assert_eq!(map.room_for(u64::MAX, &[]), None);
    }

    #[test]
    fn what_the_hypervisor_owns_is_reserved_and_not_given() {
        let owned = [
            PhysRange {
                start: 0x8000,
                end: 0x9000,
            },
            PhysRange {
                start: 2 * MIB,
                end: 4 * MIB + 1,
            },
        ];
        let map = Dom0Map::new(&host(), &owned, u64::MAX).unwrap();
        assert_eq!(kind_at(&map, 0x8000), Some(E820Kind::RESERVED));
        assert_eq!(kind_at(&map, 4 * MIB + 4095), Some(E820Kind::RESERVED));
        assert_eq!(kind_at(&map, 4 * MIB + 4096), Some(E820Kind::RAM));
        assert!(
            map.ram
                .iter()
                .all(|ram| owned.iter().all(|own| !ram.overlaps(own)))
        );
        // Owning something that is no RAM changes nothing.
        let map = Dom0Map::new(
            &host(),
            &[PhysRange {
                start: 0xfec0_0000,
                end: 0xfec0_1000,
            }],
            u64::MAX,
        )
        .unwrap();
        let untouched = Dom0Map::new(&host(), &[], u64::MAX).unwrap();
        assert_eq!(map.entries, untouched.entries);
    }

    #[test]
    fn overlapping_and_unsorted_firmware_entries_are_resolved_in_favour_of_reservations() {
        let host = [
            e(0x20_0000, 0x40_0000, E820Kind::RAM),
            e(0x30_0000, 0x30_1000, E820Kind::NVS),
            e(0x10_0000, 0x28_0000, E820Kind::RAM),
            e(0x50_0000, 0x50_0000, E820Kind::RAM),
            e(0x60_0000, 0x10_0000, E820Kind::RAM),
        ];
        let map = Dom0Map::new(&host, &[], u64::MAX).unwrap();
        assert_eq!(map.entries.len(), 3);
        assert_eq!(map.entries[0], e(0x10_0000, 0x30_0000, E820Kind::RAM));
        assert_eq!(map.entries[1], e(0x30_0000, 0x30_1000, E820Kind::NVS));
    }

    #[test]
    fn ram_that_is_no_whole_page_is_reserved() {
        let map = Dom0Map::new(
            &[
                e(0x10_0800, 0x10_2800, E820Kind::RAM),
                e(0x20_0010, 0x20_0020, E820Kind::RAM),
            ],
            &[],
            9,
        )
        .unwrap();
        assert_eq!(
            map.ram,
            [PhysRange {
                start: 0x10_1000,
                end: 0x10_2000
            }]
        );
        assert_eq!(kind_at(&map, 0x10_0800), Some(E820Kind::RESERVED));
        assert_eq!(kind_at(&map, 0x20_0010), Some(E820Kind::RESERVED));
    }

    #[test]
    fn acpi_room_comes_from_the_top_below_four_gib_and_avoids_what_is_taken() {
        let mut map = Dom0Map::new(&host(), &[], u64::MAX).unwrap();
        let place = map
            .steal_acpi(
                5000,
                &[PhysRange {
                    start: 0x7ffd_e800,
                    end: 0x7ffd_f000,
                }],
            )
            .unwrap();
        assert_eq!(
            place,
            PhysRange {
                start: 0x7ffd_c000,
                end: 0x7ffd_e000
            }
        );
        assert_eq!(kind_at(&map, place.start), Some(E820Kind::ACPI));
        assert_eq!(kind_at(&map, place.end), Some(E820Kind::RAM));
        assert!(map.ram.iter().any(|ram| ram.contains(&place)));
        assert!(
            map.steal_acpi(u64::MAX, &[]).is_err()
                && map.steal_acpi(0, &[]).is_err()
                && map.steal_acpi(4 << 30, &[]).is_err()
        );
    }

    #[test]
    fn fragmented_maps_are_shortened_by_giving_up_small_ranges() {
        let mut host: Vec<_> = (1..200)
            .map(|n| e(n * MIB, n * MIB + n * 4096, E820Kind::RAM))
            .collect();
        assert_eq!(
            Dom0Map::new(&host, &[], u64::MAX),
            Err(BuildError::MemoryMapTooLong { entries: 199 })
        );
        host.extend((1..200).map(|n| e(n * MIB + n * 4096, (n + 1) * MIB, E820Kind::RESERVED)));
        let mut map = Dom0Map::new(&host, &[], 20_000).unwrap();
        assert!(map.ram.last().unwrap().start >= 199 * MIB);
        map.steal_acpi(4096, &[]).unwrap();
        assert!(map.entries.len() <= DOM0_ENTRIES_MAX);
    }

    #[test]
    fn nothing_to_give_and_endless_maps_are_errors() {
        assert_eq!(Dom0Map::new(&[], &[], 5), Err(BuildError::NoMemory));
        assert_eq!(Dom0Map::new(&host(), &[], 0), Err(BuildError::NoMemory));
        assert!(matches!(
            Dom0Map::new(&vec![host()[0]; 2000], &[], 5),
            Err(BuildError::MemoryMapTooLong { entries: 2000 })
        ));
        let edge = [
            e(u64::MAX - 8191, u64::MAX, E820Kind::RAM),
            e(0, u64::MAX, E820Kind::UNUSABLE),
        ];
        assert_eq!(Dom0Map::new(&edge, &[], 5), Err(BuildError::NoMemory));
    }

    #[test]
    fn abi_entries_have_twenty_bytes() {
        let bytes = E820Entry::new(0x1000, 0x2000, E820Kind::ACPI).abi_bytes();
        assert_eq!((bytes[1], bytes[9], bytes[16]), (0x10, 0x20, 3));
    }
}
