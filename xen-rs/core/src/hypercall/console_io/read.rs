//! `CONSOLEIO_read`: what was typed for dom0.

use xen_abi::errno::Errno;

use crate::console_input;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Bytes copied at a time.
const CHUNK: usize = 128;

/// See the module. The result is the number of bytes, perhaps 0.
///
/// # Errors
/// `E2BIG` for a count that the result could not tell from an error, `EFAULT`.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (count, buffer) = (call.arg32(1), call.pointer(2));
    if count > i32::MAX as u32 {
        return Err(Errno::E2BIG);
    }
    let mut done = 0;
    let mut bytes = [0; CHUNK];
    // Ends when the ring is empty, or after one ring's worth should bytes arrive as fast.
    while done < (count as usize).min(console_input::RING_SIZE) {
        let wanted = (count as usize - done).min(CHUNK);
        let taken = console_input::take(&mut bytes[..wanted]);
        if taken == 0 {
            break;
        }
        let at = buffer.0.checked_add(done as u64).ok_or(Errno::EFAULT)?;
        call.guest.write(GuestAddr(at), &bytes[..taken])?;
        done += taken;
    }
    Ok(Outcome::Done(done as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use xen_abi::xen::HYPERVISOR_CONSOLE_IO;

    #[test]
    fn dom0_reads_what_was_typed_for_it() {
        let _alone = console_input::tests::alone();
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        console_input::switch_to(console_input::Reader::Dom0);
        for byte in 0..200u8 {
            let _ = console_input::push(byte | 0x40);
        }
        let read = |domain, count, at| fake.call(domain, HYPERVISOR_CONSOLE_IO, &[1, count, at]);
        assert_eq!(read(&guest, 10, 0), Err(Errno::EPERM));
        assert_eq!(read(&dom0, 1 << 31, 0), Err(Errno::E2BIG));
        assert_eq!(read(&dom0, 3, 0), Ok(Outcome::Done(3)));
        assert_eq!(fake.get::<[u8; 4]>(&dom0, 0), [0x40, 0x41, 0x42, 0]);
        assert_eq!(read(&dom0, 1000, 16), Ok(Outcome::Done(197)));
        assert_eq!(fake.get::<u8>(&dom0, 16), 0x43);
        assert_eq!(read(&dom0, 1000, 16), Ok(Outcome::Done(0)));
        let _ = console_input::push(b'x');
        assert_eq!(read(&dom0, 1, 1 << 40), Err(Errno::EFAULT));
    }
}
