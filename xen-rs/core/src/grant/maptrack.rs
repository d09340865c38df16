//! The mapping half: what a domain has mapped of others' pages, by handle.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xen_abi::grant_table::{GNTST_BAD_HANDLE, GNTST_GENERAL_ERROR, GNTST_NO_SPACE};

use super::{Access, Status};
use crate::ids::{Domid, Gfn, Mfn};
use crate::p2m::{P2mEntry, PageType};

/// Handles in what the limit calls a frame, as in Xen.
pub const PER_FRAME: u32 = 256;
/// End of the free list.
const NONE: u32 = u32::MAX;

/// One mapping.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Whose page it is. The domain exists as long as its page is referenced, which is as long as the mapping.
    pub granter: Domid,
    /// Entry in the granter's table.
    pub reference: u32,
    /// How it is mapped.
    pub access: Access,
    /// Where in the mapper's guest-physical map.
    pub gfn: Gfn,
    /// The frame.
    pub mfn: Mfn,
}

impl Mapping {
    /// What the mapper's guest-physical map holds for it.
    pub const fn p2m_entry(&self) -> P2mEntry {
        let kind = match self.access {
            Access::Read => PageType::GrantRo,
            Access::Write => PageType::GrantRw,
        };
        P2mEntry {
            mfn: self.mfn,
            kind,
        }
    }
}

#[derive(Copy, Clone)]
enum Slot {
    Free {
        next: u32,
    },
    /// Being mapped or unmapped.
    Busy,
    Mapped(Mapping),
}

/// All mappings of a domain.
pub struct Maptrack {
    chunks: Vec<Box<[Slot]>>,
    max_chunks: u32,
    free: u32,
    mapped: u32,
    closed: bool,
    /// Where [`Self::take_any`] goes on.
    cursor: u32,
}

impl Maptrack {
    pub const fn new(max_frames: u32) -> Self {
        // Handles are 32 bits wide, and NONE is none.
        let most = NONE / PER_FRAME;
        let max_chunks = if max_frames < most { max_frames } else { most };
        Self {
            chunks: Vec::new(),
            max_chunks,
            free: NONE,
            mapped: 0,
            closed: false,
            cursor: 0,
        }
    }

    /// Handles in use or free.
    pub fn limit(&self) -> u32 {
        self.chunks.len() as u32 * PER_FRAME
    }

    /// Mappings.
    pub const fn mapped(&self) -> u32 {
        self.mapped
    }

    pub const fn max_frames(&self) -> u32 {
        self.max_chunks
    }

    /// No new mappings from now on.
    pub const fn close(&mut self) {
        self.closed = true;
    }

    fn slot(&mut self, handle: u32) -> Option<&mut Slot> {
        let chunk = self.chunks.get_mut((handle / PER_FRAME) as usize)?;
        Some(&mut chunk[(handle % PER_FRAME) as usize])
    }

    /// A handle for a mapping about to be made.
    ///
    /// # Errors
    /// `GNTST_no_space` when all are in use, `GNTST_general_error` for a dying domain.
    pub fn reserve(&mut self) -> Result<u32, Status> {
        if self.closed {
            return Err(Status(GNTST_GENERAL_ERROR));
        }
        if self.free == NONE {
            self.grow().ok_or(Status(GNTST_NO_SPACE))?;
        }
        let handle = self.free;
        let slot = self.slot(handle).expect("the free list holds handles");
        let Slot::Free { next } = *slot else {
            unreachable!("the free list holds free handles")
        };
        *slot = Slot::Busy;
        self.free = next;
        Ok(handle)
    }

    fn grow(&mut self) -> Option<()> {
        if self.chunks.len() as u32 >= self.max_chunks {
            return None;
        }
        let first = self.limit();
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(PER_FRAME as usize).ok()?;
        chunk.extend((1..PER_FRAME).map(|offset| Slot::Free {
            next: first + offset,
        }));
        chunk.push(Slot::Free { next: self.free });
        self.chunks.try_reserve(1).ok()?;
        self.chunks.push(chunk.into());
        self.free = first;
        Some(())
    }

    /// Records the mapping of a reserved handle, or puts back what [`Self::take`] returned.
    pub fn set(&mut self, handle: u32, mapping: Mapping) {
        if let Some(slot @ Slot::Busy) = self.slot(handle) {
            *slot = Slot::Mapped(mapping);
            self.mapped += 1;
        }
    }

    /// Gives back a handle that was reserved or taken.
    pub fn release(&mut self, handle: u32) {
        let next = self.free;
        if let Some(slot @ Slot::Busy) = self.slot(handle) {
            *slot = Slot::Free { next };
            self.free = handle;
        }
    }

    /// The mapping of a handle, if it is at `gfn`; it belongs to the caller until [`Self::set`] or [`Self::release`].
    ///
    /// # Errors
    /// `GNTST_bad_handle` if the handle names no mapping, `GNTST_general_error` if that is elsewhere.
    pub fn take(&mut self, handle: u32, gfn: Gfn) -> Result<Mapping, Status> {
        let mapping = self.get(handle)?;
        if mapping.gfn != gfn {
            return Err(Status(GNTST_GENERAL_ERROR));
        }
        Ok(self.set_busy(handle, mapping))
    }

    /// The mapping of a handle.
    ///
    /// # Errors
    /// `GNTST_bad_handle` if there is none.
    pub fn get(&mut self, handle: u32) -> Result<Mapping, Status> {
        match self.slot(handle) {
            Some(Slot::Mapped(mapping)) => Ok(*mapping),
            _ => Err(Status(GNTST_BAD_HANDLE)),
        }
    }

    fn set_busy(&mut self, handle: u32, mapping: Mapping) -> Mapping {
        if let Some(slot) = self.slot(handle) {
            *slot = Slot::Busy;
            self.mapped -= 1;
        }
        mapping
    }

    /// The next mapping, whatever its handle, for a dying domain. Looks at no more than `budget` slots and lowers it by those it looked at;
    /// `None` with budget left means that there are no more.
    pub fn take_any(&mut self, budget: &mut u32) -> Option<(u32, Mapping)> {
        while self.cursor < self.limit() && self.mapped != 0 && *budget > 0 {
            *budget -= 1;
            let handle = self.cursor;
            self.cursor += 1;
            if let Ok(mapping) = self.get(handle) {
                return Some((handle, self.set_busy(handle, mapping)));
            }
        }
        None
    }
}
