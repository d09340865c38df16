//! CPU policies between the hypervisor and the toolstack's buffers: what `domctl` and `sysctl` share.

use alloc::vec::Vec;

use xen_abi::arch_x86::{CpuidLeaf, MsrEntry};
use xen_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Call;
use crate::hal::SerialisedPolicy;
use crate::ids::GuestAddr;

/// CPUID leaves that a policy has at most (`CPUID_MAX_SERIALISED_LEAVES`).
pub const MAX_LEAVES: u32 = 120;
/// MSRs that a policy has at most (`MSR_MAX_SERIALISED_ENTRIES`).
pub const MAX_MSRS: u32 = 2;

/// Copies entries out and returns how many; for a null buffer, how many there are at most.
///
/// # Errors
/// `ENOBUFS` if the buffer is too small, `EFAULT`.
fn store_entries<T: IntoBytes + Immutable>(
    call: &mut Call<'_>,
    buffer: u64,
    room: u32,
    entries: &[T],
    most: u32,
) -> Result<u32, Errno> {
    if buffer == 0 {
        return Ok(most);
    }
    if entries.len() > room as usize {
        return Err(Errno::ENOBUFS);
    }
    if !entries.is_empty() {
        call.guest.write(GuestAddr(buffer), entries.as_bytes())?;
    }
    Ok(entries.len() as u32)
}

/// Copies a policy's leaves out and returns the new count.
///
/// # Errors
/// `ENOBUFS` if the buffer is too small, `EFAULT`.
pub fn store_leaves(
    call: &mut Call<'_>,
    policy: &SerialisedPolicy,
    buffer: u64,
    room: u32,
) -> Result<u32, Errno> {
    store_entries(call, buffer, room, &policy.leaves, MAX_LEAVES)
}

/// Copies a policy's MSRs out and returns the new count.
///
/// # Errors
/// `ENOBUFS` if the buffer is too small, `EFAULT`.
pub fn store_msrs(
    call: &mut Call<'_>,
    policy: &SerialisedPolicy,
    buffer: u64,
    room: u32,
) -> Result<u32, Errno> {
    store_entries(call, buffer, room, &policy.msrs, MAX_MSRS)
}

fn fetch_entries<T: FromBytes + IntoBytes>(
    call: &mut Call<'_>,
    buffer: u64,
    count: u32,
    most: u32,
) -> Result<Vec<T>, Errno> {
    if count > most {
        return Err(Errno::E2BIG);
    }
    (0..u64::from(count))
        .map(|index| call.fetch_at(GuestAddr(buffer), index))
        .collect()
}

/// Copies a policy in.
///
/// # Errors
/// `E2BIG` for more entries than a policy can have, `EFAULT`.
pub fn fetch(
    call: &mut Call<'_>,
    leaves: (u64, u32),
    msrs: (u64, u32),
) -> Result<SerialisedPolicy, Errno> {
    let leaves: Vec<CpuidLeaf> = fetch_entries(call, leaves.0, leaves.1, MAX_LEAVES)?;
    let msrs: Vec<MsrEntry> = fetch_entries(call, msrs.0, msrs.1, MAX_MSRS)?;
    Ok(SerialisedPolicy { leaves, msrs })
}
