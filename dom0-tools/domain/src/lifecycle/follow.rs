//! What happens after a domain shut down, as the configuration says: xl's background process.

use std::any::Any;
use std::thread;
use std::time::{Duration, Instant};

use domcfg::DomainConfig;
use domcfg::model::ShutdownAction;
use jiff::Timestamp;
use xen_abi::sched::{
    SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT, SHUTDOWN_SOFT_RESET, SHUTDOWN_SUSPEND,
    SHUTDOWN_WATCHDOG,
};
use xenctl::DomId;

use super::create::Request;
use super::death::{DeathWatch, Ending};
use super::error::{Error, Result};
use super::userdata::{CONFIG, NEXT_CONFIG};
use super::{Toolstack, core_dump};
use crate::build::BuildError;

/// Where what happens is told, line by line.
pub type Log<'a> = dyn Fn(&str) + 'a;
/// Reads a configuration file's text, which `xl config-update` left for the next start.
pub type Reparse<'a> = dyn Fn(&str) -> std::result::Result<DomainConfig, String> + 'a;

/// Sees to it that the host has the memory a domain needs that is to be started again. What it gives is held until the domain is made.
pub type MakeRoom<'a> = dyn Fn(&Request) -> std::result::Result<Box<dyn Any>, String> + 'a;

/// How long the memory of a domain that was destroyed may take to be the host's again, until other memory is looked for: what xl waits
/// in any case.
const LINGERING: Duration = Duration::from_secs(2);

/// How following a domain ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It was destroyed, here or by somebody else.
    Gone,
    /// It shut down and is kept.
    Preserved(DomId),
}

/// What comes after a domain's end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Next {
    Stop(Followed),
    Start,
    WaitAgain,
}

impl Toolstack<'_> {
    /// Waits for a domain's end and does what `config` says then: destroys, keeps or starts it again, as often as it shuts down. Returns when
    /// there is nothing more to wait for.
    ///
    /// # Errors
    /// When the domain cannot be watched, renamed or started again.
    pub fn follow(
        &self,
        mut domain: DomId,
        mut config: DomainConfig,
        reparse: &Reparse<'_>,
        make_room: &MakeRoom<'_>,
        log: &Log<'_>,
    ) -> Result<Followed> {
        loop {
            let watch = DeathWatch::new(*self, domain)?;
            let Some(ending) = watch.wait(None)? else {
                continue;
            };
            let reason = match ending {
                Ending::ShutDown(reason) => reason,
                Ending::Gone => {
                    log(&format!("Domain {domain} has been destroyed."));
                    return Ok(Followed::Gone);
                }
            };
            log(&format!(
                "Domain {domain} has shut down, reason code {reason} {reason:#x}"
            ));
            match self.act(domain, reason, &mut config, reparse, log)? {
                Next::Stop(followed) => {
                    log("Done. Exiting now");
                    return Ok(followed);
                }
                Next::WaitAgain => {
                    log(&format!("Continue waiting for domain {domain}"));
                    watch.wait_resumed()?;
                }
                Next::Start => {
                    drop(watch);
                    log("Done. Rebooting now");
                    domain = self.start_again(&config, make_room)?;
                    let name = config.c_info.name.as_deref().unwrap_or_default();
                    let pid = std::process::id();
                    log(&format!(
                        "Waiting for domain {name} (domid {domain}) to die [pid {pid}]"
                    ));
                }
            }
        }
    }

    fn act(
        &self,
        domain: DomId,
        reason: u32,
        config: &mut DomainConfig,
        reparse: &Reparse<'_>,
        log: &Log<'_>,
    ) -> Result<Next> {
        let Some(action) = action(reason, config, log) else {
            log("Domain has suspended.");
            return Ok(Next::WaitAgain);
        };
        let word = action.word();
        log(&format!(
            "Action for shutdown reason code {reason} is {word}"
        ));
        match self.without_dump(domain, action, config, log) {
            ShutdownAction::Preserve => return Ok(Next::Stop(Followed::Preserved(domain))),
            ShutdownAction::RestartRename => {
                self.reload(domain, config, reparse, log);
                self.set_aside(domain, config, log)?;
                return Ok(Next::Start);
            }
            ShutdownAction::Restart => self.reload(domain, config, reparse, log),
            ShutdownAction::SoftReset => {
                log("Soft reset is not supported: restarting the domain instead");
                self.reload(domain, config, reparse, log);
            }
            _ => {
                self.clean_up(domain, log);
                return Ok(Next::Stop(Followed::Gone));
            }
        }
        self.clean_up(domain, log);
        self.wait_gone(domain);
        Ok(Next::Start)
    }

    /// Writes a crashed domain's memory where the action says so, and gives what else it says.
    fn without_dump(
        &self,
        domain: DomId,
        action: ShutdownAction,
        config: &DomainConfig,
        log: &Log<'_>,
    ) -> ShutdownAction {
        let rest = match action {
            ShutdownAction::CoredumpDestroy => ShutdownAction::Destroy,
            ShutdownAction::CoredumpRestart => ShutdownAction::Restart,
            other => return other,
        };
        let name = config.c_info.name.as_deref().unwrap_or("domain");
        let path = self.directories.dump.join(name.replace('/', "_"));
        log(&format!("dumping core to {}", path.display()));
        if let Err(error) = core_dump::write(self, domain, &path) {
            log(&format!("core dump failed: {error}"));
        }
        rest
    }

    fn clean_up(&self, domain: DomId, log: &Log<'_>) {
        log(&format!(
            "Domain {domain} needs to be cleaned up: destroying the domain"
        ));
        // Somebody else may have begun; what is left will not keep a new one from starting.
        if let Err(error) = self.destroy(domain) {
            log(&format!("cannot remove all of domain {domain}: {error}"));
        }
    }

    /// A domain that was destroyed keeps its memory while somebody maps some of it.
    fn wait_gone(&self, domain: DomId) {
        const STEP: Duration = Duration::from_millis(20);
        let end = Instant::now() + LINGERING;
        while self.info(domain).is_ok() && Instant::now() < end {
            thread::sleep(STEP);
        }
    }

    /// Takes the configuration that was left for the next start, or the one that is kept with the domain: devices may have been attached.
    fn reload(
        &self,
        domain: DomId,
        config: &mut DomainConfig,
        reparse: &Reparse<'_>,
        log: &Log<'_>,
    ) {
        match self.stored_config(domain, reparse, log) {
            Ok(Some(stored)) => *config = stored,
            Ok(None) => {}
            Err(error) => log(&format!(
                "failed to retrieve guest configuration ({error}). reusing old configuration"
            )),
        }
    }

    fn stored_config(
        &self,
        domain: DomId,
        reparse: &Reparse<'_>,
        log: &Log<'_>,
    ) -> Result<Option<DomainConfig>> {
        let files = self.userdata(domain)?;
        let _lock = files.lock()?;
        if let Some(text) = files.read(NEXT_CONFIG)? {
            log("\"xl\" configuration found, using it");
            let parsed = reparse(&String::from_utf8_lossy(&text)).map_err(Error::Config)?;
            files.remove(NEXT_CONFIG)?;
            return Ok(Some(parsed));
        }
        let Some(json) = files.read(CONFIG)? else {
            return Ok(None);
        };
        let config = DomainConfig::from_libxl_json_text(&json);
        config
            .map(Some)
            .map_err(|error| Error::Config(error.to_string()))
    }

    /// Renames a domain that is kept beside the one started in its place.
    fn set_aside(&self, domain: DomId, config: &DomainConfig, log: &Log<'_>) -> Result<()> {
        let name = config.c_info.name.as_deref().unwrap_or_default();
        let suffix = Timestamp::now().strftime("-%Y%m%dT%H%MZ").to_string();
        log(&format!(
            "Preserving domain {domain} {name} with suffix{suffix}"
        ));
        self.preserve(domain, name, &suffix)
    }

    /// Starts a domain like the one that ended. Its memory may take a moment to be free.
    fn start_again(&self, config: &DomainConfig, make_room: &MakeRoom<'_>) -> Result<DomId> {
        const ATTEMPTS: u32 = 10;
        const PAUSE: Duration = Duration::from_millis(200);
        let mut config = config.clone();
        // Numbers are not used twice within a minute.
        config.c_info.domid = 0;
        let request = self.request(&config)?;
        let _room = make_room(&request).map_err(Error::NoRoom)?;
        let mut attempt = 1;
        let domain = loop {
            match self.create(&request) {
                Err(Error::Build(BuildError::OutOfMemory { .. })) if attempt < ATTEMPTS => {
                    attempt += 1;
                    thread::sleep(PAUSE);
                }
                made => break made?,
            }
        };
        self.unpause(domain)?;
        Ok(domain)
    }
}

/// What the configuration says about a reason; `None` for a domain that was suspended.
fn action(reason: u32, config: &DomainConfig, log: &Log<'_>) -> Option<ShutdownAction> {
    Some(match reason {
        SHUTDOWN_POWEROFF => config.on_poweroff,
        SHUTDOWN_REBOOT => config.on_reboot,
        SHUTDOWN_SUSPEND => return None,
        SHUTDOWN_CRASH => config.on_crash,
        SHUTDOWN_WATCHDOG => config.on_watchdog,
        SHUTDOWN_SOFT_RESET => config.on_soft_reset,
        _ => {
            log(&format!(
                "Unknown shutdown reason code {reason}. Destroying domain."
            ));
            ShutdownAction::Destroy
        }
    })
}
