//! Operations on cpupools, carried through to the vCPUs they concern.

use alloc::sync::Arc;

use xen_abi::errno::Errno;

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::pools::{Policy, PoolId, PoolInfo, Pools};
use crate::sched::queue::Occupant;
use crate::sched::scheduler::{Registry, Scheduler};
use crate::sched::share::DomainShare;
use crate::sched::unit::{Schedulable, State};

impl<V: Schedulable> Scheduler<V> {
    /// Reads the pools: `XEN_SYSCTL_CPUPOOL_OP_INFO` and `_FREEINFO`, NUMA and topology questions.
    pub fn with_pools<R>(&self, read: impl FnOnce(&Pools) -> R) -> R {
        read(&self.registry.lock().pools)
    }

    /// `XEN_SYSCTL_CPUPOOL_OP_CREATE`.
    ///
    /// # Errors
    /// As [`Pools::create`].
    pub fn create_pool(&self, wanted: Option<PoolId>, policy: Policy) -> Result<PoolId, Errno> {
        self.registry.lock().pools.create(wanted, policy)
    }

    /// `XEN_SYSCTL_CPUPOOL_OP_DESTROY`.
    ///
    /// # Errors
    /// As [`Pools::destroy`].
    pub fn destroy_pool(&self, id: PoolId) -> Result<(), Errno> {
        self.registry.lock().pools.destroy(id)
    }

    /// `XEN_SYSCTL_CPUPOOL_OP_ADDCPU`; `None` adds any free CPU. Returns the CPUs to kick.
    ///
    /// # Errors
    /// As [`Pools::add_cpu`]; `EADDRNOTAVAIL` while a vCPU of the former pool is still on the CPU.
    pub fn add_cpu_to_pool(
        &self,
        id: PoolId,
        cpu: Option<CpuId>,
        now_ns: u64,
    ) -> Result<CpuMask, Errno> {
        let mut registry = self.registry.lock();
        let cpu = registry.pools.addable_cpu(id, cpu)?;
        if self.with_queue(cpu, |queue| !matches!(queue.occupant(), Occupant::Idle(_))) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        registry.pools.add_cpu(id, Some(cpu))?;
        Ok(self
            .follow_pool(&mut registry, id, now_ns)
            .or(&CpuMask::only(cpu)))
    }

    /// `XEN_SYSCTL_CPUPOOL_OP_RMCPU`; `None` removes the pool's highest CPU. vCPUs that wait there move at once, one that runs there
    /// moves when its CPU reacts to the kick. Returns the CPUs to kick.
    ///
    /// # Errors
    /// As [`Pools::remove_cpu`].
    pub fn remove_cpu_from_pool(
        &self,
        id: PoolId,
        cpu: Option<CpuId>,
        now_ns: u64,
    ) -> Result<CpuMask, Errno> {
        let mut registry = self.registry.lock();
        let cpu = registry.pools.remove_cpu(id, cpu)?;
        registry.claimed.remove(cpu);
        let kick = self.follow_pool(&mut registry, id, now_ns);
        Ok(kick.or(&self.follow_pool(&mut registry, PoolId::ZERO, now_ns)))
    }

    /// Puts a new domain, before its vCPUs are inserted, into a pool.
    ///
    /// # Errors
    /// As [`Pools::add_domain`].
    pub fn add_domain(&self, share: &Arc<DomainShare>, id: PoolId) -> Result<(), Errno> {
        self.registry.lock().pools.add_domain(share, id)
    }

    /// Takes a domain, after its vCPUs are removed, out of its pool.
    pub fn remove_domain(&self, share: &Arc<DomainShare>) {
        self.registry.lock().pools.remove_domain(share);
    }

    /// `XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN`: moves a domain, whose affinities are reset. The caller pauses it meanwhile, or accepts that
    /// a running vCPU moves only when its CPU reacts to the kick. Returns the CPUs to kick.
    ///
    /// # Errors
    /// As [`Pools::move_domain`].
    pub fn move_domain(
        &self,
        share: &Arc<DomainShare>,
        to: PoolId,
        now_ns: u64,
    ) -> Result<CpuMask, Errno> {
        let mut registry = self.registry.lock();
        if !registry.pools.move_domain(share, to)? {
            return Ok(CpuMask::EMPTY);
        }
        for vcpu in registry
            .units
            .iter()
            .filter(|vcpu| Arc::ptr_eq(vcpu.unit().share(), share))
        {
            let mut inner = vcpu.unit().lock();
            (inner.hard, inner.soft) = (CpuMask::ALL, CpuMask::ALL);
        }
        Ok(self.follow_pool(&mut registry, to, now_ns))
    }

    /// Null policy: the vCPU goes down, another may have its CPU. Returns the CPUs to kick.
    pub fn stand_down(&self, vcpu: &Arc<V>, now_ns: u64) -> CpuMask {
        self.set_stood_down(vcpu, true, now_ns)
    }

    /// Null policy: the vCPU is up again and wants a CPU. Returns the CPUs to kick.
    pub fn stand_up(&self, vcpu: &Arc<V>, now_ns: u64) -> CpuMask {
        self.set_stood_down(vcpu, false, now_ns)
    }

    fn set_stood_down(&self, vcpu: &Arc<V>, down: bool, now_ns: u64) -> CpuMask {
        let mut registry = self.registry.lock();
        let mut inner = vcpu.unit().lock();
        inner.stood_down = down;
        let mut kick = CpuMask::EMPTY;
        if down && inner.policy == Policy::Null && inner.state != State::Detached {
            registry.claimed = registry.claimed.without(&inner.pool_cpus);
            inner.pool_cpus = CpuMask::EMPTY;
            inner.derive_allowed(&vcpu.unit().allowed_hint);
            kick = self
                .relocate(vcpu, &mut inner, now_ns)
                .map_or(kick, CpuMask::only);
        }
        drop(inner);
        kick.or(&self.fill_null_cpus(&mut registry, now_ns))
    }

    /// Brings the vCPUs of a pool's domains in line with the pool.
    fn follow_pool(&self, registry: &mut Registry<V>, id: PoolId, now_ns: u64) -> CpuMask {
        let Ok(pool) = registry.pools.exactly(id) else {
            return CpuMask::EMPTY;
        };
        let mut kick = CpuMask::EMPTY;
        for vcpu in registry
            .units
            .iter()
            .filter(|vcpu| vcpu.unit().share().pool() == id)
        {
            let unit = vcpu.unit();
            let mut inner = unit.lock();
            let was_null = inner.policy == Policy::Null;
            let kept = inner.pool_cpus.and(&pool.cpus);
            if was_null && kept.is_empty() {
                registry.claimed = registry.claimed.without(&inner.pool_cpus);
            }
            inner.policy = pool.policy;
            inner.pool_cpus = match pool.policy {
                Policy::Credit2 => pool.cpus,
                Policy::Null if was_null => kept,
                Policy::Null => CpuMask::EMPTY,
            };
            inner.derive_allowed(&unit.allowed_hint);
            if let Some(cpu) = self.relocate(vcpu, &mut inner, now_ns) {
                kick.insert(cpu);
            }
        }
        kick.or(&self.fill_null_cpus(registry, now_ns))
    }

    /// Null policy: gives CPUs that belong to nobody to vCPUs that have none, in the order of insertion. Returns the CPUs to kick.
    pub(super) fn fill_null_cpus(&self, registry: &mut Registry<V>, now_ns: u64) -> CpuMask {
        let mut kick = CpuMask::EMPTY;
        let Registry {
            pools,
            units,
            claimed,
            ..
        } = registry;
        for vcpu in units.iter() {
            let mut inner = vcpu.unit().lock();
            let waits = inner.policy == Policy::Null
                && inner.pool_cpus.is_empty()
                && !inner.stood_down
                && !inner.leaving;
            let Some(cpu) = waits
                .then(|| {
                    null_cpu(
                        pools,
                        claimed,
                        vcpu.unit().share(),
                        &inner.hard,
                        &inner.soft,
                    )
                })
                .flatten()
            else {
                continue;
            };
            claimed.insert(cpu);
            inner.pool_cpus = CpuMask::only(cpu);
            inner.derive_allowed(&vcpu.unit().allowed_hint);
            drop(inner);
            kick = kick.or(&self
                .wake(vcpu, now_ns)
                .map_or(CpuMask::EMPTY, CpuMask::only));
        }
        kick
    }
}

/// An unclaimed CPU of the domain's pool for a vCPU with these affinities.
fn null_cpu(
    pools: &Pools,
    claimed: &CpuMask,
    share: &DomainShare,
    hard: &CpuMask,
    soft: &CpuMask,
) -> Option<CpuId> {
    let PoolInfo {
        policy: Policy::Null,
        cpus,
        ..
    } = pools.exactly(share.pool()).ok()?
    else {
        return None;
    };
    let free = cpus.without(claimed).and(hard);
    free.and(soft).lowest().or_else(|| free.lowest())
}
