//! Operations chosen by the first word of a structure in memory: `domctl`, `sysctl`.
//!
//! Such a structure is a short header and 128 bytes of payload, the same for 32-bit and 64-bit callers. It is copied in once; a handler reads
//! its own structure from the payload and writes it back, and says with [`Copyback`] whether the caller gets to see that.

use xen_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Call, FramedRow, Outcome};

/// Bytes of the union in `struct xen_domctl` and `struct xen_sysctl`.
pub const PAYLOAD_SIZE: usize = 128;

/// What a handler leaves behind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Copyback {
    /// Success; the caller's structure stays as it is.
    Nothing,
    /// Success; the structure goes back.
    Frame,
    /// Failure, and the structure goes back all the same, because it says more.
    FrameAndError(Errno),
    /// Not finished: the same call is to be made again.
    Again,
    /// Not finished: the structure goes back and says where to go on, then the same call is to be made again.
    FrameAndAgain,
}

/// The payload of an operation in flight.
pub struct Payload(pub [u8; PAYLOAD_SIZE]);

impl Payload {
    /// The structure at its start.
    #[must_use]
    pub fn get<T: FromBytes + IntoBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= PAYLOAD_SIZE) };
        let mut value = T::new_zeroed();
        value
            .as_mut_bytes()
            .copy_from_slice(&self.0[..size_of::<T>()]);
        value
    }

    /// Replaces the structure at its start.
    pub fn put<T: IntoBytes + Immutable>(&mut self, value: &T) {
        const { assert!(size_of::<T>() <= PAYLOAD_SIZE) };
        self.0[..size_of::<T>()].copy_from_slice(value.as_bytes());
    }
}

/// A row of a table of such operations; `F` is what handlers get besides the call.
pub struct Operation<F: 'static> {
    /// Number.
    pub op: u32,
    /// Xen's name.
    pub name: &'static str,
    /// Code.
    pub run: fn(&mut Call<'_>, &mut F) -> Result<Copyback, Errno>,
}

impl<F> FramedRow for Operation<F> {
    fn op(&self) -> u32 {
        self.op
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// Makes `OPERATIONS`, the table with handlers for a frame type, and `ROWS`, the same for the table of hypercalls.
macro_rules! operations {
    ($frame:ty; $($op:ident $name:literal $run:path;)*) => {
        static OPERATIONS: [$crate::hypercall::framed::Operation<$frame>; [$($op),*].len()] =
            [$($crate::hypercall::framed::Operation { op: $op, name: $name, run: $run },)*];

        /// The operations, for the table of hypercalls.
        pub static ROWS: [&dyn $crate::hypercall::FramedRow; OPERATIONS.len()] = {
            let mut rows: [&dyn $crate::hypercall::FramedRow; OPERATIONS.len()] =
                [&OPERATIONS[0]; OPERATIONS.len()];
            let mut at = 0;
            while at < rows.len() {
                rows[at] = &OPERATIONS[at];
                at += 1;
            }
            rows
        };
    };
}
pub(super) use operations;

/// The operation with this number.
#[must_use]
pub fn find<F>(rows: &'static [Operation<F>], op: u32) -> Option<&'static Operation<F>> {
    rows.iter().find(|row| row.op == op)
}

/// Ends the hypercall as the handler decided; `header_and_payload` is the whole structure as it is now, at the call's first argument.
///
/// # Errors
/// The handler's, or `EFAULT`.
pub fn finish(
    call: &mut Call<'_>,
    result: Result<Copyback, Errno>,
    header_and_payload: &[u8],
) -> Result<Outcome, Errno> {
    let copyback = result?;
    if !matches!(copyback, Copyback::Nothing | Copyback::Again) {
        let at = call.pointer(0);
        call.guest.write(at, header_and_payload)?;
    }
    match copyback {
        Copyback::Nothing | Copyback::Frame => Ok(Outcome::OK),
        Copyback::FrameAndError(errno) => Err(errno),
        Copyback::Again | Copyback::FrameAndAgain => Ok(Outcome::Continue(call.args)),
    }
}
