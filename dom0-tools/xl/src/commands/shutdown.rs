//! `xl shutdown` and `xl reboot`: asks guests through the store, waits until each took notice of it, and with `-w` until it did so.

use std::time::{Duration, Instant};

use serde_json::json;
use xen_abi::domctl::{
    DomctlGetdomaininfo, XEN_DOMCTL_SENDTRIGGER_POWER, XEN_DOMCTL_SENDTRIGGER_RESET,
    XEN_DOMINF_DYING, XEN_DOMINF_XS_DOMAIN,
};
use xen_abi::errno::Errno;
use xen_abi::hvm::params::HVM_PARAM_CALLBACK_IRQ;
use xenctl::DomId;
use xenstore::{Access, Tx, read_optional};

use super::{Ignored, list};
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::{complain, select};

/// How long a guest may take to notice.
const NOTICE: Duration = Duration::from_secs(60);
/// The store tells of domains that end; this is how long we trust it to.
const POLL: Duration = Duration::from_secs(2);

/// Whom to shut down.
#[derive(clap::Args, Debug)]
pub struct Shutdown {
    #[command(flatten)]
    request: Request,
}

/// Whom to restart.
#[derive(clap::Args, Debug)]
pub struct Reboot {
    #[command(flatten)]
    request: Request,
}

#[derive(clap::Args, Debug)]
struct Request {
    /// All domains except dom0
    #[arg(short = 'a', long)]
    all: bool,
    /// Wait until it happened; twice: until the domain is gone
    #[arg(short = 'w', long, action = clap::ArgAction::Count)]
    wait: u8,
    /// Press a button of guests without PV drivers
    #[arg(short = 'F')]
    fallback: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: Option<String>,
    #[command(flatten)]
    ignored: Ignored,
}

/// The two requests.
struct Kind {
    /// `reboot`, for the failure's line.
    name: &'static str,
    /// Begins the line about each domain.
    doing: &'static str,
    /// What the guest reads.
    word: &'static str,
    /// What is sent instead with `-F`.
    trigger: u32,
    /// The button's name in that case.
    button: &'static str,
}

const SHUTDOWN: Kind = Kind {
    name: "shutdown",
    doing: "Shutting down",
    word: "poweroff",
    trigger: XEN_DOMCTL_SENDTRIGGER_POWER,
    button: "power",
};

const REBOOT: Kind = Kind {
    name: "reboot",
    doing: "Rebooting",
    word: "reboot",
    trigger: XEN_DOMCTL_SENDTRIGGER_RESET,
    button: "reset",
};

impl Shutdown {
    /// Asks, and waits.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        self.request.run(context, &SHUTDOWN)
    }
}

impl Reboot {
    /// Asks, and waits.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        self.request.run(context, &REBOOT)
    }
}

impl Request {
    fn run(&self, context: &Context, kind: &Kind) -> anyhow::Result<()> {
        let domains = self.domains(context)?;
        let store = context.store()?;
        // Watched before anyone is asked, so that no end is missed.
        store.watch("@releaseDomain", "end")?;
        let mut asked = Vec::new();
        for &domain in &domains {
            complain!(context, "{} domain {domain}\n", kind.doing);
            self.ask(context, kind, domain)
                .map_err(|error| failed(kind, error))?;
            asked.push(domain);
        }
        for &domain in &asked {
            wait_for_notice(store, domain).map_err(|error| failed(kind, error))?;
        }
        if self.wait > 0 {
            wait_for_ends(context, &domains, self.wait == 1)?;
        }
        store.unwatch("@releaseDomain", "end")?;
        let ids: Vec<u16> = domains.iter().map(|domain| domain.0).collect();
        context.done(&json!({ kind.name: ids }));
        Ok(())
    }

    fn domains(&self, context: &Context) -> anyhow::Result<Vec<DomId>> {
        let is_guest = |info: &&DomctlGetdomaininfo| {
            info.domain != 0 && info.flags & XEN_DOMINF_XS_DOMAIN == 0
        };
        match &self.domain {
            _ if self.all => {
                let all = list::all(context)?;
                Ok(all
                    .iter()
                    .filter(is_guest)
                    .map(|info| DomId(info.domain))
                    .collect())
            }
            Some(word) => Ok(vec![select::domain(context, word)?]),
            None => Err(Failure::said("You must specify -a or a domain id.\n").into()),
        }
    }

    fn ask(&self, context: &Context, kind: &Kind, domain: DomId) -> anyhow::Result<()> {
        let xen = context.xen()?;
        xen.domain(domain)?;
        if listens(context, domain)? {
            let path = control(domain);
            context
                .store()?
                .write(Tx::NONE, &path, kind.word.as_bytes())?;
            return Ok(());
        }
        if self.fallback {
            complain!(
                context,
                "PV control interface not available: sending ACPI {} button event.\n",
                kind.button
            );
            xen.send_trigger(domain, kind.trigger, 0)?;
            return Ok(());
        }
        let (name, button) = (kind.name, kind.button);
        complain!(
            context,
            "PV control interface not available: external graceful {name} not possible.\n\
             Use \"-F\" to fallback to ACPI {button} event.\n"
        );
        Err(NoParavirt.into())
    }
}

fn control(domain: DomId) -> String {
    format!("/local/domain/{domain}/control/shutdown")
}

/// The guest has no PV drivers.
#[derive(Debug)]
struct NoParavirt;

impl std::fmt::Display for NoParavirt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the guest has no PV drivers")
    }
}

impl std::error::Error for NoParavirt {}

/// The guest did not take notice.
#[derive(Debug)]
struct NoNotice(DomId);

impl std::fmt::Display for NoNotice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = NOTICE.as_secs();
        write!(
            f,
            "domain {} took no notice of the request in {seconds} seconds",
            self.0
        )
    }
}

impl std::error::Error for NoNotice {}

fn failed(kind: &Kind, error: anyhow::Error) -> anyhow::Error {
    let code = match () {
        () if error.is::<NoParavirt>() => -10,
        () if error.is::<NoNotice>() => -9,
        () => -3,
    };
    Failure::because(error, format!("{} failed (rc={code})", kind.name))
}

/// Whether a guest reads its `control/shutdown`: PVH guests do, HVM guests when their drivers asked for a callback.
fn listens(context: &Context, domain: DomId) -> anyhow::Result<bool> {
    let path = format!("/libxl/{domain}/type");
    let kind = read_optional(context.store()?, Tx::NONE, &path)?;
    if kind.as_deref() != Some("hvm") {
        return Ok(true);
    }
    Ok(context.xen()?.hvm_param(domain, HVM_PARAM_CALLBACK_IRQ)? != 0)
}

/// Waits until the guest took the request away, or is gone.
fn wait_for_notice(store: &dyn Access, domain: DomId) -> anyhow::Result<()> {
    let path = control(domain);
    let token = format!("notice-{domain}");
    let deadline = Instant::now() + NOTICE;
    store.watch(&path, &token)?;
    let noticed = loop {
        match store.read(Tx::NONE, &path) {
            Ok(value) if value.is_empty() => break Ok(()),
            Err(error) if error.is_not_found() => break Ok(()),
            Err(error) => break Err(error.into()),
            Ok(_) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break Err(NoNotice(domain).into());
        }
        store.next_event(Some(left.min(POLL)))?;
    };
    store.unwatch(&path, &token)?;
    noticed
}

/// What became of a domain.
enum End {
    Running,
    ShutDown(u32),
    Gone,
}

fn end_of(context: &Context, domain: DomId) -> anyhow::Result<End> {
    match context.xen()?.domain(domain) {
        Err(error) if error.errno == Errno::ESRCH => Ok(End::Gone),
        Err(error) => Err(error.into()),
        Ok(info) if info.flags & XEN_DOMINF_DYING != 0 => Ok(End::Gone),
        Ok(info) => Ok(list::shutdown_reason(&info).map_or(End::Running, End::ShutDown)),
    }
}

/// Waits for all; a shutdown is enough for `either`.
fn wait_for_ends(context: &Context, domains: &[DomId], either: bool) -> anyhow::Result<()> {
    complain!(context, "Waiting for {} domains\n", domains.len());
    let mut waiting: Vec<(DomId, bool)> = domains.iter().map(|&domain| (domain, false)).collect();
    while !waiting.is_empty() {
        let mut still = Vec::new();
        for (domain, mut reported) in waiting {
            let ended = match end_of(context, domain).or_fail("")? {
                End::Running => false,
                End::Gone => {
                    complain!(context, "Domain {domain} has been destroyed\n");
                    true
                }
                End::ShutDown(_) if reported => false,
                End::ShutDown(reason) => {
                    complain!(
                        context,
                        "Domain {domain} has been shut down, reason code {reason}\n"
                    );
                    if !either {
                        complain!(context, "Domain {domain} continue waiting for death\n");
                    }
                    reported = true;
                    either
                }
            };
            if !ended {
                still.push((domain, reported));
            }
        }
        waiting = still;
        if !waiting.is_empty() {
            context.store()?.next_event(Some(POLL))?;
        }
    }
    Ok(())
}
