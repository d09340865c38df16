//! A vCPU's machine: registers, local APIC, and what happens between two runs of guest code.
//!
//! [`Backend`] is the seam to the vendor's hardware; everything else here is common. The state is behind a lock of the lowest rank, held by the
//! CPU that runs the vCPU; others reach it through the mailboxes of [`X86Vcpu`] only, or after they have paused it.

pub mod backend;
pub mod control;
pub mod debug;
pub mod emulation;
pub mod entry;
pub mod exit;
#[cfg(test)]
mod fake;
pub mod fpu;
pub mod hypercall;
pub mod injection;
pub mod linear;
pub mod mmio;
pub mod msr;
pub mod port;
pub mod svm_backend;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod translation;

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use xen_abi::errno::Errno;
use xen_core::domain::Domain;
use xen_core::hal::{Clock, VcpuArch};
use xen_core::ids::{CpuId, VcpuId};
use xen_core::lock::{Lock, Rank};

pub use backend::{Backend, Event, Exit};
use translation::TranslationCache;

use crate::domain::X86Domain;
use crate::host_memory_types;
use crate::msr_policy::VcpuMsrs;
use crate::svm::enter::Registers;
use crate::vlapic::{PostedInterrupts, PublishedDestination, Trigger, Vlapic};

/// The vendor's hardware. Tests run on a fake, and so the rest of this crate cannot reach past [`Backend`].
#[cfg(not(test))]
type Hardware = svm_backend::Svm;
#[cfg(test)]
type Hardware = fake::FakeProcessor;

/// State that only the CPU running the vCPU touches.
pub struct State {
    /// The hardware's half.
    pub hw: Hardware,
    /// General registers.
    pub registers: Registers,
    /// Local APIC.
    pub vlapic: Vlapic,
    /// FPU, extended and debug state while not loaded.
    pub extended: fpu::Extended,
    /// MSRs that no hardware switches.
    pub msrs: VcpuMsrs,
    /// An event to be delivered at the next entry: interrupted delivery, or an exception from emulation.
    pub pending: Option<Event>,
    /// An NMI waits.
    pub nmi_pending: bool,
    /// The guest is in its NMI handler.
    pub nmi_blocked: bool,
    /// `tlb_generation` of the domain at the last flush.
    pub tlb_seen: u64,
    /// Where the address space identifier was given out, and in which generation.
    pub asid_home: Option<(CpuId, u64)>,
    /// A line of output on the debug port.
    pub debug_line: arrayvec::ArrayVec<u8, 120>,
    /// The guest waits for a start-up IPI.
    pub wait_for_startup: bool,
    /// Where linear addresses were found.
    pub translations: TranslationCache,
}

/// The machine-specific half of a vCPU.
pub struct X86Vcpu {
    /// See [`State`].
    pub state: Lock<Box<State>>,
    /// Interrupts from elsewhere.
    pub posted: PostedInterrupts,
    /// How interrupts are addressed to it.
    pub destination: PublishedDestination,
    timer_deadline_ns: AtomicU64,
    timer_due: AtomicBool,
    deliverable: AtomicBool,
    /// What is added to the domain's TSC, for whoever publishes the time.
    tsc_offset: AtomicU64,
    /// Given a state to run from. Not part of [`State`], whose lock is held while the vCPU runs.
    pub initialised: AtomicBool,
    domain: Weak<Domain>,
    id: VcpuId,
}

impl X86Vcpu {
    /// A vCPU in its reset state.
    #[must_use]
    pub fn new(domain: &Arc<Domain>, id: VcpuId) -> Self {
        let vlapic = Vlapic::new(id);
        let destination = PublishedDestination::new(vlapic.destination());
        let arch = X86Domain::of(domain);
        let policy = arch.policy.read();
        let mut msrs = VcpuMsrs::new(policy.vendor());
        if domain.hardware {
            msrs.mtrr = host_memory_types::mtrr(policy.physical_address_bits());
        }
        drop(policy);
        let state = State {
            hw: Hardware::new(arch, domain),
            registers: Registers::default(),
            vlapic,
            extended: fpu::Extended::new(),
            msrs,
            pending: None,
            nmi_pending: false,
            nmi_blocked: false,
            tlb_seen: 0,
            asid_home: None,
            debug_line: arrayvec::ArrayVec::new(),
            wait_for_startup: false,
            translations: TranslationCache::new(),
        };
        Self {
            state: Lock::new(Rank::VcpuArch, Box::new(state)),
            posted: PostedInterrupts::default(),
            destination,
            timer_deadline_ns: AtomicU64::new(u64::MAX),
            timer_due: AtomicBool::new(false),
            deliverable: AtomicBool::new(false),
            tsc_offset: AtomicU64::new(0),
            initialised: AtomicBool::new(false),
            domain: Arc::downgrade(domain),
            id,
        }
    }

    /// The machine-specific half of any vCPU.
    #[must_use]
    pub fn of(vcpu: &xen_core::vcpu::Vcpu) -> &Self {
        vcpu.arch
            .as_any()
            .downcast_ref()
            .expect("all vCPUs are made by this crate")
    }

    /// Publishes what others may ask after the local APIC changed.
    pub fn publish(&self, state: &State) {
        self.timer_deadline_ns
            .store(state.vlapic.next_deadline().unwrap_or(u64::MAX), SeqCst);
        self.destination.publish(state.vlapic.destination());
    }

    /// Publishes what the vCPU adds to its domain's TSC.
    pub fn publish_tsc_offset(&self, offset: u64) {
        self.tsc_offset.store(offset, SeqCst);
    }

    /// Takes notice of an expired timer; `true` once.
    pub fn take_timer_due(&self) -> bool {
        self.timer_due.load(SeqCst) && self.timer_due.swap(false, SeqCst)
    }

    /// Notes whether the local APIC holds an interrupt for the vCPU while it waits.
    pub fn set_deliverable(&self, deliverable: bool) {
        self.deliverable.store(deliverable, SeqCst);
    }
}

impl VcpuArch for X86Vcpu {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn post_interrupt(&self, vector: u8) {
        self.posted.post(vector, Trigger::Edge);
    }

    fn post_nmi(&self) {
        self.posted.post_nmi();
    }

    fn has_deliverable_interrupt(&self) -> bool {
        self.posted.has_any() || self.deliverable.load(SeqCst) || self.timer_due.load(SeqCst)
    }

    fn timer_deadline_ns(&self) -> u64 {
        if self.timer_due.load(SeqCst) {
            u64::MAX
        } else {
            self.timer_deadline_ns.load(SeqCst)
        }
    }

    fn timer_expired(&self, _now_ns: u64) {
        self.timer_due.store(true, SeqCst);
    }

    fn clock(&self, domain: &Domain, host: Clock) -> Clock {
        let tsc = *X86Domain::of(domain).tsc.lock();
        tsc.clock(host, self.tsc_offset.load(SeqCst))
    }

    fn initialise(&self, context: &[u8]) -> Result<(), Errno> {
        let domain = self.domain.upgrade().ok_or(Errno::ESRCH)?;
        // Another vCPU of the guest may have been quicker. Who holds the state then may be the CPU that runs it, for ever: nobody waits.
        let mut state = self.state.try_lock().ok_or(Errno::EEXIST)?;
        if self.is_initialised() {
            return Err(Errno::EEXIST);
        }
        crate::hvm_start::initialise(&domain, &mut state, context)?;
        self.initialised.store(true, SeqCst);
        Ok(())
    }

    fn is_initialised(&self) -> bool {
        self.initialised.load(SeqCst)
    }

    fn reset(&self) {
        let mut state = self.state.lock_second();
        state.reset();
        self.initialised.store(false, SeqCst);
        self.publish(&state);
    }

    fn leave_cpu(&self) {
        self.state.lock_second().extended.unload();
    }

    fn dump(&self) {
        if let Some(domain) = self.domain.upgrade() {
            match self.state.try_lock() {
                Some(state) => state.dump(&domain, self.id),
                None => {
                    xen_core::console::print(format_args!("{}v{} is running", domain.id, self.id.0))
                }
            }
        }
    }
}

impl State {
    /// The state after power-on, as far as a PVH guest can see it.
    pub fn reset(&mut self) {
        self.hw.reset();
        self.registers = Registers::default();
        self.vlapic.reset();
        self.forget_past();
    }

    /// The vCPU starts from other registers: nothing waits for delivery, and translations were those of another address space.
    pub const fn forget_past(&mut self) {
        self.pending = None;
        self.nmi_pending = false;
        self.nmi_blocked = false;
        self.wait_for_startup = false;
        self.forget_translations();
    }

    /// The next entry gets an address space identifier without cached translations.
    pub const fn forget_translations(&mut self) {
        self.asid_home = None;
    }

    /// Queues an exception for the next entry, unless one waits already: then the contributory rules of the CPU make it a double fault, which
    /// the hardware works out when the first is delivered again.
    pub fn inject_exception(&mut self, vector: u8, error_code: Option<u32>) {
        if self.pending.is_none() {
            self.pending = Some(Event::Exception { vector, error_code });
        }
    }

    /// Prints the registers.
    pub fn dump(&self, domain: &Domain, id: VcpuId) {
        let r = &self.registers.0;
        let paging = self.hw.paging_state();
        xen_core::console::print(format_args!(
            "{}v{} rip {:x} rflags {:x}",
            domain.id,
            id.0,
            self.hw.rip(),
            paging.rflags
        ));
        xen_core::console::print(format_args!(
            "  rax {:x} rbx {:x} rcx {:x} rdx {:x} rsi {:x} rdi {:x} rsp {:x} rbp {:x}",
            r[0], r[3], r[1], r[2], r[6], r[7], r[4], r[5]
        ));
        xen_core::console::print(format_args!(
            "  cr0 {:x} cr3 {:x} cr4 {:x} efer {:x}",
            paging.cr0, paging.cr3, paging.cr4, paging.efer
        ));
    }
}
