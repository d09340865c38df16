//! Boots emulated machines with the hypervisor and judges what they say on the serial console.
//!
//! A scenario (`tests/scenarios/NAME.scenario`) says which dom0 to boot and what to expect; the boot CD is made by GRUB's
//! tools, dom0's file system from the Debian packages that `tests/debian.sh` unpacked. Everything made goes below `target/`.
//! The hypervisor file is a parameter, so the same scenarios judge real Xen.

mod bochs;
mod boot_cd;
mod cpio;
mod dom0_initramfs;
mod elf;
mod emulator;
mod expect;
mod options;
mod qemu;
mod report;
mod scenario;
mod suite;
mod tools;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("runner: {reason}\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match suite::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("runner: {reason}");
            ExitCode::FAILURE
        }
    }
}
