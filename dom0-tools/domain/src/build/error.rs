//! Why a domain was not built.

use std::path::PathBuf;

use kernel_image::KernelError;

/// What building gives.
pub type Result<T> = std::result::Result<T, BuildError>;

/// Reason for giving up. What was made up to then is gone again.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of the guest cannot be read.
    #[error("cannot read {what} {}: {source}", path.display())]
    File {
        /// `kernel` or `ramdisk`.
        what: &'static str,
        /// As configured.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel is none that can be started.
    #[error("cannot start kernel {}: {source}", path.display())]
    Kernel {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: KernelError,
    },
    /// The hypervisor refused a step.
    #[error("cannot {step}: {source}")]
    Hypervisor {
        /// What was tried, as in `create the domain`.
        step: &'static str,
        /// Its answer.
        source: xenctl::Error,
    },
    /// The hypervisor refused a domain, perhaps because it lacks something.
    #[error(
        "cannot create the domain; it asks for {asked}, which this hypervisor may lack: {source}"
    )]
    Lacking {
        /// Keys of the configuration.
        asked: String,
        /// The hypervisor's answer.
        source: xenctl::Error,
    },
    /// The hypervisor cannot run such domains.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A number of the configuration is out of its range.
    #[error("{what} is {value}, outside {min} to {max}")]
    OutOfRange {
        /// Which.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// The domain's low memory is too small for what must be in it.
    #[error("{part} needs memory up to {end:#x}, but the domain's memory ends at {memory_end:#x}")]
    NoRoom {
        /// What has no room.
        part: &'static str,
        /// Where it would end.
        end: u64,
        /// Where memory below the device hole ends.
        memory_end: u64,
    },
    /// The host has too little memory left.
    #[error("not enough free memory: the host gave {given} of {wanted} KiB")]
    OutOfMemory {
        /// KiB populated.
        given: u64,
        /// KiB asked for.
        wanted: u64,
    },
    /// The CPUID policy has no such leaf.
    #[error("cpuid: leaf {leaf:#x}, subleaf {subleaf:#x} does not exist on this host")]
    NoLeaf {
        /// `eax`.
        leaf: u32,
        /// `ecx`, all ones where there are no subleaves.
        subleaf: u32,
    },
    /// The MSR policy has no such register.
    #[error("msr: register {index:#x} is not part of the policy")]
    NoMsr {
        /// Its number.
        index: u32,
    },
    /// The host does not run the scheduler that the parameters are for.
    #[error("{0}")]
    Scheduler(&'static str),
}

/// Names the step that a request to the hypervisor belongs to.
pub(super) trait Step<T> {
    /// `step` completes "cannot …".
    fn step(self, step: &'static str) -> Result<T>;
}

impl<T> Step<T> for xenctl::Result<T> {
    fn step(self, step: &'static str) -> Result<T> {
        self.map_err(|source| BuildError::Hypervisor { step, source })
    }
}
