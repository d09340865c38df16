//! Hypercalls: every number with random arguments, and shapes that are nearly right.
//!
//! Left out is only what would end the guest itself as it asks for: shutting down, arming its watchdog, blocking without a time limit,
//! stopping the vCPU that calls.

use xen_abi::xen as abi;
use xen_abi::{event_channel as ev, grant_table as gt, hvm::hvm_op, memory as mem, vcpu, version};

use super::values::{self, Kind, PRIVATE};
use super::{call, call_narrow};
use crate::memory;
use crate::random::Random;

use Kind::{Address, Count, Domid, Flags, Gfn, Index, Is, Order, Pointer, Time};

/// A structure that is nearly right: offset, size and kind of its fields.
type Fields = &'static [(u8, u8, Kind)];

/// How the registers are used.
#[derive(Copy, Clone)]
enum Registers {
    /// Sub-operation, pointer to one structure.
    OpPointer,
    /// Sub-operation, pointer to an array, its length.
    OpArray,
    /// Sub-operation, vCPU, pointer.
    OpVcpuPointer,
    /// Pointer to a structure with the sub-operation in it.
    Pointer,
}

struct Shape {
    number: u32,
    op: u32,
    registers: Registers,
    size: u8,
    fields: Fields,
}

const fn shape(number: u32, op: u32, registers: Registers, size: u8, fields: Fields) -> Shape {
    Shape {
        number,
        op,
        registers,
        size,
        fields,
    }
}

const fn memory_op(op: u32, size: u8, fields: Fields) -> Shape {
    shape(
        abi::HYPERVISOR_MEMORY_OP,
        op,
        Registers::OpPointer,
        size,
        fields,
    )
}

const fn event_op(op: u32, size: u8, fields: Fields) -> Shape {
    shape(
        abi::HYPERVISOR_EVENT_CHANNEL_OP,
        op,
        Registers::OpPointer,
        size,
        fields,
    )
}

const fn grant_op(op: u32, size: u8, fields: Fields) -> Shape {
    shape(
        abi::HYPERVISOR_GRANT_TABLE_OP,
        op,
        Registers::OpArray,
        size,
        fields,
    )
}

const fn vcpu_op(op: u32, size: u8, fields: Fields) -> Shape {
    shape(
        abi::HYPERVISOR_VCPU_OP,
        op,
        Registers::OpVcpuPointer,
        size,
        fields,
    )
}

const fn hvm(op: u32, size: u8, fields: Fields) -> Shape {
    shape(
        abi::HYPERVISOR_HVM_OP,
        op,
        Registers::OpPointer,
        size,
        fields,
    )
}

const RESERVATION: Fields = &[
    (0, 8, Pointer),
    (8, 8, Count),
    (16, 4, Order),
    (20, 4, Flags),
    (24, 2, Domid),
];
const MAP: Fields = &[(0, 4, Count), (8, 8, Pointer)];
const DOMAIN: Fields = &[(0, 2, Domid)];
const PORT: Fields = &[(0, 4, Index), (4, 4, Index)];
const CONTROL: Fields = &[
    (0, 4, Flags),
    (4, 4, Is(0x17)),
    (8, 2, Domid),
    (16, 8, Pointer),
    (24, 8, Count),
    (32, 8, Gfn),
];

static SHAPES: &[Shape] = &[
    memory_op(mem::XENMEM_INCREASE_RESERVATION, 32, RESERVATION),
    memory_op(mem::XENMEM_DECREASE_RESERVATION, 32, RESERVATION),
    memory_op(mem::XENMEM_POPULATE_PHYSMAP, 32, RESERVATION),
    memory_op(mem::XENMEM_CLAIM_PAGES, 32, RESERVATION),
    memory_op(mem::XENMEM_CURRENT_RESERVATION, 2, DOMAIN),
    memory_op(mem::XENMEM_MAXIMUM_RESERVATION, 2, DOMAIN),
    memory_op(mem::XENMEM_MAXIMUM_GPFN, 2, DOMAIN),
    memory_op(mem::XENMEM_MEMORY_MAP, 16, MAP),
    memory_op(mem::XENMEM_MACHINE_MEMORY_MAP, 16, MAP),
    memory_op(
        mem::XENMEM_SET_MEMORY_MAP,
        24,
        &[(0, 2, Domid), (8, 4, Count), (16, 8, Pointer)],
    ),
    memory_op(
        mem::XENMEM_ADD_TO_PHYSMAP,
        24,
        &[
            (0, 2, Domid),
            (2, 2, Count),
            (4, 4, Order),
            (8, 8, Gfn),
            (16, 8, Gfn),
        ],
    ),
    memory_op(
        mem::XENMEM_ADD_TO_PHYSMAP,
        24,
        &[
            (0, 2, Is(abi::DOMID_SELF as u64)),
            (4, 4, Order),
            (8, 8, Count),
            (16, 8, Gfn),
        ],
    ),
    memory_op(
        mem::XENMEM_ADD_TO_PHYSMAP_BATCH,
        40,
        &[
            (0, 2, Domid),
            (2, 2, Order),
            (4, 2, Count),
            (6, 2, Domid),
            (8, 8, Pointer),
            (16, 8, Pointer),
            (24, 8, Pointer),
        ],
    ),
    memory_op(
        mem::XENMEM_REMOVE_FROM_PHYSMAP,
        16,
        &[(0, 2, Domid), (8, 8, Gfn)],
    ),
    memory_op(
        mem::XENMEM_EXCHANGE,
        72,
        &[
            (0, 8, Pointer),
            (8, 8, Count),
            (16, 4, Order),
            (24, 2, Domid),
            (32, 8, Pointer),
            (40, 8, Count),
            (48, 4, Order),
            (56, 2, Domid),
            (64, 8, Is(0)),
        ],
    ),
    memory_op(
        mem::XENMEM_ACQUIRE_RESOURCE,
        40,
        &[
            (0, 2, Domid),
            (2, 2, Order),
            (4, 4, Order),
            (8, 4, Count),
            (16, 8, Count),
            (24, 8, Pointer),
        ],
    ),
    memory_op(
        mem::XENMEM_GET_VNUMAINFO,
        56,
        &[
            (0, 2, Domid),
            (4, 4, Count),
            (8, 4, Count),
            (16, 8, Pointer),
        ],
    ),
    event_op(
        ev::EVTCHNOP_ALLOC_UNBOUND,
        8,
        &[(0, 2, Domid), (2, 2, Domid)],
    ),
    event_op(
        ev::EVTCHNOP_BIND_INTERDOMAIN,
        12,
        &[(0, 2, Domid), (4, 4, Index)],
    ),
    event_op(ev::EVTCHNOP_BIND_VIRQ, 12, &[(0, 4, Index), (4, 4, Order)]),
    event_op(ev::EVTCHNOP_BIND_PIRQ, 12, PORT),
    event_op(ev::EVTCHNOP_BIND_IPI, 8, &[(0, 4, Order)]),
    event_op(ev::EVTCHNOP_CLOSE, 4, PORT),
    event_op(ev::EVTCHNOP_SEND, 4, PORT),
    event_op(ev::EVTCHNOP_STATUS, 24, &[(0, 2, Domid), (4, 4, Index)]),
    event_op(ev::EVTCHNOP_BIND_VCPU, 8, &[(0, 4, Index), (4, 4, Order)]),
    event_op(ev::EVTCHNOP_UNMASK, 4, PORT),
    event_op(ev::EVTCHNOP_RESET, 2, DOMAIN),
    event_op(
        ev::EVTCHNOP_INIT_CONTROL,
        24,
        &[(0, 8, Gfn), (8, 4, Flags), (12, 4, Order)],
    ),
    event_op(ev::EVTCHNOP_EXPAND_ARRAY, 8, &[(0, 8, Gfn)]),
    event_op(
        ev::EVTCHNOP_SET_PRIORITY,
        8,
        &[(0, 4, Index), (4, 4, Flags)],
    ),
    grant_op(
        gt::GNTTABOP_MAP_GRANT_REF,
        32,
        &[
            (0, 8, Address),
            (8, 4, Flags),
            (12, 4, Index),
            (16, 2, Domid),
        ],
    ),
    grant_op(
        gt::GNTTABOP_UNMAP_GRANT_REF,
        24,
        &[(0, 8, Address), (8, 8, Is(0)), (16, 4, Index)],
    ),
    grant_op(
        gt::GNTTABOP_SETUP_TABLE,
        24,
        &[(0, 2, Domid), (4, 4, Count), (16, 8, Pointer)],
    ),
    grant_op(
        gt::GNTTABOP_TRANSFER,
        24,
        &[(0, 8, Gfn), (8, 2, Domid), (12, 4, Index)],
    ),
    grant_op(
        gt::GNTTABOP_COPY,
        40,
        &[
            (0, 8, Gfn),
            (8, 2, Domid),
            (10, 2, Count),
            (16, 8, Gfn),
            (24, 2, Domid),
            (26, 2, Count),
            (32, 2, Count),
            (34, 2, Order),
        ],
    ),
    grant_op(
        gt::GNTTABOP_COPY,
        40,
        &[
            (0, 8, Index),
            (8, 2, Domid),
            (10, 2, Count),
            (16, 8, Gfn),
            (24, 2, Is(abi::DOMID_SELF as u64)),
            (32, 2, Count),
            (34, 2, Is(1)),
        ],
    ),
    grant_op(gt::GNTTABOP_QUERY_SIZE, 16, DOMAIN),
    grant_op(
        gt::GNTTABOP_UNMAP_AND_REPLACE,
        24,
        &[(0, 8, Address), (8, 8, Address), (16, 4, Index)],
    ),
    grant_op(gt::GNTTABOP_SET_VERSION, 4, &[(0, 4, Order)]),
    grant_op(
        gt::GNTTABOP_GET_STATUS_FRAMES,
        16,
        &[(0, 4, Count), (4, 2, Domid), (8, 8, Pointer)],
    ),
    grant_op(gt::GNTTABOP_GET_VERSION, 8, DOMAIN),
    grant_op(gt::GNTTABOP_SWAP_GRANT_REF, 12, PORT),
    grant_op(
        gt::GNTTABOP_CACHE_FLUSH,
        16,
        &[
            (0, 8, Address),
            (8, 2, Count),
            (10, 2, Count),
            (12, 4, Flags),
        ],
    ),
    vcpu_op(
        vcpu::VCPUOP_INITIALISE,
        64,
        &[(0, 8, Flags), (8, 8, Pointer)],
    ),
    vcpu_op(vcpu::VCPUOP_UP, 8, PORT),
    vcpu_op(vcpu::VCPUOP_IS_UP, 8, PORT),
    vcpu_op(vcpu::VCPUOP_GET_RUNSTATE_INFO, 48, PORT),
    vcpu_op(
        vcpu::VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA,
        8,
        &[(0, 8, Address)],
    ),
    vcpu_op(vcpu::VCPUOP_SET_PERIODIC_TIMER, 8, &[(0, 8, Time)]),
    vcpu_op(vcpu::VCPUOP_STOP_PERIODIC_TIMER, 8, PORT),
    vcpu_op(
        vcpu::VCPUOP_SET_SINGLESHOT_TIMER,
        16,
        &[(0, 8, Time), (8, 4, Order)],
    ),
    vcpu_op(vcpu::VCPUOP_STOP_SINGLESHOT_TIMER, 8, PORT),
    vcpu_op(
        vcpu::VCPUOP_REGISTER_VCPU_INFO,
        16,
        &[(0, 8, Gfn), (8, 4, Count)],
    ),
    vcpu_op(vcpu::VCPUOP_SEND_NMI, 8, PORT),
    vcpu_op(vcpu::VCPUOP_GET_PHYSID, 8, PORT),
    vcpu_op(
        vcpu::VCPUOP_REGISTER_VCPU_TIME_MEMORY_AREA,
        8,
        &[(0, 8, Address)],
    ),
    vcpu_op(
        vcpu::VCPUOP_REGISTER_RUNSTATE_PHYS_AREA,
        8,
        &[(0, 8, Address)],
    ),
    vcpu_op(
        vcpu::VCPUOP_REGISTER_VCPU_TIME_PHYS_AREA,
        8,
        &[(0, 8, Address)],
    ),
    hvm(
        hvm_op::HVMOP_SET_PARAM,
        16,
        &[(0, 2, Domid), (4, 4, Index), (8, 8, Gfn)],
    ),
    hvm(
        hvm_op::HVMOP_SET_PARAM,
        16,
        &[
            (0, 2, Is(abi::DOMID_SELF as u64)),
            (4, 4, Is(0)),
            (8, 8, Time),
        ],
    ),
    hvm(hvm_op::HVMOP_GET_PARAM, 16, &[(0, 2, Domid), (4, 4, Index)]),
    hvm(hvm_op::HVMOP_FLUSH_TLBS, 8, PORT),
    hvm(
        hvm_op::HVMOP_PAGETABLE_DYING,
        16,
        &[(0, 2, Domid), (8, 8, Address)],
    ),
    hvm(hvm_op::HVMOP_GET_TIME, 8, PORT),
    hvm(
        hvm_op::HVMOP_GET_MEM_TYPE,
        16,
        &[(0, 2, Domid), (8, 8, Gfn)],
    ),
    hvm(
        hvm_op::HVMOP_SET_EVTCHN_UPCALL_VECTOR,
        8,
        &[(0, 4, Order), (4, 1, Index)],
    ),
    hvm(hvm_op::HVMOP_ALTP2M, 48, CONTROL),
    shape(
        abi::HYPERVISOR_XEN_VERSION,
        version::XENVER_COMMANDLINE,
        Registers::OpPointer,
        8,
        &[],
    ),
    shape(
        abi::HYPERVISOR_XEN_VERSION,
        version::XENVER_CAPABILITIES,
        Registers::OpPointer,
        8,
        &[],
    ),
    shape(
        abi::HYPERVISOR_XEN_VERSION,
        version::XENVER_GET_FEATURES,
        Registers::OpPointer,
        8,
        PORT,
    ),
    shape(
        abi::HYPERVISOR_XEN_VERSION,
        version::XENVER_BUILD_ID,
        Registers::OpPointer,
        8,
        &[(0, 4, Count)],
    ),
    shape(abi::HYPERVISOR_DOMCTL, 0, Registers::Pointer, 128, CONTROL),
    shape(abi::HYPERVISOR_SYSCTL, 0, Registers::Pointer, 128, CONTROL),
    shape(
        abi::HYPERVISOR_PLATFORM_OP,
        0,
        Registers::Pointer,
        128,
        CONTROL,
    ),
];

/// Makes one call; the result tells whether it was accepted.
pub fn make_one(random: &mut Random, me: u64) -> bool {
    match random.below(16) {
        0..=2 => anything(random),
        3 => narrow(random, me),
        4 => several(random),
        5 => scheduling(random),
        6 => stop_the_other(random, me),
        _ => nearly_right(random, me),
    }
}

const fn is_special(number: u32) -> bool {
    matches!(
        number,
        abi::HYPERVISOR_SCHED_OP | abi::HYPERVISOR_VCPU_OP | abi::HYPERVISOR_MULTICALL
    )
}

/// Any number with any arguments.
fn anything(random: &mut Random) -> bool {
    let number = match random.below(8) {
        0 => random.next(),
        _ => random.below(64),
    };
    if is_special(number as u32) {
        return scheduling(random);
    }
    let mut args = [0; 5];
    for arg in &mut args {
        *arg = match random.below(4) {
            0 | 1 => values::pointer(random),
            2 => random.below(40),
            _ => values::any(random),
        };
    }
    if random.once_in(2) {
        args[0] = random.below(40);
    }
    // Nobody may print without end on our own console.
    if number as u32 == abi::HYPERVISOR_CONSOLE_IO {
        args[1] = random.below(64);
    }
    // Longer batches would have their results written over the kernel.
    if number as u32 == abi::HYPERVISOR_GRANT_TABLE_OP {
        args[2] = random.pick(&[0, 1, 2, 64, 129]);
    }
    // Some parameters crash a guest that gives them a bad value; the shape of the call knows which.
    if number as u32 == abi::HYPERVISOR_HVM_OP && args[0] as u32 == hvm_op::HVMOP_SET_PARAM {
        args[0] = hvm_op::HVMOP_GET_PARAM.into();
    }
    call(number, args) >= 0
}

fn fill(random: &mut Random, at: u64, shape: &Shape) {
    for &(offset, size, kind) in shape.fields {
        let value = if random.once_in(12) {
            values::any(random)
        } else {
            values::likely(random, kind)
        };
        let at = at + u64::from(offset);
        match size {
            1 => memory::put(at, value as u8),
            2 => memory::put(at, values::short(value)),
            4 => memory::put(at, value as u32),
            _ => memory::put(at, value),
        }
    }
}

/// A call from 32-bit code. Where the structure has numbers of the caller's width and pointers, they are half as long.
fn narrow(random: &mut Random, me: u64) -> bool {
    let shape = &SHAPES[random.below(SHAPES.len() as u64) as usize];
    if gives_times(shape) || sets_parameter(shape) {
        return scheduling(random);
    }
    let start = values::SHARED.address() + random.below(values::ARGUMENT_PAGES as u64 * 64) * 64;
    let mut shorter = 0;
    for &(offset, size, kind) in shape.fields {
        let value = values::likely(random, kind);
        let at = start + u64::from(offset) - shorter;
        let is_halved = size == 8 && matches!(kind, Pointer | Count | Gfn);
        match size {
            1 => memory::put(at, value as u8),
            2 => memory::put(at, values::short(value)),
            8 if !is_halved => memory::put(at, value),
            _ => memory::put(at, value as u32),
        }
        shorter += if is_halved { 4 } else { 0 };
    }
    let (op, start, count) = (shape.op, start as u32, random.below(4) as u32);
    let args = match shape.registers {
        Registers::OpPointer => [op, start, 0, 0, 0],
        Registers::OpArray => [op, start, count, 0, 0],
        Registers::OpVcpuPointer => [op, random.pick(&[me as u32, 1, 2, 128]), start, 0, 0],
        Registers::Pointer => [start, 0, 0, 0, 0],
    };
    call_narrow(shape.number, args) >= 0
}

fn gives_times(shape: &Shape) -> bool {
    shape.number == abi::HYPERVISOR_VCPU_OP && shape.op == vcpu::VCPUOP_GET_RUNSTATE_INFO
}

fn sets_parameter(shape: &Shape) -> bool {
    shape.number == abi::HYPERVISOR_HVM_OP && shape.op == hvm_op::HVMOP_SET_PARAM
}

fn nearly_right(random: &mut Random, me: u64) -> bool {
    let shape = &SHAPES[random.below(SHAPES.len() as u64) as usize];
    let page = values::SHARED.address() + random.below(values::ARGUMENT_PAGES as u64) * 4096;
    let at = page + random.below(32) * 64;
    let count = random.pick(&[1, 1, 1, 2, 3, 8]);
    for index in 0..count {
        fill(random, at + index * u64::from(shape.size), shape);
    }
    let op = u64::from(shape.op);
    // Times among the arguments would be pointers to anything.
    let at = if gives_times(shape) {
        values::victims() << 12
    } else if sets_parameter(shape) {
        let at = PRIVATE.address() + 1536;
        fill(random, at, shape);
        // Any but those of the virtual 8086 TSS, by which a guest crashes itself.
        let index = random.pick(&[
            0,
            0,
            1,
            2,
            5,
            6,
            9,
            10,
            12,
            13,
            17,
            18,
            31,
            34,
            36,
            38,
            39,
            1 << 31,
        ]);
        memory::put(at + 4, index as u32);
        at
    } else {
        at
    };
    let args = match shape.registers {
        Registers::OpPointer => [op, at, 0, 0, 0],
        Registers::OpArray => [op, at, random.pick(&[count, count, count, 0, 100]), 0, 0],
        Registers::OpVcpuPointer => [op, random.pick(&[me, 1 - me, 0, 1, 2, 127, 128]), at, 0, 0],
        Registers::Pointer => [at, 0, 0, 0, 0],
    };
    if matches!(shape.registers, Registers::Pointer) {
        memory::put(at, random.below(90) as u32);
        let versions: [u32; 3] = [0x17, 0x15, 0x0300_0000];
        memory::put(at + 4, random.pick(&versions));
    }
    call(shape.number.into(), args) >= 0
}

/// A multicall, whose entries nobody else changes.
fn several(random: &mut Random) -> bool {
    const NUMBERS: [u32; 9] = [
        abi::HYPERVISOR_XEN_VERSION,
        abi::HYPERVISOR_EVENT_CHANNEL_OP,
        abi::HYPERVISOR_MEMORY_OP,
        abi::HYPERVISOR_GRANT_TABLE_OP,
        abi::HYPERVISOR_HVM_OP,
        abi::HYPERVISOR_PHYSDEV_OP,
        abi::HYPERVISOR_MULTICALL,
        abi::HYPERVISOR_DOMCTL,
        63,
    ];
    let count = 1 + random.below(16);
    for index in 0..count {
        let at = PRIVATE.address() + index * 64;
        memory::set(at, random.pick(&NUMBERS).into());
        memory::set(at + 16, 1 + random.below(32));
        for word in 3..8 {
            memory::set(at + word * 8, values::pointer(random));
        }
        // The number of elements, where there is one.
        memory::set(at + 32, random.below(64));
    }
    let count = random.pick(&[count, count, count, 0, 1 << 33]);
    call(
        abi::HYPERVISOR_MULTICALL.into(),
        [PRIVATE.address(), count & 31, 0, 0, 0],
    ) >= 0
}

/// Scheduling calls that come back.
fn scheduling(random: &mut Random) -> bool {
    use xen_abi::sched;
    let at = PRIVATE.address() + 2048;
    let number = abi::HYPERVISOR_SCHED_OP.into();
    let op = match random.below(4) {
        0 => sched::SCHEDOP_YIELD.into(),
        1 => {
            // A time that is over, so that nothing waits.
            memory::set(at, values::pointer(random));
            memory::set(at + 8, random.pick(&[0, 1, 2, 128, 129, 1 << 31]));
            memory::set(at + 16, 1);
            sched::SCHEDOP_POLL.into()
        }
        2 => {
            memory::set(at, random.pick(&[0, 1, 0x7ff0, 0xffff]) | 1 << 32);
            sched::SCHEDOP_REMOTE_SHUTDOWN.into()
        }
        _ => 8 + values::any(random) % 0xffff_fff0,
    };
    call(number, [op, at, 0, 0, 0]) >= 0
}

/// The first vCPU stops the second for a moment.
fn stop_the_other(random: &mut Random, me: u64) -> bool {
    if me != 0 || !random.once_in(16) {
        return scheduling(random);
    }
    let number = abi::HYPERVISOR_VCPU_OP.into();
    let _ = call(number, [vcpu::VCPUOP_DOWN.into(), 1, 0, 0, 0]);
    for _ in 0..random.below(4) {
        let _ = nearly_right(random, me);
    }
    call(number, [vcpu::VCPUOP_UP.into(), 1, 0, 0, 0]) >= 0
}
