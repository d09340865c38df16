//! `xl debug-keys`: presses keys that make the hypervisor write to its log.

use serde_json::json;

use super::Ignored;
use crate::context::Context;
use crate::failure::OrFail;

/// Which keys.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// One after the other.
    #[arg(value_name = "Keys")]
    keys: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Presses them.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let keys = &self.keys;
        let pressed = context.xen()?.debug_keys(keys);
        pressed.or_fail(format!("cannot send debug keys: {keys}"))?;
        context.done(&json!({ "keys": keys }));
        Ok(())
    }
}
