//! The guest's side of the two-level format for tests: an upcall handler that works as a Linux guest's does (clear the upcall byte, take
//! the selector, look at the selected words), at any moment between two of the hypervisor's accesses.

use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

use super::meddled::{Meddled, Random};
use super::testing::Guest;
use super::{Closer, GuestWidth};
use crate::fake::FakeMemory;
use crate::hal::MachineMemory;
use crate::ids::{Domid, Maddr, Port, VcpuId};

const VCPUS: u32 = 2;
/// In several words of either width.
const PORTS: u32 = 140;

/// What an upcall handler does next.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Stage {
    Idle,
    Select,
    /// To look at these words.
    Words(u64),
}

struct Handlers {
    shared_info: u64,
    width: GuestWidth,
    stages: Vec<Stage>,
    handled: Vec<u32>,
    random: Random,
}

impl Handlers {
    fn new(guest: &Guest, width: GuestWidth, seed: u64) -> Self {
        let stages = vec![Stage::Idle; VCPUS as usize];
        let shared_info = guest.shared_info.maddr().0;
        Self {
            shared_info,
            width,
            stages,
            handled: Vec::new(),
            random: Random(seed),
        }
    }

    fn word_bits(&self) -> u32 {
        if self.width == GuestWidth::Bits64 {
            64
        } else {
            32
        }
    }

    /// The 32-bit word of `port` in a map, and its bit.
    fn bit(&self, offset: u64, port: u32) -> (Maddr, u32) {
        (
            Maddr(self.shared_info + offset + u64::from(port / 32) * 4),
            1 << (port % 32),
        )
    }

    fn pending(&self, port: u32) -> (Maddr, u32) {
        self.bit(2048, port)
    }

    fn mask(&self, port: u32) -> (Maddr, u32) {
        self.bit(
            if self.width == GuestWidth::Bits64 {
                2560
            } else {
                2176
            },
            port,
        )
    }

    /// One step of one vCPU's handler. False: it waits for an upcall and has none.
    fn step(&mut self, mem: &FakeMemory, vcpu: u32) -> bool {
        let info = self.shared_info + u64::from(vcpu) * 64;
        let stage = match self.stages[vcpu as usize] {
            Stage::Idle if mem.swap_u8(Maddr(info), 0) == 0 => return false,
            Stage::Idle => Stage::Select,
            Stage::Select if self.width == GuestWidth::Bits64 => {
                Stage::Words(mem.fetch_and_u64(Maddr(info + 8), 0))
            }
            Stage::Select => Stage::Words(u64::from(mem.fetch_and_u32(Maddr(info + 4), 0))),
            Stage::Words(0) => Stage::Idle,
            Stage::Words(words) => {
                let word = words.trailing_zeros();
                if self.handle_one(mem, word) {
                    Stage::Words(words)
                } else {
                    Stage::Words(words & (words - 1))
                }
            }
        };
        self.stages[vcpu as usize] = stage;
        true
    }

    /// Handles one unmasked event of a word, if there is one.
    fn handle_one(&mut self, mem: &FakeMemory, word: u32) -> bool {
        for port in word * self.word_bits()..(word + 1) * self.word_bits() {
            let ((at, bit), (mask, mask_bit)) = (self.pending(port), self.mask(port));
            if mem.load_u32(mask) & mask_bit == 0 && mem.fetch_and_u32(at, !bit) & bit != 0 {
                self.handled.push(port);
                return true;
            }
        }
        false
    }

    fn act(&mut self, mem: &FakeMemory) {
        let port = 1 + self.random.below(PORTS);
        let vcpu = self.random.below(VCPUS);
        match self.random.below(6) {
            0 => {
                let (mask, bit) = self.mask(port);
                mem.fetch_or_u32(mask, bit);
            }
            1..=4 => {
                self.step(mem, vcpu);
            }
            _ => {}
        }
    }

    fn drain(&mut self, mem: &FakeMemory) {
        while (0..VCPUS).fold(false, |busy, vcpu| self.step(mem, vcpu) | busy) {}
    }
}

/// Does something to a port; most often raises it.
fn random_operation(guest: &mut Guest, mem: &dyn MachineMemory, random: &mut Random) {
    let port = Port(1 + random.below(PORTS));
    match random.below(10) {
        0..=1 => assert!(guest.events.unmask(mem, port).is_ok()),
        2 => assert!(
            guest
                .events
                .bind_vcpu(port, VcpuId(random.below(VCPUS)))
                .is_ok()
        ),
        3 => {
            guest.events.close(mem, port, Closer::Guest).unwrap();
            assert_eq!(guest.events.alloc_unbound(mem, Domid(77)), Ok(port));
        }
        _ => {
            let _ = guest.events.set_pending(mem, port);
        }
    }
}

fn no_event_is_lost(width: GuestWidth, seed: u64) {
    let mut guest = Guest::new(VCPUS);
    guest.events.set_width(width);
    guest.unbounds(PORTS);
    let mem = guest.mem;
    let mut random = Random(seed);
    let handlers = Mutex::new(Handlers::new(&guest, width, seed.rotate_left(32) | 1));
    let meddle = |mem: &FakeMemory| handlers.lock().unwrap().act(mem);
    for _ in 0..300 {
        random_operation(&mut guest, &Meddled { mem, meddle }, &mut random);
    }
    let mut handlers = handlers.into_inner().unwrap();
    handlers.drain(mem);
    for port in (1..=PORTS).map(Port) {
        let _ = guest.events.unmask(mem, port);
    }
    handlers.drain(mem);
    for port in (1..=PORTS).map(Port) {
        assert!(
            !guest.is_pending(port),
            "{width:?}, seed {seed}: {port:?} is stuck"
        );
    }
}

#[test]
fn working_guest_loses_no_event_whatever_happens_in_between() {
    for width in [GuestWidth::Bits64, GuestWidth::Bits32] {
        (1..=40u64)
            .for_each(|seed| no_event_is_lost(width, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
}
