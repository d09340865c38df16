//! All hypercalls, in order of their numbers (xen/include/public/xen.h).

use xen_abi::xen as abi;

use super::{
    FramedRow, Hypercall, Kind, Row, console_io, domctl, event_channel_op, grant_table_op, hvm_op,
    memory_op, multicall, physdev_op, platform_op, sched_op, set_timer_op, sysctl, vcpu_op,
    vm_assist, xen_version,
};

/// The hypercalls that exist.
pub static HYPERCALLS: &[Hypercall] = &[
    framed(
        abi::HYPERVISOR_PLATFORM_OP,
        "platform_op",
        platform_op::ROW,
        platform_op::ROWS,
    ),
    sub_op(
        abi::HYPERVISOR_MEMORY_OP,
        "memory_op",
        memory_op::MASK,
        memory_op::ROWS,
    ),
    single(abi::HYPERVISOR_MULTICALL, multicall::ROW),
    single(abi::HYPERVISOR_SET_TIMER_OP, set_timer_op::ROW),
    sub_op(
        abi::HYPERVISOR_XEN_VERSION,
        "xen_version",
        u32::MAX,
        xen_version::ROWS,
    ),
    sub_op(
        abi::HYPERVISOR_CONSOLE_IO,
        "console_io",
        u32::MAX,
        console_io::ROWS,
    ),
    sub_op(
        abi::HYPERVISOR_GRANT_TABLE_OP,
        "grant_table_op",
        grant_table_op::MASK,
        grant_table_op::ROWS,
    ),
    single(abi::HYPERVISOR_VM_ASSIST, vm_assist::ROW),
    sub_op(abi::HYPERVISOR_VCPU_OP, "vcpu_op", u32::MAX, vcpu_op::ROWS),
    sub_op(
        abi::HYPERVISOR_SCHED_OP,
        "sched_op",
        u32::MAX,
        sched_op::ROWS,
    ),
    sub_op(
        abi::HYPERVISOR_EVENT_CHANNEL_OP,
        "event_channel_op",
        u32::MAX,
        event_channel_op::ROWS,
    ),
    sub_op(
        abi::HYPERVISOR_PHYSDEV_OP,
        "physdev_op",
        physdev_op::MASK,
        physdev_op::ROWS,
    ),
    sub_op(abi::HYPERVISOR_HVM_OP, "hvm_op", u32::MAX, hvm_op::ROWS),
    framed(abi::HYPERVISOR_SYSCTL, "sysctl", sysctl::ROW, &sysctl::ROWS),
    framed(abi::HYPERVISOR_DOMCTL, "domctl", domctl::ROW, &domctl::ROWS),
];

const fn single(number: u32, row: Row) -> Hypercall {
    Hypercall {
        number,
        name: row.name,
        kind: Kind::Single(row),
    }
}

const fn sub_op(number: u32, name: &'static str, mask: u32, rows: &'static [Row]) -> Hypercall {
    Hypercall {
        number,
        name,
        kind: Kind::SubOp { mask, rows },
    }
}

const fn framed(
    number: u32,
    name: &'static str,
    row: Row,
    rows: &'static [&'static dyn FramedRow],
) -> Hypercall {
    Hypercall {
        number,
        name,
        kind: Kind::Framed(row, rows),
    }
}

/// Numbers are below this.
const NUMBERS: usize = 64;
/// By number: the place in [`HYPERCALLS`] plus one, or 0.
static PLACES: [u8; NUMBERS] = places();

const fn places() -> [u8; NUMBERS] {
    let mut places = [0; NUMBERS];
    let mut at = 0;
    while at < HYPERCALLS.len() {
        places[HYPERCALLS[at].number as usize] = at as u8 + 1;
        at += 1;
    }
    places
}

/// The hypercall with this number.
#[must_use]
pub fn hypercall(number: u32) -> Option<&'static Hypercall> {
    let place = *PLACES.get(number as usize)?;
    HYPERCALLS.get(usize::from(place).checked_sub(1)?)
}
