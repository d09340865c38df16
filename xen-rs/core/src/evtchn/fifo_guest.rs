//! The guest's side of the FIFO format for tests: a consumer that works as a Linux guest does (take the ready bits, follow the links, unlink,
//! then handle), at any moment between two of the hypervisor's accesses.

use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use xen_abi::errno::Errno;

use super::fifo::{BUSY, LINK, LINKED, MASKED, PENDING};
use super::meddled::{Meddled, Random};
use super::testing::Guest;
use super::{Closer, EventChannels, VcpuSet, Wake};
use crate::fake::FakeMemory;
use crate::hal::MachineMemory;
use crate::ids::{Domid, Maddr, Mfn, Port, VcpuId};

/// Where the guest has its FIFO memory.
#[derive(Clone)]
struct Places {
    array: Vec<Mfn>,
    controls: Vec<Option<Maddr>>,
    infos: Vec<Maddr>,
}

impl Places {
    fn of(guest: &Guest) -> Self {
        let infos = (0..guest.controls.len() as u64)
            .map(|vcpu| Maddr(guest.shared_info.maddr().0 + vcpu * 64));
        Self {
            array: guest.array.clone(),
            controls: guest.controls.clone(),
            infos: infos.collect(),
        }
    }

    fn word(&self, port: u32) -> Maddr {
        Maddr(self.array[port as usize / 1024].maddr().0 + u64::from(port % 1024) * 4)
    }
}

/// What an upcall handler does next.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
enum Stage {
    /// Waiting for an upcall.
    #[default]
    Idle,
    /// To take the ready bits.
    Scan,
    /// To take the first port off the highest ready queue.
    Unlink,
    /// To handle a port taken off.
    Handle(u32),
}

#[derive(Clone, Default)]
struct Consumer {
    stage: Stage,
    ready: u32,
    heads: [u32; 16],
}

/// All vCPUs' upcall handlers.
struct Consumers {
    places: Places,
    vcpus: Vec<Consumer>,
    handled: Vec<u32>,
}

impl Consumers {
    fn new(places: Places) -> Self {
        let vcpus = vec![Consumer::default(); places.controls.len()];
        Self {
            places,
            vcpus,
            handled: Vec::new(),
        }
    }

    /// One access of one vCPU's handler. False: it waits for an upcall and has none.
    fn step(&mut self, mem: &FakeMemory, vcpu: usize) -> bool {
        let info = self.places.infos[vcpu];
        let Some(control) = self.places.controls[vcpu] else {
            return false;
        };
        let me = &mut self.vcpus[vcpu];
        match me.stage {
            Stage::Idle if mem.swap_u8(info, 0) == 0 => return false,
            Stage::Idle => me.stage = Stage::Scan,
            Stage::Scan => {
                me.ready |= mem.fetch_and_u32(control, 0);
                me.stage = if me.ready == 0 {
                    Stage::Idle
                } else {
                    Stage::Unlink
                };
            }
            Stage::Unlink => {
                let queue = me.ready.trailing_zeros() as usize;
                let port = match me.heads[queue] {
                    0 => mem.load_u32(Maddr(control.0 + 8 + queue as u64 * 4)),
                    head => head,
                };
                me.heads[queue] =
                    mem.fetch_and_u32(self.places.word(port), !(LINKED | LINK)) & LINK;
                if me.heads[queue] == 0 {
                    me.ready &= !(1 << queue);
                }
                me.stage = Stage::Handle(port);
            }
            Stage::Handle(port) => {
                let word = self.places.word(port);
                if mem.load_u32(word) & (PENDING | MASKED) == PENDING {
                    mem.fetch_and_u32(word, !PENDING);
                    self.handled.push(port);
                }
                me.stage = Stage::Scan;
            }
        }
        true
    }

    /// Lets all handlers run until no upcall is left.
    fn drain(&mut self, mem: &FakeMemory) {
        for _ in 0..1_000_000 {
            if !(0..self.vcpus.len()).fold(false, |busy, vcpu| self.step(mem, vcpu) | busy) {
                return;
            }
        }
        panic!("the queues have no end");
    }
}

impl Guest {
    fn word_at(&self, port: u32) -> Maddr {
        Places::of(self).word(port)
    }

    pub fn word(&self, port: u32) -> u32 {
        self.mem.load_u32(self.word_at(port))
    }

    pub fn set(&self, port: Port, bits: u32) {
        self.mem.fetch_or_u32(self.word_at(port.0), bits);
    }

    pub fn clear(&self, port: Port, bits: u32) {
        self.mem.fetch_and_u32(self.word_at(port.0), !bits);
    }

    pub fn ready(&self, vcpu: usize) -> u32 {
        self.mem.load_u32(self.controls[vcpu].unwrap())
    }

    pub fn head(&self, vcpu: usize, queue: u64) -> u32 {
        self.mem
            .load_u32(Maddr(self.controls[vcpu].unwrap().0 + 8 + queue * 4))
    }

    /// Lets one vCPU handle its upcall; the ports in the order they were handled.
    pub fn consume(&self, vcpu: usize) -> Vec<u32> {
        let mut consumers = Consumers::new(Places::of(self));
        while consumers.step(self.mem, vcpu) {}
        consumers.handled
    }
}

const PORTS: u32 = 12;
const VCPUS: u32 = 2;

/// A working guest that may act at any moment.
struct Live {
    consumers: Consumers,
    random: Random,
}

impl Live {
    fn act(&mut self, mem: &FakeMemory) {
        let port = 1 + self.random.below(PORTS);
        let word = self.consumers.places.word(port);
        match self.random.below(8) {
            0 => {
                mem.fetch_or_u32(word, MASKED);
            }
            1 => self.unmask_if_idle(mem, word),
            2..=5 => {
                self.consumers.step(mem, self.random.below(VCPUS) as usize);
            }
            _ => {}
        }
    }

    /// Linux unmasks by itself only what is not pending, and waits while BUSY is set.
    fn unmask_if_idle(&self, mem: &FakeMemory, word: Maddr) {
        let seen = mem.load_u32(word);
        if seen & (PENDING | MASKED | BUSY) == MASKED {
            let _ = mem.compare_exchange_u32(word, seen, seen & !MASKED);
        }
    }
}

/// Does something to a port; most often raises it.
fn random_operation(events: &mut EventChannels, mem: &dyn MachineMemory, random: &mut Random) {
    let port = Port(1 + random.below(PORTS));
    match random.below(12) {
        0 => assert!(events.unmask(mem, port).is_ok()),
        1 => assert!(matches!(
            events.set_priority(port, random.below(16)),
            Ok(()) | Err(Errno::EACCES)
        )),
        2 => assert!(matches!(
            events.bind_vcpu(port, VcpuId(random.below(VCPUS))),
            Ok(()) | Err(Errno::EINVAL)
        )),
        3 if events.close(mem, port, Closer::Guest).is_ok() => {
            assert!(events.alloc_unbound(mem, Domid(77)).is_ok());
        }
        _ => {
            let _ = events.set_pending(mem, port);
        }
    }
}

/// Ports are closed and bound again, masked, moved and raised at random while the guest acts between any two accesses. Afterwards nothing
/// may be left pending or queued, and each port must still work.
fn no_event_is_lost(seed: u64) {
    let mut guest = Guest::fifo(VCPUS);
    guest.unbounds(PORTS);
    let mem = guest.mem;
    let mut random = Random(seed);
    let consumers = Consumers::new(Places::of(&guest));
    let live = Mutex::new(Live {
        consumers,
        random: Random(seed.rotate_left(32) | 1),
    });
    let meddle = |mem: &FakeMemory| live.lock().unwrap().act(mem);
    for _ in 0..400 {
        random_operation(&mut guest.events, &Meddled { mem, meddle }, &mut random);
        if random.below(4) == 0 {
            meddle(mem);
        }
    }
    let mut consumers = live.into_inner().unwrap().consumers;
    consumers.drain(mem);
    let open: Vec<Port> = (1..=PORTS)
        .map(Port)
        .filter(|port| guest.is_open(*port))
        .collect();
    for port in &open {
        let _ = guest.events.unmask(mem, *port);
    }
    consumers.drain(mem);
    for port in 1..=PORTS {
        let word = guest.word(port) & !MASKED;
        assert_eq!(
            word, 0,
            "seed {seed}: port {port} is stuck with word {word:#x}"
        );
    }
    consumers.handled.clear();
    for port in &open {
        let _ = guest.set_pending(*port);
    }
    consumers.drain(mem);
    consumers.handled.sort_unstable();
    let handled: Vec<Port> = consumers.handled.into_iter().map(Port).collect();
    assert_eq!(handled, open, "seed {seed}: a queue is broken");
}

#[test]
fn working_guest_loses_no_event_whatever_happens_in_between() {
    (1..=150u64).for_each(|seed| no_event_is_lost(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
}

#[test]
fn every_raised_event_is_handled_once_by_a_guest_that_only_listens() {
    let mut guest = Guest::fifo(VCPUS);
    guest.unbounds(PORTS);
    let mut consumers = Consumers::new(Places::of(&guest));
    let mut random = Random(42);
    for _ in 0..300 {
        let port = Port(1 + random.below(PORTS));
        guest.events.set_priority(port, random.below(16)).unwrap();
        guest
            .events
            .bind_vcpu(port, VcpuId(random.below(VCPUS)))
            .unwrap();
        let before = consumers.handled.len();
        let _ = guest.set_pending(port);
        let _ = guest.set_pending(port);
        consumers.drain(guest.mem);
        assert_eq!(consumers.handled[before..], [port.0]);
    }
}

#[test]
fn hostile_event_words_cost_bounded_work_and_touch_only_the_guests_pages() {
    for seed in 1..=60u64 {
        let mut guest = Guest::fifo(VCPUS);
        guest.unbounds(PORTS);
        let mem = guest.mem;
        let places = Places::of(&guest);
        let accesses = Mutex::new((0u32, Random(seed * 0x9e37_79b9)));
        let meddle = |mem: &FakeMemory| {
            let (count, random) = &mut *accesses.lock().unwrap();
            *count += 1;
            let garbage = random.below(u32::MAX);
            mem.store_u32(places.word(random.below(PORTS + 1)), garbage);
            let control = places.controls[random.below(VCPUS) as usize].unwrap();
            mem.store_u32(Maddr(control.0 + 4 * u64::from(random.below(18))), garbage);
        };
        let meddled = Meddled { mem, meddle };
        let own = |frame: Mfn| guest_frames(&places).contains(&frame);
        let before: Vec<_> = (0..mem.frames() as u64)
            .map(|frame| mem.frame(Mfn(frame)))
            .collect();
        let mut random = Random(seed);
        for _ in 0..300 {
            accesses.lock().unwrap().0 = 0;
            random_operation(&mut guest.events, &meddled, &mut random);
            let spent = accesses.lock().unwrap().0;
            assert!(
                spent <= 40 + 2 * PORTS,
                "seed {seed}: {spent} accesses in one operation"
            );
        }
        for (frame, bytes) in (0..).map(Mfn).zip(&before) {
            let is_info = frame == guest.shared_info;
            let now = mem.frame(frame);
            let from = if is_info { 64 * VCPUS as usize } else { 0 };
            assert!(
                own(frame) || now[from..] == bytes[from..],
                "seed {seed}: frame {frame:?}"
            );
        }
    }
}

fn guest_frames(places: &Places) -> Vec<Mfn> {
    let controls = places
        .controls
        .iter()
        .flatten()
        .map(|control| control.mfn());
    places.array.iter().copied().chain(controls).collect()
}

#[test]
fn guest_that_will_not_let_its_tail_be_linked_gets_the_queue_restarted() {
    let mut guest = Guest::fifo(1);
    guest.ipis(0, 2);
    let _ = guest.set_pending(Port(1));
    guest.clear_upcall(0);
    let tail = guest.word_at(1);
    let flip = |mem: &FakeMemory| {
        mem.store_u32(tail, LINKED | mem.load_u32(tail).wrapping_add(1) & LINK);
    };
    let meddled = Meddled {
        mem: guest.mem,
        meddle: flip,
    };
    let wake = guest.events.set_pending(&meddled, Port(2));
    // The ready bit was still set: no upcall.
    assert_eq!(wake, Wake::NOBODY);
    assert_eq!(guest.head(0, 7), 2);
    assert_eq!(guest.word(1) & BUSY, 0);
}

#[test]
fn guest_that_keeps_masking_and_unmasking_its_tail_is_held_off_until_it_is_linked() {
    let mut guest = Guest::fifo(1);
    guest.ipis(0, 2);
    let _ = guest.set_pending(Port(1));
    let tail = guest.word_at(1);
    let toggle = |mem: &FakeMemory| {
        let seen = mem.load_u32(tail);
        // As Linux, which waits with unmasking while BUSY is set.
        if seen & (MASKED | BUSY) != MASKED | BUSY {
            mem.store_u32(tail, seen ^ MASKED);
        }
    };
    let meddled = Meddled {
        mem: guest.mem,
        meddle: toggle,
    };
    assert_eq!(guest.events.set_pending(&meddled, Port(2)), Wake::NOBODY);
    assert_eq!(guest.word(1) & !MASKED, PENDING | LINKED | 2);
    assert_eq!(guest.head(0, 7), 1);
}

#[test]
fn links_of_a_guest_are_never_followed() {
    let mut guest = Guest::fifo(1);
    guest.ipis(0, 2);
    guest.set(Port(1), LINKED | 0x1ffff);
    guest.set(Port(2), 0x1ffff);
    assert!(guest.set_pending(Port(1)).is_nobody());
    assert_eq!(guest.set_pending(Port(2)).upcalls, VcpuSet::of(VcpuId(0)));
    assert_eq!(guest.word(1), PENDING | LINKED | 0x1ffff);
}
