//! Making a domain: hypervisor, store, devices and files together. While the kernel is unpacked the domain is created and its devices are
//! connected; whatever fails, nothing is left.

use std::thread::{self, ScopedJoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use domcfg::DomainConfig;
use domcfg::model::NicType;
use xenctl::DomId;
use xenstore::transaction;

use super::error::{Error, Result};
use super::recent::History;
use super::userdata::CONFIG;
use super::{Toolstack, nodes};
use crate::build::{self, Built, Files, KernelCache, Plan, Unpacked};
use crate::devices::{self, Device, DeviceId};

/// Number of a domain that may have any (`INVALID_DOMID`).
const ANY_NUMBER: u32 = u32::MAX;

/// A domain to be made, with every choice made. See [`Toolstack::request`].
#[derive(Clone, Debug)]
pub struct Request {
    /// For the hypervisor.
    pub plan: Plan,
    /// For the store.
    pub description: nodes::Description,
    /// Its disks and interfaces.
    pub devices: devices::Plan,
    /// The configuration it comes from, to be kept with it.
    pub config: DomainConfig,
}

impl Toolstack<'_> {
    /// Makes a domain, which is paused then.
    ///
    /// # Errors
    /// Every [`Error`]. Nothing of the domain is left.
    pub fn create(&self, request: &Request) -> Result<DomId> {
        let cache = KernelCache::new(self.directories.cache.join("kernels"));
        let files = Files::read(&request.plan, Some(&cache))?;
        thread::scope(|scope| {
            let unpacking = scope.spawn(|| files.unpack());
            let domain = self.register(request)?;
            let made = self.furnish(domain, request, unpacking, &cache);
            if made.is_err()
                && let Err(error) = self.destroy(domain)
            {
                tracing::error!("cannot remove all of unfinished domain {domain}: {error}");
            }
            made.map(|()| domain)
        })
    }

    /// Creates the domain in the hypervisor and gives it its nodes, its name among them.
    fn register(&self, request: &Request) -> Result<DomId> {
        let _lock = self.lock_names()?;
        // Their devices may hold what this one needs.
        self.remove_leftovers()?;
        self.check_free(&request.description.name, None)?;
        let domain = self.create_unused(&request.plan)?;
        let written = transaction(self.store, |tx| {
            nodes::write(self.store, tx, domain, &request.description)
        });
        match written {
            Ok(()) => Ok(domain),
            Err(error) => {
                build::discard(self.hypervisor, domain);
                Err(error.into())
            }
        }
    }

    /// Creates a domain with a number that was in nobody's use for a while.
    fn create_unused(&self, plan: &Plan) -> Result<DomId> {
        /// The hypervisor gives the next higher number each time.
        const ATTEMPTS: usize = 100;
        let history = History::new(&self.directories.run);
        if let Some(wanted) = plan.domain {
            if history.is_recent(wanted)? {
                let why = format!("domain number {wanted} was in use less than a minute ago");
                return Err(Error::Config(why));
            }
            return Ok(build::create(self.hypervisor, plan)?);
        }
        for _ in 0..ATTEMPTS {
            let domain = build::create(self.hypervisor, plan)?;
            if !history.is_recent(domain)? {
                return Ok(domain);
            }
            build::discard(self.hypervisor, domain);
        }
        let why = "all domain numbers were in use less than a minute ago";
        Err(Error::Config(why.into()))
    }

    /// Fills a registered domain: devices in one thread, memory in this one, then what needs both.
    fn furnish(
        &self,
        domain: DomId,
        request: &Request,
        unpacking: ScopedJoinHandle<'_, build::Result<Unpacked>>,
        cache: &KernelCache,
    ) -> Result<()> {
        let (built, ids) = thread::scope(|scope| {
            let devices = self.devices();
            let connecting = scope.spawn(move || devices.attach_all(domain.0, &request.devices));
            let built = joined(unpacking).and_then(|files| {
                let built = build::load(self.hypervisor, domain, &request.plan, &files)?;
                // Here the devices are waited for in any case.
                files.keep(cache);
                Ok(built)
            });
            let ids = joined(connecting);
            Ok::<_, Error>((built?, ids?))
        })?;
        self.announce(domain, request, &built)?;
        self.keep_config(domain, request, &ids)
    }

    /// Tells the store where the rings are, and to serve its own.
    fn announce(&self, domain: DomId, request: &Request, built: &Built) -> Result<()> {
        let (uuid, start_time) = (request.description.uuid, start_time());
        let console_domain = request.plan.console_domain;
        transaction(self.store, |tx| {
            nodes::write_rings(
                self.store,
                tx,
                domain,
                uuid,
                built,
                console_domain,
                &start_time,
            )
        })?;
        Ok(self
            .store
            .introduce(domain.0, built.store.gfn, built.store.port)?)
    }

    /// Keeps the configuration with the choices that were made, for `xl list -l` and for the domain's next start.
    fn keep_config(&self, domain: DomId, request: &Request, ids: &[DeviceId]) -> Result<()> {
        let config = kept_config(request, ids);
        let files = self.userdata_of(domain, request.description.uuid);
        let _lock = files.lock()?;
        let json = domcfg::pretty(&config.to_libxl_json());
        files.write(CONFIG, json.as_bytes())
    }
}

/// The configuration as libxl keeps it: what is the same at every start is filled in.
fn kept_config(request: &Request, ids: &[DeviceId]) -> DomainConfig {
    let mut config = request.config.clone();
    if request.plan.domain.is_none() {
        config.c_info.domid = ANY_NUMBER;
    }
    let (build, about) = (&mut config.b_info, &request.description);
    build.video_memkb = Some(about.video_memory_kib);
    build.arch_x86.msr_relaxed = Some(request.plan.msr_relaxed);
    for disk in &mut config.disks {
        disk.colo_restore_enable = Some(false);
    }
    let devices = request.devices.devices.iter().zip(ids);
    let vifs = devices.filter_map(|(planned, id)| match (&planned.device, id) {
        (Device::Vif(vif), DeviceId::Vif(number)) => Some((vif, *number)),
        _ => None,
    });
    for (nic, (vif, number)) in config.nics.iter_mut().zip(vifs) {
        nic.devid = Some(number);
        nic.mac = vif.mac.unwrap_or(nic.mac);
        nic.nictype = NicType::Vif;
    }
    config
}

/// What a thread gave; one that panicked takes this one with it.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Seconds and hundredths since 1970.
fn start_time() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}.{:02}", now.as_secs(), now.subsec_millis() / 10)
}
