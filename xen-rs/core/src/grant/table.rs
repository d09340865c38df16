//! The granting half: shared frames and the active record of each entry.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::grant_table::{GNTST_BAD_GNTREF, GNTST_GENERAL_ERROR, GTF_READING, GTF_WRITING};

use super::entry::{self, Use};
use super::{Access, ENTRIES_PER_FRAME, INITIAL_FRAMES, Status};
use crate::domain::Domain;
use crate::hal::MachineMemory;
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, Gfn, Maddr, Mfn};

/// Uses of one kind that an entry can have at a time, as in Xen.
const MAX_USES: u8 = 128;

/// What is known of an entry in use. The frame is referenced while there are uses.
#[derive(Copy, Clone, Debug)]
pub struct Active {
    pub mfn: Mfn,
    pub peer: Domid,
    pub readers: u8,
    pub writers: u8,
}

impl Active {
    const UNUSED: Self = Self {
        mfn: Mfn::INVALID,
        peer: Domid::INVALID,
        readers: 0,
        writers: 0,
    };

    pub const fn is_used(&self) -> bool {
        self.readers != 0 || self.writers != 0
    }

    const fn uses(&mut self, access: Access) -> &mut u8 {
        match access {
            Access::Read => &mut self.readers,
            Access::Write => &mut self.writers,
        }
    }
}

/// A frame of entries.
pub struct Frame {
    /// The frame shared with the guest; given back when the domain dies, while others may still use its entries.
    pub shared: Option<Mfn>,
    /// Where the guest has placed the frame.
    pub placed_at: Option<Gfn>,
    active: Box<[Active]>,
}

/// Frames of entries.
#[derive(Default)]
pub struct Table {
    pub frames: Vec<Frame>,
    /// The domain is being destroyed: no new frames.
    pub closed: bool,
}

impl Table {
    pub fn nr_frames(&self) -> u32 {
        // Bounded by max_frames, a u32.
        self.frames.len() as u32
    }

    /// Makes the table `wanted` frames large, which the caller found to be allowed.
    ///
    /// # Errors
    /// `ENOMEM`; some frames may have been added then.
    pub fn grow(&mut self, hv: &Hypervisor, wanted: u32) -> Result<(), Errno> {
        while self.nr_frames() < wanted {
            let mut active = Vec::new();
            active
                .try_reserve_exact(ENTRIES_PER_FRAME as usize)
                .map_err(|_| Errno::ENOMEM)?;
            active.resize(ENTRIES_PER_FRAME as usize, Active::UNUSED);
            self.frames.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let shared = Some(hv.allocate_xen_page().ok_or(Errno::ENOMEM)?);
            self.frames.push(Frame {
                shared,
                placed_at: None,
                active: active.into(),
            });
        }
        Ok(())
    }

    /// The address of an entry and its record. The address is `None` after the shared frame was given back.
    fn entry(&mut self, reference: u32) -> Result<(Option<Maddr>, &mut Active), Status> {
        let frames = self.nr_frames().max(INITIAL_FRAMES);
        let (frame, index) = (reference / ENTRIES_PER_FRAME, reference % ENTRIES_PER_FRAME);
        if frame >= frames {
            return Err(Status(GNTST_BAD_GNTREF));
        }
        // The first frame counts as present before the guest has asked for it, but then it grants nothing.
        let frame = self
            .frames
            .get_mut(frame as usize)
            .ok_or(Status(GNTST_GENERAL_ERROR))?;
        let at = frame
            .shared
            .map(|mfn| Maddr(mfn.maddr().0 + u64::from(index) * entry::SIZE));
        Ok((at, &mut frame.active[index as usize]))
    }

    /// Begins a use of an entry of `granter`, whose table this is. Returns the frame, which stays referenced until [`Self::unpin`].
    ///
    /// # Errors
    /// `GNTST_bad_gntref` outside the table, `GNTST_bad_page` if no RAM of the granter is behind the entry, `GNTST_eagain` if it is on
    /// demand and no frame was found yet, `GNTST_general_error` if the entry does not permit the use, is in use by another domain or too
    /// often, or the granter dies.
    pub fn pin(
        &mut self,
        hv: &Hypervisor,
        granter: &Domain,
        reference: u32,
        wanted: Use,
    ) -> Result<Mfn, Status> {
        let (at, active) = self.entry(reference)?;
        let at = at
            .filter(|_| !granter.is_dying())
            .ok_or(Status(GNTST_GENERAL_ERROR))?;
        let used = active.is_used();
        if used && (active.peer != wanted.peer || *active.uses(wanted.access) >= MAX_USES) {
            return Err(Status(GNTST_GENERAL_ERROR));
        }
        if !used || (wanted.access == Access::Write && active.writers == 0) {
            entry::mark(hv.memory, at, wanted, !used)?;
        }
        if !used {
            let page = hv
                .get_granted_page(granter, entry::gfn(hv.memory, at))
                .map_err(|errno| {
                    entry::unmark(hv.memory, at, GTF_READING | GTF_WRITING);
                    Status::of_page(errno)
                })?;
            *active = Active {
                mfn: page.mfn,
                peer: wanted.peer,
                ..Active::UNUSED
            };
        }
        *active.uses(wanted.access) += 1;
        Ok(active.mfn)
    }

    /// Ends a use. After the last one the frame comes back; its reference is the caller's to drop, with no lock held.
    #[must_use]
    pub fn unpin(
        &mut self,
        memory: &dyn MachineMemory,
        reference: u32,
        access: Access,
    ) -> Option<Mfn> {
        let (at, active) = self.entry(reference).ok()?;
        let uses = active.uses(access);
        *uses = uses.checked_sub(1).expect("every use ends once");
        let unused = !active.is_used();
        let mut flags = 0;
        if access == Access::Write && active.writers == 0 {
            flags |= GTF_WRITING;
        }
        if unused {
            flags |= GTF_READING;
        }
        if let Some(at) = at {
            entry::unmark(memory, at, flags);
        }
        unused.then(|| core::mem::replace(active, Active::UNUSED).mfn)
    }

    /// Exchanges two unused entries.
    ///
    /// # Errors
    /// `GNTST_bad_gntref` outside the table, `GNTST_eagain` if one is in use.
    pub fn swap(&mut self, memory: &dyn MachineMemory, a: u32, b: u32) -> Result<(), Status> {
        let (at_a, used_a) = self.entry(a).map(|(at, active)| (at, active.is_used()))?;
        let (at_b, used_b) = self.entry(b).map(|(at, active)| (at, active.is_used()))?;
        if a == b {
            return Ok(());
        }
        if used_a || used_b {
            return Err(Status(xen_abi::grant_table::GNTST_EAGAIN));
        }
        if let (Some(at_a), Some(at_b)) = (at_a, at_b) {
            let (word_a, word_b) = (memory.load_u64(at_a), memory.load_u64(at_b));
            memory.store_u64(at_a, word_b);
            memory.store_u64(at_b, word_a);
        }
        Ok(())
    }

    /// The entries in use, with where they lie.
    pub fn used(&self) -> impl Iterator<Item = (u32, Option<Maddr>, &Active)> {
        self.frames.iter().enumerate().flat_map(|(number, frame)| {
            let entries = frame
                .active
                .iter()
                .enumerate()
                .filter(|(_, active)| active.is_used());
            entries.map(move |(index, active)| {
                let at = frame
                    .shared
                    .map(|mfn| Maddr(mfn.maddr().0 + index as u64 * entry::SIZE));
                (number as u32 * ENTRIES_PER_FRAME + index as u32, at, active)
            })
        })
    }
}
