//! All hypercalls, in order of their numbers (xen/include/public/xen.h).

use super::Hypercall;

/// The hypercalls that exist.
pub static HYPERCALLS: &[Hypercall] = &[];

/// The hypercall with this number.
#[must_use]
pub fn hypercall(number: u32) -> Option<&'static Hypercall> {
    HYPERCALLS.iter().find(|hypercall| hypercall.number == number)
}
