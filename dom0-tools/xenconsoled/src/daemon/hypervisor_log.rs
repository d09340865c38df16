//! The hypervisor's own log, copied to a file as it grows.

use std::time::Instant;

use xen_abi::xen::VIRQ_CON_RING;
use xenctl::{Events, Hypervisor, Port};

use super::complaint::Complaint;
use super::log_file::LogFile;

/// The most parts that are read in one go: a hypervisor that never stops talking must not keep the daemon from the guests.
const PARTS: usize = 64;

/// Follows the hypervisor's log.
pub struct HypervisorLog {
    port: Port,
    /// Where it goes; `None` after it could not be opened again.
    pub file: Option<LogFile>,
    /// What was read so far.
    index: u32,
    trouble: Complaint,
}

impl HypervisorLog {
    /// Starts following. Nothing is read yet.
    pub fn new(events: &dyn Events, file: LogFile) -> xenctl::Result<Self> {
        Ok(Self {
            port: events.bind_virq(VIRQ_CON_RING)?,
            file: Some(file),
            index: 0,
            trouble: Complaint::default(),
        })
    }

    /// The port that is pending when there is more.
    pub const fn port(&self) -> Port {
        self.port
    }

    /// Copies what is new, and waits for more.
    pub fn follow(&mut self, hypervisor: &dyn Hypervisor, events: &dyn Events, now: Instant) {
        for _ in 0..PARTS {
            match hypervisor.read_console(false, Some(self.index)) {
                Ok(part) if part.text.is_empty() => break,
                Ok(part) => {
                    self.index = part.index;
                    self.keep(&part.text, now);
                }
                Err(error) => {
                    let what = format_args!("cannot read the hypervisor's log: {error}");
                    self.trouble.warn(now, what);
                    break;
                }
            }
        }
        if let Err(error) = events.unmask(self.port) {
            let what = format_args!("cannot wait for the hypervisor's log: {error}");
            self.trouble.warn(now, what);
        }
    }

    fn keep(&mut self, text: &[u8], now: Instant) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.append(text)
        {
            let path = file.path().display();
            let what = format_args!("cannot write to {path}: {error}");
            self.trouble.warn(now, what);
        }
    }
}
