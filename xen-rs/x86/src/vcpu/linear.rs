//! The guest's linear memory as hypercalls and the emulator reach it.

use xen_abi::errno::Errno;
use xen_core::domain::Domain;
use xen_core::hal::MachineMemory;
use xen_core::hypercall::LinearMemory;
use xen_core::hypervisor::Hypervisor;
use xen_core::ids::{Gpa, GuestAddr, PAGE_SIZE};

use super::State;
use super::backend::Backend;
use super::translation::{Memory, TranslationCache};
use crate::guest_paging::{AccessKind, PageFault, PagingState};

const READ: AccessKind = AccessKind {
    write: false,
    user: false,
    fetch: false,
    implicit: false,
};
const WRITE: AccessKind = AccessKind {
    write: true,
    ..READ
};

/// RAM: known at compile time, so that reading a word is no call; tests have their own.
#[cfg(not(test))]
type Ram = crate::direct_map::DirectMap;
#[cfg(test)]
type Ram = dyn MachineMemory;

#[cfg(not(test))]
const fn ram(_: &Hypervisor) -> &'static Ram {
    &crate::direct_map::DIRECT_MAP
}
#[cfg(test)]
fn ram(hv: &Hypervisor) -> &'static Ram {
    hv.memory
}

/// Why linear memory cannot be reached.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The page fault the guest would get.
    Fault(PageFault),
    /// The page tables lead to something that is no memory, or must not be written.
    NoMemory,
}

/// A vCPU's linear address space. As [`LinearMemory`] it is that of the vCPU's kernel, which makes a hypercall.
pub struct LinearSpace<'a> {
    hv: &'a Hypervisor,
    ram: &'static Ram,
    domain: &'a Domain,
    paging: PagingState,
    translations: &'a mut TranslationCache,
}

impl<'a> LinearSpace<'a> {
    /// The present address space of the vCPU of `domain` whose state this is.
    #[must_use]
    #[inline]
    pub fn new(hv: &'a Hypervisor, domain: &'a Domain, state: &'a mut State) -> Self {
        Self {
            hv,
            ram: ram(hv),
            domain,
            paging: state.hw.paging_state(),
            translations: &mut state.translations,
        }
    }

    /// Guest-physical address of `linear`.
    ///
    /// # Errors
    /// The page fault the guest would get.
    pub fn translate(&mut self, linear: u64, access: AccessKind) -> Result<Gpa, PageFault> {
        let map = self.domain.p2m.read();
        self.translations
            .find(&map, self.ram, self.paging, linear, access)
            .map(|place| place.gpa)
    }

    /// Copies bytes that lie in one page out.
    ///
    /// # Errors
    /// See [`Unreachable`].
    #[inline]
    pub fn read_in_page(
        &mut self,
        linear: u64,
        access: AccessKind,
        into: &mut [u8],
    ) -> Result<(), Unreachable> {
        let ram = self.ram;
        self.with_memory(linear, access, |memory| {
            ram.read(memory.at, into);
            Ok(())
        })
    }

    /// Bytes that lie in one page.
    ///
    /// # Errors
    /// See [`Unreachable`].
    #[inline]
    pub fn bytes_in_page<const N: usize>(
        &mut self,
        linear: u64,
        access: AccessKind,
    ) -> Result<[u8; N], Unreachable> {
        let ram = self.ram;
        let mut bytes = [0; N];
        self.with_memory(linear, access, |memory| {
            ram.read(memory.at, &mut bytes);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Copies bytes that lie in one page in.
    ///
    /// # Errors
    /// See [`Unreachable`].
    #[inline]
    fn write_in_page(&mut self, linear: u64, from: &[u8]) -> Result<(), Unreachable> {
        let ram = self.ram;
        self.with_memory(linear, WRITE, |memory| {
            if !memory.is_writable {
                return Err(Unreachable::NoMemory);
            }
            ram.write(memory.at, from);
            Ok(())
        })
    }

    /// Does `work` on the memory behind `linear` while the p2m holds still. RAM without a frame gets one first.
    #[inline]
    fn with_memory(
        &mut self,
        linear: u64,
        access: AccessKind,
        work: impl FnOnce(Memory) -> Result<(), Unreachable>,
    ) -> Result<(), Unreachable> {
        let map = self.domain.p2m.read();
        let place = self
            .translations
            .find(&map, self.ram, self.paging, linear, access)
            .map_err(Unreachable::Fault)?;
        if let Some(memory) = place.memory {
            return work(memory);
        }
        drop(map);
        self.populated(place.gpa, work)
    }

    /// What the translation cache does not know: RAM that is populated on demand.
    #[cold]
    fn populated(
        &self,
        at: Gpa,
        work: impl FnOnce(Memory) -> Result<(), Unreachable>,
    ) -> Result<(), Unreachable> {
        let mut done = Err(Unreachable::NoMemory);
        let reached = self.hv.with_page(self.domain, at.gfn(), |found| {
            let memory = found.and_then(|found| Memory::at(found, at));
            done = work(memory.ok_or(Errno::EFAULT)?);
            Ok(())
        });
        // Without a frame it is as if there were no memory.
        reached.map_or(Err(Unreachable::NoMemory), |()| done)
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

impl LinearMemory for LinearSpace<'_> {
    fn read(&mut self, at: GuestAddr, into: &mut [u8]) -> Result<(), Errno> {
        for (from, offset, len) in pieces(at.0, into.len()) {
            self.read_in_page(from, READ, &mut into[offset..offset + len])
                .map_err(|_| Errno::EFAULT)?;
        }
        Ok(())
    }

    fn write(&mut self, at: GuestAddr, from: &[u8]) -> Result<(), Errno> {
        for (to, offset, len) in pieces(at.0, from.len()) {
            self.write_in_page(to, &from[offset..offset + len])
                .map_err(|_| Errno::EFAULT)?;
        }
        Ok(())
    }

    fn translate(&mut self, at: GuestAddr) -> Option<Gpa> {
        LinearSpace::translate(self, at.0, WRITE).ok()
    }
}
