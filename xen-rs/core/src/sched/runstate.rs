//! How long a vCPU has run, waited, slept and been offline: the arithmetic behind `vcpu_runstate_info`.
//!
//! Semantics: public `vcpu.h`, `VCPUOP_get_runstate_info`. Pure; the scheduling unit owns one and changes it under its lock.

/// `RUNSTATE_*` of public `vcpu.h`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RunstateKind {
    /// On a physical CPU.
    Running = 0,
    /// Ready, but on no physical CPU: other vCPUs' time ("stolen").
    Runnable = 1,
    /// Waiting for an event.
    Blocked = 2,
    /// Not up, or paused.
    Offline = 3,
}

/// What a guest is shown; the layout on the wire belongs to the ABI crate.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RunstateSnapshot {
    /// Present state.
    pub state: RunstateKind,
    /// System time in ns at which it was entered.
    pub state_entry_time: u64,
    /// Nanoseconds spent in each state, by [`RunstateKind`] value; the present state counts up to the moment of the snapshot.
    pub time: [u64; 4],
}

/// Account of one vCPU.
#[derive(Copy, Clone, Debug)]
pub struct Runstate {
    state: RunstateKind,
    entry_ns: u64,
    time: [u64; 4],
}

impl Runstate {
    /// A vCPU that comes into being offline at `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self {
            state: RunstateKind::Offline,
            entry_ns: now_ns,
            time: [0; 4],
        }
    }

    /// Present state.
    #[must_use]
    pub fn state(&self) -> RunstateKind {
        self.state
    }

    /// Enters `new`. The same state again changes nothing; time that seems to run backwards is counted as none, and the entry time stays,
    /// so that the four times always sum up to the entry time less the time of creation.
    pub fn change(&mut self, new: RunstateKind, now_ns: u64) {
        if self.state == new {
            return;
        }
        if now_ns > self.entry_ns {
            self.add_to_present(now_ns - self.entry_ns);
            self.entry_ns = now_ns;
        }
        self.state = new;
    }

    /// The account up to `now_ns`.
    #[must_use]
    pub fn snapshot(&self, now_ns: u64) -> RunstateSnapshot {
        let mut counted = *self;
        counted.add_to_present(now_ns.saturating_sub(self.entry_ns));
        RunstateSnapshot {
            state: self.state,
            state_entry_time: self.entry_ns,
            time: counted.time,
        }
    }

    /// Nanoseconds spent running up to `now_ns`: what `cpu_time` reports.
    #[must_use]
    pub fn running_ns(&self, now_ns: u64) -> u64 {
        self.snapshot(now_ns).time[RunstateKind::Running as usize]
    }

    fn add_to_present(&mut self, delta_ns: u64) {
        let time = &mut self.time[self.state as usize];
        *time = time.wrapping_add(delta_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::RunstateKind::*;
    use super::*;

    #[test]
    fn each_state_gets_the_time_spent_in_it() {
        let mut account = Runstate::new(100);
        account.change(Runnable, 150);
        account.change(Running, 160);
        account.change(Blocked, 200);
        let seen = account.snapshot(205);
        assert_eq!(seen.time, [40, 10, 5, 50]);
        assert_eq!((seen.state, seen.state_entry_time), (Blocked, 200));
        assert_eq!(seen.time.iter().sum::<u64>(), 205 - 100);
    }

    #[test]
    fn same_state_again_keeps_the_entry_time() {
        let mut account = Runstate::new(0);
        account.change(Running, 10);
        account.change(Running, 20);
        assert_eq!(account.snapshot(20).state_entry_time, 10);
        assert_eq!(account.running_ns(25), 15);
    }

    #[test]
    fn clock_running_backwards_counts_nothing() {
        let mut account = Runstate::new(100);
        account.change(Running, 90);
        assert_eq!(
            account.snapshot(95),
            RunstateSnapshot {
                state: Running,
                state_entry_time: 100,
                time: [0; 4]
            }
        );
        account.change(Blocked, 110);
        assert_eq!(account.running_ns(500), 10);
    }
}
