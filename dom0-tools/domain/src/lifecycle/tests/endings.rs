//! What is done when a guest ends, and asking it to.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use domcfg::model::ShutdownAction;
use xen_abi::sched::{
    SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT, SHUTDOWN_SOFT_RESET, SHUTDOWN_SUSPEND,
    SHUTDOWN_WATCHDOG,
};
use xenstore::engine::DomainState;

use super::*;
use crate::lifecycle::{DeathWatch, Ending, Followed, NEXT_CONFIG, ShutdownRequest};

impl Dom0 {
    /// The guest shuts down, and the store hears of it.
    fn shut_down(&self, domain: DomId, reason: u32) {
        self.xen.guest_shuts_down(domain, reason).unwrap();
        self.store.set_domain(domain.0, DomainState::Shutdown);
    }

    /// Follows a domain while the guests with this name do what they are told, one after the other.
    fn follow(&self, config: DomainConfig, reasons: &[u32]) -> (Followed, Vec<String>) {
        let log = Mutex::new(Vec::new());
        let name = config.c_info.name.clone().unwrap();
        let domain = self.toolstack().find(&name).unwrap().unwrap();
        let followed = thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = DomId(0);
                for reason in reasons {
                    last = self.next_running(&name, last);
                    self.shut_down(last, *reason);
                }
            });
            let store = self.store.connect();
            let reparse = |text: &str| match text {
                "bad" => Err("bad".to_owned()),
                name => Ok(self.config(name)),
            };
            let note = |line: &str| log.lock().unwrap().push(line.to_owned());
            let toolstack = self.toolstack_on(&store);
            let room = |_: &Request| Ok::<Box<dyn Any>, _>(Box::new(()));
            toolstack
                .follow(domain, config, &reparse, &room, &note)
                .unwrap()
        });
        (followed, log.into_inner().unwrap())
    }

    /// Waits for a domain of this name that runs and is not `last`.
    fn next_running(&self, name: &str, last: DomId) -> DomId {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Ok(Some(domain)) = self.toolstack().find(name)
                && domain != last
                && self.xen.pause_count(domain) == Some(0)
            {
                return domain;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("no domain {name} after {last}");
    }
}

#[test]
fn guest_that_powers_off_is_removed_and_one_that_reboots_is_started_again() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_reboot = ShutdownAction::Restart;
    dom0.running_as(&config);
    let reasons = [SHUTDOWN_REBOOT, SHUTDOWN_REBOOT, SHUTDOWN_POWEROFF];
    let (followed, log) = dom0.follow(config, &reasons);
    assert_eq!(followed, Followed::Gone);
    assert_eq!(dom0.leftovers(), [""; 0]);
    assert_eq!(log[0], "Domain 1 has shut down, reason code 1 0x1");
    assert_eq!(log[1], "Action for shutdown reason code 1 is restart");
    assert_eq!(
        log[2],
        "Domain 1 needs to be cleaned up: destroying the domain"
    );
    assert_eq!(log[3], "Done. Rebooting now");
    assert!(log[4].starts_with("Waiting for domain a (domid 2) to die [pid "));
    assert_eq!(log.last().unwrap(), "Done. Exiting now");
}

#[test]
fn crashed_guest_is_preserved_under_its_name_or_another() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_crash = ShutdownAction::Preserve;
    config.on_watchdog = ShutdownAction::RestartRename;
    let first = dom0.running_as(&config);
    let reasons = [SHUTDOWN_WATCHDOG, SHUTDOWN_CRASH];
    let (followed, _) = dom0.follow(config, &reasons);
    let second = dom0.toolstack().find("a").unwrap().unwrap();
    assert_eq!(followed, Followed::Preserved(second));
    let name = dom0.toolstack().name(first).unwrap().unwrap();
    let (start, end) = name.split_once('-').unwrap();
    assert_eq!((start, end.len()), ("a", "20261123T0200Z".len()));
}

#[test]
fn memory_of_a_crashed_guest_is_written_before_it_is_removed() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_crash = ShutdownAction::CoredumpDestroy;
    let domain = dom0.running_as(&config);
    dom0.xen
        .write_guest(domain, (64 << 20) - 4, b"last")
        .unwrap();
    dom0.follow(config, &[SHUTDOWN_CRASH]);
    assert_eq!(dom0.leftovers(), [""; 0]);
    let dump = fs::read(dom0.directories.dump.join("a")).unwrap();
    assert_eq!(dump.len(), 4096 + (64 << 20));
    assert_eq!(&dump[..7], b"\x7fELF\x02\x01\x01");
    assert_eq!(&dump[dump.len() - 4..], b"last");
    assert_eq!(dump[4096 + (16 << 20)], 1);
}

#[test]
fn configuration_left_for_the_next_start_is_used_once() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_reboot = ShutdownAction::Restart;
    let domain = dom0.running_as(&config);
    let files = dom0.toolstack().userdata(domain).unwrap();
    files.write(NEXT_CONFIG, b"a").unwrap();
    // The new one says nothing of reboots, and so destroys.
    let (_, log) = dom0.follow(config, &[SHUTDOWN_REBOOT, SHUTDOWN_REBOOT]);
    assert!(log.contains(&"\"xl\" configuration found, using it".to_owned()));
    assert_eq!(dom0.leftovers(), [""; 0]);
}

#[test]
fn configuration_that_cannot_be_read_is_reported_and_the_old_one_used() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_reboot = ShutdownAction::Restart;
    let domain = dom0.running_as(&config);
    let files = dom0.toolstack().userdata(domain).unwrap();
    files.write(NEXT_CONFIG, b"bad").unwrap();
    let (_, log) = dom0.follow(config, &[SHUTDOWN_REBOOT, SHUTDOWN_POWEROFF]);
    let told = "failed to retrieve guest configuration (bad). reusing old configuration";
    assert!(log.iter().any(|line| line == told), "{log:?}");
}

#[test]
fn suspended_guest_is_left_alone_until_it_ends() {
    let dom0 = Dom0::new();
    let domain = dom0.running("a");
    let (followed, log) = thread::scope(|scope| {
        scope.spawn(|| {
            dom0.shut_down(domain, SHUTDOWN_SUSPEND);
            thread::sleep(Duration::from_millis(50));
            dom0.xen.resume_domain(domain).unwrap();
            thread::sleep(Duration::from_millis(50));
            dom0.toolstack().destroy(domain).unwrap();
            dom0.store.set_domain(domain.0, DomainState::Absent);
        });
        dom0.follow(dom0.config("a"), &[])
    });
    assert_eq!(followed, Followed::Gone);
    assert!(log.contains(&"Domain has suspended.".to_owned()), "{log:?}");
    assert_eq!(log.last().unwrap(), "Domain 1 has been destroyed.");
}

#[test]
fn watch_tells_reason_and_disappearance() {
    let dom0 = Dom0::new();
    let domain = dom0.running("a");
    let watch = DeathWatch::new(dom0.toolstack(), domain).unwrap();
    assert_eq!(watch.wait(Some(Duration::from_millis(5))).unwrap(), None);
    dom0.shut_down(domain, SHUTDOWN_CRASH);
    let ending = watch.wait(None).unwrap();
    assert_eq!(ending, Some(Ending::ShutDown(SHUTDOWN_CRASH)));
    dom0.toolstack().destroy(domain).unwrap();
    assert_eq!(watch.wait(None).unwrap(), Some(Ending::Gone));
}

#[test]
fn request_to_end_is_done_when_the_guest_has_seen_it() {
    let dom0 = Dom0::new();
    let domain = dom0.running("a");
    let path = format!("/local/domain/{domain}/control/shutdown");
    thread::scope(|scope| {
        scope.spawn(|| {
            let guest = dom0.store.guest(domain.0).unwrap();
            while guest.read(Tx::NONE, &path).unwrap() != b"reboot" {
                thread::sleep(Duration::from_millis(1));
            }
            guest.write(Tx::NONE, &path, b"").unwrap();
        });
        let store = dom0.store.connect();
        let toolstack = dom0.toolstack_on(&store);
        toolstack
            .request_shutdown(domain, ShutdownRequest::Reboot)
            .unwrap();
    });
    let unknown = dom0
        .toolstack()
        .request_shutdown(DomId(9), ShutdownRequest::PowerOff);
    assert_eq!(unknown.unwrap_err().to_string(), "domain 9 does not exist");
}

#[test]
fn soft_reset_does_what_is_configured_for_it() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_soft_reset = ShutdownAction::Preserve;
    let domain = dom0.running_as(&config);
    let (followed, _) = dom0.follow(config, &[SHUTDOWN_SOFT_RESET]);
    assert_eq!(followed, Followed::Preserved(domain));
}

#[test]
fn soft_reset_that_is_not_possible_is_told_and_becomes_a_restart() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_soft_reset = ShutdownAction::SoftReset;
    dom0.running_as(&config);
    let (followed, log) = dom0.follow(config, &[SHUTDOWN_SOFT_RESET, SHUTDOWN_POWEROFF]);
    assert_eq!(followed, Followed::Gone);
    let told = "Soft reset is not supported: restarting the domain instead";
    assert!(log.iter().any(|line| line == told), "{log:?}");
}

/// Notes how many domains there are when it is dropped.
struct Room {
    xen: FakeXen,
    domains: Arc<Mutex<Vec<usize>>>,
}

impl Drop for Room {
    fn drop(&mut self) {
        let count = self.xen.domains().unwrap().len();
        self.domains.lock().unwrap().push(count);
    }
}

#[test]
fn room_for_a_restart_is_made_after_the_old_domain_is_gone_and_kept_until_the_new_one_is_there() {
    let dom0 = Dom0::new();
    let mut config = dom0.config("a");
    config.on_reboot = ShutdownAction::Restart;
    let first = dom0.running_as(&config);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let room = |request: &Request| {
        assert!(dom0.xen.domain(first).is_err());
        assert_eq!(request.plan.memory_kib, 64 << 10);
        let (xen, domains) = (dom0.xen.clone(), seen.clone());
        // The second restart gets none.
        match domains.lock().unwrap().len() {
            0 => {}
            _ => return Err("no room".to_owned()),
        }
        Ok::<Box<dyn Any>, _>(Box::new(Room { xen, domains }))
    };
    let followed = thread::scope(|scope| {
        scope.spawn(|| {
            dom0.shut_down(first, SHUTDOWN_REBOOT);
            let second = dom0.next_running("a", first);
            dom0.shut_down(second, SHUTDOWN_REBOOT);
        });
        let store = dom0.store.connect();
        let toolstack = dom0.toolstack_on(&store);
        let reparse = |_: &str| Err("unused".to_owned());
        toolstack.follow(first, config, &reparse, &room, &|_| {})
    });
    assert_eq!(followed.unwrap_err().to_string(), "no room");
    // Dom0 and the second one.
    assert_eq!(*seen.lock().unwrap(), [2]);
    assert_eq!(dom0.leftovers(), [""; 0]);
}
