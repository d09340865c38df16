//! `CONSOLEIO_write`: print bytes as they are. They enter the ring that `xl dmesg` reads only with `console_to_ring` on the command line.
//! When the serial port cannot follow, the call goes on later: the caller makes no progress, everybody else does.

use xen_abi::errno::Errno;
use xen_abi::xen::CONSOLEIO_WRITE;

use crate::console;
use crate::hypercall::{Call, Outcome};
use crate::ids::GuestAddr;

/// Bytes copied at a time.
const CHUNK: usize = 128;
/// Bytes taken between two looks at the outside world.
const BUDGET: u64 = 512;

/// See the module. The result is 0.
///
/// # Errors
/// `EFAULT`; what came before it is printed.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let (count, buffer) = (u64::from(call.arg32(1)), call.pointer(2));
    let mut done = 0;
    let mut bytes = [0; CHUNK];
    while done < count.min(BUDGET) {
        let len = (count - done).min(CHUNK as u64);
        let chunk = &mut bytes[..len as usize];
        let at = buffer.0.checked_add(done).ok_or(Errno::EFAULT)?;
        call.guest.read(GuestAddr(at), chunk)?;
        let taken = console::put_raw(chunk, call.hv.options.console_to_ring);
        done += taken as u64;
        if taken < chunk.len() {
            break;
        }
    }
    if done == count {
        return Ok(Outcome::OK);
    }
    let rest = buffer.0.checked_add(done).ok_or(Errno::EFAULT)?;
    Ok(Outcome::Continue([
        u64::from(CONSOLEIO_WRITE),
        count - done,
        rest,
        0,
        0,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use crate::hypercall::{LinearMemory, Width};
    use crate::ids::Gpa;
    use alloc::string::String;
    use xen_abi::xen::HYPERVISOR_CONSOLE_IO;

    /// What is in the ring after dom0 has printed 1000 bytes.
    fn ring_after_output(command_line: &str) -> String {
        let fake = Fake::with_options(command_line);
        let dom0 = fake.dom0(1);
        fake.put(&dom0, 4000, "wxyz".repeat(250).as_bytes());
        let first = fake.call(&dom0, HYPERVISOR_CONSOLE_IO, &[0, 1000, 4000]);
        assert_eq!(first, Ok(Outcome::Continue([0, 488, 4512, 0, 0])));
        let rest = fake.call_to_end(&dom0, HYPERVISOR_CONSOLE_IO, &[0, 488, 4512]);
        assert_eq!(rest, Ok(Outcome::OK));
        let mut ring = [0; console::RING_SIZE];
        let (len, _) = console::read(0, &mut ring);
        String::from_utf8_lossy(&ring[..len]).into_owned()
    }

    #[test]
    fn long_output_is_printed_in_several_goes_and_kept_if_wanted() {
        assert_eq!(ring_after_output(""), "");
        assert!(ring_after_output("console_to_ring").ends_with(&"wxyz".repeat(250)));
    }

    /// An address space that has memory everywhere.
    struct Everywhere;

    impl LinearMemory for Everywhere {
        fn read(&mut self, _at: GuestAddr, into: &mut [u8]) -> Result<(), Errno> {
            into.fill(b'-');
            Ok(())
        }

        fn write(&mut self, _at: GuestAddr, _from: &[u8]) -> Result<(), Errno> {
            Ok(())
        }

        fn translate(&mut self, _at: GuestAddr) -> Option<Gpa> {
            None
        }
    }

    #[test]
    fn output_that_goes_on_beyond_the_last_address_is_efault() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        let mut call = Call {
            hv: fake.hv,
            domain: &dom0,
            vcpu: &dom0.vcpus()[0],
            width: Width::Bits64,
            args: [CONSOLEIO_WRITE.into(), 1000, u64::MAX - 511, 0, 0],
            guest: &mut Everywhere,
        };
        assert_eq!(run(&mut call), Err(Errno::EFAULT));
    }

    #[test]
    fn guests_may_not_and_bad_buffers_are_efault() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(
            fake.call(&guest, HYPERVISOR_CONSOLE_IO, &[0, 1, 0]),
            Err(Errno::EPERM)
        );
        for at in [1 << 40, u64::MAX] {
            assert_eq!(
                fake.call(&dom0, HYPERVISOR_CONSOLE_IO, &[0, 200, at]),
                Err(Errno::EFAULT)
            );
        }
    }
}
