//! A hypercall in flight: who calls, with which arguments, and the caller's memory.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{Domid, GuestAddr};
use crate::vcpu::Vcpu;

/// Which layouts the caller uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32-bit code: the layouts of [`xen_abi::compat`].
    Bits32,
    /// 64-bit code.
    Bits64,
}

/// The caller's linear address space, with the rights of its kernel (SMAP honours EFLAGS.AC).
pub trait LinearMemory {
    /// Copies out.
    ///
    /// # Errors
    /// `EFAULT` where the caller's own page tables would fault; nothing is injected.
    fn read(&mut self, at: GuestAddr, into: &mut [u8]) -> Result<(), Errno>;
    /// Copies in.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn write(&mut self, at: GuestAddr, from: &[u8]) -> Result<(), Errno>;
    /// Where a linear address lies in guest-physical memory now.
    fn translate(&mut self, at: GuestAddr) -> Option<crate::ids::Gpa>;
}

/// What a handler decides.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Finished; this goes to rax.
    Done(i64),
    /// Not finished: the instruction is to be executed again with these arguments, after other work had its chance.
    Continue([u64; 5]),
    /// Finished with 0, and the vCPU may no longer be runnable or wants to give way: reschedule.
    Reschedule,
}

impl Outcome {
    /// Success without a value.
    pub const OK: Self = Self::Done(0);
}

/// A hypercall in flight.
pub struct Call<'a> {
    /// The machine.
    pub hv: &'a Hypervisor,
    /// Who calls.
    pub domain: &'a Arc<Domain>,
    /// Which of its vCPUs.
    pub vcpu: &'a Arc<Vcpu>,
    /// Layouts.
    pub width: Width,
    /// First to fifth argument.
    pub args: [u64; 5],
    /// The caller's memory.
    pub guest: &'a mut dyn LinearMemory,
}

impl Call<'_> {
    /// An argument as a 32-bit value: the upper half of a register is not part of it.
    #[must_use]
    pub const fn arg32(&self, index: usize) -> u32 {
        self.args[index] as u32
    }

    /// An argument as a pointer; 32-bit callers have 32-bit pointers.
    #[must_use]
    pub const fn pointer(&self, index: usize) -> GuestAddr {
        match self.width {
            Width::Bits64 => GuestAddr(self.args[index]),
            Width::Bits32 => GuestAddr(self.args[index] & 0xffff_ffff),
        }
    }

    /// Copies a structure in, once.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn fetch<T: FromBytes + IntoBytes>(&mut self, at: GuestAddr) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.guest.read(at, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies element `index` of an array in.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn fetch_at<T: FromBytes + IntoBytes>(
        &mut self,
        array: GuestAddr,
        index: u64,
    ) -> Result<T, Errno> {
        let at = element(array, index, size_of::<T>())?;
        self.fetch(at)
    }

    /// Copies a structure out.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn store<T: IntoBytes + Immutable>(
        &mut self,
        at: GuestAddr,
        value: &T,
    ) -> Result<(), Errno> {
        self.guest.write(at, value.as_bytes())
    }

    /// Copies element `index` of an array out.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn store_at<T: IntoBytes + Immutable>(
        &mut self,
        array: GuestAddr,
        index: u64,
        value: &T,
    ) -> Result<(), Errno> {
        let at = element(array, index, size_of::<T>())?;
        self.store(at, value)
    }

    /// Copies up to `limit` bytes in.
    ///
    /// # Errors
    /// `E2BIG` beyond the limit, `ENOMEM`, `EFAULT`.
    pub fn fetch_bytes(
        &mut self,
        at: GuestAddr,
        len: usize,
        limit: usize,
    ) -> Result<Vec<u8>, Errno> {
        if len > limit {
            return Err(Errno::E2BIG);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(len, 0);
        self.guest.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The living domain that `id` names for this caller; `DOMID_SELF` is the caller itself. Others need privilege.
    ///
    /// # Errors
    /// `EPERM` for an unprivileged caller, `ESRCH` if there is no such domain.
    pub fn target(&self, id: u16) -> Result<Arc<Domain>, Errno> {
        let id = Domid(id);
        if id != Domid::SELF && id != self.domain.id && !self.domain.privileged {
            return Err(Errno::EPERM);
        }
        self.hv.target(self.domain, id)
    }

    /// As [`Self::target`], for operations that tell an unprivileged caller which domains exist, as Xen's event channels and HVM parameters do.
    ///
    /// # Errors
    /// `ESRCH` if there is no such domain, then `EPERM` for an unprivileged caller.
    pub fn subject(&self, id: u16) -> Result<Arc<Domain>, Errno> {
        let domain = self.hv.target(self.domain, Domid(id))?;
        if domain.id != self.domain.id && !self.domain.privileged {
            return Err(Errno::EPERM);
        }
        Ok(domain)
    }
}

/// Address of an array element, with wrap-around refused.
///
/// # Errors
/// `EFAULT`.
pub fn element(array: GuestAddr, index: u64, size: usize) -> Result<GuestAddr, Errno> {
    let offset = index.checked_mul(size as u64).ok_or(Errno::EFAULT)?;
    array
        .0
        .checked_add(offset)
        .map(GuestAddr)
        .ok_or(Errno::EFAULT)
}
