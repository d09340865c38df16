//! Reading a context: one pass that checks the frame of all records, then access to each.

use core::mem::size_of;

use xen_abi::errno::Errno;
use xen_abi::hvm::save::{
    HVM_FILE_MAGIC, HVM_FILE_VERSION, HVM_SAVE_CODE_CPU, HVM_SAVE_CODE_END, HVM_SAVE_CODE_HEADER,
    HVM_SAVE_CODE_MAX, HvmSaveDescriptor, HvmSaveHeader,
};
use zerocopy::{FromBytes, IntoBytes};

/// One record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// `HVM_SAVE_CODE_*`.
    pub typecode: u16,
    /// vCPU id, or number of the chip.
    pub instance: u16,
    /// What follows the descriptor.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The payload as a `T`, which it must fill exactly.
    ///
    /// # Errors
    /// `EINVAL`: another length.
    pub fn exact<T: FromBytes>(&self) -> Result<T, Errno> {
        T::read_from_bytes(self.payload).map_err(|_| Errno::EINVAL)
    }

    /// The payload as a `T`; what an older and shorter record lacks is 0. For CPU, LAPIC, RTC, VMCE and Viridian records.
    ///
    /// # Errors
    /// `EINVAL`: too long.
    pub fn zero_extended<T: FromBytes + IntoBytes>(&self) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        let room = value.as_mut_bytes().get_mut(..self.payload.len());
        room.ok_or(Errno::EINVAL)?.copy_from_slice(self.payload);
        Ok(value)
    }

    /// The record at the start of `bytes` and what follows it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (descriptor, rest) = HvmSaveDescriptor::read_from_prefix(bytes).ok()?;
        let (payload, rest) = rest.split_at_checked(descriptor.length as usize)?;
        let HvmSaveDescriptor {
            typecode, instance, ..
        } = descriptor;
        Some((
            Self {
                typecode,
                instance,
                payload,
            },
            rest,
        ))
    }
}

/// A context whose frame is sound: it starts with a header of this version and ends with an end record, and all between has a known type
/// and lies within it.
#[derive(Copy, Clone, Debug)]
pub struct Context<'a> {
    header: HvmSaveHeader,
    records: &'a [u8],
}

impl<'a> Context<'a> {
    /// Checks the frame.
    ///
    /// # Errors
    /// `ENODATA` no header at the start, truncated, or no end; `EINVAL` wrong magic or version, or an unknown type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Errno> {
        let (first, records) = Record::split(bytes).ok_or(Errno::ENODATA)?;
        if first.typecode != HVM_SAVE_CODE_HEADER
            || first.payload.len() != size_of::<HvmSaveHeader>()
        {
            return Err(Errno::ENODATA);
        }
        let header = first.exact::<HvmSaveHeader>()?;
        if header.magic != HVM_FILE_MAGIC || header.version != HVM_FILE_VERSION {
            return Err(Errno::EINVAL);
        }
        check_frame(records)?;
        Ok(Self { header, records })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &HvmSaveHeader {
        &self.header
    }

    /// The records between header and end, in order.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut rest = self.records;
        core::iter::from_fn(move || {
            let (record, after) = Record::split(rest)?;
            rest = after;
            (record.typecode != HVM_SAVE_CODE_END).then_some(record)
        })
        .fuse()
    }
}

fn check_frame(mut rest: &[u8]) -> Result<(), Errno> {
    loop {
        let (descriptor, _) =
            HvmSaveDescriptor::read_from_prefix(rest).map_err(|_| Errno::ENODATA)?;
        match descriptor.typecode {
            HVM_SAVE_CODE_END => return Ok(()),
            HVM_SAVE_CODE_CPU..=HVM_SAVE_CODE_MAX => {}
            _ => return Err(Errno::EINVAL),
        }
        // Each turn consumes at least a descriptor.
        (_, rest) = Record::split(rest).ok_or(Errno::ENODATA)?;
    }
}
