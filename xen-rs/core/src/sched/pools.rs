//! Cpupools: which physical CPUs and which domains belong together, and under which policy. The rules only; the scheduler applies them.
//!
//! Semantics and error numbers: public `sysctl.h`, `XEN_SYSCTL_cpupool_op`. Pool 0 exists from boot, holds every CPU and always keeps
//! CPU 0. The owner keeps this behind the scheduler's registry lock.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering::Relaxed;

use xen_abi::errno::Errno;

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::share::DomainShare;

/// Identifier of a cpupool.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

impl PoolId {
    /// The pool that exists from boot.
    pub const ZERO: Self = Self(0);
    /// No pool.
    pub const NONE: Self = Self(u32::MAX);
}

/// The name tools give a pool by default.
impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool-{}", self.0)
    }
}

/// How a pool's CPUs are shared.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Fair by weight, with caps and preemption.
    Credit2,
    /// Each CPU belongs to one vCPU; further vCPUs wait until one is free. No timer, no preemption.
    Null,
}

impl Policy {
    /// `XEN_SCHEDULER_*` of public `domctl.h`.
    #[must_use]
    pub fn sched_id(self) -> u32 {
        match self {
            Self::Credit2 => 6,
            Self::Null => 9,
        }
    }

    /// The policy with this `XEN_SCHEDULER_*` number.
    ///
    /// # Errors
    /// `ENOENT` for a scheduler that is not built in.
    pub fn from_sched_id(sched_id: u32) -> Result<Self, Errno> {
        [Self::Credit2, Self::Null]
            .into_iter()
            .find(|policy| policy.sched_id() == sched_id)
            .ok_or(Errno::ENOENT)
    }
}

/// One cpupool.
pub struct Pool {
    id: PoolId,
    policy: Policy,
    cpus: CpuMask,
    domains: Vec<Arc<DomainShare>>,
}

/// What [`Pools::info`] reports.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// The pool.
    pub id: PoolId,
    /// Its policy.
    pub policy: Policy,
    /// Its CPUs.
    pub cpus: CpuMask,
    /// Number of domains in it.
    pub domains: u32,
}

impl Pool {
    fn info(&self) -> PoolInfo {
        PoolInfo {
            id: self.id,
            policy: self.policy,
            cpus: self.cpus,
            domains: self.domains.len() as u32,
        }
    }
}

/// All cpupools, by ascending id.
pub struct Pools {
    pools: Vec<Pool>,
    online: CpuMask,
    free: CpuMask,
}

impl Pools {
    /// Pool 0 with every CPU in `online`.
    #[must_use]
    pub fn new(online: CpuMask, policy: Policy) -> Self {
        let zero = Pool {
            id: PoolId::ZERO,
            policy,
            cpus: online,
            domains: Vec::new(),
        };
        Self {
            pools: Vec::from([zero]),
            online,
            free: CpuMask::EMPTY,
        }
    }

    /// Creates a pool without CPUs; `wanted` of `None` takes the next identifier.
    ///
    /// # Errors
    /// `ENOSPC`: twice as many pools as CPUs. `EEXIST`: the identifier is taken. `EINVAL`: the identifier is reserved. `ENOMEM`.
    pub fn create(&mut self, wanted: Option<PoolId>, policy: Policy) -> Result<PoolId, Errno> {
        if self.pools.len() as u64 >= 2 * u64::from(self.online.len()) {
            return Err(Errno::ENOSPC);
        }
        let id = wanted.unwrap_or_else(|| self.next_id());
        if id == PoolId::NONE {
            return Err(Errno::EINVAL);
        }
        let Err(at) = self.pools.binary_search_by_key(&id, |pool| pool.id) else {
            return Err(Errno::EEXIST);
        };
        self.pools.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.pools.insert(
            at,
            Pool {
                id,
                policy,
                cpus: CpuMask::EMPTY,
                domains: Vec::new(),
            },
        );
        Ok(id)
    }

    /// Destroys an empty pool.
    ///
    /// # Errors
    /// `ENOENT`: no such pool. `EBUSY`: it has CPUs or domains.
    pub fn destroy(&mut self, id: PoolId) -> Result<(), Errno> {
        let at = self
            .pools
            .binary_search_by_key(&id, |pool| pool.id)
            .map_err(|_| Errno::ENOENT)?;
        if !self.pools[at].cpus.is_empty() || !self.pools[at].domains.is_empty() {
            return Err(Errno::EBUSY);
        }
        self.pools.remove(at);
        Ok(())
    }

    /// The pool with this or the next higher identifier.
    ///
    /// # Errors
    /// `ENOENT`: there is none.
    pub fn info(&self, from: PoolId) -> Result<PoolInfo, Errno> {
        self.pools
            .iter()
            .find(|pool| pool.id >= from)
            .map(Pool::info)
            .ok_or(Errno::ENOENT)
    }

    /// Exactly this pool.
    ///
    /// # Errors
    /// `ENOENT`: no such pool.
    pub fn exactly(&self, id: PoolId) -> Result<PoolInfo, Errno> {
        self.info(id).and_then(|info| {
            if info.id == id {
                Ok(info)
            } else {
                Err(Errno::ENOENT)
            }
        })
    }

    /// Every pool, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = PoolInfo> + '_ {
        self.pools.iter().map(Pool::info)
    }

    /// CPUs in no pool.
    #[must_use]
    pub fn free_cpus(&self) -> CpuMask {
        self.free
    }

    /// CPUs that take part in scheduling.
    #[must_use]
    pub fn online(&self) -> CpuMask {
        self.online
    }

    /// The free CPU that [`Self::add_cpu`] would take.
    ///
    /// # Errors
    /// `ENOENT`: no such pool. `EINVAL`: no such CPU. `ENODEV`: the CPU, or any at all, is not free.
    pub fn addable_cpu(&self, id: PoolId, cpu: Option<CpuId>) -> Result<CpuId, Errno> {
        self.exactly(id)?;
        let cpu = cpu.or_else(|| self.free.lowest()).ok_or(Errno::ENODEV)?;
        if self.online.highest().is_none_or(|highest| cpu > highest) {
            return Err(Errno::EINVAL);
        }
        if self.free.contains(cpu) {
            Ok(cpu)
        } else {
            Err(Errno::ENODEV)
        }
    }

    /// Adds a free CPU, or the lowest free one.
    ///
    /// # Errors
    /// As [`Self::addable_cpu`].
    pub fn add_cpu(&mut self, id: PoolId, cpu: Option<CpuId>) -> Result<CpuId, Errno> {
        let cpu = self.addable_cpu(id, cpu)?;
        self.pool_mut(id).ok_or(Errno::ENOENT)?.cpus.insert(cpu);
        self.free.remove(cpu);
        Ok(cpu)
    }

    /// Takes a CPU, or the pool's highest, out of the pool. Dying domains that would be left without a CPU go to pool 0.
    ///
    /// # Errors
    /// `ENOENT`: no such pool. `EINVAL`: no such CPU, or CPU 0 of pool 0. `EADDRNOTAVAIL`: not a CPU of this pool. `EBUSY`: the last
    /// CPU, and live domains need it. `ENOMEM`.
    pub fn remove_cpu(&mut self, id: PoolId, cpu: Option<CpuId>) -> Result<CpuId, Errno> {
        let info = self.exactly(id)?;
        let cpu = cpu.or_else(|| info.cpus.highest()).ok_or(Errno::EINVAL)?;
        if !self.online.contains(cpu) || (id == PoolId::ZERO && cpu == CpuId(0)) {
            return Err(Errno::EINVAL);
        }
        if !info.cpus.contains(cpu) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if info.cpus.len() == 1 {
            self.evacuate(id)?;
        }
        self.pool_mut(id).ok_or(Errno::ENOENT)?.cpus.remove(cpu);
        self.free.insert(cpu);
        Ok(cpu)
    }

    /// Puts a new domain into a pool.
    ///
    /// # Errors
    /// `ESRCH`: no such pool. `ENODEV`: it has no CPU. `EEXIST`: the domain is in a pool already. `ENOMEM`.
    pub fn add_domain(&mut self, share: &Arc<DomainShare>, id: PoolId) -> Result<(), Errno> {
        if share.pool() != PoolId::NONE {
            return Err(Errno::EEXIST);
        }
        let pool = self.pool_mut(id).ok_or(Errno::ESRCH)?;
        if pool.cpus.is_empty() {
            return Err(Errno::ENODEV);
        }
        pool.adopt(share)
    }

    /// Takes a domain out of its pool, if it is in one.
    pub fn remove_domain(&mut self, share: &Arc<DomainShare>) {
        if let Some(pool) = self.pool_mut(share.pool()) {
            pool.domains.retain(|other| !Arc::ptr_eq(other, share));
        }
        share.pool.store(PoolId::NONE.0, Relaxed);
    }

    /// Moves a domain to another pool. Returns whether anything changed.
    ///
    /// # Errors
    /// `EINVAL`: the domain is in no pool. `ENOENT`: no such pool, or it has no CPU. `ENOMEM`.
    pub fn move_domain(&mut self, share: &Arc<DomainShare>, to: PoolId) -> Result<bool, Errno> {
        let from = share.pool();
        if from == PoolId::NONE {
            return Err(Errno::EINVAL);
        }
        if from == to {
            return Ok(false);
        }
        let target = self
            .pool_mut(to)
            .filter(|pool| !pool.cpus.is_empty())
            .ok_or(Errno::ENOENT)?;
        target.adopt(share)?;
        if let Some(pool) = self.pool_mut(from) {
            pool.domains.retain(|other| !Arc::ptr_eq(other, share));
        }
        Ok(true)
    }

    /// Empties a pool whose last CPU goes.
    fn evacuate(&mut self, id: PoolId) -> Result<(), Errno> {
        let pool = self.pool_mut(id).ok_or(Errno::ENOENT)?;
        if pool.domains.iter().any(|domain| !domain.is_dying()) {
            return Err(Errno::EBUSY);
        }
        while let Some(dying) = self
            .pool_mut(id)
            .and_then(|pool| pool.domains.last().cloned())
        {
            self.move_domain(&dying, PoolId::ZERO)?;
        }
        Ok(())
    }

    fn pool_mut(&mut self, id: PoolId) -> Option<&mut Pool> {
        let at = self.pools.binary_search_by_key(&id, |pool| pool.id).ok()?;
        self.pools.get_mut(at)
    }

    /// One more than the highest identifier, or the first gap once those are used up.
    fn next_id(&self) -> PoolId {
        let highest = self.pools.last().map_or(0, |pool| pool.id.0);
        if highest < PoolId::NONE.0 - 1 {
            return PoolId(highest + 1);
        }
        let gap = self
            .pools
            .iter()
            .zip(0..)
            .find(|(pool, index)| pool.id.0 != *index);
        PoolId(gap.map_or(PoolId::NONE.0, |(_, index)| index))
    }
}

impl Pool {
    fn adopt(&mut self, share: &Arc<DomainShare>) -> Result<(), Errno> {
        self.domains.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.domains.push(Arc::clone(share));
        share.pool.store(self.id.0, Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Domid;

    fn four_cpus() -> Pools {
        Pools::new(CpuMask::first(4), Policy::Credit2)
    }

    fn domain(domid: u16) -> Arc<DomainShare> {
        Arc::new(DomainShare::new(Domid(domid)))
    }

    #[test]
    fn pool_zero_holds_every_cpu_and_keeps_cpu_0() {
        let mut pools = four_cpus();
        let info = pools.info(PoolId::ZERO).unwrap();
        assert_eq!((info.cpus, info.policy.sched_id()), (CpuMask::first(4), 6));
        assert_eq!(std::format!("{}", info.id), "Pool-0");
        assert_eq!(
            pools.remove_cpu(PoolId::ZERO, Some(CpuId(0))),
            Err(Errno::EINVAL)
        );
        assert_eq!(pools.destroy(PoolId::ZERO), Err(Errno::EBUSY));
    }

    #[test]
    fn identifiers_are_given_taken_and_searched() {
        let mut pools = four_cpus();
        assert_eq!(pools.create(None, Policy::Null), Ok(PoolId(1)));
        assert_eq!(pools.create(Some(PoolId(7)), Policy::Null), Ok(PoolId(7)));
        assert_eq!(
            pools.create(Some(PoolId(7)), Policy::Null),
            Err(Errno::EEXIST)
        );
        assert_eq!(pools.info(PoolId(2)).unwrap().id, PoolId(7));
        assert_eq!(pools.info(PoolId(8)), Err(Errno::ENOENT));
        assert_eq!(pools.exactly(PoolId(2)), Err(Errno::ENOENT));
        assert_eq!(
            pools.create(Some(PoolId(u32::MAX - 1)), Policy::Null),
            Ok(PoolId(u32::MAX - 1))
        );
        assert_eq!(pools.create(None, Policy::Null), Ok(PoolId(2)));
        assert_eq!(Policy::from_sched_id(5), Err(Errno::ENOENT));
    }

    #[test]
    fn more_pools_than_twice_the_cpus_is_enospc() {
        let mut pools = Pools::new(CpuMask::first(1), Policy::Credit2);
        pools.create(None, Policy::Credit2).unwrap();
        assert_eq!(pools.create(None, Policy::Credit2), Err(Errno::ENOSPC));
    }

    #[test]
    fn cpus_move_only_through_the_free_set() {
        let mut pools = four_cpus();
        let other = pools.create(None, Policy::Credit2).unwrap();
        assert_eq!(pools.add_cpu(other, None), Err(Errno::ENODEV));
        assert_eq!(pools.add_cpu(other, Some(CpuId(1))), Err(Errno::ENODEV));
        assert_eq!(pools.add_cpu(other, Some(CpuId(4))), Err(Errno::EINVAL));
        assert_eq!(pools.add_cpu(PoolId(9), None), Err(Errno::ENOENT));
        assert_eq!(pools.remove_cpu(PoolId::ZERO, None), Ok(CpuId(3)));
        assert_eq!(
            pools.remove_cpu(PoolId::ZERO, Some(CpuId(3))),
            Err(Errno::EADDRNOTAVAIL)
        );
        assert_eq!(pools.remove_cpu(other, None), Err(Errno::EINVAL));
        assert_eq!(pools.free_cpus(), CpuMask::only(CpuId(3)));
        assert_eq!(pools.add_cpu(other, None), Ok(CpuId(3)));
        assert_eq!(pools.destroy(other), Err(Errno::EBUSY));
        assert_eq!(pools.remove_cpu(other, None), Ok(CpuId(3)));
        assert_eq!(pools.destroy(other), Ok(()));
    }

    #[test]
    fn last_cpu_stays_while_live_domains_need_it() {
        let mut pools = four_cpus();
        let other = pools.create(None, Policy::Credit2).unwrap();
        let guest = domain(1);
        assert_eq!(pools.add_domain(&guest, other), Err(Errno::ENODEV));
        pools.remove_cpu(PoolId::ZERO, Some(CpuId(2))).unwrap();
        pools.add_cpu(other, None).unwrap();
        pools.add_domain(&guest, other).unwrap();
        assert_eq!(pools.remove_cpu(other, None), Err(Errno::EBUSY));
        guest.set_dying();
        assert_eq!(pools.remove_cpu(other, None), Ok(CpuId(2)));
        assert_eq!(
            (guest.pool(), pools.info(PoolId::ZERO).unwrap().domains),
            (PoolId::ZERO, 1)
        );
    }

    #[test]
    fn domains_move_between_pools_that_have_cpus() {
        let mut pools = four_cpus();
        let other = pools.create(None, Policy::Credit2).unwrap();
        let guest = domain(1);
        assert_eq!(pools.move_domain(&guest, other), Err(Errno::EINVAL));
        assert_eq!(pools.add_domain(&guest, PoolId(9)), Err(Errno::ESRCH));
        pools.add_domain(&guest, PoolId::ZERO).unwrap();
        assert_eq!(pools.add_domain(&guest, PoolId::ZERO), Err(Errno::EEXIST));
        assert_eq!(pools.move_domain(&guest, PoolId::ZERO), Ok(false));
        assert_eq!(pools.move_domain(&guest, other), Err(Errno::ENOENT));
        pools.remove_cpu(PoolId::ZERO, None).unwrap();
        pools.add_cpu(other, None).unwrap();
        assert_eq!(pools.move_domain(&guest, other), Ok(true));
        assert_eq!(
            (
                pools.exactly(PoolId::ZERO).unwrap().domains,
                pools.exactly(other).unwrap().domains
            ),
            (0, 1)
        );
        pools.remove_domain(&guest);
        assert_eq!(guest.pool(), PoolId::NONE);
    }
}
