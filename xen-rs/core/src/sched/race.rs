//! Races made certain: tests run something at the moments when `schedule` holds no lock and another CPU could interfere.

use std::boxed::Box;
use std::cell::RefCell;

/// Where `schedule` is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// An entry was taken from a queue, and its vCPU is not started yet.
    Chosen,
    /// The previous vCPU is released, and the queue does not know the outcome yet.
    Settling,
}

type Interference = Box<dyn FnMut(Moment)>;

std::thread_local!(static INTERFERENCE: RefCell<Option<Interference>> = const { RefCell::new(None) });

/// Runs `interference` at every moment on this thread from now on.
pub(super) fn always(interference: impl FnMut(Moment) + 'static) {
    INTERFERENCE.set(Some(Box::new(interference)));
}

/// Runs `interference` once, at the next such moment on this thread.
fn once(moment: Moment, interference: impl FnOnce() + 'static) {
    let mut interference = Some(interference);
    always(move |now| {
        if now == moment
            && let Some(interference) = interference.take()
        {
            interference();
        }
    });
}

/// Called by `schedule`.
pub(super) fn point(moment: Moment) {
    let taken = INTERFERENCE.take();
    if let Some(mut interference) = taken {
        interference(moment);
        INTERFERENCE.set(Some(interference));
    }
}

mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering::SeqCst;
    use std::vec::Vec;

    use super::*;
    use crate::ids::{CpuId, Domid};
    use crate::sched::simulation::FakeVcpu;
    use crate::sched::*;

    const CPU0: CpuId = CpuId(0);
    const CPU1: CpuId = CpuId(1);

    struct Bench {
        sched: Arc<Scheduler<FakeVcpu>>,
        vcpus: Vec<Arc<FakeVcpu>>,
    }

    impl Bench {
        /// Two CPUs, and vCPUs that sleep.
        fn new(vcpus: usize) -> Self {
            let sched = Arc::new(Scheduler::new(CpuMask::first(2), Policy::Credit2));
            let share = Arc::new(DomainShare::new(Domid(1)));
            sched.add_domain(&share, PoolId::ZERO).unwrap();
            let vcpus: Vec<_> = (0..vcpus)
                .map(|index| FakeVcpu::new(index, &share))
                .collect();
            for vcpu in &vcpus {
                vcpu.awake.store(false, SeqCst);
                assert_eq!(sched.insert(vcpu, 0), Ok(None));
            }
            Self { sched, vcpus }
        }

        fn wake_on(&self, vcpu: usize, cpu: CpuId) {
            let vcpu = &self.vcpus[vcpu];
            self.sched
                .set_hard_affinity(vcpu, CpuMask::only(cpu), 0)
                .unwrap();
            vcpu.awake.store(true, SeqCst);
            self.sched.wake(vcpu, 0);
        }

        fn schedule(&self, cpu: CpuId) -> Option<usize> {
            self.sched
                .schedule(cpu, 0, None)
                .next
                .map(|vcpu| vcpu.index)
        }

        /// Lets the given thing happen to the first vCPU while a CPU has its entry in hand.
        fn interfere(
            &self,
            moment: Moment,
            what: impl FnOnce(&Scheduler<FakeVcpu>, &Arc<FakeVcpu>) + 'static,
        ) {
            let (sched, vcpu) = (Arc::clone(&self.sched), Arc::clone(&self.vcpus[0]));
            once(moment, move || what(&sched, &vcpu));
        }
    }

    #[test]
    fn vcpu_queued_elsewhere_while_in_hand_is_started_once() {
        let bench = Bench::new(1);
        bench.wake_on(0, CPU0);
        bench.interfere(Moment::Chosen, |sched, vcpu| {
            vcpu.awake.store(false, SeqCst);
            sched.sleep(vcpu, 0);
            vcpu.awake.store(true, SeqCst);
            sched.set_hard_affinity(vcpu, CpuMask::ALL, 0).unwrap();
            assert_eq!(sched.wake(vcpu, 0), Some(CPU1));
            assert_eq!(
                sched.schedule(CPU1, 0, None).next.map(|vcpu| vcpu.index),
                Some(0)
            );
        });
        assert_eq!(bench.schedule(CPU0), None);
        assert_eq!(bench.vcpus[0].unit.running_on(), Some(CPU1));
    }

    #[test]
    fn void_entry_does_not_start_a_vcpu_that_waits_again() {
        let bench = Bench::new(1);
        bench.wake_on(0, CPU0);
        bench.interfere(Moment::Chosen, |sched, vcpu| {
            let kick = sched.set_hard_affinity(vcpu, CpuMask::only(CPU1), 0);
            assert_eq!(kick, Ok(CpuMask::only(CPU1)));
            sched.set_hard_affinity(vcpu, CpuMask::ALL, 0).unwrap();
        });
        // The entry in hand is void; then CPU 0 takes the valid one from CPU 1.
        assert_eq!(bench.schedule(CPU0), Some(0));
        assert!(
            bench.sched.crowded.load().is_empty(),
            "an entry is left over"
        );
        assert_eq!(bench.schedule(CPU1), None);
    }

    #[test]
    fn removed_vcpu_is_not_started() {
        let bench = Bench::new(1);
        bench.wake_on(0, CPU0);
        bench.interfere(Moment::Chosen, |sched, vcpu| {
            sched.remove(vcpu, 0).unwrap();
        });
        assert_eq!(bench.schedule(CPU0), None);
        assert_eq!(bench.vcpus[0].unit.running_on(), None);
    }

    #[test]
    fn paused_vcpu_is_not_started_and_wakes_again() {
        let bench = Bench::new(1);
        bench.wake_on(0, CPU0);
        bench.interfere(Moment::Chosen, |_, vcpu| vcpu.awake.store(false, SeqCst));
        assert_eq!(bench.schedule(CPU0), None);
        bench.vcpus[0].awake.store(true, SeqCst);
        assert_eq!(bench.sched.wake(&bench.vcpus[0], 0), Some(CPU0));
        assert_eq!(bench.schedule(CPU0), Some(0));
    }

    #[test]
    fn thief_respects_an_affinity_set_meanwhile() {
        let bench = Bench::new(2);
        bench.wake_on(1, CPU0);
        assert_eq!(bench.schedule(CPU0), Some(1));
        bench.wake_on(0, CPU0);
        bench
            .sched
            .set_hard_affinity(&bench.vcpus[0], CpuMask::ALL, 0)
            .unwrap();
        bench.interfere(Moment::Chosen, |sched, vcpu| {
            sched
                .set_hard_affinity(vcpu, CpuMask::only(CPU0), 0)
                .unwrap();
        });
        let decision = bench.sched.schedule(CPU1, 0, None);
        assert_eq!(
            (decision.next.map(|vcpu| vcpu.index), decision.kick),
            (None, CpuMask::only(CPU0))
        );
        let running = Arc::clone(&bench.vcpus[1]);
        running.awake.store(false, SeqCst);
        let next = bench.sched.schedule(CPU0, 0, Some(running)).next;
        assert_eq!(next.map(|vcpu| vcpu.index), Some(0));
    }

    #[test]
    fn cpu_about_to_idle_sees_a_vcpu_queued_meanwhile() {
        let bench = Bench::new(1);
        bench
            .sched
            .set_hard_affinity(&bench.vcpus[0], CpuMask::only(CPU0), 0)
            .unwrap();
        bench.interfere(Moment::Settling, |sched, vcpu| {
            vcpu.awake.store(true, SeqCst);
            assert_eq!(
                sched.wake(vcpu, 0),
                None,
                "the CPU looks once more by itself"
            );
        });
        assert_eq!(bench.schedule(CPU0), Some(0));
    }

    #[test]
    fn previous_woken_while_it_is_given_up_runs_on() {
        let bench = Bench::new(1);
        bench.wake_on(0, CPU0);
        assert_eq!(bench.schedule(CPU0), Some(0));
        let vcpu = Arc::clone(&bench.vcpus[0]);
        vcpu.awake.store(false, SeqCst);
        bench.interfere(Moment::Settling, |sched, vcpu| {
            vcpu.awake.store(true, SeqCst);
            assert_eq!(sched.wake(vcpu, 0), None);
        });
        let next = bench.sched.schedule(CPU0, 0, Some(vcpu)).next;
        assert_eq!(next.map(|vcpu| vcpu.index), Some(0));
    }
}
