//! `XEN_SYSCTL_readconsole`: the console ring, for `xl dmesg` and xenconsoled.

use xen_abi::errno::Errno;
use xen_abi::sysctl::SysctlReadconsole;

use super::SysctlFrame;
use crate::console;
use crate::hypercall::Call;
use crate::hypercall::call::element;
use crate::hypercall::framed::Copyback;
use crate::ids::GuestAddr;

/// Bytes copied at a time.
const CHUNK: usize = 256;

/// Copies from the oldest byte on, or with `incremental` from byte number `index` on, if it is still there. The caller gets the number of the
/// byte after the last one.
///
/// # Errors
/// `EFAULT`.
pub fn run(call: &mut Call<'_>, frame: &mut SysctlFrame) -> Result<Copyback, Errno> {
    let mut op: SysctlReadconsole = frame.payload.get();
    let mut at = if op.incremental != 0 {
        widen(op.index)
    } else {
        0
    };
    let mut copied: u32 = 0;
    while copied < op.count {
        let mut bytes = [0; CHUNK];
        let room = ((op.count - copied) as usize).min(CHUNK);
        let (len, next) = console::read(at, &mut bytes[..room]);
        at = next;
        if len == 0 {
            break;
        }
        let to = element(GuestAddr(op.buffer), u64::from(copied), 1)?;
        call.guest.write(to, &bytes[..len])?;
        copied += len as u32;
    }
    if op.clear != 0 {
        console::clear();
    }
    (op.count, op.index) = (copied, at as u32);
    frame.payload.put(&op);
    Ok(Copyback::Frame)
}

/// The latest byte number whose low half this is; 0, and so the oldest byte, if it has not been written yet.
fn widen(index: u32) -> u64 {
    let (_, end) = console::read(u64::MAX, &mut []);
    let back = (end as u32).wrapping_sub(index);
    end.saturating_sub(u64::from(back))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypercall::sysctl::testing::*;
    use std::string::String;
    use xen_abi::sysctl::XEN_SYSCTL_READCONSOLE;

    #[test]
    fn ring_is_read_from_the_start_and_from_an_index() {
        let (fake, dom0) = machine();
        crate::console::print(format_args!("read me"));
        let op = SysctlReadconsole {
            buffer: BUFFER,
            count: 16384,
            ..SysctlReadconsole::default()
        };
        let all = done(&fake, &dom0, XEN_SYSCTL_READCONSOLE, &op);
        assert!(all.count >= 14 && all.count <= 16384);
        let text: [u8; 16384] = fake.get(&dom0, BUFFER);
        assert!(String::from_utf8_lossy(&text[..all.count as usize]).contains("(XEN) read me\n"));
        let rest = SysctlReadconsole {
            incremental: 1,
            index: all.index.wrapping_sub(3),
            count: 3,
            ..op
        };
        let rest = done(&fake, &dom0, XEN_SYSCTL_READCONSOLE, &rest);
        assert_eq!((rest.count, rest.index), (3, all.index));
        let ahead = SysctlReadconsole {
            incremental: 1,
            index: all.index.wrapping_add(1 << 30),
            ..op
        };
        assert!(done(&fake, &dom0, XEN_SYSCTL_READCONSOLE, &ahead).count > 0);
    }

    #[test]
    fn bad_buffers_are_efault_and_no_room_is_fine() {
        let (fake, dom0) = machine();
        crate::console::print(format_args!("something"));
        let op = |buffer, count| SysctlReadconsole {
            buffer,
            count,
            ..SysctlReadconsole::default()
        };
        for buffer in [NOWHERE, u64::MAX] {
            assert_eq!(
                fails(&fake, &dom0, XEN_SYSCTL_READCONSOLE, &op(buffer, u32::MAX)),
                Errno::EFAULT
            );
        }
        assert_eq!(
            done(&fake, &dom0, XEN_SYSCTL_READCONSOLE, &op(0, 0)).count,
            0
        );
    }
}
