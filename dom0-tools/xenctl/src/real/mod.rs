//! The hypervisor below this dom0, through `/dev/xen/*`.

mod backend;
mod cpus;
mod domains;
mod frames;
mod grants;
mod host;
mod hypervisor;
mod memory;
mod policy;
mod pools;
mod resources;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use xen_abi::errno::Errno;
use xen_abi::sysctl::SysctlPhysinfo;

pub use backend::EventChannels;

use crate::sys::{Gntdev, Mapping, Privcmd};
use crate::{Error, PAGE_SIZE, Result, call};

/// How many one-page buffers are kept for the next request.
const KEPT_BUFFERS: usize = 8;

/// A handle to the hypervisor. Threads may share it. A child process must open its own: its buffers would be those of its parent.
pub struct Xen {
    privcmd: Privcmd,
    gntdev: OnceLock<Arc<Gntdev>>,
    buffers: Mutex<Vec<Mapping>>,
    limits: OnceLock<Limits>,
}

/// Sizes of the hypervisor's bitmaps, which stay the same while it runs.
#[derive(Copy, Clone)]
struct Limits {
    cpus: u32,
    nodes: u32,
}

impl Xen {
    /// Opens the devices; `ENOENT` where this is not a dom0, `EACCES` where the caller is not root.
    pub fn open() -> Result<Self> {
        let privcmd =
            Privcmd::open().map_err(|errno| Error::new(call::OPEN, errno).about(Privcmd::PATH))?;
        Ok(Self {
            privcmd,
            gntdev: OnceLock::new(),
            buffers: Mutex::new(Vec::new()),
            limits: OnceLock::new(),
        })
    }

    /// A buffer for a hypercall, zero, of at least `bytes`; the pool gets it back when it is dropped.
    fn buffer(&self, call: &'static str, bytes: usize) -> Result<Buffer<'_>> {
        let pages = bytes.div_ceil(PAGE_SIZE).max(1);
        let kept = match pages {
            1 => self.kept().pop(),
            _ => None,
        };
        let mapping = match kept {
            Some(mapping) => {
                mapping.clear();
                mapping
            }
            None => (self.privcmd.buffer(pages)).map_err(|errno| Error::new(call, errno))?,
        };
        Ok(Buffer {
            mapping: Some(mapping),
            xen: self,
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Mapping>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Result<Limits> {
        if let Some(limits) = self.limits.get() {
            return Ok(*limits);
        }
        let info: SysctlPhysinfo = host::physinfo(self)?;
        Ok(*self.limits.get_or_init(|| Limits {
            cpus: info.max_cpu_id.saturating_add(1),
            nodes: info.max_node_id.saturating_add(1),
        }))
    }
}

/// A hypercall buffer that goes back to the pool of its handle.
struct Buffer<'a> {
    mapping: Option<Mapping>,
    xen: &'a Xen,
}

impl std::ops::Deref for Buffer<'_> {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        // It is taken by `drop` alone.
        self.mapping.as_ref().expect("a buffer in use")
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let Some(mapping) = self.mapping.take() else {
            return;
        };
        let mut kept = self.xen.kept();
        if mapping.len() == PAGE_SIZE && kept.len() < KEPT_BUFFERS {
            kept.push(mapping);
        }
    }
}

/// What is left out of an answer that does not fit its type.
fn out_of_range(call: &'static str) -> Error {
    Error::new(call, Errno::ERANGE)
}
