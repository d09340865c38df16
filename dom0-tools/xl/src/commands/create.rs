//! `xl create`: makes a domain from a configuration, lets it run, and leaves a process behind that watches over it.

mod console;
mod daemon;
mod memory;

use std::path::{Path, PathBuf};

use domain::lifecycle::{Error, Request};
use domcfg::DomainConfig;
use domcfg::cpus::CpuSet;
use serde_json::json;
use xenctl::DomId;

use super::monitor;
use crate::cli::usage;
use crate::configuration::{self, Source};
use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::DomidPolicy;
use crate::{complain, life, say};

/// Exit code where libxl says `ERROR_FAIL`.
const FAILED: u8 = 3;
/// Exit code where libxl says `ERROR_INVAL`.
const INVALID: u8 = 6;
/// libxl's number for "no domain", which its records of domains have.
const NO_DOMID: u32 = u32::MAX;

/// What to make, and how.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// Connect to the console
    #[arg(short = 'c')]
    console: bool,
    /// Print the configuration to standard error
    #[arg(short = 'd')]
    debug: bool,
    /// Leave no process behind to watch over the domain
    #[arg(short = 'e')]
    exit: bool,
    /// Watch over the domain in the foreground
    #[arg(short = 'F')]
    foreground: bool,
    /// Read this file
    #[arg(short = 'f', long, value_name = "FILE", allow_hyphen_values = true)]
    defconfig: Option<PathBuf>,
    /// Only print the configuration
    #[arg(short = 'n', long)]
    dryrun: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Say less
    #[arg(short = 'q', long)]
    quiet: bool,
    /// Show the screen: PVH domains have none
    #[arg(short = 'V', long)]
    vncviewer: bool,
    /// Show the screen: PVH domains have none
    #[arg(short = 'A', long)]
    vncviewer_autopass: bool,
    /// Ignore the masks in xl.conf
    #[arg(short = 'i', long)]
    ignore_global_affinity_masks: bool,
    /// A file, and settings that are added to it.
    #[arg(value_name = "ConfigFile|setting=value")]
    words: Vec<String>,
}

impl Arguments {
    /// Makes it.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        let config = self.config(context)?;
        let is_dry = self.dryrun || context.globals.dry_run;
        if is_dry {
            say!(context, "{}", domcfg::pretty(&config.to_libxl_json()));
            return Ok(());
        }
        if self.debug {
            complain!(context, "{}", domcfg::pretty(&config.to_libxl_json()));
        }
        if self.vncviewer || self.vncviewer_autopass {
            complain!(
                context,
                "xl: a PVH domain has no screen: -V and -A are ignored\n"
            );
        }
        let config = recorded(context, config)?;
        let domain = make(context, &config)?;
        context.done(&json!({ "domid": domain.0, "name": config.c_info.name }));
        self.let_run(context, domain, config)
    }

    fn config(&self, context: &Context) -> anyhow::Result<DomainConfig> {
        let Ok(source) = Source::of(self.defconfig.as_ref(), &self.words) else {
            say!(context, "{}", usage::one("create"));
            return Err(Failure::with_code(Failure::USAGE, "").into());
        };
        let Some(path) = source.file else {
            let message = "Config file not specified and none in save file";
            return Err(Failure::with_code(INVALID, message).into());
        };
        let text = if path == Path::new("/dev/null") {
            Vec::new()
        } else {
            configuration::read(&path, FAILED)?
        };
        let name = path.display().to_string();
        if !self.quiet {
            complain!(context, "Parsing config from {name}\n");
        }
        let mut config = configuration::domain(context, &name, &text, &source.overrides)?;
        if !self.ignore_global_affinity_masks {
            mask(context, &mut config)?;
        }
        Ok(config)
    }

    /// Unpauses the domain, connects to its console and sees to it that somebody watches over it, as far as wanted.
    fn let_run(
        &self,
        context: &Context,
        domain: DomId,
        config: DomainConfig,
    ) -> anyhow::Result<()> {
        context.output.flush();
        let is_followed_here = self.foreground && !self.exit;
        let toolstack = life::toolstack(context)?;
        if self.console && !is_followed_here {
            let watched = if self.exit {
                Ok(())
            } else {
                daemon::start(domain, &config)
            };
            let connected = console::attach(context, domain, self.paused);
            return watched.and(connected);
        }
        let console = self.console.then(|| console::spawn(domain)).transpose()?;
        if !self.paused {
            toolstack.unpause(domain)?;
        }
        if is_followed_here {
            monitor::follow(context, domain, config)?;
        } else if !self.exit {
            daemon::start(domain, &config)?;
        }
        if let Some(mut console) = console {
            console.wait()?;
        }
        Ok(())
    }
}

/// Creates the domain, after dom0 gave it memory where it must.
fn make(context: &Context, config: &DomainConfig) -> anyhow::Result<DomId> {
    let failed = |error: Error| Failure::because_code(FAILED, error);
    let toolstack = life::toolstack(context)?;
    let request: Request = toolstack.request(config).map_err(failed)?;
    // Held until the domain has its memory: two tools at once must not count on the same free pages.
    let _lock = memory::free(context, &request)?;
    let name = config.c_info.name.as_deref().unwrap_or_default();
    let _progress = Progress::of(format!("Creating {name}"));
    toolstack.create(&request).map_err(failed)
}

/// The configuration as libxl records it, with what xl and libxl decide before they create a domain.
fn recorded(context: &Context, mut config: DomainConfig) -> anyhow::Result<DomainConfig> {
    if !matches!(config.c_info.domid, 1..=0x7fef) {
        config.c_info.domid = match context.settings().domid_policy {
            DomidPolicy::Xen => NO_DOMID,
            DomidPolicy::Random => random_domid()?,
        };
    }
    config.b_info.video_memkb.get_or_insert(0);
    config.b_info.arch_x86.msr_relaxed.get_or_insert(false);
    for disk in &mut config.disks {
        disk.colo_restore_enable.get_or_insert(false);
    }
    Ok(config)
}

fn random_domid() -> anyhow::Result<u32> {
    let [high, low, ..] = configuration::random_uuid()?;
    Ok(1 + u32::from(u16::from_be_bytes([high, low])) % 0x7fef)
}

/// Keeps virtual processors where xl.conf allows them.
fn mask(context: &Context, config: &mut DomainConfig) -> anyhow::Result<()> {
    if !context.settings().has_cpu_masks() {
        return Ok(());
    }
    let xen = context.xen()?;
    let Some(allowed) = context.settings().allowed_cpus(xen)? else {
        return Ok(());
    };
    let allowed: CpuSet = allowed.iter().collect();
    let build = &mut config.b_info;
    if build.vcpu_hard_affinity.is_empty() {
        let count = usize::try_from(build.max_vcpus).unwrap_or(0);
        build.vcpu_hard_affinity = vec![allowed; count];
        return Ok(());
    }
    for affinity in &mut build.vcpu_hard_affinity {
        *affinity = affinity
            .iter()
            .filter(|cpu| allowed.contains(*cpu))
            .collect();
        anyhow::ensure!(
            !affinity.is_empty(),
            Failure::said("vcpu hard affinity map is empty")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Lab, refused};

    #[test]
    fn a_file_is_needed() {
        let lab = Lab::new();
        assert_eq!(
            lab.xl("create"),
            refused(6, "Config file not specified and none in save file")
        );
        assert_eq!(
            lab.xl("create /nonexistent.cfg"),
            refused(
                3,
                "Failed to read config file: /nonexistent.cfg: No such file or directory"
            )
        );
        assert_eq!(lab.xl("create a.cfg b.cfg").code, 2);
    }

    #[test]
    fn a_dry_run_prints_the_configuration() {
        let lab = Lab::new();
        let ran = lab.xl(
            "create -q -n /dev/null 'name=\"inline\"' 'type=\"pvh\"' 'kernel=\"/k\"' memory=64",
        );
        assert_eq!((ran.err.as_str(), ran.code), ("", 0));
        assert!(
            ran.out.starts_with(
                "{\n    \"c_info\": {\n        \"type\": \"pvh\",\n        \"name\": \"inline\","
            ),
            "{}",
            ran.out
        );
        assert!(ran.out.ends_with("\n}\n"), "{}", ran.out);
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        let lab = Lab::new();
        let ran = lab.xl("create -q -n /dev/null 'memory=lots'");
        assert_eq!(ran.code, 1);
        assert!(ran.err.starts_with("command line:1:"), "{}", ran.err);
        assert!(
            ran.err
                .ends_with("\nFailed to parse config: Invalid argument"),
            "{}",
            ran.err
        );
    }
}
