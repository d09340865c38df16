//! Frames on their way out of the allocator.

use super::frame::FrameTable;
use super::free_lists::Buddy;
use super::remains::Remains;
use crate::hal::MachineMemory;
use crate::ids::Mfn;

/// An aligned run of `1 << order` frames that may still hold something. Whoever takes it says what may be seen of that, and only then gets
/// the frames. Nobody else uses them, so no lock is needed.
#[derive(Debug)]
#[must_use = "the frames are lost unless they are used or given back"]
pub struct Block(pub(super) Buddy);

impl Block {
    fn first(&self) -> Mfn {
        Mfn(u64::from(self.0.head))
    }

    /// The first frame; all hold zeroes.
    pub fn zeroed(self, table: FrameTable, memory: &dyn MachineMemory) -> Mfn {
        let pages = u64::from(self.0.pages());
        table.scrub(memory, self.first(), pages, |found| {
            found == Remains::ZEROES
        });
        self.first()
    }

    /// The first frame; all hold zeroes, something harmless, or what the domain that marks its frames with `own` left there.
    pub fn scrubbed_for(self, own: Remains, table: FrameTable, memory: &dyn MachineMemory) -> Mfn {
        let clean = u64::from(self.0.clean);
        let from = Mfn(self.first().0 + clean);
        let pages = u64::from(self.0.pages()) - clean;
        table.scrub(memory, from, pages, |found| {
            found == own || !found.is_dirty()
        });
        self.first()
    }

    /// The first frame; they hold what they hold. For memory that no domain ever sees.
    pub fn unscrubbed(self) -> Mfn {
        self.first()
    }
}

/// Free frames to be scrubbed. They count as free; nobody else finds them.
#[derive(Debug)]
#[must_use = "has to be scrubbed and given back"]
pub struct Piece(pub(super) Buddy);

/// The same frames afterwards.
#[derive(Debug)]
#[must_use = "has to be given back"]
pub struct Scrubbed {
    pub(super) frames: Buddy,
    /// So many of them were dirty.
    pub(super) were_dirty: u64,
}

impl Piece {
    /// Zeroes what has to be scrubbed. To be called without the allocator's lock.
    ///
    /// Much of it holds zeroes already, and a look is cheap where that is not so: it ends at the first other byte. Where this machine is an
    /// emulated one, memory that is only looked at need not be provided.
    pub fn scrub(self, table: FrameTable, memory: &dyn MachineMemory) -> Scrubbed {
        let first = Mfn(u64::from(self.0.head));
        let pages = u64::from(self.0.pages());
        let mut were_dirty = 0;
        for frame in (first.0..first.0 + pages).map(Mfn) {
            if table.remains(frame).is_dirty() {
                if !memory.is_zero(frame) {
                    memory.zero(frame);
                }
                table.set_remains(frame, Remains::ZEROES);
                were_dirty += 1;
            }
        }
        Scrubbed {
            frames: Buddy {
                clean: self.0.pages(),
                ..self.0
            },
            were_dirty,
        }
    }
}
