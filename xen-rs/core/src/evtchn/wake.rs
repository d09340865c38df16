//! Which vCPUs an event concerns: what an operation asks its caller to do once the table's lock is released.

use core::ops::BitOrAssign;

use crate::ids::VcpuId;

/// A set of a domain's vCPUs; iterating goes from the lowest up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct VcpuSet(u128);

impl VcpuSet {
    /// No vCPU.
    pub const EMPTY: Self = Self(0);

    /// Just this one.
    #[must_use]
    pub const fn of(vcpu: VcpuId) -> Self {
        match 1u128.checked_shl(vcpu.0) {
            Some(bit) => Self(bit),
            None => Self(0),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `vcpu` is in it.
    #[must_use]
    pub const fn contains(self, vcpu: VcpuId) -> bool {
        self.0 & Self::of(vcpu).0 != 0
    }

    /// Takes `vcpu` out.
    pub const fn remove(&mut self, vcpu: VcpuId) {
        self.0 &= !Self::of(vcpu).0;
    }
}

impl BitOrAssign for VcpuSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Iterator for VcpuSet {
    type Item = VcpuId;

    fn next(&mut self) -> Option<VcpuId> {
        if self.is_empty() {
            return None;
        }
        let vcpu = VcpuId(self.0.trailing_zeros());
        self.remove(vcpu);
        Some(vcpu)
    }
}

/// The vCPUs to be woken.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "vCPUs that are not woken lose events"]
pub struct Wake {
    /// Their upcall-pending byte has just been set: deliver the upcall, unblock, and kick if running elsewhere.
    pub upcalls: VcpuSet,
    /// They waited in `SCHEDOP_poll` for this and no longer do: unblock.
    pub pollers: VcpuSet,
}

impl Wake {
    /// Nobody.
    pub const NOBODY: Self = Self {
        upcalls: VcpuSet::EMPTY,
        pollers: VcpuSet::EMPTY,
    };

    /// Whether nobody is to be woken.
    #[must_use]
    pub const fn is_nobody(self) -> bool {
        self.upcalls.is_empty() && self.pollers.is_empty()
    }
}

impl BitOrAssign for Wake {
    fn bitor_assign(&mut self, other: Self) {
        self.upcalls |= other.upcalls;
        self.pollers |= other.pollers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_iterates_from_the_lowest_vcpu() {
        let mut set = VcpuSet::of(VcpuId(127));
        set |= VcpuSet::of(VcpuId(3));
        set |= VcpuSet::of(VcpuId(64));
        assert!(set.contains(VcpuId(64)) && !set.contains(VcpuId(65)));
        assert!(set.eq([VcpuId(3), VcpuId(64), VcpuId(127)]));
    }

    #[test]
    fn vcpu_beyond_the_maximum_is_in_no_set() {
        assert!(VcpuSet::of(VcpuId(128)).is_empty());
        assert!(!VcpuSet::of(VcpuId(0)).contains(VcpuId(u32::MAX)));
    }
}
