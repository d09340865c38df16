//! A guest for tests: a table with its memory, and the guest's side of both formats.

use std::boxed::Box;
use std::vec::Vec;

use xen_abi::errno::Errno;

use super::{EventChannels, Wake};
use crate::fake::FakeMemory;
use crate::hal::MachineMemory;
use crate::ids::{Domid, Maddr, Mfn, Port, VcpuId};

/// A domain with shared info page, `vcpu_info`s in it, and what it registered for FIFO.
pub struct Guest {
    pub mem: &'static FakeMemory,
    pub events: EventChannels,
    pub domid: Domid,
    pub shared_info: Mfn,
    pub array: Vec<Mfn>,
    pub controls: Vec<Option<Maddr>>,
    pub fifo_frames: Vec<Mfn>,
}

impl Guest {
    pub fn new(vcpus: u32) -> Self {
        Self::with_max_port(vcpus, u32::MAX)
    }

    pub fn with_max_port(vcpus: u32, max_port: u32) -> Self {
        Self::in_memory(memory(200), Domid(1), vcpus, max_port)
    }

    /// In FIFO format, with all control blocks and one page of event words.
    pub fn fifo(vcpus: u32) -> Self {
        let mut guest = Self::new(vcpus);
        (0..vcpus).for_each(|vcpu| guest.init_control(vcpu).unwrap());
        let _ = guest.expand_array().unwrap();
        guest
    }

    pub fn in_memory(mem: &'static FakeMemory, domid: Domid, vcpus: u32, max_port: u32) -> Self {
        let mut events = EventChannels::new(domid, vcpus, max_port).unwrap();
        let shared_info = mem.take_frame();
        events.set_shared_info(shared_info.maddr());
        for vcpu in 0..vcpus {
            let info = Maddr(shared_info.maddr().0 + u64::from(vcpu) * 64);
            events.set_vcpu_info(VcpuId(vcpu), info);
        }
        let controls = (0..vcpus).map(|_| None).collect();
        Self {
            mem,
            events,
            domid,
            shared_info,
            array: Vec::new(),
            controls,
            fifo_frames: Vec::new(),
        }
    }

    pub fn set_pending(&mut self, port: Port) -> Wake {
        self.events.set_pending(self.mem, port)
    }

    pub fn is_pending(&self, port: Port) -> bool {
        self.events.is_pending(self.mem, port)
    }

    /// A port waiting for domain 77.
    pub fn unbound(&mut self) -> Port {
        self.events.alloc_unbound(self.mem, Domid(77)).unwrap()
    }

    /// `count` such ports.
    pub fn unbounds(&mut self, count: u32) {
        for _ in 0..count {
            self.unbound();
        }
    }

    /// Whether the guest may use `port`.
    pub fn is_open(&self, port: Port) -> bool {
        self.events
            .table
            .get(port)
            .is_some_and(|channel| channel.is_usable())
    }

    /// Binds `count` IPIs of `vcpu`; the last one's port.
    pub fn ipis(&mut self, vcpu: u32, count: u32) -> Port {
        let bind = |_| self.events.bind_ipi(self.mem, VcpuId(vcpu)).unwrap();
        (0..count).map(bind).last().unwrap()
    }

    pub fn virq(&mut self, virq: u32, vcpu: u32) -> Result<Port, Errno> {
        self.events.bind_virq(self.mem, virq, VcpuId(vcpu))
    }

    /// Control block at an odd place of its own frame.
    pub fn init_control(&mut self, vcpu: u32) -> Result<(), Errno> {
        let frame = self.mem.take_frame();
        let offset = 8 * (vcpu + 1);
        self.events
            .init_control(self.mem, VcpuId(vcpu), frame, offset)?;
        self.controls[vcpu as usize] = Some(Maddr(frame.maddr().0 + u64::from(offset)));
        self.fifo_frames.push(frame);
        Ok(())
    }

    pub fn expand_array(&mut self) -> Result<Wake, Errno> {
        let frame = self.mem.take_frame();
        let wake = self.events.expand_array(self.mem, frame)?;
        self.array.push(frame);
        self.fifo_frames.insert(self.array.len() - 1, frame);
        Ok(wake)
    }

    pub fn clear_upcall(&self, vcpu: u32) {
        self.mem
            .swap_u8(Maddr(self.shared_info.maddr().0 + u64::from(vcpu) * 64), 0);
    }
}

fn memory(frames: usize) -> &'static FakeMemory {
    Box::leak(Box::new(FakeMemory::new(frames)))
}

/// Domains 1 to `count`, of two vCPUs, in one memory.
pub fn domains(count: u16) -> Vec<Guest> {
    let mem = memory(400);
    (1..=count)
        .map(|domid| Guest::in_memory(mem, Domid(domid), 2, u32::MAX))
        .collect()
}

/// Domains 1 and 2.
pub fn pair() -> (Guest, Guest) {
    let mut both = domains(2).into_iter();
    (both.next().unwrap(), both.next().unwrap())
}

/// [`pair`] with a channel between them, nothing pending at the second: the first's port, the second's port.
pub fn connected() -> (Guest, Guest, Port, Port) {
    let (mut a, mut b) = pair();
    let waiting = b.events.alloc_unbound(b.mem, a.domid).unwrap();
    let (port, _) = a
        .events
        .bind_interdomain(&mut b.events, a.mem, waiting)
        .unwrap();
    (a, b, port, waiting)
}
