//! Arguments of both widths, as one plain form each.

use xen_abi::compat::memory as compat;
use xen_abi::errno::Errno;
use xen_abi::memory::{
    AddToPhysmap, AddToPhysmapBatch, ForeignMemoryMap, MemAcquireResource, MemoryMap,
    MemoryReservation, PodTarget, RemoveFromPhysmap,
};
use zerocopy::{FromZeros, IntoBytes};

use crate::hypercall::call::element;
use crate::hypercall::{Call, Width};
use crate::ids::GuestAddr;

/// Frame numbers copied in at once.
pub const LIST_CHUNK: usize = 32;

/// A structure with a 32-bit twin.
pub trait Argument: Sized {
    /// Copies it in from the call's second argument.
    ///
    /// # Errors
    /// `EFAULT`.
    fn fetch(call: &mut Call<'_>) -> Result<Self, Errno>;
}

macro_rules! argument {
    ($name:ident, $narrow:ident => $convert:expr) => {
        impl Argument for $name {
            fn fetch(call: &mut Call<'_>) -> Result<Self, Errno> {
                let at = call.pointer(1);
                match call.width {
                    Width::Bits64 => call.fetch(at),
                    Width::Bits32 => {
                        let convert: fn(compat::$name) -> $name = |$narrow| $convert;
                        call.fetch(at).map(convert)
                    }
                }
            }
        }
    };
}

argument!(MemoryReservation, from => MemoryReservation {
    extent_start: from.extent_start.into(),
    nr_extents: from.nr_extents.into(),
    extent_order: from.extent_order,
    mem_flags: from.mem_flags,
    domid: from.domid,
    ..MemoryReservation::default()
});
argument!(AddToPhysmap, from => AddToPhysmap {
    domid: from.domid,
    size: from.size,
    space: from.space,
    idx: from.idx.into(),
    gpfn: wide_frame(from.gpfn),
});
argument!(AddToPhysmapBatch, from => AddToPhysmapBatch {
    domid: from.domid,
    space: from.space,
    size: from.size,
    foreign_domid: from.foreign_domid,
    idxs: from.idxs.into(),
    gpfns: from.gpfns.into(),
    errs: from.errs.into(),
});
argument!(RemoveFromPhysmap, from => RemoveFromPhysmap {
    domid: from.domid,
    gpfn: wide_frame(from.gpfn),
    ..RemoveFromPhysmap::default()
});
argument!(MemoryMap, from => wide_map(&from));
argument!(ForeignMemoryMap, from => ForeignMemoryMap {
    domid: from.domid,
    map: wide_map(&from.map),
    ..ForeignMemoryMap::default()
});
argument!(PodTarget, from => PodTarget {
    target_pages: from.target_pages.get(),
    domid: from.domid,
    ..PodTarget::default()
});
argument!(MemAcquireResource, from => MemAcquireResource {
    domid: from.domid,
    kind: from.kind,
    id: from.id,
    nr_frames: from.nr_frames,
    pad: from.pad,
    frame: from.frame.get(),
    frame_list: from.frame_list.into(),
});

fn wide_map(from: &compat::MemoryMap) -> MemoryMap {
    MemoryMap {
        nr_entries: from.nr_entries,
        buffer: from.buffer.into(),
        ..MemoryMap::default()
    }
}

/// A frame number of a 32-bit caller; its "no frame" stays none.
fn wide_frame(frame: u32) -> u64 {
    if frame == u32::MAX {
        u64::MAX
    } else {
        frame.into()
    }
}

/// Copies frame numbers `first..` of a guest's array into `into`, as many as can be read. The array's elements have the caller's width.
pub fn fetch_frames(call: &mut Call<'_>, array: u64, first: u64, into: &mut [u64]) -> usize {
    let (whole, one) = (into.len(), into.len().min(1));
    // A list that runs out of mapped memory is good up to there.
    [whole, one]
        .into_iter()
        .find(|&count| read_frames(call, array, first, &mut into[..count]).is_ok())
        .unwrap_or(0)
}

fn read_frames(call: &mut Call<'_>, array: u64, first: u64, into: &mut [u64]) -> Result<(), Errno> {
    match call.width {
        Width::Bits64 => {
            let at = element(GuestAddr(array), first, 8)?;
            call.guest.read(at, into.as_mut_bytes())
        }
        Width::Bits32 => {
            let at = element(GuestAddr(array), first, 4)?;
            let mut narrow = <[u32; LIST_CHUNK]>::new_zeroed();
            let narrow = narrow.get_mut(..into.len()).ok_or(Errno::E2BIG)?;
            call.guest.read(at, narrow.as_mut_bytes())?;
            into.iter_mut()
                .zip(narrow)
                .for_each(|(wide, narrow)| *wide = wide_frame(*narrow));
            Ok(())
        }
    }
}

/// Copies one index (`xen_ulong_t`) of a guest's array in.
///
/// # Errors
/// `EFAULT`.
pub fn fetch_index(call: &mut Call<'_>, array: u64, index: u64) -> Result<u64, Errno> {
    match call.width {
        Width::Bits64 => call.fetch_at(GuestAddr(array), index),
        Width::Bits32 => call.fetch_at::<u32>(GuestAddr(array), index).map(u64::from),
    }
}
