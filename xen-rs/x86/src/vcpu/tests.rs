//! Exits and event delivery on a fake processor.

use core::sync::atomic::Ordering::SeqCst;

use xen_abi::errno::Errno;
use xen_abi::sched::{SHUTDOWN_CRASH, SHUTDOWN_REBOOT};
use xen_core::ids::{Maddr, VcpuId};
use xen_core::sched::Schedulable;

use super::X86Vcpu;
use super::backend::{Backend, Event, Exit};
use super::entry::Next;
use super::fpu;
use super::testing::{CODE, Guest};
use crate::vlapic::Trigger;
use x86_emu::{Expected, SegmentName};

const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const CR4_VMXE: u64 = 1 << 13;
const CR4_OSXSAVE: u64 = 1 << 18;
const RFLAGS_IF: u64 = 1 << 9;
const RFLAGS_TF: u64 = 1 << 8;

const PROTECTION: Event = Event::Exception {
    vector: 13,
    error_code: Some(0),
};

const PAGE_FAULT: Event = Event::Exception {
    vector: 14,
    error_code: Some(2),
};

fn pending(guest: &Guest) -> Option<Event> {
    guest.with(|r| r.state.pending)
}

fn rip(guest: &Guest) -> u64 {
    guest.with(|r| r.state.hw.rip())
}

/// Prepares an entry; what it delivers, and whether a window is asked for.
fn deliver(guest: &Guest) -> (Option<Event>, bool) {
    guest.with(|r| {
        r.deliver();
        (r.state.hw.injected, r.state.hw.window)
    })
}

fn set_interrupt_flag(guest: &Guest, set: bool) {
    guest.with(|r| r.state.hw.set_rflags(if set { RFLAGS_IF } else { 0 }));
}

/// The guest's local APIC, switched on by its software, asks for `vector`.
fn request(guest: &Guest, vector: u8) {
    guest.with(|r| {
        let _ = r.state.vlapic.write_mmio(0xf0, 4, 0x1ff, 0);
        r.state.vlapic.accept(vector, Trigger::Edge);
    });
}

fn shutdown_code(guest: &Guest) -> u32 {
    guest
        .domain
        .shutdown_code
        .load(core::sync::atomic::Ordering::SeqCst)
        .into()
}

#[test]
fn an_emulated_tsc_is_written_and_read_and_the_clock_follows() {
    const TSC: u64 = 0x10;
    const TIME_STAMP: u64 = 32 + 8;
    let guest = Guest::new();
    let domain = &guest.domain;
    domain
        .arch
        .set_tsc_info(domain, 1, 0, 1_000_000, 0)
        .unwrap();
    assert!(guest.with(|r| r.state.hw.counter_exits));
    guest.set(&[(RCX, TSC), (RAX, 7), (RDX, 0x100)]);
    assert_eq!(guest.instruction(Exit::WriteMsr, 2), Next::Resume);
    guest.set(&[(RAX, u64::MAX), (RDX, u64::MAX)]);
    assert_eq!(guest.instruction(Exit::Rdtsc, 2), Next::Resume);
    let read = guest.register(RDX) << 32 | guest.register(RAX);
    assert!(
        (0x100_0000_0007..0x101_0000_0000).contains(&read),
        "{read:#x}"
    );
    let info = guest.vcpu.info().unwrap();
    let stamp = guest.hv.memory.load_u64(Maddr(info.0 + TIME_STAMP));
    assert!((read - (1 << 32)..=read).contains(&stamp), "{stamp:#x}");
    domain.arch.set_tsc_info(domain, 2, 0, 0, 0).unwrap();
    assert!(!guest.with(|r| r.state.hw.counter_exits));
}

#[test]
fn cpuid_answers_from_the_policy_and_goes_on_behind_it() {
    let guest = Guest::new();
    guest.set(&[(RAX, u64::MAX << 32 | 0x4000_0000), (RCX, 0)]);
    assert_eq!(guest.instruction(Exit::Cpuid, 2), Next::Resume);
    let name = [RBX, RCX, RDX].map(|r| (guest.register(r) as u32).to_le_bytes());
    assert_eq!(name.as_flattened(), b"XenVMMXenVMM");
    assert_eq!(guest.register(RAX) >> 32, 0);
    assert_eq!(rip(&guest), CODE + 2);
}

#[test]
fn without_the_next_address_the_bytes_at_rip_must_be_the_instruction() {
    let guest = Guest::new();
    guest.put(CODE, &[0x66, 0x0f, 0xa2]);
    guest.exit(Exit::Cpuid);
    assert_eq!(rip(&guest), CODE + 3);
    let before = guest.register(RBX);
    guest.put(CODE + 3, &[0x90, 0x90]);
    assert_eq!(guest.exit(Exit::Cpuid), Next::Resume);
    assert_eq!((rip(&guest), guest.register(RBX)), (CODE + 3, before));
    assert_eq!(pending(&guest), None);
}

#[test]
fn a_skipped_instruction_traps_when_single_stepped() {
    let guest = Guest::new();
    guest.with(|r| {
        r.state.hw.set_rflags(RFLAGS_TF);
        r.state.hw.set_interrupt_shadow(true);
    });
    guest.instruction(Exit::Cpuid, 2);
    let step = Event::Exception {
        vector: 1,
        error_code: None,
    };
    assert_eq!(pending(&guest), Some(step));
    guest.with(|r| {
        assert_eq!(r.state.hw.debug_control().0 & 1 << 14, 1 << 14);
        assert!(!r.state.hw.interrupt_shadow());
    });
}

#[test]
fn msrs_are_read_and_written_where_they_exist() {
    let guest = Guest::new();
    // LSTAR, which the processor switches; EFER; the APIC's base.
    guest.set(&[(RCX, 0xc000_0082), (RAX, 0x1234), (RDX, 0xffff_8000)]);
    guest.instruction(Exit::WriteMsr, 2);
    assert_eq!(guest.with(|r| r.state.hw.lstar), 0xffff_8000_0000_1234);
    guest.set(&[(RAX, 0), (RDX, 0)]);
    guest.instruction(Exit::ReadMsr, 2);
    assert_eq!(
        (guest.register(RDX), guest.register(RAX)),
        (0xffff_8000, 0x1234)
    );
    guest.set(&[(RCX, 0x1b)]);
    guest.instruction(Exit::ReadMsr, 2);
    assert_eq!(guest.register(RAX) & 0xffff_f000, 0xfee0_0000);
    assert_eq!((pending(&guest), rip(&guest)), (None, CODE + 2));
}

#[test]
fn msrs_that_do_not_exist_fault_and_change_nothing() {
    let guest = Guest::new();
    guest.set(&[(RCX, 0x8000_1234), (RAX, 7), (RDX, 7)]);
    for exit in [Exit::ReadMsr, Exit::WriteMsr] {
        guest.with(|r| r.state.pending = None);
        assert_eq!(guest.instruction(exit, 2), Next::Resume);
        assert_eq!(pending(&guest), Some(PROTECTION));
    }
    assert_eq!((guest.register(RAX), guest.register(RDX)), (7, 7));
    assert_eq!(rip(&guest), CODE);
}

#[test]
fn efer_bits_follow_the_policy_and_paging() {
    let guest = Guest::new();
    let write = |value| {
        guest.with(|r| r.state.pending = None);
        guest.set(&[(RCX, 0xc000_0080), (RAX, value), (RDX, 0)]);
        guest.instruction(Exit::WriteMsr, 2);
        pending(&guest).is_none()
    };
    assert!(write(0x901));
    // SVME is not the guest's.
    assert!(!write(0x1901));
    assert_eq!(guest.with(|r| r.state.hw.efer()), 0x901);
    // LME cannot change under paging.
    guest.with(|r| r.state.hw.set_cr(0, 0x8000_0011));
    assert!(!write(0x801));
}

#[test]
fn cr4_is_written_through_the_decoder_and_flushes() {
    let guest = Guest::new();
    // mov cr4, eax
    guest.put(CODE, &[0x0f, 0x22, 0xe0]);
    guest.set(&[(RAX, CR4_PAE | CR4_PGE)]);
    let home = Some((xen_core::ids::CpuId(0), 1));
    guest.with(|r| r.state.asid_home = home);
    let exit = Exit::ControlWrite {
        register: 4,
        source: None,
    };
    assert_eq!(guest.exit(exit), Next::Resume);
    guest.with(|r| {
        assert_eq!(r.state.hw.cr(4), CR4_PAE | CR4_PGE);
        assert_eq!((r.state.asid_home, r.state.pending), (None, None));
    });
    assert_eq!(rip(&guest), CODE + 3);
}

#[test]
fn cr4_bits_without_their_feature_fault_both_ways() {
    let guest = Guest::new();
    guest.put(CODE, &[0x0f, 0x22, 0xe0]);
    guest.set(&[(RAX, CR4_PAE | CR4_VMXE)]);
    for source in [None, Some(0)] {
        guest.with(|r| r.state.pending = None);
        guest.instruction(
            Exit::ControlWrite {
                register: 4,
                source,
            },
            3,
        );
        assert_eq!(pending(&guest), Some(PROTECTION));
        assert_eq!((guest.with(|r| r.state.hw.cr(4)), rip(&guest)), (0, CODE));
    }
}

#[test]
fn cr0_activates_long_mode_and_outside_it_has_32_bits() {
    let guest = Guest::new();
    guest.with(|r| {
        r.state.hw.set_cr(4, CR4_PAE);
        r.state.hw.set_efer(0x100);
    });
    guest.set(&[(RBX, 0xdead_0000_8000_0001)]);
    guest.instruction(
        Exit::ControlWrite {
            register: 0,
            source: Some(RBX as u8),
        },
        3,
    );
    guest.with(|r| {
        assert_eq!((r.state.hw.cr(0), r.state.hw.efer()), (0x8000_0011, 0x500));
    });
    assert_eq!((pending(&guest), rip(&guest)), (None, CODE + 3));
}

#[test]
fn lmsw_and_clts_change_cr0() {
    let guest = Guest::new();
    // lmsw ax; clts
    guest.put(CODE, &[0x0f, 0x01, 0xf0, 0x0f, 0x06]);
    guest.set(&[(RAX, 0xe)]);
    let exit = Exit::ControlWrite {
        register: 0,
        source: None,
    };
    guest.exit(exit);
    assert_eq!(guest.with(|r| r.state.hw.cr(0)), 0x1f);
    guest.exit(exit);
    assert_eq!(guest.with(|r| r.state.hw.cr(0)), 0x17);
    assert_eq!(rip(&guest), CODE + 5);
}

#[test]
fn not_write_through_without_cache_disable_faults() {
    let guest = Guest::new();
    guest.set(&[(RAX, 0x2000_0011)]);
    let exit = Exit::ControlWrite {
        register: 0,
        source: Some(0),
    };
    guest.instruction(exit, 3);
    assert_eq!(pending(&guest), Some(PROTECTION));
    guest.with(|r| r.state.pending = None);
    // In real mode without an error code.
    guest.with(|r| r.state.hw.set_cr(0, 0x10));
    guest.instruction(exit, 3);
    let without_code = Event::Exception {
        vector: 13,
        error_code: None,
    };
    assert_eq!(pending(&guest), Some(without_code));
}

#[test]
fn ports_without_a_device_read_as_ones_of_the_accesss_width() {
    let guest = Guest::new();
    for (size, expected) in [
        (1, 0x1111_2222_3333_44ff),
        (2, 0x1111_2222_3333_ffff),
        (4, 0xffff_ffff),
    ] {
        guest.set(&[(RAX, 0x1111_2222_3333_4455)]);
        guest.exit(Exit::Port {
            port: 0x300,
            size,
            write: false,
            next_rip: CODE + 1,
        });
        assert_eq!(guest.register(RAX), expected);
    }
    assert_eq!(rip(&guest), CODE + 1);
}

#[test]
fn the_counter_of_the_absent_pit_does_not_look_like_one_that_stands_at_its_top() {
    let guest = Guest::new();
    guest.set(&[(RAX, 0x55)]);
    guest.exit(Exit::Port {
        port: 0x42,
        size: 1,
        write: false,
        next_rip: CODE + 2,
    });
    assert_eq!(guest.register(RAX), 0);
}

#[test]
fn the_debug_port_collects_a_line() {
    let guest = Guest::new();
    for byte in *b"hello" {
        guest.set(&[(RAX, byte.into())]);
        guest.exit(Exit::Port {
            port: 0xe9,
            size: 1,
            write: true,
            next_rip: CODE + 2,
        });
    }
    guest.with(|r| assert_eq!(r.state.debug_line.as_slice(), b"hello"));
    guest.set(&[(RAX, b'\n'.into())]);
    guest.exit(Exit::Port {
        port: 0xe9,
        size: 1,
        write: true,
        next_rip: CODE + 2,
    });
    guest.with(|r| assert!(r.state.debug_line.is_empty()));
}

#[test]
fn halt_waits_for_an_interrupt() {
    let guest = Guest::new();
    set_interrupt_flag(&guest, true);
    assert_eq!(guest.instruction(Exit::Halt, 1), Next::Reschedule);
    assert!(!guest.vcpu.runnable());
    assert_eq!(rip(&guest), CODE + 1);
}

#[test]
fn halt_goes_on_when_an_interrupt_waits_already() {
    let guest = Guest::new();
    set_interrupt_flag(&guest, true);
    request(&guest, 0x40);
    guest.instruction(Exit::Halt, 1);
    assert!(guest.vcpu.runnable());
    assert_eq!(deliver(&guest).0, Some(Event::Interrupt(0x40)));
}

#[test]
fn the_last_vcpu_that_halts_for_good_powers_off() {
    let guest = Guest::new();
    set_interrupt_flag(&guest, false);
    guest.instruction(Exit::Halt, 1);
    assert!(!guest.vcpu.is_up());
    assert!(
        guest
            .domain
            .is_shut_down
            .load(core::sync::atomic::Ordering::SeqCst)
    );
}

#[test]
fn an_interrupted_exception_is_delivered_first() {
    let guest = Guest::new();
    set_interrupt_flag(&guest, true);
    request(&guest, 0x40);
    guest.with(|r| r.state.hw.interrupted = Some(PAGE_FAULT));
    assert_eq!(guest.exit(Exit::Interrupt), Next::Resume);
    assert_eq!(deliver(&guest), (Some(PAGE_FAULT), true));
    guest.with(|r| r.state.hw.injected = None);
    assert_eq!(deliver(&guest).0, Some(Event::Interrupt(0x40)));
}

#[test]
fn an_entry_that_is_given_up_keeps_its_event() {
    let guest = Guest::new();
    set_interrupt_flag(&guest, true);
    request(&guest, 0x40);
    assert_eq!(deliver(&guest).0, Some(Event::Interrupt(0x40)));
    guest.with(|r| r.state.hw.keep_injection());
    assert_eq!(deliver(&guest), (Some(Event::Interrupt(0x40)), false));
}

#[test]
fn a_fault_while_a_fault_is_delivered_is_a_double_fault() {
    let guest = Guest::new();
    guest.with(|r| {
        r.state.hw.interrupted = Some(PAGE_FAULT);
        let _ = r.fault(13, Some(0));
    });
    let double = Event::Exception {
        vector: 8,
        error_code: Some(0),
    };
    assert_eq!(deliver(&guest).0, Some(double));
    guest.with(|r| {
        r.state.hw.interrupted = Some(double);
        let _ = r.fault(13, Some(0));
    });
    let _ = deliver(&guest);
    assert_eq!(shutdown_code(&guest), SHUTDOWN_REBOOT);
}

#[test]
fn interrupts_wait_for_the_window() {
    let guest = Guest::new();
    request(&guest, 0x51);
    set_interrupt_flag(&guest, false);
    assert_eq!(deliver(&guest), (None, true));
    set_interrupt_flag(&guest, true);
    guest.with(|r| r.state.hw.set_interrupt_shadow(true));
    assert_eq!(deliver(&guest), (None, true));
    guest.with(|r| r.state.hw.set_interrupt_shadow(false));
    assert_eq!(guest.exit(Exit::Window), Next::Resume);
    assert_eq!(deliver(&guest), (Some(Event::Interrupt(0x51)), false));
}

#[test]
fn lowering_the_task_priority_lets_a_request_through() {
    let guest = Guest::new();
    // lock mov cr0, eax: CR8 outside 64-bit mode
    guest.put(CODE, &[0xf0, 0x0f, 0x22, 0xc0]);
    set_interrupt_flag(&guest, true);
    request(&guest, 0x51);
    let watches = || guest.with(|r| r.state.hw.cr8_exits);
    guest.with(|r| r.state.vlapic.set_cr8(5));
    assert_eq!(deliver(&guest), (None, false));
    assert!(watches());
    guest.set(&[(RAX, 4)]);
    guest.exit(Exit::Emulate);
    assert_eq!(deliver(&guest), (Some(Event::Interrupt(0x51)), false));
    let _ = deliver(&guest);
    assert!(!watches());
}

#[test]
fn nmis_do_not_nest() {
    let guest = Guest::new();
    guest.with(|r| r.arch.posted.post_nmi());
    assert_eq!(deliver(&guest), (Some(Event::Nmi), false));
    guest.with(|r| {
        r.state.hw.injected = None;
        r.arch.posted.post_nmi();
    });
    // No window: with interrupts on it would be left at once again and again.
    assert_eq!(deliver(&guest), (None, false));
    guest.with(|r| assert!(r.state.hw.iret));
    guest.exit(Exit::Iret);
    assert_eq!(deliver(&guest), (None, true));
    guest.with(|r| r.state.hw.set_interrupt_shadow(false));
    guest.exit(Exit::Window);
    assert_eq!(deliver(&guest).0, Some(Event::Nmi));
}

#[test]
fn xsetbv_takes_consistent_values_of_enabled_components() {
    fpu::pretend_host_xcr0(7);
    let guest = Guest::new();
    let write = |index, value| {
        guest.with(|r| r.state.pending = None);
        guest.set(&[(RCX, index), (RAX, value), (RDX, 0)]);
        guest.instruction(Exit::Xsetbv, 3);
        pending(&guest).is_none()
    };
    // OSXSAVE is off.
    assert!(!write(0, 7));
    guest.with(|r| r.state.hw.set_cr(4, CR4_OSXSAVE));
    assert!(write(0, 3) && write(0, 7));
    for (index, value) in [(0, 0), (0, 2), (0, 5), (0, 0xe7), (0, 0x207), (1, 3)] {
        assert!(!write(index, value), "{index} {value:#x}");
    }
    guest.with(|r| {
        assert_eq!(r.state.extended.xcr0(), 7);
        let mut user = r.state.hw.segment(SegmentName::Ss);
        user.attributes.0 |= 0x60;
        r.state.hw.set_segment(SegmentName::Ss, user);
    });
    assert!(!write(0, 3));
}

#[test]
fn triple_fault_shuts_down_with_the_domains_reason() {
    let guest = Guest::new();
    assert_eq!(guest.exit(Exit::Shutdown), Next::Reschedule);
    assert_eq!(shutdown_code(&guest), SHUTDOWN_REBOOT);
    assert!(!guest.vcpu.runnable());
}

#[test]
fn states_that_cannot_run_and_unknown_exits_crash_the_domain() {
    for exit in [Exit::Invalid, Exit::Unknown(0x99)] {
        let guest = Guest::new();
        guest.with(|r| r.state.hw.lost = true);
        assert_eq!(guest.exit(exit), Next::Reschedule);
        assert_eq!(shutdown_code(&guest), SHUTDOWN_CRASH);
    }
}

#[test]
fn pause_and_cache_flushes_go_on() {
    let guest = Guest::new();
    assert_eq!(guest.exit(Exit::Pause), Next::Resume);
    assert_eq!(rip(&guest), CODE);
    guest.put(CODE, &[0x0f, 0x08, 0x0f, 0x09]);
    guest.exit(Exit::CacheFlush(Expected::Invd));
    guest.exit(Exit::CacheFlush(Expected::Wbinvd));
    assert_eq!((rip(&guest), pending(&guest)), (CODE + 4, None));
}

#[test]
fn instructions_for_hypervisors_are_undefined() {
    let guest = Guest::new();
    guest.exit(Exit::Undefined);
    let undefined = Event::Exception {
        vector: 6,
        error_code: None,
    };
    assert_eq!(pending(&guest), Some(undefined));
}

#[test]
fn intercepted_exceptions_are_handed_on() {
    let guest = Guest::new();
    for (vector, error_code) in [(1, None), (17, Some(0))] {
        guest.with(|r| r.state.pending = None);
        guest.exit(Exit::Exception(vector));
        assert_eq!(
            pending(&guest),
            Some(Event::Exception { vector, error_code })
        );
    }
}

#[test]
fn the_local_apics_page_is_emulated() {
    let guest = Guest::new();
    // mov eax, [0xfee00030]; mov [0xfee00080], eax
    guest.put(
        CODE,
        &[0xa1, 0x30, 0, 0xe0, 0xfe, 0xa3, 0x80, 0, 0xe0, 0xfe],
    );
    let access = |gpa, write| {
        guest.exit(Exit::NestedFault {
            gpa,
            write,
            fetch: false,
        })
    };
    assert_eq!(access(0xfee0_0030, false), Next::Resume);
    assert_eq!(guest.register(RAX) & 0xff, 0x14);
    guest.set(&[(RAX, 0x20)]);
    access(0xfee0_0080, true);
    assert_eq!(guest.with(|r| r.state.vlapic.cr8()), 2);
    assert_eq!(rip(&guest), CODE + 10);
}

#[test]
fn cr8_is_the_task_priority_and_has_four_bits() {
    let guest = Guest::new();
    // lock mov cr0, eax: CR8 outside 64-bit mode
    guest.put(CODE, &[0xf0, 0x0f, 0x22, 0xc0]);
    guest.set(&[(RAX, 5)]);
    guest.exit(Exit::Emulate);
    assert_eq!(guest.with(|r| r.state.vlapic.cr8()), 5);
    assert_eq!((rip(&guest), pending(&guest)), (CODE + 4, None));
    guest.set(&[(RAX, 16)]);
    guest.with(|r| r.state.hw.set_rip(CODE));
    guest.exit(Exit::Emulate);
    let refused = Event::Exception {
        vector: 13,
        error_code: Some(0),
    };
    assert_eq!(guest.with(|r| r.state.vlapic.cr8()), 5);
    assert_eq!((rip(&guest), pending(&guest)), (CODE, Some(refused)));
}

#[test]
fn memory_that_nobody_has_reads_as_ones_and_swallows_writes() {
    let guest = Guest::new();
    // mov eax, [0x00800000]; mov [0x00800000], eax
    guest.put(CODE, &[0xa1, 0, 0, 0x80, 0, 0xa3, 0, 0, 0x80, 0]);
    for write in [false, true] {
        guest.exit(Exit::NestedFault {
            gpa: 0x80_0000,
            write,
            fetch: false,
        });
    }
    assert_eq!(guest.register(RAX), 0xffff_ffff);
    assert_eq!((rip(&guest), pending(&guest)), (CODE + 10, None));
}

#[test]
fn fetching_from_nowhere_crashes_the_domain() {
    let guest = Guest::new();
    guest.exit(Exit::NestedFault {
        gpa: 0x80_0000,
        write: false,
        fetch: true,
    });
    assert_eq!(shutdown_code(&guest), SHUTDOWN_CRASH);
}

#[test]
fn hypercalls_of_user_code_are_refused() {
    let guest = Guest::new();
    guest.set(&[(RAX, 17)]);
    guest.with(|r| {
        let mut user = r.state.hw.segment(SegmentName::Ss);
        user.attributes.0 |= 0x60;
        r.state.hw.set_segment(SegmentName::Ss, user);
    });
    guest.instruction(Exit::Hypercall, 3);
    let eperm = xen_abi::errno::Errno::EPERM.to_rc() as u64;
    assert_eq!((guest.register(RAX), rip(&guest)), (eperm, CODE + 3));
}

#[test]
fn a_hypercall_returns_in_rax() {
    let guest = Guest::new();
    // xen_version(XENVER_version): 4.20
    guest.set(&[(RAX, 17), (RBX, 0)]);
    guest.instruction(Exit::Hypercall, 3);
    assert_eq!((guest.register(RAX), rip(&guest)), (0x4_0014, CODE + 3));
}

#[test]
fn state_is_given_once_and_nobody_waits_for_a_vcpu_that_may_run() {
    let guest = Guest::with_vcpus(2);
    let other = guest.domain.vcpu(VcpuId(1)).unwrap();
    let half = X86Vcpu::of(other);
    half.initialised.store(true, SeqCst);
    assert_eq!(other.arch.initialise(&[0; 128]), Err(Errno::EEXIST));
    half.initialised.store(false, SeqCst);
    let held = half.state.lock();
    assert_eq!(other.arch.initialise(&[0; 128]), Err(Errno::EEXIST));
    drop(held);
    assert_ne!(other.arch.initialise(&[0; 128]), Err(Errno::EEXIST));
}
