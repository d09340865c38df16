//! Keys of the hypervisor's console: state printed on request, by `xl debug-keys`.
//!
//! Text is composed first and printed when every lock is free again, so that a slow serial port holds up nobody. What the machine-specific
//! code knows (registers, interrupts, page tables) is under keys of its own.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering::SeqCst;

use super::Hypervisor;
use crate::console;
use crate::domain::Domain;
use crate::ids::Domid;
use crate::memory::heap_use::HEAP_USE;
use crate::sched::Schedulable;
use crate::vcpu::Vcpu;

/// Bytes that one key prints at most; the console ring holds less anyway.
const LIMIT: usize = 32 << 10;

/// Text up to a limit, beyond which writing fails.
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LIMIT || self.0.try_reserve(text.len()).is_err() {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// A key that is handled here.
struct Key {
    key: u8,
    what: &'static str,
    write: fn(&Hypervisor, &mut Text) -> fmt::Result,
}

const KEYS: &[Key] = &[
    Key {
        key: b'e',
        what: "event channels",
        write: events,
    },
    Key {
        key: b'g',
        what: "grant tables",
        write: grants,
    },
    Key {
        key: b'h',
        what: "this list",
        write: help,
    },
    Key {
        key: b'm',
        what: "memory",
        write: memory,
    },
    Key {
        key: b'q',
        what: "domains and vCPUs",
        write: domains,
    },
    Key {
        key: b'r',
        what: "run queues",
        write: run_queues,
    },
];

impl Hypervisor {
    /// Does what a key stands for. `*` presses all that only print.
    pub fn press_debug_key(&self, key: u8) {
        if key == b'*' {
            KEYS.iter()
                .filter(|known| known.key != b'h')
                .for_each(|known| self.show(known));
            return;
        }
        match KEYS.iter().find(|known| known.key == key) {
            Some(known) => self.show(known),
            None => self.press_machine_key(key),
        }
    }

    fn press_machine_key(&self, key: u8) {
        let keys = self.arch.known_keys();
        if let Some((_, what)) = keys.iter().find(|(known, _)| *known == key) {
            console::print(format_args!("'{}' pressed: {what}", printable(key)));
        }
        if !self.arch.debug_key(key) {
            console::print(format_args!(
                "'{}' pressed: no such key, 'h' lists them",
                printable(key)
            ));
        }
    }

    fn show(&self, key: &Key) {
        console::print(format_args!(
            "'{}' pressed: {}",
            printable(key.key),
            key.what
        ));
        let mut text = Text(String::new());
        let complete = (key.write)(self, &mut text).is_ok();
        text.0
            .lines()
            .for_each(|line| console::print(format_args!("{line}")));
        if !complete {
            console::print(format_args!("(cut short)"));
        }
    }

    fn every_domain(&self, mut show: impl FnMut(&Arc<Domain>) -> fmt::Result) -> fmt::Result {
        self.domains_from(Domid::DOM0, usize::MAX)
            .iter()
            .try_for_each(&mut show)
    }
}

fn printable(key: u8) -> char {
    if key.is_ascii_graphic() {
        char::from(key)
    } else {
        '?'
    }
}

fn help(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    KEYS.iter()
        .try_for_each(|key| writeln!(out, " {}: {}", char::from(key.key), key.what))?;
    writeln!(out, " *: all of these")?;
    let others = hv.arch.known_keys();
    others
        .iter()
        .try_for_each(|(key, what)| writeln!(out, " {}: {what}", char::from(*key)))
}

fn events(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    hv.every_domain(|domain| domain.events.lock().dump(hv.memory, out))
}

fn grants(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    hv.every_domain(|domain| domain.grants.dump(domain.id, hv.memory, out))
}

fn memory(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    let (free, dirty) = {
        let frames = hv.frames.lock();
        (frames.free_pages(), frames.dirty_pages())
    };
    let claimed = hv.claimed_pages.load(SeqCst);
    writeln!(
        out,
        "{} pages, {free} free, {claimed} of these claimed, {dirty} to be scrubbed",
        hv.host.total_pages
    )?;
    writeln!(
        out,
        "heap: {} objects of {} bytes",
        HEAP_USE.objects(),
        HEAP_USE.bytes()
    )?;
    hv.every_domain(|domain| {
        writeln!(
            out,
            "{}: {} pages of {}, {} page tables",
            domain.id,
            domain.memory.total.load(SeqCst),
            domain.memory.limit.load(SeqCst),
            domain.table_frames.load(SeqCst)
        )?;
        let (entries, cached) = {
            let map = domain.p2m.read();
            (map.pod().entries(), map.pod().cached())
        };
        if entries == 0 && cached == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "    {entries} pages wait to be populated on demand, {cached} are set aside for them"
        )
    })
}

fn run_queues(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    hv.scheduler.dump(out, hv.now_ns())
}

fn domains(hv: &Hypervisor, out: &mut Text) -> fmt::Result {
    writeln!(out, "now {} ns", hv.now_ns())?;
    hv.every_domain(|domain| {
        domain_line(domain, out)?;
        domain
            .vcpus()
            .iter()
            .try_for_each(|vcpu| vcpu_line(hv, vcpu, out))
    })
}

fn domain_line(domain: &Domain, out: &mut Text) -> fmt::Result {
    write!(
        out,
        "{}: {:?}, {} pages of {}, paused {} times by tools{}",
        domain.id,
        domain.life(),
        domain.memory.total.load(SeqCst),
        domain.memory.limit.load(SeqCst),
        domain.tool_pauses.load(SeqCst),
        if domain.pause.is_paused() {
            ", not running"
        } else {
            ""
        }
    )?;
    if domain.is_shut_down.load(SeqCst) {
        write!(
            out,
            ", shut down with code {}",
            domain.shutdown_code.load(SeqCst)
        )?;
    }
    writeln!(
        out,
        ", callback vector {:#x}",
        domain.callback_vector.load(SeqCst)
    )
}

fn vcpu_line(hv: &Hypervisor, vcpu: &Vcpu, out: &mut Text) -> fmt::Result {
    let (hard, soft) = vcpu.unit().affinity();
    write!(out, "    v{}: CPU{}", vcpu.id.0, vcpu.unit().last_cpu().0)?;
    if hv.scheduler.is_running_on(vcpu).is_some() {
        write!(out, ", running")?;
    }
    writeln!(
        out,
        ", flags {:#x}, up for {} ns, affinity {hard} / {soft}, upcall vector {:#x}",
        vcpu.flags.load(SeqCst),
        hv.scheduler.cpu_time_ns(vcpu, hv.now_ns()),
        vcpu.upcall_vector.load(SeqCst)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_hv::Fake;
    use std::vec;

    /// What the key prints.
    fn pressed(fake: &Fake, key: u8) -> String {
        console::clear();
        fake.hv.press_debug_key(key);
        let mut bytes = vec![0; console::RING_SIZE];
        let (len, _) = console::read(0, &mut bytes);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    #[test]
    fn domains_and_vcpus_are_listed() {
        let fake = Fake::new();
        let _domains = [fake.dom0(1), fake.domain(2)];
        let text = pressed(&fake, b'q');
        assert!(
            text.starts_with("(XEN) 'q' pressed: domains and vCPUs\n"),
            "{text}"
        );
        assert!(
            text.contains("(XEN) d1: Alive, 32 pages of ") && text.contains("(XEN)     v1: CPU"),
            "{text}"
        );
    }

    #[test]
    fn every_key_prints_its_state_and_the_star_all_of_them() {
        let fake = Fake::new();
        let _domains = [fake.dom0(1), fake.domain(2)];
        for (key, expected) in [
            (b'e', "d1 event channels, two-level"),
            (b'g', "d1 grant table"),
            (b'h', " q: domains and vCPUs"),
            (b'm', "2048 pages, "),
            (b'r', "Pool-0: Credit2"),
        ] {
            assert!(
                pressed(&fake, key).contains(expected),
                "{}",
                char::from(key)
            );
            assert_eq!(pressed(&fake, b'*').contains(expected), key != b'h');
        }
    }

    #[test]
    fn unknown_keys_go_to_the_machine_and_then_to_the_help() {
        let fake = Fake::new();
        assert_eq!(pressed(&fake, b'd'), "(XEN) 'd' pressed: registers\n");
        assert!(pressed(&fake, b'h').contains("(XEN)  d: registers\n"));
        assert_eq!(
            pressed(&fake, 7),
            "(XEN) '?' pressed: no such key, 'h' lists them\n"
        );
        assert_eq!(fake.arch.debug_keys(), b"d\x07");
    }

    #[test]
    fn long_output_is_cut_short() {
        let mut text = Text(String::new());
        assert!((0..=LIMIT).any(|_| text.write_str("0123456789").is_err()));
        assert!(text.0.len() <= LIMIT);
    }
}
