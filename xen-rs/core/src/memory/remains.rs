//! What a frame that nobody uses may still hold.
//!
//! A domain must never see what another, or the hypervisor, left in a frame. Every frame given back is therefore marked with what it may
//! hold, and scrubbed later: by a CPU that has nothing else to do, or when it is needed before that. What a living domain gave back is its
//! own: if it gets that frame again there is nothing to hide. The mark lies in the frame's record and belongs to whoever has the frame to
//! himself: the allocator (under its lock) while it is free, else the CPU that has just taken it.

use core::sync::atomic::Ordering::Relaxed;

use super::frame::FrameTable;
use crate::hal::MachineMemory;
use crate::ids::Mfn;

/// What a frame may hold.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Remains(pub(super) u32);

impl Remains {
    /// Zeroes.
    pub const ZEROES: Self = Self(0);
    /// Something nobody may see.
    pub const SECRETS: Self = Self(1);
    /// Something everybody may see: RAM as the boot loader left it, when the administrator says so (`bootscrub=no`).
    pub const HARMLESS: Self = Self(2);
    /// Larger values: something that only this one domain may see.
    pub(super) const FIRST_DOMAIN: u32 = 3;

    /// Whether the frame has to be scrubbed before everybody may see it.
    #[must_use]
    pub const fn is_dirty(self) -> bool {
        !matches!(self, Self::ZEROES | Self::HARMLESS)
    }
}

impl FrameTable {
    pub(super) fn remains(&self, frame: Mfn) -> Remains {
        self.info(frame)
            .map_or(Remains::SECRETS, |info| Remains(info.remains.load(Relaxed)))
    }

    pub(super) fn set_remains(&self, frame: Mfn, remains: Remains) {
        if let Some(info) = self.info(frame) {
            info.remains.store(remains.0, Relaxed);
        }
    }

    /// Zeroes those of `pages` frames that hold something else than what `keep` accepts.
    pub(super) fn scrub(
        &self,
        memory: &dyn MachineMemory,
        first: Mfn,
        pages: u64,
        keep: impl Fn(Remains) -> bool,
    ) {
        for frame in (first.0..first.0 + pages).map(Mfn) {
            if !keep(self.remains(frame)) {
                memory.zero(frame);
                self.set_remains(frame, Remains::ZEROES);
            }
        }
    }
}
