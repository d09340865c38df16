//! Removing a domain with all that belongs to it, whoever made it and however far it got.

use std::collections::BTreeSet;
use std::path::PathBuf;

use domcfg::identity::Uuid;
use rustix::process::{Pid, Signal, kill_process};
use xen_abi::errno::Errno;
use xen_abi::xen::DOMID_FIRST_RESERVED;
use xenctl::DomId;
use xenstore::{Tx, exists, read_optional, transaction};

use super::error::{Error, Result, Step};
use super::recent::History;
use super::{Toolstack, nodes};

impl Toolstack<'_> {
    /// Destroys a domain: its devices, its nodes, its files and itself. Each part is removed even if another cannot be; the first failure is
    /// what is told. Can be repeated, also by two tools at once.
    ///
    /// # Errors
    /// [`Error::NoDomain`] where neither hypervisor nor store know such a domain, and any other.
    pub fn destroy(&self, domain: DomId) -> Result<()> {
        let info = match self.info(domain) {
            Ok(info) => Some(info),
            Err(Error::NoDomain(_)) if self.has_nodes(domain)? => None,
            Err(error) => return Err(error),
        };
        if domain == DomId::DOM0 {
            return Err(Error::Config("domain 0 cannot be destroyed".into()));
        }
        if info.is_some() {
            // It may be dying already.
            drop(self.hypervisor.pause_domain(domain));
        }
        let uuid = match info {
            Some(info) => Some(Uuid(info.handle)),
            None => self.uuid_in_store(domain)?,
        };
        let outside = self.remove_outside(domain, uuid);
        let inside = self.destroy_in_hypervisor(domain);
        outside.and(inside)
    }

    /// Removes what belongs to a domain everywhere but in the hypervisor.
    fn remove_outside(&self, domain: DomId, uuid: Option<Uuid>) -> Result<()> {
        let parts = [
            self.end_emulator(domain),
            self.devices().remove_all(domain.0).map_err(Error::from),
            self.remove_nodes(domain, uuid),
            uuid.map_or(Ok(()), |uuid| self.remove_files(domain, uuid)),
            History::new(&self.directories.run).note(domain),
        ];
        parts.into_iter().collect()
    }

    /// Removes what is left of domains that the hypervisor does not know any more, because whoever destroyed them was killed or knew nothing of
    /// the store; gives their numbers. What cannot be removed is reported and stays for the next time. The caller holds the lock on names,
    /// so that no such number becomes a new domain's meanwhile.
    ///
    /// Whoever makes or removes a domain has it in the hypervisor first and last, so that one without is nobody's work any more. The store
    /// is looked at before the hypervisor for the same reason.
    ///
    /// # Errors
    /// When it cannot be found out which these are.
    pub(super) fn remove_leftovers(&self) -> Result<Vec<DomId>> {
        let known = self.domains_in_store()?;
        let living = self.hypervisor.domains().step("list the domains")?;
        let is_living = |domain: &DomId| living.iter().any(|info| info.domain == domain.0);
        let gone: Vec<_> = known
            .into_iter()
            .filter(|known| !is_living(known))
            .collect();
        for &domain in &gone {
            let uuid = self.uuid_in_store(domain)?;
            if let Err(error) = self.remove_outside(domain, uuid) {
                tracing::warn!("cannot remove all that is left of domain {domain}: {error}");
            }
        }
        Ok(gone)
    }

    /// Every guest that has nodes: of its own, of its tools, or of back ends in dom0.
    fn domains_in_store(&self) -> Result<BTreeSet<DomId>> {
        let mut numbers = self.devices().served()?;
        for directory in ["/local/domain", "/libxl"] {
            let names = match self.store.list(Tx::NONE, directory) {
                Err(error) if error.is_not_found() => Vec::new(),
                names => names?,
            };
            numbers.extend(names.iter().filter_map(|name| name.parse::<u16>().ok()));
        }
        let guests = numbers.range(1..DOMID_FIRST_RESERVED);
        Ok(guests.copied().map(DomId).collect())
    }

    fn has_nodes(&self, domain: DomId) -> Result<bool> {
        for path in [nodes::home(domain), nodes::record(domain)] {
            if exists(self.store, Tx::NONE, &path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn uuid_in_store(&self, domain: DomId) -> Result<Option<Uuid>> {
        let path = format!("{}/vm", nodes::home(domain));
        let vm = read_optional(self.store, Tx::NONE, &path)?;
        Ok(vm.and_then(|vm| vm.strip_prefix("/vm/")?.parse().ok()))
    }

    /// Ends the emulator that other tools started for the domain.
    fn end_emulator(&self, domain: DomId) -> Result<()> {
        let path = format!("{}/image/device-model-pid", nodes::home(domain));
        let Some(text) = read_optional(self.store, Tx::NONE, &path)? else {
            return Ok(());
        };
        let pid = text.parse().ok().and_then(Pid::from_raw);
        // The number may be another process's by now.
        if let Some(pid) = pid.filter(|pid| is_emulator_of(*pid, domain)) {
            // It may end in between.
            let _ended = kill_process(pid, Signal::HUP);
        }
        Ok(())
    }

    fn remove_nodes(&self, domain: DomId, uuid: Option<Uuid>) -> Result<()> {
        let home = nodes::home(domain);
        transaction(self.store, |tx| {
            // A domain that was preserved has another UUID here than in the hypervisor.
            let vm = read_optional(self.store, tx, &format!("{home}/vm"))?;
            let vm = vm.filter(|vm| vm.starts_with("/vm/"));
            if let Some(vm) = vm.or(uuid.map(nodes::vm))
                && self.is_vm_of(tx, &vm, domain)?
            {
                nodes::remove(self.store, tx, &vm)?;
            }
            let emulator = format!("/local/domain/0/device-model/{domain}");
            let paths = [&home, &nodes::record(domain), &emulator];
            let mut paths = paths.into_iter();
            paths.try_for_each(|path| nodes::remove(self.store, tx, path))
        })?;
        Ok(())
    }

    /// Whether a node below `/vm` is the domain's: one that was started again in its place has the same, but lets another domain read.
    fn is_vm_of(&self, tx: Tx, vm: &str, domain: DomId) -> xenstore::Result<bool> {
        match self.store.permissions(tx, vm) {
            Err(error) if error.is_not_found() => Ok(false),
            permissions => Ok(permissions?
                .iter()
                .skip(1)
                .any(|entry| entry.domain == domain.0)),
        }
    }

    fn remove_files(&self, domain: DomId, uuid: Uuid) -> Result<()> {
        let files = self.userdata_of(domain, uuid);
        let _lock = files.lock()?;
        files.remove_all()
    }

    fn destroy_in_hypervisor(&self, domain: DomId) -> Result<()> {
        match self.hypervisor.destroy_domain(domain) {
            Err(error) if error.errno == Errno::ESRCH => Ok(()),
            destroyed => destroyed.step("destroy the domain"),
        }
    }
}

/// Whether a process is QEMU for this domain.
fn is_emulator_of(pid: Pid, domain: DomId) -> bool {
    let path = PathBuf::from(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
    let words = std::fs::read(path).unwrap_or_default();
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let number = domain.to_string();
    let mut pairs = words.windows(2);
    pairs.any(|pair| pair[0] == b"-xen-domid" && pair[1] == number.as_bytes())
}
