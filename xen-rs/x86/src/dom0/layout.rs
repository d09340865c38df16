//! Where kernel, initrd and start info go in dom0's RAM.
//!
//! The order of copying in the module documentation of `dom0` is assumed: initrd, then kernel, then start info. So the kernel may cover the
//! initrd's source, but not the buffer it is itself loaded from, and the initrd's new place may cover neither its source nor that buffer.

use kernel_image::{Image, KernelError};

use super::e820::Dom0Map;
use super::range::lowest_free;
use super::{BuildError, PhysRange};

const PAGE: u64 = 4096;
/// Nothing is put below: firmware's data and the tables Linux scans for live there.
const LOWEST: u64 = 1 << 20;
/// Linux identity-maps this much when it reads the start info.
const START_INFO_LIMIT: u64 = 1 << 30;
/// The boot protocol has 32-bit fields for the initrd.
const INITRD_LIMIT: u64 = 1 << 32;

/// What has to be placed.
#[derive(Copy, Clone, Debug)]
pub struct Request<'a> {
    /// dom0's memory.
    pub map: &'a Dom0Map,
    /// The kernel.
    pub kernel: &'a Image,
    /// Memory that holds the unpacked kernel while it is loaded.
    pub kernel_source: PhysRange,
    /// Memory that holds the initrd module.
    pub initrd_source: Option<PhysRange>,
    /// Length of the start-info block in bytes.
    pub start_info_len: u64,
}

/// Where everything goes. The ranges of kernel and start info are whole pages.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kernel; `start` is where its first page goes.
    pub kernel: PhysRange,
    /// Physical address of the entry point.
    pub entry: u32,
    /// The initrd, byte-exact. Equal to its source when it can stay where it is.
    pub initrd: Option<PhysRange>,
    /// The start-info block.
    pub start_info: PhysRange,
}

/// Places everything.
///
/// # Errors
/// [`BuildError::KernelPlaceTaken`], [`BuildError::NoRoom`].
pub fn choose(request: &Request<'_>) -> Result<Layout, BuildError> {
    let kernel = place_kernel(request)?;
    let entry = request
        .kernel
        .entry_at(kernel.start)
        .ok_or(KernelError::BadElf("entry point is above 4 GiB"))?;
    let initrd = request.initrd_source.filter(|source| !source.is_empty());
    let initrd = initrd
        .map(|source| place_initrd(request, kernel, source))
        .transpose()?;
    let taken = [kernel, initrd.unwrap_or_default(), request.kernel_source];
    let len = request.start_info_len;
    let start_info = find(
        request,
        len,
        PAGE,
        PhysRange {
            start: LOWEST,
            end: START_INFO_LIMIT,
        },
        &taken,
    )
    .ok_or(BuildError::NoRoom {
        part: "start information",
        bytes: len,
    })?;
    Ok(Layout {
        kernel,
        entry,
        initrd,
        start_info: start_info.pages_touched(),
    })
}

/// The linked address if it is free RAM, else the lowest one the kernel's note allows.
fn place_kernel(request: &Request<'_>) -> Result<PhysRange, BuildError> {
    let linked = PhysRange::from(request.kernel.extent.clone());
    let in_ram = request.map.usable().any(|ram| ram.contains(&linked));
    if in_ram && linked.start >= LOWEST && !linked.overlaps(&request.kernel_source) {
        return Ok(linked);
    }
    let taken = BuildError::KernelPlaceTaken {
        start: linked.start,
        end: linked.end,
    };
    let limits = request.kernel.relocation()?.ok_or(taken)?;
    let window = PhysRange {
        start: limits.min.max(LOWEST),
        end: limits.max.saturating_add(1),
    };
    let no_room = BuildError::NoRoom {
        part: "kernel",
        bytes: linked.len(),
    };
    find(
        request,
        linked.len(),
        limits.align,
        window,
        &[request.kernel_source],
    )
    .ok_or(no_room)
}

fn place_initrd(
    request: &Request<'_>,
    kernel: PhysRange,
    source: PhysRange,
) -> Result<PhysRange, BuildError> {
    let window = PhysRange {
        start: LOWEST,
        end: INITRD_LIMIT,
    };
    let pages = source.pages_touched();
    let in_ram = window.contains(&pages) && request.map.usable().any(|ram| ram.contains(&pages));
    if in_ram && source.start.is_multiple_of(PAGE) && !pages.overlaps(&kernel) {
        return Ok(source);
    }
    let taken = [kernel, source, request.kernel_source];
    let len = source.len().checked_next_multiple_of(PAGE);
    let place = len.and_then(|len| find(request, len, PAGE, window, &taken));
    let place = place.ok_or(BuildError::NoRoom {
        part: "initrd",
        bytes: source.len(),
    })?;
    Ok(PhysRange::from_len(place.start, source.len()))
}

fn find(
    request: &Request<'_>,
    len: u64,
    align: u64,
    window: PhysRange,
    taken: &[PhysRange],
) -> Option<PhysRange> {
    lowest_free(request.map.usable(), window, len, align, taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dom0::e820::{E820Entry, E820Kind};
    use kernel_image::sample;

    const MIB: u64 = 1 << 20;

    fn map(ranges: &[(u64, u64)]) -> Dom0Map {
        let host: alloc::vec::Vec<_> = ranges
            .iter()
            .map(|(start, end)| E820Entry::new(start * MIB, (end - start) * MIB, E820Kind::RAM))
            .collect();
        Dom0Map::new(&host, &[], u64::MAX).unwrap()
    }

    fn mib(start: u64, end: u64) -> PhysRange {
        PhysRange {
            start: start * MIB,
            end: end * MIB,
        }
    }

    fn place(
        map: &Dom0Map,
        kernel_source: PhysRange,
        initrd_source: Option<PhysRange>,
    ) -> Result<Layout, BuildError> {
        let kernel = Image::parse(&sample::kernel()).unwrap();
        let layout = choose(&Request {
            map,
            kernel: &kernel,
            kernel_source,
            initrd_source,
            start_info_len: 5000,
        })?;
        let placed = [
            layout.kernel,
            layout.start_info,
            layout.initrd.unwrap_or_default(),
        ];
        for (index, one) in placed.iter().enumerate() {
            assert!(one.is_empty() || map.usable().any(|ram| ram.contains(one)));
            assert!(
                placed
                    .iter()
                    .skip(index + 1)
                    .all(|other| !one.overlaps(other))
            );
            assert!(!one.overlaps(&kernel_source));
        }
        Ok(layout)
    }

    #[test]
    fn kernel_goes_where_it_was_linked_and_a_free_initrd_stays() {
        let initrd = PhysRange {
            start: 100 * MIB,
            end: 120 * MIB + 77,
        };
        let layout = place(&map(&[(0, 512)]), mib(200, 260), Some(initrd)).unwrap();
        assert_eq!(
            (layout.kernel.start, layout.entry),
            (0x100_0000, 0x100_0010)
        );
        assert_eq!(layout.initrd, Some(initrd));
        assert_eq!(
            layout.start_info,
            PhysRange {
                start: MIB,
                end: MIB + 0x2000
            }
        );
    }

    #[test]
    fn initrd_in_the_kernels_way_moves_off_its_own_source() {
        let source = mib(17, 40);
        let layout = place(&map(&[(0, 512)]), mib(200, 260), Some(source)).unwrap();
        let initrd = layout.initrd.unwrap();
        assert!(
            layout.kernel.start == 0x100_0000
                && initrd.len() == source.len()
                && !initrd.overlaps(&source)
        );
    }

    #[test]
    fn initrd_outside_dom0_memory_is_moved_in() {
        let layout = place(&map(&[(0, 128)]), mib(200, 260), Some(mib(300, 310))).unwrap();
        assert!(layout.initrd.unwrap().end <= 128 * MIB);
    }

    #[test]
    fn kernel_moves_when_its_place_is_no_ram_or_holds_its_source() {
        let hole = place(&map(&[(0, 15), (33, 512)]), mib(200, 260), None).unwrap();
        assert_eq!((hole.kernel.start, hole.entry), (34 * MIB, 0x220_0010));
        let source = place(&map(&[(0, 512)]), mib(10, 70), None).unwrap();
        assert_eq!(source.kernel.start, 70 * MIB);
    }

    #[test]
    fn kernel_that_cannot_move_is_named_with_its_place() {
        let mut notes = sample::note(b"Xen\0", 18, &0x100_0000_u32.to_le_bytes());
        notes.extend(sample::note(b"Xen\0", 17, &0x801_u32.to_le_bytes()));
        let kernel =
            Image::parse(&sample::elf64(&[(0x100_0000, &[0; 8], 0x1000)], &notes)).unwrap();
        let map = map(&[(0, 15)]);
        let request = Request {
            map: &map,
            kernel: &kernel,
            kernel_source: mib(300, 301),
            initrd_source: None,
            start_info_len: 100,
        };
        assert_eq!(
            choose(&request),
            Err(BuildError::KernelPlaceTaken {
                start: 0x100_0000,
                end: 0x100_1000
            })
        );
    }

    #[test]
    fn what_finds_no_room_is_named_with_its_size() {
        let kernel = place(&map(&[(0, 15)]), mib(300, 301), None);
        assert!(matches!(
            kernel,
            Err(BuildError::NoRoom { part: "kernel", .. })
        ));
        let initrd = place(&map(&[(0, 64)]), mib(300, 301), Some(mib(400, 500)));
        assert_eq!(
            initrd,
            Err(BuildError::NoRoom {
                part: "initrd",
                bytes: 100 * MIB
            })
        );
        let start_info =
            place(&map(&[(16, 19)]), mib(300, 301), None).map(|layout| layout.start_info.start);
        assert_eq!(start_info, Ok(0x120_5000));
    }

    #[test]
    fn wild_sources_are_survived() {
        let map = map(&[(0, 512)]);
        for source in [
            PhysRange {
                start: u64::MAX - 1,
                end: u64::MAX,
            },
            PhysRange {
                start: 5,
                end: u64::MAX,
            },
            mib(9, 3),
        ] {
            let _ = place(&map, mib(600, 700), Some(source));
        }
    }
}
