//! `xl claims`: memory that is promised to domains but not theirs yet.

use super::{Ignored, list};
use crate::complain;
use crate::context::Context;

/// No options.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Lists.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        if !context.settings().claim_mode {
            complain!(context, "claim_mode not enabled (see man xl.conf).\n");
        }
        let columns = list::Columns {
            claim: true,
            ..Default::default()
        };
        list::print(context, &list::all(context)?, &columns)
    }
}
