//! Console keys that look at the machine.

use xen_core::console::print;
use xen_core::ids::Domid;

use crate::cpu::percpu::all_cpus;
use crate::machine::hv;

/// The keys that mean something here.
pub const KEYS: &[(u8, &str)] = &[
    (b'd', "registers"),
    (b'i', "interrupt vectors"),
    (b'R', "reboot the machine"),
];

/// Handles a key; `false` if it means nothing here.
pub fn handle(key: u8) -> bool {
    match key {
        b'd' => registers(),
        b'R' => crate::power::restart(xen_core::hal::Restart::Reboot),
        b'i' => vectors(),
        _ => return false,
    }
    true
}

/// Registers of all vCPUs; those that run are shown when they next stop.
fn registers() {
    for domain in hv().domains_from(Domid::DOM0, usize::MAX) {
        domain.arch.dump(&domain);
    }
}

fn vectors() {
    for cpu in all_cpus() {
        for (vector, word) in cpu.vectors.iter().enumerate() {
            let source = crate::interrupts::Source::from_word(
                word.load(core::sync::atomic::Ordering::Relaxed),
            );
            if source != crate::interrupts::Source::None {
                print(format_args!(
                    "CPU{} vector {vector:#x}: {source:?}",
                    cpu.id.0
                ));
            }
        }
    }
}
