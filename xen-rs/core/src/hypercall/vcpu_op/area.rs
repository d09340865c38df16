//! Places of guest memory that a guest asks the hypervisor to keep up to date.
//!
//! Xen translates a linear address at every update with the page tables of that moment. Here it is translated once, when the guest
//! registers it: guests do not move these areas, and an update then neither depends on which page tables the vCPU happens to use nor
//! needs the vCPU at all.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;

use crate::hypercall::Call;
use crate::ids::{Gpa, GuestAddr, PAGE_SIZE};
use crate::vcpu::GuestArea;

/// The area of `len` bytes (at most a page) at a linear address of the caller.
///
/// # Errors
/// `EFAULT` where the caller's page tables map nothing.
pub fn at_linear(call: &mut Call<'_>, at: GuestAddr, len: usize) -> Result<GuestArea, Errno> {
    let first = call.guest.translate(at).ok_or(Errno::EFAULT)?;
    let first_len = (PAGE_SIZE - first.page_offset()).min(len);
    let mut pieces = [(first, first_len), (Gpa(0), 0)];
    if first_len < len {
        let rest = at.0.checked_add(first_len as u64).ok_or(Errno::EFAULT)?;
        let second = call.guest.translate(GuestAddr(rest)).ok_or(Errno::EFAULT)?;
        pieces[1] = (second, len - first_len);
    }
    Ok(GuestArea { pieces })
}

/// The area of `len` bytes at a guest-physical address.
///
/// # Errors
/// `ENXIO` if it crosses a page or is not aligned to the guest's `long`, `EINVAL` if no RAM of the guest is there.
pub fn at_physical(call: &Call<'_>, at: Gpa, len: usize) -> Result<GuestArea, Errno> {
    let align = if call.domain.is_32bit.load(SeqCst) {
        4
    } else {
        8
    };
    if at.page_offset() + len > PAGE_SIZE || !at.0.is_multiple_of(align) {
        return Err(Errno::ENXIO);
    }
    let page = call.hv.get_guest_page(call.domain, at.gfn())?;
    call.hv.put_page(page.mfn);
    Ok(GuestArea {
        pieces: [(at, len), (Gpa(0), 0)],
    })
}
