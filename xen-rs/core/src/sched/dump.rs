//! The run queues as text: debug key `r`.

use core::fmt::{Result, Write};

use crate::ids::CpuId;
use crate::sched::mask::CpuMask;
use crate::sched::queue::{Entry, Occupant, RunQueue};
use crate::sched::scheduler::Scheduler;
use crate::sched::unit::{Schedulable, Unit};

impl<V: Schedulable> Scheduler<V> {
    /// Writes pools, queues and vCPUs. Queues that are locked at that moment are only named, so that a debug key cannot hang.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn dump(&self, out: &mut impl Write, now_ns: u64) -> Result {
        let registry = self.registry.lock();
        writeln!(out, "NOW={now_ns} ratelimit {}us", self.ratelimit_us())?;
        writeln!(
            out,
            "Online CPUs: {}  free: {}",
            registry.pools.online(),
            registry.pools.free_cpus()
        )?;
        for pool in registry.pools.iter() {
            writeln!(
                out,
                "{}: {:?}, CPUs {}, {} domains",
                pool.id, pool.policy, pool.cpus, pool.domains
            )?;
        }
        for cpu in registry.pools.online().iter() {
            match self.try_with_queue(cpu, |queue| dump_queue(out, cpu, queue, now_ns)) {
                Some(written) => written?,
                None => writeln!(out, "CPU{}: locked", cpu.0)?,
            }
        }
        registry
            .units
            .iter()
            .try_for_each(|vcpu| dump_unit(out, vcpu.unit(), now_ns))
    }
}

fn dump_queue<V: Schedulable>(
    out: &mut impl Write,
    cpu: CpuId,
    queue: &RunQueue<V>,
    now_ns: u64,
) -> Result {
    write!(
        out,
        "CPU{}: floor {}, {} parked, idle {} ns, ",
        cpu.0,
        queue.floor().0,
        queue.parked(),
        queue.idle_ns(now_ns)
    )?;
    match queue.occupant() {
        Occupant::Idle(_) => writeln!(out, "idle")?,
        Occupant::Deciding => writeln!(out, "deciding")?,
        Occupant::Running(run) if run.slice_end_ns == u64::MAX => {
            writeln!(out, "running without limit")?
        }
        Occupant::Running(run) => writeln!(out, "running until {}", run.slice_end_ns)?,
    }
    for Entry {
        vcpu,
        vtime,
        weight,
        ..
    } in queue.iter()
    {
        writeln!(
            out,
            "    {}v{} vtime {} weight {weight}",
            vcpu.unit().share().domid(),
            vcpu.unit().vcpu().0,
            vtime.0
        )?;
    }
    Ok(())
}

fn dump_unit(out: &mut impl Write, unit: &Unit, now_ns: u64) -> Result {
    let share = unit.share();
    let inner = unit.lock();
    let affinity = |mask: &CpuMask| {
        if *mask == CpuMask::ALL {
            None
        } else {
            Some(*mask)
        }
    };
    write!(
        out,
        "{}v{}: {:?} CPU{}",
        share.domid(),
        unit.vcpu().0,
        inner.state,
        inner.last_cpu.0
    )?;
    write!(
        out,
        " weight {} cap {} vtime {}",
        share.weight(),
        share.cap(),
        inner.vtime.0
    )?;
    write!(
        out,
        " ran {} ns, allowed {}",
        inner.runstate.running_ns(now_ns),
        inner.allowed
    )?;
    for (name, mask) in [
        ("hard", affinity(&inner.hard)),
        ("soft", affinity(&inner.soft)),
    ] {
        if let Some(mask) = mask {
            write!(out, ", {name} {mask}")?;
        }
    }
    writeln!(out)
}
