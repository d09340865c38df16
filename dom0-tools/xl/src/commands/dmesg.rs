//! `xl dmesg`: the hypervisor's log.

use serde_json::json;

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};

/// How often the log is asked for more before we stop: it may grow as fast as we read.
const MOST_READS: usize = 4096;

/// Whether to keep it.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Empty the log, too
    #[arg(short = 'c', long)]
    clear: bool,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Prints the log.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let xen = context.xen()?;
        let mut index = 0;
        let mut all = Vec::new();
        for _ in 0..MOST_READS {
            let part = xen
                .read_console(self.clear, Some(index))
                .or_fail(Failure::silent().message)?;
            if part.text.is_empty() {
                break;
            }
            index = part.index;
            if context.json() {
                all.extend(part.text);
            } else {
                context.output.print_bytes(&part.text);
            }
        }
        if context.json() {
            let text = String::from_utf8_lossy(&all);
            let lines: Vec<&str> = text.lines().collect();
            context.output.print_json(&json!(lines));
        }
        Ok(())
    }
}
