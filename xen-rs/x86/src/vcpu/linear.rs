//! The guest's linear memory as hypercalls and the emulator reach it.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_core::domain::Domain;
use xen_core::hypercall::LinearMemory;
use xen_core::hypervisor::Hypervisor;
use xen_core::ids::{Gfn, Gpa, GuestAddr, Maddr, PAGE_SIZE};

use super::State;
use super::backend::Backend;
use crate::guest_paging::{AccessKind, PagingState, Tables};

/// Page-table words of a guest.
pub struct GuestTables<'a> {
    /// The hypervisor.
    pub hv: &'a Hypervisor,
    /// The guest.
    pub domain: &'a Domain,
}

impl Tables for GuestTables<'_> {
    fn read(&mut self, at: Gpa, size: u8) -> Option<u64> {
        let mut bytes = [0; 8];
        self.hv
            .read_guest(self.domain, at, &mut bytes[..usize::from(size)])
            .ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn set_bits(&mut self, at: Gpa, size: u8, old: u64, bits: u64) {
        let map = self.domain.p2m.read();
        let Some(found) = map
            .lookup(at.gfn())
            .filter(|m| m.kind.is_memory() && m.kind.is_writable())
        else {
            return;
        };
        let word = Maddr(found.mfn.maddr().0 + at.page_offset() as u64);
        // A word that changed meanwhile is walked again by whoever needs it.
        if size == 8 {
            let _ = self.hv.memory.compare_exchange_u64(word, old, old | bits);
        } else {
            let _ = self
                .hv
                .memory
                .compare_exchange_u32(word, old as u32, (old | bits) as u32);
        }
    }
}

/// [`LinearMemory`] of the vCPU that makes a hypercall. Translations of the last page are kept for the duration of the call.
pub struct CallerMemory<'a> {
    hv: &'a Hypervisor,
    domain: &'a Arc<Domain>,
    paging: PagingState,
    last: [Option<(u64, Gfn)>; 2],
}

impl<'a> CallerMemory<'a> {
    /// The memory of the caller in `state`.
    #[must_use]
    pub fn new(hv: &'a Hypervisor, domain: &'a Arc<Domain>, state: &State) -> Self {
        Self {
            hv,
            domain,
            paging: state.hw.paging_state(),
            last: [None; 2],
        }
    }

    fn page(&mut self, at: u64, write: bool) -> Result<Gpa, Errno> {
        let (page, offset) = (at & !(PAGE_SIZE as u64 - 1), at & (PAGE_SIZE as u64 - 1));
        if let Some((_, gfn)) = self.last[usize::from(write)].filter(|(p, _)| *p == page) {
            return Ok(Gpa(gfn.gpa().0 + offset));
        }
        let access = AccessKind {
            write,
            ..AccessKind::default()
        };
        let mut tables = GuestTables {
            hv: self.hv,
            domain: self.domain,
        };
        let gpa = self
            .paging
            .translate(page, access, &mut tables)
            .map_err(|_| Errno::EFAULT)?;
        self.last[usize::from(write)] = Some((page, gpa.gfn()));
        Ok(Gpa(gpa.0 + offset))
    }
}

/// Splits a range at page borders.
fn pieces(at: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        (done < len).then(|| {
            let from = at.wrapping_add(done as u64);
            let piece = (PAGE_SIZE - (from as usize & (PAGE_SIZE - 1))).min(len - done);
            let item = (from, done, piece);
            done += piece;
            item
        })
    })
}

impl LinearMemory for CallerMemory<'_> {
    fn read(&mut self, at: GuestAddr, into: &mut [u8]) -> Result<(), Errno> {
        for (from, offset, len) in pieces(at.0, into.len()) {
            let gpa = self.page(from, false)?;
            self.hv
                .read_guest(self.domain, gpa, &mut into[offset..offset + len])?;
        }
        Ok(())
    }

    fn write(&mut self, at: GuestAddr, from: &[u8]) -> Result<(), Errno> {
        for (to, offset, len) in pieces(at.0, from.len()) {
            let gpa = self.page(to, true)?;
            self.hv
                .write_guest(self.domain, gpa, &from[offset..offset + len])?;
        }
        Ok(())
    }

    fn translate(&mut self, at: GuestAddr) -> Option<Gpa> {
        self.page(at.0, true).ok()
    }
}
