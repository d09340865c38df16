//! `xl sysrq`: a system request key, through the store.

use serde_json::json;
use xenstore::Tx;

use super::Ignored;
use crate::cli::usage;
use crate::context::Context;
use crate::failure::Failure;
use crate::{complain, say, select};

/// Which key.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// The key.
    #[arg(value_name = "letter")]
    key: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Sends it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        if self.key.len() != 1 {
            complain!(context, "Invalid sysrq.\n\n");
            say!(context, "{}", usage::one("sysrq"));
            return Err(Failure::silent().into());
        }
        // Without the domain's directory there is nobody to read it, and the node would stay for ever.
        let home = format!("/local/domain/{domain}");
        let store = context.store()?;
        if !xenstore::exists(store, Tx::NONE, &home)? {
            complain!(context, "xl: domain {domain} does not exist\n");
            return Ok(());
        }
        store.write(
            Tx::NONE,
            &format!("{home}/control/sysrq"),
            self.key.as_bytes(),
        )?;
        context.done(&json!({ "domid": domain.0, "sysrq": self.key }));
        Ok(())
    }
}
