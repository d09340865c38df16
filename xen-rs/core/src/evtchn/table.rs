//! The port table: what each port is bound to. Grows in buckets; a bucket is never moved or freed before the domain is.

use alloc::vec::Vec;

use xen_abi::errno::Errno;
use xen_abi::event_channel::EVTCHN_FIFO_PRIORITY_DEFAULT;

use super::{ConsumerId, Peer};
use crate::ids::{Domid, Port, VcpuId};

/// Ports per bucket.
const BUCKET: u32 = 64;

/// Free but busy ports (closed, the guest has not yet taken them off its queue) which the search for a free port passes over. A working
/// guest has a handful; a hostile one could make every search read all its 131072 event words.
const MAX_BUSY_SKIPPED: u32 = 1024;

/// What a port is bound to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    /// Port 0.
    Reserved,
    Unbound {
        remote: Domid,
    },
    Interdomain {
        remote: Domid,
        port: Port,
    },
    Virq {
        virq: u32,
    },
    Ipi,
}

/// A FIFO queue of a domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueId {
    pub vcpu: u8,
    pub priority: u8,
}

/// One port.
#[derive(Copy, Clone, Debug)]
pub(super) struct Channel {
    pub state: State,
    /// vCPU that is notified.
    pub vcpu: u8,
    /// FIFO queue of events to come.
    pub priority: u8,
    /// FIFO queue on which the event was last put. Outlives the binding, as the event does on its queue.
    pub queue: QueueId,
    /// The hypervisor's own end of a channel.
    pub consumer: Option<ConsumerId>,
    /// Became pending before its FIFO event word existed.
    pub pending: bool,
}

const _: () = assert!(size_of::<Channel>() == 16);

impl Channel {
    const FREE: Self = Self {
        state: State::Free,
        vcpu: 0,
        priority: EVTCHN_FIFO_PRIORITY_DEFAULT as u8,
        queue: QueueId {
            vcpu: 0,
            priority: EVTCHN_FIFO_PRIORITY_DEFAULT as u8,
        },
        consumer: None,
        pending: false,
    };

    /// Whether events may be delivered to the guest through it: bound to something, and not the hypervisor's own end.
    pub fn is_usable(&self) -> bool {
        self.consumer.is_none() && !matches!(self.state, State::Free | State::Reserved)
    }

    /// Whether it is the other end of `peer`.
    pub fn is_bound_to(&self, peer: Peer) -> bool {
        self.state
            == State::Interdomain {
                remote: peer.domid,
                port: peer.port,
            }
    }

    pub fn vcpu(&self) -> VcpuId {
        VcpuId(u32::from(self.vcpu))
    }
}

struct Bucket {
    channels: Vec<Channel>,
    free: u32,
}

/// All ports of a domain.
pub(super) struct Table {
    buckets: Vec<Bucket>,
    /// Ports that are not free, port 0 aside.
    active: u32,
    /// Those of them that the hypervisor owns.
    xen_owned: u32,
}

impl Table {
    /// One bucket, with port 0 reserved.
    pub fn new() -> Result<Self, Errno> {
        let mut table = Self {
            buckets: Vec::new(),
            active: 0,
            xen_owned: 0,
        };
        table.grow()?;
        if let Some(bucket) = table.buckets.first_mut() {
            bucket.channels[0].state = State::Reserved;
            bucket.free -= 1;
        }
        Ok(table)
    }

    /// One more than the highest existing port.
    pub fn len(&self) -> u32 {
        self.buckets.len() as u32 * BUCKET
    }

    pub fn get(&self, port: Port) -> Option<&Channel> {
        self.buckets
            .get((port.0 / BUCKET) as usize)?
            .channels
            .get((port.0 % BUCKET) as usize)
    }

    pub fn get_mut(&mut self, port: Port) -> Option<&mut Channel> {
        let bucket = self.buckets.get_mut((port.0 / BUCKET) as usize)?;
        bucket.channels.get_mut((port.0 % BUCKET) as usize)
    }

    /// Whether the guest has ports besides those the hypervisor owns.
    pub fn has_guest_ports(&self) -> bool {
        self.active > self.xen_owned
    }

    /// Open ports, and how many of them the hypervisor owns.
    #[cfg(test)]
    pub fn counts(&self) -> (u32, u32) {
        (self.active, self.xen_owned)
    }

    /// The existing ports from 1 on, in order.
    pub fn ports(&self) -> impl Iterator<Item = (Port, &Channel)> {
        let channels = self.buckets.iter().flat_map(|bucket| &bucket.channels);
        (0..).map(Port).zip(channels).skip(1)
    }

    /// The existing ports from 1 on, in order.
    pub fn ports_mut(&mut self) -> impl Iterator<Item = (Port, &mut Channel)> {
        let channels = self
            .buckets
            .iter_mut()
            .flat_map(|bucket| &mut bucket.channels);
        (0..).map(Port).zip(channels).skip(1)
    }

    /// The lowest free port below `limit` that is not `busy`; a bucket is added when there is none. The port stays free until
    /// [`Table::occupy`].
    pub fn lowest_free(&mut self, limit: u32, busy: impl Fn(Port) -> bool) -> Result<Port, Errno> {
        let mut skipped = 0;
        for (index, bucket) in (0u32..).zip(&self.buckets) {
            if bucket.free == 0 {
                continue;
            }
            for (offset, channel) in (0u32..).zip(&bucket.channels) {
                let port = Port(index * BUCKET + offset);
                if channel.state != State::Free {
                    continue;
                }
                if port.0 >= limit || skipped >= MAX_BUSY_SKIPPED {
                    return Err(Errno::ENOSPC);
                }
                if !busy(port) {
                    return Ok(port);
                }
                skipped += 1;
            }
        }
        let port = Port(self.len());
        if port.0 >= limit {
            return Err(Errno::ENOSPC);
        }
        self.grow()?;
        Ok(port)
    }

    /// Binds a free port, with the default priority.
    pub fn occupy(&mut self, port: Port, state: State, vcpu: u8, consumer: Option<ConsumerId>) {
        let Some(bucket) = self.buckets.get_mut((port.0 / BUCKET) as usize) else {
            return;
        };
        let Some(channel) = bucket.channels.get_mut((port.0 % BUCKET) as usize) else {
            return;
        };
        debug_assert_eq!(channel.state, State::Free);
        channel.state = state;
        channel.vcpu = vcpu;
        channel.consumer = consumer;
        channel.priority = Channel::FREE.priority;
        bucket.free -= 1;
        self.active += 1;
        self.xen_owned += u32::from(consumer.is_some());
    }

    /// Frees a bound port. Its last queue is remembered.
    pub fn release(&mut self, port: Port) {
        let Some(bucket) = self.buckets.get_mut((port.0 / BUCKET) as usize) else {
            return;
        };
        let Some(channel) = bucket.channels.get_mut((port.0 % BUCKET) as usize) else {
            return;
        };
        debug_assert!(!matches!(channel.state, State::Free | State::Reserved));
        self.xen_owned -= u32::from(channel.consumer.is_some());
        self.active -= 1;
        bucket.free += 1;
        *channel = Channel {
            queue: channel.queue,
            ..Channel::FREE
        };
    }

    fn grow(&mut self) -> Result<(), Errno> {
        let mut channels = Vec::new();
        channels
            .try_reserve_exact(BUCKET as usize)
            .map_err(|_| Errno::ENOMEM)?;
        channels.resize(BUCKET as usize, Channel::FREE);
        self.buckets.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.buckets.push(Bucket {
            channels,
            free: BUCKET,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(table: &mut Table, limit: u32) -> Result<Port, Errno> {
        let port = table.lowest_free(limit, |_| false)?;
        table.occupy(port, State::Ipi, 0, None);
        Ok(port)
    }

    #[test]
    fn lowest_free_port_is_taken_and_port_0_never() {
        let mut table = Table::new().unwrap();
        for port in 1..200 {
            assert_eq!(bind(&mut table, 4096), Ok(Port(port)));
        }
        table.release(Port(130));
        table.release(Port(7));
        assert_eq!(bind(&mut table, 4096), Ok(Port(7)));
        assert_eq!(bind(&mut table, 4096), Ok(Port(130)));
        assert_eq!(bind(&mut table, 4096), Ok(Port(200)));
    }

    #[test]
    fn full_table_is_enospc_and_grows_no_further() {
        let mut table = Table::new().unwrap();
        for _ in 1..64 {
            bind(&mut table, 64).unwrap();
        }
        assert_eq!(bind(&mut table, 64), Err(Errno::ENOSPC));
        assert_eq!(table.len(), 64);
        assert_eq!(bind(&mut table, 65), Ok(Port(64)));
        assert_eq!(bind(&mut table, 65), Err(Errno::ENOSPC));
    }

    #[test]
    fn busy_ports_are_passed_over_but_not_without_limit() {
        let mut table = Table::new().unwrap();
        assert_eq!(table.lowest_free(4096, |port| port.0 < 3), Ok(Port(3)));
        for _ in 1..4096 {
            bind(&mut table, 4096).unwrap();
        }
        (1..4096).for_each(|port| table.release(Port(port)));
        let read = core::cell::Cell::new(0);
        let all_busy = |_| {
            read.set(read.get() + 1);
            true
        };
        assert_eq!(table.lowest_free(4096, all_busy), Err(Errno::ENOSPC));
        assert!(read.get() <= MAX_BUSY_SKIPPED);
    }
}
