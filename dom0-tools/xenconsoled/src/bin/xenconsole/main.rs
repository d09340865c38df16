//! `xenconsole`: attaches to a guest's console. It is what `xl console` runs.

mod options;

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use xenconsoled::client::{Attach, Error, Kind, attach};
use xenctl::real::Xen;
use xenctl::{DomId, Hypervisor};
use xenstore::Access;
use xenstore::client::Client;

use options::{Options, Wrong};

/// Of a wrong command line: `EINVAL`.
const USAGE: u8 = 22;

/// Why there is no session: what to say and the exit code.
struct Refusal {
    text: String,
    code: u8,
}

impl Refusal {
    fn new(text: impl Display, code: u8) -> Self {
        let text = text.to_string();
        Self { text, code }
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::new(wrong, USAGE)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Domain0 => Self::new(&error, error.exit_code()),
            error => Self::new(format_args!("xenconsole: {error}"), error.exit_code()),
        }
    }
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nobody to tell when standard error is closed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match session(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("{}", refusal.text);
            ExitCode::from(refusal.code)
        }
    }
}

fn session(options: &Options) -> Result<(), Refusal> {
    let (kind, escape) = (options.kind()?, options.escape()?);
    let domain = DomId(options.domain()?);
    if domain == DomId::DOM0 {
        return Err(Error::Domain0.into());
    }
    let kind = match kind {
        Some(kind) => kind,
        None => usual_kind(domain)?,
    };
    let store: Arc<dyn Access> = Arc::new(Client::connect().map_err(|error| {
        let error = Error::Store(error);
        Refusal::new(
            format_args!("xenconsole: Could not contact XenStore: {error}"),
            error.exit_code(),
        )
    })?);
    let what = Attach {
        domain,
        number: options.number,
        kind,
        escape,
        is_interactive: options.interactive,
        started: options.start_notify_fd.map(inherited).transpose()?,
    };
    Ok(attach(&store, what)?)
}

/// A serial console for guests that may have one.
fn usual_kind(domain: DomId) -> Result<Kind, Refusal> {
    let refuse = |what: &str, error: xenctl::Error| {
        let code = error.errno.0.try_into().unwrap_or(1);
        Refusal::new(format_args!("xenconsole: {what}: {error}"), code)
    };
    let xen = Xen::open().map_err(|error| refuse("Could not open xc interface", error))?;
    let info = xen
        .domain(domain)
        .map_err(|error| refuse("Failed to get domain information", error))?;
    let is_hvm = info.flags & xen_abi::domctl::XEN_DOMINF_HVM_GUEST != 0;
    Ok(if is_hvm { Kind::Serial } else { Kind::Pv })
}

/// A descriptor our parent opened for us, under another number; the parent's is closed with the process.
fn inherited(number: i32) -> Result<OwnedFd, Refusal> {
    let path = format!("/proc/self/fd/{number}");
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    file.map(OwnedFd::from).map_err(|error| {
        let code = error.raw_os_error().and_then(|code| code.try_into().ok());
        let text = format_args!("xenconsole: Could not notify parent with fd {number}: {error}")
            .to_string();
        Refusal::new(text, code.unwrap_or(1))
    })
}
