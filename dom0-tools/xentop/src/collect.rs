//! Takes samples of a host.

use std::time::Instant;

use anyhow::Context;
use xen_abi::domctl::{
    DomctlGetdomaininfo, XEN_DOMINF_BLOCKED, XEN_DOMINF_DYING, XEN_DOMINF_PAUSED,
    XEN_DOMINF_RUNNING, XEN_DOMINF_SHUTDOWN, XEN_DOMINF_SHUTDOWNMASK, XEN_DOMINF_SHUTDOWNSHIFT,
};
use xen_abi::sched::SHUTDOWN_CRASH;
use xenctl::{DomId, Hypervisor, VersionText};
use xenstore::{Access, Tx, read_optional};

use crate::devices::Devices;
use crate::sample::{Domain, Host, Sample, State, Vcpu};

/// How the hypervisor writes "no limit" of pages.
const NO_LIMIT: u64 = u32::MAX as u64;
/// Bytes of a page of the hypervisor's accounts.
const PAGE: u64 = 4096;

/// Asks the hypervisor for numbers, the store for names, the kernel for devices.
pub struct Collector<'a> {
    hypervisor: &'a dyn Hypervisor,
    store: &'a dyn Access,
    devices: Devices,
    version: String,
}

impl<'a> Collector<'a> {
    /// Of this host; asks for its version.
    pub fn new(
        hypervisor: &'a dyn Hypervisor,
        store: &'a dyn Access,
        devices: Devices,
    ) -> anyhow::Result<Self> {
        let (major, minor) = hypervisor.version()?;
        let extra = hypervisor.version_text(VersionText::ExtraVersion)?;
        Ok(Self {
            hypervisor,
            store,
            devices,
            version: printable(&format!("{major}.{minor}{extra}")),
        })
    }

    /// What is used until now. Domains that come or go meanwhile are left out.
    pub fn sample(&self, with_vcpus: bool) -> anyhow::Result<Sample> {
        let info = self.hypervisor.physinfo()?;
        let taken = Instant::now();
        let mut domains = Vec::new();
        for info in self.hypervisor.domains()? {
            domains.extend(self.domain(&info, with_vcpus)?);
        }
        self.add_devices(&mut domains)?;
        Ok(Sample {
            taken,
            host: Host {
                version: self.version.clone(),
                cpus: info.nr_cpus,
                cpu_khz: info.cpu_khz,
                memory: info.total_pages.saturating_mul(PAGE),
                free_memory: info.free_pages.saturating_mul(PAGE),
            },
            domains,
        })
    }

    /// A domain without a name is on its way in or out.
    fn domain(
        &self,
        info: &DomctlGetdomaininfo,
        with_vcpus: bool,
    ) -> anyhow::Result<Option<Domain>> {
        let path = format!("/local/domain/{}/name", info.domain);
        let name = read_optional(self.store, Tx::NONE, &path).context("reading domains' names")?;
        let Some(name) = name else {
            return Ok(None);
        };
        let id = DomId(info.domain);
        let vcpu_count = info.max_vcpu_id.wrapping_add(1);
        let vcpus = match with_vcpus {
            true => self.vcpus(id, vcpu_count),
            false => Some(Vec::new()),
        };
        Ok(vcpus.map(|vcpus| Domain {
            id,
            name: printable(&name),
            state: state(info.flags),
            cpu_ns: info.cpu_time,
            memory: info.tot_pages.saturating_mul(PAGE),
            max_memory: (info.max_pages != NO_LIMIT).then(|| info.max_pages.saturating_mul(PAGE)),
            vcpu_count,
            vcpus,
            ssid: info.ssidref,
            ..Domain::default()
        }))
    }

    /// `None` when the domain is gone meanwhile.
    fn vcpus(&self, domain: DomId, count: u32) -> Option<Vec<Vcpu>> {
        (0..count)
            .map(|vcpu| {
                let info = self.hypervisor.vcpu(domain, vcpu).ok()?;
                Some(Vcpu {
                    online: info.online != 0,
                    cpu_ns: info.cpu_time,
                })
            })
            .collect()
    }

    fn add_devices(&self, domains: &mut [Domain]) -> anyhow::Result<()> {
        let networks = self.devices.networks().context("reading /proc/net/dev")?;
        for (owner, network) in networks {
            if let Some(domain) = domains.iter_mut().find(|domain| domain.id == owner) {
                domain.networks.push(network);
            }
        }
        let disks = self.devices.disks();
        for (owner, disk) in disks.context("reading /sys/bus/xen-backend/devices")? {
            if let Some(domain) = domains.iter_mut().find(|domain| domain.id == owner) {
                domain.disks.push(disk);
            }
        }
        Ok(())
    }
}

fn state(flags: u32) -> State {
    let has = |flag| flags & flag != 0;
    let reason = flags >> XEN_DOMINF_SHUTDOWNSHIFT & XEN_DOMINF_SHUTDOWNMASK;
    State {
        dying: has(XEN_DOMINF_DYING),
        shutdown: has(XEN_DOMINF_SHUTDOWN) && reason != SHUTDOWN_CRASH,
        blocked: has(XEN_DOMINF_BLOCKED),
        crashed: has(XEN_DOMINF_SHUTDOWN) && reason == SHUTDOWN_CRASH,
        paused: has(XEN_DOMINF_PAUSED),
        running: has(XEN_DOMINF_RUNNING),
    }
}

/// Without characters that a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use xen_abi::domctl::{DomctlCreatedomain, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM};
    use xenctl::fake::FakeXen;
    use xenstore::engine::Settings;
    use xenstore::local::LocalStore;

    use super::*;

    struct Fixture {
        xen: FakeXen,
        store: LocalStore,
        root: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let this = Self {
                xen: FakeXen::new(),
                store: LocalStore::new(&Settings::default()),
                root: tempfile::tempdir().unwrap(),
            };
            this.name(0, b"Domain-0");
            fs::create_dir_all(this.root.path().join("proc/net")).unwrap();
            let line = "vif1.0: 1024 1 0 0 0 0 0 0 2048 2 0 0 0 0 0 0\n";
            fs::write(this.root.path().join("proc/net/dev"), line).unwrap();
            this
        }

        fn name(&self, domain: u16, name: &[u8]) {
            let path = format!("/local/domain/{domain}/name");
            self.store.write(Tx::NONE, &path, name).unwrap();
        }

        fn guest(&self) -> DomId {
            let how = DomctlCreatedomain {
                flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
                max_vcpus: 2,
                ..DomctlCreatedomain::default()
            };
            let domain = self.xen.create_domain(DomId(0), &how).unwrap();
            self.xen.set_max_vcpus(domain, 2).unwrap();
            self.xen.set_max_memory(domain, 8192).unwrap();
            domain
        }

        fn sample(&self) -> Sample {
            let devices = Devices::below(self.root.path());
            let collector = Collector::new(&self.xen, &self.store, devices).unwrap();
            collector.sample(true).unwrap()
        }
    }

    #[test]
    fn domains_have_names_from_the_store_and_devices_from_the_kernel() {
        let fixture = Fixture::new();
        let guest = fixture.guest();
        fixture.name(guest.0, b"one");
        let sample = fixture.sample();
        let names: Vec<_> = sample.domains.iter().map(|domain| &domain.name).collect();
        assert_eq!(names, ["Domain-0", "one"]);
        let one = sample.domain(guest).unwrap();
        assert_eq!((one.received(), one.sent()), (1024, 2048));
        assert_eq!((one.vcpu_count, one.vcpus.len()), (2, 2));
        assert_eq!(one.max_memory, Some(8192 << 10));
        assert!(one.state.paused && !one.state.shutdown);
        assert_eq!(sample.host.version, "4.20.0-fake");
    }

    #[test]
    fn a_domain_without_a_name_is_left_out() {
        let fixture = Fixture::new();
        fixture.guest();
        assert_eq!(fixture.sample().domains.len(), 1);
    }

    #[test]
    fn a_name_cannot_command_the_terminal() {
        let fixture = Fixture::new();
        fixture.name(0, b"a\x1b[2Jb");
        assert_eq!(fixture.sample().domains[0].name, "a?[2Jb");
    }

    #[test]
    fn a_crash_is_not_a_shutdown() {
        let crashed = state(XEN_DOMINF_SHUTDOWN | SHUTDOWN_CRASH << XEN_DOMINF_SHUTDOWNSHIFT);
        assert!(crashed.crashed && !crashed.shutdown);
        let off = state(XEN_DOMINF_SHUTDOWN);
        assert!(off.shutdown && !off.crashed);
    }
}
