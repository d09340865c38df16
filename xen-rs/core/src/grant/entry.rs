//! Entries of format 1 in memory that the guest shares: `{ flags: u16, domid: u16, frame: u32 }`.
//!
//! Flags and domain are changed as one word by compare-and-exchange, so that what was checked is what was marked. A guest that keeps
//! changing the word gets a few retries, not a livelock of the hypervisor.

use xen_abi::grant_table::{
    GNTST_GENERAL_ERROR, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_SUB_PAGE, GTF_TYPE_MASK,
    GTF_WRITING,
};

use super::{Access, Status};
use crate::hal::MachineMemory;
use crate::ids::{Domid, Gfn, Maddr};

/// Bytes of an entry.
pub const SIZE: u64 = 8;
/// Where in an entry the frame number is.
const FRAME: u64 = 4;
/// Attempts to mark an entry that its owner keeps changing; Xen's number.
const ATTEMPTS: u32 = 5;

/// Why an entry is about to be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A mapping: needs a grant of the whole page.
    Map,
    /// A copy.
    Copy,
}

/// Who wants to use an entry, and how.
#[derive(Copy, Clone, Debug)]
pub struct Use {
    /// The domain that maps or copies.
    pub peer: Domid,
    /// How.
    pub access: Access,
    /// What for.
    pub purpose: Purpose,
}

/// Marks the entry at `at` as in use. Whom it is granted to matters only for the first use.
///
/// # Errors
/// `GNTST_general_error` if the entry does not permit the use, or does not stand still.
pub fn mark(memory: &dyn MachineMemory, at: Maddr, wanted: Use, first: bool) -> Result<(), Status> {
    let mut word = memory.load_u32(at);
    for _ in 0..ATTEMPTS {
        if !permits(word, wanted, first) {
            break;
        }
        match memory.compare_exchange_u32(at, word, word | u32::from(marks(wanted.access))) {
            Ok(_) => return Ok(()),
            Err(found) => word = found,
        }
    }
    Err(Status(GNTST_GENERAL_ERROR))
}

fn permits(word: u32, wanted: Use, first: bool) -> bool {
    let (flags, domid) = (word as u16, (word >> 16) as u16);
    let kind = match wanted.purpose {
        Purpose::Map => flags & (GTF_TYPE_MASK | GTF_SUB_PAGE),
        Purpose::Copy => flags & GTF_TYPE_MASK,
    };
    let granted = kind == GTF_PERMIT_ACCESS && domid == wanted.peer.0;
    let writable = wanted.access == Access::Read || flags & GTF_READONLY == 0;
    (granted || !first) && writable
}

const fn marks(access: Access) -> u16 {
    match access {
        Access::Read => GTF_READING,
        Access::Write => GTF_READING | GTF_WRITING,
    }
}

/// Takes marks back.
pub fn unmark(memory: &dyn MachineMemory, at: Maddr, flags: u16) {
    if flags != 0 {
        memory.fetch_and_u32(at, !u32::from(flags));
    }
}

/// The page that the entry names. Only meaningful after [`mark`].
pub fn gfn(memory: &dyn MachineMemory, at: Maddr) -> Gfn {
    Gfn(u64::from(memory.load_u32(Maddr(at.0 + FRAME))))
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;
    use crate::fake::FakeMemory;

    const AT: Maddr = Maddr(0x1008);

    /// Memory whose guest changes a word between every load and exchange, for a while.
    struct Restless {
        inner: FakeMemory,
        changes: AtomicU32,
    }

    impl Restless {
        fn new(word: u32, changes: u32) -> Box<Self> {
            let inner = FakeMemory::new(2);
            inner.store_u32(AT, word);
            Box::new(Self {
                inner,
                changes: AtomicU32::new(changes),
            })
        }
    }

    macro_rules! passed_on {
        ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {
            $(fn $name(&self, $($arg: $kind),*) -> $result { self.inner.$name($($arg),*) })*
        };
    }

    impl MachineMemory for Restless {
        passed_on! {
            read(at: Maddr, into: &mut [u8]) -> ();
            write(at: Maddr, from: &[u8]) -> ();
            copy(from: Maddr, to: Maddr, len: usize) -> ();
            zero(frame: crate::ids::Mfn) -> ();
            load_u64(at: Maddr) -> u64;
            store_u64(at: Maddr, value: u64) -> ();
            load_u32(at: Maddr) -> u32;
            store_u32(at: Maddr, value: u32) -> ();
            compare_exchange_u64(at: Maddr, current: u64, new: u64) -> Result<u64, u64>;
            fetch_or_u64(at: Maddr, bits: u64) -> u64;
            fetch_and_u64(at: Maddr, bits: u64) -> u64;
            fetch_or_u32(at: Maddr, bits: u32) -> u32;
            fetch_and_u32(at: Maddr, bits: u32) -> u32;
            swap_u8(at: Maddr, value: u8) -> u8;
            load_u8(at: Maddr) -> u8;
        }

        fn compare_exchange_u32(&self, at: Maddr, current: u32, new: u32) -> Result<u32, u32> {
            if self
                .changes
                .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                .is_ok()
            {
                let word = self.inner.load_u32(at);
                // A cache attribute, which decides nothing.
                self.inner.store_u32(at, word ^ 1 << 5);
            }
            self.inner.compare_exchange_u32(at, current, new)
        }
    }

    const READ: Use = Use {
        peer: Domid(3),
        access: Access::Read,
        purpose: Purpose::Map,
    };
    const GRANTED: u32 = 3 << 16 | GTF_PERMIT_ACCESS as u32;

    #[test]
    fn entry_that_changes_a_few_times_is_marked() {
        let memory = Restless::new(GRANTED, 4);
        assert_eq!(mark(&*memory, AT, READ, true), Ok(()));
        assert_eq!(memory.load_u32(AT), GRANTED | u32::from(GTF_READING));
    }

    #[test]
    fn entry_that_never_stands_still_is_given_up() {
        let memory = Restless::new(GRANTED, 1000);
        assert_eq!(
            mark(&*memory, AT, READ, true),
            Err(Status(GNTST_GENERAL_ERROR))
        );
        assert_eq!(memory.load_u32(AT) as u16 & GTF_READING, 0);
    }

    #[test]
    fn unmarking_leaves_the_domain_and_other_flags() {
        let memory = Restless::new(GRANTED | u32::from(GTF_READING | GTF_WRITING), 0);
        unmark(&*memory, AT, GTF_READING | GTF_WRITING);
        assert_eq!(memory.load_u32(AT), GRANTED);
    }
}
