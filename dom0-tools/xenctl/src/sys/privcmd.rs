//! `/dev/xen/privcmd` and `/dev/xen/hypercall`: hypercalls and foreign memory.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::ioctl::Opcode;
use xen_abi::errno::Errno;

use super::{Mapping, ioctl, open};
use crate::PAGE_SIZE;

const HYPERCALL: Opcode = 0x0030_5000;
const MMAPBATCH_V2: Opcode = 0x0020_5004;
const MMAP_RESOURCE: Opcode = 0x0020_5007;

/// How often pages that are paged out are asked for, and how long is waited in between.
const PAGING_TRIES: usize = 100;
const PAGING_WAIT: Duration = Duration::from_millis(1);

#[repr(C)]
struct Hypercall {
    op: u64,
    args: [u64; 5],
}

#[repr(C)]
struct MmapBatch {
    count: u32,
    domain: u16,
    pad: u16,
    address: u64,
    gfns: *const u64,
    errors: *mut i32,
}

#[repr(C)]
struct MmapResource {
    domain: u16,
    pad: u16,
    kind: u32,
    id: u32,
    index: u32,
    count: u64,
    address: u64,
}

/// An argument of a hypercall.
#[derive(Copy, Clone)]
pub(crate) enum Arg<'a> {
    /// A number; never an address.
    Value(u64),
    /// The start of a buffer from [`Privcmd::buffer`].
    Buffer(&'a Mapping),
}

/// Pages that the hypervisor keeps for a domain.
#[derive(Copy, Clone)]
pub(crate) struct Resource {
    pub(crate) domain: u16,
    pub(crate) kind: u16,
    pub(crate) id: u32,
    pub(crate) first: u32,
    pub(crate) pages: usize,
}

/// The handle.
pub(crate) struct Privcmd {
    privcmd: OwnedFd,
    /// Where hypercall buffers come from; kernels without it get locked memory.
    buffers: Option<OwnedFd>,
}

impl Privcmd {
    pub(crate) const PATH: &str = "/dev/xen/privcmd";

    pub(crate) fn open() -> Result<Self, Errno> {
        Ok(Self {
            privcmd: open(Self::PATH, OFlags::empty())?,
            buffers: open("/dev/xen/hypercall", OFlags::empty()).ok(),
        })
    }

    /// Memory for a hypercall's arguments: zero, resident, and never copied on write, because the hypervisor reads it through the
    /// kernel's page tables.
    pub(crate) fn buffer(&self, pages: usize) -> Result<Mapping, Errno> {
        match &self.buffers {
            Some(file) => Mapping::of_file(file, 0, pages),
            None => Mapping::anonymous(pages),
        }
    }

    /// Calls the hypervisor. Structures in the buffers may hold addresses of other buffers, which the caller keeps.
    pub(crate) fn hypercall(&self, op: u32, args: &[Arg<'_>]) -> Result<i32, Errno> {
        let mut call = Hypercall {
            op: op.into(),
            args: [0; 5],
        };
        for (place, arg) in call.args.iter_mut().zip(args) {
            *place = match arg {
                Arg::Value(value) => *value,
                Arg::Buffer(buffer) => buffer.address(),
            };
        }
        // SAFETY: The number is that of `struct privcmd_hypercall`. What the hypervisor reads and writes are mappings, of which there
        // are no references: by the rule of this module, nothing else's address is ever an argument.
        unsafe { ioctl::call(&self.privcmd, HYPERCALL, &mut call) }
    }

    /// Maps frames of another domain, all or none; the error comes with the frame to blame, if it is one's.
    pub(crate) fn map_foreign(
        &self,
        domain: u16,
        gfns: &[u64],
    ) -> Result<Mapping, (Errno, Option<u64>)> {
        for _ in 1..PAGING_TRIES {
            match self.try_map_foreign(domain, gfns) {
                // The frame is paged out and being fetched.
                Err((Errno::ENOENT, Some(_))) => sleep(PAGING_WAIT),
                other => return other,
            }
        }
        self.try_map_foreign(domain, gfns)
    }

    fn try_map_foreign(&self, domain: u16, gfns: &[u64]) -> Result<Mapping, (Errno, Option<u64>)> {
        let count = u32::try_from(gfns.len()).map_err(|_| (Errno::E2BIG, None))?;
        let mapping =
            Mapping::of_file(&self.privcmd, 0, gfns.len()).map_err(|errno| (errno, None))?;
        let mut errors = vec![0_i32; gfns.len()];
        let mut batch = MmapBatch {
            count,
            domain,
            pad: 0,
            address: mapping.address(),
            gfns: gfns.as_ptr(),
            errors: errors.as_mut_ptr(),
        };
        // SAFETY: The number is that of `struct privcmd_mmapbatch_v2`. Both arrays have `count` entries and live on; only the second is
        // written, and it is borrowed here alone. The address is that of a mapping of as many pages, made for this purpose.
        let result = unsafe { ioctl::call(&self.privcmd, MMAPBATCH_V2, &mut batch) };
        // A page that is not there would end this process when touched.
        if let Some((error, gfn)) = errors.iter().zip(gfns).find(|(error, _)| **error != 0) {
            return Err((Errno(error.saturating_neg()), Some(*gfn)));
        }
        result.map_err(|errno| (errno, None))?;
        Ok(mapping)
    }

    /// Maps pages of a resource.
    pub(crate) fn map_resource(&self, what: Resource) -> Result<Mapping, Errno> {
        let mapping = Mapping::of_file(&self.privcmd, 0, what.pages)?;
        let mut resource = MmapResource {
            domain: what.domain,
            pad: 0,
            kind: what.kind.into(),
            id: what.id,
            index: what.first,
            count: (mapping.len() / PAGE_SIZE) as u64,
            address: mapping.address(),
        };
        // SAFETY: The number is that of `struct privcmd_mmap_resource`; the address is that of a mapping of as many pages, made for this.
        unsafe { ioctl::call(&self.privcmd, MMAP_RESOURCE, &mut resource) }?;
        Ok(mapping)
    }
}

const _: () = assert!(size_of::<Hypercall>() == (HYPERCALL >> 16) as usize);
const _: () = assert!(size_of::<MmapBatch>() == (MMAPBATCH_V2 >> 16) as usize);
const _: () = assert!(size_of::<MmapResource>() == (MMAP_RESOURCE >> 16) as usize);
