//! Ways to ruin oneself, one for each guest: what ends, stops or breaks the guest that does it, and must do so to nobody else.

use xen_abi::xen as abi;
use xen_abi::{grant_table as gt, hvm::params, memory as mem, sched, vcpu};

use super::{call, fragments, values};
use crate::random::Random;
use crate::{boot, cpu, local_apic, memory, println, second_vcpu, vectors, window};

const HOLE: u64 = 0xe000_0000;
const APIC: u64 = 0xfee0_0000;
const INIT: u32 = 5 << 8;
const START_UP: u32 = 6 << 8;
const NMI: u32 = 4 << 8;

type Way = fn(&mut Random);

/// All of them: name and deed. Those that come back have been survived.
static WAYS: &[(&str, Way)] = &[
    ("shutdown for every reason", |random| {
        shut_down(random.pick(&[6, 7, 255, u32::MAX]));
        shut_down(random.below(5) as u32);
    }),
    ("shutdown for suspending", |_| {
        shut_down(sched::SHUTDOWN_SUSPEND)
    }),
    ("shutdown for a soft reset", |_| {
        shut_down(sched::SHUTDOWN_SOFT_RESET)
    }),
    ("shutdown by both", |_| {
        both(|| shut_down(3), || shut_down(1))
    }),
    ("stop every vCPU", |_| {
        both(|| vcpu_down(0), || vcpu_down(1))
    }),
    ("stop each other", |_| {
        both(|| vcpu_down(1), || vcpu_down(0))
    }),
    ("block for ever", |_| {
        let _ = call(sched_op(), [sched::SCHEDOP_BLOCK.into(), 0, 0, 0, 0]);
    }),
    ("poll for ever", |_| {
        let at = values::PRIVATE.address();
        (0..3).for_each(|word| memory::set(at + word * 8, 0));
        let _ = call(sched_op(), [sched::SCHEDOP_POLL.into(), at, 0, 0, 0]);
    }),
    ("halt with interrupts off", |_| cpu::halt()),
    ("watchdog", |_| {
        let at = values::PRIVATE.address();
        for timeout in [1 << 32, 1 << 32 | 7, 2 << 32] {
            memory::set(at, timeout);
            let _ = call(sched_op(), [sched::SCHEDOP_WATCHDOG.into(), at, 0, 0, 0]);
        }
        cpu::halt_for_ever();
    }),
    ("INIT to oneself", |_| {
        local_apic::enable();
        local_apic::send(0, INIT);
    }),
    (
        "INIT, start-up and NMI to the other, without end",
        |random| storm(random),
    ),
    ("start-up into random code", start_ups),
    ("triple fault", |_| vectors::triple_fault()),
    ("triple fault by both", |_| {
        both(|| vectors::triple_fault(), || vectors::triple_fault())
    }),
    ("interrupt table in a device", |_| {
        cpu::load_interrupt_table(APIC, 4095);
        cpu::undefined();
    }),
    ("interrupt table in nothing", |_| {
        cpu::load_interrupt_table(HOLE, 4095);
        cpu::undefined();
    }),
    ("segment table in a device", |_| {
        cpu::load_segment_table(APIC, 4095)
    }),
    ("segment table in nothing", |_| {
        cpu::load_segment_table(HOLE + 0xff9, 4095)
    }),
    ("stack in a device", |_| cpu::fault_on_stack(APIC + 0x800)),
    ("stack in nothing", |_| cpu::fault_on_stack(HOLE)),
    ("stack beyond everything", |_| {
        cpu::fault_on_stack(window::show(0, 1 << 39) + 8)
    }),
    ("code in a device", |_| cpu::jump(APIC)),
    ("code in nothing", |_| cpu::jump(HOLE)),
    ("code in the IO-APIC's place", |_| cpu::jump(0xfec0_0000)),
    ("code across the border of nothing", |_| {
        code_across_the_border()
    }),
    ("code in a page given away", |_| {
        let frame = values::victims();
        memory::set(frame << 12, 0x9090_9090_9090_9090);
        give_away(frame);
        cpu::jump(frame << 12);
    }),
    ("page tables in a device", |_| set(3, APIC)),
    ("page tables in nothing", |_| set(3, HOLE)),
    ("page tables beyond everything", |_| {
        set(3, 0xf_ffff_ffff_f000)
    }),
    ("page tables given away", |_| {
        give_away(cpu::read_cr(3) >> 12);
        cpu::forget_page(0);
        cpu::jump(HOLE);
    }),
    ("all memory given away", |_| {
        (0..1 << 16).rev().for_each(give_away)
    }),
    ("paging off", |_| flip(0, 31)),
    ("protection off", |_| flip(0, 0)),
    ("protection and paging off", |_| {
        set(0, cpu::read_cr(0) & !(1 << 31 | 1))
    }),
    ("not write-through without cache disable", |_| flip(0, 29)),
    ("PAE off", |_| flip(4, 5)),
    ("five levels", |_| flip(4, 12)),
    ("VMX", |_| flip(4, 13)),
    ("reserved bits of CR4", |random| {
        flip(4, 24 + random.below(8))
    }),
    ("upper bits of CR4", |random| flip(4, 32 + random.below(32))),
    ("upper bits of CR0", |random| flip(0, 32 + random.below(32))),
    ("task priority", |_| {
        (0..64).for_each(|bit| set(8, 1 << bit))
    }),
    ("random instructions", |random| {
        fragments::run(random, 200_000)
    }),
    ("all notes at once", |random| {
        for _ in 0..100_000 {
            let _ = cpu::read_msr(0xdead_0000 + random.below(4096) as u32);
            let _ = cpu::write_msr(0xdead_0000 + random.below(4096) as u32, 1);
        }
        let many = [b'.'; 4096];
        for _ in 0..20 {
            println!(
                "HOSTILE-FLOOD {}",
                core::str::from_utf8(&many).unwrap_or("")
            );
        }
        (0..2000).for_each(|number| println!("HOSTILE-FLOOD {number}"));
    }),
    ("breakpoints on their handler's stack", |_| {
        breakpoints_on_stack()
    }),
    ("sparse map", sparse_map),
    ("more memory than there is", more_memory),
    ("all grants", all_grants),
    ("all event channels", all_event_channels),
    ("a storm of timers and events", timers),
    ("a 16-bit task in nothing", |_| {
        let _ = set_parameter(params::HVM_PARAM_VM86_TSS_SIZED, HOLE | 128 << 32);
        let _ = set_parameter(params::HVM_PARAM_IDENT_PT, HOLE);
        for index in 0..40 {
            let _ = set_parameter(index, u64::MAX >> index);
        }
        flip(0, 31);
    }),
    ("a triple fault with a reason of one's own", |_| {
        let _ = set_parameter(params::HVM_PARAM_TRIPLE_FAULT_REASON, 200);
        let _ = set_parameter(params::HVM_PARAM_TRIPLE_FAULT_REASON, 2);
        vectors::triple_fault();
    }),
];

/// Does the way of this number. It may come back.
pub fn run(number: u64, random: &mut Random) {
    let Some((name, deed)) = usize::try_from(number).ok().and_then(|n| WAYS.get(n)) else {
        println!("HOSTILE-WAYS {}", WAYS.len());
        return;
    };
    println!("HOSTILE-WAY {number} of {}: {name}", WAYS.len());
    deed(random);
    println!("HOSTILE-WAY {number} survived");
}

const fn sched_op() -> u64 {
    abi::HYPERVISOR_SCHED_OP as u64
}

fn shut_down(reason: u32) {
    let at = values::PRIVATE.address() + 64;
    memory::put(at, reason);
    let _ = call(sched_op(), [sched::SCHEDOP_SHUTDOWN.into(), at, 0, 0, 0]);
}

fn vcpu_down(id: u64) {
    let _ = call(
        abi::HYPERVISOR_VCPU_OP.into(),
        [vcpu::VCPUOP_DOWN.into(), id, 0, 0, 0],
    );
}

/// The first vCPU does the one and the second, at nearly the same time, the other.
fn both(first: fn(), second: fn()) {
    second_vcpu::do_later(second);
    let _ = second_vcpu::start(super::SECOND_APIC_ID, second_vcpu::do_it);
    first();
    (0..50_000_000).for_each(|_| cpu::spin());
}

fn set(register: u8, value: u64) {
    let _ = cpu::write_cr(register, value);
}

fn flip(register: u8, bit: u64) {
    let old = cpu::read_cr(register);
    let _ = cpu::write_cr(register, old ^ 1 << bit);
    let _ = cpu::cpuid(0, 0);
    let _ = cpu::write_cr(register, old);
}

/// Each word of what the handler's frame will overwrite raises the exception that the handler is for.
fn breakpoints_on_stack() {
    const ON_WRITE_OF_8_BYTES: u64 = 0b1001;
    let here = 0u64;
    let below = (&raw const here as u64 & !7) - 64;
    for number in 0..4 {
        let _ = cpu::write_dr(number, below + 8 * u64::from(number));
    }
    let conditions = (0..4).fold(0, |bits, _| bits << 4 | ON_WRITE_OF_8_BYTES);
    let _ = cpu::write_dr(7, conditions << 16 | 0x4ff);
    for _ in 0..1_000 {
        let _ = cpu::read_msr(0xdead_0000);
    }
}

fn storm(random: &mut Random) {
    let _ = second_vcpu::start(super::SECOND_APIC_ID, second_calls);
    for _ in 0..5_000 {
        let any = random.next() as u32;
        let command = random.pick(&[INIT, START_UP | 8, START_UP | 0xff, NMI, any]);
        // To itself only what it survives.
        local_apic::send(super::SECOND_APIC_ID, command & 0xff7ff);
        (0..random.below(2_000)).for_each(|_| cpu::spin());
    }
}

/// The second vCPU runs random bytes in real mode, again and again.
fn start_ups(random: &mut Random) {
    const PAGE: u64 = 0x20;
    let _ = second_vcpu::start(super::SECOND_APIC_ID, second_calls);
    for _ in 0..1_500 {
        for word in 0..32 {
            memory::set((PAGE << 12) | (word * 8), random.next());
        }
        local_apic::send(super::SECOND_APIC_ID, INIT);
        local_apic::send(super::SECOND_APIC_ID, START_UP | PAGE as u32);
        (0..2_000).for_each(|_| cpu::spin());
    }
}

fn second_calls() -> ! {
    let mut random = Random::new(3);
    loop {
        let _ = super::calls::make_one(&mut random, 1);
    }
}

fn code_across_the_border() {
    let at = window::show(0, values::victims() << 12);
    let _ = window::show(1, HOLE);
    // The first byte of a CPUID, and of a jump.
    memory::put(at + 4095, 0x0fu8);
    cpu::jump(at + 4095);
}

fn reservation(op: u32, frame: u64, count: u64, order: u32) -> i64 {
    let at = values::PRIVATE.address() + 256;
    memory::set(at, at + 64);
    memory::set(at + 8, count);
    memory::set(at + 16, order.into());
    memory::set(at + 24, abi::DOMID_SELF.into());
    memory::set(at + 64, frame);
    call(abi::HYPERVISOR_MEMORY_OP.into(), [op.into(), at, 0, 0, 0])
}

fn give_away(frame: u64) {
    let _ = reservation(mem::XENMEM_DECREASE_RESERVATION, frame, 1, 0);
}

/// As much memory as can be had, in all sizes, far up.
fn more_memory(random: &mut Random) {
    for order in [18, 9, 0, 30, 20] {
        for attempt in 0..200u64 {
            let frame = 1 << 20 | attempt << 18 | random.below(2) << 9;
            let _ = reservation(mem::XENMEM_POPULATE_PHYSMAP, frame, 1, order);
            let _ = reservation(mem::XENMEM_INCREASE_RESERVATION, frame, 1, order);
        }
    }
    // And back: some of its own memory for more elsewhere, until there are no more tables.
    for index in 0..2_000 {
        give_away(values::victims() + index);
        let _ = reservation(
            mem::XENMEM_POPULATE_PHYSMAP,
            (1 << 21) + (index << 18),
            1,
            0,
        );
    }
}

/// One page at a great many places, each of which needs tables of its own.
fn sparse_map(_: &mut Random) {
    for index in 0..20_000u64 {
        add_to_map(mem::XENMAPSPACE_SHARED_INFO, 0, index << 18 | 511);
        add_to_map(mem::XENMAPSPACE_GRANT_TABLE, index & 63, index << 9 | 3);
    }
}

fn add_to_map(space: u32, index: u64, frame: u64) {
    let at = values::PRIVATE.address() + 512;
    memory::set(at, abi::DOMID_SELF as u64 | (space as u64) << 32);
    memory::set(at + 8, index);
    memory::set(at + 16, frame);
    let _ = call(
        abi::HYPERVISOR_MEMORY_OP.into(),
        [mem::XENMEM_ADD_TO_PHYSMAP.into(), at, 0, 0, 0],
    );
}

/// The greatest grant table, every entry used, every one mapped by oneself until nothing more can be mapped.
fn all_grants(random: &mut Random) {
    const FRAMES: u64 = 64;
    const ENTRIES: u64 = FRAMES * 512;
    let table = values::victims() << 12;
    for frame in 0..FRAMES + 2 {
        add_to_map(
            mem::XENMAPSPACE_GRANT_TABLE,
            frame,
            values::victims() + frame,
        );
    }
    let at = values::PRIVATE.address() + 1024;
    for reference in 8..ENTRIES {
        let frame = values::victims() + 128 + reference % 1024;
        // Permit access; domain 0 or the guest itself, whose number is not known here.
        memory::set(
            table + reference * 8,
            frame << 32 | random.below(64) << 16 | 1,
        );
    }
    for attempt in 0..40_000u64 {
        memory::set(at, (values::victims() + 128 + 1024 + attempt % 800) << 12);
        memory::set(at + 8, 2 | (8 + attempt % (ENTRIES - 8)) << 32);
        memory::set(at + 16, abi::DOMID_SELF.into());
        let args = [gt::GNTTABOP_MAP_GRANT_REF.into(), at, 1, 0, 0];
        let _ = call(abi::HYPERVISOR_GRANT_TABLE_OP.into(), args);
    }
}

fn event_op(op: u32, low: u64, high: u64) -> i64 {
    let at = values::PRIVATE.address() + 1600;
    memory::set(at, low);
    memory::set(at + 8, high);
    call(
        abi::HYPERVISOR_EVENT_CHANNEL_OP.into(),
        [op.into(), at, 0, 0, 0],
    )
}

/// Every port there is, bound to itself, rung, and closed again.
fn all_event_channels(random: &mut Random) {
    use xen_abi::event_channel as ev;
    let own = u64::from(abi::DOMID_SELF);
    for attempt in 0..6_000u64 {
        let _ = event_op(ev::EVTCHNOP_ALLOC_UNBOUND, own | own << 16, 0);
        let _ = event_op(ev::EVTCHNOP_BIND_INTERDOMAIN, own | attempt << 32, 0);
        let _ = event_op(ev::EVTCHNOP_BIND_IPI, attempt & 1, 0);
    }
    for _ in 0..20_000 {
        let _ = event_op(ev::EVTCHNOP_SEND, random.below(8192), 0);
    }
    let _ = event_op(ev::EVTCHNOP_RESET, own, 0);
}

fn set_parameter(index: u32, value: u64) -> i64 {
    let at = values::PRIVATE.address() + 1536;
    memory::set(at, abi::DOMID_SELF as u64 | (index as u64) << 32);
    memory::set(at + 8, value);
    let op = xen_abi::hvm::hvm_op::HVMOP_SET_PARAM.into();
    call(abi::HYPERVISOR_HVM_OP.into(), [op, at, 0, 0, 0])
}

/// Timers that are over when they are set, interrupts that nobody acknowledges, an upcall at every opportunity.
fn timers(random: &mut Random) {
    let at = values::PRIVATE.address() + 1800;
    let number = abi::HYPERVISOR_VCPU_OP.into();
    let _ = set_parameter(params::HVM_PARAM_CALLBACK_IRQ, 2 << 56 | 0xf3);
    local_apic::enable();
    cpu::enable_interrupts();
    for _ in 0..20_000 {
        memory::set(at, random.pick(&[0, 1, 1_000, 1_000_000, u64::MAX]));
        memory::set(at + 8, random.below(2));
        let op = random.pick(&[
            vcpu::VCPUOP_SET_PERIODIC_TIMER,
            vcpu::VCPUOP_SET_SINGLESHOT_TIMER,
            vcpu::VCPUOP_SEND_NMI,
            vcpu::VCPUOP_STOP_PERIODIC_TIMER,
        ]);
        let _ = call(number, [op.into(), 0, at, 0, 0]);
        let command = (1 << 18) | (16 + random.below(240) as u32);
        local_apic::send(0, command);
        if random.once_in(8) {
            local_apic::end_of_interrupt();
        }
    }
    cpu::disable_interrupts();
    if memory::get(at) == 0 {
        boot::fatal(format_args!("all timers are over"));
    }
}
