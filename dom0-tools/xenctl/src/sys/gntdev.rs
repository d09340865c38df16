//! `/dev/xen/gntdev`: pages that others granted to dom0.

use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::ioctl::Opcode;
use xen_abi::errno::Errno;

use super::{Mapping, ioctl, open};

const MAP_GRANT_REF: Opcode = 0x0018_4700;
const UNMAP_GRANT_REF: Opcode = 0x0010_4701;

#[repr(C)]
struct Map {
    count: u32,
    pad: u32,
    index: u64,
    domain: u32,
    reference: u32,
}

#[repr(C)]
struct Unmap {
    index: u64,
    count: u32,
    pad: u32,
}

/// The handle.
pub(crate) struct Gntdev(OwnedFd);

impl Gntdev {
    pub(crate) fn open() -> Result<Self, Errno> {
        open("/dev/xen/gntdev", OFlags::empty()).map(Self)
    }

    /// Maps one page for writing. The number is given back by [`forget`](Self::forget), after the mapping is gone.
    pub(crate) fn map(&self, domain: u16, reference: u32) -> Result<(Mapping, u64), Errno> {
        let mut map = Map {
            count: 1,
            pad: 0,
            index: 0,
            domain: domain.into(),
            reference,
        };
        // SAFETY: The number is that of `struct ioctl_gntdev_map_grant_ref` with one entry.
        unsafe { ioctl::call(&self.0, MAP_GRANT_REF, &mut map) }?;
        match Mapping::of_file(&self.0, map.index, 1) {
            Ok(mapping) => Ok((mapping, map.index)),
            Err(errno) => {
                self.forget(map.index);
                Err(errno)
            }
        }
    }

    /// Ends what [`map`](Self::map) began. A refusal leaves it to the end of the handle.
    pub(crate) fn forget(&self, index: u64) {
        let mut unmap = Unmap {
            index,
            count: 1,
            pad: 0,
        };
        // SAFETY: The number is that of `struct ioctl_gntdev_unmap_grant_ref`; the driver keeps pages that are still mapped.
        let _ = unsafe { ioctl::call(&self.0, UNMAP_GRANT_REF, &mut unmap) };
    }
}

const _: () = assert!(size_of::<Map>() == (MAP_GRANT_REF >> 16) as usize);
const _: () = assert!(size_of::<Unmap>() == (UNMAP_GRANT_REF >> 16) as usize);
