//! `xl destroy`: ends a domain at once and removes what belonged to it.

use domain::lifecycle::Error;
use serde_json::json;
use xenctl::DomId;

use super::Ignored;
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{life, select};

/// Which domain.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Also domain 0
    #[arg(short = 'f')]
    force: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Destroys it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let domain = select::domain(context, &self.domain)?;
        if domain == DomId::DOM0 && !self.force {
            let message = "Not destroying domain 0; use -f to force.\n\
                 This can only be done when using a disaggregated hardware domain and toolstack.\n";
            return Err(Failure::said(message).into());
        }
        let _progress = Progress::of(format!("Destroying {}", self.domain));
        life::toolstack(context)?.destroy(domain).map_err(failed)?;
        context.done(&json!({ "destroyed": domain.0 }));
        Ok(())
    }
}

fn failed(error: Error) -> anyhow::Error {
    let code = if matches!(error, Error::NoDomain(_)) {
        -21
    } else {
        -3
    };
    Failure::because(error, format!("destroy failed (rc={code})"))
}
