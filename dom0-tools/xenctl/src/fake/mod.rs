//! A hypervisor for tests: domains, memory, event channels and grants in this process.
//!
//! It answers as the real one does, down to its errors, as far as the tools can see: memory runs out, ports connect and raise each other,
//! a domain stays while one of its pages is mapped, virtual interrupts tell of deaths. A test plays the guests through
//! [`FakeXen::guest_events`] and [`FakeXen::guest_page`], and lets requests fail with [`FakeXen::fail_next`].

mod backend;
mod context;
mod domain;
mod domains;
mod events;
mod hypervisor;
mod memory;
mod page;
mod ports;
mod scheduling;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xen_abi::domctl::XEN_SCHEDULER_CREDIT2;
use xen_abi::errno::Errno;
use xen_abi::sysctl::{
    XEN_SYSCTL_PHYSCAP_GNTTAB_V1, XEN_SYSCTL_PHYSCAP_HAP, XEN_SYSCTL_PHYSCAP_HVM,
};

use crate::{DomId, Error, Result};

pub use backend::KernelSide;
pub use domain::Built;
pub use events::FakeEvents;
pub use page::MemoryPage;

use state::State;

/// What a fake host has.
#[derive(Clone, Debug)]
pub struct FakeHost {
    /// Processors.
    pub cpus: u32,
    /// Pages of memory, dom0's among them.
    pub total_pages: u64,
    /// Pages of dom0.
    pub dom0_pages: u64,
    /// Scheduler of pool 0.
    pub scheduler: u32,
    /// Major and minor.
    pub version: (u32, u32),
    /// Kinds of guests.
    pub capabilities: String,
    /// Of the hypervisor.
    pub command_line: String,
    /// `XEN_SYSCTL_PHYSCAP_*`.
    pub abilities: u32,
}

impl Default for FakeHost {
    /// Four processors, 4 GiB of which dom0 has 1, credit2.
    fn default() -> Self {
        Self {
            cpus: 4,
            total_pages: 1 << 20,
            dom0_pages: 1 << 18,
            scheduler: XEN_SCHEDULER_CREDIT2,
            version: (4, 20),
            capabilities: "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ".into(),
            command_line: "dom0=pvh".into(),
            abilities: XEN_SYSCTL_PHYSCAP_HVM
                | XEN_SYSCTL_PHYSCAP_HAP
                | XEN_SYSCTL_PHYSCAP_GNTTAB_V1,
        }
    }
}

/// A fake hypervisor; clones are the same one.
#[derive(Clone)]
pub struct FakeXen(Arc<Mutex<State>>);

impl Default for FakeXen {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeXen {
    /// On the usual host.
    pub fn new() -> Self {
        Self::on(FakeHost::default())
    }

    /// On another host.
    pub fn on(host: FakeHost) -> Self {
        Self(Arc::new(Mutex::new(State::new(host))))
    }

    /// The next request of this kind (a name of [`call`](crate::call)) fails. Panics when there is no such kind.
    pub fn fail_next(&self, call: &'static str, errno: Errno) {
        self.fail_after(call, 0, errno);
    }

    /// As [`fail_next`](Self::fail_next), after `succeeding` requests of this kind went well.
    pub fn fail_after(&self, call: &'static str, succeeding: usize, errno: Errno) {
        self.state().plan_failure(call, succeeding, errno);
    }

    /// All requests so far, in order.
    pub fn calls(&self) -> Vec<&'static str> {
        self.state().calls().to_vec()
    }

    /// Begins the list of requests anew, for tests that never end.
    pub fn forget_calls(&self) {
        self.state().forget_calls();
    }

    /// What a domain was given, besides what [`Hypervisor::domain`](crate::Hypervisor::domain) tells.
    pub fn built(&self, domain: DomId) -> Option<Built> {
        let state = self.state();
        state.domains.get(&domain).map(|known| known.built.clone())
    }

    /// How often a domain is paused.
    pub fn pause_count(&self, domain: DomId) -> Option<u32> {
        let state = self.state();
        state.domains.get(&domain).map(|known| known.paused)
    }

    /// Its weight and cap in the credit schedulers.
    pub fn credit(&self, domain: DomId) -> Option<(u16, u16)> {
        let state = self.state();
        let known = state.domains.get(&domain);
        known.map(|known| (known.credit.weight, known.credit.cap))
    }

    /// How many event channel ports a domain has.
    pub fn port_count(&self, domain: DomId) -> usize {
        self.state().ports.count(domain)
    }

    /// The guest shuts down, with a `SHUTDOWN_*` reason.
    pub fn guest_shuts_down(&self, domain: DomId, reason: u32) -> Result<()> {
        self.play(|state| state.shut_down(domain, reason))
    }

    /// Every vCPU of the guest that is up runs for some time.
    pub fn guest_runs(&self, domain: DomId, nanoseconds: u64) -> Result<()> {
        self.play(|state| {
            for vcpu in &mut state.domain(domain)?.vcpus {
                if vcpu.online {
                    vcpu.cpu_time_ns += nanoseconds;
                }
            }
            Ok(())
        })
    }

    /// The guest takes a vCPU up or down.
    pub fn guest_sets_vcpu(&self, domain: DomId, vcpu: u32, online: bool) -> Result<()> {
        self.play(|state| {
            let vcpus = &mut state.domain(domain)?.vcpus;
            vcpus.get_mut(vcpu as usize).ok_or(Errno::EINVAL)?.online = online;
            Ok(())
        })
    }

    /// The guest grants a frame.
    pub fn guest_grants(&self, domain: DomId, reference: u32, gfn: u64, to: DomId) -> Result<()> {
        self.play(|state| {
            let grants = &mut state.domain(domain)?.built.grants;
            grants.insert(reference, (gfn, to));
            Ok(())
        })
    }

    /// The guest takes a grant back.
    pub fn guest_revokes(&self, domain: DomId, reference: u32) -> Result<()> {
        self.play(|state| {
            state.domain(domain)?.built.grants.remove(&reference);
            Ok(())
        })
    }

    /// A page as the guest itself sees it.
    pub fn guest_page(&self, domain: DomId, gfn: u64) -> Result<MemoryPage> {
        self.play(|state| state.domain(domain)?.memory.page(gfn))
    }

    /// Event channels as the guest itself uses them; ports that the tools made for it are its first handle's.
    pub fn guest_events(&self, domain: DomId) -> Result<FakeEvents> {
        FakeEvents::open(self, domain)
    }

    /// The hypervisor writes into its log.
    pub fn print(&self, text: &str) {
        self.state().print(text);
    }

    /// Debug keys that were pressed.
    pub fn pressed_keys(&self) -> String {
        self.state().debug_keys.clone()
    }

    /// A request of the tools: noted, and refused if a failure is due.
    fn request<T>(
        &self,
        call: &'static str,
        body: impl FnOnce(&mut State) -> std::result::Result<T, Errno>,
    ) -> Result<T> {
        let mut state = self.state();
        state.bury();
        state
            .admit(call)
            .and_then(|()| body(&mut state))
            .map_err(|errno| Error::new(call, errno))
    }

    /// Something a test does to the host.
    fn play<T>(&self, body: impl FnOnce(&mut State) -> std::result::Result<T, Errno>) -> Result<T> {
        body(&mut self.state()).map_err(|errno| Error::new("play of a test", errno))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
