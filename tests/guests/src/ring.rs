//! The pages that a guest shares with daemons in dom0, by address, and the event channels that go with them.
//!
//! A ring is a part of such a page, a power of two of bytes, with two indices in the page that run freely.

use core::mem::offset_of;

use xen_abi::event_channel::{EVTCHNOP_SEND, EvtchnSend};
use xen_abi::hvm::hvm_op::{HVMOP_GET_PARAM, HvmParam};
use xen_abi::hvm::params::{HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN};
use xen_abi::io::console::XenconsInterface;
use xen_abi::xen::{DOMID_SELF, HYPERVISOR_EVENT_CHANNEL_OP, HYPERVISOR_HVM_OP};

use crate::{hypercall, memory};

/// A page shared with a daemon.
#[derive(Copy, Clone)]
pub struct SharedPage {
    at: u64,
    port: u32,
}

/// Where a ring is in its page.
#[derive(Copy, Clone)]
pub struct Ring {
    /// Its first byte.
    pub bytes: u64,
    /// How many, a power of two.
    pub size: u32,
    /// The index of who reads.
    pub cons: u64,
    /// The index of who writes.
    pub prod: u64,
}

/// What the guest writes on its console.
pub const CONSOLE_OUTPUT: Ring = Ring {
    bytes: offset_of!(XenconsInterface, out) as u64,
    size: 2048,
    cons: offset_of!(XenconsInterface, out_cons) as u64,
    prod: offset_of!(XenconsInterface, out_prod) as u64,
};

/// What is typed on the guest's console.
pub const CONSOLE_INPUT: Ring = Ring {
    bytes: offset_of!(XenconsInterface, in_) as u64,
    size: 1024,
    cons: offset_of!(XenconsInterface, in_cons) as u64,
    prod: offset_of!(XenconsInterface, in_prod) as u64,
};

impl SharedPage {
    /// The page of the console and the channel to its daemon.
    #[must_use]
    pub fn of_console() -> Option<Self> {
        Self::of_params(HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN)
    }

    /// The page and channel that two `HVM_PARAM_*` name, if the toolstack made them.
    #[must_use]
    pub fn of_params(frame: u32, channel: u32) -> Option<Self> {
        let (frame, channel) = (param(frame)?, param(channel)?);
        Some(Self {
            at: frame << 12,
            port: channel.try_into().ok()?,
        })
    }

    /// Reads the index at `offset`.
    #[must_use]
    pub fn index(&self, offset: u64) -> u32 {
        memory::get_half(self.at + offset)
    }

    /// Writes the index at `offset`.
    pub fn set_index(&self, offset: u64, value: u32) {
        memory::set_half(self.at + offset, value);
    }

    /// Raises the event channel.
    pub fn kick(&self) {
        let mut send = EvtchnSend { port: self.port };
        let _ = hypercall::with(HYPERVISOR_EVENT_CHANNEL_OP, EVTCHNOP_SEND, &mut send);
    }

    /// Room in a ring that this guest writes.
    #[must_use]
    pub fn room(&self, ring: Ring) -> u32 {
        let used = self.index(ring.prod).wrapping_sub(self.index(ring.cons));
        ring.size.saturating_sub(used)
    }

    /// Bytes in a ring that this guest reads.
    #[must_use]
    pub fn filled(&self, ring: Ring) -> u32 {
        let used = self.index(ring.prod).wrapping_sub(self.index(ring.cons));
        used.min(ring.size)
    }

    /// Writes bytes for which there is room, and lets them count.
    pub fn put(&self, ring: Ring, bytes: impl IntoIterator<Item = u8>) {
        let mut prod = self.index(ring.prod);
        for byte in bytes {
            let place = prod & (ring.size - 1);
            memory::set_byte(self.at + ring.bytes + u64::from(place), byte);
            prod = prod.wrapping_add(1);
        }
        self.set_index(ring.prod, prod);
    }

    /// Takes as many bytes as there are, `bytes.len()` at most.
    pub fn take(&self, ring: Ring, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.filled(ring) as usize);
        let mut cons = self.index(ring.cons);
        for byte in bytes.iter_mut().take(count) {
            let place = cons & (ring.size - 1);
            *byte = memory::get_byte(self.at + ring.bytes + u64::from(place));
            cons = cons.wrapping_add(1);
        }
        self.set_index(ring.cons, cons);
        count
    }

    /// Takes everything there is, unseen.
    pub fn drop_all(&self, ring: Ring) {
        self.set_index(ring.cons, self.index(ring.prod));
    }
}

fn param(index: u32) -> Option<u64> {
    let mut request = HvmParam {
        domid: DOMID_SELF,
        index,
        ..HvmParam::default()
    };
    let result = hypercall::with(HYPERVISOR_HVM_OP, HVMOP_GET_PARAM, &mut request);
    (result == 0 && request.value != 0).then_some(request.value)
}
