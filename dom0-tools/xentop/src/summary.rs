//! The lines above the live table: time, how many domains do what, memory and processors.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sample::{Sample, State};

/// The lines at `now`.
pub fn lines(sample: &Sample, now: SystemTime) -> [String; 3] {
    let host = &sample.host;
    let used = host.memory.saturating_sub(host.free_memory);
    [
        format!("xentop - {} UTC   Xen {}", clock(now), host.version),
        domains(sample),
        format!(
            "Mem: {}k total, {}k used, {}k free    CPUs: {} @ {}MHz",
            host.memory >> 10,
            used >> 10,
            host.free_memory >> 10,
            host.cpus,
            host.cpu_khz / 1000
        ),
    ]
}

/// Each domain is counted once, as the first of what it does.
fn domains(sample: &Sample) -> String {
    let [
        mut running,
        mut blocked,
        mut paused,
        mut shutdown,
        mut crashed,
        mut dying,
    ] = [0; 6];
    for domain in &sample.domains {
        match domain.state {
            State { running: true, .. } => running += 1,
            State { blocked: true, .. } => blocked += 1,
            State { paused: true, .. } => paused += 1,
            State { shutdown: true, .. } => shutdown += 1,
            State { crashed: true, .. } => crashed += 1,
            State { dying: true, .. } => dying += 1,
            _ => {}
        }
    }
    let count = sample.domains.len();
    format!(
        "{count} domains: {running} running, {blocked} blocked, {paused} paused, {crashed} crashed, {dying} dying, {shutdown} shutdown"
    )
}

fn clock(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sample::{Domain, Host};

    #[test]
    fn a_domain_is_counted_as_the_first_of_what_it_does() {
        let state = |running, blocked, paused, dying| Domain {
            state: State {
                running,
                blocked,
                paused,
                dying,
                ..State::default()
            },
            ..Domain::default()
        };
        let sample = Sample {
            taken: Instant::now(),
            host: Host {
                version: "4.20.3".into(),
                cpus: 2,
                cpu_khz: 2_596_144,
                memory: 3 << 30,
                free_memory: 1 << 30,
            },
            domains: vec![
                state(true, false, false, false),
                state(false, true, true, false),
                state(false, false, true, true),
                state(false, false, false, false),
            ],
        };
        let now = UNIX_EPOCH + Duration::from_secs(86400 * 3 + 3600 * 13 + 62);
        let [title, domains, host] = lines(&sample, now);
        assert_eq!(title, "xentop - 13:01:02 UTC   Xen 4.20.3");
        assert_eq!(
            domains,
            "4 domains: 1 running, 1 blocked, 1 paused, 0 crashed, 0 dying, 0 shutdown"
        );
        assert_eq!(
            host,
            "Mem: 3145728k total, 2097152k used, 1048576k free    CPUs: 2 @ 2596MHz"
        );
    }
}
