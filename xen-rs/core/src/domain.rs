//! A domain: its memory, event channels, grants, parameters and life.
//!
//! Each part has its own lock, ranked in `crate::lock`. A domain is reached through [`crate::hypervisor::Hypervisor::domain`]; it stays listed,
//! dying, until its last page is back.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

use spin::Once;
use xen_abi::hvm::e820::E820Entry;

use crate::evtchn::EventChannels;
use crate::grant::GrantTable;
use crate::hal::DomainArch;
use crate::ids::{Domid, Gfn, Mfn, VcpuId};
use crate::lock::{Lock, Rank, RwLock};
use crate::memory::remains::Remains;
use crate::p2m::P2m;
use crate::sched::DomainShare;
use crate::vcpu::Vcpu;

/// Memory for nested page tables before the toolstack sets it: 256 pages, as Xen gives a new domain with nested paging.
const FIRST_POOL_BYTES: u64 = 1 << 20;
/// `HVM_NR_PARAMS`.
pub const NR_PARAMS: usize = 39;
/// No shutdown code yet (`getdomaininfo` reports it in bits 16 to 23).
pub const NO_SHUTDOWN_CODE: u8 = 255;

/// Reasons for all vCPUs of a domain not to run.
#[derive(Default)]
pub struct PauseState {
    count: AtomicU32,
    /// Set by shutdown, undone by resume.
    stopped: AtomicBool,
}

impl PauseState {
    /// Whether any reason holds.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.count.load(SeqCst) != 0 || self.stopped.load(SeqCst)
    }

    /// One more reason.
    pub fn pause(&self) {
        self.count.fetch_add(1, SeqCst);
    }

    /// One fewer; `true` if nothing keeps the domain from running any more.
    pub fn unpause(&self) -> bool {
        self.count.fetch_sub(1, SeqCst) == 1 && !self.stopped.load(SeqCst)
    }

    /// Stops (shutdown) or resumes.
    pub fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, SeqCst);
    }
}

/// What `createdomain` fixed.
#[derive(Copy, Clone, Debug, Default)]
pub struct DomainConfig {
    /// `XEN_DOMCTL_CDF_*`.
    pub flags: u32,
    /// `XEN_X86_EMU_*`.
    pub emulation_flags: u32,
    /// `XEN_X86_MSR_RELAXED` and friends.
    pub misc_flags: u32,
    /// vCPUs.
    pub max_vcpus: u32,
    /// Highest event port.
    pub max_evtchn_port: u32,
    /// Grant-table frames at most.
    pub max_grant_frames: u32,
    /// Maptrack frames at most.
    pub max_maptrack_frames: u32,
    /// Highest grant-table version.
    pub max_grant_version: u32,
}

/// How far a domain's death has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Life {
    /// Alive, perhaps shut down.
    Alive = 0,
    /// Being taken apart.
    Dying = 1,
    /// Taken apart; pages may still be mapped elsewhere.
    Dead = 2,
}

/// Memory accounting in pages.
#[derive(Default)]
pub struct MemoryAccount {
    /// Pages the domain owns.
    pub total: AtomicU64,
    /// Limit of [`Self::total`].
    pub limit: AtomicU64,
    /// `domctl set_paging_mempool_size`, bytes as given: the most that the tables of a guest's map may take.
    pub paging_pool_bytes: AtomicU64,
    /// Claimed but not yet allocated.
    pub claimed: AtomicU64,
}

/// A domain.
pub struct Domain {
    /// Its number.
    pub id: Domid,
    /// May use every privileged operation.
    pub privileged: bool,
    /// Owns the machine's devices.
    pub hardware: bool,
    /// Fixed at creation.
    pub config: DomainConfig,
    /// UUID.
    pub handle: Lock<[u8; 16]>,
    /// Scheduling parameters.
    pub share: Arc<DomainShare>,
    vcpus: Once<Box<[Arc<Vcpu>]>>,
    /// Reasons not to run.
    pub pause: Arc<PauseState>,
    /// Reasons of those that the toolstack holds (`domctl pausedomain`).
    pub tool_pauses: AtomicU32,
    /// Life.
    life: AtomicU8,
    /// Shutdown code, [`NO_SHUTDOWN_CODE`] before.
    pub shutdown_code: AtomicU8,
    /// Shut down, or about to.
    pub is_shut_down: AtomicBool,
    /// One toolstack operation at a time.
    pub control: Lock<Control>,
    /// Guest-physical map.
    pub p2m: RwLock<P2m>,
    /// Root of its tables, for the hardware; never changes.
    pub p2m_root: Mfn,
    /// Frames of the tables of the map.
    pub table_frames: AtomicU64,
    /// Counts changes that need clean translation caches before the next entry.
    pub tlb_generation: AtomicU64,
    /// Pages.
    pub memory: MemoryAccount,
    /// How frames are marked that it gives back while it lives.
    pub remains: Remains,
    /// Event channels.
    pub events: Lock<EventChannels>,
    /// Grants given and mapped.
    pub grants: GrantTable,
    /// HVM parameters.
    pub params: Lock<[u64; NR_PARAMS]>,
    /// Memory map set by the toolstack.
    pub memory_map: Lock<Vec<E820Entry>>,
    /// Frame of `shared_info`.
    pub shared_info: Mfn,
    /// Where the guest sees that frame, if it mapped it.
    pub shared_info_at: Lock<Option<Gfn>>,
    /// The guest runs 32-bit code as far as shared structures are concerned.
    pub is_32bit: AtomicBool,
    /// `domctl settimeoffset`, seconds.
    pub time_offset_s: Lock<i64>,
    /// Port to notify on suspend (`domctl subscribe`).
    pub suspend_port: AtomicU32,
    /// Callback vector, 0 for none.
    pub callback_vector: AtomicU8,
    /// `VMASST_TYPE_runstate_update_flag` and other assists, as a bit map.
    pub vm_assist: AtomicU32,
    /// The machine-specific half.
    pub arch: Box<dyn DomainArch>,
}

/// Progress of restartable toolstack operations.
#[derive(Default)]
pub struct Control {
    /// An operation that keeps others out is going on.
    pub busy: bool,
    /// `domctl setdebugging`.
    pub debugged: bool,
    /// The toolstack has let the domain run once: what only a new domain may be told is settled.
    pub creation_finished: bool,
    /// How far the destruction has come.
    pub teardown: Option<crate::hypervisor::Teardown>,
}

/// Everything [`Domain::new`] needs.
pub struct DomainParts {
    /// Number.
    pub id: Domid,
    /// Configuration.
    pub config: DomainConfig,
    /// Dom0's rights.
    pub privileged: bool,
    /// UUID.
    pub handle: [u8; 16],
    /// Scheduling parameters.
    pub share: Arc<DomainShare>,
    /// An empty map.
    pub p2m: P2m,
    /// An empty event-channel table.
    pub events: EventChannels,
    /// An empty grant table.
    pub grants: GrantTable,
    /// Zeroed frame for `shared_info`.
    pub shared_info: Mfn,
    /// Its mark on frames ([`crate::memory::allocator::FrameAllocator::new_domain`]).
    pub remains: Remains,
    /// The machine-specific half.
    pub arch: Box<dyn DomainArch>,
}

impl Domain {
    /// A domain without vCPUs, paused once by the toolstack.
    #[must_use]
    pub fn new(parts: DomainParts) -> Self {
        let pause = PauseState::default();
        pause.pause();
        let mut params = [0; NR_PARAMS];
        // Xen reports a triple fault as a reboot unless told otherwise.
        params[xen_abi::hvm::params::HVM_PARAM_TRIPLE_FAULT_REASON as usize] =
            u64::from(xen_abi::sched::SHUTDOWN_REBOOT);
        Self {
            id: parts.id,
            privileged: parts.privileged,
            hardware: parts.privileged,
            config: parts.config,
            handle: Lock::new(Rank::Values, parts.handle),
            share: parts.share,
            vcpus: Once::new(),
            pause: Arc::new(pause),
            tool_pauses: AtomicU32::new(1),
            life: AtomicU8::new(Life::Alive as u8),
            shutdown_code: AtomicU8::new(NO_SHUTDOWN_CODE),
            is_shut_down: AtomicBool::new(false),
            control: Lock::new(Rank::DomainControl, Control::default()),
            p2m_root: parts.p2m.root(),
            p2m: RwLock::new(Rank::P2m, parts.p2m),
            table_frames: AtomicU64::new(0),
            tlb_generation: AtomicU64::new(0),
            memory: MemoryAccount {
                limit: AtomicU64::new(u64::from(u32::MAX)),
                paging_pool_bytes: AtomicU64::new(FIRST_POOL_BYTES),
                ..MemoryAccount::default()
            },
            remains: parts.remains,
            events: Lock::new(Rank::Events, parts.events),
            grants: parts.grants,
            params: Lock::new(Rank::Values, params),
            memory_map: Lock::new(Rank::Values, Vec::new()),
            shared_info: parts.shared_info,
            shared_info_at: Lock::new(Rank::Areas, None),
            is_32bit: AtomicBool::new(false),
            time_offset_s: Lock::new(Rank::Values, 0),
            suspend_port: AtomicU32::new(0),
            callback_vector: AtomicU8::new(0),
            vm_assist: AtomicU32::new(0),
            arch: parts.arch,
        }
    }

    /// Installs the vCPUs; only the first call counts.
    pub fn set_vcpus(&self, vcpus: Box<[Arc<Vcpu>]>) {
        self.vcpus.call_once(|| vcpus);
    }

    /// All vCPUs; empty before `domctl max_vcpus`.
    #[must_use]
    pub fn vcpus(&self) -> &[Arc<Vcpu>] {
        self.vcpus.get().map_or(&[], |v| v)
    }

    /// One vCPU.
    #[must_use]
    pub fn vcpu(&self, id: VcpuId) -> Option<&Arc<Vcpu>> {
        self.vcpus().get(usize::try_from(id.0).ok()?)
    }

    /// How far its death has come.
    #[must_use]
    pub fn life(&self) -> Life {
        match self.life.load(SeqCst) {
            0 => Life::Alive,
            1 => Life::Dying,
            _ => Life::Dead,
        }
    }

    /// Takes the next step towards death; `true` if this call did it.
    pub fn advance_life(&self, from: Life, to: Life) -> bool {
        self.life
            .compare_exchange(from as u8, to as u8, SeqCst, SeqCst)
            .is_ok()
    }

    /// Whether it is being destroyed.
    #[must_use]
    pub fn is_dying(&self) -> bool {
        self.life() != Life::Alive
    }
}
