//! vCPUs, schedulers and CPU pools of the fake host.

use xen_abi::domctl::{
    DomctlGetvcpuinfo, DomctlSchedulerOp, XEN_DOMCTL_SCHEDOP_GETINFO, XEN_DOMCTL_SCHEDOP_PUTINFO,
    XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2, XEN_SCHEDULER_NULL,
};
use xen_abi::errno::Errno;
use xen_abi::sysctl::{SysctlSchedulerOp, XEN_SYSCTL_SCHEDOP_GETINFO, XEN_SYSCTL_SCHEDOP_PUTINFO};

use super::state::{Pool, State};
use crate::{Affinity, CpuPool, CpuSet, DomId};

/// "Leave the cap as it is" of credit2.
const SAME_CAP: u16 = u16::MAX;

impl State {
    pub(super) fn vcpu(&mut self, domain: DomId, vcpu: u32) -> Result<DomctlGetvcpuinfo, Errno> {
        let guest = self.domain(domain)?;
        let beyond = if vcpu >= guest.built.created.max_vcpus {
            Errno::EINVAL
        } else {
            Errno::ESRCH
        };
        guest.vcpu_info(vcpu).ok_or(beyond)
    }

    pub(super) fn affinity(&mut self, domain: DomId, vcpu: u32) -> Result<Affinity, Errno> {
        let vcpus = &self.domain(domain)?.vcpus;
        let vcpu = vcpus.get(vcpu as usize).ok_or(Errno::ESRCH)?;
        Ok(vcpu.affinity.clone())
    }

    pub(super) fn set_affinity(
        &mut self,
        domain: DomId,
        vcpu: u32,
        hard: Option<&CpuSet>,
        soft: Option<&CpuSet>,
    ) -> Result<Affinity, Errno> {
        let pool = self.domain(domain)?.pool;
        let cpus = self.pools.get(&pool).ok_or(Errno::EINVAL)?.cpus.clone();
        let vcpus = &mut self.domain(domain)?.vcpus;
        let vcpu = vcpus.get_mut(vcpu as usize).ok_or(Errno::ESRCH)?;
        if let Some(hard) = hard {
            let effective = hard.intersection(&cpus);
            if effective.is_empty() {
                return Err(Errno::EINVAL);
            }
            vcpu.affinity.hard = effective;
        }
        if let Some(soft) = soft {
            vcpu.affinity.soft = soft.clone();
        }
        let Affinity { hard, soft } = &vcpu.affinity;
        Ok(Affinity {
            hard: hard.clone(),
            soft: soft.intersection(&cpus),
        })
    }

    pub(super) fn domain_scheduler(
        &mut self,
        domain: DomId,
        op: DomctlSchedulerOp,
    ) -> Result<DomctlSchedulerOp, Errno> {
        let pool = self.domain(domain)?.pool;
        let scheduler = self.pools.get(&pool).ok_or(Errno::EINVAL)?.scheduler;
        if op.sched_id != scheduler || !has_weights(scheduler) {
            return Err(Errno::EINVAL);
        }
        let credit = &mut self.domain(domain)?.credit;
        match op.cmd {
            XEN_DOMCTL_SCHEDOP_GETINFO => {}
            XEN_DOMCTL_SCHEDOP_PUTINFO => {
                if op.credit.weight != 0 {
                    credit.weight = op.credit.weight;
                }
                if op.credit.cap != SAME_CAP {
                    credit.cap = op.credit.cap;
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(DomctlSchedulerOp {
            credit: *credit,
            ..op
        })
    }

    pub(super) fn pool_scheduler(
        &mut self,
        op: SysctlSchedulerOp,
    ) -> Result<SysctlSchedulerOp, Errno> {
        let pool = self.pools.get_mut(&op.cpupool_id).ok_or(Errno::ESRCH)?;
        if op.sched_id != pool.scheduler {
            return Err(Errno::EINVAL);
        }
        if !has_weights(pool.scheduler) {
            return Err(Errno::ENOSYS);
        }
        match op.cmd {
            XEN_SYSCTL_SCHEDOP_GETINFO => {}
            XEN_SYSCTL_SCHEDOP_PUTINFO => pool.parameters = op,
            _ => return Err(Errno::EINVAL),
        }
        Ok(SysctlSchedulerOp {
            value0: pool.parameters.value0,
            value1: pool.parameters.value1,
            value2: pool.parameters.value2,
            ..op
        })
    }

    pub(super) fn cpu_pools(&self) -> Vec<CpuPool> {
        let describe = |(&id, pool): (&u32, &Pool)| CpuPool {
            id,
            scheduler: pool.scheduler,
            domains: self.domains.values().filter(|d| d.pool == id).count() as u32,
            cpus: pool.cpus.clone(),
        };
        self.pools.iter().map(describe).collect()
    }

    pub(super) fn free_cpus(&self) -> CpuSet {
        (0..self.host.cpus)
            .filter(|&cpu| !self.pools.values().any(|pool| pool.cpus.contains(cpu)))
            .collect()
    }

    pub(super) fn create_pool(&mut self, scheduler: u32) -> Result<u32, Errno> {
        if !has_weights(scheduler) && scheduler != XEN_SCHEDULER_NULL {
            return Err(Errno::EINVAL);
        }
        let id = (0..).find(|id| !self.pools.contains_key(id));
        let id = id.ok_or(Errno::ENOSPC)?;
        self.pools.insert(id, Pool::new(scheduler, CpuSet::new()));
        Ok(id)
    }

    pub(super) fn destroy_pool(&mut self, pool: u32) -> Result<(), Errno> {
        let known = self.pools.get(&pool).ok_or(Errno::ENOENT)?;
        if !known.cpus.is_empty() || self.domains.values().any(|domain| domain.pool == pool) {
            return Err(Errno::EBUSY);
        }
        self.pools.remove(&pool);
        Ok(())
    }

    pub(super) fn add_pool_cpu(&mut self, pool: u32, cpu: Option<u32>) -> Result<(), Errno> {
        let free = self.free_cpus();
        let host_cpus = self.host.cpus;
        let known = self.pools.get_mut(&pool).ok_or(Errno::ENOENT)?;
        let cpu = match cpu {
            Some(cpu) if cpu >= host_cpus => return Err(Errno::EINVAL),
            Some(cpu) => Some(cpu).filter(|&cpu| free.contains(cpu)),
            None => free.iter().next(),
        };
        known.cpus.insert(cpu.ok_or(Errno::ENODEV)?);
        Ok(())
    }

    pub(super) fn remove_pool_cpu(&mut self, pool: u32, cpu: Option<u32>) -> Result<(), Errno> {
        let has_domains = self.domains.values().any(|domain| domain.pool == pool);
        let known = self.pools.get_mut(&pool).ok_or(Errno::ENOENT)?;
        let cpu = cpu.or_else(|| known.cpus.iter().last());
        let cpu = cpu.filter(|&cpu| known.cpus.contains(cpu));
        let cpu = cpu.ok_or(Errno::EINVAL)?;
        if has_domains && known.cpus.count() == 1 {
            return Err(Errno::EBUSY);
        }
        known.cpus.remove(cpu);
        Ok(())
    }

    pub(super) fn move_to_pool(&mut self, pool: u32, domain: DomId) -> Result<(), Errno> {
        if domain == DomId::DOM0 {
            return Err(Errno::EINVAL);
        }
        let known = self.pools.get(&pool);
        let cpus = known.map(|pool| pool.cpus.clone());
        let guest = self.domain(domain)?;
        if guest.pool == pool {
            return Ok(());
        }
        let cpus = cpus.filter(|cpus| !cpus.is_empty()).ok_or(Errno::ENOENT)?;
        guest.pool = pool;
        for vcpu in &mut guest.vcpus {
            vcpu.affinity.hard = cpus.clone();
        }
        Ok(())
    }
}

fn has_weights(scheduler: u32) -> bool {
    matches!(scheduler, XEN_SCHEDULER_CREDIT | XEN_SCHEDULER_CREDIT2)
}
