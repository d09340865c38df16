//! Who a message is for: how one vLAPIC answers to destination fields, published so that other CPUs can ask without touching it.
//!
//! Semantics: Intel SDM vol. 3, "Determining IPI Destination", "Logical Destination Mode in x2APIC Mode", "Lowest Priority Delivery Mode".

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use xen_core::ids::VcpuId;

use super::message::{Audience, Delivery, DeliveryMode, DestMode};

/// How an APIC reads logical destinations.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Logical {
    /// xAPIC flat model: eight bits, one per APIC.
    Flat(u8),
    /// xAPIC cluster model: cluster in the high, member bit in the low four bits.
    Cluster(u8),
    /// xAPIC with a DFR that names no model: answers to no logical destination.
    NoModel,
    /// x2APIC: cluster `id / 16`, member `id % 16`.
    X2apic,
    /// x2APIC of a guest that was started by Xen 4.4-4.18, which derived the logical id from the vCPU id, half the APIC id.
    X2apicHalved,
}

/// Snapshot of what decides whether a vLAPIC takes a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// APIC id: 8 bits in xAPIC, 32 bits in x2APIC mode.
    pub id: u32,
    /// Logical addressing.
    pub logical: Logical,
    /// Whether the APIC takes vectors: enabled by APIC_BASE and by the spurious-interrupt vector register.
    pub enabled: bool,
    /// Processor priority (PPR) when the snapshot was taken; for arbitration only, where being late does no harm.
    pub priority: u8,
}

impl Destination {
    /// Whether a message with this destination field is for this APIC. Enablement is not looked at.
    #[must_use]
    pub const fn matches(&self, dest: u32, mode: DestMode) -> bool {
        match mode {
            DestMode::Physical => dest == self.id || dest == self.broadcast(),
            DestMode::Logical => self.matches_logical(dest),
        }
    }

    const fn is_x2apic(&self) -> bool {
        matches!(self.logical, Logical::X2apic | Logical::X2apicHalved)
    }

    const fn broadcast(&self) -> u32 {
        if self.is_x2apic() { u32::MAX } else { 0xff }
    }

    const fn matches_logical(&self, dest: u32) -> bool {
        // An xAPIC sees the low eight bits of a message from an x2APIC.
        let narrow = dest as u8;
        match self.logical {
            Logical::Flat(own) => own & narrow != 0,
            Logical::Cluster(own) => {
                narrow == 0xff || (own >> 4 == narrow >> 4 && own & narrow & 0xf != 0)
            }
            Logical::NoModel => false,
            Logical::X2apic => matches_x2apic(x2apic_logical_id(self.id), dest),
            Logical::X2apicHalved => matches_x2apic(x2apic_logical_id(self.id >> 1), dest),
        }
    }

    const fn to_bits(self) -> u64 {
        let (model, own) = match self.logical {
            Logical::Flat(own) => (0, own),
            Logical::Cluster(own) => (1, own),
            Logical::NoModel => (2, 0),
            Logical::X2apic => (3, 0),
            Logical::X2apicHalved => (4, 0),
        };
        self.id as u64
            | (own as u64) << 32
            | (self.priority as u64) << 40
            | (model as u64) << 48
            | (self.enabled as u64) << 56
    }

    const fn from_bits(bits: u64) -> Self {
        let own = (bits >> 32) as u8;
        Self {
            id: bits as u32,
            logical: match (bits >> 48) as u8 {
                0 => Logical::Flat(own),
                1 => Logical::Cluster(own),
                3 => Logical::X2apic,
                4 => Logical::X2apicHalved,
                _ => Logical::NoModel,
            },
            enabled: bits >> 56 != 0,
            priority: (bits >> 40) as u8,
        }
    }
}

/// x2APIC logical id of an APIC id: cluster in the high, member bit in the low half.
pub(super) const fn x2apic_logical_id(id: u32) -> u32 {
    (id & !0xf) << 12 | 1 << (id & 0xf)
}

const fn matches_x2apic(own: u32, dest: u32) -> bool {
    dest == u32::MAX || (own >> 16 == dest >> 16 && own & dest & 0xffff != 0)
}

/// A [`Destination`] that the owner of a vLAPIC keeps up to date for all CPUs.
#[derive(Debug)]
pub struct PublishedDestination(AtomicU64);

impl PublishedDestination {
    /// Starts with `initial`.
    #[must_use]
    pub const fn new(initial: Destination) -> Self {
        Self(AtomicU64::new(initial.to_bits()))
    }

    /// Replaces what other CPUs see. Call it when [`super::Effects::destination_changed`] says so, and when a vCPU is descheduled.
    pub fn publish(&self, destination: Destination) {
        self.0.store(destination.to_bits(), Ordering::Release);
    }

    /// The last published value.
    #[must_use]
    pub fn load(&self) -> Destination {
        Destination::from_bits(self.0.load(Ordering::Acquire))
    }
}

/// The candidate with the lowest priority value; among equals the next after `last` in circular order of vCPU ids.
#[must_use]
pub fn arbitrate(candidates: impl Iterator<Item = (VcpuId, u8)>, last: VcpuId) -> Option<VcpuId> {
    let distance = |id: VcpuId| id.0.wrapping_sub(last.0).wrapping_sub(1);
    candidates
        .min_by_key(|&(id, priority)| (priority, distance(id)))
        .map(|(id, _)| id)
}

/// Calls `deliver` for each vCPU that takes `message`.
///
/// `view` gives the published destination of vCPUs 0 to `vcpus - 1`; `last` is the domain's memory of the last arbitration. A vector goes
/// to enabled APICs only, NMI, INIT and start-up to all that match. A physical destination that is the initial id of a vCPU which still
/// answers to it goes to that vCPU without a search: a guest that gave the same id to two xAPICs reaches one of them.
pub fn route(
    message: &Delivery,
    audience: Audience,
    vcpus: u32,
    view: impl Fn(VcpuId) -> Option<Destination>,
    last: &AtomicU32,
    mut deliver: impl FnMut(VcpuId),
) {
    let takes = |id: VcpuId| view(id).filter(|target| is_taker(message, audience, id, target));
    if let Some(id) =
        direct_target(message, audience).filter(|&id| id.0 < vcpus && takes(id).is_some())
    {
        return deliver(id);
    }
    let takers = (0..vcpus)
        .map(VcpuId)
        .filter_map(|id| Some((id, takes(id)?)));
    if message.delivery_mode == DeliveryMode::LowestPriority {
        let candidates = takers.map(|(id, target)| (id, target.priority));
        if let Some(id) = arbitrate(candidates, VcpuId(last.load(Ordering::Relaxed))) {
            last.store(id.0, Ordering::Relaxed);
            deliver(id);
        }
    } else {
        takers.for_each(|(id, _)| deliver(id));
    }
}

fn is_taker(message: &Delivery, audience: Audience, id: VcpuId, target: &Destination) -> bool {
    let ready = match message.delivery_mode {
        DeliveryMode::Fixed | DeliveryMode::LowestPriority => target.enabled,
        DeliveryMode::Nmi | DeliveryMode::Init | DeliveryMode::Startup => true,
        DeliveryMode::Smi | DeliveryMode::Reserved | DeliveryMode::ExtInt => false,
    };
    ready
        && match audience {
            Audience::Addressed => target.matches(message.dest, message.dest_mode),
            Audience::Only(only) => id == only,
            Audience::All => true,
            Audience::AllBut(other) => id != other,
        }
}

/// The only vCPU that can be meant, if that follows from the message alone.
fn direct_target(message: &Delivery, audience: Audience) -> Option<VcpuId> {
    match (audience, message.dest_mode) {
        (Audience::Only(id), _) => Some(id),
        // 0xff and 0xffffffff, the broadcasts, are odd; initial ids are even.
        (Audience::Addressed, DestMode::Physical) if message.dest.is_multiple_of(2) => {
            Some(VcpuId(message.dest / 2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Trigger;
    use super::*;

    fn target(id: u32, logical: Logical) -> Destination {
        Destination {
            id,
            logical,
            enabled: true,
            priority: 0,
        }
    }

    fn fixed(dest: u32, dest_mode: DestMode) -> Delivery {
        Delivery {
            vector: 0x40,
            dest,
            dest_mode,
            delivery_mode: DeliveryMode::Fixed,
            trigger: Trigger::Edge,
        }
    }

    /// Bit N set: vCPU N got the message.
    fn routed(
        message: Delivery,
        audience: Audience,
        targets: &[Destination],
        last: &AtomicU32,
    ) -> u32 {
        let mut got = 0;
        let view = |id: VcpuId| targets.get(id.0 as usize).copied();
        route(&message, audience, targets.len() as u32, view, last, |id| {
            got |= 1 << id.0
        });
        got
    }

    #[test]
    fn physical_broadcast_depends_on_the_mode_of_the_receiver() {
        assert!(target(2, Logical::Flat(1)).matches(0xff, DestMode::Physical));
        assert!(!target(2, Logical::Flat(1)).matches(u32::MAX, DestMode::Physical));
        assert!(target(2, Logical::X2apic).matches(u32::MAX, DestMode::Physical));
        assert!(!target(2, Logical::X2apic).matches(0xff, DestMode::Physical));
    }

    #[test]
    fn flat_and_cluster_models_read_the_same_id_differently() {
        let flat = target(0, Logical::Flat(0x21));
        assert!(
            flat.matches(0x01, DestMode::Logical)
                && flat.matches(0x20, DestMode::Logical)
                && !flat.matches(0x12, DestMode::Logical)
        );
        let cluster = target(0, Logical::Cluster(0x21));
        assert!(
            cluster.matches(0x23, DestMode::Logical) && cluster.matches(0xff, DestMode::Logical)
        );
        assert!(
            !cluster.matches(0x22, DestMode::Logical) && !cluster.matches(0x11, DestMode::Logical)
        );
        assert!(!target(0, Logical::NoModel).matches(0xff, DestMode::Logical));
    }

    #[test]
    fn x2apic_logical_destinations_name_cluster_and_members() {
        let apic = target(0x25, Logical::X2apic);
        assert!(apic.matches(0x0002_0020, DestMode::Logical));
        assert!(
            !apic.matches(0x0002_0010, DestMode::Logical)
                && !apic.matches(0x0001_0020, DestMode::Logical)
        );
        assert!(target(0x24, Logical::X2apicHalved).matches(0x0001_0004, DestMode::Logical));
    }

    #[test]
    fn published_value_is_loaded_unchanged() {
        let logicals = [
            Logical::Flat(0xa5),
            Logical::Cluster(0x5a),
            Logical::NoModel,
            Logical::X2apic,
            Logical::X2apicHalved,
        ];
        for logical in logicals {
            for enabled in [false, true] {
                let destination = Destination {
                    id: 0xdead_beef,
                    logical,
                    enabled,
                    priority: 0xc3,
                };
                assert_eq!(PublishedDestination::new(destination).load(), destination);
            }
        }
    }

    #[test]
    fn arbitration_takes_the_lowest_and_goes_round_among_equals() {
        let equal = || (0..4).map(|id| (VcpuId(id), 0x20));
        assert_eq!(arbitrate(equal(), VcpuId(0)), Some(VcpuId(1)));
        assert_eq!(arbitrate(equal(), VcpuId(3)), Some(VcpuId(0)));
        let low = [(VcpuId(0), 0x30), (VcpuId(1), 0x10), (VcpuId(2), 0x20)];
        assert_eq!(arbitrate(low.into_iter(), VcpuId(1)), Some(VcpuId(1)));
        assert_eq!(arbitrate(core::iter::empty(), VcpuId(0)), None);
    }

    #[test]
    fn fixed_goes_to_all_enabled_matches_and_lowest_priority_to_one() {
        let mut targets = [0, 2, 4, 6].map(|id| target(id, Logical::Flat(1 << (id / 2))));
        targets[2].enabled = false;
        let last = AtomicU32::new(0);
        assert_eq!(
            routed(
                fixed(0x0f, DestMode::Logical),
                Audience::Addressed,
                &targets,
                &last
            ),
            0b1011
        );
        let lowest = Delivery {
            delivery_mode: DeliveryMode::LowestPriority,
            ..fixed(0x0f, DestMode::Logical)
        };
        assert_eq!(routed(lowest, Audience::Addressed, &targets, &last), 0b0010);
        assert_eq!(routed(lowest, Audience::Addressed, &targets, &last), 0b1000);
        assert_eq!(routed(lowest, Audience::Addressed, &targets, &last), 0b0001);
        let nmi = Delivery {
            delivery_mode: DeliveryMode::Nmi,
            ..fixed(0xff, DestMode::Physical)
        };
        assert_eq!(routed(nmi, Audience::Addressed, &targets, &last), 0b1111);
    }

    #[test]
    fn physical_destination_follows_an_id_the_guest_changed() {
        let targets = [target(2, Logical::Flat(1)), target(7, Logical::Flat(2))];
        let last = AtomicU32::new(0);
        assert_eq!(
            routed(
                fixed(2, DestMode::Physical),
                Audience::Addressed,
                &targets,
                &last
            ),
            0b01
        );
        assert_eq!(
            routed(
                fixed(7, DestMode::Physical),
                Audience::Addressed,
                &targets,
                &last
            ),
            0b10
        );
        assert_eq!(
            routed(
                fixed(0x1000, DestMode::Physical),
                Audience::Addressed,
                &targets,
                &last
            ),
            0
        );
    }

    #[test]
    fn audiences_ignore_the_destination_field() {
        let targets = [0, 2, 4].map(|id| target(id, Logical::X2apic));
        let last = AtomicU32::new(0);
        for (audience, expected) in [
            (Audience::All, 0b111),
            (Audience::AllBut(VcpuId(1)), 0b101),
            (Audience::Only(VcpuId(2)), 0b100),
            (Audience::Only(VcpuId(9)), 0),
        ] {
            assert_eq!(
                routed(fixed(77, DestMode::Physical), audience, &targets, &last),
                expected
            );
        }
    }
}
