//! Tests of fairness, caps, latency, placement and pools under the simulated clock.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::vec::Vec;

use crate::ids::CpuId;
use crate::sched::simulation::{MS, SECOND, Sim, Work};
use crate::sched::*;

#[track_caller]
fn assert_near(measured: u64, expected: u64, percent: u64) {
    let off = measured.abs_diff(expected);
    assert!(
        off * 100 <= expected * percent,
        "{measured} is not within {percent}% of {expected}"
    );
}

#[test]
fn lone_vcpu_needs_no_timer() {
    let mut sim = Sim::new(1);
    sim.add_weighted(256);
    let ran = sim.run(SECOND);
    assert_eq!(ran, [SECOND]);
    assert_eq!((sim.cpus[0].timer_ns, sim.cpus[0].switches), (u64::MAX, 1));
}

#[test]
fn cpu_time_follows_weight_on_one_cpu() {
    let mut sim = Sim::new(1);
    let weights = [64u16, 256, 512, 1024];
    for weight in weights {
        sim.add_weighted(weight);
    }
    sim.run(SECOND);
    let ran = sim.run(20 * SECOND);
    for (ran, weight) in ran.iter().zip(weights) {
        assert_near(*ran, 20 * SECOND * u64::from(weight) / 1856, 2);
    }
}

#[test]
fn extreme_weights_starve_nobody() {
    let mut sim = Sim::new(1);
    sim.add_weighted(1);
    sim.add_weighted(65_535);
    let ran = sim.run(600 * SECOND);
    assert!(ran[0] > 0, "the light one never ran");
    assert_near(ran[1], 600 * SECOND, 2);
    let mut latest = ran[0];
    for _ in 0..3 {
        sim.run(600 * SECOND);
        assert!(sim.ran(0) > latest);
        latest = sim.ran(0);
    }
}

#[test]
fn three_equal_vcpus_share_two_cpus_evenly() {
    let mut sim = Sim::new(2);
    for _ in 0..3 {
        sim.add_weighted(256);
    }
    sim.run(SECOND);
    for ran in sim.run(10 * SECOND) {
        assert_near(ran, 10 * SECOND * 2 / 3, 2);
    }
}

#[test]
fn many_equal_vcpus_share_few_cpus_evenly() {
    for (cpus, vcpus) in [(2, 5), (3, 7), (4, 9), (4, 32), (8, 11)] {
        let mut sim = Sim::new(cpus);
        for _ in 0..vcpus {
            sim.add_weighted(256);
        }
        sim.run(2 * SECOND);
        let ran = sim.run(20 * SECOND);
        assert_eq!(ran.iter().sum::<u64>(), 20 * SECOND * u64::from(cpus));
        for ran in ran {
            assert_near(ran, 20 * SECOND * u64::from(cpus) / vcpus, 2);
        }
    }
}

#[test]
fn weights_hold_across_cpus() {
    let mut sim = Sim::new(2);
    let weights = [512u16, 512, 256, 256, 256, 128];
    for weight in weights {
        sim.add_weighted(weight);
    }
    sim.run(2 * SECOND);
    let ran = sim.run(20 * SECOND);
    for (ran, weight) in ran.iter().zip(weights) {
        assert_near(*ran, 2 * 20 * SECOND * u64::from(weight) / 1920, 2);
    }
}

#[test]
fn vcpus_pinned_to_one_cpu_leave_the_other_to_the_rest() {
    let mut sim = Sim::new(2);
    for _ in 0..4 {
        sim.add_weighted(256);
    }
    (0..3).for_each(|guest| sim.pin(guest, CpuMask::only(CpuId(1))));
    sim.run(SECOND);
    let ran = sim.run(10 * SECOND);
    assert_eq!(ran[3], 10 * SECOND);
    ran[..3]
        .iter()
        .for_each(|ran| assert_near(*ran, 10 * SECOND / 3, 2));
}

#[test]
fn pinned_history_does_not_starve_newcomers() {
    let mut sim = Sim::new(2);
    for _ in 0..4 {
        sim.add_weighted(256);
    }
    (0..3).for_each(|guest| sim.pin(guest, CpuMask::only(CpuId(1))));
    sim.run(100 * SECOND);
    (0..3).for_each(|guest| sim.pin(guest, CpuMask::ALL));
    sim.run(SECOND);
    let ran = sim.run(10 * SECOND);
    for ran in ran {
        assert_near(ran, 5 * SECOND, 2);
    }
}

#[test]
fn cap_limits_a_busy_domain_even_when_cpus_are_idle() {
    for (vcpus, cap) in [(1u64, 50u16), (1, 5), (4, 120), (2, 1), (3, 250)] {
        let mut sim = Sim::new(4);
        let share = sim.domain(1);
        for _ in 0..vcpus {
            sim.add(&share, Work::Forever);
        }
        share.set_params(0, cap).unwrap();
        let kick = sim
            .guests
            .iter()
            .filter_map(|guest| sim.sched.reconsider(&guest.vcpu))
            .collect();
        sim.kick_all(kick);
        sim.run(SECOND);
        let total: u64 = sim.run(10 * SECOND).iter().sum();
        assert_near(total, 10 * SECOND * u64::from(cap) / 100, 2);
    }
}

#[test]
fn lifted_cap_gives_the_cpu_back() {
    let mut sim = Sim::new(1);
    let share = sim.domain(1);
    sim.add(&share, Work::Forever);
    share.set_params(0, 10).unwrap();
    let kick = sim
        .sched
        .reconsider(&sim.guests[0].vcpu)
        .into_iter()
        .collect();
    sim.kick_all(kick);
    assert_near(sim.run(10 * SECOND)[0], SECOND, 2);
    share.set_params(0, 0).unwrap();
    sim.run(20 * MS);
    assert_eq!(sim.run(SECOND), [SECOND]);
}

#[test]
fn capped_domain_leaves_its_time_to_others() {
    let mut sim = Sim::new(1);
    let capped = sim.domain(1);
    sim.add(&capped, Work::Forever);
    capped.set_params(0, 20).unwrap();
    sim.add_weighted(256);
    sim.run(SECOND);
    let ran = sim.run(10 * SECOND);
    assert_near(ran[0], 2 * SECOND, 2);
    assert_near(ran[1], 8 * SECOND, 2);
}

#[test]
fn waker_preempts_busy_vcpus_within_the_rate_limit() {
    let mut sim = Sim::new(1);
    let share = sim.domain(100);
    let server = sim.add(
        &share,
        Work::Cycle {
            run_ns: 50_000,
            sleep_ns: 3 * MS,
        },
    );
    for _ in 0..4 {
        sim.add_weighted(256);
    }
    sim.run(SECOND);
    sim.guests[server].worst_latency_ns = 0;
    sim.run(10 * SECOND);
    let guest = &sim.guests[server];
    assert!(guest.wakes > 3_000, "{} wakes", guest.wakes);
    assert!(
        guest.worst_latency_ns <= MS,
        "worst latency {} ns",
        guest.worst_latency_ns
    );
}

#[test]
fn without_rate_limit_waker_runs_at_once() {
    let mut sim = Sim::new(1);
    assert_eq!(
        sim.sched.set_ratelimit_us(99),
        Err(xen_abi::errno::Errno::EINVAL)
    );
    sim.sched.set_ratelimit_us(0).unwrap();
    let share = sim.domain(100);
    let server = sim.add(
        &share,
        Work::Cycle {
            run_ns: 50_000,
            sleep_ns: 3 * MS,
        },
    );
    sim.add_weighted(256);
    sim.run(SECOND);
    sim.guests[server].worst_latency_ns = 0;
    sim.run(SECOND);
    assert_eq!(sim.guests[server].worst_latency_ns, 0);
}

#[test]
fn sleeper_does_not_get_more_than_its_share() {
    let mut sim = Sim::new(1);
    let share = sim.domain(100);
    sim.add(
        &share,
        Work::Cycle {
            run_ns: 3 * MS,
            sleep_ns: 100_000,
        },
    );
    sim.add_weighted(256);
    sim.run(SECOND);
    let ran = sim.run(10 * SECOND);
    assert!(ran[0] <= 10 * SECOND * 52 / 100, "{ran:?}");
    assert!(ran[0] >= 10 * SECOND * 45 / 100, "{ran:?}");
}

#[test]
fn waking_vcpus_use_idle_cpus() {
    let mut sim = Sim::new(4);
    let share = sim.domain(1);
    let work = Work::Cycle {
        run_ns: 700_000,
        sleep_ns: 400_000,
    };
    for _ in 0..4 {
        sim.add(&share, work);
    }
    sim.run(SECOND);
    for guest in &sim.guests {
        assert_eq!(guest.worst_latency_ns, 0);
    }
}

#[test]
fn more_vcpus_than_cpus_keep_every_cpu_busy() {
    let mut sim = Sim::new(3);
    let share = sim.domain(1);
    for _ in 0..5 {
        sim.add(&share, Work::Forever);
    }
    for n in 0..6 {
        sim.add(
            &share,
            Work::Cycle {
                run_ns: 300_000 + n * 70_000,
                sleep_ns: 2 * MS,
            },
        );
    }
    let ran: u64 = sim.run(5 * SECOND).iter().sum();
    assert_near(ran, 15 * SECOND, 1);
    let idle: u64 = (0..3)
        .map(|cpu| sim.sched.idle_time_ns(CpuId(cpu), sim.now))
        .sum();
    assert!(idle < 15 * SECOND / 100 + 3 * 5 * SECOND, "{idle}");
}

#[test]
fn soft_affinity_is_a_preference_hard_affinity_a_rule() {
    let mut sim = Sim::new(2);
    let guest = sim.add_weighted(256);
    let vcpu = Arc::clone(&sim.guests[guest].vcpu);
    sim.run(MS);
    let here = sim.sched.is_running_on(&vcpu).unwrap();
    let other = CpuId(1 - here.0);
    let kick = sim
        .sched
        .set_hard_affinity(&vcpu, CpuMask::only(other), sim.now)
        .unwrap();
    assert_eq!(kick, CpuMask::only(here));
    sim.kick_all(kick);
    sim.run(MS);
    assert_eq!(sim.sched.is_running_on(&vcpu), Some(other));
    let none = sim
        .sched
        .set_hard_affinity(&vcpu, CpuMask::only(CpuId(2)), sim.now);
    assert_eq!(none, Err(xen_abi::errno::Errno::EINVAL));

    sim.pin(guest, CpuMask::ALL);
    assert_eq!(
        sim.sched.set_soft_affinity(&vcpu, CpuMask::only(here)),
        Some(other)
    );
    sim.kicked.insert(other.0);
    sim.run(MS);
    assert_eq!(sim.sched.is_running_on(&vcpu), Some(here));
    sim.add_weighted(256);
    sim.add_weighted(256);
    let ran = sim.run(SECOND);
    assert_eq!(ran.iter().sum::<u64>(), 2 * SECOND);
}

#[test]
fn yield_lets_the_next_one_run() {
    let mut sim = Sim::new(1);
    let first = sim.add_weighted(256);
    sim.run(MS / 10);
    let second = sim.add_weighted(256);
    sim.run(MS / 10);
    assert_eq!(sim.cpus[0].current, Some(first));
    sim.sched.yield_now(&sim.guests[first].vcpu);
    assert!(sim.sched.reschedule_wanted(CpuId(0)));
    sim.schedule(0);
    assert_eq!(sim.cpus[0].current, Some(second));
    sim.sched.yield_now(&sim.guests[second].vcpu);
    sim.schedule(0);
    assert_eq!(sim.cpus[0].current, Some(first));
}

#[test]
fn paused_vcpu_stops_and_comes_back() {
    let mut sim = Sim::new(1);
    for _ in 0..2 {
        sim.add_weighted(256);
    }
    sim.run(SECOND);
    for guest in 0..2 {
        sim.guests[guest].vcpu.awake.store(false, SeqCst);
        let kick = sim.sched.sleep(&sim.guests[guest].vcpu, sim.now);
        sim.kicked.extend(kick.map(|cpu| cpu.0));
    }
    assert_eq!(sim.run(SECOND), [0, 0]);
    sim.guests[0].vcpu.awake.store(true, SeqCst);
    let kick = sim.sched.wake(&sim.guests[0].vcpu, sim.now);
    assert_eq!(
        (kick, sim.sched.wake(&sim.guests[0].vcpu, sim.now)),
        (Some(CpuId(0)), None)
    );
    sim.kicked.insert(0);
    assert_eq!(sim.run(SECOND), [SECOND, 0]);
}

#[test]
fn running_vcpu_cannot_be_removed_and_is_not_queued_again() {
    let mut sim = Sim::new(1);
    let guest = sim.add_weighted(256);
    let vcpu = Arc::clone(&sim.guests[guest].vcpu);
    assert_eq!(
        sim.sched.insert(&vcpu, sim.now),
        Err(xen_abi::errno::Errno::EEXIST)
    );
    sim.run(MS);
    assert_eq!(
        sim.sched.remove(&vcpu, sim.now),
        Err(xen_abi::errno::Errno::EBUSY)
    );
    assert!(sim.sched.reschedule_wanted(CpuId(0)));
    sim.schedule(0);
    assert_eq!(
        (sim.cpus[0].current, sim.sched.wake(&vcpu, sim.now)),
        (None, None)
    );
    sim.sched.remove(&vcpu, sim.now).unwrap();
    assert_eq!(
        sim.sched.remove(&vcpu, sim.now),
        Err(xen_abi::errno::Errno::ENOENT)
    );
    assert_eq!(vcpu.unit.share().vcpus.load(SeqCst), 0);
}

#[test]
fn runstate_tells_running_from_waiting_and_sleeping() {
    let mut sim = Sim::new(1);
    let share = sim.domain(1);
    let guest = sim.add(
        &share,
        Work::Cycle {
            run_ns: MS,
            sleep_ns: 3 * MS,
        },
    );
    sim.run(4 * SECOND);
    let account = sim.sched.runstate(&sim.guests[guest].vcpu, sim.now);
    assert_eq!(account.time, [SECOND, 0, 3 * SECOND, 5 * SECOND]);
}

#[test]
fn vcpus_stay_inside_their_cpupool() {
    let mut sim = Sim::new(4);
    let moved = sim.domain(50);
    for _ in 0..3 {
        sim.add(&moved, Work::Forever);
    }
    for _ in 0..3 {
        sim.add_weighted(256);
    }
    sim.run(SECOND);
    let pool = sim.sched.create_pool(None, Policy::Credit2).unwrap();
    let now = sim.now;
    let kick = sim
        .sched
        .remove_cpu_from_pool(PoolId::ZERO, Some(CpuId(3)), now)
        .unwrap();
    if kick.contains(CpuId(3)) {
        let busy = sim.sched.add_cpu_to_pool(pool, Some(CpuId(3)), now);
        assert_eq!(busy, Err(xen_abi::errno::Errno::EADDRNOTAVAIL));
    }
    sim.kick_all(kick);
    let ran = sim.run(SECOND);
    assert_eq!(
        (ran.iter().sum::<u64>(), sim.cpus[3].current),
        (3 * SECOND, None)
    );
    let kick = sim.sched.add_cpu_to_pool(pool, None, sim.now).unwrap();
    sim.kick_all(kick);
    let kick = sim.sched.move_domain(&moved, pool, sim.now).unwrap();
    sim.kick_all(kick);
    sim.run(100 * MS);
    let ran = sim.run(6 * SECOND);
    ran[..3]
        .iter()
        .for_each(|ran| assert_near(*ran, 2 * SECOND, 2));
    assert_eq!(ran[3..], [6 * SECOND; 3]);
}

#[test]
fn null_pool_gives_each_vcpu_a_cpu_and_lets_the_rest_wait() {
    let mut sim = Sim::with_policy(2, Policy::Null);
    let share = sim.domain(1);
    for _ in 0..3 {
        sim.add(&share, Work::Forever);
    }
    assert_eq!(sim.run(SECOND), [SECOND, SECOND, 0]);
    assert!(
        sim.cpus
            .iter()
            .all(|cpu| cpu.timer_ns == u64::MAX && cpu.switches == 1)
    );
    let first = Arc::clone(&sim.guests[0].vcpu);
    let kick = sim.sched.stand_down(&first, sim.now);
    sim.kick_all(kick);
    assert_eq!(sim.run(SECOND), [0, SECOND, SECOND]);
    let third = Arc::clone(&sim.guests[2].vcpu);
    third.awake.store(false, SeqCst);
    let kick = sim.sched.sleep(&third, sim.now).unwrap();
    sim.schedule(kick.0 as usize);
    sim.sched.stand_up(&first, sim.now);
    let kick = sim.sched.remove(&third, sim.now).unwrap();
    sim.kick_all(kick);
    assert_eq!(sim.run(SECOND), [SECOND, SECOND, 0]);
}

#[test]
fn dump_names_pools_cpus_and_vcpus() {
    let mut sim = Sim::new(2);
    for _ in 0..3 {
        sim.add_weighted(256);
    }
    sim.pin(0, CpuMask::only(CpuId(1)));
    sim.run(SECOND);
    let mut text = std::string::String::new();
    sim.sched.dump(&mut text, sim.now).unwrap();
    for expected in [
        "Pool-0: Credit2, CPUs 0-1, 3 domains",
        "CPU1: ",
        "d2v2: ",
        "hard 1",
        "weight 256",
    ] {
        assert!(
            text.contains(expected),
            "{expected:?} is missing in\n{text}"
        );
    }
}

#[test]
fn random_mixes_never_break_affinity_and_lose_no_time() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for _ in 0..12 {
        let cpus = 1 + random(6) as u32;
        let mut sim = Sim::new(cpus);
        let shares: Vec<_> = (0..4).map(|domid| sim.domain(domid)).collect();
        for _ in 0..2 + random(14) {
            let share = Arc::clone(&shares[random(4) as usize]);
            let cycle = Work::Cycle {
                run_ns: 20_000 + random(9 * MS),
                sleep_ns: 20_000 + random(9 * MS),
            };
            sim.add(&share, if random(2) == 0 { Work::Forever } else { cycle });
        }
        for _ in 0..40 {
            let guest = random(sim.guests.len() as u64) as usize;
            match random(4) {
                0 => sim.pin(guest, CpuMask::only(CpuId(random(u64::from(cpus)) as u32))),
                1 => sim.pin(guest, CpuMask::ALL),
                2 => shares[random(4) as usize]
                    .set_params(1 + random(2000) as u16, 0)
                    .unwrap(),
                _ => {
                    let mask = CpuMask::only(CpuId(random(u64::from(cpus)) as u32));
                    let vcpu = Arc::clone(&sim.guests[guest].vcpu);
                    let kick = sim
                        .sched
                        .set_soft_affinity(&vcpu, mask)
                        .into_iter()
                        .collect();
                    sim.kick_all(kick);
                }
            }
            sim.run(random(60 * MS));
        }
        (0..sim.guests.len()).for_each(|guest| sim.pin(guest, CpuMask::ALL));
        shares
            .iter()
            .for_each(|share| share.set_params(256, 0).unwrap());
        sim.run(SECOND);
        let busy = sim
            .guests
            .iter()
            .filter(|guest| matches!(guest.work, Work::Forever))
            .count() as u64;
        let ran = sim.run(2 * SECOND);
        let total: u64 = ran.iter().sum();
        assert!(
            total * 1000 >= 2 * SECOND * busy.min(u64::from(cpus)) * 999,
            "{total} on {cpus} CPUs, {busy} busy"
        );
        assert!(ran.iter().all(|ran| *ran > 0), "starved: {ran:?}");
    }
}
