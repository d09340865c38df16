//! Event channels: the ports through which domains, the hypervisor and vCPUs signal each other.
//!
//! [`EventChannels`] is one domain's port table together with the guest memory through which its events are delivered: the two-level bit
//! maps of the shared info page (`two_level`) or, once the guest asked for it, the FIFO queues (`fifo`). One file per
//! `EVTCHNOP_*` operation holds that operation; the order of checks and the error codes are Xen 4.20's.
//!
//! Ownership and locks: a domain owns its table behind one lock; nothing here takes a lock. An operation never follows a reference to the
//! other end of a channel: it names the other end ([`Peer`]) and the caller goes there, so that two tables are locked by the caller in
//! whatever order keeps locks ranked. A message from the other end always carries its sender's [`Peer`] and is dropped if the
//! port is no longer bound to it, so a late message can not reach the wrong channel.
//!
//! Guest memory: bit maps, event words, control blocks and `vcpu_info` are written with single atomic operations at machine addresses
//! which the caller resolved and keeps referenced until it replaces them or receives them back ([`FifoFrames`]). What is read from
//! there is the guest's claim and decides nothing but the delivery of that guest's own events.
//!
//! Memory is allocated by the operations that create ports or switch formats, never by sending.

mod alloc_unbound;
mod bind_interdomain;
mod bind_ipi;
mod bind_pirq;
mod bind_vcpu;
mod bind_virq;
mod close;
mod close_all;
mod dump;
mod expand_array;
mod fifo;
mod init_control;
mod poll;
mod raise;
mod send;
mod set_priority;
mod status;
mod table;
mod two_level;
mod unmask;
mod upcall;
mod wake;

#[cfg(test)]
mod any_argument;
#[cfg(test)]
mod fifo_guest;
#[cfg(test)]
mod meddled;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod two_level_guest;

use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::event_channel::EVTCHN_FIFO_NR_CHANNELS;
use xen_abi::xen::NR_VIRQS;

use crate::ids::{Domid, Maddr, Port, VcpuId};

pub use alloc_unbound::ConsumerId;
pub use close::Closer;
pub use close_all::Step;
pub use fifo::FifoFrames;
pub use send::{Received, Sent};
pub use two_level::GuestWidth;
pub use wake::{VcpuSet, Wake};

use fifo::Fifo;
use poll::Polling;
use table::Table;
use two_level::TwoLevel;

/// Most vCPUs a domain with event channels can have (`HVM_MAX_VCPUS`).
pub const MAX_VCPUS: u32 = 128;

/// The other end of a channel.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Domain whose port it is.
    pub domid: Domid,
    /// Port in that domain.
    pub port: Port,
}

/// One vCPU's part in event delivery.
struct VcpuEvents {
    /// Where its `vcpu_info` is; `None` before the guest has registered one.
    info: Option<Maddr>,
    /// Port bound to each VIRQ, 0 for none. Global VIRQs are all in vCPU 0's.
    virqs: [u32; NR_VIRQS as usize],
    /// Ports it waits for in `SCHEDOP_poll`.
    polling: Polling,
}

/// A domain's event channels.
pub struct EventChannels {
    domid: Domid,
    table: Table,
    vcpus: Vec<VcpuEvents>,
    two_level: TwoLevel,
    /// `Some` once the guest has switched to the FIFO format.
    fifo: Option<Fifo>,
    /// Highest port the domain's configuration allows.
    max_port: u32,
    /// No new ports: the domain is being destroyed.
    dying: bool,
    /// vCPUs in `SCHEDOP_poll`, so that raising a port need not look at every vCPU.
    pollers: VcpuSet,
    /// Next port that `EVTCHNOP_reset` closes; 0 when no reset is in progress.
    reset_at: u32,
    /// Next port that the destruction of the domain closes.
    teardown_at: u32,
}

impl EventChannels {
    /// An empty table in two-level format for a 64-bit guest. Port 0 is reserved. `max_port` is `max_evtchn_port` of domain creation.
    ///
    /// # Errors
    /// `EINVAL` for more than [`MAX_VCPUS`] vCPUs, `ENOMEM`.
    pub fn new(domid: Domid, vcpus: u32, max_port: u32) -> Result<Self, Errno> {
        if vcpus > MAX_VCPUS {
            return Err(Errno::EINVAL);
        }
        let mut list = Vec::new();
        list.try_reserve_exact(vcpus as usize)
            .map_err(|_| Errno::ENOMEM)?;
        list.resize_with(vcpus as usize, || VcpuEvents {
            info: None,
            virqs: [0; NR_VIRQS as usize],
            polling: Polling::No,
        });
        Ok(Self {
            domid,
            table: Table::new()?,
            vcpus: list,
            two_level: TwoLevel::new(),
            fifo: None,
            // The ABI's limit is lower anyway; the clamp is Xen's and keeps "one more" from overflowing.
            max_port: max_port.min(i32::MAX as u32),
            dying: false,
            pollers: VcpuSet::EMPTY,
            reset_at: 0,
            teardown_at: 1,
        })
    }

    /// Address of the shared info page, which must be frame-aligned. Until it is set two-level events are dropped.
    pub fn set_shared_info(&mut self, at: Maddr) {
        self.two_level.shared_info = Some(at);
    }

    /// Layout of the shared info page and `vcpu_info`, as latched from the guest's mode.
    pub fn set_width(&mut self, width: GuestWidth) {
        self.two_level.width = width;
    }

    /// Layout of the shared info page and `vcpu_info`.
    #[must_use]
    pub const fn width(&self) -> GuestWidth {
        self.two_level.width
    }

    /// Whether the guest has switched to the FIFO format.
    #[must_use]
    pub const fn is_fifo(&self) -> bool {
        self.fifo.is_some()
    }

    /// One more than the highest port that can be allocated now.
    fn limit(&self) -> u32 {
        let abi = match self.fifo {
            Some(_) => EVTCHN_FIFO_NR_CHANNELS,
            None => self.two_level.width.ports(),
        };
        abi.min(self.max_port.saturating_add(1))
    }

    /// The index of an existing vCPU.
    fn vcpu_index(&self, vcpu: VcpuId) -> Result<u8, Errno> {
        if (vcpu.0 as usize) < self.vcpus.len() {
            // Bounded by MAX_VCPUS.
            Ok(vcpu.0 as u8)
        } else {
            Err(Errno::ENOENT)
        }
    }
}

const _: () = assert!(MAX_VCPUS <= u128::BITS && MAX_VCPUS <= 1 << u8::BITS);
