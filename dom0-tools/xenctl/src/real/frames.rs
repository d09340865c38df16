//! How requests are framed: a structure in a buffer of its own, its number and its version.

use xen_abi::domctl::{Domctl, XEN_DOMCTL_INTERFACE_VERSION};
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_op::HvmParam;
use xen_abi::sysctl::{Sysctl, XEN_SYSCTL_INTERFACE_VERSION};
use xen_abi::xen::{
    CtlBitmap, HYPERVISOR_DOMCTL, HYPERVISOR_HVM_OP, HYPERVISOR_MEMORY_OP, HYPERVISOR_SYSCTL,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Buffer, Xen};
use crate::sys::{Arg, Mapping};
use crate::{CpuSet, DomId, Error, Result};

/// Where the payload is.
const DOMCTL_PAYLOAD: usize = 16;
const SYSCTL_PAYLOAD: usize = 8;

/// A structure of the ABI: plain bytes.
pub(super) trait Plain: FromBytes + IntoBytes + Immutable {}
impl<T: FromBytes + IntoBytes + Immutable> Plain for T {}

impl Xen {
    /// A domctl; the payload is what came back, also of one that was refused. Gives the domain that came back.
    pub(super) fn domctl<T: Plain>(
        &self,
        call: &'static str,
        cmd: u32,
        domain: DomId,
        payload: &mut T,
    ) -> Result<DomId> {
        self.counting_domctl(call, cmd, domain, payload)
            .map(|(_, domain)| domain)
    }

    /// As [`Self::domctl`], for one whose result is a number besides success and failure.
    pub(super) fn counting_domctl<T: Plain>(
        &self,
        call: &'static str,
        cmd: u32,
        domain: DomId,
        payload: &mut T,
    ) -> Result<(i32, DomId)> {
        let frame = self.buffer(call, size_of::<Domctl>())?;
        let header = Domctl {
            cmd,
            interface_version: XEN_DOMCTL_INTERFACE_VERSION,
            domain: domain.0,
            ..Domctl::default()
        };
        frame.put(0, &header);
        frame.put(DOMCTL_PAYLOAD, payload);
        let result = self.hypercall(call, HYPERVISOR_DOMCTL, &[Arg::Buffer(&frame)]);
        *payload = frame.get(DOMCTL_PAYLOAD);
        result.map(|result| (result, DomId(frame.get::<Domctl>(0).domain)))
    }

    /// A domctl without payload.
    pub(super) fn bare_domctl(&self, call: &'static str, cmd: u32, domain: DomId) -> Result<()> {
        self.domctl(call, cmd, domain, &mut [0_u8; 0]).map(drop)
    }

    /// A domctl of which only the payload going in matters.
    pub(super) fn set<T: Plain>(
        &self,
        call: &'static str,
        cmd: u32,
        domain: DomId,
        mut payload: T,
    ) -> Result<()> {
        self.domctl(call, cmd, domain, &mut payload).map(drop)
    }

    /// A sysctl; the payload is what came back.
    pub(super) fn sysctl<T: Plain>(
        &self,
        call: &'static str,
        cmd: u32,
        payload: &mut T,
    ) -> Result<()> {
        let frame = self.buffer(call, size_of::<Sysctl>())?;
        let header = Sysctl {
            cmd,
            interface_version: XEN_SYSCTL_INTERFACE_VERSION,
            ..Sysctl::default()
        };
        frame.put(0, &header);
        frame.put(SYSCTL_PAYLOAD, payload);
        let result = self.hypercall(call, HYPERVISOR_SYSCTL, &[Arg::Buffer(&frame)]);
        *payload = frame.get(SYSCTL_PAYLOAD);
        result.map(drop)
    }

    /// A memory operation; the argument is what came back. Gives the result, which is not negative.
    pub(super) fn memory_op<T: Plain>(
        &self,
        call: &'static str,
        cmd: u32,
        argument: &mut T,
    ) -> Result<usize> {
        let frame = self.buffer(call, size_of::<T>())?;
        frame.put(0, argument);
        let args = [Arg::Value(cmd.into()), Arg::Buffer(&frame)];
        let result = self.hypercall(call, HYPERVISOR_MEMORY_OP, &args)?;
        *argument = frame.get(0);
        usize::try_from(result).map_err(|_| super::out_of_range(call))
    }

    /// `HVMOP_*_PARAM`; gives the value that came back.
    pub(super) fn param_op(&self, call: &'static str, op: u32, param: HvmParam) -> Result<u64> {
        let frame = self.buffer(call, size_of::<HvmParam>())?;
        frame.put(0, &param);
        let args = [Arg::Value(op.into()), Arg::Buffer(&frame)];
        self.hypercall(call, HYPERVISOR_HVM_OP, &args)?;
        Ok(frame.get::<HvmParam>(0).value)
    }

    pub(super) fn hypercall(&self, call: &'static str, op: u32, args: &[Arg<'_>]) -> Result<i32> {
        let result = self.privcmd.hypercall(op, args);
        result.map_err(|errno| Error::new(call, errno))
    }

    /// A buffer holding `items`.
    pub(super) fn list<T: IntoBytes + Immutable>(
        &self,
        call: &'static str,
        items: &[T],
    ) -> Result<Buffer<'_>> {
        let buffer = self.buffer(call, size_of_val(items))?;
        buffer.put(0, items);
        Ok(buffer)
    }

    /// A buffer for a bitmap of `bits`, holding `set`; members past its end are `EINVAL`.
    pub(super) fn bitmap(
        &self,
        call: &'static str,
        bits: u32,
        set: &CpuSet,
    ) -> Result<(Buffer<'_>, CtlBitmap)> {
        if set.iter().any(|member| member >= bits) {
            let text = format!("only {bits} exist");
            return Err(Error::new(call, Errno::EINVAL).about(text));
        }
        let bytes = bitmap_bytes(bits);
        let buffer = self.buffer(call, bytes)?;
        buffer.put(0, &set.0[..set.0.len().min(bytes)]);
        let bitmap = CtlBitmap {
            bitmap: buffer.address(),
            nr_bits: bits,
            ..CtlBitmap::default()
        };
        Ok((buffer, bitmap))
    }
}

/// The set in a bitmap's buffer.
pub(super) fn set_of(buffer: &Mapping, bits: u32) -> CpuSet {
    CpuSet(buffer.get_all(0, bitmap_bytes(bits)))
}

fn bitmap_bytes(bits: u32) -> usize {
    (bits as usize).div_ceil(8)
}
