//! `HYPERVISOR_platform_op` (xen/include/public/platform.h): services of the machine for dom0.
//!
//! The argument is one structure: command, interface version, and a payload of 128 bytes by command. It is copied in once; an operation gets
//! the payload as a value and writes back what it changed. There is no 32-bit form.

mod clock;
mod cpu;
mod firmware;
mod power;
mod screen;
mod symbols;

use core::mem::offset_of;

use xen_abi::errno::Errno;
use xen_abi::platform::{
    PlatformOp, XENPF_CORE_PARKING, XENPF_CPU_OFFLINE, XENPF_CPU_ONLINE, XENPF_EFI_RUNTIME_CALL,
    XENPF_FIRMWARE_INFO, XENPF_GET_CPU_VERSION, XENPF_GET_CPUINFO, XENPF_GET_DOM0_CONSOLE,
    XENPF_GET_SYMBOL, XENPF_GET_UCODE_REVISION, XENPF_GETIDLETIME, XENPF_INTERFACE_VERSION,
    XENPF_RESOURCE_OP, XENPF_SET_PROCESSOR_PMINFO, XENPF_SETTIME32, XENPF_SETTIME64,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Call, FramedRow, Needs, Outcome, Row, Width};
use crate::ids::GuestAddr;

/// The row of the hypercall: everything needs dom0's rights.
pub const ROW: Row = Row {
    op: 0,
    name: "platform_op",
    needs: Needs::Control,
    run,
};

type Run = fn(&mut Call<'_>, &Payload) -> Result<Outcome, Errno>;

/// An operation.
pub struct PlatformRow {
    op: u32,
    name: &'static str,
    run: Run,
}

impl FramedRow for PlatformRow {
    fn op(&self) -> u32 {
        self.op
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

const fn row(op: u32, name: &'static str, run: Run) -> PlatformRow {
    PlatformRow { op, name, run }
}

static OPERATIONS: [PlatformRow; 15] = [
    row(XENPF_SETTIME32, "XENPF_settime32", clock::settime32),
    row(XENPF_GET_CPU_VERSION, "XENPF_get_cpu_version", cpu::version),
    row(
        XENPF_EFI_RUNTIME_CALL,
        "XENPF_efi_runtime_call",
        firmware::efi_runtime_call,
    ),
    row(XENPF_FIRMWARE_INFO, "XENPF_firmware_info", firmware::info),
    row(XENPF_GETIDLETIME, "XENPF_getidletime", power::getidletime),
    row(
        XENPF_SET_PROCESSOR_PMINFO,
        "XENPF_set_processor_pminfo",
        power::set_processor_pminfo,
    ),
    row(XENPF_GET_CPUINFO, "XENPF_get_cpuinfo", cpu::info),
    row(XENPF_CPU_ONLINE, "XENPF_cpu_online", cpu::online),
    row(XENPF_CPU_OFFLINE, "XENPF_cpu_offline", cpu::offline),
    row(
        XENPF_CORE_PARKING,
        "XENPF_core_parking",
        power::core_parking,
    ),
    row(XENPF_RESOURCE_OP, "XENPF_resource_op", power::resource_op),
    row(XENPF_SETTIME64, "XENPF_settime64", clock::settime64),
    row(XENPF_GET_SYMBOL, "XENPF_get_symbol", symbols::get_symbol),
    row(
        XENPF_GET_DOM0_CONSOLE,
        "XENPF_get_dom0_console",
        screen::run,
    ),
    row(
        XENPF_GET_UCODE_REVISION,
        "XENPF_get_ucode_revision",
        cpu::microcode_revision,
    ),
];

/// The operations, for the documentation.
pub static ROWS: &[&dyn FramedRow] = &framed(&OPERATIONS);

const fn framed<const N: usize>(rows: &'static [PlatformRow; N]) -> [&'static dyn FramedRow; N] {
    let mut framed: [&'static dyn FramedRow; N] = [&rows[0]; N];
    let mut index = 0;
    while index < N {
        framed[index] = &rows[index];
        index += 1;
    }
    framed
}

fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    if call.width == Width::Bits32 {
        return Err(Errno::ENOSYS);
    }
    let op: PlatformOp = call.fetch(call.pointer(0))?;
    if op.interface_version != XENPF_INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    let row = OPERATIONS
        .iter()
        .find(|row| row.op == op.cmd)
        .ok_or(Errno::ENOSYS)?;
    (row.run)(call, &Payload(op.u))
}

/// The payload of the operation, as copied in.
struct Payload([u8; 128]);

impl Payload {
    /// Its start as a structure. None is longer than the payload.
    fn get<T: FromBytes + Immutable>(&self) -> T {
        T::read_from_prefix(&self.0).map_or_else(|_| T::new_zeroed(), |(value, _)| value)
    }
}

/// Writes the operation's structure back.
fn reply<T: IntoBytes + Immutable>(call: &mut Call<'_>, value: &T) -> Result<(), Errno> {
    let at = call
        .pointer(0)
        .0
        .wrapping_add(offset_of!(PlatformOp, u) as u64);
    call.store(GuestAddr(at), value)
}

#[cfg(test)]
mod testing {
    use alloc::sync::Arc;

    use xen_abi::errno::Errno;
    use xen_abi::platform::{PlatformOp, XENPF_INTERFACE_VERSION};
    use zerocopy::{FromBytes, Immutable, IntoBytes};

    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use crate::hypercall::Outcome;

    /// `__HYPERVISOR_platform_op`.
    pub const PLATFORM_OP: u32 = 7;
    /// Where the argument is put.
    pub const ARGUMENT: u64 = 0x1000;

    /// An operation with this payload.
    pub fn run<T: IntoBytes + Immutable>(
        fake: &Fake,
        dom0: &Arc<Domain>,
        cmd: u32,
        payload: &T,
    ) -> Result<Outcome, Errno> {
        let mut op = PlatformOp {
            cmd,
            interface_version: XENPF_INTERFACE_VERSION,
            ..PlatformOp::default()
        };
        op.u[..size_of::<T>()].copy_from_slice(payload.as_bytes());
        fake.put(dom0, ARGUMENT, &op);
        fake.call(dom0, PLATFORM_OP, &[ARGUMENT])
    }

    /// What the operation wrote back.
    pub fn reply<T: FromBytes + IntoBytes>(fake: &Fake, dom0: &Arc<Domain>) -> T {
        fake.get(dom0, ARGUMENT + 8)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{ARGUMENT, PLATFORM_OP};
    use super::*;
    use crate::fake_hv::Fake;

    #[test]
    fn rights_pointer_version_and_command_are_checked_in_this_order() {
        let fake = Fake::new();
        let (dom0, guest) = (fake.dom0(1), fake.domain(1));
        assert_eq!(
            fake.call(&guest, PLATFORM_OP, &[u64::MAX]),
            Err(Errno::EPERM)
        );
        assert_eq!(
            fake.call(&dom0, PLATFORM_OP, &[u64::MAX - 9]),
            Err(Errno::EFAULT)
        );
        let op = PlatformOp {
            cmd: 9999,
            interface_version: 0x0300_0000,
            ..PlatformOp::default()
        };
        fake.put(&dom0, ARGUMENT, &op);
        assert_eq!(
            fake.call(&dom0, PLATFORM_OP, &[ARGUMENT]),
            Err(Errno::EACCES)
        );
        fake.put(
            &dom0,
            ARGUMENT,
            &PlatformOp {
                interface_version: XENPF_INTERFACE_VERSION,
                ..op
            },
        );
        assert_eq!(
            fake.call(&dom0, PLATFORM_OP, &[ARGUMENT]),
            Err(Errno::ENOSYS)
        );
    }

    #[test]
    fn rows_are_in_order_and_all_are_documented() {
        assert!(OPERATIONS.windows(2).all(|pair| pair[0].op < pair[1].op));
        assert!(
            ROWS.iter()
                .zip(&OPERATIONS)
                .all(|(framed, row)| framed.op() == row.op && framed.name() == row.name)
        );
    }

    #[test]
    fn no_payload_whatsoever_harms_the_hypervisor() {
        let fake = Fake::new();
        let dom0 = fake.dom0(1);
        for row in &OPERATIONS {
            for word in [
                0,
                1,
                2,
                255,
                1 << 31,
                u64::from(u32::MAX),
                1 << 32,
                1 << 63,
                u64::MAX,
            ] {
                let _ = testing::run(&fake, &dom0, row.op, &[word; 16]);
            }
        }
    }
}
