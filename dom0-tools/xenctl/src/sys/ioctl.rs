//! Ioctls whose argument is a structure that the kernel reads and may write.

use std::ffi::c_void;
use std::os::fd::AsFd;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use xen_abi::errno::Errno;

struct Request<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: The pointer is that of a live, exclusive reference, so the kernel may read and write it. The caller of `call` answers for the
// opcode being one whose structure is `T`. The output is the return value alone.
unsafe impl<T> Ioctl for Request<'_, T> {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.argument).cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// Calls the driver behind `fd`; gives its answer.
///
/// # Safety
///
/// For this file, `opcode` must be an ioctl whose argument is a `T`, of which any bytes are a value. Memory that the argument points to must
/// be what the driver expects, live during the call, and not borrowed.
pub(super) unsafe fn call<T>(
    fd: impl AsFd,
    opcode: Opcode,
    argument: &mut T,
) -> Result<i32, Errno> {
    // SAFETY: The caller's promise is what the trait's implementation asks for.
    unsafe { rustix::ioctl::ioctl(fd, Request { opcode, argument }) }.map_err(super::errno)
}
