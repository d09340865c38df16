//! `xl rename`: another name for a domain, in the store.

use serde_json::json;

use super::Ignored;
use crate::context::Context;
use crate::failure::OrFail;
use crate::{life, select};

/// Which domain, and its new name.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    /// Its new name.
    #[arg(value_name = "NewDomainName")]
    name: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Renames it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        let old = select::name_of(context.store()?, domain)?;
        let renamed = life::toolstack(context)?.rename(domain, old.as_deref(), &self.name);
        renamed.or_fail(format!("Can't rename domain '{}'.", self.domain))?;
        context.done(&json!({ "domid": domain.0, "name": self.name }));
        Ok(())
    }
}
