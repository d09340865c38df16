//! `xl domid` and `xl domname`.

use serde_json::json;
use xenctl::DomId;

use super::Ignored;
use crate::context::Context;
use crate::failure::Failure;
use crate::parse::number;
use crate::{say, select};

/// A name to be looked up.
#[derive(clap::Args, Debug)]
pub struct Domid {
    /// The name.
    #[arg(value_name = "DomainName")]
    name: String,
    #[command(flatten)]
    ignored: Ignored,
}

/// A number to be looked up.
#[derive(clap::Args, Debug)]
pub struct Domname {
    /// The number.
    #[arg(value_name = "DomainId", allow_negative_numbers = true)]
    id: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Domid {
    /// Prints the number.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let name = &self.name;
        let domain = select::by_name(context, name)?.ok_or_else(|| {
            Failure::said(format!(
                "Can't get domid of domain name '{name}', maybe this domain does not exist."
            ))
        })?;
        if context.json() {
            context.output.print_json(&json!({ "domid": domain.0 }));
        } else {
            say!(context, "{domain}\n");
        }
        Ok(())
    }
}

impl Domname {
    /// Prints the name.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let (id, _) =
            number::leading(&self.id).ok_or_else(|| Failure::said("Invalid domain id.\n"))?;
        let name = match u16::try_from(id) {
            Ok(id) => select::name_of(context.store()?, DomId(id))?,
            Err(_) => None,
        };
        let name = name.ok_or_else(|| {
            Failure::said(format!(
                "Can't get domain name of domain id '{id}', maybe this domain does not exist."
            ))
        })?;
        if context.json() {
            context.output.print_json(&json!({ "name": name }));
        } else {
            say!(context, "{name}\n");
        }
        Ok(())
    }
}
