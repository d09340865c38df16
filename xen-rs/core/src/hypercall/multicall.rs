//! `HYPERVISOR_multicall`: several hypercalls in one, each with its result in its entry.
//!
//! An entry that must be continued has its new arguments written back to the list, and the whole call is continued there. A multicall in a
//! multicall is refused.

use xen_abi::compat;
use xen_abi::errno::Errno;
use xen_abi::xen::{HYPERVISOR_MULTICALL, MulticallEntry};

use super::call::element;
use super::{Call, Needs, Outcome, Row, Width, dispatch};
use crate::ids::GuestAddr;

/// The hypercall.
pub const ROW: Row = Row {
    op: 0,
    name: "multicall",
    needs: Needs::Nothing,
    run,
};

/// Entries between two looks at the outside world, if nothing else calls for one.
const ENTRIES: u64 = 16;

/// Runs the list.
///
/// # Errors
/// `EFAULT` for the list itself; what the entries return is in the entries.
pub fn run(call: &mut Call<'_>) -> Result<Outcome, Errno> {
    let list = call.pointer(0);
    let count = call.pointer(1).0;
    for index in 0..count {
        let at = element(list, index, entry_size(call.width))?;
        let left = count - index;
        if index > 0 && (index == ENTRIES || is_wanted_elsewhere(call)) {
            return Ok(go_on_at(at, left));
        }
        let mut entry = fetch(call, at)?;
        match run_entry(call, &mut entry) {
            Outcome::Continue(_) => {
                store(call, at, &entry)?;
                return Ok(go_on_at(at, left));
            }
            outcome => {
                store(call, at, &entry)?;
                if outcome == Outcome::Reschedule {
                    return after_reschedule(call, list, index + 1, left - 1);
                }
            }
        }
    }
    Ok(Outcome::OK)
}

fn go_on_at(at: GuestAddr, left: u64) -> Outcome {
    Outcome::Continue([at.0, left, 0, 0, 0])
}

/// The vCPU gives way now, and the rest of the list comes when it runs again.
fn after_reschedule(
    call: &Call<'_>,
    list: GuestAddr,
    next: u64,
    left: u64,
) -> Result<Outcome, Errno> {
    if left == 0 {
        return Ok(Outcome::Reschedule);
    }
    Ok(go_on_at(element(list, next, entry_size(call.width))?, left))
}

fn is_wanted_elsewhere(call: &Call<'_>) -> bool {
    let cpu = call.hv.machine.this_cpu();
    call.hv.scheduler.reschedule_wanted(cpu) || call.hv.next_timer_ns() <= call.hv.now_ns()
}

const fn entry_size(width: Width) -> usize {
    match width {
        Width::Bits64 => size_of::<MulticallEntry>(),
        Width::Bits32 => size_of::<compat::xen::MulticallEntry>(),
    }
}

fn fetch(call: &mut Call<'_>, at: GuestAddr) -> Result<MulticallEntry, Errno> {
    match call.width {
        Width::Bits64 => call.fetch(at),
        Width::Bits32 => {
            let short: compat::xen::MulticallEntry = call.fetch(at)?;
            Ok(MulticallEntry {
                op: short.op.into(),
                result: short.result.into(),
                args: short.args.map(u64::from),
            })
        }
    }
}

fn store(call: &mut Call<'_>, at: GuestAddr, entry: &MulticallEntry) -> Result<(), Errno> {
    match call.width {
        Width::Bits64 => call.store(at, entry),
        Width::Bits32 => {
            let op = entry.op as u32;
            let short = compat::xen::MulticallEntry {
                op,
                result: entry.result as u32,
                args: entry.args.map(|arg| arg as u32),
            };
            call.store(at, &short)
        }
    }
}

/// Runs one entry and leaves in it the result, or the arguments to go on with.
fn run_entry(call: &mut Call<'_>, entry: &mut MulticallEntry) -> Outcome {
    let result = match u32::try_from(entry.op) {
        Ok(HYPERVISOR_MULTICALL) => Err(Errno::EINVAL),
        Ok(number) => {
            let [a, b, c, d, e, _] = entry.args;
            let mut inner = Call {
                hv: call.hv,
                domain: call.domain,
                vcpu: call.vcpu,
                width: call.width,
                args: [a, b, c, d, e],
                guest: &mut *call.guest,
            };
            dispatch(&mut inner, number)
        }
        Err(_) => Err(Errno::ENOSYS),
    };
    match result {
        Ok(Outcome::Continue(args)) => entry.args[..5].copy_from_slice(&args),
        Ok(Outcome::Done(value)) => entry.result = value as u64,
        Ok(Outcome::Reschedule) => entry.result = 0,
        Err(errno) => entry.result = errno.to_rc() as u64,
    }
    result.unwrap_or(Outcome::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::fake_hv::Fake;
    use alloc::sync::Arc;
    use xen_abi::event_channel::{EVTCHNOP_RESET, EvtchnReset};
    use xen_abi::xen::{HYPERVISOR_EVENT_CHANNEL_OP, HYPERVISOR_SCHED_OP, HYPERVISOR_XEN_VERSION};

    /// A guest on whose CPU nobody waits.
    fn running_guest() -> (Fake, Arc<Domain>) {
        let fake = Fake::new();
        let guest = fake.domain(1);
        fake.run(&guest, 0);
        (fake, guest)
    }

    fn entry(op: u32, args: [u64; 2]) -> MulticallEntry {
        MulticallEntry {
            op: op.into(),
            result: 77,
            args: [args[0], args[1], 0, 0, 0, 0],
        }
    }

    fn multicall(
        fake: &Fake,
        guest: &Arc<Domain>,
        entries: &[MulticallEntry],
    ) -> Result<Outcome, Errno> {
        fake.put(guest, 4096, entries);
        fake.call(guest, HYPERVISOR_MULTICALL, &[4096, entries.len() as u64])
    }

    fn result(fake: &Fake, guest: &Domain, index: u64) -> i64 {
        fake.get::<MulticallEntry>(guest, 4096 + index * 64).result as i64
    }

    #[test]
    fn every_entry_gets_its_own_result() {
        let (fake, guest) = running_guest();
        let entries = [
            entry(HYPERVISOR_XEN_VERSION, [0, 0]),
            entry(HYPERVISOR_XEN_VERSION, [7, 1]),
            entry(HYPERVISOR_MULTICALL, [4096, 1]),
            MulticallEntry {
                op: 1 << 32 | 17,
                ..entry(0, [0, 0])
            },
        ];
        assert_eq!(multicall(&fake, &guest, &entries), Ok(Outcome::OK));
        let results = [0, 1, 2, 3].map(|index| result(&fake, &guest, index));
        assert_eq!(results, [0x4_0014, -22, -22, -38]);
    }

    #[test]
    fn short_entries_have_32_bytes() {
        let (fake, guest) = running_guest();
        let short = |op, arg| compat::xen::MulticallEntry {
            op,
            result: 0,
            args: [arg, 0, 0, 0, 0, 0],
        };
        fake.put(&guest, 0, &[short(HYPERVISOR_XEN_VERSION, 0), short(99, 0)]);
        let done = fake.call_by(&guest, 0, Width::Bits32, HYPERVISOR_MULTICALL, &[0, 2]);
        assert_eq!(done, Ok(Outcome::OK));
        assert_eq!(
            fake.get::<compat::xen::MulticallEntry>(&guest, 0).result,
            0x4_0014
        );
        assert_eq!(
            fake.get::<compat::xen::MulticallEntry>(&guest, 32).result,
            (-38i32) as u32
        );
    }

    #[test]
    fn long_list_goes_on_where_it_stopped() {
        let (fake, guest) = running_guest();
        let entries = [entry(HYPERVISOR_XEN_VERSION, [7, 0]); 20];
        assert_eq!(
            multicall(&fake, &guest, &entries),
            Ok(Outcome::Continue([4096 + 16 * 64, 4, 0, 0, 0]))
        );
        assert_eq!(
            (result(&fake, &guest, 15), result(&fake, &guest, 16)),
            (4096, 77)
        );
        assert_eq!(
            fake.call_to_end(&guest, HYPERVISOR_MULTICALL, &[4096, 20]),
            Ok(Outcome::OK)
        );
        assert_eq!(result(&fake, &guest, 19), 4096);
    }

    #[test]
    fn entry_that_is_not_finished_keeps_its_progress_in_the_list() {
        let (fake, guest) = running_guest();
        fake.put(&guest, 0, &EvtchnReset { dom: 0x7ff0 });
        for _ in 0..1023 {
            guest
                .events
                .lock()
                .alloc_unbound(fake.memory, guest.id)
                .unwrap();
        }
        let entries = [
            entry(HYPERVISOR_EVENT_CHANNEL_OP, [EVTCHNOP_RESET.into(), 0]),
            entry(HYPERVISOR_XEN_VERSION, [0, 0]),
        ];
        assert_eq!(
            multicall(&fake, &guest, &entries),
            Ok(Outcome::Continue([4096, 2, 0, 0, 0]))
        );
        assert_eq!(fake.get::<MulticallEntry>(&guest, 4096).args[0], 14);
        assert_eq!(
            fake.call_to_end(&guest, HYPERVISOR_MULTICALL, &[4096, 2]),
            Ok(Outcome::OK)
        );
        assert_eq!(
            (result(&fake, &guest, 0), result(&fake, &guest, 1)),
            (0, 0x4_0014)
        );
    }

    #[test]
    fn vcpu_that_blocks_in_a_list_goes_on_with_the_next_entry() {
        let (fake, guest) = running_guest();
        let block = entry(HYPERVISOR_SCHED_OP, [1, 0]);
        assert_eq!(
            multicall(&fake, &guest, &[block, block]),
            Ok(Outcome::Continue([4096 + 64, 1, 0, 0, 0]))
        );
        assert!(guest.vcpus()[0].is_blocked());
        assert_eq!(multicall(&fake, &guest, &[block]), Ok(Outcome::Reschedule));
        assert_eq!(result(&fake, &guest, 0), 0);
    }

    #[test]
    fn unreadable_list_is_efault() {
        let (fake, guest) = running_guest();
        for at in [1 << 40, u64::MAX - 63] {
            assert_eq!(
                fake.call(&guest, HYPERVISOR_MULTICALL, &[at, 1]),
                Err(Errno::EFAULT)
            );
        }
        assert_eq!(
            fake.call(&guest, HYPERVISOR_MULTICALL, &[u64::MAX, 0]),
            Ok(Outcome::OK)
        );
    }
}
