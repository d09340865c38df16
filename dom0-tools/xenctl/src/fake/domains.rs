//! Making, stopping and removing domains of the fake host.

use std::ops::Range;

use xen_abi::domctl::{
    DomctlCreatedomain, DomctlGetdomaininfo, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM,
    XEN_DOMCTL_CDF_MAX, XEN_DOMCTL_SENDTRIGGER_SLEEP,
};
use xen_abi::errno::Errno;
use xen_abi::memory::XENMEMF_POPULATE_ON_DEMAND;
use xen_abi::sched::{SHUTDOWN_MAX, SHUTDOWN_SUSPEND};
use xen_abi::sysctl::XEN_SYSCTL_PHYSCAP_SHADOW;
use xen_abi::xen::{DOMID_FIRST_RESERVED, VIRQ_DOM_EXC};

use super::domain::Domain;
use super::state::State;
use crate::{DomId, Populate};

impl State {
    pub(super) fn info(&self, domain: DomId) -> Result<DomctlGetdomaininfo, Errno> {
        let known = self.domains.get(&domain).ok_or(Errno::ESRCH)?;
        Ok(match domain {
            DomId::DOM0 => known.info_of_caller(domain),
            _ => known.info(domain),
        })
    }

    pub(super) fn infos(&self) -> Vec<DomctlGetdomaininfo> {
        let numbers = self.domains.keys();
        numbers
            .filter_map(|&domain| self.info(domain).ok())
            .collect()
    }

    pub(super) fn create(
        &mut self,
        wanted: DomId,
        how: &DomctlCreatedomain,
    ) -> Result<DomId, Errno> {
        let hap = match self.host.abilities & XEN_SYSCTL_PHYSCAP_SHADOW {
            0 => XEN_DOMCTL_CDF_HAP,
            _ => 0,
        };
        let needed = XEN_DOMCTL_CDF_HVM | hap;
        let is_known = how.flags & !(XEN_DOMCTL_CDF_MAX * 2 - 1) == 0;
        if !is_known || how.flags & needed != needed || how.max_vcpus == 0 || how.max_vcpus > 128 {
            return Err(Errno::EINVAL);
        }
        if !self.pools.contains_key(&how.cpupool_id) {
            return Err(Errno::ENOENT);
        }
        let domain = self.number_for(wanted)?;
        self.domains.insert(domain, Domain::new(how));
        Ok(domain)
    }

    fn number_for(&mut self, wanted: DomId) -> Result<DomId, Errno> {
        if wanted != DomId::DOM0 {
            return match self.domains.contains_key(&wanted) || wanted.0 >= DOMID_FIRST_RESERVED {
                true => Err(Errno::EEXIST),
                false => Ok(wanted),
            };
        }
        let after = self.last_domain.0.saturating_add(1);
        let found = (after..DOMID_FIRST_RESERVED)
            .chain(1..after)
            .map(DomId)
            .find(|number| !self.domains.contains_key(number))
            .ok_or(Errno::ENOMEM)?;
        self.last_domain = found;
        Ok(found)
    }

    /// A domain with a page mapped elsewhere stays, dying, until it is asked for again without.
    pub(super) fn destroy(&mut self, domain: DomId) -> Result<(), Errno> {
        let doomed = self.guest(domain)?;
        if doomed.memory.is_mapped() {
            doomed.dying = true;
            doomed.vcpus.clear();
        } else {
            self.domains.remove(&domain);
        }
        self.ports.close_domain(domain);
        self.ports.raise_virq(DomId::DOM0, VIRQ_DOM_EXC);
        Ok(())
    }

    /// Removes dying domains that nobody maps any more.
    pub(super) fn bury(&mut self) {
        self.domains
            .retain(|_, domain| !domain.dying || domain.memory.is_mapped());
    }

    pub(super) fn pause(&mut self, domain: DomId) -> Result<(), Errno> {
        let guest = self.guest(domain)?;
        guest.paused = guest.paused.checked_add(1).ok_or(Errno::EINVAL)?;
        Ok(())
    }

    pub(super) fn unpause(&mut self, domain: DomId) -> Result<(), Errno> {
        let guest = self.guest(domain)?;
        guest.paused = guest.paused.checked_sub(1).ok_or(Errno::EINVAL)?;
        Ok(())
    }

    pub(super) fn resume(&mut self, domain: DomId) -> Result<(), Errno> {
        let guest = self.guest(domain)?;
        match guest.shutdown {
            None | Some(SHUTDOWN_SUSPEND) => guest.shutdown = None,
            Some(_) => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    pub(super) fn shut_down(&mut self, domain: DomId, reason: u32) -> Result<(), Errno> {
        if reason > SHUTDOWN_MAX {
            return Err(Errno::EINVAL);
        }
        let guest = self.domain(domain)?;
        guest.shutdown.get_or_insert(reason);
        self.ports.raise_virq(DomId::DOM0, VIRQ_DOM_EXC);
        Ok(())
    }

    pub(super) fn set_max_vcpus(&mut self, domain: DomId, count: u32) -> Result<(), Errno> {
        let vcpu = self.new_vcpu(false);
        let guest = self.domain(domain)?;
        if count != guest.built.created.max_vcpus {
            return Err(Errno::EINVAL);
        }
        guest.vcpus.resize(count as usize, vcpu);
        Ok(())
    }

    pub(super) fn set_paging_memory(&mut self, domain: DomId, bytes: u64) -> Result<(), Errno> {
        let free = self.free_pages();
        let guest = self.domain(domain)?;
        let more = bytes.saturating_sub(guest.built.paging_bytes);
        if !bytes.is_multiple_of(4096) {
            return Err(Errno::EINVAL);
        }
        if more / 4096 > free {
            return Err(Errno::ENOMEM);
        }
        guest.built.paging_bytes = bytes;
        Ok(())
    }

    pub(super) fn send_trigger(
        &mut self,
        domain: DomId,
        trigger: u32,
        vcpu: u32,
    ) -> Result<(), Errno> {
        let guest = self.domain(domain)?;
        if vcpu as usize >= guest.vcpus.len() {
            return Err(Errno::EINVAL);
        }
        if trigger > XEN_DOMCTL_SENDTRIGGER_SLEEP {
            return Err(Errno::ENOSYS);
        }
        guest.built.triggers.push((trigger, vcpu));
        Ok(())
    }

    pub(super) fn claim(&mut self, domain: DomId, pages: u64) -> Result<(), Errno> {
        let free = self.free_pages().saturating_sub(self.claimed_pages());
        let guest = self.domain(domain)?;
        let missing = pages.saturating_sub(guest.memory.pages());
        if pages > 0 && missing > free + guest.built.claimed {
            return Err(Errno::ENOMEM);
        }
        guest.built.claimed = if pages == 0 { 0 } else { missing };
        Ok(())
    }

    pub(super) fn populate(&mut self, domain: DomId, what: Populate<'_>) -> Result<usize, Errno> {
        let size = 1_u64.checked_shl(what.order).filter(|_| what.order <= 18);
        let size = size.ok_or(Errno::EPERM)?;
        let mut free = self.free_pages();
        let guest = self.domain(domain)?;
        for (done, &gfn) in what.gfns.iter().enumerate() {
            let frames = frames_from(gfn, size);
            if what.mem_flags & XENMEMF_POPULATE_ON_DEMAND != 0 {
                match frames.map(|frames| guest.memory.promise(frames)) {
                    Some(Ok(())) => continue,
                    _ => return Ok(done),
                }
            }
            let has_room = guest.memory.pages() + size <= guest.max_pages && size <= free;
            let Some(frames) = frames.filter(|_| has_room) else {
                return Ok(done);
            };
            if guest.memory.populate(frames).is_err() {
                return Ok(done);
            }
            free -= size;
            guest.built.claimed = guest.built.claimed.saturating_sub(size);
        }
        Ok(what.gfns.len())
    }
}

/// An extent of `size` frames, if it is aligned and does not wrap.
fn frames_from(gfn: u64, size: u64) -> Option<Range<u64>> {
    let end = gfn.checked_add(size)?;
    gfn.is_multiple_of(size).then_some(gfn..end)
}
