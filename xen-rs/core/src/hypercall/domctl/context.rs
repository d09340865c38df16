//! `XEN_DOMCTL_gethvmcontext`, `sethvmcontext`, `gethvmcontext_partial`: a domain's machine state as a sequence of records
//! (xen/include/public/hvm/save.h).

use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;

use xen_abi::domctl::{DomctlHvmcontext, DomctlHvmcontextPartial};
use xen_abi::errno::Errno;

use super::DomctlFrame;
use crate::domain::Domain;
use crate::hypercall::Call;
use crate::hypercall::framed::Copyback;
use crate::ids::GuestAddr;
use crate::vcpu::{BLOCKED, DOWN, POLLING};

/// Bytes of a context at most: 128 vCPUs with large FPU state come to a quarter of it.
const MAX_BYTES: usize = 4 << 20;
/// Bytes of a record's descriptor: type, instance, length.
const DESCRIPTOR_SIZE: usize = 8;
/// Type code of a vCPU's registers.
const CPU: u16 = 2;
/// Highest type code (`HVM_SAVE_CODE_MAX`).
const MAX_TYPECODE: u32 = 20;

/// Copies the whole context out; for a null buffer only its size.
///
/// # Errors
/// `EINVAL` for the caller itself, `ENOSPC` if the buffer is too small, `ENOMEM`, `EFAULT`.
pub fn get(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let mut op: DomctlHvmcontext = frame.payload.get();
    let size = domain.arch.context_size(&domain);
    if op.buffer == 0 {
        op.size = u32::try_from(size).map_err(|_| Errno::ENOSPC)?;
    } else {
        if (op.size as usize) < size {
            return Err(Errno::ENOSPC);
        }
        call.hv.pause_domain(&domain);
        let saved = domain.arch.save_context(&domain);
        call.hv.unpause_domain(&domain);
        let bytes = saved?;
        if bytes.len() > op.size as usize {
            return Err(Errno::ENOSPC);
        }
        call.guest.write(GuestAddr(op.buffer), &bytes)?;
        op.size = bytes.len() as u32;
    }
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Copies one record out; for a null buffer only its size.
///
/// # Errors
/// `EINVAL` for the caller itself, a dying domain or an unknown type; `ENOBUFS` if the buffer is too small, `EFAULT`.
pub fn get_partial(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let mut op: DomctlHvmcontextPartial = frame.payload.get();
    let instance = u16::try_from(op.instance).map_err(|_| Errno::ENOENT)?;
    if domain.is_dying() || op.kind > MAX_TYPECODE {
        return Err(Errno::EINVAL);
    }
    call.hv.pause_domain(&domain);
    let saved = domain.arch.save_record(&domain, op.kind as u16, instance);
    call.hv.unpause_domain(&domain);
    let bytes = saved?;
    if op.buffer != 0 {
        if op.bufsz < bytes.len() as u64 {
            return Err(Errno::ENOBUFS);
        }
        call.guest.write(GuestAddr(op.buffer), &bytes)?;
    }
    op.bufsz = bytes.len() as u64;
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// Loads a context. vCPUs whose registers are in it come up, the others are down.
///
/// # Errors
/// `EINVAL` for the caller itself or a dying domain, `ENOMEM`, `EFAULT`, and what the machine-specific half says.
pub fn set(call: &mut Call<'_>, frame: &mut DomctlFrame) -> Result<Copyback, Errno> {
    let domain = frame.other(call)?;
    let op: DomctlHvmcontext = frame.payload.get();
    if domain.is_dying() {
        return Err(Errno::EINVAL);
    }
    if op.size as usize > MAX_BYTES {
        return Err(Errno::ENOMEM);
    }
    let bytes = call.fetch_bytes(GuestAddr(op.buffer), op.size as usize, MAX_BYTES)?;
    call.hv.pause_domain(&domain);
    let loaded = domain.arch.load_context(&domain, &bytes);
    if loaded.is_ok() {
        bring_up(call, &domain, &bytes);
    }
    call.hv.unpause_domain(&domain);
    loaded.map(|()| Copyback::Nothing)
}

/// Brings the vCPUs up whose registers were loaded, and no others, and arms the timers of their local APICs. The domain is paused.
fn bring_up(call: &Call<'_>, domain: &Arc<Domain>, bytes: &[u8]) {
    let now_ns = call.hv.now_ns();
    for vcpu in domain.vcpus() {
        let kick = if has_registers(bytes, vcpu.id.0) {
            vcpu.flags.fetch_and(!(DOWN | BLOCKED | POLLING), SeqCst);
            call.hv.scheduler.stand_up(vcpu, now_ns)
        } else {
            vcpu.flags.fetch_or(DOWN, SeqCst);
            call.hv.scheduler.stand_down(vcpu, now_ns)
        };
        call.hv.kick_all(kick);
        call.hv.rearm_timers(vcpu);
    }
}

/// Whether a record with the registers of this vCPU is among the records.
fn has_registers(mut bytes: &[u8], vcpu: u32) -> bool {
    while let Some((descriptor, rest)) = bytes.split_at_checked(DESCRIPTOR_SIZE) {
        let half = |at: usize| u16::from_le_bytes([descriptor[at], descriptor[at + 1]]);
        if half(0) == CPU && u32::from(half(2)) == vcpu {
            return true;
        }
        let length = usize::from(half(4)) | usize::from(half(6)) << 16;
        let Some(next) = rest.get(length..) else {
            return false;
        };
        bytes = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hal::VcpuArch;
    use crate::hypercall::domctl::testing::*;
    use xen_abi::domctl::*;

    /// A header and the registers of vCPU 1, each with four bytes of payload, and the end.
    const RECORDS: [u8; 32] = [
        1, 0, 0, 0, 4, 0, 0, 0, 9, 9, 9, 9, //
        2, 0, 1, 0, 4, 0, 0, 0, 8, 8, 8, 8, //
        0, 0, 0, 0, 0, 0, 0, 0,
    ];

    fn op(size: u32, buffer: u64) -> DomctlHvmcontext {
        DomctlHvmcontext {
            size,
            buffer,
            ..DomctlHvmcontext::default()
        }
    }

    #[test]
    fn vcpus_with_registers_come_up_and_others_go_down() {
        let (fake, dom0, guest) = machine();
        fake.put(&dom0, BUFFER, &RECORDS);
        done(&fake, &dom0, XEN_DOMCTL_SETHVMCONTEXT, 1, &op(32, BUFFER));
        assert_eq!([0, 1].map(|id| guest.vcpus()[id].is_up()), [false, true]);
        assert!(!guest.is_shut_down.load(SeqCst));
        assert_eq!(
            done(&fake, &dom0, XEN_DOMCTL_GETHVMCONTEXT, 1, &op(0, 0)).size,
            32
        );
        assert_eq!(
            fails(&fake, &dom0, XEN_DOMCTL_GETHVMCONTEXT, 1, &op(31, BUFFER)),
            Errno::ENOSPC
        );
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_DOMCTL_GETHVMCONTEXT,
                1,
                &op(99, BUFFER + 64)
            )
            .size,
            32
        );
        assert_eq!(fake.get::<[u8; 32]>(&dom0, BUFFER + 64), RECORDS);
    }

    #[test]
    fn a_timer_that_was_loaded_expires() {
        let (fake, dom0, guest) = machine();
        fake.put(&dom0, BUFFER, &RECORDS);
        let loaded = fake.vcpu_arch(&guest, 1);
        loaded.set_timer_ns(fake.hv.now_ns() + 1_000);
        done(&fake, &dom0, XEN_DOMCTL_SETHVMCONTEXT, 1, &op(32, BUFFER));
        fake.machine.advance_ns(1_000_000);
        fake.hv.run_timers();
        assert_eq!(loaded.timer_deadline_ns(), u64::MAX);
    }

    #[test]
    fn one_record_is_read_by_type() {
        let (fake, dom0, _) = machine();
        fake.put(&dom0, BUFFER, &RECORDS);
        done(&fake, &dom0, XEN_DOMCTL_SETHVMCONTEXT, 1, &op(32, BUFFER));
        let one = |kind, instance, bufsz, buffer| DomctlHvmcontextPartial {
            kind,
            instance,
            bufsz,
            buffer,
        };
        assert_eq!(
            done(
                &fake,
                &dom0,
                XEN_DOMCTL_GETHVMCONTEXT_PARTIAL,
                1,
                &one(5, 0, 0, 0)
            )
            .bufsz,
            32
        );
        done(
            &fake,
            &dom0,
            XEN_DOMCTL_GETHVMCONTEXT_PARTIAL,
            1,
            &one(5, 0, u64::MAX, BUFFER),
        );
        let fail = |op: DomctlHvmcontextPartial| {
            fails(&fake, &dom0, XEN_DOMCTL_GETHVMCONTEXT_PARTIAL, 1, &op)
        };
        assert_eq!(fail(one(5, 0, 31, BUFFER)), Errno::ENOBUFS);
        assert_eq!(fail(one(21, 0, 99, BUFFER)), Errno::EINVAL);
        assert_eq!(fail(one(5, 0x1_0000, 99, BUFFER)), Errno::ENOENT);
        assert_eq!(fail(one(5, 0, u64::MAX, u64::MAX)), Errno::EFAULT);
    }

    #[test]
    fn hostile_sizes_buffers_and_the_caller_itself_are_refused() {
        let (fake, dom0, _) = machine();
        let fail = |domain, op: DomctlHvmcontext| {
            fails(&fake, &dom0, XEN_DOMCTL_SETHVMCONTEXT, domain, &op)
        };
        assert_eq!(fail(1, op(u32::MAX, BUFFER)), Errno::ENOMEM);
        assert_eq!(fail(1, op(16, u64::MAX)), Errno::EFAULT);
        assert_eq!(fail(0, op(16, BUFFER)), Errno::EINVAL);
        assert!(!has_registers(&[2, 0, 0], 0));
        assert!(!has_registers(&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0], 0));
    }
}
