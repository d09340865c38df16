//! Random operations with random arguments between three domains: whatever guests ask for, nothing panics and the tables stay consistent.

use std::vec::Vec;

use xen_abi::event_channel::EvtchnStatus;
use zerocopy::FromZeros;

use super::meddled::Random;
use super::table::State;
use super::testing::{Guest, domains};
use super::{Closer, ConsumerId, Peer, Received, Sent, Step};
use crate::ids::{Domid, Port, VcpuId};

const DOMAINS: u16 = 3;

struct Machine {
    guests: Vec<Guest>,
    random: Random,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self {
            guests: domains(DOMAINS),
            random: Random(seed),
        }
    }

    fn port(&mut self) -> Port {
        match self.random.below(20) {
            0 => Port(self.random.below(u32::MAX)),
            1 => Port(u32::MAX - self.random.below(2)),
            _ => Port(self.random.below(80)),
        }
    }

    fn vcpu(&mut self) -> VcpuId {
        VcpuId(if self.random.below(20) == 0 {
            u32::MAX
        } else {
            self.random.below(3)
        })
    }

    fn two(&mut self, first: usize, second: usize) -> (&mut Guest, &mut Guest) {
        let [a, b] = self.guests.get_disjoint_mut([first, second]).unwrap();
        (a, b)
    }

    fn index(domid: Domid) -> usize {
        usize::from(domid.0) - 1
    }

    fn operation(&mut self) {
        let who = self.random.below(u32::from(DOMAINS)) as usize;
        let remote = Domid(1 + self.random.below(u32::from(DOMAINS)) as u16);
        let (port, vcpu, virq) = (self.port(), self.vcpu(), self.random.below(26));
        let choice = self.random.below(40);
        let guest = &mut self.guests[who];
        match choice {
            0..=5 => drop(guest.events.alloc_unbound(guest.mem, remote)),
            6..=11 => self.bind(who, Self::index(remote), port),
            12..=18 => self.send(who, port),
            19..=22 => self.close(who, port, Closer::Guest),
            23 => self.close(who, port, Closer::Xen),
            24 => drop(guest.events.bind_virq(guest.mem, virq, vcpu)),
            25 => drop(guest.events.raise_virq(guest.mem, vcpu, virq)),
            26 => drop(guest.events.bind_ipi(guest.mem, vcpu)),
            27 => drop(guest.events.bind_vcpu(port, vcpu)),
            28 => drop(guest.events.unmask(guest.mem, port)),
            29 => drop(guest.events.set_priority(port, virq)),
            30 => drop(
                guest
                    .events
                    .alloc_unbound_xen(guest.mem, remote, vcpu, ConsumerId(1)),
            ),
            31 => drop(guest.events.begin_poll(guest.mem, vcpu, &[1, port.0])),
            32 => guest.events.end_poll(vcpu),
            33 if vcpu.0 < 2 => drop(guest.init_control(vcpu.0)),
            34 => drop(guest.expand_array()),
            35 if self.random.below(8) == 0 => self.reset(who),
            36 => {
                let mut status = EvtchnStatus::new_zeroed();
                status.port = port.0;
                let _ = guest.events.status(&mut status);
            }
            _ => drop(guest.set_pending(port)),
        }
    }

    fn bind(&mut self, who: usize, remote: usize, port: Port) {
        if who == remote {
            let guest = &mut self.guests[who];
            let _ = guest.events.bind_interdomain_self(guest.mem, port);
        } else {
            let (local, remote) = self.two(who, remote);
            let _ = local
                .events
                .bind_interdomain(&mut remote.events, local.mem, port);
        }
    }

    fn send(&mut self, who: usize, port: Port) {
        let guest = &mut self.guests[who];
        let from = Peer {
            domid: guest.domid,
            port,
        };
        if let Ok(Sent::Remote(peer)) = guest.events.send(guest.mem, port) {
            let there = &mut self.guests[Self::index(peer.domid)];
            let received = there.events.receive(there.mem, peer.port, from);
            assert_ne!(
                received,
                Received::Dropped,
                "{from:?} and {peer:?} are connected"
            );
        }
    }

    fn close(&mut self, who: usize, port: Port, by: Closer) {
        let guest = &mut self.guests[who];
        let closed = Peer {
            domid: guest.domid,
            port,
        };
        if let Ok(Some(peer)) = guest.events.close(guest.mem, port, by) {
            assert!(
                self.guests[Self::index(peer.domid)]
                    .events
                    .peer_closed(peer.port, closed)
            );
        }
    }

    fn reset(&mut self, who: usize) {
        self.guests[who].events.begin_reset().unwrap();
        loop {
            let guest = &mut self.guests[who];
            let domid = guest.domid;
            match guest.events.step_reset(guest.mem).unwrap() {
                Step::Closed { port, peer } => {
                    let there = &mut self.guests[Self::index(peer.domid)].events;
                    assert!(there.peer_closed(peer.port, Peer { domid, port }));
                }
                Step::More => {}
                Step::Done(frames) => {
                    let mut frames: Vec<_> = frames.collect();
                    frames.sort();
                    let mut expected = core::mem::take(&mut guest.fifo_frames);
                    expected.sort();
                    assert_eq!(frames, expected);
                    guest.array.clear();
                    return;
                }
            }
        }
    }

    fn check(&self) {
        for guest in &self.guests {
            let events = &guest.events;
            for (port, channel) in events.table.ports() {
                match channel.state {
                    State::Interdomain {
                        remote,
                        port: there,
                    } => {
                        let back = self.guests[Self::index(remote)].events.peer(there);
                        assert_eq!(
                            back,
                            Some(Peer {
                                domid: guest.domid,
                                port
                            })
                        );
                    }
                    State::Virq { virq } => {
                        assert!(
                            (0..2).any(|vcpu| events.virq_port(VcpuId(vcpu), virq) == Some(port))
                        );
                    }
                    _ => {}
                }
            }
            let open = events
                .table
                .ports()
                .filter(|(_, channel)| channel.state != State::Free);
            let (xen, own): (Vec<_>, Vec<_>) =
                open.partition(|(_, channel)| channel.consumer.is_some());
            assert_eq!(
                events.table.counts(),
                ((xen.len() + own.len()) as u32, xen.len() as u32)
            );
        }
    }
}

#[test]
fn tables_stay_consistent_whatever_guests_ask_for() {
    for seed in 1..=20u64 {
        let mut machine = Machine::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for step in 0..1000 {
            machine.operation();
            if step % 25 == 0 {
                machine.check();
            }
        }
    }
}
