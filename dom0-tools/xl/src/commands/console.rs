//! `xl console`: connects the terminal to a guest's console.

use xenconsoled::client::{self, Attach, Kind};

use super::Ignored;
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::parse::number;
use crate::select;

/// Which console.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// pv, serial or vuart
    #[arg(short = 't', value_name = "type", allow_hyphen_values = true)]
    kind: Option<String>,
    /// Which one of that type
    #[arg(short = 'n', value_name = "number", allow_hyphen_values = true)]
    number: Option<String>,
    /// What ends the session: a character, or ^ and a letter to press with Ctrl
    #[arg(short = 'e', value_name = "escape", allow_hyphen_values = true)]
    escape: Option<String>,
    /// Also read the input if it is no terminal
    #[arg(short = 's')]
    script: bool,
    /// Name or number.
    #[arg(value_name = "Domain")]
    domain: String,
    #[command(flatten)]
    ignored: Ignored,
}

impl Arguments {
    /// Stays connected until the session ends.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let kind = self.kind()?;
        let domain = select::domain(context, &self.domain)?;
        context.output.flush();
        let what = Attach {
            domain,
            // Without a type the number is that of the first console, whatever was given.
            number: kind.map_or(0, |_| self.number()),
            kind: kind.unwrap_or(Kind::Pv),
            escape: self.escape()?,
            is_interactive: self.script,
            started: None,
        };
        let attached = client::attach(&context.shared_store()?, what);
        attached.or_fail("Unable to attach console")
    }

    fn kind(&self) -> anyhow::Result<Option<Kind>> {
        Ok(match self.kind.as_deref() {
            None => None,
            Some("pv") => Some(Kind::Pv),
            Some("serial") => Some(Kind::Serial),
            Some("vuart") => Some(Kind::Vuart),
            Some(_) => {
                let message = "console type supported are: pv, serial, vuart";
                return Err(Failure::said(message).into());
            }
        })
    }

    fn number(&self) -> u32 {
        let number = self.number.as_deref().map_or(0, number::lenient);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// `^x` is Ctrl and x, anything else is its first character.
    fn escape(&self) -> anyhow::Result<u8> {
        match self.escape.as_deref().map(str::as_bytes) {
            None => Ok(client::DEFAULT_ESCAPE),
            Some([b'^', letter, ..]) => Ok(letter & 0x1f),
            Some([character, ..]) => Ok(*character),
            Some([]) => Err(Failure::said("Invalid escape argument").into()),
        }
    }
}
