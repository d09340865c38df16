//! `xl config-update`: another configuration for a domain's next start.

use std::path::PathBuf;

use domain::lifecycle::NEXT_CONFIG;
use serde_json::json;

use crate::cli::usage;
use crate::configuration::{self, Source, running};
use crate::context::Context;
use crate::failure::{Failure, OrFail};
use crate::{complain, life, say, select};

/// Exit code where libxl's `ERROR_FAIL` is passed on as it is.
const FAILED: u8 = 253;

/// Which domain, and its new configuration.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Read this file
    #[arg(short = 'f', long, value_name = "FILE", allow_hyphen_values = true)]
    defconfig: Option<PathBuf>,
    /// Print the configuration
    #[arg(short = 'd')]
    debug: bool,
    /// Ignored
    #[arg(short = 'q', hide = true)]
    quiet: bool,
    /// The domain, a file, and settings that are added to it.
    #[arg(value_name = "Domain ConfigFile [setting=value]")]
    words: Vec<String>,
}

impl Arguments {
    /// Keeps it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let Some((domain, words)) = self.words.split_first() else {
            complain!(context, "xl config-update requires a domain argument\n");
            say!(context, "{}", usage::one("config-update"));
            return Err(Failure::silent().into());
        };
        complain!(
            context,
            "WARNING: xl now has better capability to manage domain configuration, avoid using this command when possible\n"
        );
        let domain = select::domain(context, domain)?;
        let Ok(source) = Source::of(self.defconfig.as_ref(), words) else {
            say!(context, "{}", usage::one("config-update"));
            return Err(Failure::with_code(Failure::USAGE, "").into());
        };
        let path = source
            .file
            .ok_or_else(|| Failure::said("Config file not specified"))?;
        let mut text = configuration::read(&path, FAILED)?;
        if !source.overrides.is_empty() {
            text.push(b'\n');
            for setting in &source.overrides {
                text.extend(setting.bytes().chain(*b"\n"));
            }
        }
        let name = path.display().to_string();
        let config = configuration::domain(context, &name, &text, &[])?;
        if self.debug || context.globals.dry_run {
            say!(
                context,
                "{}",
                domcfg::pretty(&running::entry(None, &config))
            );
        }
        if context.globals.dry_run {
            return Ok(());
        }
        complain!(context, "setting dom{domain} configuration\n");
        let files = life::toolstack(context)?.userdata(domain);
        let written = files.and_then(|files| {
            let _lock = files.lock()?;
            files.write(NEXT_CONFIG, &text)
        });
        written.or_fail("failed to update configuration")?;
        context.done(&json!({ "domid": domain.0 }));
        Ok(())
    }
}
