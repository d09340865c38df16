//! The port table in words, for the debug key `e`.

use core::fmt;

use super::table::{Channel, State};
use super::{EventChannels, VcpuSet};
use crate::hal::MachineMemory;
use crate::ids::Port;

impl EventChannels {
    /// Writes one line per open port: pending, masked and queue state, what it is bound to, and whom it notifies.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn dump(&self, mem: &dyn MachineMemory, out: &mut dyn fmt::Write) -> fmt::Result {
        let format = if self.is_fifo() { "FIFO" } else { "two-level" };
        writeln!(out, "{} event channels, {format}", self.domid)?;
        for vcpu in VcpuSet::into_iter(self.pollers) {
            writeln!(out, "  v{} polls", vcpu.0)?;
        }
        for (port, channel) in self.table.ports() {
            if channel.state != State::Free {
                self.dump_port(mem, out, port, channel)?;
            }
        }
        Ok(())
    }

    fn dump_port(
        &self,
        mem: &dyn MachineMemory,
        out: &mut dyn fmt::Write,
        port: Port,
        channel: &Channel,
    ) -> fmt::Result {
        let flag = |set, name| if set { name } else { '-' };
        let pending = flag(self.is_pending(mem, port), 'P');
        let masked = flag(self.is_masked(mem, port), 'M');
        write!(out, "  {:5} {pending}{masked}", port.0)?;
        match &self.fifo {
            None => {
                let info = self
                    .vcpus
                    .get(usize::from(channel.vcpu))
                    .and_then(|vcpu| vcpu.info);
                write!(
                    out,
                    "{}",
                    flag(self.two_level.is_selected(mem, port, info), 'S')
                )?;
            }
            Some(fifo) => match fifo.load(mem, port) {
                None => write!(out, "?")?,
                Some(word) if word & super::fifo::LINKED != 0 => {
                    write!(out, "L {:6}", word & super::fifo::LINK)?;
                }
                Some(_) => write!(out, "-       ")?,
            },
        }
        write!(out, " -> v{} prio {:2} ", channel.vcpu, channel.priority)?;
        match channel.state {
            State::Free | State::Reserved => write!(out, "reserved")?,
            State::Unbound { remote } => write!(out, "unbound {remote}")?,
            State::Interdomain { remote, port } => {
                write!(out, "interdomain {remote} port {}", port.0)?
            }
            State::Virq { virq } => write!(out, "virq {virq}")?,
            State::Ipi => write!(out, "ipi")?,
        }
        match channel.consumer {
            Some(consumer) => writeln!(out, " hypervisor's {}", consumer.0),
            None => writeln!(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use xen_abi::xen::VIRQ_CONSOLE;

    use crate::evtchn::testing::{Guest, connected};
    use crate::ids::VcpuId;

    #[test]
    fn open_ports_are_listed_with_their_state() {
        let (mut a, ..) = connected();
        a.virq(VIRQ_CONSOLE, 0).unwrap();
        assert_eq!(a.events.begin_poll(a.mem, VcpuId(0), &[2]), Ok(true));
        let mut text = String::new();
        a.events.dump(a.mem, &mut text).unwrap();
        assert_eq!(
            text,
            "d1 event channels, two-level\n  v0 polls\n      1 P-S -> v0 prio  7 interdomain d2 port 1\n\
             \x20     2 --S -> v0 prio  7 virq 2\n"
        );
    }

    #[test]
    fn fifo_ports_show_their_links() {
        let mut guest = Guest::fifo(1);
        guest.ipis(0, 2);
        let _ = guest.set_pending(crate::ids::Port(2));
        let _ = guest.set_pending(crate::ids::Port(1));
        let mut text = String::new();
        guest.events.dump(guest.mem, &mut text).unwrap();
        assert!(
            text.contains("    2 P-L      1 -> v0 prio  7 ipi\n"),
            "{text}"
        );
    }
}
