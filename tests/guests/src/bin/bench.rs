//! Prints what single operations cost, in ticks of the TSC: `BENCH name ticks`, each the least of many repetitions.
//!
//! Runs as PVH dom0 on any hypervisor with Xen's ABI. With `-icount shift=0` QEMU's TSC counts instructions, which the line
//! `BENCH-CALIBRATION` shows: it gives the ticks of 2000 instructions. With `repeat=NAME` on its command line it does that operation for
//! ever instead, for `tests/profile.sh` to look at.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use xen_abi::arch_x86::{ArchDomainconfig, XEN_X86_EMU_LAPIC};
use xen_abi::domctl::{
    Domctl, DomctlCreatedomain, DomctlMaxMem, XEN_DOMCTL_CDF_HAP, XEN_DOMCTL_CDF_HVM,
    XEN_DOMCTL_CREATEDOMAIN, XEN_DOMCTL_DESTROYDOMAIN, XEN_DOMCTL_INTERFACE_VERSION,
    XEN_DOMCTL_MAX_MEM,
};
use xen_abi::event_channel::{EVTCHNOP_BIND_IPI, EVTCHNOP_SEND, EvtchnBindIpi, EvtchnSend};
use xen_abi::grant_table::{
    GNTCOPY_SOURCE_GREF, GNTMAP_HOST_MAP, GNTTABOP_COPY, GNTTABOP_MAP_GRANT_REF,
    GNTTABOP_SETUP_TABLE, GNTTABOP_UNMAP_GRANT_REF, GTF_PERMIT_ACCESS, GnttabCopy, GnttabCopyPtr,
    GnttabMapGrantRef, GnttabSetupTable, GnttabUnmapGrantRef, GrantEntryV1,
};
use xen_abi::hvm::hvm_op::{HVMOP_SET_PARAM, HvmParam};
use xen_abi::hvm::params::{HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_CALLBACK_TYPE_VECTOR};
use xen_abi::memory::{
    AddToPhysmap, MemoryReservation, XENMAPSPACE_GRANT_TABLE, XENMAPSPACE_SHARED_INFO,
    XENMEM_ADD_TO_PHYSMAP, XENMEM_DECREASE_RESERVATION, XENMEM_POPULATE_PHYSMAP,
};
use xen_abi::sched::SHUTDOWN_POWEROFF;
use xen_abi::vcpu::{VCPUOP_SET_SINGLESHOT_TIMER, VcpuSetSingleshotTimer};
use xen_abi::version::XENVER_VERSION;
use xen_abi::xen as abi;
use xen_abi::xen::DOMID_SELF;

use zerocopy::IntoBytes;

use guests::{Start, boot, cpu, hypercall, memory, println, vectors};

guests::entry!(main);

const REPETITIONS: u32 = 40;
const APIC_BASE: u32 = 0x1b;
const CALLBACK_VECTOR: u64 = 0x40;
const LARGE: u64 = 2 << 20;
/// Below stand those of the tools.
const FIRST_GRANT: u32 = 8;
/// Frames with a grant each, one for every repetition.
const GRANTS: u32 = REPETITIONS;

static SHARED_INFO: AtomicU64 = AtomicU64::new(0);
static DELIVERED: AtomicU64 = AtomicU64::new(0);

/// Guest memory by use, by address.
struct Places {
    shared_info: u64,
    grants: u64,
    source: u64,
    destination: u64,
    mapping: u64,
    small: u64,
    large: u64,
}

fn main(start: Start) -> ! {
    let repeated = start.word("repeat").unwrap_or("");
    let Some(ram) = memory::find_ram(4 * LARGE) else {
        boot::fatal(format_args!("no memory to spare"));
    };
    let places = Places {
        shared_info: ram,
        grants: ram + 4096,
        mapping: ram + 2 * 4096,
        source: ram + LARGE,
        destination: ram + 3 * 4096,
        small: ram + 4 * 4096,
        large: ram + 2 * LARGE,
    };
    println!(
        "BENCH-CALIBRATION {}",
        least(cpu::two_thousand_instructions)
    );
    exits(repeated);
    events(&places, repeated);
    timer(repeated);
    grants(&places, repeated);
    populations(&places);
    domains();
    println!("BENCH-DONE");
    hypercall::shutdown(SHUTDOWN_POWEROFF)
}

/// The least time of `operation` without the time of nothing.
fn least(mut operation: impl FnMut()) -> u64 {
    let nothing = least_raw(|| {});
    least_raw(&mut operation).saturating_sub(nothing)
}

fn least_raw(mut operation: impl FnMut()) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..REPETITIONS {
        let before = cpu::tsc();
        operation();
        least = least.min(cpu::tsc().wrapping_sub(before));
    }
    least
}

fn bench(name: &str, repeated: &str, mut operation: impl FnMut()) {
    if name == repeated {
        println!("BENCH-REPEAT {name}");
        loop {
            operation();
        }
    }
    println!("BENCH {name} {}", least(operation));
}

fn need(what: &str, is_so: bool) {
    if !is_so {
        boot::fatal(format_args!("{what} failed"));
    }
}

fn exits(repeated: &str) {
    let version = [XENVER_VERSION.into(), 0, 0, 0, 0];
    bench("null-hypercall", repeated, || {
        let result = hypercall::raw(abi::HYPERVISOR_XEN_VERSION.into(), version);
        need("XENVER_version", result == 0x0004_0014);
    });
    bench("cpuid", repeated, || {
        let _ = core::hint::black_box(cpu::cpuid(0x4000_0000, 0));
    });
    bench("cpuid-at-page-border", repeated, || {
        cpu::cpuid_next_to_page_border(0x4000_0000);
    });
    bench("rdmsr-apic-base", repeated, || {
        let _ = core::hint::black_box(cpu::read_msr(APIC_BASE));
    });
}

fn map_special(space: u32, index: u64, at: u64) -> bool {
    // The RAM that is there makes place first.
    let _ = reservation(XENMEM_DECREASE_RESERVATION, at, 0);
    let mut request = AddToPhysmap {
        domid: DOMID_SELF,
        space,
        idx: index,
        gpfn: at >> 12,
        ..AddToPhysmap::default()
    };
    hypercall::with(
        abi::HYPERVISOR_MEMORY_OP,
        XENMEM_ADD_TO_PHYSMAP,
        &mut request,
    ) == 0
}

fn set_parameter(index: u32, value: u64) -> bool {
    let mut request = HvmParam {
        domid: DOMID_SELF,
        index,
        value,
        ..HvmParam::default()
    };
    hypercall::with(abi::HYPERVISOR_HVM_OP, HVMOP_SET_PARAM, &mut request) == 0
}

/// Takes the event as a system does that has only one.
fn on_event(_: u8) {
    let info = SHARED_INFO.load(Ordering::Relaxed);
    memory::set(info, 0);
    memory::set(info + 8, 0);
    memory::set(info + 2048, 0);
    DELIVERED.fetch_add(1, Ordering::Relaxed);
}

fn events(places: &Places, repeated: &str) {
    let is_mapped = map_special(XENMAPSPACE_SHARED_INFO, 0, places.shared_info);
    need("mapping the shared page", is_mapped);
    SHARED_INFO.store(places.shared_info, Ordering::Relaxed);
    vectors::on_interrupt(on_event);
    let callback = HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | CALLBACK_VECTOR;
    need(
        "HVM_PARAM_CALLBACK_IRQ",
        set_parameter(HVM_PARAM_CALLBACK_IRQ, callback),
    );
    let mut bind = EvtchnBindIpi::default();
    let number = abi::HYPERVISOR_EVENT_CHANNEL_OP;
    need(
        "EVTCHNOP_bind_ipi",
        hypercall::with(number, EVTCHNOP_BIND_IPI, &mut bind) == 0,
    );
    let mut send = EvtchnSend { port: bind.port };
    cpu::enable_interrupts();
    bench("event-send-and-delivery", repeated, || {
        let before = DELIVERED.load(Ordering::Relaxed);
        let result = hypercall::with(number, EVTCHNOP_SEND, &mut send);
        need("EVTCHNOP_send", result == 0);
        while DELIVERED.load(Ordering::Relaxed) == before {}
    });
    cpu::disable_interrupts();
}

fn timer(repeated: &str) {
    let mut far_s = 1000;
    bench("singleshot-timer", repeated, || {
        far_s += 1;
        let mut timer = VcpuSetSingleshotTimer {
            timeout_abs_ns: far_s * 1_000_000_000,
            ..VcpuSetSingleshotTimer::default()
        };
        let at = &raw mut timer as u64;
        let args = [VCPUOP_SET_SINGLESHOT_TIMER.into(), 0, at, 0, 0];
        need(
            "VCPUOP_set_singleshot_timer",
            hypercall::raw(abi::HYPERVISOR_VCPU_OP.into(), args) == 0,
        );
    });
}

fn grants(places: &Places, repeated: &str) {
    let mut frames = [0u64; 1];
    let mut setup = GnttabSetupTable {
        dom: DOMID_SELF,
        nr_frames: 1,
        frame_list: frames.as_mut_ptr() as u64,
        ..GnttabSetupTable::default()
    };
    let number = abi::HYPERVISOR_GRANT_TABLE_OP;
    let setup = core::slice::from_mut(&mut setup);
    need(
        "GNTTABOP_setup_table",
        hypercall::batch(number, GNTTABOP_SETUP_TABLE, setup) == 0,
    );
    let is_mapped = map_special(XENMAPSPACE_GRANT_TABLE, 0, places.grants);
    need("mapping the grant table", is_mapped);
    for index in 0..GRANTS {
        let entry = GrantEntryV1 {
            flags: GTF_PERMIT_ACCESS,
            domid: 0,
            frame: (places.source >> 12) as u32 + index,
        };
        memory::put(places.grants + 8 * u64::from(FIRST_GRANT + index), entry);
    }
    grant_copy(places, repeated);
    grant_map(places, repeated);
}

fn grant_copy(places: &Places, repeated: &str) {
    let mut copy = GnttabCopy {
        source: GnttabCopyPtr {
            gmfn_or_ref: FIRST_GRANT.into(),
            ..GnttabCopyPtr::default()
        },
        dest: GnttabCopyPtr {
            gmfn_or_ref: places.destination >> 12,
            domid: DOMID_SELF,
            ..GnttabCopyPtr::default()
        },
        len: 4096,
        flags: GNTCOPY_SOURCE_GREF,
        ..GnttabCopy::default()
    };
    memory::set(places.source, 0x1234);
    bench("grant-copy-4k", repeated, || {
        let copy = core::slice::from_mut(&mut copy);
        let _ = hypercall::batch(abi::HYPERVISOR_GRANT_TABLE_OP, GNTTABOP_COPY, copy);
        need("GNTTABOP_copy", copy[0].status == 0);
    });
    need("the copy", memory::get(places.destination) == 0x1234);
}

fn grant_map(places: &Places, repeated: &str) {
    let number = abi::HYPERVISOR_GRANT_TABLE_OP;
    let _ = reservation(XENMEM_DECREASE_RESERVATION, places.mapping, 0);
    let mut worst = (0, 0);
    // Each grant once: Xen takes a frame away from its place when its owner maps it elsewhere.
    let mut next = FIRST_GRANT;
    bench("grant-map-unmap", repeated, || {
        let mut map = GnttabMapGrantRef {
            host_addr: places.mapping,
            flags: GNTMAP_HOST_MAP,
            ref_: next,
            ..GnttabMapGrantRef::default()
        };
        let map = core::slice::from_mut(&mut map);
        let _ = hypercall::batch(number, GNTTABOP_MAP_GRANT_REF, map);
        let mut unmap = GnttabUnmapGrantRef {
            host_addr: places.mapping,
            handle: map[0].handle,
            ..GnttabUnmapGrantRef::default()
        };
        let unmap = core::slice::from_mut(&mut unmap);
        let _ = hypercall::batch(number, GNTTABOP_UNMAP_GRANT_REF, unmap);
        if map[0].status != 0 || unmap[0].status != 0 {
            worst = (map[0].status, unmap[0].status);
        }
        // Repeated for ever, they come round again.
        next = FIRST_GRANT + (next - FIRST_GRANT + 1) % GRANTS;
    });
    if worst != (0, 0) {
        boot::fatal(format_args!(
            "mapping and unmapping a grant: status {worst:?}"
        ));
    }
}

fn reservation(op: u32, at: u64, order: u32) -> bool {
    let mut frame = at >> 12;
    let mut request = MemoryReservation {
        extent_start: &raw mut frame as u64,
        nr_extents: 1,
        extent_order: order,
        domid: DOMID_SELF,
        ..MemoryReservation::default()
    };
    hypercall::with(abi::HYPERVISOR_MEMORY_OP, op, &mut request) == 1
}

fn populations(places: &Places) {
    for (size, at, order) in [("4k", places.small, 0), ("2m", places.large, 9)] {
        let nothing = least_raw(|| {});
        let (mut least_less, mut least_more, mut least_both) = (u64::MAX, u64::MAX, u64::MAX);
        for _ in 0..REPETITIONS {
            let begin = cpu::tsc();
            let is_less = reservation(XENMEM_DECREASE_RESERVATION, at, order);
            let middle = cpu::tsc();
            let is_more = reservation(XENMEM_POPULATE_PHYSMAP, at, order);
            let end = cpu::tsc();
            need("XENMEM_decrease_reservation", is_less);
            need("XENMEM_populate_physmap", is_more);
            least_less = least_less.min(middle - begin);
            least_more = least_more.min(end - middle);
            least_both = least_both.min(end - begin);
        }
        println!("BENCH exchange-{size} {}", least_both - nothing);
        println!("BENCH decrease-{size} {}", least_less - nothing);
        println!("BENCH populate-{size} {}", least_more - nothing);
    }
}

/// Memory of the domain that is built and destroyed, in blocks of 2 MiB.
const BLOCKS: usize = 8;

fn domctl(cmd: u32, domain: u16, payload: &[u8]) -> Option<u16> {
    let mut request = Domctl {
        cmd,
        interface_version: XEN_DOMCTL_INTERFACE_VERSION,
        domain,
        ..Domctl::default()
    };
    request.u[..payload.len()].copy_from_slice(payload);
    let at = &raw mut request as u64;
    let result = hypercall::raw(abi::HYPERVISOR_DOMCTL.into(), [at, 0, 0, 0, 0]);
    (result == 0).then_some(request.domain)
}

/// A domain with memory and without vCPUs.
fn build_domain() -> u16 {
    let config = DomctlCreatedomain {
        flags: XEN_DOMCTL_CDF_HVM | XEN_DOMCTL_CDF_HAP,
        max_vcpus: 1,
        max_evtchn_port: 1023,
        max_grant_frames: 4,
        max_maptrack_frames: 8,
        grant_opts: 1,
        arch: ArchDomainconfig {
            emulation_flags: XEN_X86_EMU_LAPIC,
            ..ArchDomainconfig::default()
        },
        ..DomctlCreatedomain::default()
    };
    let Some(domain) = domctl(XEN_DOMCTL_CREATEDOMAIN, 0, config.as_bytes()) else {
        boot::fatal(format_args!("XEN_DOMCTL_createdomain failed"));
    };
    let limit = DomctlMaxMem {
        max_memkb: (BLOCKS as u64 * LARGE) >> 10,
    };
    let is_set = domctl(XEN_DOMCTL_MAX_MEM, domain, limit.as_bytes()).is_some();
    need("XEN_DOMCTL_max_mem", is_set);
    let mut frames: [u64; BLOCKS] = core::array::from_fn(|block| (block as u64) << 9);
    let mut request = MemoryReservation {
        extent_start: frames.as_mut_ptr() as u64,
        nr_extents: BLOCKS as u64,
        extent_order: 9,
        domid: domain,
        ..MemoryReservation::default()
    };
    let number = abi::HYPERVISOR_MEMORY_OP;
    let done = hypercall::with(number, XENMEM_POPULATE_PHYSMAP, &mut request);
    need("XENMEM_populate_physmap", done == BLOCKS as i64);
    domain
}

fn domains() {
    let (mut least_build, mut least_destroy) = (u64::MAX, u64::MAX);
    for _ in 0..REPETITIONS {
        let begin = cpu::tsc();
        let domain = build_domain();
        let middle = cpu::tsc();
        let is_gone = domctl(XEN_DOMCTL_DESTROYDOMAIN, domain, &[]).is_some();
        let end = cpu::tsc();
        need("XEN_DOMCTL_destroydomain", is_gone);
        least_build = least_build.min(middle - begin);
        least_destroy = least_destroy.min(end - middle);
    }
    let nothing = least_raw(|| {});
    println!("BENCH build-domain-16m {}", least_build - nothing);
    println!("BENCH destroy-domain-16m {}", least_destroy - nothing);
}
